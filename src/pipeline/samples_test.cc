// Row ids, rows by their ids, and splits, as users of the C++ API have them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <headrace/dataset.h>
#include <headrace/loader.h>
#include <headrace/row_id.h>

#include <arrow/table.h>

#include <set>
#include <string>
#include <vector>

#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using testing::Check;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kRows = 1000;

void ExpectKind(const Status& status, ErrorKind kind, const std::string& what) {
  ASSERT_FALSE(status.ok()) << what;
  EXPECT_EQ(KindOf(status), kind) << status.ToString();
  EXPECT_THAT(MessageOf(status), HasSubstr(what));
}

std::vector<int64_t> Int64s(const arrow::Table& table, const std::string& name) {
  std::vector<int64_t> values;
  for (const auto& chunk : table.GetColumnByName(name)->chunks()) {
    const auto& numbers = static_cast<const arrow::Int64Array&>(*chunk);
    for (int64_t i = 0; i < numbers.length(); ++i) values.push_back(numbers.Value(i));
  }
  return values;
}

class SamplesTest : public ::testing::Test {
 protected:
  /// x from 0 on, over files of `file_rows`, and the user x % 100.
  Dataset Write(int64_t file_rows = 300, const std::string& folder = "lake") {
    const auto schema = arrow::schema(
        {arrow::field("x", arrow::int64()), arrow::field("user", arrow::utf8())});
    int file = 0;
    for (int64_t first = 0; first < kRows; first += file_rows) {
      std::string rows = "[";
      for (int64_t i = first; i < std::min(kRows, first + file_rows); ++i) {
        rows += std::string(i > first ? "," : "") + "[" + std::to_string(i) + ", \"u" +
                std::to_string(i % 100) + "\"]";
      }
      testing::ParquetOptions options;
      options.row_group_rows = 70;
      options.data_page_bytes = 256;
      options.page_index = file % 2 == 0;
      testing::WriteParquet(folder_ / (folder + "/" + std::to_string(file) + ".parquet"),
                            testing::TableFromJson(schema, rows + "]"), options);
      ++file;
    }
    return Check(Dataset::Open(folder_ / folder));
  }

  testing::TempDir folder_;
};

TEST_F(SamplesTest, ARowIdIsFileAndRow) {
  const Dataset dataset = Write();
  const auto table = Check(Check(dataset.Select({"x"}, true)).ToTable());
  EXPECT_THAT(table->ColumnNames(), ElementsAre("x", "row_id"));
  const auto ids = Int64s(*table, "row_id");
  for (int64_t i = 0; i < kRows; ++i) {
    ASSERT_EQ(ids[static_cast<size_t>(i)], RowId(i / 300, i % 300));
    ASSERT_EQ(FileOf(RowId(i / 300, i % 300)), i / 300);
    ASSERT_EQ(RowInFileOf(RowId(i / 300, i % 300)), i % 300);
  }
}

TEST_F(SamplesTest, RowIdsAreAddedToWhatIsSelected) {
  const Dataset dataset = Write();
  EXPECT_THAT(Check(dataset.Select({}, true)).schema()->field_names(),
              ElementsAre("x", "user", "row_id"));
  const Dataset narrow = Check(dataset.Select({"user"}));
  EXPECT_THAT(Check(narrow.Select({}, true)).schema()->field_names(),
              ElementsAre("user", "row_id"));
  EXPECT_THAT(Check(Check(narrow.Select({}, true)).Select({"user"}, true))
                  .schema()
                  ->field_names(),
              ElementsAre("user", "row_id"));
  EXPECT_THAT(Check(dataset.Select({"row_id", "x"})).schema()->field_names(),
              ElementsAre("row_id", "x"));
  EXPECT_THAT(Check(dataset.Select({"row_id"}, true)).schema()->field_names(),
              ElementsAre("row_id"));
  ExpectKind(narrow.Select({"x"}, true).status(), ErrorKind::kNotFound, "\"x\"");
  ExpectKind(dataset.Select({}).status(), ErrorKind::kInvalidArgument, "no columns");
}

TEST_F(SamplesTest, AStoredColumnOfThatNameIsInTheWay) {
  testing::WriteParquet(folder_ / "own.parquet", testing::Numbers(5, 3, "row_id"));
  const Dataset dataset = Check(Dataset::Open(folder_ / "own.parquet"));
  EXPECT_THAT(Int64s(*Check(Check(dataset.Select({"row_id"})).ToTable()), "row_id"),
              ElementsAre(5, 6, 7));
  ExpectKind(dataset.Select({}, true).status(), ErrorKind::kInvalidArgument,
             "stores a column \"row_id\"");
  ExpectKind(dataset.Split({{"a", 1.0}}).status(), ErrorKind::kInvalidArgument,
             "stores a column \"row_id\"");
  EXPECT_EQ(Check(dataset.Take(std::vector<int64_t>{2, 0}))->num_rows(), 2);
}

