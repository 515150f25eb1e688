#include "table/footer.h"

#include <arrow/io/memory.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/encryption/encryption.h>

#include <map>
#include <string>
#include <vector>

#include "table/forged_footer.h"
#include "tests/cpp/lake.h"

namespace headrace::table {
namespace {

using arrow::field;
using headrace::testing::Check;
using headrace::testing::Numbers;
using headrace::testing::ParquetOptions;
using headrace::testing::TableFromJson;
using headrace::testing::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Result<Footer> Read(const std::string& bytes) {
  arrow::io::BufferReader file(arrow::Buffer::FromString(bytes));
  return ReadFooter(file, static_cast<int64_t>(bytes.size()), "lake/a.parquet");
}

std::string Written(const std::shared_ptr<arrow::Table>& table,
                    const ParquetOptions& options = {}) {
  const TempDir dir;
  headrace::testing::WriteParquet(dir / "a.parquet", table, options);
  return headrace::testing::ReadWholeFile(dir / "a.parquet");
}

// A file that counts its reads.
class CountingFile : public arrow::io::RandomAccessFile {
 public:
  explicit CountingFile(std::string bytes) : file_(arrow::Buffer::FromString(bytes)) {}
  Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position,
                                                int64_t bytes) override {
    ++reads;
    read_bytes += bytes;
    return file_.ReadAt(position, bytes);
  }
  Result<int64_t> ReadAt(int64_t position, int64_t bytes, void* out) override {
    ++reads;
    read_bytes += bytes;
    return file_.ReadAt(position, bytes, out);
  }
  Result<int64_t> GetSize() override { return file_.GetSize(); }
  Result<int64_t> Read(int64_t, void*) override { return Status::NotImplemented(""); }
  Result<std::shared_ptr<arrow::Buffer>> Read(int64_t) override {
    return Status::NotImplemented("");
  }
  Status Seek(int64_t position) override { return file_.Seek(position); }
  Result<int64_t> Tell() const override { return file_.Tell(); }
  Status Close() override { return file_.Close(); }
  bool closed() const override { return file_.closed(); }

  int reads = 0;
  int64_t read_bytes = 0;

