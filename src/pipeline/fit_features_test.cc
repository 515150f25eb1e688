#include <headrace/features.h>
#include <headrace/loader.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using testing::Check;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TempDir;

constexpr int64_t kRowsPerFile = 500;

void ExpectKind(const Status& status, ErrorKind kind, const std::string& what) {
  ASSERT_FALSE(status.ok()) << what;
  EXPECT_EQ(KindOf(status), kind) << status.ToString();
  EXPECT_THAT(MessageOf(status), HasSubstr(what));
}

const NumericFeature& Numbers(const Features& features, const std::string& name) {
  return std::get<NumericFeature>(features.Find(name)->value);
}

const VocabularyFeature& Vocabulary(const Features& features, const std::string& name) {
  return std::get<VocabularyFeature>(features.Find(name)->value);
}

/// Three files in row groups of 70: id counts up, x has nulls and NaN, name has five
/// values.
std::shared_ptr<arrow::Table> Rows(int64_t first) {
  arrow::Int64Builder id;
  arrow::DoubleBuilder x;
  arrow::StringBuilder name;
  arrow::BooleanBuilder even;
  for (int64_t i = first; i < first + kRowsPerFile; ++i) {
    Check(id.Append(i));
    Check(i % 7 == 0 ? x.AppendNull() : x.Append(i % 11 == 0 ? NAN : 0.1 * i + 1e6));
    Check(i % 10 == 0 ? name.AppendNull() : name.Append("n" + std::to_string(i % 5)));
    Check(even.Append(i % 2 == 0));
  }
  return arrow::Table::Make(
      arrow::schema(
          {arrow::field("id", arrow::int64()), arrow::field("x", arrow::float64()),
           arrow::field("name", arrow::utf8()), arrow::field("even", arrow::boolean())}),
      {Check(id.Finish()), Check(x.Finish()), Check(name.Finish()),
       Check(even.Finish())});
}

CodesPolicy Words(const std::vector<std::string>& vocabulary) { return {vocabulary}; }

class FitFeaturesTest : public ::testing::Test {
 protected:
  Dataset Open() {
    testing::ParquetOptions options;
    options.row_group_rows = 70;
    for (int f = 0; f < 3; ++f) {
      testing::WriteParquet(folder_ / ("t/" + std::to_string(f) + ".parquet"),
                            Rows(f * kRowsPerFile), options);
    }
    return Check(Dataset::Open(folder_ / "t"));
  }

  Dataset OpenRows(const std::shared_ptr<arrow::Schema>& schema, const char* rows) {
    testing::WriteParquet(folder_ / "r.parquet", testing::TableFromJson(schema, rows));
    return Check(Dataset::Open(folder_ / "r.parquet"));
  }

  TempDir folder_;
};

/// The batches of an epoch in stored order, as one.
Result<TensorBatch> Load(const Dataset& dataset, bool shuffle = false) {
  LoaderOptions options;
  options.batch_size = 1 << 12;
  options.shuffle = shuffle;
  ARROW_ASSIGN_OR_RAISE(auto loader, Loader::Make(dataset, options));
  ARROW_ASSIGN_OR_RAISE(auto batch, loader->Next());
  return std::move(*batch);
}

template <typename T>
std::vector<T> Values(const TensorBatch& batch, const std::string& name) {
  const auto& tensor = std::get<Tensor>(batch.columns.at(batch.Find(name)));
  const auto* values = reinterpret_cast<const T*>(tensor.data());
  return std::vector<T>(values, values + tensor.size());
}

