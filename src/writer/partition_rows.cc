#include "writer/partition_rows.h"

#include <arrow/array.h>
#include <arrow/compute/api.h>

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>

#include "writer/value_text.h"

namespace headrace::writer {
namespace {

constexpr std::string_view kNullPartition = "__HIVE_DEFAULT_PARTITION__";

// What Hive and Spark escape.
bool IsEscaped(char c) {
  const auto byte = static_cast<uint8_t>(c);
  constexpr std::string_view kSpecial = "\"#%'*/:=?\\{[]^}";
  return byte < 0x20 || byte == 0x7F || kSpecial.find(c) != std::string_view::npos;
}

std::string Escape(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string escaped;
  for (const char c : text) {
    if (!IsEscaped(c)) {
      escaped += c;
      continue;
    }
    const auto byte = static_cast<uint8_t>(c);
    escaped += '%';
    escaped += kDigits[byte >> 4];
    escaped += kDigits[byte & 15];
  }
  return escaped;
}

// A column's values as codes into the distinct ones, null among them.
struct Codes {
  std::shared_ptr<arrow::Int32Array> codes;
  std::shared_ptr<arrow::Array> values;
};

Result<Codes> Encode(const std::shared_ptr<arrow::Array>& column,
                     arrow::MemoryPool* pool) {
  using Options = arrow::compute::DictionaryEncodeOptions;
  arrow::compute::ExecContext context(pool);
  context.set_use_threads(false);
  ARROW_ASSIGN_OR_RAISE(
      const auto encoded,
      arrow::compute::DictionaryEncode(column, Options(Options::ENCODE), &context));
  const auto array =
      std::static_pointer_cast<arrow::DictionaryArray>(encoded.make_array());
  return Codes{std::static_pointer_cast<arrow::Int32Array>(array->indices()),
               array->dictionary()};
}

Result<std::optional<std::string>> PathValue(const std::string& key,
                                             const arrow::Array& values, int64_t i) {
  ARROW_ASSIGN_OR_RAISE(const auto scalar, values.GetScalar(i));
  auto text = ValueText(*scalar);
  if (!text && scalar->is_valid) {
    return Error(ErrorKind::kInvalidArgument,
                 "partition column \"" + key + "\" holds " + scalar->ToString() +
                     ", expected a value that is a directory's name");
  }
  if (text && (text->empty() || *text == kNullPartition)) {
    return Error(ErrorKind::kInvalidArgument,
                 "partition column \"" + key + "\" holds \"" + *text +
                     "\", which a path cannot tell from null: give it another value, or "
                     "null");
  }
  return text;
}

// Numbers the partitions of rows in the order in which they occur.
struct Groups {
  std::vector<int32_t> of_row;
  std::vector<int64_t> first_row;  // by group
  std::vector<int64_t> sizes;      // by group
};

Groups GroupRows(const std::vector<Codes>& columns, int64_t rows) {
  Groups groups;
  groups.of_row.assign(static_cast<size_t>(rows), 0);
  for (const Codes& column : columns) {
    std::unordered_map<uint64_t, int32_t> numbers;
    const int32_t* codes = column.codes->raw_values();
    for (int64_t row = 0; row < rows; ++row) {
      int32_t& group = groups.of_row[static_cast<size_t>(row)];
      const uint64_t pair = static_cast<uint64_t>(static_cast<uint32_t>(group)) << 32 |
                            static_cast<uint32_t>(codes[row]);
      group =
          numbers.try_emplace(pair, static_cast<int32_t>(numbers.size())).first->second;
    }
  }
  for (int64_t row = 0; row < rows; ++row) {
    const auto group = static_cast<size_t>(groups.of_row[static_cast<size_t>(row)]);
    if (group == groups.sizes.size()) {
      groups.sizes.push_back(0);
      groups.first_row.push_back(row);
    }
    ++groups.sizes[group];
  }
  return groups;
}

}  // namespace

std::string PartitionDirectory(const std::string& key,
                               const std::optional<std::string>& value) {
  return Escape(key) + "=" + (value ? Escape(*value) : std::string(kNullPartition));
}

Status CheckPartitionColumns(const arrow::Schema& schema,
                             const std::vector<int>& columns) {
  for (const int column : columns) {
    const auto& field = *schema.field(column);
    switch (field.type()->id()) {
      case arrow::Type::BOOL:
      case arrow::Type::INT8:
      case arrow::Type::INT16:
      case arrow::Type::INT32:
      case arrow::Type::INT64:
      case arrow::Type::UINT8:
      case arrow::Type::UINT16:
      case arrow::Type::UINT32:
      case arrow::Type::UINT64:
      case arrow::Type::FLOAT:
      case arrow::Type::DOUBLE:
      case arrow::Type::DECIMAL128:
      case arrow::Type::STRING:
      case arrow::Type::DATE32:
      case arrow::Type::TIMESTAMP:
        continue;
      default:
        return Error(ErrorKind::kUnsupported,
                     "partition column \"" + field.name() + "\" is " +
                         field.type()->ToString() +
                         ", expected numbers, booleans, text, dates or timestamps");
    }
  }
  return Status::OK();
}

Result<PartitionedBatch> PartitionedBatch::Make(std::shared_ptr<arrow::RecordBatch> batch,
                                                const std::vector<int>& columns,
                                                arrow::MemoryPool* pool) {
  PartitionedBatch partitioned;
  const int64_t count = batch->num_rows();
  std::vector<Codes> codes;
  for (const int column : columns) {
    ARROW_ASSIGN_OR_RAISE(auto encoded, Encode(batch->column(column), pool));
    codes.push_back(std::move(encoded));
  }
  const Groups groups = GroupRows(codes, count);
  for (const int64_t row : groups.first_row) {
    Partition partition;
    for (size_t c = 0; c < columns.size(); ++c) {
      const std::string& key = batch->schema()->field(columns[c])->name();
      ARROW_ASSIGN_OR_RAISE(auto value,
                            PathValue(key, *codes[c].values, codes[c].codes->Value(row)));
      partition.directory += PartitionDirectory(key, value) + "/";
      partition.values[key] = std::move(value);
    }
    partitioned.partitions_.push_back(std::move(partition));
  }
  partitioned.begins_.assign(1, 0);
  for (const int64_t size : groups.sizes) {
    partitioned.begins_.push_back(partitioned.begins_.back() + size);
  }
  ARROW_ASSIGN_OR_RAISE(partitioned.order_, arrow::AllocateBuffer(count * 8, pool));
  auto* order = reinterpret_cast<int64_t*>(partitioned.order_->mutable_data());
  auto next = partitioned.begins_;
  for (int64_t row = 0; row < count; ++row) {
    order[next[static_cast<size_t>(groups.of_row[static_cast<size_t>(row)])]++] = row;
  }
  partitioned.batch_ = std::move(batch);
  return partitioned;
}

Result<std::shared_ptr<arrow::RecordBatch>> PartitionedBatch::Rows(
    const std::vector<size_t>& partitions, arrow::MemoryPool* pool) const {
  const auto* order = reinterpret_cast<const int64_t*>(order_->data());
  int64_t count = 0;
  for (const size_t p : partitions) count += begins_[p + 1] - begins_[p];
  if (count == batch_->num_rows() && std::is_sorted(order, order + count)) return batch_;
  std::shared_ptr<arrow::Buffer> rows;
  if (partitions.size() == 1) {
    const int64_t begin = begins_[partitions[0]];
    if (order[begin + count - 1] - order[begin] + 1 == count) {
      return batch_->Slice(order[begin], count);
    }
    rows = arrow::SliceBuffer(order_, begin * 8, count * 8);
  } else {
    ARROW_ASSIGN_OR_RAISE(rows, arrow::AllocateBuffer(count * 8, pool));
    auto* out = reinterpret_cast<int64_t*>(rows->mutable_data());
    for (const size_t p : partitions) {
      out = std::copy(order + begins_[p], order + begins_[p + 1], out);
    }
  }
  arrow::compute::ExecContext context(pool);
  context.set_use_threads(false);
  ARROW_ASSIGN_OR_RAISE(
      const auto taken,
      arrow::compute::Take(batch_, std::make_shared<arrow::Int64Array>(count, rows),
                           arrow::compute::TakeOptions::NoBoundsCheck(), &context));
  return taken.record_batch();
}

}  // namespace headrace::writer
