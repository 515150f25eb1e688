#include "reader/survivor_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/random.h"
#include "tests/cpp/reading.h"

namespace headrace::reader {
namespace {

using testing::Check;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::TempDir;

constexpr int64_t kRows = 2000;

/// id: the row; group: id % 7, null where id % 10 is 0; text: of id.
std::shared_ptr<arrow::Table> SomeTable() {
  arrow::Int64Builder id, group;
  arrow::StringBuilder text;
  for (int64_t i = 0; i < kRows; ++i) {
    Check(id.Append(i));
    Check(i % 10 == 0 ? group.AppendNull() : group.Append(i % 7));
    Check(text.Append("t" + std::to_string(i)));
  }
  return arrow::Table::Make(
      arrow::schema({arrow::field("id", arrow::int64()),
                     arrow::field("group", arrow::int64()),
                     arrow::field("text", arrow::utf8())}),
      {Check(id.Finish()), Check(group.Finish()), Check(text.Finish())});
}

class SurvivorReaderTest : public ::testing::Test {
 protected:
  SurvivorReaderTest() {
    testing::ParquetOptions options;
    options.data_page_bytes = 512;
    options.page_index = true;
    options.dictionary = false;
    options.compression = parquet::Compression::UNCOMPRESSED;
    options.row_group_rows = kRows / 2;
    testing::WriteParquet(Path(), SomeTable(), options);
    lake_ = std::make_unique<Lake>(Path());
    lake_->context.tile_rows = 100;
  }

  std::string Path() const { return dir_ / "a.parquet"; }

  void Select(const std::vector<std::string>& columns, const std::string& filter = "") {
    filter_.reset();
    if (!filter.empty()) {
      filter_ = Check(expression::Filter::Bind(Check(expression::ParseFilter(filter)),
                                               *lake_->table->schema()));
    }
    spec_ = Check(ReadSpec::Make(*lake_->table, columns, filter_ ? &*filter_ : nullptr));
  }

  SurvivorReader Reader() { return {&lake_->context, &spec_}; }

  /// Damages one data page of a column in the first row group; its rows.
  std::pair<int64_t, int64_t> Damage(int column, size_t page) {
    auto file = parquet::ParquetFileReader::OpenFile(Path());
    auto index = file->GetPageIndexReader()->RowGroup(0)->GetOffsetIndex(column);
    const auto& pages = index->page_locations();
    std::string bytes = testing::ReadWholeFile(Path());
    std::fill_n(bytes.begin() + pages[page].offset, 20, '\xff');
    testing::WriteFile(Path(), bytes);
    lake_ = std::make_unique<Lake>(Path());
    lake_->context.tile_rows = 100;
    return {pages[page].first_row_index, pages[page + 1].first_row_index};
  }

  TempDir dir_;
  std::unique_ptr<Lake> lake_;
  std::optional<expression::Filter> filter_;
  ReadSpec spec_;
};

constexpr BlockRef kWhole{0, 1, 0, kRows / 2, false};
constexpr BlockRef kFiltered{0, 1, 0, kRows / 2, true};

/// What a sink is given of integer columns, by column and place; damaged values as -1.
struct Taken {
  std::map<size_t, std::map<int64_t, int64_t>> values;
  int64_t damaged = 0;

  Sink sink() {
    return {[this](const Delivery& delivery) {
      const auto array = Cast(delivery.values, arrow::int64());
      const auto& integers = static_cast<const arrow::Int64Array&>(*array);
      for (int64_t i = 0; i < array->length(); ++i) {
        const bool bad = !delivery.damaged.empty() && delivery.damaged[i] != 0;
        damaged += bad;
        EXPECT_TRUE(!bad || array->IsNull(i));
        const bool is_new =
            values[delivery.column]
                .emplace(delivery.at + i, integers.IsNull(i) ? -1 : integers.Value(i))
                .second;
        EXPECT_TRUE(is_new) << "twice at " << delivery.at + i;
      }
      return Status::OK();
    }};
  }