TEST_F(FitFeaturesTest, FindsWhatAPlainLoopFinds) {
  const Features features = Check(FitFeatures(Open()));
  EXPECT_EQ(features.rows, 1500);
  double sum = 0, squares = 0, least = HUGE_VAL, most = -HUGE_VAL;
  int64_t count = 0, nulls = 0, nans = 0;
  for (int64_t i = 0; i < 1500; ++i) {
    if (i % 7 == 0) {
      ++nulls;
    } else if (i % 11 == 0) {
      ++nans;
    } else {
      const double x = 0.1 * static_cast<double>(i) + 1e6;
      ++count;
      sum += x - 1e6;
      squares += (x - 1e6) * (x - 1e6);
      least = std::min(least, x);
      most = std::max(most, x);
    }
  }
  const NumericFeature& x = Numbers(features, "x");
  EXPECT_EQ(x.count, count);
  EXPECT_EQ(x.nulls, nulls);
  EXPECT_EQ(x.nans, nans);
  const double mean = sum / static_cast<double>(count);
  EXPECT_NEAR(*x.mean, 1e6 + mean, 1e-8);
  EXPECT_NEAR(*x.std, std::sqrt(squares / static_cast<double>(count) - mean * mean),
              1e-8);
  EXPECT_EQ(x.min, Extreme(least));
  EXPECT_EQ(x.max, Extreme(most));
  EXPECT_EQ(Numbers(features, "id").min, Extreme(int64_t{0}));
  EXPECT_EQ(Numbers(features, "id").max, Extreme(int64_t{1499}));
  EXPECT_EQ(Numbers(features, "even").mean, 0.5);
  EXPECT_EQ(Numbers(features, "even").std, 0.5);
  const VocabularyFeature& name = Vocabulary(features, "name");
  EXPECT_THAT(name.values, ElementsAre("n0", "n1", "n2", "n3", "n4"));
  EXPECT_THAT(name.counts, ElementsAre(150, 300, 300, 300, 300));
  EXPECT_EQ(name.nulls, 150);
  EXPECT_FALSE(name.binary);
}

TEST_F(FitFeaturesTest, IsTheSameToTheBitForAnyNumberOfThreads) {
  const Dataset dataset = Check(Open().Where("id % 3 != 1"));
  const std::string one = Check(FitFeatures(dataset, {}, {.num_threads = 1})).ToJson();
  for (const int threads : {2, 3, 8}) {
    EXPECT_EQ(Check(FitFeatures(dataset, {}, {.num_threads = threads})).ToJson(), one);
  }
}

TEST_F(FitFeaturesTest, IsOfTheRowsThatPassAndTheColumnsNamed) {
  const Dataset some = Check(Open().Where("id < 100 and name = 'n1'"));
  const Features features = Check(FitFeatures(some, {"name", "id"}));
  EXPECT_EQ(features.rows, 20);
  ASSERT_EQ(features.columns.size(), 2);
  EXPECT_EQ(features.columns[0].name, "name");
  EXPECT_EQ(Numbers(features, "id").max, Extreme(int64_t{96}));
  EXPECT_THAT(Vocabulary(features, "name").values, ElementsAre("n1"));
  const Features none = Check(FitFeatures(Check(some.Where("id > 9999"))));
  EXPECT_EQ(none.rows, 0);
  EXPECT_EQ(Numbers(none, "x"), NumericFeature());
  EXPECT_THAT(Vocabulary(none, "name").values, IsEmpty());
}

TEST_F(FitFeaturesTest, TellsOfProgressInRows) {
  std::vector<int64_t> told;
  FitOptions options;
  options.num_threads = 3;
  options.progress = [&](int64_t done, int64_t total) {
    told.push_back(done);
    EXPECT_EQ(total, 1500);
  };
  Check(FitFeatures(Open(), {"id"}, options));
  EXPECT_TRUE(std::ranges::is_sorted(told));
  EXPECT_EQ(told.size(), 24);  // row groups
  EXPECT_EQ(told.back(), 1500);
}

