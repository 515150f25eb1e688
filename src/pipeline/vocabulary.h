/// \file
/// Vocabularies found by a scan: a column's sorted distinct values in the whole version.
#pragma once

#include <headrace/dataset.h>
#include <headrace/result.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace headrace::pipeline {

/// Remembers vocabularies by column name. Thread-safe.
class VocabularyCache {
 public:
  /// Reads the column once a table.
  Result<std::vector<std::string>> Get(const DatasetImpl& dataset,
                                       const std::string& column);

 private:
  std::mutex mutex_;
  std::map<std::string, std::vector<std::string>> found_;
};

}  // namespace headrace::pipeline