  /// The values of a column, which have to be there from 0 on without a gap.
  std::vector<int64_t> Of(size_t column) const {
    std::vector<int64_t> all;
    if (!values.contains(column)) return all;
    for (const auto& [at, value] : values.at(column)) {
      EXPECT_EQ(at, static_cast<int64_t>(all.size()));
      all.push_back(value);
    }
    return all;
  }
};

std::vector<int64_t> Survivors(int64_t first, int64_t end) {
  std::vector<int64_t> ids;
  for (int64_t i = first; i < end; ++i) {
    if (i % 10 != 0 && i % 7 == 3) ids.push_back(i);
  }
  return ids;
}

TEST_F(SurvivorReaderTest, SpecReadsAFiltersSelectedColumnsOnce) {
  Select({"text", "id"}, "id > 3 and group == 1 and id < 9");
  EXPECT_EQ(spec_.selected, 2u);
  ASSERT_THAT(spec_.columns, SizeIs(3));
  EXPECT_EQ(spec_.columns[2].field->name(), "group");
  EXPECT_THAT(spec_.filter_inputs, ElementsAre(1, 2));
  Select({"text"});
  EXPECT_EQ(spec_.filter, nullptr);
  EXPECT_THAT(spec_.filter_inputs, IsEmpty());
}

TEST_F(SurvivorReaderTest, ReadsRunsOfAllRows) {
  Select({"id", "group"});
  auto reader = Reader();
  base::KeyedRandom random(5);
  for (int trial = 0; trial < 30; ++trial) {
    const auto first = static_cast<int64_t>(random.Below(kRows / 2));
    const auto rows = static_cast<int64_t>(1 + random.Below(kRows / 2 - first));
    Taken taken;
    Check(reader.Read(kWhole, first, rows, taken.sink()));
    const auto ids = taken.Of(0);
    ASSERT_EQ(static_cast<int64_t>(ids.size()), rows);
    for (int64_t i = 0; i < rows; ++i) ASSERT_EQ(ids[i], kRows / 2 + first + i);
    ASSERT_EQ(static_cast<int64_t>(taken.Of(1).size()), rows);
  }
}

TEST_F(SurvivorReaderTest, ReadsRunsOfSurvivors) {
  Select({"id", "group"}, "group == 3");
  const auto expected = Survivors(kRows / 2, kRows);
  const auto count = static_cast<int64_t>(expected.size());
  EXPECT_EQ(Check(Reader().Count(kFiltered)), count);
  auto reader = Reader();
  base::KeyedRandom random(5);
  for (int trial = 0; trial < 30; ++trial) {
    const auto first = static_cast<int64_t>(random.Below(count));
    const auto rows = static_cast<int64_t>(1 + random.Below(count - first));
    Taken taken;
    Check(reader.Read(kFiltered, first, rows, taken.sink()));
    EXPECT_EQ(taken.Of(0),
              std::vector(expected.begin() + first, expected.begin() + first + rows));
    EXPECT_EQ(taken.Of(1), std::vector<int64_t>(rows, 3));
  }
}

TEST_F(SurvivorReaderTest, GoesOnInTheOpenRowGroup) {
  Select({"id"}, "group == 3");
  const auto expected = Survivors(kRows / 2, kRows);
  auto reader = Reader();
  const auto count = static_cast<int64_t>(expected.size());
  for (int64_t at = 0; at < count; at += 7) {
    Taken taken;
    const int64_t rows = std::min<int64_t>(7, count - at);
    Check(reader.Read(kFiltered, at, rows, taken.sink()));
    EXPECT_EQ(taken.Of(0),
              std::vector(expected.begin() + at, expected.begin() + at + rows));
  }
  EXPECT_EQ(lake_->counters.row_groups_opened, 1);
  // What comes after the last survivor is not read.
  EXPECT_EQ(lake_->counters.values_decoded, expected.back() + 1);
}

/// Slots for a column of integers, and what is written to them; nulls as -1.
template <typename T>
struct Slots {
  std::vector<T> values;
  std::vector<uint8_t> valid;
  int settled = 0;

  std::vector<int64_t> Integers() const {
    std::vector<int64_t> all(values.begin(), values.end());
    for (size_t i = 0; i < valid.size(); ++i) {
      if (valid[i] == 0) all[i] = -1;
    }
    return all;
  }

