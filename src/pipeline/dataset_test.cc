#include <headrace/dataset.h>
#include <headrace/loader.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using testing::Check;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::TempDir;

constexpr char kRows[] = R"([
    {"id": 0, "x": 0.5,  "name": "a",  "tags": [1, 2]},
    {"id": 1, "x": null, "name": "b",  "tags": []},
    {"id": 2, "x": 2.5,  "name": null, "tags": [3]},
    {"id": 3, "x": 3.5,  "name": "a",  "tags": [4, 5, 6]}])";

void ExpectKind(const Status& status, ErrorKind kind, const std::string& what) {
  ASSERT_FALSE(status.ok()) << what;
  EXPECT_EQ(KindOf(status), kind) << status.ToString();
  EXPECT_THAT(MessageOf(status), HasSubstr(what));
}

class DatasetTest : public ::testing::Test {
 protected:
  DatasetTest() {
    const auto schema = arrow::schema(
        {arrow::field("id", arrow::int64(), false), arrow::field("x", arrow::float64()),
         arrow::field("name", arrow::utf8()),
         arrow::field("tags", arrow::list(arrow::int32()))});
    testing::WriteParquet(Path(), testing::TableFromJson(schema, kRows));
  }

  std::string Path() const { return folder_ / "t.parquet"; }
  Dataset Open() const { return Check(Dataset::Open(Path())); }

  /// The JSON comes back the same, and stands for the same choice.
  static Dataset RoundTrip(const Dataset& dataset) {
    Dataset again = Check(Dataset::FromJson(dataset.ToJson()));
    EXPECT_EQ(again.ToJson(), dataset.ToJson());
    EXPECT_EQ(again.ToString(), dataset.ToString());
    EXPECT_TRUE(again.schema()->Equals(dataset.schema()));
    return again;
  }

  TempDir folder_;
};

/// The batches of an epoch in stored order, as one.
TensorBatch Load(const Dataset& dataset) {
  LoaderOptions options;
  options.shuffle = false;
  auto loader = Check(Loader::Make(dataset, options));
  return std::move(*Check(loader->Next()));
}

template <typename T>
std::vector<T> Values(const TensorBatch& batch, const std::string& name) {
  const auto& tensor = std::get<Tensor>(batch.columns.at(batch.Find(name)));
  const auto* values = reinterpret_cast<const T*>(tensor.data());
  return std::vector<T>(values, values + tensor.size());
}

TEST_F(DatasetTest, HasTheTablesSchemaAndRows) {
  const Dataset dataset = Open();
  EXPECT_THAT(dataset.schema()->field_names(), ElementsAre("id", "x", "name", "tags"));
  EXPECT_EQ(Check(dataset.CountRows()), 4);
  EXPECT_EQ(Check(dataset.ToTable())->num_rows(), 4);
  EXPECT_FALSE(dataset.fingerprint().empty());
}

TEST_F(DatasetTest, IsUnchangedByWhatIsMadeOfIt) {
  const Dataset dataset = Open();
  const std::string before = dataset.ToJson();
  Check(dataset.Select({"id"}));
  Check(dataset.Where("id > 1"));
  Check(dataset.Cast({{"x", "float32"}}));
  Check(dataset.Nulls({{"x", {.kind = NullPolicy::Kind::kMask}}}));
  Check(dataset.Ragged({{"tags", {.kind = RaggedPolicy::Kind::kRagged}}}));
  Check(dataset.Codes({{"name", {}}}));
  Check(Check(dataset.Select({"id", "x"})).Cast({{"id", "float64"}}));
  Check(dataset.OnError(ErrorPolicy::kSkip));
  EXPECT_EQ(dataset.ToJson(), before);
  EXPECT_THAT(dataset.schema()->field_names(), ElementsAre("id", "x", "name", "tags"));
  EXPECT_EQ(Check(dataset.CountRows()), 4);
}

