#include "table/partition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace headrace::table {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Types = std::map<std::string, std::string>;

std::vector<std::string> Keys(std::string_view path) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : ParsePartitionPath(path)) {
    keys.push_back(key + ":" + value.value_or("<null>"));
  }
  return keys;
}

// A column for every key, as its type and its values.
std::vector<std::string> Read(const std::vector<std::string>& paths,
                              const Types& given = {}) {
  const auto partitions = ReadPartitionPaths(paths, given);
  if (!partitions.ok()) return {partitions.status().ToString()};
  EXPECT_EQ(partitions->values.size(), paths.size());
  std::vector<std::string> columns;
  for (size_t c = 0; c < partitions->fields.size(); ++c) {
    const auto& field = partitions->fields[c];
    std::string text = field->name() + " " + field->type()->ToString();
    for (const auto& row : partitions->values) {
      EXPECT_TRUE(row.at(c)->type->Equals(*field->type()));
      text += " " + (row[c]->is_valid ? row[c]->ToString() : "<null>");
    }
    columns.push_back(text);
  }
  return columns;
}

// The inferred type of one key with these values.
std::string Inferred(const std::vector<std::string>& values) {
  std::vector<std::string> paths;
  for (const std::string& value : values) paths.push_back("k=" + value + "/x");
  const auto partitions = ReadPartitionPaths(paths, {});
  if (!partitions.ok()) return partitions.status().ToString();
  return partitions->fields.at(0)->type()->ToString();
}

Status Refused(const std::vector<std::string>& paths, const Types& given = {}) {
  return ReadPartitionPaths(paths, given).status();
}

TEST(ParsePartitionPath, HasTheDirectoriesWithAnEqualsSignInOrder) {
  EXPECT_THAT(Keys("year=2013/month=1/a.parquet"), ElementsAre("year:2013", "month:1"));
  EXPECT_THAT(Keys("data/year=2013/v2/month=1/a.parquet"),
              ElementsAre("year:2013", "month:1"));
}

TEST(ReadPartitionPaths, DirectoriesThatWereRuledOutCountForTypes) {
  const auto read = [](const std::vector<std::string>& ruled_out, const Types& given) {
    return ReadPartitionPaths({"k=1/m=2/x"}, given, ruled_out);
  };
  const auto wide = read({"k=a/", "k=1/m=3/"}, {});
  ASSERT_TRUE(wide.ok()) << wide.status().ToString();
  EXPECT_TRUE(wide->fields[0]->type()->Equals(*arrow::utf8()));
  EXPECT_TRUE(wide->fields[1]->type()->Equals(*arrow::int32()));
  ASSERT_EQ(wide->widened.size(), 1);
  EXPECT_EQ(wide->widened[0]->name(), "k");
  EXPECT_EQ(wide->ruled_out[0].size(), 2);
  EXPECT_EQ(wide->ruled_out[1].size(), 1);
  EXPECT_TRUE(read({"k=a/"}, {{"k", "string"}})->widened.empty());
  EXPECT_EQ(KindOf(read({"other=1/"}, {}).status()), ErrorKind::kSchemaMismatch);
  EXPECT_EQ(KindOf(read({"k=1/m=2/n=3/"}, {}).status()), ErrorKind::kSchemaMismatch);
}

TEST(ParsePartitionPath, AFilesNameIsNoPartition) {
  EXPECT_THAT(Keys("k=1.parquet"), IsEmpty());
  EXPECT_THAT(Keys("a/k=1"), IsEmpty());
  EXPECT_THAT(Keys(""), IsEmpty());
}

TEST(ParsePartitionPath, TheFirstEqualsSignParts) {
  EXPECT_THAT(Keys("a=b=c/x"), ElementsAre("a:b=c"));
  EXPECT_THAT(Keys("a==/x"), ElementsAre("a:="));
}

TEST(ParsePartitionPath, AValueMayBeEmptyAndAKeyMayNot) {
  EXPECT_THAT(Keys("a=/x"), ElementsAre("a:"));
  EXPECT_THAT(Keys("=a/x"), IsEmpty());
}

