// Any bytes as a deletion vector: none, or rows that are counted as they are left out.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "table/delta/deletion_vector.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace headrace::table;
  delta::DecodeZ85({reinterpret_cast<const char*>(bytes), size});
  delta::PathOfUuid({reinterpret_cast<const char*>(bytes), size});
  const auto rows = delta::ParseDeletionVector({bytes, size});
  if (rows == nullptr) return 0;
  constexpr int64_t kRows = 1 << 16;
  std::vector<uint8_t> present(kRows, 1);
  rows->Clear(0, present);
  int64_t cleared = 0;
  for (const uint8_t one : present) cleared += one == 0 ? 1 : 0;
  if (cleared != rows->CountIn(0, kRows) || cleared > rows->count()) std::abort();
  return 0;
}
