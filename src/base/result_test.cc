#include <arrow/util/io_util.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <headrace/result.h>

#include <cerrno>
#include <set>
#include <string>
#include <vector>

namespace headrace {
namespace {

const std::vector<std::pair<ErrorKind, std::string>> kKinds = {
    {ErrorKind::kInvalidArgument, "InvalidArgument"},
    {ErrorKind::kNotFound, "NotFound"},
    {ErrorKind::kSchemaMismatch, "SchemaMismatch"},
    {ErrorKind::kCorrupt, "Corrupt"},
    {ErrorKind::kUnavailable, "Unavailable"},
    {ErrorKind::kDenied, "Denied"},
    {ErrorKind::kConflict, "Conflict"},
    {ErrorKind::kUnsupported, "Unsupported"},
    {ErrorKind::kCancelled, "Cancelled"},
    {ErrorKind::kResourceExhausted, "ResourceExhausted"},
    {ErrorKind::kPeerFailed, "PeerFailed"},
    {ErrorKind::kInternal, "Internal"}};

TEST(ErrorKind, HasTwelveNames) {
  std::set<std::string_view> names;
  for (const auto& [kind, name] : kKinds) {
    EXPECT_EQ(KindName(kind), name);
    names.insert(KindName(kind));
  }
  EXPECT_EQ(names.size(), 12U);
}

TEST(Error, KeepsItsKindAndMessage) {
  for (const auto& [kind, name] : kKinds) {
    const Status status = Error(kind, "seed is -1, expected 0 or more");
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(KindOf(status), kind) << name;
    EXPECT_EQ(MessageOf(status), "seed is -1, expected 0 or more");
    EXPECT_EQ(KindOf(Result<int>(status).status()), kind);
  }
}

TEST(WithContext, KeepsTheKind) {
  for (const auto& [kind, name] : kKinds) {
    const Status status = WithContext(Error(kind, "page 3 is damaged"), "lake/a.parquet");
    EXPECT_EQ(KindOf(status), kind) << name;
    EXPECT_EQ(MessageOf(status), "lake/a.parquet: page 3 is damaged");
  }
}

TEST(WithContext, KeepsTheKindOfArrowsErrors) {
  const Status denied =
      arrow::internal::StatusFromErrno(EACCES, arrow::StatusCode::IOError, "cannot open");
  EXPECT_EQ(KindOf(WithContext(denied, "lake/a.parquet")), ErrorKind::kDenied);
  EXPECT_EQ(KindOf(WithContext(Status::OutOfMemory("no more"), "x")),
            ErrorKind::kResourceExhausted);
}

TEST(KindOf, ClassesArrowsErrorsByTheirCode) {
  EXPECT_EQ(KindOf(Status::OutOfMemory("")), ErrorKind::kResourceExhausted);
  EXPECT_EQ(KindOf(Status::CapacityError("")), ErrorKind::kResourceExhausted);
  EXPECT_EQ(KindOf(Status::KeyError("")), ErrorKind::kNotFound);
  EXPECT_EQ(KindOf(Status::TypeError("")), ErrorKind::kInvalidArgument);
  EXPECT_EQ(KindOf(Status::Invalid("")), ErrorKind::kInvalidArgument);
  EXPECT_EQ(KindOf(Status::IndexError("")), ErrorKind::kInvalidArgument);
  EXPECT_EQ(KindOf(Status::NotImplemented("")), ErrorKind::kUnsupported);
  EXPECT_EQ(KindOf(Status::Cancelled("")), ErrorKind::kCancelled);
  EXPECT_EQ(KindOf(Status::SerializationError("")), ErrorKind::kCorrupt);
  EXPECT_EQ(KindOf(Status::IOError("")), ErrorKind::kUnavailable);
  EXPECT_EQ(KindOf(Status::UnknownError("")), ErrorKind::kInternal);
}

TEST(KindOf, ClassesIoErrorsByTheirErrno) {
  auto kind_of = [](int number) {
    return KindOf(
        arrow::internal::StatusFromErrno(number, arrow::StatusCode::IOError, "open"));
  };
  EXPECT_EQ(kind_of(ENOENT), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of(ENOTDIR), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of(EACCES), ErrorKind::kDenied);
  EXPECT_EQ(kind_of(EPERM), ErrorKind::kDenied);
  EXPECT_EQ(kind_of(EIO), ErrorKind::kUnavailable);
  EXPECT_EQ(kind_of(ETIMEDOUT), ErrorKind::kUnavailable);
}

// The detail of another library's status is not ours, whatever it says of itself.
class ForeignDetail : public arrow::StatusDetail {
 public:
  const char* type_id() const override { return "foreign"; }
  std::string ToString() const override { return "NotFound"; }
};

TEST(KindOf, PassesOverDetailsOfOthers) {
  const Status status(arrow::StatusCode::Cancelled, "stopped",
                      std::make_shared<ForeignDetail>());
  EXPECT_EQ(KindOf(status), ErrorKind::kCancelled);
}

}  // namespace
}  // namespace headrace
