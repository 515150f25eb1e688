#include <headrace/inspect.h>
#include <parquet/exception.h>
#include <parquet/metadata.h>
#include <parquet/schema.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json_text.h"
#include "pipeline/dataset_impl.h"
#include "pipeline/size_text.h"
#include "pipeline/thread_executor.h"
#include "table/table.h"

namespace headrace {
namespace {

constexpr int64_t kTinyFileBytes = 1 << 20;
constexpr int64_t kFilesTolerated = 8;
constexpr int64_t kHugeRowGroupBytes = int64_t{1} << 30;
constexpr int64_t kLongRowGroupRows = 1 << 20;

struct ColumnSizes {
  int64_t compressed = 0;
  int64_t uncompressed = 0;
  std::set<std::string> compressions;
};

std::string CompressionName(arrow::Compression::type compression) {
  std::string name = arrow::util::Codec::GetCodecAsString(compression);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return name;
}

// Adds up the column chunks of a file by the top-level column that they belong to.
void AddSizes(const parquet::FileMetaData& footer,
              std::map<std::string, ColumnSizes>* sizes) {
  for (int g = 0; g < footer.num_row_groups(); ++g) {
    auto group = footer.RowGroup(g);
    for (int c = 0; c < footer.num_columns(); ++c) {
      auto chunk = group->ColumnChunk(c);
      ColumnSizes& size = (*sizes)[footer.schema()->GetColumnRoot(c)->name()];
      size.compressed += chunk->total_compressed_size();
      size.uncompressed += chunk->total_uncompressed_size();
      size.compressions.insert(CompressionName(chunk->compression()));
    }
  }
}

Result<std::map<std::string, ColumnSizes>> MeasureColumns(const table::Table& table) {
  std::map<std::string, ColumnSizes> sizes;
  for (size_t f = 0; f < table.fragments().size(); ++f) {
    const auto fragment = static_cast<int64_t>(f);
    ARROW_ASSIGN_OR_RAISE(auto footer, table.Footer(fragment));
    try {
      AddSizes(*footer, &sizes);
    } catch (const parquet::ParquetException& e) {
      return Error(ErrorKind::kCorrupt, table.DisplayPath(fragment) +
                                            ": its footer makes no sense: " + e.what() +
                                            "; `headrace verify` shows more");
    }
  }
  return sizes;
}

std::vector<std::string> WarningsOf(const table::Table& table) {
  std::vector<std::string> warnings;
  const auto files = static_cast<int64_t>(table.fragments().size());
  if (files > kFilesTolerated && table.bytes() / files < kTinyFileBytes) {
    warnings.push_back(
        "the " + std::to_string(files) + " files are " +
        pipeline::SizeText(table.bytes() / files) +
        " on average: each costs a request to open and a footer to read; write fewer, "
        "larger ones");
  }
  const auto& groups = table.row_groups();
  const auto huge = std::count_if(groups.begin(), groups.end(), [](const auto& g) {
    return g.stored_bytes > kHugeRowGroupBytes;
  });
  if (huge > 0) {
    warnings.push_back(std::to_string(huge) + " of " + std::to_string(groups.size()) +
                       " row groups are larger than 1 GiB: shuffling mixes row groups, "
                       "so write smaller ones, of some 100 MiB");
  }
  const auto unindexed = std::count_if(groups.begin(), groups.end(), [](const auto& g) {
    return g.rows > kLongRowGroupRows && !g.has_offset_index;
  });
  if (unindexed > 0) {
    warnings.push_back(
        std::to_string(unindexed) + " of " + std::to_string(groups.size()) +
        " row groups have more than 2^20 rows and no offset index: to "
        "resume inside one, pages are passed over one by one; write with a "
        "page index");
  }
  return warnings;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// Rows of cells, each column as wide as its widest cell.
std::string Aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line = " ";
    for (size_t i = 0; i < row.size(); ++i) {
      line += " " + row[i] + std::string(widths[i] - row[i].size() + 1, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace

Result<TableInfo> Inspect(const Dataset& dataset) {
  const DatasetImpl& impl = DatasetAccess::Impl(dataset);
  pipeline::ThreadExecutor executor(impl.options.num_threads);
  ARROW_ASSIGN_OR_RAISE(const auto loaded, table::Table::Load(impl.table, {}, executor));
  const table::Table& table = *loaded;
  ARROW_ASSIGN_OR_RAISE(auto sizes, MeasureColumns(table));
  TableInfo info;
  info.uri = table.DisplayUri();
  info.format = table.format();
  info.version = table.version();
  info.fingerprint = table.fingerprint();
  info.files = static_cast<int64_t>(table.fragments().size());
  info.row_groups = static_cast<int64_t>(table.row_groups().size());
  info.rows = table.rows();
  info.bytes = table.bytes();
  if (!table.row_groups().empty()) {
    auto fewer = [](const auto& a, const auto& b) { return a.rows < b.rows; };
    const auto [min, max] =
        std::minmax_element(table.row_groups().begin(), table.row_groups().end(), fewer);
    info.row_group_rows_min = min->rows;
    info.row_group_rows_max = max->rows;
  }
  for (const auto& field : table.partition_fields()) {
    info.partition_columns.push_back(field->name());
  }
  for (const auto& field : table.schema()->fields()) {
    TableInfo::Column column;
    column.name = field->name();
    column.type = field->type()->ToString();
    column.nullable = field->nullable();
    column.is_partition = std::count(info.partition_columns.begin(),
                                     info.partition_columns.end(), field->name()) > 0;
    if (!column.is_partition) {
      const ColumnSizes& size = sizes[field->name()];
      column.compressed_bytes = size.compressed;
      column.uncompressed_bytes = size.uncompressed;
      column.compressions.assign(size.compressions.begin(), size.compressions.end());
    }
    info.columns.push_back(std::move(column));
  }
  info.warnings = WarningsOf(table);
  return info;
}

std::string TableInfo::ToString() const {
  std::vector<std::vector<std::string>> facts = {
      {"format", version ? format + " version " + std::to_string(*version) : format},
      {"fingerprint", fingerprint},
      {"rows", std::to_string(rows)},
      {"files", std::to_string(files)},
      {"size", pipeline::SizeText(bytes)},
      {"row groups", std::to_string(row_groups) + " of " +
                         std::to_string(row_group_rows_min) + " to " +
                         std::to_string(row_group_rows_max) + " rows"},
  };
  if (!partition_columns.empty()) {
    facts.push_back({"partitioned by", Joined(partition_columns)});
  }
  std::vector<std::vector<std::string>> table = {
      {"column", "type", "nulls", "stored", "decoded", "compression"}};
  for (const Column& column : columns) {
    std::vector<std::string> row = {column.name, column.type,
                                    column.nullable ? "allowed" : "none"};
    if (column.is_partition) {
      row.insert(row.end(), {"-", "-", "partition"});
    } else {
      row.insert(row.end(), {pipeline::SizeText(column.compressed_bytes),
                             pipeline::SizeText(column.uncompressed_bytes),
                             Joined(column.compressions)});
    }
    table.push_back(std::move(row));
  }
  std::string text = uri + "\n" + Aligned(facts) + "\n" + Aligned(table);
  for (const std::string& warning : warnings) text += "\nnote: " + warning;
  if (warnings.empty()) text.pop_back();
  return text;
}

std::string TableInfo::ToJson() const {
  using Json = nlohmann::ordered_json;
  Json json = {{"uri", uri},
               {"format", format},
               {"version", version ? Json(*version) : Json(nullptr)},
               {"fingerprint", fingerprint},
               {"files", files},
               {"row_groups", row_groups},
               {"rows", rows},
               {"bytes", bytes},
               {"row_group_rows_min", row_group_rows_min},
               {"row_group_rows_max", row_group_rows_max},
               {"partition_columns", partition_columns},
               {"columns", Json::array()},
               {"warnings", warnings}};
  for (const Column& column : columns) {
    json["columns"].push_back({{"name", column.name},
                               {"type", column.type},
                               {"nullable", column.nullable},
                               {"is_partition", column.is_partition},
                               {"compressed_bytes", column.compressed_bytes},
                               {"uncompressed_bytes", column.uncompressed_bytes},
                               {"compressions", column.compressions}});
  }
  return base::JsonText(json);
}

}  // namespace headrace