 private:
  arrow::io::BufferReader file_;
};

void ExpectCorrupt(const std::string& bytes, const std::string& what) {
  const auto footer = Read(bytes);
  ASSERT_FALSE(footer.ok()) << what;
  EXPECT_EQ(KindOf(footer.status()), ErrorKind::kCorrupt) << footer.status().ToString();
  EXPECT_THAT(footer.status().message(),
              AllOf(StartsWith("lake/a.parquet: "), HasSubstr(what)));
}

std::shared_ptr<arrow::Schema> SchemaOf(const std::shared_ptr<arrow::Table>& table,
                                        const ParquetOptions& options = {}) {
  return Check(FileSchema(*Check(Read(Written(table, options))).metadata, "a.parquet"));
}

TEST(ReadFooter, ReadsRowsAndRowGroups) {
  const Footer footer = Check(Read(Written(Numbers(0, 25), {.row_group_rows = 10})));
  EXPECT_EQ(footer.metadata->num_rows(), 25);
  EXPECT_EQ(footer.metadata->num_row_groups(), 3);
  EXPECT_GT(footer.serialized_bytes, 0);
}

TEST(ReadFooter, AFileOfNoRowsIsAFile) {
  const Footer footer = Check(Read(Written(Numbers(0, 0))));
  EXPECT_EQ(footer.metadata->num_rows(), 0);
}

TEST(ReadFooter, AFileOfNoColumnsIsAFile) {
  const Footer footer = Check(Read(Written(arrow::Table::Make(
      arrow::schema({}), std::vector<std::shared_ptr<arrow::Array>>{}))));
  EXPECT_EQ(footer.metadata->num_columns(), 0);
}

TEST(ReadFooter, TheChecksumIsOfTheFooterAndNotOfTheData) {
  const std::string bytes = Written(Numbers(0, 100), {.dictionary = false});
  std::string data = bytes;
  data[10] ^= 1;
  EXPECT_EQ(Check(Read(bytes)).checksum, Check(Read(bytes)).checksum);
  EXPECT_EQ(Check(Read(data)).checksum, Check(Read(bytes)).checksum);
  EXPECT_NE(Check(Read(Written(Numbers(1, 100)))).checksum, Check(Read(bytes)).checksum);
}

TEST(ReadFooter, ASmallOneTakesOneRead) {
  CountingFile file(Written(Numbers(0, 200000), {.dictionary = false}));
  const int64_t size = Check(file.GetSize());
  ASSERT_GT(size, 100000);
  ASSERT_TRUE(ReadFooter(file, size, "a").ok());
  EXPECT_EQ(file.reads, 1);
  EXPECT_LE(file.read_bytes, 64 << 10);
}

TEST(ReadFooter, ALargeOneTakesTwoReads) {
  const std::string bytes = Written(Numbers(0, 3000), {.row_group_rows = 2});
  CountingFile file(bytes);
  const Footer footer =
      Check(ReadFooter(file, static_cast<int64_t>(bytes.size()), "a.parquet"));
  ASSERT_GT(footer.serialized_bytes, 64 << 10);
  EXPECT_EQ(footer.metadata->num_row_groups(), 1500);
  EXPECT_EQ(file.reads, 2);
}

TEST(ReadFooter, EveryLengthAroundTheFirstReadIsRead) {
  // The name of the file's creator pads the footer to any length.
  for (size_t total = (64 << 10) - 3; total <= (64 << 10) + 3; ++total) {
    auto footer = [](size_t padding) {
      return forged::Footer({forged::Root(1), forged::Column("x")}, {}, 0)
          .Text(6, std::string(padding, 'a'))
          .bytes();
    };
    const size_t padding = 60000 + total - 8 - footer(60000).size();
    ASSERT_EQ(footer(padding).size(), total - 8);
    const auto read = Read(forged::File(footer(padding)));
    ASSERT_TRUE(read.ok()) << total << read.status().ToString();
    EXPECT_EQ(read->serialized_bytes, static_cast<int64_t>(total) - 8);
  }
}

TEST(ReadFooter, AnEmptyFileIsCorrupt) { ExpectCorrupt("", "the file is empty"); }

TEST(ReadFooter, AFileOfAFewBytesIsCorrupt) {
  for (size_t size : {1, 4, 8, 11}) ExpectCorrupt(std::string(size, 'P'), "too few");
  ExpectCorrupt("PAR1PAR1", "too few");
}

TEST(ReadFooter, AFileThatIsNotParquetIsCorruptAndSaysSo) {
  ExpectCorrupt(std::string(1000, 'x'), "not Parquet");
  ExpectCorrupt("a,b,c\n1,2,3\n4,5,6\n", "not Parquet");
  ExpectCorrupt(std::string(100, '\0'), "not Parquet");
}

TEST(ReadFooter, BytesOfAFileAreShownPrintable) {
  ExpectCorrupt(std::string(100, 'x') + "\x01\xff\na", "'\?\?\?a'");
}

TEST(ReadFooter, ATruncatedFileIsCorruptAtEveryLength) {
  const std::string bytes = Written(Numbers(0, 10));
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto footer = Read(bytes.substr(0, size));
    ASSERT_FALSE(footer.ok()) << size;
    ASSERT_EQ(KindOf(footer.status()), ErrorKind::kCorrupt) << footer.status().ToString();
  }
}

TEST(ReadFooter, AFileThatEndsBeforeItsListedSizeIsCorrupt) {
  const std::string bytes = Written(Numbers(0, 10));
  arrow::io::BufferReader file(arrow::Buffer::FromString(bytes));
  const Status status =
      ReadFooter(file, static_cast<int64_t>(bytes.size()) + 5, "a.parquet").status();
  EXPECT_EQ(KindOf(status), ErrorKind::kCorrupt) << status.ToString();
}

TEST(ReadFooter, AnEncryptedFooterIsUnsupported) {
  std::string bytes = Written(Numbers(0, 10));
  bytes.replace(bytes.size() - 4, 4, "PARE");
  const Status status = Read(bytes).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kUnsupported);
  EXPECT_THAT(status.message(),
              AllOf(StartsWith("lake/a.parquet: "), HasSubstr("encrypted")));
}

TEST(ReadFooter, AFileOfEncryptedColumnsIsUnsupported) {
  const auto sink = Check(arrow::io::BufferOutputStream::Create());
  auto encryption = parquet::FileEncryptionProperties::Builder(
                        arrow::util::SecureString("0123456789012345"))
                        .set_plaintext_footer()
                        ->build();
  const auto properties =
      parquet::WriterProperties::Builder().encryption(std::move(encryption))->build();
  Check(parquet::arrow::WriteTable(*Numbers(0, 10), arrow::default_memory_pool(), sink,
                                   10, properties));
  const Status status = Read(Check(sink->Finish())->ToString()).status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kUnsupported) << status.ToString();
  EXPECT_THAT(status.message(),
              AllOf(StartsWith("lake/a.parquet: "), HasSubstr("encrypted")));
}

TEST(ReadFooter, AForgedFooterIsReadIfItIsSound) {
  const Footer footer = Check(Read(forged::FileOf({})));
  EXPECT_EQ(footer.metadata->num_rows(), 10);
}