TEST_F(FitFeaturesTest, KeepsIntegersWhole) {
  const auto schema = arrow::schema(
      {arrow::field("i", arrow::int64()), arrow::field("u", arrow::uint64()),
       arrow::field("t", arrow::timestamp(arrow::TimeUnit::MICRO)),
       arrow::field("d", arrow::date32()), arrow::field("h", arrow::float16())});
  const Features features = Check(FitFeatures(OpenRows(schema, R"([
      {"i": 9007199254740993, "u": 18446744073709551615, "t": "1970-01-01 00:00:01",
       "d": 3, "h": 0.5},
      {"i": -9223372036854775808, "u": 7, "t": "1970-01-01 00:00:03", "d": 5, "h": 1.5}])")));
  EXPECT_EQ(Numbers(features, "i").max, Extreme(int64_t{9007199254740993}));
  EXPECT_EQ(Numbers(features, "i").min, Extreme(std::numeric_limits<int64_t>::min()));
  EXPECT_EQ(Numbers(features, "u").max, Extreme(std::numeric_limits<uint64_t>::max()));
  EXPECT_EQ(Numbers(features, "u").min, Extreme(int64_t{7}));
  EXPECT_EQ(Numbers(features, "t").mean, 2e6);
  EXPECT_EQ(Numbers(features, "d").mean, 4);
  EXPECT_EQ(Numbers(features, "h").std, 0.5);
}

TEST_F(FitFeaturesTest, TakesInfinitiesAsExtremesAndNothingElse) {
  arrow::FloatBuilder builder;
  for (const float value : {1.0F, INFINITY, 2.0F}) Check(builder.Append(value));
  testing::WriteParquet(
      folder_ / "f.parquet",
      arrow::Table::Make(arrow::schema({arrow::field("f", arrow::float32())}),
                         {Check(builder.Finish())}));
  const Features features =
      Check(FitFeatures(Check(Dataset::Open(folder_ / "f.parquet"))));
  const NumericFeature& f = Numbers(features, "f");
  EXPECT_EQ(f.count, 3);
  EXPECT_EQ(f.mean, std::nullopt);
  EXPECT_EQ(f.std, std::nullopt);
  EXPECT_EQ(f.min, Extreme(1.0));
  EXPECT_EQ(f.max, Extreme(HUGE_VAL));
}

TEST_F(FitFeaturesTest, SeesCastsAndNoOtherPolicy) {
  const auto schema = arrow::schema({arrow::field("p", arrow::decimal128(9, 2)),
                                     arrow::field("s", arrow::utf8()),
                                     arrow::field("i", arrow::int32())});
  Dataset dataset = OpenRows(
      schema, R"([{"p": "1.50", "s": "a", "i": 1}, {"p": "2.50", "s": null, "i": 300}])");
  ExpectKind(FitFeatures(dataset).status(), ErrorKind::kUnsupported, "cast it");
  dataset = Check(dataset.Cast({{"p", "float64"}}));
  dataset = Check(dataset.Codes({{"s", {}}}));
  dataset = Check(dataset.Standardize({{"i", {100, 10}}}));
  const Features features = Check(FitFeatures(dataset));
  EXPECT_EQ(Numbers(features, "p").mean, 2);
  EXPECT_EQ(Numbers(features, "i").mean, 150.5);
  EXPECT_THAT(Vocabulary(features, "s").values, ElementsAre("a"));
  ExpectKind(FitFeatures(Check(dataset.Cast({{"i", "int8"}}))).status(),
             ErrorKind::kInvalidArgument, "column \"i\"");
}

TEST_F(FitFeaturesTest, SaysWhatIsWrong) {
  const auto schema = arrow::schema(
      {arrow::field("l", arrow::list(arrow::int32())),
       arrow::field("s", arrow::struct_({arrow::field("a", arrow::int32())})),
       arrow::field("i", arrow::int32())});
  const Dataset dataset = OpenRows(schema, R"([{"l": [1], "s": {"a": 1}, "i": 1}])");
  ExpectKind(FitFeatures(dataset).status(), ErrorKind::kUnsupported, "column \"l\"");
  ExpectKind(FitFeatures(dataset, {"i", "s"}).status(), ErrorKind::kUnsupported,
             "dotted name");
  ExpectKind(FitFeatures(dataset, {"gone"}).status(), ErrorKind::kNotFound, "gone");
  ExpectKind(FitFeatures(Check(dataset.Select({"l"})), {"i"}).status(),
             ErrorKind::kNotFound, "not selected");
  ExpectKind(FitFeatures(dataset, {"i", "i"}).status(), ErrorKind::kInvalidArgument,
             "twice");
  ExpectKind(FitFeatures(dataset, {"i"}, {.num_threads = 0}).status(),
             ErrorKind::kInvalidArgument, "num_threads is 0");
  ExpectKind(FitFeatures(dataset, {"i"}, {.vocabulary_max = 0}).status(),
             ErrorKind::kInvalidArgument, "vocabulary_max is 0");
  EXPECT_EQ(Numbers(Check(FitFeatures(dataset, {"i"})), "i").count, 1);
}

TEST_F(FitFeaturesTest, BoundsVocabularies) {
  const Dataset dataset = Open();
  ExpectKind(FitFeatures(dataset, {}, {.vocabulary_max = 4}).status(),
             ErrorKind::kResourceExhausted, "column \"name\": it has more than 4");
  EXPECT_TRUE(FitFeatures(dataset, {}, {.vocabulary_max = 5}).ok());
}

TEST_F(FitFeaturesTest, LoadersApplyThem) {
  const Dataset dataset = Check(Open().Select({"id", "x", "name", "even"}));
  const Features features = Check(FitFeatures(dataset));
  auto by = [&](const std::string& name) {
    const NumericFeature& feature = Numbers(features, name);
    return StandardizePolicy{*feature.mean, *feature.std};
  };
  Dataset chosen = Check(
      dataset.Standardize({{"id", by("id")}, {"x", by("x")}, {"even", by("even")}}));
  chosen = Check(chosen.OneHot({{"name", Words(Vocabulary(features, "name").values)}}));
  chosen = Check(chosen.Nulls({{"x", {.kind = NullPolicy::Kind::kMask}},
                               {"name", {.kind = NullPolicy::Kind::kMask}}}));
  for (const bool shuffle : {false, true}) {
    const TensorBatch batch = Check(Load(chosen, shuffle));
    EXPECT_THAT(batch.names,
                ElementsAre("id", "x", "x_mask", "name", "name_mask", "even"));
    const auto x = Values<float>(batch, "x");
    const auto there = Values<bool>(batch, "x_mask");
    const auto id = Values<float>(batch, "id");
    const auto name = Values<float>(batch, "name");
    ASSERT_EQ(x.size(), 1500);
    ASSERT_EQ(name.size(), 1500 * 5);
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      // The row that it is, by its id.
      const auto row = std::lround(id[i] * *Numbers(features, "id").std +
                                   *Numbers(features, "id").mean);
      EXPECT_EQ(there[i], row % 7 != 0);
      for (int64_t code = 0; code < 5; ++code) {
        EXPECT_EQ(name[i * 5 + static_cast<size_t>(code)],
                  row % 10 != 0 && row % 5 == code ? 1 : 0);
      }
      if (row % 7 == 0) {
        EXPECT_EQ(x[i], 0);
      } else if (row % 11 == 0) {
        EXPECT_TRUE(std::isnan(x[i]));
      } else {
        const double value = 0.1 * static_cast<double>(row) + 1e6;
        EXPECT_EQ(x[i], static_cast<float>((value - *Numbers(features, "x").mean) /
                                           *Numbers(features, "x").std));
        sum += x[i];
      }
    }
    EXPECT_NEAR(sum, 0, 1e-3);
  }
}

