#include "table/delta/deletion_vector.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "tests/cpp/lake.h"

namespace headrace::table::delta {
namespace {

using testing::Check;

// Rows {3, 4, 7, 11, 18, 29}, by pyroaring.
constexpr char kInline[] = "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L";
constexpr int64_t kRows[] = {3, 4, 7, 11, 18, 29};

std::shared_ptr<storage::Storage> Local() {
  std::string path;
  return Check(storage::Storage::FromUri("/", {}, &path));
}

TEST(DeletionVector, ReadsWhatLiesInTheLog) {
  const DeletionVector vector{'i', kInline, {}, 44, 6};
  const auto rows = Check(ReadDeletionVector(*Local(), "/t", vector, "x.parquet"));
  EXPECT_EQ(rows->count(), 6);
  std::vector<uint8_t> present(32, 1);
  rows->Clear(0, present);
  for (int64_t row = 0; row < 32; ++row) {
    const bool deleted =
        std::find(std::begin(kRows), std::end(kRows), row) != std::end(kRows);
    EXPECT_EQ(present[static_cast<size_t>(row)], deleted ? 0 : 1) << row;
  }
}

TEST(DeletionVector, CountsInRanges) {
  const DeletedRows rows(kRows);
  EXPECT_EQ(rows.CountIn(0, 30), 6);
  EXPECT_EQ(rows.CountIn(3, 2), 2);
  EXPECT_EQ(rows.CountIn(4, 1), 1);
  EXPECT_EQ(rows.CountIn(5, 2), 0);
  EXPECT_EQ(rows.CountIn(5, 0), 0);
  std::vector<uint8_t> present(3, 1);
  rows.Clear(10, present);
  EXPECT_EQ(present, (std::vector<uint8_t>{1, 0, 1}));
}

TEST(DeletionVector, RefusesAnotherCountThanTheLogHas) {
  const DeletionVector vector{'i', kInline, {}, 44, 5};
  const Status status = ReadDeletionVector(*Local(), "/t", vector, "x.parquet").status();
  EXPECT_EQ(KindOf(status), ErrorKind::kCorrupt);
}

TEST(DeletionVector, RefusesBytesThatAreNone) {
  for (const std::string& text : {std::string(), std::string("0"), std::string("00000"),
                                  std::string(kInline).substr(0, 45)}) {
    const std::string bytes = DecodeZ85(text);
    EXPECT_EQ(ParseDeletionVector(
                  {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}),
              nullptr)
        << text;
  }
}

TEST(DeletionVector, NamesFilesByTheirUuid) {
  // The protocol's example.
  EXPECT_EQ(PathOfUuid("ab^-aqEH.-t@S}K{vb[*k^"),
            "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin");
  EXPECT_EQ(PathOfUuid("short"), "");
}

TEST(DeletionVector, SaysThatAFileIsNotThere) {
  const testing::TempDir folder;
  const DeletionVector vector{'u', "^-aqEH.-t@S}K{vb[*k^", 4, 40, 6};
  const Status status =
      ReadDeletionVector(*Local(), folder / "t", vector, "x.parquet").status();
  EXPECT_EQ(KindOf(status), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace headrace::table::delta
