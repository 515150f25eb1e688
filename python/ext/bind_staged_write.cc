#include <arrow/c/bridge.h>
#include <arrow/record_batch.h>
#include <headrace/staged_write.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {
namespace {

WritePlan Plan(const std::string& uri, const nb::object& rows,
               const WriteOptions& options) {
  const auto schema = ImportedSchema(rows);
  return Released([&] { return PlanWrite(uri, *schema, options); });
}

std::string Stage(const nb::object& stream, const WritePlan& plan, int64_t task) {
  auto* held = static_cast<ArrowArrayStream*>(
      PyCapsule_GetPointer(stream.ptr(), "arrow_array_stream"));
  if (held == nullptr) throw nb::python_error();
  const auto reader = Unwrap(arrow::ImportRecordBatchReader(held));
  return Released([&] { return StageFiles(reader, plan, task); });
}

WriteSummary Commit(const WritePlan& plan, const std::vector<std::string>& staged) {
  return Released([&] { return CommitStaged(plan, staged); });
}

void Discard(const WritePlan& plan) {
  Released([&] { return DiscardStaged(plan); });
}

}  // namespace

void BindStagedWrite(nb::module_& m) {
  nb::class_<WritePlan>(m, "WritePlan", "headrace::WritePlan.")
      .def(nb::init<>())
      .def_rw("uri", &WritePlan::uri)
      .def_rw("address", &WritePlan::address)
      .def_rw("job", &WritePlan::job)
      .def_rw("version", &WritePlan::version, nb::arg().none())
      .def_rw("options", &WritePlan::options);
  m.def("plan_write", &Plan, nb::arg("uri"), nb::arg("rows"), nb::arg("options"));
  m.def("stage_files", &Stage, nb::arg("stream"), nb::arg("plan"), nb::arg("task"));
  m.def("commit_staged", &Commit, nb::arg("plan"), nb::arg("staged"));
  m.def("discard_staged", &Discard, nb::arg("plan"));
}

}  // namespace headrace::ext
