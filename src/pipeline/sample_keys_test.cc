// Random decoders get the key of their sample, whoever reads it and when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <headrace/row_id.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pipeline/dataset_impl.h"
#include "pipeline/pass.h"
#include "pipeline/thread_executor.h"
#include "tests/cpp/lake.h"

namespace headrace::pipeline {
namespace {

using testing::Check;

constexpr int64_t kRowsPerFile = 500;
constexpr int64_t kFiles = 3;
constexpr char kBadCell[] = "bad";

/// (seed, epoch, row id, number in the cell).
using Shown = std::array<int64_t, 4>;

/// Makes of a cell the key that it was given, and the number that it holds.
class KeyShower : public codec::CellDecoder {
 public:
  DType dtype() const override { return DType::kInt64; }
  const std::vector<int64_t>& shape() const override { return shape_; }
  bool is_random() const override { return true; }
  Status Decode(std::span<const uint8_t> cell, const codec::SampleKey& key,
                const codec::Allocate& allocate) const override {
    const std::string text(cell.begin(), cell.end());
    if (text == kBadCell) return Error(ErrorKind::kCorrupt, "this cell is bad");
    ARROW_ASSIGN_OR_RAISE(uint8_t* const out, allocate(shape_));
    auto* shown = reinterpret_cast<int64_t*>(out);
    shown[0] = static_cast<int64_t>(key.seed);
    shown[1] = key.epoch;
    shown[2] = key.row_id;
    shown[3] = std::stoll(text);
    return Status::OK();
  }

 private:
  std::vector<int64_t> shape_ = {4};
};

/// One pass of one rank over cells that a KeyShower decodes.
struct Rig {
  std::shared_ptr<const DatasetImpl> dataset;
  plan::OrderSpec order;
  plan::DealSpec deal;
  int64_t start = 0;
  int threads = 2;
  ErrorPolicy on_error = ErrorPolicy::kRaise;

  /// What is planned where windows keep row ids, and where they do not.
  std::pair<MemoryPlan, MemoryPlan> Plans() const {
    reader::ReadCounters counters;
    reader::ReadContext read;
    read.table = dataset->table.get();
    read.pool = arrow::default_memory_pool();
    read.counters = &counters;
    ThreadExecutor executor(1);
    const auto assembler = MakeAssembler();
    auto plan = [&](bool row_ids) {
      return PlanFor(*Check(Scan::Make(dataset, read, executor, row_ids)), *assembler,
                     row_ids);
    };
    return {plan(true), plan(false)};
  }

  std::vector<Shown> Run() const {
    base::MemoryBudget budget(arrow::default_memory_pool());
    reader::ReadCounters counters;
    reader::ReadContext read;
    read.table = dataset->table.get();
    read.pool = &budget;
    read.counters = &counters;
    ThreadExecutor executor(1);
    const auto assembler = MakeAssembler();
    EXPECT_TRUE(assembler->needs_row_ids());
    const auto scan =
        Check(Scan::Make(dataset, read, executor, assembler->needs_row_ids()));
    PassContext context;
    context.scan = scan.get();
    context.survivors = Check(scan->CountSurvivors(read, executor));
    context.assembler = assembler.get();
    const MemoryPlan memory = PlanFor(*scan, *assembler, true);
    context.memory = &memory;
    context.budget = &budget;
    context.read = &read;
    context.on_error = on_error;
    auto epoch = Check(plan::EpochOrder::Make(context.survivors, order));
    auto dealt = Check(plan::Deal::Make(epoch, deal, start));
    Pass pass(&context, std::move(epoch), std::move(dealt));
    std::vector<std::jthread> workers;
    for (int t = 0; t < threads; ++t) workers.emplace_back([&] { pass.Work(); });
    const Stopper stopper{&pass};
    std::vector<Shown> shown;
    while (auto ready = Check(pass.Next())) {
      const TensorBatch batch = ready->part.Batch();
      const auto& cells = std::get<Tensor>(batch.columns.at(0));
      const auto* values = reinterpret_cast<const int64_t*>(cells.data());
      for (int64_t i = 0; i < batch.rows; ++i, values += 4) {
        shown.push_back({values[0], values[1], values[2], values[3]});
      }
    }
    return shown;
  }

 private:
  /// Lets the workers end, also where a check throws.
  struct Stopper {
    Pass* pass;
    ~Stopper() { pass->Stop(); }
  };

  static std::unique_ptr<Assembler> MakeAssembler() {
    schema::ColumnPlan cell;
    cell.name = "cell";
    cell.type = cell.cast_type = arrow::binary();
    cell.form = schema::Form::kFixedShape;
    cell.dtype = cell.stored_dtype = DType::kInt64;
    cell.shape = {4};
    cell.field = Field{.name = "cell", .dtype = "int64", .shape = {4}, .codec = "raw"};
    Assembler::CellDecoders decoders;
    decoders.push_back(std::make_unique<KeyShower>());
    return Check(Assembler::Make({cell}, {}, std::move(decoders)));
  }