TEST_F(DatasetTest, CopiesAndMovesKeepTheirChoice) {
  Dataset dataset = Check(Open().Select({"x"}));
  const std::string choice = dataset.ToJson();
  Dataset copy = dataset;
  Dataset moved = std::move(dataset);
  EXPECT_EQ(copy.ToJson(), choice);
  EXPECT_EQ(moved.ToJson(), choice);
  copy = Open();
  EXPECT_EQ(moved.ToJson(), choice);
}

TEST_F(DatasetTest, SelectsInTheOrderGivenAndNarrowsBySelectingAgain) {
  const Dataset two = Check(Open().Select({"name", "id"}));
  EXPECT_THAT(two.schema()->field_names(), ElementsAre("name", "id"));
  EXPECT_THAT(Check(two.ToTable())->schema()->field_names(), ElementsAre("name", "id"));
  EXPECT_THAT(Check(two.Select({"id"})).schema()->field_names(), ElementsAre("id"));
  ExpectKind(two.Select({"x"}).status(), ErrorKind::kNotFound, "\"x\"");
  ExpectKind(two.Select({}).status(), ErrorKind::kInvalidArgument, "no columns");
  ExpectKind(two.Select({"id", "id"}).status(), ErrorKind::kInvalidArgument, "twice");
  ExpectKind(Open().Select({"nmae"}).status(), ErrorKind::kNotFound, "\"nmae\"");
}

TEST_F(DatasetTest, FiltersByStoredColumnsAndNarrowsByFilteringAgain) {
  const Dataset some = Check(Check(Open().Select({"id"})).Where("x > 1"));
  EXPECT_EQ(Check(some.CountRows()), 2);
  const Dataset one = Check(some.Where("name == 'a'"));
  EXPECT_EQ(Check(one.CountRows()), 1);
  const auto table = Check(one.ToTable());
  EXPECT_THAT(table->schema()->field_names(), ElementsAre("id"));
  EXPECT_EQ(Check(table->column(0)->GetScalar(0))->ToString(), "3");
  ExpectKind(some.Where("nmae == 'a'").status(), ErrorKind::kNotFound, "nmae");
  ExpectKind(some.Where("x >").status(), ErrorKind::kInvalidArgument, "");
}

TEST_F(DatasetTest, TakesArrowsExpressions) {
  using arrow::compute::field_ref;
  const Dataset some = Check(
      Open().Where(arrow::compute::less(field_ref("id"), arrow::compute::literal(2))));
  EXPECT_EQ(Check(some.CountRows()), 2);
  EXPECT_EQ(Check(RoundTrip(some).CountRows()), 2);
}

TEST_F(DatasetTest, LaterPoliciesReplaceEarlierOnesOfTheSameColumn) {
  const Dataset masked = Check(
      Check(Open().Select({"x", "name"}))
          .Nulls({{"x", {.kind = NullPolicy::Kind::kMask}},
                  {"name", {.kind = NullPolicy::Kind::kFill, .fill_text = "none"}}}));
  const Dataset filled = Check(
      masked.Nulls({{"x", {.kind = NullPolicy::Kind::kFill, .fill = {false, 0, -1.5}}}}));
  const TensorBatch batch = Load(filled);
  EXPECT_THAT(batch.names, ElementsAre("x", "name"));
  EXPECT_THAT(Values<double>(batch, "x"), ElementsAre(0.5, -1.5, 2.5, 3.5));
  const auto& names = std::get<std::shared_ptr<arrow::Array>>(batch.columns.at(1));
  EXPECT_EQ(Check(names->GetScalar(2))->ToString(), "none");
}

