#include "pipeline/thread_executor.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace headrace::pipeline {

arrow::Status ThreadExecutor::ForEach(int64_t n,
                                      const std::function<arrow::Status(int64_t)>& work) {
  const auto threads = static_cast<int>(std::min<int64_t>(n, num_threads_));
  if (threads <= 1) return base::InlineExecutor().ForEach(n, work);
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  int64_t failed_at = n;
  arrow::Status failure;
  auto run = [&] {
    while (!failed) {
      const int64_t i = next++;
      if (i >= n) return;
      arrow::Status status = work(i);
      if (status.ok()) continue;
      failed = true;
      std::lock_guard lock(mutex);
      if (i < failed_at) {
        failed_at = i;
        failure = std::move(status);
      }
    }
  };
  {
    std::vector<std::jthread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(run);
    run();
  }
  return failure;
}

}  // namespace headrace::pipeline
