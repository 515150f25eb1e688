// Storage that fails at any one call: each way to read ends in an error that names the
// file, or in the very rows that are stored.
#include <arrow/builder.h>
#include <arrow/io/interfaces.h>
#include <arrow/table.h>
#include <arrow/util/thread_pool.h>
#include <headrace/dataset.h>
#include <headrace/features.h>
#include <headrace/inspect.h>
#include <headrace/loader.h>
#include <headrace/row_id.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <iterator>
#include <latch>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "storage/faulty.h"
#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using storage::Call;
using storage::Fault;
using storage::Faults;
using storage::Operation;
using testing::Check;

constexpr int64_t kFiles = 4;
constexpr int64_t kRowsPerFile = 90;
constexpr int64_t kRowGroupRows = 30;
constexpr size_t kPointsMin = 200;
constexpr auto kLimit = std::chrono::seconds(120);

/// Rows of numbers, nulls, strings and lists, all told apart by `id`.
std::shared_ptr<arrow::Table> Rows(int64_t first) {
  arrow::Int64Builder id;
  arrow::DoubleBuilder x;
  arrow::StringBuilder name;
  arrow::ListBuilder list(arrow::default_memory_pool(),
                          std::make_shared<arrow::Int32Builder>());
  auto* items = static_cast<arrow::Int32Builder*>(list.value_builder());
  for (int64_t i = first; i < first + kRowsPerFile; ++i) {
    Check(id.Append(i));
    Check(i % 7 == 0 ? x.AppendNull() : x.Append(static_cast<double>(i * 37 % 100)));
    Check(name.Append("name " + std::to_string(i % 5)));
    Check(list.Append());
    for (int64_t k = 0; k < i % 3; ++k) Check(items->Append(static_cast<int32_t>(i + k)));
  }
  return arrow::Table::Make(
      arrow::schema({arrow::field("id", arrow::int64()),
                     arrow::field("x", arrow::float64()),
                     arrow::field("name", arrow::utf8()),
                     arrow::field("list", arrow::list(arrow::int32()))}),
      {Check(id.Finish()), Check(x.Finish()), Check(name.Finish()),
       Check(list.Finish())});
}

/// Ends the process if a run does not: what hangs cannot be joined.
class Watchdog {
 public:
  Watchdog()
      : thread_([this](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            if (Now() <= deadline_) continue;
            std::fprintf(stderr, "a run hangs: %s\n", What().c_str());
            std::abort();
          }
        }) {}

  void Begin(std::string what) {
    std::lock_guard lock(mutex_);
    what_ = std::move(what);
    deadline_ = Now() + std::chrono::nanoseconds(kLimit).count();
  }

 private:
  static int64_t Now() {
    return std::chrono::steady_clock::now().time_since_epoch() /
           std::chrono::nanoseconds(1);
  }
  std::string What() {
    std::lock_guard lock(mutex_);
    return what_;
  }

  std::mutex mutex_;
  std::string what_;
  std::atomic<int64_t> deadline_{INT64_MAX};
  std::jthread thread_;
};

int64_t EntriesOf(const char* folder) {
  return std::ranges::distance(std::filesystem::directory_iterator(folder));
}

/// Has all of Arrow's I/O threads there, which come when they are first needed, and stay.
void StartIoThreads() {
  auto* const executor = arrow::io::default_io_context().executor();
  const auto all = std::make_shared<std::latch>(executor->GetCapacity() + 1);
  for (int i = 0; i < executor->GetCapacity(); ++i) {
    Check(executor->Spawn([all] { all->arrive_and_wait(); }));
  }
  all->arrive_and_wait();
}

