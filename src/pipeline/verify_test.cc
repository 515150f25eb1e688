#include <arrow/io/file.h>
#include <arrow/table.h>
#include <headrace/inspect.h>
#include <parquet/arrow/writer.h>
#include <parquet/column_writer.h>
#include <parquet/file_reader.h>
#include <parquet/file_writer.h>
#include <parquet/page_index.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace headrace {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr int kRows = 3000;

/// A folder of Parquet files, three row groups each, with page checksums and page index.
class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              (std::string("headrace-verify-") + test->name() + "-" +
               std::to_string(::getpid()));
    std::filesystem::create_directory(folder_);
  }
  ~VerifyTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }

  static std::shared_ptr<arrow::Table> SomeRows(int rows) {
    arrow::Int64Builder id;
    arrow::DoubleBuilder x;
    arrow::StringBuilder name;
    arrow::ListBuilder list(arrow::default_memory_pool(),
                            std::make_shared<arrow::Int32Builder>());
    auto* items = static_cast<arrow::Int32Builder*>(list.value_builder());
    for (int i = 0; i < rows; ++i) {
      EXPECT_TRUE(id.Append(i * 7919LL).ok());
      EXPECT_TRUE((i % 3 == 0 ? x.AppendNull() : x.Append(i * 0.37)).ok());
      EXPECT_TRUE(name.Append("name " + std::to_string(i % 50)).ok());
      EXPECT_TRUE(list.Append().ok());
      for (int k = 0; k < i % 4; ++k) EXPECT_TRUE(items->Append(i + k).ok());
    }
    return arrow::Table::Make(
        arrow::schema({arrow::field("id", arrow::int64(), false),
                       arrow::field("x", arrow::float64()),
                       arrow::field("name", arrow::utf8()),
                       arrow::field("list", arrow::list(arrow::int32()))}),
        {id.Finish().ValueOrDie(), x.Finish().ValueOrDie(), name.Finish().ValueOrDie(),
         list.Finish().ValueOrDie()});
  }

  void Write(const std::string& name, int rows = kRows, bool checksums = true) const {
    parquet::WriterProperties::Builder builder;
    builder.compression(arrow::Compression::SNAPPY);
    builder.data_pagesize(2048)->write_batch_size(64)->enable_write_page_index();
    builder.disable_dictionary("id");
    if (checksums) builder.enable_page_checksum();
    auto out = arrow::io::FileOutputStream::Open(Path(name)).ValueOrDie();
    ASSERT_TRUE(parquet::arrow::WriteTable(*SomeRows(rows), arrow::default_memory_pool(),
                                           out, 1000, builder.build())
                    .ok());
    ASSERT_TRUE(out->Close().ok());
  }

  std::string Bytes(const std::string& name) const {
    std::ifstream file(Path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void SetBytes(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary | std::ios::trunc) << bytes;
  }

  /// The last bytes of a column chunk's first data page: values, no header.
  std::pair<int64_t, int64_t> PageTail(const std::string& name, int row_group, int column,
                                       int64_t size) const {
    auto reader = parquet::ParquetFileReader::OpenFile(Path(name));
    auto index =
        reader->GetPageIndexReader()->RowGroup(row_group)->GetOffsetIndex(column);
    const parquet::PageLocation& page = index->page_locations().front();
    const int64_t end = page.offset + page.compressed_page_size;
    return {end - size, end};
  }

  void FlipBit(const std::string& name, int64_t at) const {
    std::string bytes = Bytes(name);
    bytes[at] ^= 0x10;
    SetBytes(name, bytes);
  }

  VerifyReport Run(const Progress& progress = {}) const {
    auto report = Verify({folder_.string()}, {}, progress);
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return report.ValueOr(VerifyReport{});
  }

  std::filesystem::path folder_;
};

TEST_F(VerifyTest, CountsPagesAndChecksumsOfAWholeFile) {
  Write("a.parquet");
  Write("b.parquet", kRows, /*checksums=*/false);

  const VerifyReport report = Run();

  EXPECT_THAT(report.defects, IsEmpty());
  EXPECT_EQ(report.files, 2);
  EXPECT_EQ(report.row_groups, 6);
  EXPECT_GT(report.pages, 6 * 4 * 2);
  EXPECT_EQ(report.pages_with_checksum * 2, report.pages);
  EXPECT_THAT(report.ToString(), HasSubstr("2 files, 6 row groups"));
  EXPECT_THAT(report.ToString(), HasSubstr("no defects"));
}