TEST_F(SamplesTest, TakesRowsInTheOrderAskedFor) {
  const Dataset dataset = Check(Check(Write().Select({"x"}, true)).Where("x < 10"));
  const std::vector<int64_t> ids = {RowId(3, 99), RowId(0, 0),   RowId(1, 71),
                                    RowId(3, 99), RowId(1, 70),  RowId(0, 299),
                                    RowId(1, 72), RowId(2, 140), RowId(0, 1)};
  const auto table = Check(dataset.Take(ids));
  EXPECT_EQ(Int64s(*table, "row_id"), ids);
  EXPECT_THAT(Int64s(*table, "x"), ElementsAre(999, 0, 371, 999, 370, 299, 372, 740, 1));
  EXPECT_TRUE(table->schema()->Equals(*dataset.schema()));
  EXPECT_EQ(Check(dataset.Take({}))->num_rows(), 0);
}

TEST_F(SamplesTest, TakesWithCastsAndNamesTheRowThatDoesNotFit) {
  const Dataset dataset = Check(Check(Write().Select({"x"})).Cast({{"x", "int8"}}));
  const auto table = Check(dataset.Take(std::vector<int64_t>{RowId(0, 127)}));
  EXPECT_EQ(table->schema()->field(0)->type()->id(), arrow::Type::INT8);
  const Status status =
      dataset.Take(std::vector<int64_t>{RowId(0, 5), RowId(1, 2), RowId(0, 6)}).status();
  ExpectKind(status, ErrorKind::kInvalidArgument, "302");
  EXPECT_THAT(MessageOf(status), HasSubstr("1.parquet, row 2"));
}

TEST_F(SamplesTest, AnIdThatIsNotThereIsNamed) {
  const Dataset dataset = Write();
  const auto refused = [&](int64_t id, const std::string& why) {
    const Status status = dataset.Take(std::vector<int64_t>{0, id}).status();
    ExpectKind(status, ErrorKind::kNotFound, "row id " + std::to_string(id));
    EXPECT_THAT(MessageOf(status), HasSubstr(why));
  };
  refused(RowId(3, 100), "which has 100 rows");
  refused(RowId(4, 0), "file 4, and the files are 0 to 3");
  refused(-1, "0 or more");
}

TEST_F(SamplesTest, SplitsHoldEveryRowOnce) {
  const Dataset dataset = Write();
  for (const auto& by :
       {std::optional<std::string>(), std::optional<std::string>("user")}) {
    std::multiset<int64_t> seen;
    for (const auto& [name, split] :
         Check(dataset.Split({{"a", 0.7}, {"b", 0.2}, {"c", 0.1}}, by, 3))) {
      for (int64_t x : Int64s(*Check(split.ToTable()), "x")) seen.insert(x);
      EXPECT_GT(Check(split.CountRows()), 0) << name;
    }
    EXPECT_EQ(seen.size(), static_cast<size_t>(kRows));
    EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.end()).size(), seen.size());
  }
}

TEST_F(SamplesTest, SplitsByAKeyDoNotDependOnTheFiles) {
  const std::vector<Dataset::NamedFraction> fractions = {{"a", 0.5}, {"b", 0.5}};
  const auto one = Check(Write(300, "one").Split(fractions, "user", 9));
  const auto two = Check(Write(1000, "two").Split(fractions, "user", 9));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(Int64s(*Check(one[i].second.ToTable()), "x"),
              Int64s(*Check(two[i].second.ToTable()), "x"));
  }
  const auto other = Check(Write(300, "one").Split(fractions, "user", 10));
  EXPECT_NE(Int64s(*Check(one[0].second.ToTable()), "x"),
            Int64s(*Check(other[0].second.ToTable()), "x"));
}

TEST_F(SamplesTest, ASplitIsAFilter) {
  const Dataset dataset = Write();
  const auto splits =
      Check(dataset.Split({{"a", 0.5}, {"b", 0.3}, {"c", 0.2}}, "user", 3));
  EXPECT_EQ(splits[0].first, "a");
  EXPECT_EQ(Check(splits[0].second.Explain()).filter, "split_key(user, 3) < 0.5");
  EXPECT_EQ(Check(splits[1].second.Explain()).filter,
            "split_key(user, 3) >= 0.5 and split_key(user, 3) < 0.8");
  EXPECT_EQ(Check(splits[2].second.Explain()).filter, "split_key(user, 3) >= 0.8");
  const Dataset again = Check(Dataset::FromJson(splits[1].second.ToJson()));
  EXPECT_EQ(Check(again.CountRows()), Check(splits[1].second.CountRows()));
  const auto whole = Check(dataset.Split({{"all", 1.0}}));
  EXPECT_EQ(Check(whole[0].second.Explain()).filter, "");
}

TEST_F(SamplesTest, RefusesSplitsThatAreNone) {
  const Dataset dataset = Write();
  const auto refused = [&](const std::vector<Dataset::NamedFraction>& fractions,
                           const std::string& what) {
    ExpectKind(dataset.Split(fractions).status(), ErrorKind::kInvalidArgument, what);
  };
  refused({}, "sum 0");
  refused({{"a", 0.5}, {"b", 0.4}}, "sum 0.9");
  refused({{"a", 0.5}, {"b", 0.6}}, "sum 1.1");
  refused({{"a", 0.5}, {"a", 0.5}}, "\"a\" twice");
  refused({{"a", 1.5}, {"b", -0.5}}, "\"b\"");
  refused({{"a", 1.0}, {"b", 1e-30}}, "\"b\"");
  refused({{"a", std::nan("")}}, "\"a\"");
  ExpectKind(dataset.Split({{"a", 1.0}}, "usr").status(), ErrorKind::kNotFound, "usr");
}

}  // namespace
}  // namespace headrace