/// A threads' entry in /proc may outlive its join by a moment.
bool ThreadsComeDownTo(int64_t threads) {
  for (int i = 0; i < 500 && EntriesOf("/proc/self/task") > threads; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return EntriesOf("/proc/self/task") <= threads;
}

std::string Text(const arrow::Array& values) { return values.ToString() + "\n"; }

std::string Text(const Tensor& tensor) {
  std::ostringstream out;
  for (int64_t size : tensor.shape) out << size << " ";
  const int64_t bytes = tensor.size() * ByteWidth(tensor.dtype);
  out << std::string(reinterpret_cast<const char*>(tensor.data()),
                     static_cast<size_t>(bytes))
      << "\n";
  return out.str();
}

/// All that a batch holds.
std::string Text(const TensorBatch& batch) {
  std::string text;
  for (size_t c = 0; c < batch.columns.size(); ++c) {
    text += batch.names[c] + " ";
    if (const auto* tensor = std::get_if<Tensor>(&batch.columns[c])) {
      text += Text(*tensor);
    } else {
      text += Text(*std::get<std::shared_ptr<arrow::Array>>(batch.columns[c]));
    }
  }
  return text;
}

LoaderOptions Options(bool shuffle) {
  LoaderOptions options;
  options.batch_size = 16;
  options.shuffle = shuffle;
  options.seed = 5;
  options.shuffle_window_rows = 80;
  options.arrow = true;
  return options;
}

/// The rest of an epoch, at most `batches` of it.
Result<std::string> Consume(Loader& loader, int64_t batches = INT64_MAX) {
  std::string text;
  for (int64_t b = 0; b < batches; ++b) {
    ARROW_ASSIGN_OR_RAISE(auto batch, loader.Next());
    if (!batch) break;
    text += Text(*batch);
  }
  return text;
}

Result<std::string> Load(const Dataset& dataset, const LoaderOptions& options) {
  ARROW_ASSIGN_OR_RAISE(auto loader, Loader::Make(dataset, options));
  return Consume(*loader);
}

/// One way to read a table: from its URI to all that was read, as text.
struct Way {
  const char* name;
  std::function<Result<std::string>(const std::string& uri)> read;
  /// Damaged rows are left out: a line each.
  bool skips = false;
  /// Reads bloom filters, whose bits have no checksum in Parquet.
  bool has_bloom = false;
};

constexpr const char* kFilter = "x > 20 and name != 'name 3'";

Result<Dataset> OpenTable(const std::string& uri) {
  OpenOptions options;
  options.num_threads = 2;
  return Dataset::Open(uri, options);
}

Result<std::string> OpenOnly(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  return dataset.fingerprint() + dataset.schema()->ToString();
}

Result<std::string> OpenFromJson(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  ARROW_ASSIGN_OR_RAISE(auto again, Dataset::FromJson(dataset.ToJson()));
  return again.fingerprint() + again.schema()->ToString();
}

/// Level by level, as far as the partitions say.
Result<std::string> OpenPart(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(
      auto dataset, Dataset::Open(uri, {.where = "k = 1 and x > 20", .num_threads = 2}));
  ARROW_ASSIGN_OR_RAISE(const int64_t rows, dataset.CountRows());
  return dataset.fingerprint() + std::to_string(rows);
}

Result<std::string> Count(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  ARROW_ASSIGN_OR_RAISE(dataset, dataset.Where(kFilter));
  ARROW_ASSIGN_OR_RAISE(const int64_t rows, dataset.CountRows());
  ARROW_ASSIGN_OR_RAISE(const auto summary, dataset.Explain());
  return std::to_string(rows) + summary.ToString();
}

/// Counts what statistics leave open and bloom filters do not.
Result<std::string> Bloomed(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  ARROW_ASSIGN_OR_RAISE(dataset, dataset.Where("name = 'name 2 and more'"));
  ARROW_ASSIGN_OR_RAISE(const int64_t rows, dataset.CountRows());
  return std::to_string(rows);
}

Result<std::string> Shuffled(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  ARROW_ASSIGN_OR_RAISE(dataset, dataset.Where(kFilter));
  return Load(dataset, Options(true));
}

Result<std::string> InOrder(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  return Load(dataset, Options(false));
}

Result<std::string> Resumed(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  ARROW_ASSIGN_OR_RAISE(auto loader, Loader::Make(dataset, Options(true)));
  ARROW_ASSIGN_OR_RAISE(std::string text, Consume(*loader, 5));
  ARROW_ASSIGN_OR_RAISE(const std::string state, loader->StateJson());
  ARROW_ASSIGN_OR_RAISE(auto resumed, Loader::Make(dataset, Options(true)));
  ARROW_RETURN_NOT_OK(resumed->LoadStateJson(state));
  ARROW_ASSIGN_OR_RAISE(const std::string rest, Consume(*resumed));
  return text + rest;
}

/// The files' times change after they were opened: their footers are read again.
Result<std::string> Touched(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  const std::string folder = uri.substr(std::string("faulty://").size());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::filesystem::last_write_time(entry,
                                     entry.last_write_time() + std::chrono::seconds(1));
  }
  ARROW_ASSIGN_OR_RAISE(dataset, dataset.Select({"id"}));
  return Load(dataset, Options(false));
}

