#include "reader/row_group_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <headrace/row_id.h>
#include <parquet/arrow/reader.h>

#include "base/random.h"
#include "tests/cpp/reading.h"

namespace headrace::reader {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TempDir;

constexpr int64_t kRows = 3000;

/// Rows of structs, lists and a dictionary, with nulls at every level.
std::shared_ptr<arrow::Table> NestedTable() {
  const auto schema = arrow::schema(
      {arrow::field("i", arrow::int32()),
       arrow::field("list", arrow::list(arrow::int64())),
       arrow::field("s", arrow::struct_({arrow::field("a", arrow::float32()),
                                         arrow::field("t", arrow::utf8()),
                                         arrow::field("l", arrow::list(arrow::utf8()))})),
       arrow::field("deep", arrow::list(arrow::list(arrow::int16()))),
       arrow::field("word", arrow::utf8())});
  std::string rows = "[";
  for (int64_t i = 0; i < kRows; ++i) {
    const std::string n = std::to_string(i);
    rows += i == 0 ? "" : ",";
    rows += "{\"i\": " + (i % 7 == 0 ? "null" : n);
    rows +=
        ", \"word\": " + (i % 11 == 0 ? "null" : "\"w" + std::to_string(i % 5) + "\"");
    rows += ", \"list\": ";
    rows += i % 4 == 0 ? "null" : i % 4 == 1 ? "[]" : "[" + n + ", null, -" + n + "]";
    rows += ", \"s\": ";
    rows += i % 5 == 0
                ? "null"
                : "{\"a\": " + n + ", \"t\": " + (i % 3 == 0 ? "null" : "\"" + n + "\"") +
                      ", \"l\": " + (i % 2 == 0 ? "[\"x\", null]" : "null") + "}";
    rows += ", \"deep\": " + std::string(i % 6 == 0 ? "null" : "[[1, 2], [], null, [3]]");
    rows += "}";
  }
  auto table = testing::TableFromJson(schema, rows + "]");
  const auto word =
      Cast(Joined(*table->column(4)), arrow::dictionary(arrow::int32(), arrow::utf8()));
  return testing::Check(table->SetColumn(4, arrow::field("word", word->type()),
                                         std::make_shared<arrow::ChunkedArray>(word)));
}

/// The file as parquet::arrow reads it.
std::shared_ptr<arrow::Table> ReadByArrow(const std::string& path) {
  auto file = testing::Check(arrow::io::ReadableFile::Open(path));
  auto reader =
      testing::Check(parquet::arrow::OpenFile(file, arrow::default_memory_pool()));
  return testing::Check(reader->ReadTable());
}

class RowGroupReaderTest : public ::testing::TestWithParam<bool> {
 protected:
  std::string Write(const std::shared_ptr<arrow::Table>& table, bool index = true) {
    testing::ParquetOptions options;
    options.data_page_bytes = 512;
    options.page_index = index;
    testing::WriteParquet(dir_ / "a.parquet", table, options);
    return dir_ / "a.parquet";
  }

