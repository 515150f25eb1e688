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

/// How tensors leave C++: as numpy arrays, as objects with `__dlpack__`, or as DLPack
/// capsules. All share the batch's memory and own it. As capsules, (batch,) tensors of
/// one dtype that follow each other in memory come as the rows of one.
enum class Export { kNumpy, kDLPack, kCapsules };

/// (rows, [(name, column), ...]); as capsules, (rows, [(names, column), ...]), where a
/// column of several names is a matrix. Text columns are ArrowArray objects. Unsupported,
/// naming the column, where numpy has no such type.
nanobind::object ToPython(TensorBatch batch, Export to);

}  // namespace headrace::ext
