/// \file
/// ColumnPlan: how one selected column becomes a column of the batch. Policies are bound
/// to the stored type once, here, so that later stages only follow.
#pragma once

#include <arrow/type.h>
#include <headrace/batch.h>
#include <headrace/column_policy.h>
#include <headrace/image.h>
#include <headrace/result.h>
#include <headrace/schema.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace headrace::schema {

/// What users said of columns, by name (dotted for nested fields).
struct ColumnChoices {
  std::map<std::string, std::string> casts;
  std::map<std::string, NullPolicy> nulls;
  std::map<std::string, RaggedPolicy> ragged;
  std::map<std::string, CodesPolicy> codes;
  std::map<std::string, CodesPolicy> one_hot = {};
  std::map<std::string, StandardizePolicy> standardize = {};
  std::map<std::string, ImageOps> maps = {};
  std::vector<PackSpec> packs;
  ErrorPolicy on_error = ErrorPolicy::kRaise;

  /// The columns that are named, each once.
  std::set<std::string> Names() const;

  bool operator==(const ColumnChoices&) const = default;
};

/// The form of a column in a batch.
enum class Form {
  kScalar,         ///< (batch,) tensor.
  kCodes,          ///< (batch,) int32 tensor of vocabulary indices.
  kOneHot,         ///< (batch, vocabulary) float32 tensor.
  kList,           ///< Lists of one dimension; lengths by the ragged policy.
  kFixedShape,     ///< (batch, *shape) tensor.
  kVariableShape,  ///< Tensors that differ in shape; by the ragged policy.
  kVector,         ///< Spark ML vectors; lengths, or sparse, by the ragged policy.
  kObject,         ///< Strings or bytes, as an Arrow array.
  kArrow,          ///< Any stored type, as an Arrow array (`to="arrow"` only).
};

struct ColumnPlan {
  std::string name;
  std::shared_ptr<arrow::DataType> type;  ///< As stored in the table.
  /// What `Cast` makes of `type`; equal to it where nothing is cast.
  std::shared_ptr<arrow::DataType> cast_type;
  Form form = Form::kScalar;
  /// Element as stored and as delivered (forms with tensors).
  DType stored_dtype = DType::kFloat32;
  DType dtype = DType::kFloat32;
  /// kFixedShape and kVariableShape: dimensions after the batch, -1 where they vary.
  std::vector<int64_t> shape;
  /// Set where the column holds cells that a field codec decodes.
  std::optional<Field> field;
  /// Set where image operations make the values, of the field's or of encoded images.
  std::optional<ImageOps> ops;
  NullPolicy nulls;
  RaggedPolicy ragged;
  /// Scalars of numbers alone.
  std::optional<StandardizePolicy> standardize;
  /// kCodes and kOneHot. Absent until the scan for distinct values has been made.
  std::optional<std::vector<std::string>> vocabulary;
  /// The pack it goes to, or -1; and its place there.
  int pack = -1;
  int pack_position = 0;

  /// Values of fixed width that a shuffle window keeps at their permuted place.
  bool fixed_width() const { return form == Form::kScalar && !stored_as_decimal; }
  bool stored_as_decimal = false;
  /// Elements are delivered as they are stored.
  bool as_stored() const { return stored_dtype == dtype && !standardize; }
  bool has_vocabulary() const { return form == Form::kCodes || form == Form::kOneHot; }
  /// Bytes that something else than Arrow makes values of.
  bool holds_cells() const { return field.has_value() || ops.has_value(); }
  /// Mean bytes of a value in memory, for the memory floor; exact for fixed width.
  int64_t value_bytes = 8;
};

/// Binds choices to the selected columns. `arrow`: columns without a policy pass as they
/// are. Errors name the column: NotFound for a policy on a column that is not selected,
/// InvalidArgument for a policy that does not suit the type, Unsupported for a type that
/// no tensor can hold, with what to do.
Result<std::vector<ColumnPlan>> BindColumns(const arrow::Schema& selected,
                                            const ColumnChoices& choices, bool arrow);

/// The type that a cast gives a column; the column's own type where there is none.
Result<std::shared_ptr<arrow::DataType>> CastType(const arrow::Field& field,
                                                  const ColumnChoices& choices);

/// The plan of a column of cells that a field codec decodes, without policies; nothing
/// for any other column.
Result<std::optional<ColumnPlan>> PlanOfCells(const arrow::Field& column,
                                              const ColumnChoices& choices);

/// Checks that every policy names a selected column and suits its type, so far as a later
/// cast could not mend it: fill and pad values, and whether packed columns are of one
/// dtype, are judged by BindColumns.
Status CheckChoices(const arrow::Schema& selected, const ColumnChoices& choices);

}  // namespace headrace::schema