/// A line for each row that is not damaged.
Result<std::string> Skipping(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  ARROW_ASSIGN_OR_RAISE(dataset, dataset.OnError(ErrorPolicy::kSkip));
  ARROW_ASSIGN_OR_RAISE(auto loader, Loader::Make(dataset, Options(false)));
  std::string lines;
  for (;;) {
    ARROW_ASSIGN_OR_RAISE(auto batch, loader->Next());
    if (!batch) return lines;
    for (int64_t row = 0; row < batch->rows; ++row) {
      for (const auto& column : batch->columns) {
        const auto& values = *std::get<std::shared_ptr<arrow::Array>>(column);
        lines += Check(values.GetScalar(row))->ToString() + " ";
      }
      lines += "\n";
    }
  }
}

Result<std::string> Coded(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  ARROW_ASSIGN_OR_RAISE(dataset, dataset.Select({"id", "name"}));
  ARROW_ASSIGN_OR_RAISE(dataset, dataset.Codes({{"name", CodesPolicy()}}));
  return Load(dataset, Options(false));
}

Result<std::string> Scanned(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  ARROW_ASSIGN_OR_RAISE(dataset, dataset.Where(kFilter));
  ARROW_ASSIGN_OR_RAISE(auto table, dataset.ToTable());
  ARROW_ASSIGN_OR_RAISE(table, table->CombineChunks());
  return table->ToString();
}

Result<std::string> Taken(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  const std::vector<int64_t> ids = {RowId(3, 89), RowId(0, 31), RowId(1, 2),
                                    RowId(2, 60), RowId(1, 70), RowId(0, 31)};
  ARROW_ASSIGN_OR_RAISE(auto table, dataset.Take(ids));
  return table->ToString();
}

/// Features of what passes, block by block.
Result<std::string> Fitted(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  ARROW_ASSIGN_OR_RAISE(dataset, dataset.Where(kFilter));
  ARROW_ASSIGN_OR_RAISE(const auto features,
                        FitFeatures(dataset, {"id", "x", "name"}, {.num_threads = 2}));
  return features.ToJson();
}

Result<std::string> Inspected(const std::string& uri) {
  ARROW_ASSIGN_OR_RAISE(auto dataset, OpenTable(uri));
  ARROW_ASSIGN_OR_RAISE(const auto info, Inspect(dataset));
  return info.ToJson();
}

/// What verify finds is its result, and here an error.
Result<std::string> Verified(const std::string& uri) {
  OpenOptions options;
  options.num_threads = 2;
  ARROW_ASSIGN_OR_RAISE(const auto report, Verify({uri}, options));
  if (!report.defects.empty()) return Error(ErrorKind::kCorrupt, report.ToString());
  return report.ToString();
}

const std::vector<Way>& Ways() {
  static const std::vector<Way> ways = {{"Open", OpenOnly},
                                        {"FromJson", OpenFromJson},
                                        {"OpenPart", OpenPart},
                                        {"Count", Count},
                                        {"Shuffled", Shuffled},
                                        {"InOrder", InOrder},
                                        {"Resumed", Resumed},
                                        {"Touched", Touched},
                                        {"Skipping", Skipping, true},
                                        {"Bloomed", Bloomed, false, true},
                                        {"Coded", Coded},
                                        {"Scanned", Scanned},
                                        {"Taken", Taken},
                                        {"Fitted", Fitted},
                                        {"Inspected", Inspected},
                                        {"Verified", Verified}};
  return ways;
}

