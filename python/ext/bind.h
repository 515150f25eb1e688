/// \file
/// The parts of the module, one a public header.
#pragma once

#include <arrow/array.h>
#include <headrace/batch.h>
#include <headrace/dataset.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/unique_ptr.h>

#include <memory>

namespace headrace::ext {

void BindDataset(nanobind::module_& m);
void BindLoader(nanobind::module_& m);
void BindBatch(nanobind::module_& m);

/// Arrow data on its way to pyarrow: a column that no tensor holds, or, as structs, the
/// rows of a scan.
struct ArrowColumn {
  std::shared_ptr<arrow::Array> array;
};

/// How tensors leave C++: as numpy arrays, or as objects with `__dlpack__`. Both share
/// the batch's memory and own it.
enum class Export { kNumpy, kDLPack };

/// (rows, [(name, column), ...]). Text columns are ArrowArray objects. Unsupported,
/// naming the column, where numpy has no such type.
nanobind::object ToPython(TensorBatch batch, Export to);

}  // namespace headrace::ext