TEST_F(VerifyTest, NamesFileRowGroupAndColumnOfAFlippedBit) {
  Write("a.parquet");
  Write("b.parquet");
  FlipBit("b.parquet", PageTail("b.parquet", 1, 0, 5).first);
  FlipBit("b.parquet", PageTail("b.parquet", 2, 3, 5).first);

  const VerifyReport report = Run();

  ASSERT_THAT(report.defects, SizeIs(2));
  EXPECT_EQ(report.defects[0].path, Path("b.parquet"));
  EXPECT_EQ(report.defects[0].row_group, 1);
  EXPECT_EQ(report.defects[0].column, "id");
  EXPECT_THAT(report.defects[0].message, HasSubstr("CRC"));
  EXPECT_EQ(report.defects[1].row_group, 2);
  EXPECT_THAT(report.defects[1].column, HasSubstr("list"));
  EXPECT_EQ(report.row_groups, 6);
  EXPECT_THAT(report.ToString(),
              HasSubstr("b.parquet: row group 1, column \"id\": could not verify page"));
}

TEST_F(VerifyTest, FindsEveryFlippedByteOfValuesWithAChecksum) {
  Write("a.parquet", 200);
  const std::string whole = Bytes("a.parquet");
  const auto [begin, end] = PageTail("a.parquet", 0, 0, 100);
  for (int64_t at = begin; at < end; ++at) {
    SetBytes("a.parquet", whole);
    FlipBit("a.parquet", at);
    EXPECT_THAT(Run().defects, SizeIs(1)) << "byte " << at;
  }
}

TEST_F(VerifyTest, FindsUndecodablePagesWithoutChecksums) {
  Write("a.parquet", kRows, /*checksums=*/false);
  const std::string whole = Bytes("a.parquet");
  // The end of a Snappy stream, cut off: what is left decodes to too few bytes.
  const auto [begin, end] = PageTail("a.parquet", 1, 2, 40);
  std::string bytes = whole;
  bytes.replace(begin, end - begin, end - begin, '\0');
  SetBytes("a.parquet", bytes);

  const VerifyReport report = Run();

  ASSERT_THAT(report.defects, SizeIs(1)) << report.ToString();
  EXPECT_EQ(report.defects[0].row_group, 1);
  EXPECT_EQ(report.defects[0].column, "name");
}

TEST_F(VerifyTest, ReportsBrokenFootersAndGoesOn) {
  Write("a-whole.parquet");
  const std::string bytes = Bytes("a-whole.parquet");
  SetBytes("b-empty.parquet", "");
  SetBytes("c-truncated.parquet", bytes.substr(0, bytes.size() / 2));
  SetBytes("d-foreign.parquet", "this is no Parquet file at all");
  Write("e-whole.parquet");

  const VerifyReport report = Run();

  EXPECT_EQ(report.files, 5);
  EXPECT_EQ(report.row_groups, 6);
  ASSERT_THAT(report.defects, SizeIs(3));
  EXPECT_THAT(report.defects[0].path, HasSubstr("b-empty.parquet"));
  EXPECT_EQ(report.defects[0].row_group, -1);
  EXPECT_THAT(report.defects[0].message, HasSubstr("empty"));
  EXPECT_THAT(report.defects[0].message, Not(HasSubstr("b-empty.parquet")));
  EXPECT_THAT(report.defects[1].path, HasSubstr("c-truncated.parquet"));
  EXPECT_THAT(report.defects[2].path, HasSubstr("d-foreign.parquet"));
}

TEST_F(VerifyTest, SurvivesFlippedBytesAnywhere) {
  Write("a.parquet", 200);
  const std::string whole = Bytes("a.parquet");
  for (size_t at = 0; at < whole.size(); at += 13) {
    for (char bit : {0x01, 0x40}) {
      std::string bytes = whole;
      bytes[at] ^= bit;
      SetBytes("a.parquet", bytes);
      EXPECT_EQ(Run().files, 1);
    }
  }
}