TEST_F(FitFeaturesTest, FillsInTheColumnsOwnUnitsAndPacks) {
  const auto schema = arrow::schema({arrow::field("a", arrow::int32()),
                                     arrow::field("b", arrow::float64()),
                                     arrow::field("c", arrow::float32())});
  Dataset dataset = OpenRows(schema, R"([{"a": 10, "b": 0.5, "c": 7},
                                         {"a": null, "b": null, "c": 8}])");
  dataset = Check(dataset.Standardize({{"a", {4, 2}}, {"b", {0.5, 0}}}));
  dataset =
      Check(dataset.Nulls({{"a", {.kind = NullPolicy::Kind::kFill, .fill = {true, 5, 0}}},
                           {"b", {.kind = NullPolicy::Kind::kMask}}}));
  dataset = Check(dataset.Pack("m", {"c", "a", "b"}));
  for (const bool shuffle : {false, true}) {
    const TensorBatch batch = Check(Load(dataset, shuffle));
    EXPECT_THAT(batch.names, ElementsAre("m", "b_mask"));
    auto m = Values<float>(batch, "m");
    if (m[0] == 8) std::rotate(m.begin(), m.begin() + 3, m.end());
    EXPECT_THAT(m, ElementsAre(7, 3, 0, 8, 0.5F, 0));
  }
}

