// Any bytes as a commit of a Delta log, and as the schema, statistics and partition
// values that it holds: refused with words, or read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "refusal.h"
#include "table/delta/actions.h"
#include "table/delta/delta_schema.h"
#include "table/delta/file_stats.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace headrace::table::delta;
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  const auto actions = ParseActions(text, "log");
  headrace::fuzz::CheckRefusal(actions.status());
  const std::string path[] = {"x"};
  for (const auto& type : {arrow::int64(), arrow::utf8(), arrow::decimal128(9, 2),
                           arrow::timestamp(arrow::TimeUnit::MICRO)}) {
    BoundsOf(text, path, type);
  }
  headrace::fuzz::CheckRefusal(FromDeltaSchema(text, "log").status());
  if (!actions.ok()) return 0;
  for (const AddFile& add : actions->adds) {
    const auto again = ParseActions(ToLine(add), "again");
    // Bytes that are no UTF-8 are written as such.
    if (!again.ok() || again->adds.size() != 1) std::abort();
  }
  if (actions->metadata) {
    headrace::fuzz::CheckRefusal(
        FromDeltaSchema(actions->metadata->schema, "m").status());
  }
  return 0;
}