TEST_F(DatasetTest, OnErrorSaysWhatBecomesOfBadRows) {
  const Dataset dataset = Check(Open().Select({"id", "x"}));
  LoaderOptions options;
  options.shuffle = false;
  auto loader = Check(Loader::Make(dataset, options));
  ExpectKind(loader->Next().status(), ErrorKind::kInvalidArgument, "\"x\"");

  const Dataset skip = Check(dataset.OnError(ErrorPolicy::kSkip));
  EXPECT_THAT(Values<int64_t>(Load(skip), "id"), ElementsAre(0, 2, 3));
  EXPECT_THAT(skip.ToString(), HasSubstr("on_error: skip"));
  EXPECT_THAT(Values<int64_t>(Load(RoundTrip(skip)), "id"), ElementsAre(0, 2, 3));
  // Rows that are left out are still rows of the dataset.
  EXPECT_EQ(Check(skip.CountRows()), 4);

  const Dataset null = Check(Check(dataset.OnError(ErrorPolicy::kNull))
                                 .Nulls({{"x", {.kind = NullPolicy::Kind::kMask}}}));
  EXPECT_THAT(Values<bool>(Load(RoundTrip(null)), "x_mask"),
              ElementsAre(true, false, true, true));
  EXPECT_THAT(Check(null.OnError(ErrorPolicy::kRaise)).ToString(),
              Not(HasSubstr("on_error")));
}

TEST_F(DatasetTest, JsonKeepsEveryChoice) {
  Dataset dataset = Open();
  RoundTrip(dataset);
  dataset = Check(dataset.Select({"tags", "name", "x", "id"}));
  dataset = Check(dataset.Where("id >= 1 and (x is not null or name != 'it''s')"));
  dataset = Check(dataset.Cast({{"id", "float64"}}));
  dataset = Check(
      dataset.Codes({{"name", {.vocabulary = std::vector<std::string>{"b", "a", ""}}}}));
  dataset = Check(
      dataset.Nulls({{"x", {.kind = NullPolicy::Kind::kFill, .fill = {true, 7, 0}}},
                     {"name", {.kind = NullPolicy::Kind::kFill, .fill = {true, 2, 0}}}}));
  dataset = Check(dataset.Ragged(
      {{"tags", {.kind = RaggedPolicy::Kind::kPad, .pad = {true, -1, 0}, .length = 4}}}));
  dataset = Check(dataset.Pack("both", {"x", "id"}));

  const TensorBatch batch = Load(RoundTrip(dataset));

  EXPECT_THAT(batch.names, ElementsAre("tags", "name", "both"));
  EXPECT_THAT(Values<double>(batch, "both"), ElementsAre(7, 1, 2.5, 2, 3.5, 3));
  EXPECT_THAT(Values<int32_t>(batch, "name"), ElementsAre(0, 2, 1));
  EXPECT_THAT(Values<int32_t>(batch, "tags"),
              ElementsAre(-1, -1, -1, -1, 3, -1, -1, -1, 4, 5, 6, -1));
}

TEST_F(DatasetTest, JsonKeepsNumbersToTheBit) {
  const double kInfinity = std::numeric_limits<double>::infinity();
  for (double value : {0.1, -0.0, 1e-310, std::numeric_limits<double>::max(), kInfinity,
                       -kInfinity, 1.0}) {
    const Dataset dataset = Check(
        Check(Open().Select({"x"}))
            .Nulls(
                {{"x", {.kind = NullPolicy::Kind::kFill, .fill = {false, 0, value}}}}));
    const double found = Values<double>(Load(RoundTrip(dataset)), "x")[1];
    EXPECT_EQ(std::bit_cast<uint64_t>(found), std::bit_cast<uint64_t>(value)) << value;
  }
  const Dataset nan = Check(Check(Open().Select({"x"}))
                                .Nulls({{"x",
                                         {.kind = NullPolicy::Kind::kFill,
                                          .fill = {false, 0, std::nan("")}}}}));
  EXPECT_TRUE(std::isnan(Values<double>(Load(RoundTrip(nan)), "x")[1]));
  for (int64_t value :
       {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()}) {
    const auto table = testing::TableFromJson(
        arrow::schema({arrow::field("i", arrow::int64())}), R"([{"i": null}])");
    testing::WriteParquet(folder_ / "i.parquet", table);
    const Dataset dataset = Check(
        Check(Dataset::Open(folder_ / "i.parquet"))
            .Nulls({{"i", {.kind = NullPolicy::Kind::kFill, .fill = {true, value, 0}}}}));
    EXPECT_THAT(Values<int64_t>(Load(RoundTrip(dataset)), "i"), ElementsAre(value));
  }
}