TEST(ParsePartitionPath, DecodesKeysAndValues) {
  EXPECT_THAT(Keys("city=S%C3%A3o%20Paulo%2FSP/x"), ElementsAre("city:São Paulo/SP"));
  EXPECT_THAT(Keys("a%20b%3D=1%3d2/x"), ElementsAre("a b=:1=2"));
  EXPECT_THAT(Keys("t=10%3A30/x"), ElementsAre("t:10:30"));
}

TEST(ParsePartitionPath, DecodesOnceAndLeavesPlusSignsAlone) {
  EXPECT_THAT(Keys("a=%2541/x"), ElementsAre("a:%41"));
  EXPECT_THAT(Keys("a=1+2/x"), ElementsAre("a:1+2"));
}

TEST(ParsePartitionPath, APercentSignThatBeginsNoEscapeStandsForItself) {
  EXPECT_THAT(Keys("a=100%/b=%4/c=%zz/d=%4g/e=%%41/x"),
              ElementsAre("a:100%", "b:%4", "c:%zz", "d:%4g", "e:%A"));
}

TEST(ParsePartitionPath, HivesNullHasNoValue) {
  EXPECT_THAT(Keys("a=__HIVE_DEFAULT_PARTITION__/x"), ElementsAre("a:<null>"));
  EXPECT_THAT(Keys("a=__HIVE_DEFAULT_PARTITION__1/x"),
              ElementsAre("a:__HIVE_DEFAULT_PARTITION__1"));
}

TEST(ReadPartitionPaths, NoneAreNoColumns) {
  EXPECT_THAT(Read({}), IsEmpty());
  EXPECT_THAT(Read({"a.parquet", "b/c.parquet"}), IsEmpty());
}

TEST(ReadPartitionPaths, HasARowForEveryPath) {
  EXPECT_THAT(Read({"y=2013/m=1/a", "y=2013/m=2/a", "y=2014/m=1/a"}),
              ElementsAre("y int32 2013 2013 2014", "m int32 1 2 1"));
}

TEST(ReadPartitionPaths, InfersTheNarrowestTypeOfAllValues) {
  EXPECT_EQ(Inferred({"1", "-2", "2147483647", "-2147483648"}), "int32");
  EXPECT_EQ(Inferred({"1", "2147483648"}), "int64");
  EXPECT_EQ(Inferred({"9223372036854775807", "-9223372036854775808"}), "int64");
  EXPECT_EQ(Inferred({"9223372036854775808"}), "string");
  EXPECT_EQ(Inferred({"2013-01-31", "1969-12-31"}), "date32[day]");
  EXPECT_EQ(Inferred({"2013-01-31", "2013-02-30"}), "string");
  EXPECT_EQ(Inferred({"2013-01-31", "1"}), "string");
  EXPECT_EQ(Inferred({"1", "a"}), "string");
  EXPECT_EQ(Inferred({"1.5"}), "string");
  EXPECT_EQ(Inferred({"true"}), "string");
  EXPECT_EQ(Inferred({""}), "string");
}

TEST(ReadPartitionPaths, NullsDoNotChangeTheInferredType) {
  const std::string null = "__HIVE_DEFAULT_PARTITION__";
  EXPECT_EQ(Inferred({null, "1"}), "int32");
  EXPECT_EQ(Inferred({"2013-01-31", null}), "date32[day]");
  EXPECT_EQ(Inferred({null, "a"}), "string");
  EXPECT_THAT(Read({"k=" + null + "/a", "k=7/a"}), ElementsAre("k int32 <null> 7"));
}

// Read as numbers they would not be what was written.
TEST(ReadPartitionPaths, NumbersThatWouldNotComeBackAsWrittenAreStrings) {
  for (const char* value :
       {"007", "+1", "00", "0x1F", "-007", "-0", " 1", "1 ", "1e3", "1_000", "--1"}) {
    EXPECT_EQ(Inferred({value}), "string") << value;
  }
  EXPECT_EQ(Inferred({"0"}), "int32");
  EXPECT_EQ(Inferred({"-10"}), "int32");
}

TEST(ReadPartitionPaths, InfersFromDecodedValues) {
  EXPECT_EQ(Inferred({"%31"}), "int32");
  EXPECT_THAT(Read({"c=a%2Fb/x"}), ElementsAre("c string a/b"));
}

