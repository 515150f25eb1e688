#include "reader/salvage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cpp/reading.h"

namespace headrace::reader {
namespace {

using testing::Check;
using ::testing::Each;
using ::testing::IsEmpty;
using testing::TempDir;

constexpr int64_t kRows = 3000;

class SalvageTest : public ::testing::Test {
 protected:
  /// Ids 0 ... kRows - 1 in small pages, some of which are then damaged.
  void Write(const std::vector<size_t>& damaged, bool index = true) {
    testing::ParquetOptions options;
    options.data_page_bytes = 512;
    options.page_index = index;
    options.page_checksums = true;
    options.dictionary = false;
    options.compression = parquet::Compression::UNCOMPRESSED;
    const auto table = testing::Numbers(0, kRows, "id");
    testing::WriteParquet(Path(), table, options);
    if (index) {
      auto file = parquet::ParquetFileReader::OpenFile(Path());
      const auto pages = file->GetPageIndexReader()->RowGroup(0)->GetOffsetIndex(0);
      pages_ = PagesOf(Path(), 0, 0);
      rows_.clear();
      for (const auto& page : pages->page_locations()) {
        rows_.push_back(page.first_row_index);
      }
      rows_.push_back(kRows);
    }
    std::string bytes = testing::ReadWholeFile(Path());
    for (size_t page : damaged) {
      // Two neighbouring values, as they are stored.
      const int64_t values[] = {rows_[page] + 3, rows_[page] + 4};
      const std::string stored(reinterpret_cast<const char*>(values), sizeof(values));
      bytes.at(bytes.find(stored)) ^= 0x55;
    }
    testing::WriteFile(Path(), bytes);
    lake_ = std::make_unique<Lake>(Path());
  }

  std::string Path() const { return dir_ / "a.parquet"; }

  Result<Salvaged> Run(int64_t first, int64_t rows) {
    return Salvage(lake_->context, 0, 0, first, rows, lake_->Column("id"));
  }

  /// Whether just the rows of the damaged pages are found so, from `first` on.
  void ExpectDamaged(const std::vector<size_t>& pages, int64_t first, int64_t rows) {
    SCOPED_TRACE(::testing::Message() << rows << " rows from " << first);
    const Salvaged salvaged = Check(Run(first, rows));
    ASSERT_EQ(salvaged.values->length(), rows);
    ASSERT_TRUE(salvaged.values->ValidateFull().ok());
    const auto& ids = static_cast<const arrow::Int64Array&>(*salvaged.values);
    for (int64_t i = 0; i < rows; ++i) {
      bool bad = false;
      for (size_t page : pages) {
        bad |= first + i >= rows_[page] && first + i < rows_[page + 1];
      }
      ASSERT_EQ(!salvaged.damaged.empty() && salvaged.damaged[i] != 0, bad) << first + i;
      ASSERT_EQ(ids.IsNull(i), bad);
      if (bad) continue;
      ASSERT_EQ(ids.Value(i), first + i);
    }
  }

  TempDir dir_;
  std::unique_ptr<Lake> lake_;
  std::vector<PageBytes> pages_;
  std::vector<int64_t> rows_;  // the first of each page
};

TEST_F(SalvageTest, ReadsWhatIsWhole) {
  Write({});
  const Salvaged salvaged = Check(Run(5, 100));
  EXPECT_EQ(salvaged.values->length(), 100);
  EXPECT_THAT(salvaged.damaged, IsEmpty());
}

TEST_F(SalvageTest, LosesOnlyTheDamagedPageWhereverReadingBegins) {
  Write({7});
  const int64_t from = rows_[7], to = rows_[8];
  ExpectDamaged({7}, 0, kRows);
  ExpectDamaged({7}, from - 1, to - from + 2);
  ExpectDamaged({7}, from, to - from);
  ExpectDamaged({7}, from + 3, kRows - from - 3);
  ExpectDamaged({7}, 0, from + 1);
  ExpectDamaged({7}, to - 1, 1);
  ExpectDamaged({7}, to, kRows - to);
  ExpectDamaged({7}, 0, from);
}

TEST_F(SalvageTest, WithoutAnIndexLosesAtMostTheRowAfterThePage) {
  Write({});
  Write({7}, /*index=*/false);
  for (int64_t first : {int64_t{0}, rows_[7] - 1, rows_[7], rows_[7] + 9, rows_[8] + 1}) {
    const Salvaged salvaged = Check(Run(first, kRows - first));
    const auto& ids = static_cast<const arrow::Int64Array&>(*salvaged.values);
    for (int64_t i = 0; i < ids.length(); ++i) {
      const int64_t row = first + i;
      if (row == rows_[8]) continue;
      const bool bad = row >= rows_[7] && row < rows_[8];
      ASSERT_EQ(!salvaged.damaged.empty() && salvaged.damaged[i] != 0, bad) << row;
      ASSERT_EQ(ids.IsNull(i) ? -1 : ids.Value(i), bad ? -1 : row);
    }
  }
}

TEST_F(SalvageTest, LosesTheFirstAndTheLastPage) {
  Write({0});
  ExpectDamaged({0}, 0, kRows);
  Write({rows_.size() - 2});
  ExpectDamaged({rows_.size() - 2}, 0, kRows);
}

TEST_F(SalvageTest, FindsSeveralDamagedPages) {
  Write({3, 20, 21});
  ExpectDamaged({3, 20, 21}, 0, kRows);
  ExpectDamaged({3, 20, 21}, rows_[3] + 1, rows_[30] - rows_[3]);
}

TEST_F(SalvageTest, LooksForNothingBetweenADamagedFirstAndLastRow) {
  Write({3, 20});
  const Salvaged salvaged = Check(Run(rows_[3], rows_[20] + 1 - rows_[3]));
  EXPECT_THAT(salvaged.damaged, Each(1));
  EXPECT_EQ(salvaged.values->null_count(), salvaged.values->length());
}

TEST_F(SalvageTest, ReadsPastABrokenPageHeaderByTheIndex) {
  Write({});
  std::string bytes = testing::ReadWholeFile(Path());
  std::fill_n(bytes.begin() + pages_[10].begin, 12, '\xff');
  testing::WriteFile(Path(), bytes);
  lake_ = std::make_unique<Lake>(Path());
  ExpectDamaged({10}, 0, kRows);
  ExpectDamaged({10}, rows_[10] + 1, 500);
}

TEST_F(SalvageTest, ReturnsErrorsThatAreNotOfDamage) {
  Write({7});
  const auto column = lake_->Column("id");
  base::MemoryBudget budget(arrow::default_memory_pool(), 512);
  lake_->context.pool = &budget;
  const Status status = Salvage(lake_->context, 0, 0, 0, kRows, column).status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kResourceExhausted);

  lake_->context.pool = &lake_->pool;
  std::filesystem::remove(Path());
  EXPECT_NE(KindOf(Salvage(lake_->context, 0, 0, 0, kRows, column).status()),
            ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace headrace::reader
