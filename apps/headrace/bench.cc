#include <arrow/api.h>
#include <arrow/util/byte_size.h>
#include <headrace/loader.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "command.h"
#include "terminal.h"
#include "value_json.h"

namespace headrace::cli {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct BenchOptions {
  CommonOptions common;
  ChoiceOptions choice;
  LoaderOptions loader;
  bool shuffle = true;
  int64_t epochs = 1;
};

struct BenchResult {
  int64_t rows = 0;
  int64_t batches = 0;
  int64_t bytes = 0;  // of the batches
  double seconds = 0;
  double seconds_to_first = 0;
  LoaderStats stats;
};

bool IsText(const arrow::DataType& type) {
  if (type.id() == arrow::Type::DICTIONARY) {
    return IsText(*static_cast<const arrow::DictionaryType&>(type).value_type());
  }
  return arrow::is_binary_like(type.id()) || arrow::is_large_binary_like(type.id()) ||
         type.id() == arrow::Type::FIXED_SIZE_BINARY;
}

// Decisions that a training script makes column by column, and that any table needs
// before it gives tensors: nulls are filled, lists are ragged, decimals become float64.
Result<Dataset> WithPolicies(const Dataset& dataset) {
  std::map<std::string, NullPolicy> nulls;
  std::map<std::string, RaggedPolicy> ragged;
  std::map<std::string, std::string> casts;
  for (const auto& field : dataset.schema()->fields()) {
    const arrow::DataType& type = *field->type();
    NullPolicy fill;
    fill.kind = NullPolicy::Kind::kFill;
    if (IsText(type)) fill.fill_text = "";
    if (arrow::is_decimal(type.id())) casts[field->name()] = "float64";
    if (type.id() == arrow::Type::LIST || type.id() == arrow::Type::LARGE_LIST) {
      ragged[field->name()].kind = RaggedPolicy::Kind::kRagged;
    }
    if (field->nullable()) nulls[field->name()] = fill;
  }
  ARROW_ASSIGN_OR_RAISE(auto chosen, dataset.Cast(casts));
  ARROW_ASSIGN_OR_RAISE(chosen, chosen.Ragged(ragged));
  return chosen.Nulls(nulls);
}

Result<int64_t> BatchBytes(const TensorBatch& batch) {
  int64_t bytes = 0;
  for (const BatchColumn& column : batch.columns) {
    if (const auto* tensor = std::get_if<Tensor>(&column)) {
      bytes += tensor->size() * ByteWidth(tensor->dtype);
      continue;
    }
    ARROW_ASSIGN_OR_RAISE(const int64_t referenced,
                          arrow::util::ReferencedBufferSize(
                              *std::get<std::shared_ptr<arrow::Array>>(column)));
    bytes += referenced;
  }
  return bytes;
}

Result<BenchResult> Measure(const Dataset& dataset, const BenchOptions& bench) {
  const auto begin = Clock::now();
  std::unique_ptr<Loader> loader;
  {
    ProgressBar counting("count");
    LoaderOptions options = bench.loader;
    options.progress = [&](int64_t done, int64_t total) { counting.Update(done, total); };
    ARROW_ASSIGN_OR_RAISE(loader, Loader::Make(dataset, options));
  }
  ARROW_ASSIGN_OR_RAISE(const int64_t steps, loader->Steps());
  ProgressBar bar("bench");
  BenchResult result;
  for (int64_t epoch = 0; epoch < bench.epochs; ++epoch) {
    while (true) {
      ARROW_ASSIGN_OR_RAISE(const auto batch, loader->Next());
      if (!batch) break;
      if (result.batches == 0) result.seconds_to_first = SecondsSince(begin);
      ARROW_ASSIGN_OR_RAISE(const int64_t bytes, BatchBytes(*batch));
      result.bytes += bytes;
      result.rows += batch->rows;
      result.batches += 1;
      bar.Update(result.batches, steps * bench.epochs);
    }
  }
  result.seconds = SecondsSince(begin);
  result.stats = loader->stats();
  return result;
}

double Rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

std::string ToText(const BenchResult& result, const BenchOptions& bench) {
  const auto megabytes = static_cast<double>(result.bytes) / 1e6;
  const auto seconds = [](int64_t nanoseconds) {
    return static_cast<double>(nanoseconds) / 1e9;
  };
  const LoaderStats& stats = result.stats;
  const auto per_second = [&](double amount) {
    return Grouped(static_cast<int64_t>(Rate(amount, result.seconds)));
  };
  char text[2048];
  std::snprintf(
      text, sizeof(text),
      "%s rows/s, %.1f MB/s, %s batches/s of %s rows\n"
      "  delivered    %s rows in %s batches, %.1f MB, %.2f s\n"
      "  first batch  %.3f s after the loader was made\n"
      "  waited       %.2f s for batches\n"
      "  threads      %.2f s in reads, %.2f s decoding, %.2f s batching, %.2f s "
      "idle\n"
      "  read         %s in %s reads; %s row groups pruned (%s)\n"
      "  memory       peak %s of a budget of %s\n"
      "%s\n",
      per_second(static_cast<double>(result.rows)).c_str(),
      Rate(megabytes, result.seconds),
      per_second(static_cast<double>(result.batches)).c_str(),
      Grouped(bench.loader.batch_size).c_str(), Grouped(result.rows).c_str(),
      Grouped(result.batches).c_str(), megabytes, result.seconds, result.seconds_to_first,
      seconds(stats.consumer.waiting), seconds(stats.storage.busy),
      seconds(stats.decode.busy), seconds(stats.batch.busy),
      seconds(stats.storage.waiting), Sized(stats.bytes_read).c_str(),
      Grouped(stats.read_calls).c_str(), Grouped(stats.row_groups_pruned).c_str(),
      Sized(stats.bytes_pruned).c_str(), Sized(stats.memory_peak).c_str(),
      Sized(stats.memory_budget).c_str(), stats.Bottleneck().c_str());
  return text;
}

std::string ToJson(const BenchResult& result, const BenchOptions& bench) {
  const Json json = {
      {"rows", result.rows},
      {"batches", result.batches},
      {"batch_size", bench.loader.batch_size},
      {"epochs", bench.epochs},
      {"bytes", result.bytes},
      {"seconds", result.seconds},
      {"seconds_to_first_batch", result.seconds_to_first},
      {"wait_seconds", static_cast<double>(result.stats.consumer.waiting) / 1e9},
      {"rows_per_second", Rate(static_cast<double>(result.rows), result.seconds)},
      {"megabytes_per_second",
       Rate(static_cast<double>(result.bytes) / 1e6, result.seconds)},
      {"batches_per_second", Rate(static_cast<double>(result.batches), result.seconds)},
      {"memory_peak", result.stats.memory_peak},
      {"stats", Json::parse(result.stats.ToJson())},
  };
  return Dump(json) + "\n";
}

Result<ExitCode> Bench(const BenchOptions& bench) {
  ARROW_ASSIGN_OR_RAISE(Dataset dataset, bench.common.Open());
  ARROW_ASSIGN_OR_RAISE(dataset, bench.choice.Apply(std::move(dataset)));
  if (bench.choice.explain) {
    ARROW_RETURN_NOT_OK(PrintPlan(dataset, bench.common.json));
    return kExitOk;
  }
  if (!bench.loader.arrow) {
    ARROW_ASSIGN_OR_RAISE(dataset, WithPolicies(dataset));
  }
  ARROW_ASSIGN_OR_RAISE(const BenchResult result, Measure(dataset, bench));
  Write(bench.common.json ? ToJson(result, bench) : ToText(result, bench));
  return kExitOk;
}

}  // namespace

