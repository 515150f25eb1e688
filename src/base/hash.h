/// \file
/// Content hashes for fingerprints and cache keys (XXH3, 128 bits; not for secrets).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace headrace::base {

/// 64-bit XXH3 of the bytes; with a seed, XXH3 keyed by it.
uint64_t Hash64(std::string_view bytes);
uint64_t Hash64(std::string_view bytes, uint64_t seed);

/// 128-bit XXH3 of the bytes as 32 lowercase hexadecimal digits.
std::string HashHex(std::string_view bytes);

}  // namespace headrace::base
