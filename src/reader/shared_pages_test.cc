#include "reader/shared_pages.h"

#include <gtest/gtest.h>

#include "tests/cpp/reading.h"

namespace headrace::reader {
namespace {

using testing::TempDir;

SharedPages::Pages PagesOfBytes(int64_t bytes) {
  auto buffer = testing::Check(arrow::AllocateBuffer(bytes));
  SharedPages::Pages pages;
  pages.dictionary = std::make_shared<parquet::DictionaryPage>(
      std::shared_ptr<arrow::Buffer>(std::move(buffer)), 1, parquet::Encoding::PLAIN);
  return pages;
}

TEST(SharedPages, AreTakenOnce) {
  SharedPages shared(100);
  shared.Put({1, 2, 3}, PagesOfBytes(60));
  EXPECT_EQ(0, shared.Take({1, 2, 4}).bytes());
  EXPECT_EQ(60, shared.Take({1, 2, 3}).bytes());
  EXPECT_EQ(0, shared.Take({1, 2, 3}).bytes());
}

TEST(SharedPages, LetGoOfTheOldestFirst) {
  SharedPages shared(100);
  for (int leaf = 0; leaf < 4; ++leaf) shared.Put({0, 0, leaf}, PagesOfBytes(40));
  EXPECT_EQ(0, shared.Take({0, 0, 1}).bytes());
  EXPECT_EQ(40, shared.Take({0, 0, 2}).bytes());
  EXPECT_EQ(40, shared.Take({0, 0, 3}).bytes());
}

TEST(SharedPages, TakeThePlaceOfThoseBeforeThem) {
  SharedPages shared(100);
  shared.Put({}, PagesOfBytes(70));
  shared.Put({}, PagesOfBytes(80));
  shared.Put({1}, PagesOfBytes(20));
  EXPECT_EQ(80, shared.Take({}).bytes());
  shared.Put({1}, PagesOfBytes(101));
  EXPECT_EQ(0, shared.Take({1}).bytes()) << "too large, and no longer what it was";
}

/// A column chunk of a large dictionary and pages of about 100 rows, read in two parts as
/// two streams do.
class SharedPagesTest : public ::testing::Test {
 protected:
  static constexpr int64_t kRows = 4000;
  static constexpr int64_t kCut = 2050;

  SharedPagesTest() {
    arrow::Int64Builder values;
    for (int64_t i = 0; i < kRows; ++i) testing::Check(values.Append(i * 7919 % 3001));
    table_ = arrow::Table::Make(arrow::schema({arrow::field("x", arrow::int64())}),
                                {testing::Check(values.Finish())});
    parquet::WriterProperties::Builder properties;
    properties.data_pagesize(128)->write_batch_size(100);
    properties.compression(parquet::Compression::ZSTD);
    WriteParquetAs(dir_ / "a.parquet", table_, properties.build());
    lake_.emplace(dir_ / "a.parquet");
  }

  /// Reads rows [first, first + rows), and how many bytes of the file that takes.
  int64_t Read(int64_t first, int64_t rows, bool others_follow) {
    const int64_t before = lake_->counters.bytes_read;
    const std::vector<ReadColumn> columns = {lake_->Column("x")};
    EnteredRows entered;
    entered.first = first;
    entered.others_follow = others_follow;
    auto reader =
        testing::Check(RowGroupReader::Open(lake_->context, 0, 0, entered, columns));
    const auto values = testing::Check(reader->Read(0, rows));
    EXPECT_TRUE(values->Equals(Joined(*table_->column(0))->Slice(first, rows)));
    return lake_->counters.bytes_read - before;
  }

  TempDir dir_;
  std::shared_ptr<arrow::Table> table_;
  std::optional<Lake> lake_;
  SharedPages shared_{1 << 20};
};

TEST_F(SharedPagesTest, SaveTheirReadingToWhoComesToWhatLiesBefore) {
  const int64_t alone = Read(0, kCut, false);
  const auto pages = PagesOf(dir_ / "a.parquet", 0, 0);
  const int64_t dictionary = pages.front().begin;
  ASSERT_GT(dictionary, 4 * lake_->context.read_buffer_bytes);
  lake_->context.shared_pages = &shared_;

  Read(kCut, kRows - kCut, /*others_follow=*/true);
  EXPECT_LE(Read(0, kCut, false), alone - dictionary / 2);
  EXPECT_EQ(0, shared_.Take({}).bytes()) << "taken, and not left again";
  EXPECT_EQ(alone, Read(0, kCut, false)) << "they were taken";
}

TEST_F(SharedPagesTest, AreNotLeftWhereNobodyFollows) {
  lake_->context.shared_pages = &shared_;
  Read(kCut, kRows - kCut, /*others_follow=*/false);
  EXPECT_EQ(0, shared_.Take({}).bytes());
}

TEST_F(SharedPagesTest, AreNotNeededWhereMemoryIsSpent) {
  lake_->context.shared_pages = &shared_;
  Read(kCut, 10, /*others_follow=*/true);
  const auto pages = shared_.Take({});
  ASSERT_NE(nullptr, pages.page);
  EXPECT_LE(pages.first_row, kCut);
  EXPECT_GT(pages.first_row + pages.page->num_values(), kCut);

  base::MemoryBudget none(arrow::default_memory_pool(), 0);
  const auto copy = CopyOf(*pages.page, &none);
  EXPECT_TRUE(copy.status().IsOutOfMemory()) << copy.status().ToString();
}

TEST_F(SharedPagesTest, EndARowGroupThatIsCutInThree) {
  lake_->context.shared_pages = &shared_;
  Read(3000, kRows - 3000, /*others_follow=*/true);
  Read(kCut, 3000 - kCut, /*others_follow=*/true);
  Read(0, kCut, false);
}

}  // namespace
}  // namespace headrace::reader
