#include <arrow/c/bridge.h>
#include <arrow/record_batch.h>
#include <headrace/write.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {
namespace {

// A stream that hands out its batches in parts, and between them looks whether the user
// pressed Ctrl-C: what Python raises then ends the stream.
class Interruptible : public arrow::RecordBatchReader {
 public:
  static constexpr int64_t kRows = 1 << 17;

  explicit Interruptible(std::shared_ptr<arrow::RecordBatchReader> inner)
      : inner_(std::move(inner)) {}

  std::shared_ptr<arrow::Schema> schema() const override { return inner_->schema(); }

  Status ReadNext(std::shared_ptr<arrow::RecordBatch>* batch) override {
    const auto now = std::chrono::steady_clock::now();
    if (now - looked_ > std::chrono::milliseconds(50)) {
      looked_ = now;
      const nb::gil_scoped_acquire acquired;
      if (PyErr_CheckSignals() != 0) {
        interrupt_.emplace();
        return Error(ErrorKind::kCancelled, "the write was interrupted");
      }
    }
    while (held_ != nullptr || !ended_) {
      if (held_ == nullptr) {
        ARROW_RETURN_NOT_OK(inner_->ReadNext(&held_));
        row_ = 0;
        ended_ = held_ == nullptr;
        continue;
      }
      if (row_ == held_->num_rows()) {
        held_.reset();
        continue;
      }
      *batch = held_->Slice(row_, kRows);
      row_ += (*batch)->num_rows();
      return Status::OK();
    }
    *batch = nullptr;
    return Status::OK();
  }

  /// What Ctrl-C raised. REQUIRES: the GIL is held.
  void RaiseInterrupt() {
    if (interrupt_) throw nb::python_error(std::move(*interrupt_));
  }

 private:
  std::shared_ptr<arrow::RecordBatchReader> inner_;
  std::shared_ptr<arrow::RecordBatch> held_;
  int64_t row_ = 0;
  bool ended_ = false;
  std::chrono::steady_clock::time_point looked_{};
  std::optional<nb::python_error> interrupt_;
};

WriteSummary WriteStream(const nb::object& stream, const std::string& uri,
                         const WriteOptions& options, const nb::object& progress) {
  auto* held = static_cast<ArrowArrayStream*>(
      PyCapsule_GetPointer(stream.ptr(), "arrow_array_stream"));
  if (held == nullptr) throw nb::python_error();
  Progress call;
  if (!progress.is_none()) {
    // A handle: it is called, and copied, within this call alone, without the GIL.
    call = [callee = nb::handle(progress)](int64_t done, int64_t total) {
      const nb::gil_scoped_acquire acquired;
      try {
        callee(done, total);
      } catch (nb::python_error& error) {
        error.discard_as_unraisable("the progress of write");
      }
    };
  }
  const auto reader =
      std::make_shared<Interruptible>(Unwrap(arrow::ImportRecordBatchReader(held)));
  auto summary = [&] {
    const WithoutGil released;
    return Write(reader, uri, options, call);
  }();
  if (!summary.ok()) reader->RaiseInterrupt();
  return Unwrap(std::move(summary));
}

WriteSummary CompactTable(const std::string& uri, const WriteOptions& options) {
  return Released([&] { return Compact(uri, options); });
}

}  // namespace

void BindWrite(nb::module_& m) {
  nb::class_<WriteOptions>(m, "WriteOptions", "headrace::WriteOptions.")
      .def(nb::init<>())
      .def_rw("mode", &WriteOptions::mode)
      .def_rw("format", &WriteOptions::format)
      .def_rw("schema", &WriteOptions::schema, nb::arg().none())
      .def_rw("partition_by", &WriteOptions::partition_by)
      .def_rw("sort_by", &WriteOptions::sort_by)
      .def_rw("row_group_bytes", &WriteOptions::row_group_bytes)
      .def_rw("file_bytes", &WriteOptions::file_bytes)
      .def_rw("compression", &WriteOptions::compression)
      .def_rw("compression_level", &WriteOptions::compression_level, nb::arg().none())
      .def_rw("bloom_filters", &WriteOptions::bloom_filters)
      .def_rw("num_threads", &WriteOptions::num_threads)
      .def_rw("memory_budget", &WriteOptions::memory_budget)
      .def_rw("storage_options", &WriteOptions::storage_options)
      .def_rw("catalog", &WriteOptions::catalog)
      .def_rw("rows_expected", &WriteOptions::rows_expected);
  nb::class_<WriteSummary>(m, "WriteSummary", "headrace::WriteSummary.")
      .def("to_json", &WriteSummary::ToJson)
      .def("__str__", &WriteSummary::ToString);
  m.def("write", &WriteStream, nb::arg("stream"), nb::arg("uri"), nb::arg("options"),
        nb::arg("progress") = nb::none());
  m.def("compact", &CompactTable, nb::arg("uri"), nb::arg("options"));
}

}  // namespace headrace::ext
