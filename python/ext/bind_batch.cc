#include <arrow/array.h>
#include <arrow/c/bridge.h>
#include <headrace/batch.h>
#include <nanobind/ndarray.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {
namespace {

template <typename C>
void ReleaseCapsule(PyObject* capsule, const char* name) {
  auto* held = static_cast<C*>(PyCapsule_GetPointer(capsule, name));
  if (held == nullptr) {
    PyErr_Clear();
    return;
  }
  if (held->release != nullptr) held->release(held);
  delete held;
}

nb::tuple ExportArray(const ArrowColumn& column, const nb::object& requested_schema) {
  // A consumer that asks for another schema casts what it gets: the protocol allows it.
  (void)requested_schema;
  auto array = std::make_unique<ArrowArray>();
  auto schema = std::make_unique<ArrowSchema>();
  Check(arrow::ExportArray(*column.array, array.get(), schema.get()));
  nb::object first =
      nb::steal(PyCapsule_New(schema.release(), "arrow_schema", [](PyObject* c) {
        ReleaseCapsule<ArrowSchema>(c, "arrow_schema");
      }));
  nb::object second =
      nb::steal(PyCapsule_New(array.release(), "arrow_array", [](PyObject* c) {
        ReleaseCapsule<ArrowArray>(c, "arrow_array");
      }));
  return nb::make_tuple(first, second);
}

nb::dlpack::dtype Code(DType dtype) {
  using nb::dlpack::dtype_code;
  const auto bits = static_cast<uint8_t>(ByteWidth(dtype) * 8);
  auto code = dtype_code::Float;
  switch (dtype) {
    case DType::kBool:
      code = dtype_code::Bool;
      break;
    case DType::kInt8:
    case DType::kInt16:
    case DType::kInt32:
    case DType::kInt64:
      code = dtype_code::Int;
      break;
    case DType::kUInt8:
    case DType::kUInt16:
    case DType::kUInt32:
    case DType::kUInt64:
      code = dtype_code::UInt;
      break;
    case DType::kBFloat16:
      code = dtype_code::Bfloat;
      break;
    case DType::kFloat16:
    case DType::kFloat32:
    case DType::kFloat64:
      break;
  }
  return {static_cast<uint8_t>(code), bits, 1};
}

/// Memory as an array that owns it: no copy. Batches are the caller's, so they may be
/// written to.
template <typename... Framework>
nb::object Share(const Tensor& tensor, std::span<const size_t> shape) {
  using Owner = std::shared_ptr<arrow::Buffer>;
  nb::capsule owner(new Owner(tensor.buffer),
                    [](void* p) noexcept { delete static_cast<Owner*>(p); });
  nb::ndarray<Framework...> array(const_cast<uint8_t*>(tensor.data()), shape.size(),
                                  shape.data(), owner, nullptr, Code(tensor.dtype));
  return nb::cast(std::move(array));
}

template <typename... Framework>
nb::object ShareWhole(const Tensor& tensor) {
  const std::vector<size_t> shape(tensor.shape.begin(), tensor.shape.end());
  return Share<Framework...>(tensor, shape);
}

nb::object Column(const std::string& name, BatchColumn column, Export to) {
  if (auto* array = std::get_if<std::shared_ptr<arrow::Array>>(&column)) {
    return nb::cast(ArrowColumn{std::move(*array)});
  }
  const auto& tensor = std::get<Tensor>(column);
  if (to == Export::kDLPack) return ShareWhole<nb::array_api>(tensor);
  if (tensor.dtype == DType::kBFloat16) {
    Raise(Error(ErrorKind::kUnsupported,
                "column \"" + name +
                    "\" is bfloat16, which numpy and Arrow do not have: use "
                    "cast({\"" +
                    name +
                    "\": \"float32\"}), or to=\"torch\", \"jax\" or \"tensorflow\""));
  }
  return ShareWhole<nb::numpy>(tensor);
}

// How many columns from `first` on are (batch,) tensors of one dtype that lie in shared
// memory at equal distances, which is returned in bytes.
size_t CountInLine(const TensorBatch& batch, size_t first, int64_t* distance) {
  const auto* before = std::get_if<Tensor>(&batch.columns[first]);
  if (before == nullptr || before->shape.size() != 1) return 1;
  size_t count = 1;
  for (; first + count < batch.columns.size(); ++count) {
    const auto* next = std::get_if<Tensor>(&batch.columns[first + count]);
    if (next == nullptr || next->dtype != before->dtype || next->shape != before->shape ||
        next->buffer->parent() == nullptr ||
        next->buffer->parent() != before->buffer->parent()) {
      break;
    }
    const int64_t step = next->data() - before->data();
    if (count > 1 && step != *distance) break;
    *distance = step;
    before = next;
  }
  return count;
}

nb::list Lines(const WholeBatch& whole) {
  const TensorBatch& batch = *whole.batch;
  nb::list lines;
  for (size_t first = 0; first < batch.columns.size();) {
    int64_t distance = 0;
    const size_t count = CountInLine(batch, first, &distance);
    nb::object column;
    if (const auto* tensor = std::get_if<Tensor>(&batch.columns[first])) {
      if (count == 1) {
        column = ShareWhole<>(*tensor);
      } else {
        distance /= ByteWidth(tensor->dtype);
        const size_t last = (count - 1) * static_cast<size_t>(distance);
        const size_t elements = last + static_cast<size_t>(batch.rows);
        column = Share<>(*tensor, {&elements, 1});
      }
    } else {
      column = nb::cast(
          ArrowColumn{std::get<std::shared_ptr<arrow::Array>>(batch.columns[first])});
    }
    nb::list names;
    for (size_t i = 0; i < count; ++i) names.append(batch.names[first + i].c_str());
    lines.append(nb::make_tuple(names, distance, column));
    first += count;
  }
  return lines;
}

}  // namespace

nb::object ToPython(TensorBatch batch, Export to) {
  nb::list columns;
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    nb::object column = Column(batch.names[i], std::move(batch.columns[i]), to);
    columns.append(nb::make_tuple(batch.names[i].c_str(), column));
  }
  return nb::make_tuple(batch.rows, columns);
}

void BindBatch(nb::module_& m) {
  nb::class_<ArrowColumn>(m, "ArrowColumn", "An Arrow array, for pyarrow.")
      .def("__arrow_c_array__", &ExportArray, nb::arg("requested_schema") = nb::none(),
           nb::sig(
               "def __arrow_c_array__(self, requested_schema: object | None = None) -> "
               "tuple[object, object]"),
           "Capsules of the Arrow C data interface: no copy.");

  nb::class_<WholeBatch>(m, "WholeBatch", "Batches that were assembled together.")
      .def_prop_ro("rows", [](const WholeBatch& self) { return self.batch->rows; })
      .def_rw("tensors", &WholeBatch::tensors, nb::arg().none(),
              nb::for_getter(nb::sig("def tensors(self) -> typing.Any")),
              nb::for_setter(nb::sig("def tensors(self, value: typing.Any, /) -> None")),
              "What a framework made of it; None at first.")
      .def("lines", &Lines,
           nb::sig("def lines(self) -> list[tuple[list[str], int, typing.Any]]"),
           "The columns, [(names, distance, column), ...]. (batch,) tensors of one dtype "
           "that lie in one memory at equal distances come together, as a flat capsule "
           "with `distance` elements from the first of one to that of the next.");
}

}  // namespace headrace::ext
