#include "schema/column_plan.h"

#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/extension/variable_shape_tensor.h>
#include <arrow/type_traits.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "schema/cast.h"
#include "schema/convert.h"
#include "schema/dtype.h"
#include "schema/field.h"
#include "schema/image_chain.h"
#include "schema/text.h"

namespace headrace::schema {
namespace {

using arrow::internal::checked_cast;

Status Invalid(const std::string& column, const std::string& what) {
  return Error(ErrorKind::kInvalidArgument, "column \"" + column + "\": " + what);
}

Status Unsupported(const std::string& column, const std::string& what) {
  return Error(ErrorKind::kUnsupported, "column \"" + column + "\": " + what);
}

// The fixed dimensions of a type that has them all; nothing where lengths vary.
std::optional<std::vector<int64_t>> FixedShape(const arrow::DataType& type) {
  if (type.id() == arrow::Type::FIXED_SIZE_LIST) {
    const auto& list = checked_cast<const arrow::FixedSizeListType&>(type);
    std::vector<int64_t> shape = {list.list_size()};
    if (list.value_type()->id() == arrow::Type::FIXED_SIZE_LIST) {
      auto inner = FixedShape(*list.value_type());
      shape.insert(shape.end(), inner->begin(), inner->end());
    } else if (!DTypeOf(*list.value_type())) {
      return std::nullopt;
    }
    return shape;
  }
  if (type.id() == arrow::Type::EXTENSION &&
      checked_cast<const arrow::ExtensionType&>(type).extension_name() ==
          "arrow.fixed_shape_tensor") {
    return checked_cast<const arrow::extension::FixedShapeTensorType&>(type).shape();
  }
  return std::nullopt;
}

bool IsIdentity(const std::vector<int64_t>& permutation) {
  for (size_t i = 0; i < permutation.size(); ++i) {
    if (permutation[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

// Form and shape of a column of numbers below lists or tensors.
Status PlanNested(const arrow::DataType& type, ColumnPlan* plan) {
  if (auto shape = FixedShape(type)) {
    plan->form = Form::kFixedShape;
    plan->shape = std::move(*shape);
    if (type.id() == arrow::Type::EXTENSION &&
        !IsIdentity(checked_cast<const arrow::extension::FixedShapeTensorType&>(type)
                        .permutation())) {
      return Unsupported(plan->name, "its tensors are stored permuted (" +
                                         type.ToString() +
                                         "), expected row-major tensors");
    }
    return Status::OK();
  }
  if (type.id() == arrow::Type::EXTENSION) {
    const auto& tensor =
        checked_cast<const arrow::extension::VariableShapeTensorType&>(type);
    if (!IsIdentity(tensor.permutation())) {
      return Unsupported(plan->name, "its tensors are stored permuted (" +
                                         type.ToString() +
                                         "), expected row-major tensors");
    }
    plan->form = Form::kVariableShape;
    plan->shape.assign(static_cast<size_t>(tensor.ndim()), -1);
    return Status::OK();
  }
  if (!DTypeOf(*type.field(0)->type())) {
    return Unsupported(plan->name, "lists of lists of unequal length (" +
                                       type.ToString() +
                                       ") have no tensor: use to=\"arrow\"");
  }
  plan->form = Form::kList;
  return Status::OK();
}

// The field whose codec decodes the column; nothing for columns that are stored as they
// are.
Result<std::optional<Field>> EncodedField(const arrow::Field& column) {
  ARROW_ASSIGN_OR_RAISE(auto field, DeclaredField(column));
  if (!field || field->codec == "arrow") return std::nullopt;
  if (IsText(*column.type())) return field;
  return Error(ErrorKind::kSchemaMismatch,
               "column \"" + column.name() + "\" is " + column.type()->ToString() +
                   ", expected binary for codec " + field->codec +
                   " as its metadata declares: open it with another schema");
}

// dtype and shape of what image operations make.
Status PlanImages(ColumnPlan* plan) {
  if (!plan->field && !IsBinary(*plan->type)) {
    return Invalid(plan->name,
                   "map takes encoded images in a binary column, or the images of a "
                   "field with a codec, found " +
                       plan->type->ToString());
  }
  auto chain = BindImageOps(*plan->ops, plan->field);
  if (!chain.ok()) return WithContext(chain.status(), "column \"" + plan->name + "\"");
  plan->stored_dtype = chain->dtype;
  plan->shape = std::move(chain->shape);
  return Status::OK();
}

Status PlanCells(const std::string& cast_name, ColumnPlan* plan) {
  if (plan->ops) {
    ARROW_RETURN_NOT_OK(PlanImages(plan));
  } else {
    ARROW_ASSIGN_OR_RAISE(plan->stored_dtype, ParseDType(plan->field->dtype));
    plan->shape = plan->field->shape;
  }
  plan->dtype = plan->stored_dtype;
  if (!cast_name.empty()) {
    ARROW_ASSIGN_OR_RAISE(plan->dtype, ParseDType(cast_name));
  }
  const bool varies = std::ranges::count(plan->shape, Field::kVaries) > 0;
  plan->form = varies ? Form::kVariableShape : Form::kFixedShape;
  return Status::OK();
}

// Form and element types, from the stored type and the cast.
Status PlanForm(const std::string& cast_name, ColumnPlan* plan) {
  if (plan->holds_cells()) return PlanCells(cast_name, plan);
  const arrow::DataType& type = *plan->type;
  if (IsVector(type)) {
    plan->stored_dtype = plan->dtype = DType::kFloat64;
    if (!cast_name.empty()) {
      ARROW_ASSIGN_OR_RAISE(plan->dtype, ParseDType(cast_name));
    }
    plan->form = Form::kVector;
    return Status::OK();
  }
  const arrow::DataType& value_type = ValueType(type);
  const bool decimal = arrow::is_decimal(value_type.id());
  const bool nested = &value_type != &type;
  if (IsText(type)) {
    if (!cast_name.empty()) {
      return Unsupported(plan->name, "a cast of " + type.ToString() + " to " + cast_name +
                                         " is not defined: use codes for strings");
    }
    plan->form = Form::kObject;
    return Status::OK();
  }
  if (decimal && !nested && cast_name.empty()) {
    return Unsupported(plan->name, type.ToString() +
                                       " has no tensor dtype: ask for one, as in "
                                       "cast({\"" +
                                       plan->name + "\": \"float64\"})");
  }
  auto dtype = DTypeOf(value_type);
  if (decimal) {
    ARROW_ASSIGN_OR_RAISE(const DType cast,
                          ParseDType(cast_name.empty() ? "float64" : cast_name));
    dtype = DecimalVia(value_type, cast);
  }
  if (!dtype || (decimal && nested)) {
    const std::string advice =
        type.id() == arrow::Type::STRUCT
            ? ": select its fields by dotted name, or use to=\"arrow\""
            : ": leave it out of select, or use to=\"arrow\"";
    return Unsupported(plan->name, type.ToString() + " has no tensor form" + advice);
  }
  plan->stored_dtype = *dtype;
  plan->stored_as_decimal = decimal;
  plan->dtype = *dtype;
  if (!cast_name.empty()) {
    ARROW_ASSIGN_OR_RAISE(plan->dtype, ParseDType(cast_name));
  }
  plan->value_bytes = decimal ? 32 : ByteWidth(plan->stored_dtype);
  if (nested) return PlanNested(type, plan);
  plan->form = Form::kScalar;
  return Status::OK();
}

Status CheckFill(const ColumnPlan& plan, DType dtype) {
  uint8_t element[8];
  if (plan.nulls.kind == NullPolicy::Kind::kFill) {
    if (plan.form == Form::kObject || plan.form == Form::kOneHot) {
      if (!plan.nulls.fill_text) {
        return Invalid(plan.name, "fill(" + NumberToString(plan.nulls.fill) +
                                      ") is a number, expected text for " +
                                      plan.type->ToString());
      }
    } else if (plan.nulls.fill_text) {
      return Invalid(plan.name, "fill('" + *plan.nulls.fill_text +
                                    "') is text, expected a number for " +
                                    std::string(DTypeName(dtype)));
    } else {
      Status stored = StoreNumber(plan.nulls.fill, dtype, element);
      if (!stored.ok()) return Invalid(plan.name, "fill: " + stored.message());
    }
  }
  if (plan.ragged.kind == RaggedPolicy::Kind::kPad) {
    Status stored = StoreNumber(plan.ragged.pad, dtype, element);
    if (!stored.ok()) return Invalid(plan.name, "pad: " + stored.message());
    if (plan.ragged.length && *plan.ragged.length < 0) {
      return Invalid(plan.name, "pad length is " + std::to_string(*plan.ragged.length) +
                                    ", expected 0 or more");
    }
  }
  return Status::OK();
}

template <typename Map>
const typename Map::mapped_type* Find(const Map& map, const std::string& name) {
  auto it = map.find(name);
  return it == map.end() ? nullptr : &it->second;
}

// Codes and one-hot.
Status ApplyVocabulary(const ColumnChoices& choices, ColumnPlan* plan) {
  const auto* codes = Find(choices.codes, plan->name);
  const auto* one_hot = Find(choices.one_hot, plan->name);
  if (codes == nullptr && one_hot == nullptr) return Status::OK();
  if (codes != nullptr && one_hot != nullptr) {
    return Invalid(plan->name, "codes and one_hot both name it, expected one of them");
  }
  if (plan->form != Form::kObject) {
    return Invalid(plan->name,
                   std::string(codes != nullptr ? "codes take" : "one_hot takes") +
                       " strings or bytes, found " + plan->type->ToString());
  }
  plan->form = codes != nullptr ? Form::kCodes : Form::kOneHot;
  plan->dtype = plan->stored_dtype = codes != nullptr ? DType::kInt32 : DType::kFloat32;
  plan->vocabulary = (codes != nullptr ? codes : one_hot)->vocabulary;
  if (!plan->vocabulary) return Status::OK();
  std::set<std::string_view> seen;
  for (const std::string& value : *plan->vocabulary) {
    if (!seen.insert(value).second) {
      return Invalid(plan->name, "'" + value + "' is in its vocabulary twice");
    }
  }
  return Status::OK();
}

// The dtype of a column that is standardized, before columns are packed by it.
Status ApplyStandardize(const ColumnChoices& choices, ColumnPlan* plan) {
  const auto* standardize = Find(choices.standardize, plan->name);
  if (standardize == nullptr) return Status::OK();
  if (plan->form != Form::kScalar) {
    const std::string advice =
        plan->form == Form::kObject ? ": use codes or one_hot" : "";
    return Invalid(plan->name,
                   "standardize takes numbers, found " + plan->type->ToString() + advice);
  }
  if (!std::isfinite(standardize->mean) || !std::isfinite(standardize->std) ||
      standardize->std < 0) {
    return Invalid(plan->name, "standardize by the mean " +
                                   NumberToString({false, 0, standardize->mean}) +
                                   " and the standard deviation " +
                                   NumberToString({false, 0, standardize->std}) +
                                   ", expected finite numbers, the second at least 0");
  }
  plan->standardize = *standardize;
  if (Find(choices.casts, plan->name) == nullptr) plan->dtype = DType::kFloat32;
  return Status::OK();
}

Status ApplyPolicies(const ColumnChoices& choices, ColumnPlan* plan) {
  const auto* ragged = Find(choices.ragged, plan->name);
  const auto* nulls = Find(choices.nulls, plan->name);
  ARROW_RETURN_NOT_OK(ApplyVocabulary(choices, plan));
  if (ragged != nullptr) {
    const bool vectors = plan->form == Form::kVector;
    if (plan->form != Form::kList && plan->form != Form::kVariableShape && !vectors) {
      return Invalid(plan->name, "ragged takes lists of varying length, found " +
                                     plan->type->ToString());
    }
    if (ragged->kind == RaggedPolicy::Kind::kSparse && !vectors) {
      return Invalid(plan->name, "ragged: \"sparse\" takes Spark ML vectors, found " +
                                     plan->type->ToString());
    }
    plan->ragged = *ragged;
    if (ragged->length && plan->form == Form::kVariableShape) {
      return Invalid(plan->name, "pad with a length takes lists, found tensors of " +
                                     std::to_string(plan->shape.size()) + " dimensions");
    }
  }
  if (nulls != nullptr) plan->nulls = *nulls;
  return Status::OK();
}

Status CheckNames(const std::vector<ColumnPlan>& plans, const ColumnChoices& choices) {
  std::set<std::string> names;
  auto add = [&](const std::string& name, const std::string& why) -> Status {
    if (!names.insert(name).second) {
      return Error(ErrorKind::kInvalidArgument, "the batch would have two columns \"" +
                                                    name + "\": " + why +
                                                    " clashes; rename or drop one");
    }
    return Status::OK();
  };
  for (const ColumnPlan& plan : plans) {
    if (plan.pack < 0) ARROW_RETURN_NOT_OK(add(plan.name, "the selected column"));
  }
  for (const PackSpec& pack : choices.packs)
    ARROW_RETURN_NOT_OK(add(pack.name, "the pack"));
  for (const ColumnPlan& plan : plans) {
    if (plan.nulls.kind == NullPolicy::Kind::kMask) {
      ARROW_RETURN_NOT_OK(
          add(plan.name + "_mask", "the null mask of \"" + plan.name + "\""));
    }
    const bool sparse = plan.ragged.kind == RaggedPolicy::Kind::kSparse;
    for (const char* part : {"_indices", "_values", "_size"}) {
      if (!sparse) break;
      ARROW_RETURN_NOT_OK(
          add(plan.name + part, "a part of the sparse \"" + plan.name + "\""));
    }
    if (sparse || plan.ragged.kind == RaggedPolicy::Kind::kRagged) {
      ARROW_RETURN_NOT_OK(
          add(plan.name + "_offsets", "the offsets of \"" + plan.name + "\""));
      if (plan.form == Form::kVariableShape) {
        ARROW_RETURN_NOT_OK(
            add(plan.name + "_shape", "the shapes of \"" + plan.name + "\""));
      }
    }
  }
  return Status::OK();
}

Status BindPacks(const ColumnChoices& choices, std::vector<ColumnPlan>* plans) {
  for (size_t p = 0; p < choices.packs.size(); ++p) {
    const PackSpec& pack = choices.packs[p];
    for (size_t i = 0; i < pack.columns.size(); ++i) {
      for (ColumnPlan& plan : *plans) {
        if (plan.name != pack.columns[i]) continue;
        if (plan.form != Form::kScalar) {
          return Invalid(plan.name, "pack(\"" + pack.name +
                                        "\") takes scalar columns, found " +
                                        plan.type->ToString());
        }
        plan.pack = static_cast<int>(p);
        plan.pack_position = static_cast<int>(i);
      }
    }
  }
  return Status::OK();
}

// A tensor has one dtype.
Status CheckPackTypes(const ColumnChoices& choices,
                      const std::vector<ColumnPlan>& plans) {
  std::vector<const ColumnPlan*> first(choices.packs.size());
  for (const ColumnPlan& plan : plans) {
    if (plan.pack < 0) continue;
    const ColumnPlan*& other = first[static_cast<size_t>(plan.pack)];
    if (other == nullptr) other = &plan;
    if (other->dtype == plan.dtype) continue;
    return Error(ErrorKind::kInvalidArgument,
                 "pack(\"" + choices.packs[static_cast<size_t>(plan.pack)].name +
                     "\"): column \"" + plan.name + "\" is " +
                     std::string(DTypeName(plan.dtype)) + ", expected " +
                     std::string(DTypeName(other->dtype)) + " as \"" + other->name +
                     "\": cast one of them");
  }
  return Status::OK();
}

template <typename Map>
Status CheckSelected(const arrow::Schema& selected, const Map& map, const char* call) {
  for (const auto& [name, policy] : map) {
    if (selected.GetFieldIndex(name) < 0) {
      return Error(ErrorKind::kNotFound,
                   std::string(call) + " names column \"" + name +
                       "\", which is not selected: select it, or leave "
                       "it out of " +
                       call);
    }
  }
  return Status::OK();
}

}  // namespace

std::set<std::string> ColumnChoices::Names() const {
  std::set<std::string> names;
  auto add = [&](const auto& by_column) {
    for (const auto& [name, policy] : by_column) names.insert(name);
  };
  add(casts);
  add(nulls);
  add(ragged);
  add(codes);
  add(one_hot);
  add(standardize);
  add(maps);
  for (const PackSpec& pack : packs)
    names.insert(pack.columns.begin(), pack.columns.end());
  return names;
}

Result<std::shared_ptr<arrow::DataType>> CastType(const arrow::Field& field,
                                                  const ColumnChoices& choices) {
  const auto* cast = Find(choices.casts, field.name());
  if (cast == nullptr) return field.type();
  auto cast_type = [&]() -> Result<std::shared_ptr<arrow::DataType>> {
    ARROW_ASSIGN_OR_RAISE(DType dtype, ParseDType(*cast));
    ARROW_ASSIGN_OR_RAISE(const auto encoded, EncodedField(field));
    // What is decoded is cast then.
    if (encoded || choices.maps.contains(field.name()) || IsVector(*field.type())) {
      return field.type();
    }
    const arrow::DataType& value = ValueType(*field.type());
    if (!DTypeOf(value) && !arrow::is_decimal(value.id()) &&
        value.id() != arrow::Type::STRUCT && value.id() != arrow::Type::MAP) {
      return Error(ErrorKind::kUnsupported,
                   "a cast of " + field.type()->ToString() + " to " + *cast +
                       " is not defined" +
                       (IsText(value) ? ": use codes for strings" : ""));
    }
    return WithValueType(field.type(), ArrowTypeOf(dtype));
  }();
  if (cast_type.ok()) return cast_type;
  return WithContext(cast_type.status(), "column \"" + field.name() + "\"");
}

Result<std::optional<ColumnPlan>> PlanOfCells(const arrow::Field& column,
                                              const ColumnChoices& choices) {
  ColumnPlan plan;
  plan.name = column.name();
  plan.type = column.type();
  ARROW_ASSIGN_OR_RAISE(plan.field, EncodedField(column));
  if (!plan.field) return std::nullopt;
  const auto* cast = Find(choices.casts, plan.name);
  ARROW_RETURN_NOT_OK(PlanCells(cast == nullptr ? "" : *cast, &plan));
  return plan;
}

Status CheckChoices(const arrow::Schema& selected, const ColumnChoices& choices) {
  ARROW_RETURN_NOT_OK(CheckSelected(selected, choices.casts, "cast"));
  ARROW_RETURN_NOT_OK(CheckSelected(selected, choices.nulls, "nulls"));
  ARROW_RETURN_NOT_OK(CheckSelected(selected, choices.ragged, "ragged"));
  ARROW_RETURN_NOT_OK(CheckSelected(selected, choices.codes, "codes"));
  ARROW_RETURN_NOT_OK(CheckSelected(selected, choices.one_hot, "one_hot"));
  ARROW_RETURN_NOT_OK(CheckSelected(selected, choices.standardize, "standardize"));
  ARROW_RETURN_NOT_OK(CheckSelected(selected, choices.maps, "map"));
  std::map<std::string, std::string> packed;
  for (const PackSpec& pack : choices.packs) {
    if (pack.columns.empty()) {
      return Error(ErrorKind::kInvalidArgument,
                   "pack(\"" + pack.name + "\") has no columns, expected at least one");
    }
    for (const std::string& column : pack.columns) {
      if (auto [it, added] = packed.emplace(column, pack.name); !added) {
        return Error(ErrorKind::kInvalidArgument,
                     "column \"" + column + "\" is packed twice, in \"" + it->second +
                         "\" and \"" + pack.name + "\"");
      }
    }
  }
  ARROW_RETURN_NOT_OK(CheckSelected(selected, packed, "pack"));
  std::vector<ColumnPlan> plans;
  for (const auto& field : selected.fields()) {
    ARROW_RETURN_NOT_OK(CastType(*field, choices).status());
    ColumnPlan plan;
    plan.name = field->name();
    plan.type = field->type();
    ARROW_ASSIGN_OR_RAISE(plan.field, EncodedField(*field));
    if (const auto* ops = Find(choices.maps, plan.name)) {
      plan.ops = *ops;
      ARROW_RETURN_NOT_OK(PlanImages(&plan));
    }
    const auto* cast = Find(choices.casts, plan.name);
    // What has no tensor form may still be selected, for Arrow.
    if (!PlanForm(cast == nullptr ? "" : *cast, &plan).ok()) continue;
    ARROW_RETURN_NOT_OK(ApplyStandardize(choices, &plan));
    plans.push_back(std::move(plan));
  }
  ARROW_RETURN_NOT_OK(BindPacks(choices, &plans));
  for (ColumnPlan& plan : plans) ARROW_RETURN_NOT_OK(ApplyPolicies(choices, &plan));
  return CheckNames(plans, choices);
}

Result<std::vector<ColumnPlan>> BindColumns(const arrow::Schema& selected,
                                            const ColumnChoices& choices, bool arrow) {
  ARROW_RETURN_NOT_OK(CheckChoices(selected, choices));
  std::vector<ColumnPlan> plans;
  std::set<std::string> packed;
  for (const PackSpec& pack : choices.packs) {
    packed.insert(pack.columns.begin(), pack.columns.end());
  }
  for (const auto& field : selected.fields()) {
    ColumnPlan plan;
    plan.name = field->name();
    plan.type = field->type();
    ARROW_ASSIGN_OR_RAISE(plan.field, EncodedField(*field));
    if (const auto* ops = Find(choices.maps, plan.name)) plan.ops = *ops;
    ARROW_ASSIGN_OR_RAISE(plan.cast_type, CastType(*field, choices));
    const auto* cast = Find(choices.casts, plan.name);
    const bool has_policy =
        choices.nulls.count(plan.name) || choices.ragged.count(plan.name) ||
        choices.codes.count(plan.name) || choices.one_hot.count(plan.name) ||
        choices.standardize.count(plan.name) || plan.ops || packed.count(plan.name);
    if (arrow && !has_policy) {
      plan.form = Form::kArrow;
      plan.field.reset();
    } else {
      ARROW_RETURN_NOT_OK(PlanForm(cast == nullptr ? "" : *cast, &plan));
      ARROW_RETURN_NOT_OK(ApplyStandardize(choices, &plan));
      if (plan.standardize && !IsFloating(plan.dtype)) {
        return Invalid(plan.name, "standardize gives fractions, found a cast to " +
                                      *cast +
                                      ": cast to a floating dtype, or leave the "
                                      "cast out for float32");
      }
    }
    plans.push_back(std::move(plan));
  }
  ARROW_RETURN_NOT_OK(BindPacks(choices, &plans));
  ARROW_RETURN_NOT_OK(CheckPackTypes(choices, plans));
  for (ColumnPlan& plan : plans) {
    ARROW_RETURN_NOT_OK(ApplyPolicies(choices, &plan));
    ARROW_RETURN_NOT_OK(CheckFill(plan, plan.dtype));
  }
  ARROW_RETURN_NOT_OK(CheckNames(plans, choices));
  return plans;
}

}  // namespace headrace::schema
