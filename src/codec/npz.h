/// \file
/// A ZIP archive of one npy array, as numpy.savez_compressed writes it, both ways. zlib
/// does the compression; what is read and written around it is what one member needs.
#pragma once

#include <arrow/buffer.h>
#include <arrow/memory_pool.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace headrace::codec {

/// The array, inflated. Corrupt, checksum included; Unsupported for several members of
/// which none is "arr.npy" or "arr_0.npy", for encryption, and for methods other than
/// stored and deflate.
Result<std::shared_ptr<arrow::Buffer>> ReadNpz(std::span<const uint8_t> npz,
                                               arrow::MemoryPool* pool);

/// The archive of "arr.npy", which is `header` and `elements` one after the other.
Result<std::shared_ptr<arrow::Buffer>> WriteNpz(std::string_view header,
                                                std::span<const uint8_t> elements,
                                                arrow::MemoryPool* pool);

}  // namespace headrace::codec
