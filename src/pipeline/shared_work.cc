#include "pipeline/shared_work.h"

#include <utility>

namespace headrace::pipeline {

void SharedWork::Run(Round* round) {
  while (!round->failed) {
    const int64_t i = round->next++;
    if (i >= round->n) return;
    Status status = (*round->work)(i);
    if (status.ok()) continue;
    round->failed = true;
    const std::scoped_lock lock(mutex_);
    if (round->failure.ok() || i < round->failed_at) {
      round->failed_at = i;
      round->failure = std::move(status);
    }
  }
}

Status SharedWork::ForEach(int64_t n, const std::function<Status(int64_t)>& work) {
  if (n <= 1) return base::InlineExecutor().ForEach(n, work);
  auto round = std::make_shared<Round>();
  round->n = n;
  round->work = &work;
  {
    const std::scoped_lock lock(mutex_);
    round_ = round;
  }
  call_();
  Run(round.get());
  std::unique_lock lock(mutex_);
  round_.reset();
  left_.wait(lock, [&] { return round->helpers == 0; });
  return round->failure;
}

bool SharedWork::HasWork() const {
  const std::scoped_lock lock(mutex_);
  return round_ != nullptr && !round_->failed && round_->next < round_->n;
}

void SharedWork::Help() {
  std::shared_ptr<Round> round;
  {
    const std::scoped_lock lock(mutex_);
    if (round_ == nullptr) return;
    round = round_;
    ++round->helpers;
  }
  Run(round.get());
  {
    const std::scoped_lock lock(mutex_);
    --round->helpers;
  }
  left_.notify_all();
}

}  // namespace headrace::pipeline