std::string FileName(int64_t number) {
  return "k=" + std::to_string(number % 2) + "/" + std::to_string(number) + ".parquet";
}

/// Four files, of all layouts that are read in ways of their own, all with page
/// checksums.
void WriteLake(const testing::TempDir& folder) {
  for (int64_t f = 0; f < kFiles; ++f) {
    testing::ParquetOptions options;
    options.row_group_rows = kRowGroupRows;
    options.page_checksums = true;
    options.page_index = f % 2 == 1;
    options.dictionary = f != 2;
    if (f != 0) options.bloom_column = "name";
    options.data_page_bytes = f == 1 ? 64 : 1 << 20;
    if (f == 3) options.page_version = parquet::ParquetDataPageVersion::V2;
    testing::WriteParquet(folder / FileName(f), Rows(f * kRowsPerFile), options);
  }
}

bool IsAmong(ErrorKind kind, std::initializer_list<ErrorKind> kinds) {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

/// The kinds of error that a fault may end in.
bool Fits(Fault fault, ErrorKind kind, bool verified) {
  // Verify tells of defects, whatever their kind.
  if (verified && kind == ErrorKind::kCorrupt) return true;
  switch (fault) {
    case Fault::kFail:
    case Fault::kErrno:
    case Fault::kThrottle:
    case Fault::kLost:
      return kind == ErrorKind::kUnavailable;
    case Fault::kDelay:
      return false;
    case Fault::kCut:
    case Fault::kFlip:
    case Fault::kBlock:
      // A file that is not what it was when it was opened was replaced.
      return IsAmong(kind, {ErrorKind::kCorrupt, ErrorKind::kConflict});
  }
  return false;
}

std::vector<Fault> FaultsOf(Operation operation) {
  switch (operation) {
    case Operation::kRead:
      return {Fault::kFail, Fault::kErrno, Fault::kCut,
              Fault::kFlip, Fault::kBlock, Fault::kDelay};
    case Operation::kInfo:
    case Operation::kSize:
      return {Fault::kFail, Fault::kErrno, Fault::kCut, Fault::kDelay};
    default:
      return {Fault::kFail, Fault::kErrno, Fault::kDelay};
  }
}

bool IsDamage(Fault fault) {
  return fault == Fault::kCut || fault == Fault::kFlip || fault == Fault::kBlock;
}

/// Whether all lines are among those of `whole`, in their order.
bool IsPartOf(const std::string& lines, const std::string& whole) {
  std::istringstream some(lines), all(whole);
  std::string wanted, line;
  while (std::getline(some, wanted)) {
    do {
      if (!std::getline(all, line)) return false;
    } while (line != wanted);
  }
  return true;
}

/// Whether a message says where: the path, or the table and its log.
bool Names(const std::string& message, const std::string& path) {
  const auto log = path.rfind("/_delta_log");
  return message.find("faulty://" + path) != std::string::npos ||
         (log != std::string::npos &&
          message.find("faulty://" + path.substr(0, log) + ": _delta_log: ") !=
              std::string::npos);
}

class FaultsTest : public ::testing::Test {
 protected:
  FaultsTest() {
    WriteLake(folder_);
    InstallFaulty(faults_);
  }

  Result<std::string> Read(const Way& way, const std::string& what) {
    watchdog_.Begin(what);
    return way.read("faulty://" + folder_.path());
  }

  /// True if the call was made, and so struck.
  bool Strike(const Way& way, const Call& call, Fault fault, bool lasting,
              const std::string& expected) {
    std::ostringstream text;
    text << way.name << ", " << fault << (lasting ? " from " : " at ") << call;
    const std::string what = text.str();
    faults_->Arm(call, fault, lasting);
    const Result<std::string> found = Read(way, what);
    const bool struck = faults_->struck();
    EXPECT_EQ(faults_->open_files(), 0) << what;
    if (found.ok()) {
      const bool less = way.skips && IsDamage(fault) && IsPartOf(*found, expected);
      EXPECT_TRUE(less || *found == expected) << what << ": other rows, without an error";
      return struck;
    }
    const Status& status = found.status();
    const ErrorKind kind = KindOf(status);
    EXPECT_TRUE(struck) << what << ": " << status.ToString();
    EXPECT_TRUE(Fits(fault, kind, way.name == std::string("Verified")))
        << what << ": " << KindName(kind) << ": " << status.ToString();
    EXPECT_TRUE(Names(status.message(), call.path)) << what << ": " << status.ToString();
    return struck;
  }

  void StrikeEverywhere(const Way& way, std::set<Call>* points) {
    faults_->Disarm();
    const std::string expected = Check(Read(way, "no fault"));
    const auto counts = faults_->counts();
    ASSERT_EQ(Check(Read(way, "no fault, again")), expected);
    StartIoThreads();
    const int64_t threads = EntriesOf("/proc/self/task");
    const int64_t descriptors = EntriesOf("/proc/self/fd");
    const int64_t allocated = arrow::default_memory_pool()->bytes_allocated();
    for (const auto& [key, count] : counts) {
      for (const Fault fault : FaultsOf(key.first)) {
        Call call{key.first, key.second, 1};
        if (way.has_bloom && (fault == Fault::kFlip || fault == Fault::kBlock)) continue;
        Strike(way, call, fault, /*lasting=*/true, expected);
        if (fault == Fault::kDelay) continue;  // each call was late
        while (Strike(way, call, fault, /*lasting=*/false, expected)) {
          points->insert(call);
          ++call.nth;
        }
      }
    }
    faults_->Disarm();
    EXPECT_EQ(Check(Read(way, "no fault, at the end")), expected);
    EXPECT_TRUE(ThreadsComeDownTo(threads)) << way.name;
    EXPECT_EQ(EntriesOf("/proc/self/fd"), descriptors) << way.name;
    EXPECT_EQ(arrow::default_memory_pool()->bytes_allocated(), allocated) << way.name;
  }

  testing::TempDir folder_;
  std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
  Watchdog watchdog_;
};

TEST_F(FaultsTest, EveryWayToReadEndsInAnErrorOrTheRightResult) {
  std::set<Call> points;
  for (const Way& way : Ways()) StrikeEverywhere(way, &points);
  std::cout << "struck " << points.size() << " distinct (call, file) points\n";
  EXPECT_GE(points.size(), kPointsMin);
}

// As on an object store, where what fails in passing is asked for again.
TEST_F(FaultsTest, NoWayToReadSeesOneFaultThatPasses) {
  InstallFaulty(faults_, {.clock = {.now = nullptr, .wait = [](double) {}}});
  std::set<Call> points;
  for (const Way& way : Ways()) {
    faults_->Disarm();
    const std::string expected = Check(Read(way, "no fault"));
    for (const auto& [key, count] : faults_->counts()) {
      Call call{key.first, key.second, 1};
      const bool reads = call.operation == Operation::kRead;
      // Later calls of a file are like its first.
      for (call.nth = 1; call.nth <= std::min<int64_t>(count, 3); ++call.nth) {
        for (const Fault fault : {Fault::kThrottle, Fault::kCut}) {
          if (fault == Fault::kCut && !reads) continue;
          std::ostringstream what;
          what << way.name << ", " << fault << " at " << call;
          faults_->Arm(call, fault);
          const Result<std::string> found = Read(way, what.str());
          ASSERT_TRUE(found.ok()) << what.str() << ": " << found.status().ToString();
          EXPECT_EQ(*found, expected) << what.str();
          if (faults_->struck()) points.insert(call);
        }
      }
    }
  }
  EXPECT_GE(points.size(), 30U);
}

}  // namespace
}  // namespace headrace