TEST_F(VerifyTest, ComparesPagesWithTheOffsetIndex) {
  Write("a.parquet");
  auto reader = parquet::ParquetFileReader::OpenFile(Path("a.parquet"));
  auto group = reader->metadata()->RowGroup(0);
  const auto first = group->ColumnChunk(0)->GetOffsetIndexLocation();
  const auto second = group->ColumnChunk(1)->GetOffsetIndexLocation();
  ASSERT_TRUE(first && second);
  std::string bytes = Bytes("a.parquet");
  // Another column's index, put in the place of the first one's.
  bytes.replace(first->offset, std::min(first->length, second->length),
                bytes.substr(second->offset, std::min(first->length, second->length)));
  reader.reset();
  SetBytes("a.parquet", bytes);

  const VerifyReport report = Run();

  ASSERT_THAT(report.defects, SizeIs(1));
  EXPECT_EQ(report.defects[0].column, "id");
}

TEST_F(VerifyTest, TakesPageHeadersThatAreWrittenInAnotherWay) {
  // Headers whose first field is in Thrift's long form were not seen to be those of data
  // pages, and verify crashed at the first.
  parquet::WriterProperties::Builder builder;
  builder.compression(arrow::Compression::UNCOMPRESSED)->disable_dictionary();
  auto out = arrow::io::FileOutputStream::Open(Path("a.parquet")).ValueOrDie();
  ASSERT_TRUE(parquet::arrow::WriteTable(*SomeRows(9), arrow::default_memory_pool(), out,
                                         1000, builder.build())
                  .ok());
  ASSERT_TRUE(out->Close().ok());
  std::string bytes = Bytes("a.parquet");
  ASSERT_EQ(bytes.substr(4, 2), std::string("\x15\0", 2));
  SetBytes("a.parquet", bytes.replace(4, 2, std::string("\x05\x02\0", 3)));

  const VerifyReport report = Run();  // all offsets are wrong by one

  EXPECT_THAT(report.defects, SizeIs(4));
  EXPECT_GT(report.pages, 0);
}

/// A file of one list column with levels as they come.
void WriteLevels(const std::string& path, const std::vector<int16_t>& definitions,
                 const std::vector<int16_t>& repetitions) {
  using parquet::schema::GroupNode;
  const auto element = parquet::schema::Int32("element", parquet::Repetition::OPTIONAL);
  const auto list = GroupNode::Make("list", parquet::Repetition::REPEATED, {element});
  const auto column = GroupNode::Make("l", parquet::Repetition::OPTIONAL, {list},
                                      parquet::LogicalType::List());
  const auto root = GroupNode::Make("schema", parquet::Repetition::REQUIRED, {column});
  auto out = arrow::io::FileOutputStream::Open(path).ValueOrDie();
  auto writer = parquet::ParquetFileWriter::Open(
      out, std::static_pointer_cast<GroupNode>(root),
      parquet::WriterProperties::Builder().disable_statistics()->build());
  auto* values =
      static_cast<parquet::Int32Writer*>(writer->AppendRowGroup()->NextColumn());
  const std::vector<int32_t> sevens(definitions.size(), 7);
  values->WriteBatch(static_cast<int64_t>(definitions.size()), definitions.data(),
                     repetitions.data(), sevens.data());
  writer->Close();
}

TEST_F(VerifyTest, FindsListsThatGoOnThoughNullOrEmpty) {
  // Reading found such a file corrupt, and verify did not.
  WriteLevels(Path("a.parquet"), {3, 2, 1, 0, 3}, {0, 1, 0, 0, 0});
  EXPECT_THAT(Run().defects, IsEmpty());

  for (const int16_t definition : {0, 1}) {
    WriteLevels(Path("a.parquet"), {3, definition}, {0, 1});
    const VerifyReport report = Run();
    ASSERT_THAT(report.defects, SizeIs(1));
    EXPECT_THAT(report.defects[0].message, HasSubstr("null or empty list is continued"));
  }
}

TEST_F(VerifyTest, AcceptsAFileWithoutRows) {
  Write("a.parquet", 0);
  const VerifyReport report = Run();
  EXPECT_THAT(report.defects, IsEmpty()) << report.ToString();
  EXPECT_EQ(report.files, 1);
}

