// What a loader's counters say.

#include <headrace/loader.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json_text.h"

namespace headrace {
namespace {

using nlohmann::json;

// A consumer that waits for less than this part of its time is itself what is slow.
constexpr double kWaitingLittle = 0.05;
// Threads that idle for more than this part of theirs, while the consumer waits, have too
// little room, or too little to do.
constexpr double kIdleMuch = 0.5;

json ToJson(const StageTimes& times) {
  return {{"busy", times.busy}, {"waiting", times.waiting}};
}

std::string Percent(double part) {
  return std::to_string(static_cast<int>(std::lround(100 * part))) + " %";
}

double PartOf(int64_t part, int64_t whole) {
  return whole <= 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::string LoaderStats::Bottleneck() const {
  if (batches == 0) return "no batch was taken yet, so there is no bottleneck to name";
  const double waiting = PartOf(consumer.waiting, consumer.busy + consumer.waiting);
  const std::string waited = " waited " + Percent(waiting) + " of its time for batches";
  if (waiting < kWaitingLittle) {
    return "the consumer is the bottleneck: it" + waited +
           "; nothing here makes it faster, and fewer num_threads would do";
  }
  const int64_t busy = storage.busy + decode.busy + batch.busy;
  struct Candidate {
    int64_t busy;
    const char* name;
    const char* advice;
  };
  const std::array<Candidate, 3> stages = {{
      {storage.busy, "storage",
       "more num_threads, so that more reads are under way, a larger memory_budget for "
       "larger reads, fewer columns, or storage that is nearer"},
      {decode.busy, "decode",
       "more num_threads, fewer columns, or columns without a fallback (decode_paths)"},
      {batch.busy, "batch",
       "a larger batch_size, pack for columns that go together, or fewer lists and "
       "strings"},
  }};
  const Candidate& worst = *std::max_element(
      stages.begin(), stages.end(),
      [](const Candidate& a, const Candidate& b) { return a.busy < b.busy; });
  std::string text = std::string(worst.name) +
                     " is the bottleneck: " + Percent(PartOf(worst.busy, busy)) +
                     " of the loader's work; the consumer" + waited + "; try ";
  if (PartOf(storage.waiting, storage.waiting + busy) > kIdleMuch) {
    return text +
           "a larger memory_budget or a smaller shuffle_window_rows first, since "
           "threads found no room to work ahead, and then " +
           worst.advice;
  }
  return text + worst.advice;
}

std::string LoaderStats::ToJson() const {
  return base::JsonText(json{{"rows", rows},
                             {"batches", batches},
                             {"bytes_read", bytes_read},
                             {"read_calls", read_calls},
                             {"values_decoded", values_decoded},
                             {"values_skipped", values_skipped},
                             {"row_groups_pruned", row_groups_pruned},
                             {"bytes_pruned", bytes_pruned},
                             {"row_groups_opened", row_groups_opened},
                             {"memory_peak", memory_peak},
                             {"memory_budget", memory_budget},
                             {"memory_floor", memory_floor},
                             {"stages",
                              {{"storage", headrace::ToJson(storage)},
                               {"decode", headrace::ToJson(decode)},
                               {"batch", headrace::ToJson(batch)},
                               {"consumer", headrace::ToJson(consumer)}}},
                             {"bottleneck", Bottleneck()},
                             {"decode_paths", decode_paths},
                             {"rows_skipped", rows_skipped},
                             {"skipped", skipped}});
}

}  // namespace headrace
