#include <headrace/features.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using testing::Check;
using ::testing::HasSubstr;

Features Some() {
  NumericFeature x;
  x.count = 3;
  x.nulls = 1;
  x.nans = 2;
  x.mean = 0.1 + 0.2;
  x.std = 1e-310;
  x.min = -HUGE_VAL;
  x.max = 5.0;
  NumericFeature id;
  id.min = std::numeric_limits<int64_t>::min();
  id.max = std::numeric_limits<uint64_t>::max();
  VocabularyFeature name;
  name.nulls = 4;
  name.values = {"", "a", "é"};
  name.counts = {1, 2, 3};
  VocabularyFeature bytes;
  bytes.binary = true;
  bytes.values = {"a", "\xff"};
  bytes.counts = {1, 1};
  return {10, {{"x", x}, {"id", id}, {"name", name}, {"bytes", bytes}}};
}

TEST(Features, JsonKeepsThemToTheBit) {
  const Features features = Some();
  const Features again = Check(Features::FromJson(features.ToJson()));
  EXPECT_EQ(again, features);
  EXPECT_EQ(again.ToJson(), features.ToJson());
  EXPECT_EQ(Check(Features::FromJson(Features().ToJson())), Features());
}

TEST(Features, AreFoundByName) {
  const Features features = Some();
  EXPECT_EQ(features.Find("name"), &features.columns[2]);
  EXPECT_EQ(features.Find("gone"), nullptr);
}

TEST(Features, TellOfEachColumn) {
  EXPECT_THAT(Some().ToString(),
              AllOf(HasSubstr("10 rows"), HasSubstr("x: mean 0.3, std 1e-310"),
                    HasSubstr("min -inf, max 5"), HasSubstr("1 nulls, 2 NaN"),
                    HasSubstr("max 18446744073709551615"), HasSubstr("mean none"),
                    HasSubstr("name: 3 distinct values, 4 nulls: \"\" \"a\" \"é\"")));
}

TEST(Features, RefuseJsonThatIsNone) {
  for (const char* text : {"", "{", "[]", "{}", "null", "7", R"({"format": 1})",
                           R"({"format": 1, "rows": 0, "features": [7]})"}) {
    const Status status = Features::FromJson(text).status();
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument) << text;
    EXPECT_THAT(MessageOf(status), HasSubstr("not features' JSON")) << text;
  }
}

TEST(Features, RefuseJsonWithPartsThatTheyDoNotKnow) {
  const json good = json::parse(Some().ToJson());
  auto refused = [&](const char* pointer, const json& value) {
    json bad = good;
    bad[json::json_pointer(pointer)] = value;
    const Status status = Features::FromJson(bad.dump()).status();
    if (status.ok()) return std::string("accepted");
    return std::string(KindName(KindOf(status))) + ": " + MessageOf(status);
  };
  EXPECT_THAT(refused("/format", 2), HasSubstr("Unsupported"));
  EXPECT_THAT(refused("/format", 0), HasSubstr("Unsupported"));
  EXPECT_THAT(refused("/rows", "x"), HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("/features/0/kind", "bogus"), HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("/features/0/mean", "bogus"), HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("/features/0/min", {{"real", "bogus"}}),
              HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused("/features/0/name", "id"), HasSubstr("\"id\" is there twice"));
  EXPECT_THAT(refused("/features/2/counts", {1, 2}), HasSubstr("counts of 2"));
  EXPECT_THAT(refused("/features/2/values", {"b", "a", "c"}),
              HasSubstr("sorted and distinct"));
  EXPECT_THAT(refused("/features/2/values", {"a", "a", "c"}),
              HasSubstr("sorted and distinct"));
  EXPECT_THAT(refused("/features/3/values/1", {{"hex", "zz"}}),
              HasSubstr("InvalidArgument"));
}

}  // namespace
}  // namespace headrace