  window::Slot Make(int64_t rows) {
    values.assign(static_cast<size_t>(rows), 0);
    valid.clear();
    return {.values = reinterpret_cast<uint8_t*>(values.data()),
            .valid = [this]() -> Result<uint8_t*> {
              if (valid.empty()) valid.assign(values.size(), 1);
              return valid.data();
            },
            .settle =
                [this] {
                  ++settled;
                  return Status::OK();
                }};
  }
};

TEST_F(SurvivorReaderTest, SurvivorsArePlacedAsTheyAreDelivered) {
  arrow::Int64Builder id, by_chance;
  arrow::Int16Builder narrow;
  constexpr int64_t kMany = 30'000;
  base::KeyedRandom random(9);
  for (int64_t i = 0; i < kMany; ++i) {
    Check(id.Append(i));
    Check(by_chance.Append(static_cast<int64_t>(random.Below(1000))));
    Check(i % 11 == 0 ? narrow.AppendNull() : narrow.Append(i % 1000));
  }
  const auto table = arrow::Table::Make(
      arrow::schema({arrow::field("id", arrow::int64()),
                     arrow::field("chance", arrow::int64()),
                     arrow::field("narrow", arrow::int16())}),
      {Check(id.Finish()), Check(by_chance.Finish()), Check(narrow.Finish())});
  testing::ParquetOptions options;
  options.data_page_bytes = 4096;
  options.row_group_rows = kMany;
  testing::WriteParquet(Path(), table, options);
  lake_ = std::make_unique<Lake>(Path());
  const BlockRef block{0, 0, 0, kMany, true};
  // By how many rows pass: few, some, most, and all but a stretch.
  for (const std::string filter : {"chance < 1", "chance < 500", "chance < 990",
                                   "chance < 1001 and (id < 9000 or id >= 19000)"}) {
    for (const int64_t tile_rows : {700, 5000, 100'000}) {
      lake_->context.tile_rows = tile_rows;
      Select({"narrow", "id"}, filter);
      const int64_t count = Check(Reader().Count(block));
      Taken taken;
      Check(Reader().Read(block, 0, count, taken.sink()));
      const auto expected = taken.Of(0);
      ASSERT_EQ(std::ssize(expected), count);
      Slots<int16_t> slots;
      Taken rest;
      Sink sink = rest.sink();
      sink.slot_of = [&](size_t column,
                         int64_t rows) -> Result<std::optional<window::Slot>> {
        if (column != 0) return std::nullopt;
        return slots.Make(rows);
      };
      auto reader = Reader();
      const int64_t step = count / 3 + 1;
      for (int64_t at = 0; at < count; at += step) {
        const int64_t rows = std::min(step, count - at);
        rest.values.clear();
        Check(reader.Read(block, at, rows, sink));
        EXPECT_EQ(slots.Integers(),
                  std::vector(expected.begin() + at, expected.begin() + at + rows));
        EXPECT_FALSE(rest.values.contains(0));
        EXPECT_THAT(rest.Of(1), SizeIs(rows));
      }
      EXPECT_EQ(slots.settled, (count + step - 1) / step);
    }
  }
}

TEST_F(SurvivorReaderTest, ReadsBlocksWithinARowGroup) {
  Select({"id"}, "group == 3");
  const BlockRef block{0, 0, 300, 250, true};
  Taken taken;
  const auto expected = Survivors(300, 550);
  EXPECT_EQ(Check(Reader().Count(block)), static_cast<int64_t>(expected.size()));
  auto reader = Reader();
  Check(reader.Read(block, 0, static_cast<int64_t>(expected.size()), taken.sink()));
  EXPECT_EQ(taken.Of(0), expected);
  Taken all;
  Check(reader.Read({0, 0, 300, 250, false}, 10, 3, all.sink()));
  EXPECT_EQ(all.Of(0), std::vector<int64_t>({310, 311, 312}));
}

TEST_F(SurvivorReaderTest, ReadNextGivesATileAtATimeUntilNoneIsLeft) {
  for (bool filtered : {false, true}) {
    Select({"id"}, "group == 3");
    auto reader = Reader();
    std::vector<int64_t> all;
    int calls = 0;
    while (true) {
      Taken taken;
      const int64_t rows =
          Check(reader.ReadNext(filtered ? kFiltered : kWhole, taken.sink()));
      const auto ids = taken.Of(0);
      ASSERT_EQ(rows, static_cast<int64_t>(ids.size()));
      ASSERT_LE(rows, 100);
      if (rows == 0) break;
      all.insert(all.end(), ids.begin(), ids.end());
      ++calls;
    }
    EXPECT_EQ(all.size(), filtered ? Survivors(kRows / 2, kRows).size() : kRows / 2);
    EXPECT_EQ(calls, 10);
  }
}

TEST_F(SurvivorReaderTest, AFilterThatNothingPassesGivesNothing) {
  Select({"id"}, "group == 99");
  auto reader = Reader();
  Taken taken;
  EXPECT_EQ(Check(reader.Count(kFiltered)), 0);
  EXPECT_EQ(Check(reader.ReadNext(kFiltered, taken.sink())), 0);
  EXPECT_THAT(taken.values, IsEmpty());
}

TEST_F(SurvivorReaderTest, CountReadsOnlyTheFiltersColumns) {
  Select({"id", "text"}, "group == 3");
  Check(Reader().Count(kFiltered));
  EXPECT_EQ(lake_->counters.values_decoded, kRows / 2);
}

TEST_F(SurvivorReaderTest, PassesOverColumnsWhereNothingIsWanted) {
  Select({"text", "id"}, "id >= 1900");
  auto reader = Reader();
  Taken taken;
  ASSERT_EQ(Check(reader.Count(kFiltered)), 100);
  const int64_t before = lake_->counters.values_decoded;
  Check(reader.Read(kFiltered, 0, 100, {[](const Delivery&) { return Status::OK(); }}));
  // All of id, and of text little more than the last tile.
  EXPECT_LT(lake_->counters.values_decoded - before, kRows / 2 + 200);
}

TEST_F(SurvivorReaderTest, AnErrorOfTheSinkEndsTheReadAndTheNextOneIsRight) {
  Select({"id", "group"}, "group == 3");
  auto reader = Reader();
  const Status status = reader.Read(
      kFiltered, 0, 20, {[](const Delivery& delivery) {
        return delivery.column == 1 ? Status::Cancelled("enough") : Status::OK();
      }});
  EXPECT_TRUE(status.IsCancelled());
  Taken taken;
  Check(reader.Read(kFiltered, 20, 5, taken.sink()));
  const auto expected = Survivors(kRows / 2, kRows);
  EXPECT_EQ(taken.Of(0), std::vector(expected.begin() + 20, expected.begin() + 25));
}

TEST_F(SurvivorReaderTest, MoreSurvivorsThanThereAreIsInternal) {
  Select({"id"}, "group == 3");
  auto reader = Reader();
  Taken taken;
  const Status status = reader.Read(kFiltered, 0, kRows, taken.sink());
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kInternal);
  EXPECT_THAT(MessageOf(status), HasSubstr("a.parquet"));
}

TEST_F(SurvivorReaderTest, HoldsNothingWhenABlockIsFinishedOrClosed) {
  Select({"id", "text"});
  auto reader = Reader();
  Check(
      reader.Read(kWhole, 0, kRows / 2, {[](const Delivery&) { return Status::OK(); }}));
  EXPECT_EQ(lake_->pool.bytes_allocated(), 0);
  Check(reader.Read(kWhole, 0, 10, {[](const Delivery&) { return Status::OK(); }}));
  EXPECT_GT(lake_->pool.bytes_allocated(), 0);
  reader.Close();
  EXPECT_EQ(lake_->pool.bytes_allocated(), 0);
}

TEST_F(SurvivorReaderTest, ADamagedPageIsAnErrorUnlessTolerated) {
  const auto [from, to] = Damage(0, 3);
  Select({"id", "group"});
  const BlockRef block{0, 0, 0, kRows / 2, false};
  {
    auto reader = Reader();
    Taken taken;
    const Status status = reader.Read(block, 0, kRows / 2, taken.sink());
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(KindOf(status), ErrorKind::kCorrupt);
  }
  lake_->context.tolerant = true;
  for (int64_t first : {int64_t{0}, from - 1, from, from + 1, to - 1, to}) {
    auto reader = Reader();
    Taken taken;
    Check(reader.Read(block, first, kRows / 2 - first, taken.sink()));
    const auto ids = taken.Of(0);
    ASSERT_THAT(ids, SizeIs(kRows / 2 - first));
    for (int64_t i = 0; i < static_cast<int64_t>(ids.size()); ++i) {
      const int64_t row = first + i;
      ASSERT_EQ(ids[i], row >= from && row < to ? -1 : row);
    }
    EXPECT_EQ(taken.damaged, std::max<int64_t>(0, to - std::max(first, from)));
    EXPECT_THAT(taken.Of(1), SizeIs(kRows / 2 - first));
  }
}

TEST_F(SurvivorReaderTest, DamagedSurvivorsAreToldApart) {
  const auto [from, to] = Damage(0, 3);
  lake_->context.tolerant = true;
  Select({"id"}, "group == 3");
  auto reader = Reader();
  Taken taken;
  auto expected = Survivors(0, kRows / 2);
  Check(reader.Read({0, 0, 0, kRows / 2, true}, 0, static_cast<int64_t>(expected.size()),
                    taken.sink()));
  int64_t damaged = 0;
  for (int64_t& id : expected) {
    if (id < from || id >= to) continue;
    id = -1;
    ++damaged;
  }
  EXPECT_GT(damaged, 0);
  EXPECT_EQ(taken.damaged, damaged);
  EXPECT_EQ(taken.Of(0), expected);

  // A slot is left when the damage is met.
  Slots<int64_t> slots;
  Taken delivered;
  Sink sink = delivered.sink();
  sink.slot_of = [&](size_t, int64_t rows) -> Result<std::optional<window::Slot>> {
    return slots.Make(rows);
  };
  Check(Reader().Read({0, 0, 0, kRows / 2, true}, 0, std::ssize(expected), sink));
  EXPECT_EQ(slots.settled, 0);
  EXPECT_EQ(delivered.damaged, damaged);
  EXPECT_EQ(delivered.Of(0), expected);
}

TEST_F(SurvivorReaderTest, ADamagedFilterColumnIsAlwaysAnError) {
  Damage(1, 3);
  lake_->context.tolerant = true;
  Select({"id"}, "group == 3");
  EXPECT_EQ(KindOf(Reader().Count({0, 0, 0, kRows / 2, true}).status()),
            ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace headrace::reader
