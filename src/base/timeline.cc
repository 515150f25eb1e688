#include "base/timeline.h"

#include <algorithm>
#include <cstdio>

namespace headrace::base {
namespace {

struct Label {
  const char* name;
  const char* amount;
};

Label LabelOf(Activity activity) {
  switch (activity) {
    case Activity::kRead:
      return {"read", "bytes"};
    case Activity::kFill:
      return {"fill", "rows"};
    case Activity::kAssemble:
      return {"assemble", "rows"};
    case Activity::kIdle:
      return {"idle", nullptr};
    case Activity::kConsume:
      return {"consume", nullptr};
    case Activity::kAwait:
      return {"await", nullptr};
  }
  return {"", nullptr};
}

double Microseconds(int64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e3;
}

}  // namespace

void Timeline::Add(Activity activity, Clock::time_point begin, int64_t amount) {
  const int64_t nanoseconds =
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
  totals_[static_cast<size_t>(activity)].fetch_add(nanoseconds,
                                                   std::memory_order_relaxed);
  if (!tracing_) return;
  std::lock_guard lock(mutex_);
  if (spans_.size() == kTraceSpansMax) {
    ++dropped_;
    return;
  }
  const auto id = std::this_thread::get_id();
  auto thread = std::find(threads_.begin(), threads_.end(), id);
  if (thread == threads_.end()) thread = threads_.insert(thread, id);
  spans_.push_back({begin, nanoseconds, amount, activity,
                    static_cast<int>(thread - threads_.begin())});
}

std::string Timeline::TraceJson() const {
  std::lock_guard lock(mutex_);
  Clock::time_point first = Clock::time_point::max();
  for (const Span& span : spans_) first = std::min(first, span.begin);
  std::string json = "{\"displayTimeUnit\": \"ms\", \"otherData\": {\"spans_dropped\": " +
                     std::to_string(dropped_) + "}, \"traceEvents\": [";
  const char* separator = "\n";
  for (const Span& span : spans_) {
    const Label label = LabelOf(span.activity);
    const int64_t start =
        std::chrono::duration_cast<std::chrono::nanoseconds>(span.begin - first).count();
    char text[256];
    std::snprintf(text, sizeof(text),
                  "%s{\"name\": \"%s\", \"ph\": \"X\", \"pid\": 1, \"tid\": %d, "
                  "\"ts\": %.3f, \"dur\": %.3f",
                  separator, label.name, span.thread, Microseconds(start),
                  Microseconds(span.nanoseconds));
    json += text;
    if (label.amount != nullptr) {
      json += std::string(", \"args\": {\"") + label.amount +
              "\": " + std::to_string(span.amount) + "}";
    }
    json += "}";
    separator = ",\n";
  }
  return json + "\n]}\n";
}

}  // namespace headrace::base
