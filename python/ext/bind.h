/// \file
/// The parts of the module, one a public header.
#pragma once

#include <headrace/batch.h>
#include <headrace/dataset.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/unique_ptr.h>

namespace headrace::ext {

void BindDataset(nanobind::module_& m);
void BindLoader(nanobind::module_& m);
void BindBatch(nanobind::module_& m);

/// How tensors leave C++: as numpy arrays, or as objects with `__dlpack__`. Both share
/// the batch's memory and own it.
enum class Export { kNumpy, kDLPack };

/// (rows, [(name, column), ...]). Text columns are ArrowArray objects. Unsupported,
/// naming the column, where numpy has no such type.
nanobind::object ToPython(TensorBatch batch, Export to);

}  // namespace headrace::ext