TEST(ReadFooter, ALengthBeyondTheFileIsCorrupt) {
  const std::string footer =
      forged::Footer({forged::Root(1), forged::Column("x")}, {}, 0).bytes();
  const auto most = static_cast<uint32_t>(footer.size() + 100);
  for (uint32_t claimed : {most + 1, most + 5, 0x7FFFFFFFU, 0x80000000U, 0xFFFFFFFFU}) {
    ExpectCorrupt(forged::File(footer, 100, claimed), "the footer claims");
  }
}

TEST(ReadFooter, ALengthThatIsTooShortIsCorrupt) {
  const std::string footer =
      forged::Footer({forged::Root(1), forged::Column("x")}, {}, 0).bytes();
  for (uint32_t claimed = 0; claimed < footer.size(); ++claimed) {
    const auto read = Read(forged::File(footer, 100, claimed));
    // What is left of a footer may parse by chance, but never be two of them.
    if (!read.ok()) {
      ASSERT_EQ(KindOf(read.status()), ErrorKind::kCorrupt) << claimed;
    }
  }
  ExpectCorrupt(forged::File(footer, 100, 0), "does not parse");
}

TEST(ReadFooter, ColumnChunksOutsideOfTheFileAreCorrupt) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  for (const forged::Chunk& chunk :
       std::vector<forged::Chunk>{{.page_offset = -1},
                                  {.page_offset = 25},
                                  {.page_offset = kMost},
                                  {.page_offset = std::numeric_limits<int64_t>::min()},
                                  {.compressed_bytes = 101},
                                  {.compressed_bytes = -1},
                                  {.compressed_bytes = kMost},
                                  {.compressed_bytes = kMost, .page_offset = kMost},
                                  {.page_offset = 90, .dictionary_offset = 60}}) {
    ExpectCorrupt(forged::FileOf(chunk), "row group 0, column \"x\"");
  }
}

TEST(ReadFooter, ColumnChunksMayReachTheFooter) {
  EXPECT_TRUE(Read(forged::FileOf({.page_offset = 24})).ok());
  EXPECT_TRUE(Read(forged::FileOf({.compressed_bytes = 100})).ok());
}

TEST(ReadFooter, AbsurdRowCountsAreCorrupt) {
  for (int64_t rows : {int64_t{-1}, std::numeric_limits<int64_t>::min(), int64_t{1} << 60,
                       std::numeric_limits<int64_t>::max()}) {
    ExpectCorrupt(forged::FileOf({}, rows), "row group 0 has " + std::to_string(rows));
  }
}

TEST(ReadFooter, AbsurdSizesOfColumnsAreCorrupt) {
  for (int64_t bytes : {int64_t{-1}, std::numeric_limits<int64_t>::min(),
                        int64_t{1} << 62, std::numeric_limits<int64_t>::max()}) {
    ExpectCorrupt(forged::FileOf({.uncompressed_bytes = bytes}),
                  "row group 0, column \"x\"");
  }
}

// One by one they are sound, but a file of thousands would not add up in 64 bits.
TEST(ReadFooter, RowGroupsThatAreAbsurdTogetherAreCorrupt) {
  auto file = [](const forged::Chunk& chunk, int64_t rows) {
    const forged::Struct group = forged::RowGroup({chunk}, rows);
    return forged::File(
        forged::Footer({forged::Root(1), forged::Column("x")}, {group, group}, 0)
            .bytes());
  };
  EXPECT_TRUE(Read(file({}, int64_t{1} << 39)).ok());
  ExpectCorrupt(file({}, (int64_t{1} << 39) + 1), "row group 1 has 549755813889 rows");
  EXPECT_TRUE(Read(file({.uncompressed_bytes = int64_t{1} << 43}, 10)).ok());
  ExpectCorrupt(file({.uncompressed_bytes = (int64_t{1} << 43) + 1}, 10),
                "row group 1, column");
}

TEST(ReadFooter, RowGroupsWithOtherColumnsThanTheSchemaAreCorrupt) {
  const std::vector<forged::Struct> schema = {forged::Root(2), forged::Column("x"),
                                              forged::Column("y")};
  const forged::Chunk x, y = {.name = "y"};
  EXPECT_TRUE(
      Read(forged::File(forged::Footer(schema, {forged::RowGroup({x, y})}).bytes()))
          .ok());
  for (const auto& chunks : std::vector<std::vector<forged::Chunk>>{
           {}, {x}, {x, y, x}, {x, y, x, y, x, y, x, y}}) {
    ExpectCorrupt(
        forged::File(forged::Footer(schema, {forged::RowGroup(chunks)}).bytes()),
        "row group 0");
  }
}

TEST(ReadFooter, AColumnChunkWithoutMetadataIsCorrupt) {
  ExpectCorrupt(forged::FileOf({.metadata = false}), "");
}

