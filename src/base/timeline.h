/// \file
/// Timeline: how long threads are in the stages of a loader, and, asked for, when.
#pragma once

#include <headrace/result.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace headrace::base {

/// What a thread can be busy with.
enum class Activity {
  kRead,      ///< waits for storage
  kFill,      ///< fills a window, or counts a filter's survivors; reads are within
  kAssemble,  ///< makes the batches of one or more steps
  kIdle,      ///< a worker that has no job
  kConsume,   ///< the consumer, between one batch and its asking for the next
  kAwait,     ///< the consumer, waiting for a batch
};
inline constexpr size_t kActivities = 6;

/// Adds up times by activity. With tracing on it keeps each span too, the first
/// kTraceSpansMax of them (40 bytes each), for a file in Chrome's trace event format
/// (https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU).
///
/// Thread-safe, but for StartTrace, which comes before the first span.
class Timeline {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr size_t kTraceSpansMax = 200'000;

  void StartTrace() { tracing_ = true; }

  /// Nanoseconds of an activity, all threads together.
  int64_t total(Activity activity) const {
    return totals_[static_cast<size_t>(activity)].load(std::memory_order_relaxed);
  }
  /// An activity of this thread from `begin` until now. `amount` is shown by the trace:
  /// bytes of a read, rows of what else is done.
  void Add(Activity activity, Clock::time_point begin, int64_t amount = 0);

  /// The trace as JSON: one event a span, in microseconds since the first one began.
  std::string TraceJson() const;

 private:
  struct Span {
    Clock::time_point begin;
    int64_t nanoseconds;
    int64_t amount;
    Activity activity;
    int thread;
  };

  std::array<std::atomic<int64_t>, kActivities> totals_{};
  bool tracing_ = false;
  mutable std::mutex mutex_;
  std::vector<Span> spans_;
  std::vector<std::thread::id> threads_;  // by their number in spans
  int64_t dropped_ = 0;
};

/// Times its own life as an activity.
class Timed {
 public:
  Timed(Timeline* timeline, Activity activity, int64_t amount = 0)
      : timeline_(timeline), activity_(activity), amount_(amount) {}
  ~Timed() { timeline_->Add(activity_, begin_, amount_); }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  Timeline* timeline_;
  Activity activity_;
  int64_t amount_;
  Timeline::Clock::time_point begin_ = Timeline::Clock::now();
};

}  // namespace headrace::base
