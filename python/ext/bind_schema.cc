#include <arrow/array/concatenate.h>
#include <arrow/c/bridge.h>
#include <arrow/chunked_array.h>
#include <headrace/schema.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {
namespace {

/// (name, dtype, shape with None where it varies, codec, quality, nullable).
using PyField = std::tuple<std::string, std::string, std::vector<std::optional<int64_t>>,
                           std::string, std::optional<int>, bool>;
/// (dtype, shape, elements as bytes, C-contiguous), or None for a null.
using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using PyValue = std::optional<std::tuple<std::string, std::vector<int64_t>, Bytes>>;

Field ToField(const PyField& given) {
  Field field;
  field.name = std::get<0>(given);
  field.dtype = std::get<1>(given);
  for (const auto& dimension : std::get<2>(given)) {
    // What is negative is refused, as None is not.
    field.shape.push_back(!dimension       ? Field::kVaries
                          : *dimension < 0 ? Field::kVaries - 1
                                           : *dimension);
  }
  field.codec = std::get<3>(given);
  field.quality = std::get<4>(given);
  field.nullable = std::get<5>(given);
  return field;
}

PyField FromField(const Field& field) {
  std::vector<std::optional<int64_t>> shape;
  shape.reserve(field.shape.size());
  for (const int64_t dimension : field.shape) {
    shape.push_back(dimension == Field::kVaries ? std::nullopt
                                                : std::optional(dimension));
  }
  return {field.name,  field.dtype,   std::move(shape),
          field.codec, field.quality, field.nullable};
}

Schema Make(const std::vector<PyField>& given) {
  std::vector<Field> fields;
  fields.reserve(given.size());
  for (const PyField& field : given) fields.push_back(ToField(field));
  return Unwrap(Schema::Make(std::move(fields)));
}

std::vector<PyField> Fields(const Schema& schema) {
  std::vector<PyField> fields;
  for (const Field& field : schema.fields()) fields.push_back(FromField(field));
  return fields;
}

Schema FromArrow(const nb::object& exported) {
  const auto imported = ImportedSchema(exported.attr("__arrow_c_schema__")());
  return Unwrap(Schema::FromArrow(*imported));
}

nb::object ToArrow(const Schema& schema) {
  const auto arrow = Unwrap(schema.ToArrow());
  return ExportedSchema(*arrow);
}

Result<DType> DTypeOfName(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(DType::kFloat64); ++i) {
    const auto dtype = static_cast<DType>(i);
    if (DTypeName(dtype) == name) return dtype;
  }
  return Error(ErrorKind::kInvalidArgument, "no tensor has elements of " + name);
}

// The cells as arrays, of which each holds at most 2 GiB.
std::vector<ArrowColumn> EncodeValues(const Schema& schema, const std::string& name,
                                      const std::vector<PyValue>& given,
                                      int num_threads) {
  std::vector<TensorView> values(given.size());
  for (size_t i = 0; i < given.size(); ++i) {
    if (!given[i]) {
      values[i].is_null = true;
      continue;
    }
    const auto& [dtype, shape, bytes] = *given[i];
    auto known = DTypeOfName(dtype);
    if (!known.ok()) {
      std::string what = "field " + name;
      what += " must be of dtype " + schema.Find(name)->dtype;
      what += ", found " + dtype;
      what += " in row " + std::to_string(i);
      Raise(Error(ErrorKind::kInvalidArgument, what));
    }
    values[i].dtype = *known;
    values[i].shape = shape;
    values[i].data = bytes.data();
  }
  const auto chunks = Released(
      [&] { return Encode(*schema.Find(name), values, /*first_row=*/0, num_threads); });
  std::vector<ArrowColumn> columns;
  for (const auto& chunk : chunks->chunks()) columns.push_back({chunk});
  return columns;
}

}  // namespace

std::shared_ptr<arrow::Schema> ImportedSchema(const nb::object& capsule) {
  auto* held =
      static_cast<ArrowSchema*>(PyCapsule_GetPointer(capsule.ptr(), "arrow_schema"));
  if (held == nullptr) throw nb::python_error();
  return Unwrap(arrow::ImportSchema(held));
}

void BindSchema(nb::module_& m) {
  nb::class_<Schema>(m, "Schema", "headrace::Schema.")
      .def_static("make", &Make, nb::arg("fields"))
      .def_static("from_arrow", &FromArrow, nb::arg("schema"))
      .def_static(
          "from_json",
          [](const std::string& json) { return Unwrap(Schema::FromJson(json)); },
          nb::arg("json"))
      .def("to_json", &Schema::ToJson)
      .def("fields", &Fields)
      .def("show", [](const Schema& schema,
                      size_t field) { return schema.fields().at(field).ToString(); })
      .def("encode", &EncodeValues, nb::arg("name"), nb::arg("values"),
           nb::arg("num_threads"))
      .def("__arrow_c_schema__", &ToArrow)
      .def("__str__", &Schema::ToString);
}

}  // namespace headrace::ext
