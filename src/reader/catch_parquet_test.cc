#include "reader/catch_parquet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace headrace::reader {
namespace {

template <typename Exception>
Status Caught(const Exception& exception) {
  return CatchParquet([&]() -> Status { throw exception; });
}

TEST(CatchParquet, GivesBackWhatIsReturned) {
  EXPECT_TRUE(CatchParquet([] { return Status::OK(); }).ok());
  EXPECT_EQ(CatchParquet([]() -> Result<int> { return 7; }).ValueOrDie(), 7);
}

TEST(CatchParquet, KeepsAStatusThatParquetCarries) {
  const Status status =
      Caught(parquet::ParquetStatusException(Error(ErrorKind::kUnavailable, "gone")));
  EXPECT_EQ(KindOf(status), ErrorKind::kUnavailable);
}

TEST(CatchParquet, LetsNoExceptionPass) {
  // One that passes ends the process: readers run in threads of their own.
  EXPECT_EQ(KindOf(Caught(parquet::ParquetException("bad page"))), ErrorKind::kCorrupt);
  const Status status = Caught(std::length_error("vector::reserve"));
  EXPECT_EQ(KindOf(status), ErrorKind::kCorrupt);
  EXPECT_THAT(status.message(), ::testing::HasSubstr("vector::reserve"));
  EXPECT_EQ(KindOf(Caught(std::bad_alloc())), ErrorKind::kResourceExhausted);
}

}  // namespace
}  // namespace headrace::reader
