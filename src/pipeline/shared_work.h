/// \file
/// Work of one thread that others take part in when they have nothing else to do.
#pragma once

#include <headrace/result.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/executor.h"

namespace headrace::pipeline {

/// One thread at a time calls ForEach; any number call Help meanwhile.
class SharedWork : public base::Executor {
 public:
  /// `call` wakes those that may help; it is called by ForEach.
  explicit SharedWork(std::function<void()> call) : call_(std::move(call)) {}

  Status ForEach(int64_t n, const std::function<Status(int64_t)>& work) override;

  /// Whether there is something left to begin.
  bool HasWork() const;
  /// Does some of it, until nothing is left to begin.
  void Help();

 private:
  struct Round {
    int64_t n = 0;
    const std::function<Status(int64_t)>* work = nullptr;
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    // Under mutex_.
    int64_t failed_at = 0;
    Status failure;
    int helpers = 0;
  };
  void Run(Round* round);

  std::function<void()> call_;
  mutable std::mutex mutex_;
  std::condition_variable left_;  // a helper has gone
  std::shared_ptr<Round> round_;
};

}  // namespace headrace::pipeline
