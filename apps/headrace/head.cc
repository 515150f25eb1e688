#include <arrow/api.h>
#include <headrace/dataset.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "command.h"
#include "terminal.h"
#include "text_table.h"
#include "value_json.h"

namespace headrace::cli {
namespace {

constexpr size_t kWriteBytes = 64 << 10;

struct HeadOptions {
  CommonOptions common;
  ChoiceOptions choice;
  int64_t rows = 10;
};

// Calls `take` for each of the first rows, in stored order.
template <typename Take>
Status ForEachRow(arrow::RecordBatchReader* reader, int64_t rows, Take&& take) {
  while (rows > 0) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(reader->ReadNext(&batch));
    if (batch == nullptr) break;
    const int64_t taken = std::min(rows, batch->num_rows());
    for (int64_t row = 0; row < taken; ++row) take(*batch, row);
    rows -= taken;
  }
  return Status::OK();
}

Status PrintJsonLines(arrow::RecordBatchReader* reader, int64_t rows) {
  std::string lines;
  Status status =
      ForEachRow(reader, rows, [&](const arrow::RecordBatch& batch, int64_t row) {
        Json line = Json::object();
        for (int i = 0; i < batch.num_columns(); ++i) {
          line[batch.column_name(i)] = ValueToJson(*batch.column(i), row);
        }
        lines += Dump(line) + "\n";
        if (lines.size() < kWriteBytes) return;
        Write(lines);
        lines.clear();
      });
  Write(lines);
  return status;
}

Status PrintTable(arrow::RecordBatchReader* reader, int64_t rows) {
  std::vector<TextTable::Align> alignments;
  std::vector<std::string> names;
  std::vector<std::string> types;
  for (const auto& field : reader->schema()->fields()) {
    alignments.push_back(arrow::is_numeric(field->type()->id())
                             ? TextTable::Align::kRight
                             : TextTable::Align::kLeft);
    names.push_back(field->name());
    types.push_back(field->type()->ToString());
  }
  TextTable table(std::move(alignments));
  table.AddRow(std::move(names));
  table.AddRow(std::move(types));
  table.AddRule();
  ARROW_RETURN_NOT_OK(
      ForEachRow(reader, rows, [&](const arrow::RecordBatch& batch, int64_t row) {
        std::vector<std::string> cells;
        for (const auto& column : batch.columns()) {
          cells.push_back(ValueToText(*column, row));
        }
        table.AddRow(std::move(cells));
      }));
  Write(table.ToString());
  return Status::OK();
}

Result<ExitCode> Head(const HeadOptions& head) {
  ARROW_ASSIGN_OR_RAISE(Dataset dataset, head.common.Open());
  ARROW_ASSIGN_OR_RAISE(dataset, head.choice.Apply(std::move(dataset)));
  if (head.choice.explain) {
    ARROW_RETURN_NOT_OK(PrintPlan(dataset, head.common.json));
    return kExitOk;
  }
  ARROW_ASSIGN_OR_RAISE(auto reader, dataset.ToReader());
  ARROW_RETURN_NOT_OK(head.common.json ? PrintJsonLines(reader.get(), head.rows)
                                       : PrintTable(reader.get(), head.rows));
  return kExitOk;
}

}  // namespace

Action AddHead(CLI::App* app) {
  CLI::App* command =
      app->add_subcommand("head", "Print the first rows, in stored order");
  auto head = std::make_shared<HeadOptions>();
  head->common.AddTo(command);
  command->add_option("-n,--rows", head->rows, "how many rows")
      ->type_name("NUMBER")
      ->capture_default_str()
      ->check(AtLeast(0));
  head->choice.AddTo(command);
  command->footer(
      "With --json, one object a line. NaN and infinities are text there, bytes "
      "base64.\n\n"
      "Examples:\n"
      "  headrace head lake/flights -n 5\n"
      "  headrace head lake/flights --select carrier,dep_delay --where \"dep_delay > "
      "60\"\n"
      "  headrace head lake/flights --where \"month = 7\" --explain\n");
  return [head] { return Head(*head); };
}

}  // namespace headrace::cli