TEST(ReadPartitionPaths, GivenTypesAreTaken) {
  const std::vector<std::pair<std::string, std::string>> types = {
      {"int8", "int8 7"},     {"int16", "int16 7"},   {"int64", "int64 7"},
      {"uint8", "uint8 7"},   {"uint16", "uint16 7"}, {"uint32", "uint32 7"},
      {"uint64", "uint64 7"}, {"float32", "float 7"}, {"float64", "double 7"},
      {"string", "string 7"}, {"int32", "int32 7"}};
  for (const auto& [given, expected] : types) {
    EXPECT_THAT(Read({"k=7/x"}, {{"k", given}}), ElementsAre("k " + expected)) << given;
  }
  EXPECT_THAT(Read({"k=true/x", "k=false/x"}, {{"k", "bool"}}),
              ElementsAre("k bool true false"));
  EXPECT_THAT(Read({"k=2013-01-31/x"}, {{"k", "date32"}}),
              ElementsAre("k date32[day] 2013-01-31"));
  EXPECT_THAT(Read({"k=2013-01-31%2010%3A30%3A00/x"}, {{"k", "timestamp"}}),
              ElementsAre("k timestamp[us] 2013-01-31 10:30:00.000000"));
}

TEST(ReadPartitionPaths, OneTypeGivenLeavesTheOthersInferred) {
  EXPECT_THAT(Read({"y=2013/m=1/a"}, {{"m", "int8"}}),
              ElementsAre("y int32 2013", "m int8 1"));
}

TEST(ReadPartitionPaths, NullsAreOfTheGivenType) {
  EXPECT_THAT(Read({"k=__HIVE_DEFAULT_PARTITION__/a"}, {{"k", "date32"}}),
              ElementsAre("k date32[day] <null>"));
}

TEST(ReadPartitionPaths, AValueThatDoesNotFitItsGivenTypeIsRefused) {
  for (const auto& [type, value] :
       std::vector<std::pair<std::string, std::string>>{{"int8", "128"},
                                                        {"uint8", "-1"},
                                                        {"int32", "a"},
                                                        {"date32", "2013-02-30"},
                                                        {"bool", "maybe"},
                                                        {"int64", ""}}) {
    const Status status = Refused({"k=" + value + "/a.parquet"}, {{"k", type}});
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument) << type;
    EXPECT_THAT(status.message(),
                AllOf(HasSubstr("k=" + value + "/a.parquet"),
                      HasSubstr("'" + value + "'"), HasSubstr("\"k\"")));
  }
}

TEST(ReadPartitionPaths, AnUnknownTypeIsRefusedWithThoseThereAre) {
  const Status status = Refused({"k=1/a"}, {{"k", "int"}});
  EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("'int'"), HasSubstr("\"k\""),
                                      HasSubstr("int32"), HasSubstr("timestamp")));
}

TEST(ReadPartitionPaths, ATypeForNoKeyIsRefused) {
  for (const std::vector<std::string>& paths :
       {std::vector<std::string>{"k=1/a"}, {"a"}, {}}) {
    const Status status = Refused(paths, {{"q", "int32"}});
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("\"q\""));
  }
}

TEST(ReadPartitionPaths, PathsOfDifferentKeysAreASchemaMismatchThatNamesOne) {
  for (const char* other : {"b", "m=1/b", "k=1/m=1/b", "K=1/b"}) {
    const Status status = Refused({"k=1/a", other});
    EXPECT_EQ(KindOf(status), ErrorKind::kSchemaMismatch) << other;
    EXPECT_THAT(status.message(), AllOf(HasSubstr(other), HasSubstr("k=1/a")));
  }
  EXPECT_EQ(KindOf(Refused({"a=1/b=1/x", "b=1/a=1/x"})), ErrorKind::kSchemaMismatch);
}

// Two columns of one name cannot be told apart.
TEST(ReadPartitionPaths, AKeyTwiceInAPathIsASchemaMismatchThatNamesIt) {
  const Status status = Refused({"k=1/k=2/a"});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kSchemaMismatch);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("k=1/k=2/a"), HasSubstr("\"k\"")));
}

}  // namespace
}  // namespace headrace::table