  MemoryPlan PlanFor(const Scan& scan, const Assembler& assembler, bool row_ids) const {
    MemoryNeeds needs;
    needs.columns = &assembler.columns();
    needs.read_columns = &scan.spec().columns;
    needs.row_ids = row_ids;
    needs.order = order;
    needs.rows = dataset->table->rows();
    needs.options.batch_size = deal.batch_size;
    needs.options.world_size = deal.world_size;
    return Check(PlanMemory(*dataset->table, needs));
  }
};

class SampleKeysTest : public ::testing::Test {
 protected:
  SampleKeysTest() {
    rig_.order.seed = 7;
    rig_.order.epoch = 3;
    rig_.order.streams = 4;
    rig_.order.shuffle_window_rows = 200;
    rig_.deal.batch_size = 32;
  }

  /// Cells that hold the row's number, or are bad.
  void Write(int64_t bad = -1) {
    for (int64_t f = 0; f < kFiles; ++f) {
      std::string rows = "[";
      for (int64_t i = 0; i < kRowsPerFile; ++i) {
        const int64_t id = f * kRowsPerFile + i;
        const std::string number = std::to_string(id);
        rows += (i > 0 ? ",[\"" : "[\"") + (id == bad ? std::string(kBadCell) : number) +
                "\"," + number + "]";
      }
      testing::ParquetOptions options;
      options.row_group_rows = 170;
      options.page_index = f != 1;
      testing::WriteParquet(
          folder_ / ("f" + std::to_string(f) + ".parquet"),
          testing::TableFromJson(arrow::schema({arrow::field("cell", arrow::binary()),
                                                arrow::field("x", arrow::int64())}),
                                 rows + "]"),
          options);
    }
    Choose("");
  }

  void Choose(const std::string& where) {
    Dataset dataset = Check(Check(Dataset::Open(folder_.path())).Select({"cell"}));
    if (!where.empty()) dataset = Check(dataset.Where(where));
    rig_.dataset = DatasetAccess::SharedImpl(dataset);
  }

  static int64_t IdOf(int64_t number) {
    return RowId(number / kRowsPerFile, number % kRowsPerFile);
  }

  /// Every sample has its own key.
  void ExpectKeys(const std::vector<Shown>& shown) const {
    for (const auto& [seed, epoch, row_id, number] : shown) {
      ASSERT_EQ(seed, 7);
      ASSERT_EQ(epoch, 3);
      ASSERT_EQ(row_id, IdOf(number)) << number;
    }
  }

  static std::vector<int64_t> Numbers(const std::vector<Shown>& shown) {
    std::vector<int64_t> numbers;
    for (const Shown& one : shown) numbers.push_back(one[3]);
    std::ranges::sort(numbers);
    return numbers;
  }

  testing::TempDir folder_;
  Rig rig_;
};

std::vector<int64_t> Upto(int64_t end) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < end; ++i) numbers.push_back(i);
  return numbers;
}

TEST_F(SampleKeysTest, AreThoseOfTheRowOnAnyWorldSizeAndThreads) {
  Write();
  for (bool shuffle : {true, false}) {
    rig_.order.shuffle = shuffle;
    for (int world : {1, 2, 4}) {
      rig_.deal.world_size = world;
      rig_.deal.pad_last = world > 1;
      rig_.threads = world == 2 ? 1 : 3;
      std::vector<Shown> all;
      for (rig_.deal.rank = 0; rig_.deal.rank < world; ++rig_.deal.rank) {
        const auto shown = rig_.Run();
        all.insert(all.end(), shown.begin(), shown.end());
      }
      rig_.deal.rank = 0;
      ExpectKeys(all);
      auto numbers = Numbers(all);
      numbers.erase(std::ranges::unique(numbers).begin(), numbers.end());
      EXPECT_EQ(numbers, Upto(kFiles * kRowsPerFile)) << world;
    }
  }
}

TEST_F(SampleKeysTest, AreCountedByTheMemoryPlan) {
  Write();
  const auto [with, without] = rig_.Plans();
  EXPECT_EQ(with.window_row_bytes, without.window_row_bytes + 9);  // and its validity
  EXPECT_GE(with.windows, without.windows + 9 * rig_.order.shuffle_window_rows);
}

TEST_F(SampleKeysTest, AreTheSameAfterResuming) {
  Write();
  const auto whole = rig_.Run();
  rig_.start = 3 * rig_.deal.batch_size;
  const auto rest = rig_.Run();
  ASSERT_EQ(rest.size(), whole.size() - 96);
  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), whole.begin() + 96));
}

TEST_F(SampleKeysTest, AreThoseOfSurvivorsUnderAFilter) {
  Write();
  Choose("x % 3 = 1");
  const auto shown = rig_.Run();
  EXPECT_EQ(shown.size(), 500U);
  ExpectKeys(shown);
  Choose("row_id % 7 = 3");
  ExpectKeys(rig_.Run());
}

TEST_F(SampleKeysTest, StayWithTheirRowsAroundABadOne) {
  Write(/*bad=*/801);
  rig_.on_error = ErrorPolicy::kSkip;
  const auto shown = rig_.Run();
  ExpectKeys(shown);
  auto expected = Upto(kFiles * kRowsPerFile);
  std::erase(expected, 801);
  EXPECT_EQ(Numbers(shown), expected);
}

}  // namespace
}  // namespace headrace::pipeline
