#include "pipeline/vocabulary.h"

#include <utility>

#include "decode/column_decoder.h"
#include "pipeline/dataset_impl.h"
#include "pipeline/scan_reader.h"
#include "pipeline/thread_executor.h"

namespace headrace::pipeline {

Result<std::vector<std::string>> VocabularyCache::Get(const DatasetImpl& dataset,
                                                      const std::string& column) {
  std::lock_guard lock(mutex_);
  if (auto found = found_.find(column); found != found_.end()) return found->second;
  auto whole = std::make_shared<DatasetImpl>(dataset);
  whole->where.reset();
  whole->choices = {};
  whole->select = {column};
  ARROW_RETURN_NOT_OK(whole->Bind());
  ThreadExecutor executor(dataset.options.num_threads);
  ARROW_ASSIGN_OR_RAISE(auto reader, ScanReader::Make(whole, executor));
  decode::VocabularyBuilder builder;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(auto batch, reader->Next());
    if (batch == nullptr) break;
    ARROW_RETURN_NOT_OK(builder.Add(*batch->column(0)));
  }
  return found_.emplace(column, std::move(builder).Finish()).first->second;
}

}  // namespace headrace::pipeline
