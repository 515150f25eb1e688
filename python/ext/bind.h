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

void BindCache(nanobind::module_& m);
void BindCatalog(nanobind::module_& m);
void BindDataset(nanobind::module_& m);
void BindImage(nanobind::module_& m);
void BindLoader(nanobind::module_& m);
void BindLease(nanobind::module_& m);
void BindObjects(nanobind::module_& m);
void BindBatch(nanobind::module_& m);
void BindSchema(nanobind::module_& m);
void BindStagedWrite(nanobind::module_& m);
void BindFeatures(nanobind::module_& m);
void BindGang(nanobind::module_& m);
void BindVersions(nanobind::module_& m);
void BindFilesystem(nanobind::module_& m);
void BindWrite(nanobind::module_& m);

/// Arrow data on its way to pyarrow: a column that no tensor holds, or, as structs, the
/// rows of a scan.
struct ArrowColumn {
  std::shared_ptr<arrow::Array> array;
};

/// A capsule "arrow_schema" of the Arrow PyCapsule interface.
nanobind::object ExportedSchema(const arrow::Schema& schema);
/// Takes the schema out of such a capsule.
std::shared_ptr<arrow::Schema> ImportedSchema(const nanobind::object& capsule);

/// How tensors leave C++: as numpy arrays, as objects with `__dlpack__`, or as parts of a
/// WholeBatch. All share the batch's memory and own it.
enum class Export { kNumpy, kDLPack, kWhole };

/// (rows, [(name, column), ...]), as arrays or objects. Text columns are ArrowArray
/// objects. Unsupported, naming the column, where numpy has no such type.
nanobind::object ToPython(TensorBatch batch, Export to);

/// Batches that were assembled together, for a framework that imports them at once and
/// keeps in `tensors` what it made of them.
struct WholeBatch {
  std::shared_ptr<const TensorBatch> batch;
  nanobind::object tensors = nanobind::none();
};

}  // namespace headrace::ext