TEST_F(VerifyTest, TellsProgressUpToAllFiles) {
  Write("a.parquet", 10);
  Write("b.parquet", 10);
  std::vector<std::pair<int64_t, int64_t>> told;
  Run([&](int64_t done, int64_t total) { told.emplace_back(done, total); });
  EXPECT_THAT(told, ::testing::ElementsAre(std::pair<int64_t, int64_t>(0, 2),
                                           std::pair<int64_t, int64_t>(1, 2),
                                           std::pair<int64_t, int64_t>(2, 2)));
}

TEST_F(VerifyTest, IsNotFoundWhereNothingCanBeListed) {
  const Status status = Verify({Path("absent")}, {}).status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kNotFound);
  EXPECT_THAT(MessageOf(status), HasSubstr("absent"));
}

TEST_F(VerifyTest, VerifiesAFileNamedTwiceOnce) {
  Write("a.parquet", 10);
  auto report = Verify({Path("a.parquet"), folder_.string()}, {});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->files, 1);
}

TEST_F(VerifyTest, PrintsJsonEvenOfNamesThatAreNoUtf8) {
  SetBytes("\xff.parquet", "");
  const auto json = nlohmann::json::parse(Run().ToJson());
  EXPECT_EQ(json["files"], 1);
  ASSERT_THAT(json["defects"], SizeIs(1));
  EXPECT_FALSE(json["defects"][0].contains("row_group"));
}

class InspectTest : public VerifyTest {};

TEST_F(InspectTest, AddsUpWhatTheFootersSay) {
  Write("a.parquet");
  Write("b.parquet", 1500);
  auto dataset = Dataset::Open(folder_.string());
  ASSERT_TRUE(dataset.ok()) << dataset.status().ToString();

  auto info = Inspect(*dataset);

  ASSERT_TRUE(info.ok()) << info.status().ToString();
  EXPECT_EQ(info->format, "parquet");
  EXPECT_EQ(info->fingerprint, dataset->fingerprint());
  EXPECT_EQ(info->files, 2);
  EXPECT_EQ(info->row_groups, 5);
  EXPECT_EQ(info->rows, 4500);
  EXPECT_EQ(info->row_group_rows_min, 500);
  EXPECT_EQ(info->row_group_rows_max, 1000);
  ASSERT_THAT(info->columns, SizeIs(4));
  EXPECT_EQ(info->columns[0].name, "id");
  EXPECT_FALSE(info->columns[0].nullable);
  EXPECT_GE(info->columns[0].uncompressed_bytes, 4500 * 8);
  EXPECT_THAT(info->columns[0].compressions, ::testing::ElementsAre("SNAPPY"));
  EXPECT_GT(info->columns[3].compressed_bytes, 0);
  EXPECT_THAT(info->warnings, IsEmpty());
}

TEST_F(InspectTest, ShowsPartitionsAndWarnsOfManyTinyFiles) {
  for (int day = 0; day < 9; ++day) {
    const std::string partition = "day=" + std::to_string(day);
    std::filesystem::create_directory(folder_ / partition);
    Write(partition + "/part.parquet", 5);
  }
  auto dataset = Dataset::Open(folder_.string());
  ASSERT_TRUE(dataset.ok()) << dataset.status().ToString();
  auto info = Inspect(*dataset);
  ASSERT_TRUE(info.ok()) << info.status().ToString();

  EXPECT_THAT(info->partition_columns, ::testing::ElementsAre("day"));
  EXPECT_TRUE(info->columns.back().is_partition);
  EXPECT_EQ(info->columns.back().compressed_bytes, 0);
  ASSERT_THAT(info->warnings, SizeIs(1));
  EXPECT_THAT(info->warnings[0], HasSubstr("the 9 files are "));
  const auto json = nlohmann::json::parse(info->ToJson());
  EXPECT_EQ(json["columns"].size(), 5);
  EXPECT_EQ(json["rows"], 45);
  EXPECT_THAT(info->ToString(), HasSubstr("partitioned by  day"));
}

TEST_F(InspectTest, TakesATableWithoutRows) {
  Write("a.parquet", 0);
  auto dataset = Dataset::Open(folder_.string());
  ASSERT_TRUE(dataset.ok()) << dataset.status().ToString();
  auto info = Inspect(*dataset);
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  EXPECT_EQ(info->rows, 0);
  EXPECT_EQ(info->row_group_rows_max, 0);
}

}  // namespace
}  // namespace headrace
