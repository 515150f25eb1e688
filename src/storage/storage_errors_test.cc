// Which kind an error of a storage is, what it says, and what it must not say.
#include <arrow/filesystem/mockfs.h>
#include <arrow/util/io_util.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "storage/storage.h"

namespace headrace::storage {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Options = std::map<std::string, std::string>;

Storage Bucket(const std::vector<std::string>& secrets = {}) {
  return {{.filesystem = std::make_shared<arrow::fs::internal::MockFileSystem>(
               arrow::fs::TimePoint{}),
           .display_prefix = "s3://"},
          secrets};
}

ErrorKind KindOfText(const std::string& text) {
  return KindOf(Bucket().Translate(Status::IOError(text), "bucket/x"));
}

Status Refused(const std::string& uri, const Options& options = {}) {
  std::string path;
  return Storage::FromUri(uri, options, &path).status();
}

TEST(Translate, NamesThePathAsUsersKnowIt) {
  const Status status =
      Bucket().Translate(Status::IOError("connection reset"), "bucket/a/b.parquet");
  EXPECT_THAT(status.message(), StartsWith("s3://bucket/a/b.parquet: connection reset"));
}

TEST(Translate, RefusedCredentialsAreDenied) {
  for (const char* text :
       {"AWS Error ACCESS_DENIED during HeadObject operation: No response body",
        "AWS Error INVALID_ACCESS_KEY_ID during ListObjectsV2",
        "AWS Error UNKNOWN: SignatureDoesNotMatch",
        "GetObjectMetadata() failed: HTTP status 403: Permission denied",
        "google::cloud::Status(PERMISSION_DENIED: no)", "UNAUTHENTICATED: no token",
        "Azure: AuthenticationFailed: the server failed to authenticate",
        "AuthorizationFailure"}) {
    EXPECT_EQ(KindOfText(text), ErrorKind::kDenied) << text;
  }
}

TEST(Translate, DeniedSaysWhatToCheck) {
  const Status status = Bucket().Translate(Status::IOError("ACCESS_DENIED"), "bucket/x");
  EXPECT_THAT(status.message(), HasSubstr("check the credentials"));
}

TEST(Translate, WhatIsNotThereIsNotFound) {
  for (const char* text :
       {"AWS Error NO_SUCH_BUCKET during ListObjectsV2 operation",
        "AWS Error UNKNOWN: NoSuchKey", "google::cloud::Status(NOT_FOUND: no object)",
        "Path does not exist 'bucket/x'", "the specified container does not exist"}) {
    EXPECT_EQ(KindOfText(text), ErrorKind::kNotFound) << text;
  }
}

TEST(Translate, WhatDidNotAnswerIsUnavailableAndSaysToTryAgain) {
  for (const char* text : {"AWS Error NETWORK_CONNECTION during HeadObject operation",
                           "Request timed out", "HTTP status 503: slow down"}) {
    const Status status = Bucket().Translate(Status::IOError(text), "bucket/x");
    EXPECT_EQ(KindOf(status), ErrorKind::kUnavailable) << text;
    EXPECT_THAT(status.message(), EndsWith("try again"));
  }
}

TEST(Translate, ErrorsOfTheSystemKeepTheirKind) {
  auto kind = [](int number) {
    const Status status = arrow::internal::IOErrorFromErrno(number, "cannot open");
    return KindOf(Bucket().Translate(status, "bucket/x"));
  };
  EXPECT_EQ(kind(ENOENT), ErrorKind::kNotFound);
  EXPECT_EQ(kind(ENOTDIR), ErrorKind::kNotFound);
  EXPECT_EQ(kind(EACCES), ErrorKind::kDenied);
  EXPECT_EQ(kind(EPERM), ErrorKind::kDenied);
  EXPECT_EQ(kind(EIO), ErrorKind::kUnavailable);
}

TEST(Translate, OurErrorsKeepTheirKind) {
  for (ErrorKind kind :
       {ErrorKind::kCorrupt, ErrorKind::kCancelled, ErrorKind::kResourceExhausted,
        ErrorKind::kInvalidArgument, ErrorKind::kUnsupported}) {
    EXPECT_EQ(KindOf(Bucket().Translate(Error(kind, "odd"), "bucket/x")), kind);
  }
}

// A file's name is no word of the storage.
TEST(Translate, TheKindIsNotTakenFromThePath) {
  const std::string path = "bucket/AccessDenied/x";
  const Status status =
      Bucket().Translate(Status::IOError("timed out reading '" + path + "'"), path);
  EXPECT_EQ(KindOf(status), ErrorKind::kUnavailable);
}

TEST(Translate, IsOneLine) {
  const Status status =
      Bucket().Translate(Status::IOError("first\nsecond\r\nthird\n"), "bucket/x");
  EXPECT_THAT(status.message(), Not(HasSubstr("\n")));
  EXPECT_THAT(status.message(), AllOf(HasSubstr("first"), HasSubstr("third")));
}

TEST(Translate, HidesEverySecretEverywhere) {
  const Storage storage = Bucket({"HUSH", "SILENCE"});
  const Status status =
      storage.Translate(Status::IOError("HUSH? key=HUSH&t=SILENCE HUSHHUSH"), "bucket/x");
  EXPECT_THAT(status.ToString(), AllOf(Not(HasSubstr("HUSH")), Not(HasSubstr("SILENCE")),
                                       HasSubstr("key=***&t=***")));
}

TEST(FromUri, AnUnknownSchemeIsRefusedWithThoseThereAre) {
  const Status status = Refused("ftp://user:HUSH@host/x?sig=HUSH");
  EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("\"ftp\""), HasSubstr("ftp://host/x"),
                                      HasSubstr("s3, gs, abfs, hdfs")));
  EXPECT_THAT(status.ToString(), Not(HasSubstr("HUSH")));
}

