#include <arrow/api.h>
#include <headrace/inspect.h>

#include <memory>
#include <utility>

#include "command.h"
#include "terminal.h"
#include "text_table.h"
#include "value_json.h"

namespace headrace::cli {
namespace {

struct StatsOptions {
  CommonOptions common;
  ChoiceOptions choice;
  bool scan = false;
};

Result<std::string> Text(const std::shared_ptr<arrow::Scalar>& value) {
  if (value == nullptr) return "-";
  ARROW_ASSIGN_OR_RAISE(auto array, arrow::MakeArrayFromScalar(*value, 1));
  return ValueToText(*array, 0);
}

Result<Json> ToJson(const std::shared_ptr<arrow::Scalar>& value) {
  if (value == nullptr) return Json();
  ARROW_ASSIGN_OR_RAISE(auto array, arrow::MakeArrayFromScalar(*value, 1));
  return ValueToJson(*array, 0);
}

std::string Text(const std::optional<int64_t>& number) {
  return number ? Grouped(*number) : "-";
}

Json ToJson(const std::optional<int64_t>& number) {
  return number ? Json(*number) : Json();
}

Status PrintText(const TableStats& stats) {
  using enum TextTable::Align;
  TextTable table({kLeft, kLeft, kRight, kRight, kRight, kRight});
  table.AddRow({"column", "type", "nulls", "min", "max", "distinct"});
  table.AddRule();
  for (const TableStats::Column& column : stats.columns) {
    ARROW_ASSIGN_OR_RAISE(std::string min, Text(column.min));
    ARROW_ASSIGN_OR_RAISE(std::string max, Text(column.max));
    table.AddRow({column.name, column.type, Text(column.nulls), std::move(min),
                  std::move(max), Text(column.distinct)});
  }
  Write(table.ToString() + Grouped(stats.rows) + " rows, " +
        (stats.scanned ? "scanned"
                       : "from statistics in footers; --scan reads the values, and "
                         "counts distinct ones") +
        "\n");
  return Status::OK();
}

Status PrintJson(const TableStats& stats) {
  Json json = {
      {"rows", stats.rows}, {"scanned", stats.scanned}, {"columns", Json::array()}};
  for (const TableStats::Column& column : stats.columns) {
    ARROW_ASSIGN_OR_RAISE(Json min, ToJson(column.min));
    ARROW_ASSIGN_OR_RAISE(Json max, ToJson(column.max));
    json["columns"].push_back({{"name", column.name},
                               {"type", column.type},
                               {"nulls", ToJson(column.nulls)},
                               {"min", std::move(min)},
                               {"max", std::move(max)},
                               {"distinct", ToJson(column.distinct)}});
  }
  Write(Dump(json) + "\n");
  return Status::OK();
}

Result<ExitCode> Run(const StatsOptions& options) {
  ARROW_ASSIGN_OR_RAISE(Dataset dataset, options.common.Open());
  ARROW_ASSIGN_OR_RAISE(dataset, options.choice.Apply(std::move(dataset)));
  if (options.choice.explain) {
    ARROW_RETURN_NOT_OK(PrintPlan(dataset, options.common.json));
    return kExitOk;
  }
  TableStats stats;
  {
    ProgressBar bar("stats");
    ARROW_ASSIGN_OR_RAISE(
        stats, Stats(dataset, options.scan,
                     [&](int64_t done, int64_t total) { bar.Update(done, total); }));
  }
  ARROW_RETURN_NOT_OK(options.common.json ? PrintJson(stats) : PrintText(stats));
  return kExitOk;
}

}  // namespace

Action AddStats(CLI::App* app) {
  CLI::App* command = app->add_subcommand(
      "stats", "Show nulls, minimum, maximum and distinct values of each column");
  auto options = std::make_shared<StatsOptions>();
  options->common.AddTo(command);
  options->choice.AddTo(command);
  command->add_flag("--scan", options->scan,
                    "read the values, also where footers have statistics");
  command->footer(
      "Footers tell nulls, minimum and maximum at once. With --scan or --where the "
      "values "
      "are\n"
      "read, and distinct ones counted: exactly up to 1,024, then with an error of about "
      "2 %.\n\n"
      "Examples:\n"
      "  headrace stats lake/flights\n"
      "  headrace stats lake/flights --select carrier,dep_delay --scan\n"
      "  headrace stats lake/flights --where \"month = 7\" --json\n");
  return [options] { return Run(*options); };
}

}  // namespace headrace::cli
