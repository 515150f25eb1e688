#include "pipeline/delta_table.h"

#include <utility>

#include "base/clock.h"
#include "base/uuid.h"
#include "table/delta/protocol.h"

namespace headrace::pipeline {

Result<DeltaTable> DeltaTable::Open(const std::string& uri, const OpenOptions& options) {
  std::string root;
  ARROW_ASSIGN_OR_RAISE(auto storage,
                        storage::Storage::FromUri(uri, options.storage_options, &root));
  ARROW_ASSIGN_OR_RAISE(auto log, table::delta::Log::Open(storage, root));
  if (!log) {
    return Error(ErrorKind::kInvalidArgument,
                 storage->Display(root) +
                     " has no versions, as it is no Delta table: write it with "
                     "format=\"delta\"");
  }
  return DeltaTable{std::move(storage), std::move(root), *std::move(log)};
}

Status DeltaTable::CheckWritable(const table::delta::Version& version,
                                 bool removes_rows) const {
  const std::string display = storage->Display(root);
  ARROW_RETURN_NOT_OK(
      table::delta::CheckWritable(version.protocol, version.metadata, display));
  if (removes_rows && table::delta::IsAppendOnly(version.protocol, version.metadata)) {
    return Error(ErrorKind::kUnsupported,
                 display +
                     ": the table only grows (delta.appendOnly): append to it, or "
                     "have its owner change the property");
  }
  return Status::OK();
}

Result<int64_t> DeltaTable::Commit(const table::delta::CommitSpec& spec,
                                   base::Executor& executor) const {
  return CommitTo(storage, root, spec, executor);
}

Result<int64_t> CommitTo(const std::shared_ptr<storage::Storage>& storage,
                         const std::string& root, const table::delta::CommitSpec& spec,
                         base::Executor& executor) {
  const int64_t now = base::NowMs();
  ARROW_ASSIGN_OR_RAISE(
      const int64_t version,
      table::delta::Commit(storage, root, spec, now, base::RandomUuid()));
  if (table::delta::IsCheckpointDue(spec, version)) {
    // The commit stands without it.
    ARROW_UNUSED(table::delta::WriteCheckpointOf(storage, root, version, now, executor));
  }
  return version;
}

}  // namespace headrace::pipeline
