#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "storage/system.h"

namespace headrace::storage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Options MakeOptions(const OptionMap& given) {
  std::set<std::string> known;
  for (const auto& [name, value] : given) known.insert(name);
  return Options::Make("Moon Storage", given, known).ValueOrDie();
}

TEST(Options, RefusesAnUnknownNameAndTellsTheNamesThereAre) {
  const Status status =
      Options::Make("Moon Storage", {{"regoin", "x"}}, {"region", "scheme"}).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("\"regoin\""), HasSubstr("Moon Storage"),
                                      HasSubstr("region, scheme")));
}

TEST(Options, OfASystemThatHasNoneSaysSo) {
  const Status status = Options::Make("Moon Storage", {{"x", "y"}}, {}).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("which has none"));
}

TEST(Options, ValuesOfUnknownNamesAreNotShown) {
  const Status status =
      Options::Make("Moon Storage", {{"secret_kye", "HUSH"}}, {"secret_key"}).status();
  EXPECT_THAT(status.message(), Not(HasSubstr("HUSH")));
}

TEST(Options, NoneGivenIsNoError) {
  const auto options = Options::Make("Moon Storage", {}, {"region"});
  ASSERT_TRUE(options.ok());
  EXPECT_FALSE(options->Has("region"));
}

TEST(Options, GetIsTheValueOrTheOther) {
  const Options options = MakeOptions({{"region", "eu"}, {"empty", ""}});
  EXPECT_TRUE(options.Has("region"));
  EXPECT_EQ(options.Get("region", "us"), "eu");
  EXPECT_EQ(options.Get("scheme", "https"), "https");
  EXPECT_EQ(options.Get("scheme"), "");
  EXPECT_EQ(options.Get("empty", "https"), "");
}

TEST(Options, AFlagIsTrueOrFalseAndFalseIfAbsent) {
  const Options options = MakeOptions({{"a", "true"}, {"b", "false"}});
  EXPECT_TRUE(options.Flag("a").ValueOrDie());
  EXPECT_FALSE(options.Flag("b").ValueOrDie());
  EXPECT_FALSE(options.Flag("absent").ValueOrDie());
}

TEST(Options, OtherFlagsAreRefusedWithNameAndValue) {
  for (const char* value : {"", "yes", "on", "truee", "2", " true"}) {
    const Status status = MakeOptions({{"anonymous", value}}).Flag("anonymous").status();
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument) << value;
    EXPECT_THAT(status.message(),
                AllOf(HasSubstr("\"anonymous\""), HasSubstr(std::string("'") + value)));
  }
}

TEST(Options, SecondsAreAPositiveNumber) {
  const Options options = MakeOptions({{"a", "2"}, {"b", "0.25"}, {"c", "1e2"}});
  EXPECT_EQ(options.Seconds("a", 7).ValueOrDie(), 2);
  EXPECT_EQ(options.Seconds("b", 7).ValueOrDie(), 0.25);
  EXPECT_EQ(options.Seconds("c", 7).ValueOrDie(), 100);
  EXPECT_EQ(options.Seconds("absent", 7).ValueOrDie(), 7);
}

TEST(Options, OtherSecondsAreRefusedWithNameAndValue) {
  for (const char* value : {"", "0", "-1", "ten", "10s", " 1", "nan", "inf", "1e300"}) {
    const auto seconds = MakeOptions({{"request_timeout", value}});
    const Status status = seconds.Seconds("request_timeout", 7).status();
    ASSERT_FALSE(status.ok()) << value;
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument) << value;
    EXPECT_THAT(status.message(), AllOf(HasSubstr("\"request_timeout\""),
                                        HasSubstr(std::string("'") + value)));
  }
}

TEST(SchemeOf, IsWhatStandsBeforeTheSlashesInLowerCase) {
  EXPECT_EQ(SchemeOf("s3://bucket/x"), "s3");
  EXPECT_EQ(SchemeOf("S3://bucket/x"), "s3");
  EXPECT_EQ(SchemeOf("file:///data"), "file");
  EXPECT_EQ(SchemeOf("ab+c-d.e://x"), "ab+c-d.e");
}

TEST(SchemeOf, OfAPathIsEmpty) {
  for (const char* path : {"", "/data/x", "data", "C:/x", "a:b", "://x", "/a://b",
                           "year=2013/a://b", "s3:/bucket"}) {
    EXPECT_EQ(SchemeOf(path), "") << path;
  }
}

TEST(UserInfoOf, IsWhatStandsBeforeTheAtSign) {
  EXPECT_EQ(UserInfoOf("s3://key:secret@bucket/x"), "key:secret");
  EXPECT_EQ(UserInfoOf("s3://key@bucket"), "key");
  EXPECT_EQ(UserInfoOf("s3://key:se@cret@bucket/x"), "key:se@cret");
  EXPECT_EQ(UserInfoOf("abfs://container@account/x"), "container");
}

TEST(UserInfoOf, IsEmptyWhereThereIsNone) {
  for (const char* uri : {"s3://bucket/x", "s3://bucket/mail@example.org/x", "/data/a@b",
                          "key:secret@bucket", "s3://@bucket", "s3://bucket:80/a@b"}) {
    EXPECT_EQ(UserInfoOf(uri), "") << uri;
  }
}

// AWS makes secret keys with slashes, and people paste them as they are.
TEST(UserInfoOf, MayHoldSlashes) {
  EXPECT_EQ(UserInfoOf("s3://KEY:ab/cd/ef@bucket/x"), "KEY:ab/cd/ef");
}

TEST(WithoutCredentials, HasNeitherUserInfoNorQuery) {
  EXPECT_EQ(WithoutCredentials("s3://key:secret@bucket/x?sig=HUSH"), "s3://bucket/x");
  EXPECT_EQ(WithoutCredentials("s3://key@bucket/x"), "s3://bucket/x");
  EXPECT_EQ(WithoutCredentials("s3://KEY:ab/cd@bucket/x"), "s3://bucket/x");
}

TEST(WithoutCredentials, LeavesWhatIsNoCredential) {
  EXPECT_EQ(WithoutCredentials("/data/a?b@c"), "/data/a?b@c");
  EXPECT_EQ(WithoutCredentials("s3://bucket/a@b"), "s3://bucket/a@b");
  EXPECT_EQ(WithoutCredentials("abfs://container@account/x"),
            "abfs://container@account/x");
  EXPECT_EQ(WithoutCredentials("abfs://c:HUSH@account/x"), "abfs://account/x");
}

}  // namespace
}  // namespace headrace::storage
