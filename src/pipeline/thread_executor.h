/// \file
/// The Executor with threads, for work that lasts one call.
#pragma once

#include "base/executor.h"

namespace headrace::pipeline {

/// Runs each ForEach on up to `num_threads` threads of its own, which end with the call.
class ThreadExecutor : public base::Executor {
 public:
  explicit ThreadExecutor(int num_threads) : num_threads_(num_threads) {}

  arrow::Status ForEach(int64_t n,
                        const std::function<arrow::Status(int64_t)>& work) override;

 private:
  int num_threads_;
};

}  // namespace headrace::pipeline