Action AddBench(CLI::App* app) {
  CLI::App* command = app->add_subcommand(
      "bench", "Measure how fast batches come, with a consumer that does nothing");
  auto bench = std::make_shared<BenchOptions>();
  LoaderOptions& loader = bench->loader;
  bench->common.AddTo(command);
  bench->choice.AddTo(command);
  command->add_option("--batch-size", loader.batch_size, "rows a batch")
      ->type_name("NUMBER")
      ->capture_default_str();
  command->add_flag("--shuffle,!--no-shuffle", bench->shuffle,
                    "shuffle, the default, or read in stored order");
  command->add_option("--seed", loader.seed, "of the shuffle")->type_name("NUMBER");
  command->add_option("--streams", loader.streams, "runs of rows that are interleaved")
      ->type_name("NUMBER");
  command
      ->add_option("--shuffle-window-rows", loader.shuffle_window_rows,
                   "rows permuted together")
      ->type_name("NUMBER");
  command->add_option("--epochs", bench->epochs, "passes over the rows")
      ->type_name("NUMBER")
      ->capture_default_str()
      ->check(AtLeast(1));
  command->add_option("--num-threads", loader.num_threads, "threads of the loader")
      ->type_name("NUMBER")
      ->capture_default_str();
  AddBytes(command, "--memory-budget", &loader.memory_budget, "2GiB",
           "bytes held at most, as in 256MiB or 2GiB");
  command
      ->add_option_function<std::string>(
          "--to", [bench](const std::string& to) { bench->loader.arrow = to == "arrow"; },
          "what batches hold: tensor, or arrow for columns of any type as they are "
          "stored")
      ->type_name("FORM")
      ->default_str("tensor")
      ->check(CLI::IsMember({"tensor", "arrow"}).description(""));
  command
      ->add_option("--trace", loader.trace,
                   "write what the threads did, for chrome://tracing or ui.perfetto.dev")
      ->type_name("FILE");
  command->footer(
      "In tensors, nulls are filled with 0 or empty text, lists are ragged, and "
      "decimals\n"
      "are float64.\n\n"
      "Examples:\n"
      "  headrace bench lake/flights --batch-size 4096 --shuffle\n"
      "  headrace bench lake/flights --select dep_delay,distance --where \"month <= "
      "10\"\n"
      "  headrace bench lake/flights --num-threads 4 --memory-budget 256MiB --json\n");
  return [bench] {
    bench->loader.shuffle = bench->shuffle;
    return Bench(*bench);
  };
}

}  // namespace headrace::cli
