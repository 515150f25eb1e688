#include "writer/statistics.h"

#include <arrow/compute/api.h>
#include <arrow/scalar.h>
#include <arrow/util/utf8.h>
#include <parquet/arrow/reader.h>
#include <parquet/statistics.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "writer/catch_write.h"
#include "writer/value_text.h"

namespace headrace::writer {
namespace {

constexpr int kLeavesMax = 32;
constexpr size_t kTextMax = 32;
constexpr std::string_view kLastCharacter = "\xF4\x8F\xBF\xBF";  // U+10FFFF

using ScalarPtr = std::shared_ptr<arrow::Scalar>;

struct Bounds {
  std::optional<int64_t> nulls;
  ScalarPtr min;
  ScalarPtr max;
};

// Where the character after the first `characters` begins; the size if there are fewer.
size_t CutAt(std::string_view text, size_t characters) {
  size_t at = 0;
  for (size_t i = 0; i < characters && at < text.size(); ++i) {
    ++at;
    while (at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) ++at;
  }
  return at;
}

std::optional<std::string> TextBound(std::string_view text, bool is_max) {
  if (!arrow::util::ValidateUTF8(text)) return std::nullopt;
  size_t cut = CutAt(text, kTextMax);
  if (!is_max) return std::string(text.substr(0, cut));
  // What follows the cut must not be larger than what takes its place.
  while (text.substr(cut).starts_with(kLastCharacter)) cut += kLastCharacter.size();
  std::string bound(text.substr(0, cut));
  if (cut < text.size()) bound += kLastCharacter;
  return bound;
}

// The JSON of a bound; nothing for what has none.
std::optional<std::string> BoundJson(const arrow::Scalar& value, bool is_max) {
  switch (value.type->id()) {
    case arrow::Type::STRING: {
      const auto text =
          TextBound(static_cast<const arrow::StringScalar&>(value).view(), is_max);
      if (!text) return std::nullopt;
      return nlohmann::json(*text).dump();
    }
    case arrow::Type::FLOAT:
    case arrow::Type::DOUBLE: {
      const auto wide = value.CastTo(arrow::float64());
      if (!wide.ok() ||
          !std::isfinite(static_cast<const arrow::DoubleScalar&>(**wide).value)) {
        return std::nullopt;  // JSON has neither NaN nor infinities
      }
      return ValueText(value);
    }
    case arrow::Type::DATE32: {
      const auto text = ValueText(value);
      return text ? std::optional("\"" + *text + "\"") : std::nullopt;
    }
    case arrow::Type::TIMESTAMP: {
      const auto text = TimestampBound(value, is_max);
      return text ? std::optional("\"" + *text + "\"") : std::nullopt;
    }
    case arrow::Type::DECIMAL128:
      return ValueText(value);
    default:
      return arrow::is_integer(value.type->id()) ? ValueText(value) : std::nullopt;
  }
}

Result<ScalarPtr> InType(const ScalarPtr& value,
                         const std::shared_ptr<arrow::DataType>& type) {
  if (value->type->Equals(*type)) return value;
  ARROW_ASSIGN_OR_RAISE(const auto cast, arrow::compute::Cast(arrow::Datum(value), type));
  return cast.scalar();
}

bool Less(const ScalarPtr& a, const ScalarPtr& b) {
  const auto less = arrow::compute::CallFunction("less", {a, b});
  return less.ok() && less->scalar_as<arrow::BooleanScalar>().value;
}

// Of a leaf over all row groups; what one of them does not know is not known.
Bounds BoundsOf(const parquet::FileMetaData& footer, int leaf,
                const std::shared_ptr<arrow::DataType>& type) {
  Bounds bounds;
  bounds.nulls = 0;
  bool bounded = true;
  for (int g = 0; g < footer.num_row_groups(); ++g) {
    const auto statistics = footer.RowGroup(g)->ColumnChunk(leaf)->statistics();
    if (statistics == nullptr) return {};
    if (!statistics->HasNullCount()) {
      bounds.nulls.reset();
    } else if (bounds.nulls) {
      *bounds.nulls += statistics->null_count();
    }
    if (statistics->num_values() == 0 || !bounded) continue;
    ScalarPtr min, max;
    const bool known = statistics->HasMinMax() &&
                       parquet::arrow::StatisticsAsScalars(*statistics, &min, &max).ok();
    const auto min_cast = known ? InType(min, type) : Result<ScalarPtr>(nullptr);
    const auto max_cast = known ? InType(max, type) : Result<ScalarPtr>(nullptr);
    bounded = known && min_cast.ok() && max_cast.ok();
    if (!bounded) continue;
    if (bounds.min == nullptr || Less(*min_cast, bounds.min)) bounds.min = *min_cast;
    if (bounds.max == nullptr || Less(bounds.max, *max_cast)) bounds.max = *max_cast;
  }
  if (!bounded) bounds.min = bounds.max = nullptr;
  return bounds;
}

int LeavesOf(const arrow::DataType& type) {
  if (type.num_fields() == 0) return 1;
  int leaves = 0;
  for (const auto& field : type.fields()) leaves += LeavesOf(*field->type());
  return leaves;
}

// Members of the three objects, of the fields of one struct or of the table.
class Members {
 public:
  explicit Members(const parquet::FileMetaData& footer) : footer_(footer) {}