TEST(ReadFooter, ListsThatClaimMoreThanThereIsAreCorrupt) {
  for (uint64_t claimed : {uint64_t{2}, uint64_t{1000000}, uint64_t{1} << 31}) {
    const auto group = forged::RowGroup({{}});
    ExpectCorrupt(forged::File(forged::Struct()
                                   .I32(1, 2)
                                   .Structs(2, {forged::Root(1), forged::Column("x")})
                                   .I64(3, 10)
                                   .Structs(4, {group}, claimed)
                                   .bytes()),
                  "does not parse");
  }
}

TEST(ReadFooter, SchemasThatAreNoTreeAreCorrupt) {
  const auto column = forged::Column("x");
  for (const auto& schema : std::vector<std::vector<forged::Struct>>{
           {},
           {forged::Root(2), column},
           {forged::Root(-1), column},
           {forged::Root(std::numeric_limits<int32_t>::max()), column}}) {
    ExpectCorrupt(forged::File(forged::Footer(schema, {}, 0).bytes()), "does not parse");
  }
}

// Whatever byte is damaged: an error in words, or a footer that can be asked everything.
TEST(ReadFooter, AnyDamagedByteOfAFooterEndsInWords) {
  const std::string sound = Written(
      TableFromJson(arrow::schema({field("a", arrow::int32()), field("b", arrow::utf8()),
                                   field("c", arrow::list(arrow::float64()))}),
                    R"([{"a": 1, "b": "x", "c": [1, 2]}, {"a": 2, "b": "y", "c": []}])"),
      {.page_index = true});
  const auto begin =
      sound.size() - static_cast<size_t>(Check(Read(sound)).serialized_bytes) - 8;
  std::map<ErrorKind, int> kinds;
  for (size_t at = begin; at < sound.size(); ++at) {
    for (int change : {0x01, 0x10, 0x80, 0xFF, 0x3C}) {
      std::string bytes = sound;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      Status status;
      ASSERT_NO_THROW({
        auto footer = Read(bytes);
        status = footer.ok() ? FileSchema(*footer->metadata, "lake/a.parquet").status()
                             : footer.status();
      }) << at
         << " ^ " << change;
      if (status.ok()) continue;
      const ErrorKind kind = KindOf(status);
      EXPECT_THAT(status.message(), StartsWith("lake/a.parquet: "));
      EXPECT_TRUE(kind == ErrorKind::kCorrupt || kind == ErrorKind::kUnsupported ||
                  kind == ErrorKind::kSchemaMismatch)
          << at << " ^ " << change << " " << status.ToString();
      ++kinds[kind];
    }
  }
  EXPECT_GT(kinds[ErrorKind::kCorrupt], 100);
}

TEST(FileSchema, HasTheColumnsAsArrowTypes) {
  EXPECT_EQ(
      SchemaOf(TableFromJson(arrow::schema({field("a", arrow::int16(), false),
                                            field("b", arrow::large_utf8()),
                                            field("c", arrow::list(arrow::int8()))}),
                             "[]"))
          ->ToString(),
      "a: int16 not null\nb: large_string\nc: list<element: int8>");
}

TEST(FileSchema, HasNoMetadataOfTheFile) {
  const auto metadata = arrow::key_value_metadata({"pandas"}, {"{}"});
  const auto schema = SchemaOf(TableFromJson(
      arrow::schema({field("a", arrow::int32(), metadata)}, metadata), "[]"));
  EXPECT_EQ(schema->metadata(), nullptr);
  EXPECT_EQ(schema->field(0)->metadata(), nullptr);
}

TEST(FileSchema, TwoColumnsOfOneNameAreASchemaMismatchThatNamesThem) {
  const auto footer = Read(Written(TableFromJson(
      arrow::schema({field("a", arrow::int32()), field("a", arrow::int32())}), "[]")));
  const Status status = FileSchema(*Check(footer).metadata, "lake/a.parquet").status();
  EXPECT_EQ(KindOf(status), ErrorKind::kSchemaMismatch);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("lake/a.parquet"), HasSubstr("\"a\"")));
}

// What Arrow keeps of its own types beside the schema is damaged.
TEST(FileSchema, ADamagedArrowSchemaIsCorrupt) {
  for (const char* text : {"%%%", "bm8gc2NoZW1h", "/////w=="}) {
    const auto entry = forged::Struct().Text(1, "ARROW:schema").Text(2, text);
    const auto footer = Check(
        Read(forged::File(forged::Footer({forged::Root(1), forged::Column("x")}, {}, 0)
                              .Structs(5, {entry})
                              .bytes())));
    const auto schema = FileSchema(*footer.metadata, "lake/a.parquet");
    ASSERT_FALSE(schema.ok()) << text;
    EXPECT_EQ(KindOf(schema.status()), ErrorKind::kCorrupt) << schema.status().ToString();
    EXPECT_THAT(schema.status().message(), HasSubstr("lake/a.parquet"));
  }
}

}  // namespace
}  // namespace headrace::table
