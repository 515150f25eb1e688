/// \file
/// From the width of a value to a type of that width.
#pragma once

#include <cstdint>
#include <utility>

namespace headrace::base {

/// Calls `call` with a value of the unsigned type of 1, 2, 4 or 8 bytes; what it returns.
template <typename Call>
decltype(auto) WithWidth(int64_t width, Call&& call) {
  switch (width) {
    case 1:
      return std::forward<Call>(call)(uint8_t{});
    case 2:
      return std::forward<Call>(call)(uint16_t{});
    case 4:
      return std::forward<Call>(call)(uint32_t{});
    default:
      return std::forward<Call>(call)(uint64_t{});
  }
}

}  // namespace headrace::base
