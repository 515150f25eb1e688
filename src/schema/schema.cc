#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/extension/variable_shape_tensor.h>
#include <arrow/util/key_value_metadata.h>
#include <headrace/schema.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/json_text.h"
#include "schema/dtype.h"
#include "schema/field.h"

namespace headrace {

using nlohmann::json;

namespace {

constexpr int kFormat = 1;
constexpr int kQuality = 90;
constexpr size_t kDimensionsMax = 32;

Status Invalid(const Field& field, const std::string& what) {
  return Error(ErrorKind::kInvalidArgument, "field " + field.name + ": " + what);
}

bool IsImage(const std::string& codec) {
  return codec == "jpeg" || codec == "png" || codec == "webp";
}

Status CheckImage(const Field& field) {
  const bool wide = field.codec == "png" && field.dtype == "uint16";
  if (field.dtype != "uint8" && !wide) {
    return Invalid(field, "codec " + field.codec + " stores uint8" +
                              (field.codec == "png" ? " or uint16" : "") +
                              ", found dtype " + field.dtype);
  }
  const size_t dimensions = field.shape.size();
  bool fits = dimensions == 2 ? field.codec != "webp" : dimensions == 3;
  if (dimensions == 3) {
    const int64_t channels = field.shape[2];
    fits = channels == Field::kVaries || channels == 3 ||
           (channels == 1 && field.codec != "webp") ||
           (channels == 4 && field.codec != "jpeg");
  }
  if (fits) return Status::OK();
  return Invalid(field,
                 "codec " + field.codec + " stores (height, width, channels) with " +
                     (field.codec == "jpeg"  ? "1 or 3 channels, or (height, width)"
                      : field.codec == "png" ? "1, 3 or 4 channels, or (height, width)"
                                             : "3 or 4 channels") +
                     ", found shape " + schema::ShapeText(field.shape));
}

Status CheckCodec(const Field& field) {
  const auto varying = std::ranges::count(field.shape, Field::kVaries);
  if (field.codec == "arrow") {
    if (field.dtype != "bfloat16") return Status::OK();
    return Invalid(field, "Arrow has no bfloat16: use codec raw");
  }
  if (field.dtype == "string" || field.dtype == "binary") {
    return Invalid(field, field.dtype + " takes no codec, found " + field.codec);
  }
  if (IsImage(field.codec)) return CheckImage(field);
  if (field.codec == "raw" || field.codec == "zstd") {
    if (varying <= 1) return Status::OK();
    return Invalid(field, "codec " + field.codec +
                              " stores no shape, so that at most one dimension may vary, "
                              "found " +
                              schema::ShapeText(field.shape) + ": use npy");
  }
  if (field.codec == "npy" || field.codec == "npz") {
    if (field.dtype != "bfloat16") return Status::OK();
    return Invalid(field, "numpy has no bfloat16: use codec raw or zstd");
  }
  return Invalid(field, "codec is \"" + field.codec +
                            "\", expected raw, npy, npz, zstd, jpeg, png, webp or arrow");
}

Status Complete(Field* field) {
  if (field->name.empty()) {
    return Error(ErrorKind::kInvalidArgument, "a field has no name, expected one");
  }
  if (field->dtype != "string" && field->dtype != "binary") {
    auto dtype = schema::ParseDType(field->dtype);
    if (!dtype.ok()) {
      return WithContext(dtype.status(), "field " + field->name);
    }
  } else if (!field->shape.empty()) {
    return Invalid(*field, field->dtype + " is a scalar's dtype, found shape " +
                               schema::ShapeText(field->shape));
  }
  if (field->shape.size() > kDimensionsMax) {
    return Invalid(*field, "found " + std::to_string(field->shape.size()) +
                               " dimensions, expected at most " +
                               std::to_string(kDimensionsMax));
  }
  int64_t elements = 1;
  for (const int64_t dimension : field->shape) {
    if (dimension < Field::kVaries ||
        __builtin_mul_overflow(elements, std::max<int64_t>(dimension, 1), &elements) ||
        elements > std::numeric_limits<int64_t>::max() / 8) {
      return Invalid(*field, "found shape " + schema::ShapeText(field->shape) +
                                 ", expected dimensions of 0 or more, or None");
    }
  }
  if (field->codec.empty()) {
    const auto varying = std::ranges::count(field->shape, Field::kVaries);
    field->codec = field->shape.empty() ? "arrow" : varying <= 1 ? "raw" : "npy";
  }
  ARROW_RETURN_NOT_OK(CheckCodec(*field));
  if (field->codec != "jpeg" && field->codec != "webp") {
    if (!field->quality) return Status::OK();
    return Invalid(*field, "quality is for jpeg and webp, found codec " + field->codec);
  }
  if (!field->quality) field->quality = kQuality;
  if (*field->quality < 1 || *field->quality > 100) {
    return Invalid(
        *field, "quality is " + std::to_string(*field->quality) + ", expected 1 to 100");
  }
  return Status::OK();
}

json ToJsonValue(const Field& field) {
  json shape = json::array();
  for (const int64_t dimension : field.shape) {
    shape.push_back(dimension == Field::kVaries ? json(nullptr) : json(dimension));
  }
  json j = {{"dtype", field.dtype}, {"shape", std::move(shape)}, {"codec", field.codec}};
  if (field.quality) j["quality"] = *field.quality;
  return j;
}

// Throws json::exception for what is missing or of another type.
Field FromJsonValue(const json& j) {
  Field field;
  field.dtype = j.at("dtype").get<std::string>();
  for (const json& dimension : j.at("shape")) {
    field.shape.push_back(dimension.is_null() ? Field::kVaries
                                              : dimension.get<int64_t>());
  }
  field.codec = j.at("codec").get<std::string>();
  if (j.contains("quality")) field.quality = j.at("quality").get<int>();
  return field;
}

Status CheckFormat(const json& j, const char* what) {
  const int format = j.at("format").get<int>();
  if (format >= 1 && format <= kFormat) return Status::OK();
  return Error(ErrorKind::kUnsupported,
               std::string("the ") + what + "'s JSON is of format " +
                   std::to_string(format) + ", this build reads 1 to " +
                   std::to_string(kFormat) + ": use a newer headrace");
}

bool IsTensorExtension(const arrow::DataType& type) {
  if (type.id() != arrow::Type::EXTENSION) return false;
  const auto& name = static_cast<const arrow::ExtensionType&>(type).extension_name();
  return name == "arrow.fixed_shape_tensor" || name == "arrow.variable_shape_tensor";
}

// The shape that an Arrow type says, below the batch; nothing for what is no tensor.
std::optional<std::vector<int64_t>> ShapeOf(const arrow::DataType& type) {
  if (IsTensorExtension(type)) {
    if (const auto* fixed =
            dynamic_cast<const arrow::extension::FixedShapeTensorType*>(&type)) {
      return fixed->shape();
    }
    const auto& varying =
        static_cast<const arrow::extension::VariableShapeTensorType&>(type);
    std::vector<int64_t> shape(static_cast<size_t>(varying.ndim()), Field::kVaries);
    for (size_t d = 0; d < varying.uniform_shape().size(); ++d) {
      if (varying.uniform_shape()[d]) shape[d] = *varying.uniform_shape()[d];
    }
    return shape;
  }
  if (type.id() == arrow::Type::FIXED_SIZE_LIST || type.id() == arrow::Type::LIST ||
      type.id() == arrow::Type::LARGE_LIST) {
    auto inner = ShapeOf(*type.field(0)->type());
    if (!inner) return std::nullopt;
    const int64_t length =
        type.id() == arrow::Type::FIXED_SIZE_LIST
            ? static_cast<const arrow::FixedSizeListType&>(type).list_size()
            : Field::kVaries;
    inner->insert(inner->begin(), length);
    return inner;
  }
  if (!schema::DTypeOf(type)) return std::nullopt;
  return std::vector<int64_t>();
}

std::optional<Field> Inferred(const arrow::Field& column) {
  Field field;
  field.name = column.name();
  field.nullable = column.nullable();
  field.codec = "arrow";
  const arrow::DataType* type = column.type().get();
  if (type->id() == arrow::Type::DICTIONARY) {
    type = static_cast<const arrow::DictionaryType&>(*type).value_type().get();
  }
  switch (type->id()) {
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
      field.dtype = "string";
      return field;
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY:
    case arrow::Type::BINARY_VIEW:
    case arrow::Type::FIXED_SIZE_BINARY:
      field.dtype = "binary";
      return field;
    default:
      break;
  }
  if (schema::IsVector(*type)) {
    field.dtype = "float64";
    field.shape = {Field::kVaries};
    return field;
  }
  auto shape = ShapeOf(*type);
  if (!shape) return std::nullopt;
  field.shape = std::move(*shape);
  field.dtype = DTypeName(*schema::DTypeOf(schema::ValueType(*type)));
  return field;
}

Result<std::shared_ptr<arrow::DataType>> StoredType(const Field& field) {
  if (field.dtype == "string") return arrow::utf8();
  if (field.codec != "arrow" || field.dtype == "binary") return arrow::binary();
  ARROW_ASSIGN_OR_RAISE(const DType dtype, schema::ParseDType(field.dtype));
  auto value = schema::ArrowTypeOf(dtype);
  if (field.shape.empty()) return value;
  const auto varying = std::ranges::count(field.shape, Field::kVaries);
  if (varying == 0) return arrow::extension::fixed_shape_tensor(value, field.shape);
  if (field.shape.size() == 1) return arrow::list(value);
  std::vector<std::optional<int64_t>> uniform;
  uniform.reserve(field.shape.size());
  for (const int64_t dimension : field.shape) {
    uniform.push_back(dimension == Field::kVaries ? std::nullopt
                                                  : std::optional(dimension));
  }
  return arrow::extension::variable_shape_tensor(
      value, static_cast<int32_t>(field.shape.size()), {}, {}, std::move(uniform));
}

}  // namespace

namespace schema {

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (const int64_t dimension : shape) {
    if (text.size() > 1) text += ", ";
    text += dimension == Field::kVaries ? "None" : std::to_string(dimension);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

bool Fits(const std::vector<int64_t>& shape, const std::vector<int64_t>& allowed) {
  return std::ranges::equal(shape, allowed, [](int64_t found, int64_t expected) {
    return expected == Field::kVaries || found == expected;
  });
}

Result<std::optional<Field>> DeclaredField(const arrow::Field& column) {
  if (column.metadata() == nullptr) return std::nullopt;
  const auto text = column.metadata()->Get(kFieldMetadata);
  if (!text.ok()) return std::nullopt;
  const std::string context =
      "column \"" + column.name() + "\": the metadata \"" + kFieldMetadata + "\"";
  Field field;
  try {
    const json j = json::parse(*text);
    if (Status known = CheckFormat(j, "field"); !known.ok()) {
      return WithContext(known, context);
    }
    field = FromJsonValue(j);
  } catch (const json::exception& e) {
    return Error(ErrorKind::kCorrupt, context + " is no field's JSON: " + e.what());
  }
  field.name = column.name();
  field.nullable = column.nullable();
  if (Status complete = Complete(&field); !complete.ok()) {
    return Error(ErrorKind::kCorrupt, context + ": " + MessageOf(complete));
  }
  return field;
}

Result<std::shared_ptr<arrow::Field>> Declare(const std::shared_ptr<arrow::Field>& column,
                                              const Field& field) {
  if (field.codec != "arrow") {
    ARROW_ASSIGN_OR_RAISE(const auto declared, ToArrowField(field));
    return column->WithMetadata(declared->metadata());
  }
  const auto found = Inferred(*column);
  if (found && found->dtype == field.dtype && Fits(found->shape, field.shape)) {
    return column->RemoveMetadata();
  }
  return Error(ErrorKind::kSchemaMismatch,
               "column \"" + column->name() + "\" is " + column->type()->ToString() +
                   ", expected what the schema says: " + field.ToString());
}

std::shared_ptr<arrow::Field> WithFieldMetadataOnly(
    const std::shared_ptr<arrow::Field>& column) {
  const auto& metadata = column->metadata();
  if (metadata == nullptr) return column;
  const auto text = metadata->Get(kFieldMetadata);
  if (!text.ok()) return column->RemoveMetadata();
  return column->WithMetadata(arrow::key_value_metadata({kFieldMetadata}, {*text}));
}

bool DeclareDifferently(const arrow::Field& a, const arrow::Field& b) {
  auto text = [](const arrow::Field& column) {
    return column.metadata() == nullptr
               ? std::string()
               : column.metadata()->Get(kFieldMetadata).ValueOr("");
  };
  return !text(a).empty() && !text(b).empty() && text(a) != text(b);
}

Result<std::shared_ptr<arrow::Field>> ToArrowField(const Field& field) {
  ARROW_ASSIGN_OR_RAISE(auto type, StoredType(field));
  json j = ToJsonValue(field);
  j["format"] = kFormat;
  return arrow::field(field.name, std::move(type), field.nullable,
                      arrow::key_value_metadata({kFieldMetadata}, {j.dump()}));
}

}  // namespace schema

std::string Field::ToString() const {
  std::string text = "Field(\"" + name + "\", \"" + dtype + "\"";
  if (!shape.empty()) text += ", " + schema::ShapeText(shape);
  if (codec != "arrow" || !shape.empty()) text += ", codec=\"" + codec + "\"";
  if (quality) text += ", quality=" + std::to_string(*quality);
  if (!nullable) text += ", nullable=False";
  return text + ")";
}

Result<Schema> Schema::Make(std::vector<Field> fields) {
  std::set<std::string_view> names;
  for (Field& field : fields) {
    ARROW_RETURN_NOT_OK(Complete(&field));
    if (!names.insert(field.name).second) {
      return Error(ErrorKind::kInvalidArgument,
                   "the schema has two fields \"" + field.name + "\": rename one");
    }
  }
  Schema schema;
  schema.fields_ = std::move(fields);
  return schema;
}

Result<Schema> Schema::FromArrow(const arrow::Schema& arrow) {
  std::vector<Field> fields;
  for (const auto& column : arrow.fields()) {
    ARROW_ASSIGN_OR_RAISE(auto field, schema::DeclaredField(*column));
    if (!field) field = Inferred(*column);
    if (field) fields.push_back(std::move(*field));
  }
  return Make(std::move(fields));
}

Result<Schema> Schema::FromJson(const std::string& text) {
  std::vector<Field> fields;
  try {
    const json j = json::parse(text);
    ARROW_RETURN_NOT_OK(CheckFormat(j, "schema"));
    for (const json& one : j.at("fields")) {
      fields.push_back(FromJsonValue(one));
      fields.back().name = one.at("name").get<std::string>();
      fields.back().nullable = one.at("nullable").get<bool>();
    }
  } catch (const json::exception& e) {
    return Error(ErrorKind::kInvalidArgument,
                 std::string("this is not a schema's JSON: ") + e.what());
  }
  return Make(std::move(fields));
}

const Field* Schema::Find(std::string_view name) const {
  const auto found = std::ranges::find(fields_, name, &Field::name);
  return found == fields_.end() ? nullptr : &*found;
}

Result<std::shared_ptr<arrow::Schema>> Schema::ToArrow() const {
  arrow::FieldVector columns;
  for (const Field& field : fields_) {
    ARROW_ASSIGN_OR_RAISE(auto column, schema::ToArrowField(field));
    columns.push_back(std::move(column));
  }
  return arrow::schema(std::move(columns));
}

std::string Schema::ToJson() const {
  json fields = json::array();
  for (const Field& field : fields_) {
    json j = ToJsonValue(field);
    j["name"] = field.name;
    j["nullable"] = field.nullable;
    fields.push_back(std::move(j));
  }
  return base::JsonText(json{{"format", kFormat}, {"fields", std::move(fields)}});
}

std::string Schema::ToString() const {
  std::string text = "Schema([";
  for (const Field& field : fields_) text += "\n    " + field.ToString() + ",";
  return text + (fields_.empty() ? "])" : "\n])");
}

}  // namespace headrace