TEST(FromUri, AnEmptyPathIsRefused) {
  EXPECT_EQ(KindOf(Refused("")), ErrorKind::kInvalidArgument);
}

TEST(FromUri, AnUnknownOptionIsRefusedWithThoseOfTheSystem) {
  const std::map<std::string, std::string> known = {
      {"/data", "which has none"},
      {"file:///data", "which has none"},
      {"s3://b/x", "secret_key"},
      {"gs://b/x", "service_account_json"},
      {"abfs://c@a.dfs.core.windows.net/x", "account_key"},
      {"hdfs://host/x", "kerb_ticket"}};
  for (const auto& [uri, name] : known) {
    const Status status = Refused(uri, {{"regoin", "HUSH"}});
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument) << uri;
    EXPECT_THAT(status.message(), AllOf(HasSubstr("\"regoin\""), HasSubstr(name)));
    EXPECT_THAT(status.ToString(), Not(HasSubstr("HUSH")));
  }
}

TEST(FromUri, OptionsOfAnotherSystemAreUnknown) {
  EXPECT_EQ(KindOf(Refused("gs://b/x", {{"region", "eu"}})), ErrorKind::kInvalidArgument);
  EXPECT_EQ(KindOf(Refused("s3://b/x", {{"account_key", "k"}})),
            ErrorKind::kInvalidArgument);
}

TEST(FromUri, HalfAKeyOfS3IsRefused) {
  for (const char* name : {"access_key", "secret_key"}) {
    const Status status = Refused("s3://b/x", {{name, "HUSH"}});
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("go together"));
    EXPECT_THAT(status.ToString(), Not(HasSubstr("HUSH")));
  }
}

TEST(FromUri, OddValuesOfOptionsAreRefused) {
  EXPECT_THAT(Refused("gs://b/x", {{"anonymous", "maybe"}}).message(),
              HasSubstr("expected true or false"));
  EXPECT_THAT(Refused("gs://b/x", {{"retry_time_limit", "0"}}).message(),
              HasSubstr("expected a number of seconds"));
  EXPECT_THAT(Refused("abfs://c@a/x", {{"anonymous", "maybe"}}).message(),
              HasSubstr("expected true or false"));
}

TEST(FromUri, AzureWithoutAnAccountSaysHowToNameOne) {
  const Status status = Refused("abfs://container/x", {{"account_key", "HUSH"}});
  EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("\"account_name\""));
  EXPECT_THAT(status.ToString(), Not(HasSubstr("HUSH")));
}

// Errors of parsing quote what they parse.
TEST(FromUri, AUriThatDoesNotParseShowsNoCredential) {
  for (const char* uri :
       {"s3://KEY:HUSH@bucket/%zz", "s3://KEY:HUSH@buck et/x", "s3://KEY:HUSH/x@bucket/x",
        "s3://KEY:a/HUSH/b@bucket/x?region=eu", "s3://b/x?secret=HUSH",
        "gs://user:HUSH@bucket/%zz", "gs://bucket/x?access_token=HUSH",
        "gs://user:a/HUSH@bucket/x", "abfs://c:HUSH@account/%zz",
        "abfs://c@account.dfs.core.windows.net/[x?client_secret=HUSH",
        "abfs://c@account.dfs.core.windows.net/x?sig=HUSH&sv=1",
        "hdfs://user:HUSH@ho st/x", "ftp://user:a/HUSH@host/x"}) {
    const Status status = Refused(uri);
    EXPECT_THAT(status.ToString(), Not(HasSubstr("HUSH"))) << uri;
  }
}

TEST(FromUri, ABadAccountKeyIsNotShown) {
  const Status status = Refused("abfs://c@account.dfs.core.windows.net/x",
                                {{"account_key", "HUSH is no base64!"}});
  EXPECT_THAT(status.ToString(), Not(HasSubstr("HUSH")));
}

TEST(FromUri, ABadServiceAccountIsNotShown) {
  const Status status = Refused("gs://bucket/x", {{"service_account_json", "{HUSH"}});
  EXPECT_THAT(status.ToString(), Not(HasSubstr("HUSH")));
}

}  // namespace
}  // namespace headrace::storage