  TempDir dir_;
};

INSTANTIATE_TEST_SUITE_P(Index, RowGroupReaderTest, ::testing::Bool());

TEST_P(RowGroupReaderTest, ReadsNestedColumnsFromAnyRowAsArrowDoes) {
  const std::string path = Write(NestedTable(), GetParam());
  const auto expected = ReadByArrow(path);
  const Lake lake(path);
  const std::vector<std::string> names = {"i", "list", "s", "deep", "word"};
  base::KeyedRandom random(3);
  for (int trial = 0; trial < 40; ++trial) {
    auto first = static_cast<int64_t>(random.Below(kRows));
    SCOPED_TRACE(first);
    auto reader = testing::Check(lake.Open(names, first));
    for (int64_t at = first; at < kRows;) {
      const auto rows =
          std::min<int64_t>(kRows - at, static_cast<int64_t>(1 + random.Below(900)));
      const bool skip = random.Below(3) == 0;
      for (size_t c = 0; c < names.size(); ++c) {
        if (skip) {
          reader->Skip(c, rows);
          continue;
        }
        const auto values = testing::Check(reader->Read(c, rows));
        ASSERT_TRUE(values->ValidateFull().ok());
        ASSERT_TRUE(Plain(values)->Equals(
            Plain(Joined(*expected->column(static_cast<int>(c)))->Slice(at, rows))))
            << names[c] << " at " << at;
      }
      at += rows;
    }
  }
}

TEST_P(RowGroupReaderTest, ReadsFieldsOfStructsByDottedName) {
  const std::string path = Write(NestedTable(), GetParam());
  const auto table = testing::Check(ReadByArrow(path)->Flatten());
  const Lake lake(path);
  for (const char* name : {"s.a", "s.t", "s.l"}) {
    const auto expected = Joined(*table->GetColumnByName(name));
    for (int64_t first : {0, 5, 1234, 2999}) {
      SCOPED_TRACE(std::string(name) + " from " + std::to_string(first));
      const auto values = testing::Check(lake.Read(name, first, kRows - first));
      EXPECT_TRUE(values->Equals(expected->Slice(first)));
    }
  }
}

TEST_F(RowGroupReaderTest, ColumnsAdvanceApartFromEachOther) {
  const Lake lake(Write(NestedTable()));
  auto reader = testing::Check(lake.Open({"i", "word", "i"}));
  const auto all = testing::Check(lake.Read("i", 0, kRows));
  ASSERT_TRUE(testing::Check(reader->Read(2, 100))->Equals(all->Slice(0, 100)));
  ASSERT_TRUE(testing::Check(reader->Read(0, 10))->Equals(all->Slice(0, 10)));
  reader->Skip(1, 2999);
  ASSERT_TRUE(testing::Check(reader->Read(2, 5))->Equals(all->Slice(100, 5)));
  ASSERT_TRUE(testing::Check(reader->Read(0, 2990))->Equals(all->Slice(10)));
  EXPECT_EQ(testing::Check(reader->Read(1, 1))->length(), 1);
}

TEST_F(RowGroupReaderTest, GivesColumnsThatAFileLacksAsNullsAndPartitionsAsValues) {
  testing::WriteParquet(dir_ / "lake/day=7/a.parquet", testing::Numbers(0, 5, "x"));
  testing::WriteParquet(dir_ / "lake/day=8/b.parquet", testing::Numbers(5, 5, "y"));
  const Lake lake(dir_ / "lake");
  EXPECT_TRUE(testing::Check(lake.Read("x", 2, 3, 0, 0))
                  ->Equals(FromJson(arrow::int64(), "[2, 3, 4]")));
  EXPECT_TRUE(testing::Check(lake.Read("x", 2, 3, 0, 1))
                  ->Equals(FromJson(arrow::int64(), "[null, null, null]")));
  EXPECT_TRUE(testing::Check(lake.Read("day", 2, 2, 0, 1))
                  ->Equals(FromJson(arrow::int32(), "[8, 8]")));
  auto reader = testing::Check(lake.Open({"day", "x"}, 0, 0, 1));
  reader->Skip(0, 100);
  reader->Skip(1, 100);
}

TEST_F(RowGroupReaderTest, WidensToTheTablesTypes) {
  auto write = [&](const std::string& name,
                   const std::shared_ptr<arrow::DataType>& type) {
    testing::WriteParquet(dir_ / name,
                          testing::TableFromJson(arrow::schema({arrow::field("x", type)}),
                                                 R"([{"x": 1}, {"x": null}, {"x": 3}])"));
  };
  write("lake/a.parquet", arrow::int16());
  write("lake/b.parquet", arrow::int64());
  const Lake lake(dir_ / "lake");
  const auto expected = FromJson(arrow::int64(), "[1, null, 3]");
  EXPECT_TRUE(testing::Check(lake.Read("x", 0, 3, 0, 0))->Equals(expected));
  EXPECT_TRUE(testing::Check(lake.Read("x", 0, 3, 0, 1))->Equals(expected));
}

TEST_F(RowGroupReaderTest, ADamagedPageIsCorruptWithFileRowGroupAndColumn) {
  const std::string path = Write(testing::Numbers(0, kRows, "x"));
  const auto pages = PagesOf(path, 0, 0);
  std::string bytes = testing::ReadWholeFile(path);
  std::fill(bytes.begin() + pages[3].begin, bytes.begin() + pages[3].begin + 30, '\xff');
  testing::WriteFile(path, bytes);
  const Lake lake(path);
  const Status status = lake.Read("x", 0, kRows).status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kCorrupt);
  EXPECT_THAT(MessageOf(status), AllOf(HasSubstr("a.parquet"), HasSubstr("row group 0"),
                                       HasSubstr("\"x\"")));
  // Pages before it are whole, and those after it are found by the index.
  EXPECT_TRUE(lake.Read("x", 0, 10).ok());
  EXPECT_TRUE(lake.Read("x", kRows - 10, 10).ok());
}

TEST_F(RowGroupReaderTest, AFileCutShortAfterOpeningIsAConflict) {
  const std::string path = Write(NestedTable());
  const Lake lake(path);
  testing::WriteFile(path, testing::ReadWholeFile(path).substr(0, 100));
  const Status status = lake.Read("i", 0, 10).status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kConflict) << status.ToString();
  EXPECT_THAT(MessageOf(status), HasSubstr("a.parquet"));
}