  void Add(const arrow::FieldVector& fields, int* leaf) {
    for (const auto& field : fields) {
      if (*leaf >= kLeavesMax) return;
      const auto type = StorageType(field->type());
      const std::string name = nlohmann::json(field->name()).dump() + ":";
      if (type->id() == arrow::Type::STRUCT) {
        Members inner(footer_);
        inner.Add(type->fields(), leaf);
        Append(name, inner.min_.empty() ? "" : "{" + inner.min_ + "}", &min_);
        Append(name, inner.max_.empty() ? "" : "{" + inner.max_ + "}", &max_);
        Append(name, inner.nulls_.empty() ? "" : "{" + inner.nulls_ + "}", &nulls_);
        continue;
      }
      if (type->num_fields() > 0) {  // lists and maps
        *leaf += LeavesOf(*type);
        continue;
      }
      AddLeaf(name, (*leaf)++, type);
    }
  }

  std::string Json() const {
    return "{\"numRecords\":" + std::to_string(footer_.num_rows()) + ",\"minValues\":{" +
           min_ + "},\"maxValues\":{" + max_ + "},\"nullCount\":{" + nulls_ + "}}";
  }

 private:
  static std::shared_ptr<arrow::DataType> StorageType(
      const std::shared_ptr<arrow::DataType>& type) {
    return type->id() == arrow::Type::EXTENSION
               ? static_cast<const arrow::ExtensionType&>(*type).storage_type()
               : type;
  }

  static void Append(const std::string& name, const std::string& value,
                     std::string* members) {
    if (value.empty()) return;
    *members += (members->empty() ? "" : ",") + name + value;
  }

  void AddLeaf(const std::string& name, int leaf,
               const std::shared_ptr<arrow::DataType>& type) {
    const Bounds bounds = BoundsOf(footer_, leaf, type);
    if (bounds.nulls) Append(name, std::to_string(*bounds.nulls), &nulls_);
    if (bounds.min == nullptr || bounds.max == nullptr) return;
    Append(name, BoundJson(*bounds.min, false).value_or(""), &min_);
    Append(name, BoundJson(*bounds.max, true).value_or(""), &max_);
  }

  const parquet::FileMetaData& footer_;
  std::string min_, max_, nulls_;
};

}  // namespace

std::string DeltaStatistics(const arrow::Schema& schema,
                            const parquet::FileMetaData& footer) {
  Members members(footer);
  const Status read = CatchWrite([&] {
    int leaf = 0;
    members.Add(schema.fields(), &leaf);
    return Status::OK();
  });
  // Without them a file is read where it might not have to be.
  return read.ok() ? members.Json()
                   : "{\"numRecords\":" + std::to_string(footer.num_rows()) + "}";
}

}  // namespace headrace::writer