TEST_F(DatasetTest, JsonKeepsBytesThatAreNoUtf8) {
  arrow::BinaryBuilder builder;
  for (const char* value : {"\xff", "\xfe\x80", "ok"}) Check(builder.Append(value));
  Check(builder.AppendNull());
  testing::WriteParquet(
      folder_ / "b.parquet",
      arrow::Table::Make(arrow::schema({arrow::field("b", arrow::binary())}),
                         {Check(builder.Finish())}));
  const Dataset dataset = Check(Dataset::Open(folder_ / "b.parquet"));
  const std::vector<std::string> vocabulary = {"\xfe\x80", "\xff", "ok",
                                               std::string("\0\xfd", 2)};
  const Dataset codes =
      Check(Check(dataset.Codes({{"b", {.vocabulary = vocabulary}}}))
                .Nulls({{"b", {.kind = NullPolicy::Kind::kFill, .fill = {true, 3, 0}}}}));
  EXPECT_THAT(Values<int32_t>(Load(RoundTrip(codes)), "b"), ElementsAre(1, 0, 2, 3));

  const Dataset filled = Check(
      dataset.Nulls({{"b", {.kind = NullPolicy::Kind::kFill, .fill_text = "\xfd"}}}));
  const TensorBatch batch = Load(RoundTrip(filled));
  const auto& values = std::get<std::shared_ptr<arrow::Array>>(batch.columns.at(0));
  EXPECT_EQ(Check(values->GetScalar(3))->ToString(),
            arrow::BinaryScalar(std::string("\xfd")).ToString());
}

TEST_F(DatasetTest, JsonKeepsPathsThatAreNoUtf8) {
  const std::string path = folder_ / "caf\xe9.parquet";
  std::filesystem::copy_file(Path(), path);
  EXPECT_EQ(Check(RoundTrip(Check(Dataset::Open(path))).CountRows()), 4);
}

TEST_F(DatasetTest, JsonKeepsTextFiltersThatAreNoAscii) {
  const Dataset dataset =
      Check(Open().Where("name != 'é\"\\' and name in ('a', '日本')"));
  EXPECT_EQ(Check(RoundTrip(dataset).CountRows()), 2);
}

TEST_F(DatasetTest, JsonKeepsOpenOptions) {
  std::filesystem::create_directories(folder_ / "p/day=07");
  std::filesystem::copy_file(Path(), folder_ / "p/day=07/t.parquet");
  OpenOptions options;
  options.partition_types = {{"day", "string"}};
  options.num_threads = 3;
  options.cache_folder = folder_ / "cache";
  const Dataset again = RoundTrip(Check(Dataset::Open(folder_ / "p", options)));
  EXPECT_TRUE(again.schema()->GetFieldByName("day")->type()->Equals(arrow::utf8()));
  const auto description = json::parse(again.ToJson());
  EXPECT_EQ(description["num_threads"], 3);
  EXPECT_EQ(description["cache_folder"], options.cache_folder);
}

TEST_F(DatasetTest, JsonOfFilesThatChangedIsAConflict) {
  const Dataset dataset = Open();
  const std::string text = dataset.ToJson();
  testing::WriteParquet(Path(), testing::Numbers(0, 9));
  ExpectKind(Dataset::FromJson(text).status(), ErrorKind::kConflict,
             dataset.fingerprint());
  std::filesystem::remove(Path());
  ExpectKind(Dataset::FromJson(text).status(), ErrorKind::kNotFound, "t.parquet");
}