TEST_F(RowGroupReaderTest, NamesColumnsThatAreNotThere) {
  const Lake lake(Write(NestedTable()));
  EXPECT_EQ(KindOf(lake.Open({"absent"}).status()), ErrorKind::kNotFound);
  EXPECT_EQ(KindOf(lake.Open({"s.absent"}).status()), ErrorKind::kNotFound);
}

TEST_F(RowGroupReaderTest, IsRefusedByASpentBudget) {
  const Lake source(Write(NestedTable()));
  base::MemoryBudget budget(arrow::default_memory_pool(), 4 << 10);
  Lake lake(dir_ / "a.parquet");
  lake.context.pool = &budget;
  const Status status = lake.Read("i", 0, kRows).status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kResourceExhausted) << status.ToString();
  EXPECT_EQ(budget.bytes_allocated(), 0);
}

TEST_F(RowGroupReaderTest, CountsWhatItReads) {
  const Lake lake(Write(NestedTable()));
  ASSERT_TRUE(lake.Read("i", 0, kRows).ok());
  EXPECT_EQ(lake.counters.row_groups_opened, 1);
  EXPECT_EQ(lake.counters.values_decoded, kRows);
  EXPECT_GT(lake.counters.read_calls, 0);
  EXPECT_EQ(lake.pool.bytes_allocated(), 0);
}

/// Two files of three row groups each.
Lake NumberedLake(const TempDir& dir, bool index) {
  testing::ParquetOptions options;
  options.row_group_rows = 40;
  options.page_index = index;
  testing::WriteParquet(dir / "lake/b.parquet", testing::Numbers(0, 100), options);
  testing::WriteParquet(dir / "lake/c.parquet", testing::Numbers(100, 100), options);
  return Lake(dir / "lake");
}

std::vector<int64_t> Int64s(const arrow::Array& values) {
  const auto* numbers = static_cast<const arrow::Int64Array&>(values).raw_values();
  return {numbers, numbers + values.length()};
}

TEST_P(RowGroupReaderTest, ReadsSkipsAndPlacesRowIds) {
  const Lake lake = NumberedLake(dir_, GetParam());
  auto reader = testing::Check(lake.Open({"row_id", "x"}, 3, 1, 1));
  ASSERT_TRUE(reader->CanPlace(0));
  EXPECT_THAT(Int64s(*testing::Check(reader->Read(0, 2))),
              ::testing::ElementsAre(RowId(1, 43), RowId(1, 44)));
  reader->Skip(0, 5);
  std::vector<int64_t> placed(3);
  window::Slot slot;
  slot.values = reinterpret_cast<uint8_t*>(placed.data());
  testing::Check(reader->Place(0, 3, slot));
  EXPECT_THAT(placed, ::testing::ElementsAre(RowId(1, 50), RowId(1, 51), RowId(1, 52)));
  testing::Check(reader->Place(0, 2, slot));
  EXPECT_EQ(placed[0], RowId(1, 53));
  EXPECT_EQ(placed[1], RowId(1, 54));
  EXPECT_THAT(Int64s(*testing::Check(reader->Read(0, 1))),
              ::testing::ElementsAre(RowId(1, 55)));
  // Columns advance apart.
  EXPECT_THAT(Int64s(*testing::Check(reader->Read(1, 1))), ::testing::ElementsAre(143));
  EXPECT_EQ(lake.counters.decode_paths.Get().at("row_id"), DecodePath::kConstant);
}

TEST_F(RowGroupReaderTest, RowIdsAreReadWithoutReadingAnything) {
  const Lake lake = NumberedLake(dir_, true);
  const auto ids = testing::Check(lake.Read("row_id", 0, 20, 2, 1));
  EXPECT_EQ(Int64s(*ids).front(), RowId(1, 80));
  EXPECT_EQ(Int64s(*ids).back(), RowId(1, 99));
  EXPECT_EQ(lake.counters.values_decoded, 0);
}

TEST_F(RowGroupReaderTest, AStoredColumnIsTheOneOfItsName) {
  testing::WriteParquet(dir_ / "a.parquet", testing::Numbers(7, 3, "row_id"));
  const Lake lake(dir_ / "a.parquet");
  EXPECT_TRUE(lake.table->stores_row_id());
  EXPECT_THAT(Int64s(*testing::Check(lake.Read("row_id", 0, 3))),
              ::testing::ElementsAre(7, 8, 9));
}

}  // namespace
}  // namespace headrace::reader