TEST_F(FitFeaturesTest, OnErrorNullMakesStrangersZeros) {
  const auto schema = arrow::schema({arrow::field("s", arrow::utf8())});
  Dataset dataset = OpenRows(schema, R"([{"s": "a"}, {"s": "stranger"}, {"s": "b"}])");
  dataset = Check(dataset.OneHot({{"s", Words({"a", "b"})}}));
  ExpectKind(Load(dataset).status(), ErrorKind::kInvalidArgument, "'stranger'");
  dataset = Check(Check(dataset.OnError(ErrorPolicy::kNull))
                      .Nulls({{"s", {.kind = NullPolicy::Kind::kMask}}}));
  const TensorBatch batch = Check(Load(dataset));
  EXPECT_THAT(Values<float>(batch, "s"), ElementsAre(1, 0, 0, 0, 0, 1));
  EXPECT_THAT(Values<bool>(batch, "s_mask"), ElementsAre(true, false, true));
}

TEST_F(FitFeaturesTest, OneHotTakesTheVersionsValuesAndItsMemoryIsCounted) {
  const Dataset dataset = Check(Check(Open().Select({"name", "id"})).Where("id < 400"));
  const Dataset chosen = Check(Check(dataset.OneHot({{"name", {}}}))
                                   .Nulls({{"name", {.kind = NullPolicy::Kind::kMask}}}));
  EXPECT_THAT(Values<float>(Check(Load(chosen)), "name").size(), 400 * 5);
  std::vector<std::string> many;
  for (int i = 0; i < 10'000; ++i) many.push_back("n" + std::to_string(i));
  LoaderOptions options;
  options.batch_size = 256;
  options.memory_budget = 8 << 20;
  ExpectKind(
      Loader::Make(Check(chosen.OneHot({{"name", Words(many)}})), options).status(),
      ErrorKind::kResourceExhausted, "memory_budget");
}

TEST_F(FitFeaturesTest, DatasetsKeepWhatIsAppliedInJsonAndTell) {
  const Dataset plain = Check(Open().Select({"x", "name"}));
  EXPECT_THAT(plain.ToJson(), ::testing::Not(HasSubstr("standardize")));
  EXPECT_THAT(plain.ToJson(), ::testing::Not(HasSubstr("one_hot")));
  Dataset dataset = Check(plain.Standardize({{"x", {0.1, 1e-310}}}));
  dataset = Check(dataset.OneHot({{"name", Words({"a", "\xff"})}}));
  const Dataset again = Check(Dataset::FromJson(dataset.ToJson()));
  EXPECT_EQ(again.ToJson(), dataset.ToJson());
  EXPECT_EQ(again.ToString(), dataset.ToString());
  EXPECT_THAT(dataset.ToString(), HasSubstr("standardize {\"mean\":0.1"));
  EXPECT_THAT(dataset.ToString(), HasSubstr("one-hot"));
  std::string bad = dataset.ToJson();
  bad.replace(bad.find("1e-310"), 6, "-1");
  ExpectKind(Dataset::FromJson(bad).status(), ErrorKind::kInvalidArgument,
             "standard deviation -1");
}

}  // namespace
}  // namespace headrace