TEST_F(DatasetTest, RefusesTextThatIsNoDataset) {
  for (const char* text : {"", "{", "[]", "{}", "null", "7", "{\"format\": 1}"}) {
    ExpectKind(Dataset::FromJson(text).status(), ErrorKind::kInvalidArgument,
               "not a dataset's JSON");
  }
}

TEST_F(DatasetTest, RefusesJsonWithPartsThatItDoesNotKnow) {
  const json good = json::parse(Open().ToJson());
  auto refused = [&](const char* key, const json& value) {
    json bad = good;
    bad[key] = value;
    const Status status = Dataset::FromJson(bad.dump()).status();
    if (status.ok()) return std::string("accepted");
    return std::string(KindName(KindOf(status))) + ": " + MessageOf(status);
  };
  EXPECT_THAT(refused("format", 2), HasSubstr("Unsupported"));
  EXPECT_THAT(refused("format", 0), HasSubstr("Unsupported"));
  EXPECT_THAT(refused("format", "x"), HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("nulls", {{"x", "bogus"}}), HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("nulls", {{"x", 1}}), HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("nulls", {{"x", {{"fill", {{"real", 1}}}}}}),
              HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("ragged", {{"tags", "bogus"}}), HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("codes", {{"name", 5}}), HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("on_error", "bogus"), HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("codes", {{"name", {{{"hex", "zz"}}}}}),
              HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("codes", {{"name", {{{"hex", "FF0"}}}}}),
              HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("nulls", {{"x", {{"fill", {{"real", "abc"}}}}}}),
              HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("uris", "a.parquet"), HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("num_threads", -1), HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("select", {"nmae"}), HasSubstr("NotFound"));
  EXPECT_THAT(refused("where", "bogus"), HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("uris", json::array()), HasSubstr("InvalidArgument"));
}

TEST_F(DatasetTest, TellsTableAndChoiceButNoSecrets) {
  OpenOptions options;
  Dataset dataset = Check(Open().Where("id > 0"));
  dataset = Check(dataset.Cast({{"id", "float32"}}));
  EXPECT_THAT(dataset.ToString(),
              AllOf(HasSubstr("t.parquet"), HasSubstr("4 rows"), HasSubstr("id > 0"),
                    HasSubstr("id: int64 -> float32")));
}

TEST_F(DatasetTest, ExplainCountsWhatPruningLeaves) {
  testing::ParquetOptions options;
  options.row_group_rows = 10;
  testing::WriteParquet(folder_ / "n.parquet", testing::Numbers(0, 100), options);
  const Dataset dataset = Check(Dataset::Open(folder_ / "n.parquet"));
  const ScanSummary summary = Check(Check(dataset.Where("x >= 35 and x < 60")).Explain());
  EXPECT_EQ(summary.before.row_groups, 10);
  EXPECT_EQ(summary.before.rows, 100);
  EXPECT_EQ(summary.after.row_groups, 3);
  EXPECT_EQ(summary.after.rows, 30);
  EXPECT_EQ(summary.rows_proven, 20);
  EXPECT_GT(summary.after.bytes, 0);
  EXPECT_LT(summary.after.bytes, summary.before.bytes);
  EXPECT_THAT(summary.columns_read, ElementsAre("x"));
  const json text = json::parse(summary.ToJson());
  EXPECT_EQ(text["after"]["rows"], 30);
  EXPECT_THAT(summary.ToString(), HasSubstr("20 rows pass by statistics alone"));
}

TEST_F(DatasetTest, OpensNothingAsAnError) {
  ExpectKind(Dataset::Open(std::vector<std::string>{}).status(),
             ErrorKind::kInvalidArgument, "at least one URI");
  ExpectKind(Dataset::Open(folder_ / "absent").status(), ErrorKind::kNotFound, "absent");
}

}  // namespace
}  // namespace headrace
