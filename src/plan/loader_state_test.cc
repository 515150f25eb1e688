#include "plan/loader_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

namespace headrace::plan {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

LoaderState Example() {
  LoaderState state;
  state.table_format = "parquet";
  state.fingerprint = "0123456789abcdef0123456789abcdef";
  state.filter = "(year = 2013) and (carrier = 'Zürich \"é\"')";
  state.shuffle = true;
  state.seed = 7;
  state.streams = 16;
  state.shuffle_window_rows = 262144;
  state.epoch = 3;
  state.samples = 40960;
  return state;
}

// The example's JSON with one key replaced, or taken out where no value is given.
std::string With(const std::string& key, const std::optional<json>& value) {
  json object = json::parse(Example().ToJson());
  object.erase(key);
  if (value) object[key] = *value;
  return object.dump();
}

std::string Refusal(const std::string& text,
                    ErrorKind kind = ErrorKind::kInvalidArgument) {
  const Status status = LoaderState::FromJson(text).status();
  EXPECT_FALSE(status.ok()) << text;
  if (status.ok()) return "";
  EXPECT_EQ(KindOf(status), kind);
  return status.message();
}

// Users keep such text in checkpoints: format 1 is read for ever.
TEST(LoaderState, HasTheGoldenJson) {
  const std::string golden =
      R"json({"epoch":3,"filter":"(year = 2013) and (carrier = 'Zürich \"é\"')",)json"
      R"json("fingerprint":"0123456789abcdef0123456789abcdef","format":1,)json"
      R"json("samples":40960,"seed":7,"shuffle":true,"shuffle_window_rows":262144,)json"
      R"json("streams":16,"table_format":"parquet"})json";
  EXPECT_EQ(Example().ToJson(), golden);
  const LoaderState read = LoaderState::FromJson(golden).ValueOrDie();
  EXPECT_EQ(read, Example());
}

TEST(LoaderState, ComesBackFromItsJsonAtTheLimits) {
  LoaderState state;
  state.shuffle = false;
  state.seed = std::numeric_limits<uint64_t>::max();
  state.streams = std::numeric_limits<int>::max();
  state.shuffle_window_rows = std::numeric_limits<int64_t>::max();
  state.epoch = std::numeric_limits<int64_t>::max();
  state.samples = std::numeric_limits<int64_t>::max();
  const LoaderState read = LoaderState::FromJson(state.ToJson()).ValueOrDie();
  EXPECT_EQ(read, state);
}

TEST(LoaderState, IsAFewHundredBytesWhateverTheFilter) {
  LoaderState state = Example();
  state.filter = FilterForState(std::string(100'000, 'x'));
  EXPECT_LT(state.ToJson().size(), 500U);
}

TEST(LoaderState, PassesOverKeysThatItDoesNotKnow) {
  const LoaderState read = LoaderState::FromJson(With("note", "mine")).ValueOrDie();
  EXPECT_EQ(read, Example());
}

TEST(LoaderState, RefusesWhatIsNoJsonObject) {
  EXPECT_THAT(Refusal(""), HasSubstr("it is not JSON"));
  EXPECT_THAT(Refusal("{\"format\": 1"), HasSubstr("it is not JSON"));
  EXPECT_THAT(Refusal("\x80\xff"), HasSubstr("it is not JSON"));
  EXPECT_THAT(Refusal("null"), HasSubstr("it is null, expected a JSON object"));
  EXPECT_THAT(Refusal("[1]"), HasSubstr("it is an array, expected a JSON object"));
  EXPECT_THAT(Refusal("7"),
              AllOf(StartsWith("this is not a loader's state: it is 7"),
                    HasSubstr("pass what state_dict() returned, unchanged")));
}

TEST(LoaderState, NamesAMissingKey) {
  for (const char* key : {"format", "table_format", "fingerprint", "filter", "shuffle",
                          "seed", "streams", "shuffle_window_rows", "epoch", "samples"}) {
    EXPECT_THAT(Refusal(With(key, std::nullopt)),
                HasSubstr("\"" + std::string(key) + "\" is missing, expected a"));
  }
}

TEST(LoaderState, NamesAKeyOfAnotherType) {
  EXPECT_THAT(Refusal(With("shuffle", 1)),
              HasSubstr("\"shuffle\" is 1, expected a boolean"));
  EXPECT_THAT(Refusal(With("fingerprint", 12)),
              HasSubstr("\"fingerprint\" is 12, expected a string"));
  EXPECT_THAT(Refusal(With("filter", nullptr)),
              HasSubstr("\"filter\" is null, expected a string"));
  EXPECT_THAT(Refusal(With("seed", -1)),
              HasSubstr("\"seed\" is -1, expected an integer of 0 to 2^64 - 1"));
  EXPECT_THAT(Refusal(With("seed", 1.5)), HasSubstr("\"seed\" is 1.5, expected"));
  EXPECT_THAT(Refusal(With("epoch", "3")), HasSubstr("\"epoch\" is \"3\", expected"));
}

TEST(LoaderState, NamesANumberOutOfRange) {
  EXPECT_THAT(Refusal(With("format", 0)), HasSubstr("\"format\" is 0, expected"));
  EXPECT_THAT(Refusal(With("streams", 0)),
              HasSubstr("\"streams\" is 0, expected an integer of 1 to 2147483647"));
  EXPECT_THAT(Refusal(With("streams", 2147483648)),
              HasSubstr("\"streams\" is 2147483648"));
  EXPECT_THAT(Refusal(With("shuffle_window_rows", 0)),
              HasSubstr("\"shuffle_window_rows\" is 0, expected"));
  EXPECT_THAT(Refusal(With("epoch", -1)), HasSubstr("\"epoch\" is -1, expected"));
  // Beyond int64, and beyond any integer of the parser.
  EXPECT_THAT(Refusal(With("samples", std::numeric_limits<uint64_t>::max())),
              HasSubstr("\"samples\" is 18446744073709551615, expected"));
  EXPECT_THAT(Refusal(With("samples", 1e30)),
              HasSubstr("\"samples\" is 1e+30, expected"));
}

TEST(LoaderState, ShowsHostileValuesShortly) {
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  EXPECT_THAT(Refusal("{\"format\": " + deep + "}"),
              HasSubstr("\"format\" is an array, expected"));
  EXPECT_LT(Refusal(With("streams", std::string(1 << 20, 'x'))).size(), 300U);
}

TEST(LoaderState, RefusesANewerFormatNamingBoth) {
  EXPECT_EQ(
      Refusal(With("format", 2), ErrorKind::kUnsupported),
      "the state is of format 2, this build reads up to 1: resume with the headrace "
      "that wrote it");
  // Whatever else the newer format holds.
  EXPECT_THAT(Refusal(R"({"format": 99})", ErrorKind::kUnsupported),
              HasSubstr("format 99"));
}

TEST(LoaderState, NamesEachDifferenceOfIdentityAndOrder) {
  LoaderState loader = Example();
  loader.epoch = 9;
  loader.samples = 0;
  EXPECT_THAT(Example().DifferencesFrom(loader), IsEmpty());
  loader.table_format = "delta";
  loader.fingerprint = "ff";
  loader.filter = "";
  loader.shuffle = false;
  loader.seed = 8;
  loader.streams = 4;
  loader.shuffle_window_rows = 1;
  EXPECT_THAT(
      Example().DifferencesFrom(loader),
      ElementsAre(
          "table_format: state \"parquet\", loader \"delta\"",
          "table version (fingerprint): state \"0123456789abcdef0123456789abcdef\", "
          "loader \"ff\"",
          "filter: state \"(year = 2013) and (carrier = 'Zürich \\\"é\\\"')\", loader "
          "\"\"",
          "shuffle: state true, loader false", "seed: state 7, loader 8",
          "streams: state 16, loader 4", "shuffle_window_rows: state 262144, loader 1"));
}

TEST(FilterForState, ShortensLongTextToAHash) {
  const std::string most(120, 'x');
  EXPECT_EQ(FilterForState(""), "");
  EXPECT_EQ(FilterForState(most), most);
  const std::string hashed = FilterForState(most + "x");
  EXPECT_THAT(hashed, StartsWith("hash:"));
  EXPECT_EQ(hashed.size(), 5U + 32U);
  EXPECT_NE(FilterForState(most + "y"), hashed);
}

// Bytes that JSON cannot hold came back as U+FFFD, so that no loader fitted its own
// state.
TEST(FilterForState, HashesTextThatIsNotUtf8) {
  LoaderState state = Example();
  state.filter = FilterForState("name = '\xff'");
  EXPECT_THAT(state.filter, StartsWith("hash:"));
  const LoaderState read = LoaderState::FromJson(state.ToJson()).ValueOrDie();
  EXPECT_THAT(read.DifferencesFrom(state), IsEmpty());
}

}  // namespace
}  // namespace headrace::plan
