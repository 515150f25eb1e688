/// \file
/// Large blocks straight from the kernel, so that what is freed is gone at once.
#pragma once

#include <arrow/memory_pool.h>

namespace headrace::base {

/// The process's pool of which blocks of 1 MiB and more are mappings of their own: an
/// allocator keeps freed blocks for a while, which lets a process hold twice what its
/// budget counts. Smaller blocks are arrow::default_memory_pool()'s. Never destroyed, so
/// that blocks may outlive all else. Keeps no statistics.
///
/// Thread-safe.
arrow::MemoryPool* PagePool();

}  // namespace headrace::base
