#include "writer/file_set_writer.h"

#include <arrow/compute/api.h>
#include <arrow/table.h>
#include <gtest/gtest.h>
#include <parquet/arrow/reader.h>
#include <parquet/bloom_filter.h>
#include <parquet/bloom_filter_reader.h>
#include <parquet/file_reader.h>
#include <parquet/page_index.h>

#include <filesystem>
#include <random>

#include "tests/cpp/lake.h"

namespace headrace::writer {
namespace {

using testing::Check;
using testing::TempDir;

std::shared_ptr<arrow::Table> TableOf(const arrow::FieldVector& fields,
                                      const std::string& rows) {
  return testing::TableFromJson(arrow::schema(fields), rows);
}

// What was written, and where.
struct Written {
  std::vector<table::DataFile> files;
  int64_t peak = 0;
  int64_t floor = 0;
  int64_t spilled = 0;
};

class FileSetWriterTest : public ::testing::Test {
 protected:
  Result<Written> TryWrite(const std::shared_ptr<arrow::Table>& table,
                           const FileSetOptions& options,
                           int64_t budget = int64_t{1} << 30,
                           int64_t batch_rows = 10000) {
    std::string root;
    ARROW_ASSIGN_OR_RAISE(const auto storage,
                          storage::Storage::FromUri(dir_ / "table", {}, &root));
    ARROW_ASSIGN_OR_RAISE(auto rows, StoredRows::Make(*table->schema(), {}));
    base::MemoryBudget memory(arrow::default_memory_pool(), budget);
    Written written;
    {
      ARROW_ASSIGN_OR_RAISE(
          const auto writer,
          FileSetWriter::Make(
              std::move(rows), options,
              {.storage = storage.get(), .root = root, .memory = &memory}));
      arrow::TableBatchReader reader(*table);
      reader.set_chunksize(batch_rows);
      for (;;) {
        ARROW_ASSIGN_OR_RAISE(const auto batch, reader.Next());
        if (batch == nullptr) break;
        ARROW_RETURN_NOT_OK(writer->Write(batch));
      }
      ARROW_ASSIGN_OR_RAISE(written.files, writer->Finish());
      written.floor = writer->memory_floor();
      written.spilled = writer->bytes_spilled();
      EXPECT_EQ(writer->rows(), table->num_rows());
    }
    written.peak = memory.max_memory();
    EXPECT_LE(written.peak, budget);
    EXPECT_EQ(memory.bytes_allocated(), 0);
    return written;
  }

  Written Write(const std::shared_ptr<arrow::Table>& table, const FileSetOptions& options,
                int64_t budget = int64_t{1} << 30) {
    return Check(TryWrite(table, options, budget));
  }

  std::unique_ptr<parquet::ParquetFileReader> Open(const table::DataFile& file) {
    return parquet::ParquetFileReader::OpenFile(dir_ / ("table/" + file.path));
  }

  std::shared_ptr<arrow::Table> Read(const std::vector<table::DataFile>& files) {
    std::vector<std::shared_ptr<arrow::Table>> tables;
    for (const auto& file : files) {
      const auto input =
          Check(arrow::io::ReadableFile::Open(dir_ / ("table/" + file.path)));
      auto reader = Check(parquet::arrow::OpenFile(input, arrow::default_memory_pool()));
      tables.push_back(Check(reader->ReadTable()));
      EXPECT_EQ(file.rows, tables.back()->num_rows());
      EXPECT_EQ(file.size, static_cast<int64_t>(std::filesystem::file_size(
                               dir_ / ("table/" + file.path))));
    }
    return Check(arrow::ConcatenateTables(tables));
  }

  int64_t FilesPresent() {
    int64_t files = 0;
    std::error_code ignored;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(dir_ / "table", ignored)) {
      files += entry.is_regular_file() ? 1 : 0;
    }
    return files;
  }

  TempDir dir_;
};

// Numbers of which the encoded form compresses, and some that do not.
std::shared_ptr<arrow::Table> Mixed(int64_t rows) {
  std::mt19937_64 random(7);
  arrow::Int64Builder ids, draws;
  arrow::Int32Builder few;
  arrow::FloatBuilder reals;
  arrow::StringBuilder texts;
  for (int64_t i = 0; i < rows; ++i) {
    Check(ids.Append(i));
    Check(draws.Append(static_cast<int64_t>(random())));
    Check(few.Append(static_cast<int32_t>(random() % 50)));
    Check(reals.Append(static_cast<float>(random() % 100000) / 7));
    Check(texts.Append("text " + std::to_string(random() % 1000)));
  }
  return arrow::Table::Make(
      arrow::schema(
          {arrow::field("id", arrow::int64()), arrow::field("draw", arrow::int64()),
           arrow::field("few", arrow::int32()), arrow::field("real", arrow::float32()),
           arrow::field("text", arrow::utf8())}),
      {Check(ids.Finish()), Check(draws.Finish()), Check(few.Finish()),
       Check(reals.Finish()), Check(texts.Finish())});
}

TEST_F(FileSetWriterTest, MeasuresRowGroupsAndFilesAsTheyAreWritten) {
  const auto table = Mixed(400'000);
  for (const char* compression : {"zstd", "none", "snappy"}) {
    FileSetOptions options;
    options.encoding.row_group_bytes = 1 << 20;
    options.encoding.compression = compression;
    options.file_bytes = 2 << 20;
    const Written written = Write(table, options);
    ASSERT_GE(written.files.size(), 3u) << compression;
    for (size_t f = 0; f < written.files.size(); ++f) {
      const auto metadata = Open(written.files[f])->metadata();
      const bool last_file = f + 1 == written.files.size();
      for (int g = 0; g < metadata->num_row_groups(); ++g) {
        if (last_file && g + 1 == metadata->num_row_groups()) continue;
        const auto bytes =
            static_cast<double>(metadata->RowGroup(g)->total_compressed_size());
        EXPECT_NEAR(bytes, 1 << 20, 0.1 * (1 << 20))
            << compression << " " << f << " " << g;
      }
      if (last_file) continue;
      EXPECT_NEAR(static_cast<double>(written.files[f].size), 2 << 20, 0.2 * (2 << 20));
    }
    EXPECT_TRUE(Read(written.files)->Equals(*table)) << compression;
  }
}

TEST_F(FileSetWriterTest, NamesAreNewAndTellCompressionAndOrder) {
  FileSetOptions options;
  const auto table = TableOf({arrow::field("x", arrow::int32())}, "[[1]]");
  const auto first = Write(table, options).files;
  const auto second = Write(table, options).files;
  ASSERT_EQ(first.size(), 1u);
  EXPECT_NE(first[0].path, second[0].path);
  EXPECT_TRUE(first[0].path.starts_with("part-00000-")) << first[0].path;
  EXPECT_TRUE(first[0].path.ends_with(".c000.zstd.parquet")) << first[0].path;
}

TEST_F(FileSetWriterTest, HasPageIndexesStatisticsAndBloomFilters) {
  FileSetOptions options;
  options.encoding.bloom_filters = {"few", "text"};
  const auto written = Write(Mixed(5000), options);
  const auto reader = Open(written.files[0]);
  const auto index = reader->GetPageIndexReader()->RowGroup(0);
  for (int c = 0; c < 5; ++c) {
    EXPECT_NE(index->GetOffsetIndex(c), nullptr);
    EXPECT_NE(index->GetColumnIndex(c), nullptr);
    EXPECT_TRUE(reader->metadata()->RowGroup(0)->ColumnChunk(c)->is_stats_set());
  }
  const auto blooms = reader->GetBloomFilterReader().RowGroup(0);
  EXPECT_EQ(blooms->GetColumnBloomFilter(0), nullptr);
  const auto few = blooms->GetColumnBloomFilter(2);
  ASSERT_NE(few, nullptr);
  EXPECT_TRUE(few->FindHash(few->Hash(int32_t{7})));
  EXPECT_FALSE(few->FindHash(few->Hash(int32_t{1'000'000})));
}

TEST_F(FileSetWriterTest, PartitionsByDirectoriesThatAreEscaped) {
  const auto table =
      TableOf({arrow::field("x", arrow::int32()), arrow::field("p q", arrow::utf8()),
               arrow::field("d", arrow::date32())},
              R"([[1, "a/b", 0], [2, null, 1], [3, "a/b", 0], [4, "c=%", null]])");
  FileSetOptions options;
  options.partition_by = {"p q", "d"};
  const auto files = Write(table, options).files;
  ASSERT_EQ(files.size(), 3u);
  std::map<std::string, const table::DataFile*> by_directory;
  for (const auto& file : files) {
    by_directory[file.path.substr(0, file.path.rfind('/'))] = &file;
  }
  const auto* ab = by_directory.at("p q=a%2Fb/d=1970-01-01");
  EXPECT_EQ(ab->rows, 2);
  EXPECT_EQ(ab->partition_values.at("p q"), "a/b");
  EXPECT_EQ(ab->partition_values.at("d"), "1970-01-01");
  EXPECT_TRUE(
      Read({*ab})->Equals(*TableOf({arrow::field("x", arrow::int32())}, "[[1], [3]]")));
  const auto* null = by_directory.at("p q=__HIVE_DEFAULT_PARTITION__/d=1970-01-02");
  EXPECT_EQ(null->partition_values.at("p q"), std::nullopt);
  EXPECT_EQ(by_directory.at("p q=c%3D%25/d=__HIVE_DEFAULT_PARTITION__")->rows, 1);
}

TEST_F(FileSetWriterTest, RefusesPartitionValuesThatReadAsNull) {
  for (const char* text : {R"([[1, ""]])", R"([[1, "__HIVE_DEFAULT_PARTITION__"]])"}) {
    const auto table = TableOf(
        {arrow::field("x", arrow::int32()), arrow::field("p", arrow::utf8())}, text);
    FileSetOptions options;
    options.partition_by = {"p"};
    const auto written = TryWrite(table, options);
    ASSERT_FALSE(written.ok());
    EXPECT_EQ(KindOf(written.status()), ErrorKind::kInvalidArgument);
    EXPECT_EQ(FilesPresent(), 0);
  }
}

// More partitions than files may be open: the others are sorted, not cut into crumbs.
TEST_F(FileSetWriterTest, WritesOneFileForEachOfManyPartitions) {
  arrow::Int64Builder ids;
  arrow::Int32Builder keys;
  for (int64_t i = 0; i < 60'000; ++i) {
    Check(ids.Append(i));
    Check(keys.Append(static_cast<int32_t>(i * 7919 % 300)));
  }
  const auto table =
      arrow::Table::Make(arrow::schema({arrow::field("id", arrow::int64()),
                                        arrow::field("key", arrow::int32())}),
                         {Check(ids.Finish()), Check(keys.Finish())});
  FileSetOptions options;
  options.encoding.row_group_bytes = 64 << 10;
  options.partition_by = {"key"};
  const auto written = Write(table, options, 4 << 20);
  EXPECT_EQ(written.files.size(), 300u);
  int64_t rows = 0;
  for (const auto& file : written.files) {
    const auto ids_read = Read({file})->column(0);
    rows += ids_read->length();
    int64_t before = -1;
    for (const auto& chunk : ids_read->chunks()) {
      const auto& values = static_cast<const arrow::Int64Array&>(*chunk);
      for (int64_t i = 0; i < values.length(); ++i) {
        EXPECT_LT(before, values.Value(i));
        before = values.Value(i);
        EXPECT_EQ(std::to_string(before * 7919 % 300), file.partition_values.at("key"));
      }
    }
  }
  EXPECT_EQ(rows, 60'000);
}

TEST_F(FileSetWriterTest, SortsMoreThanMemoryHoldsAsAStableSortWould) {
  std::mt19937_64 random(11);
  arrow::DoubleBuilder keys;
  arrow::StringBuilder texts;
  arrow::Int64Builder ids;
  for (int64_t i = 0; i < 100'000; ++i) {
    if (random() % 20 == 0) {
      Check(keys.AppendNull());
    } else {
      Check(keys.Append(static_cast<double>(random() % 1000) - 500));
    }
    Check(texts.Append(std::string(random() % 3, 'a')));
    Check(ids.Append(i));
  }
  const auto table = arrow::Table::Make(
      arrow::schema({arrow::field("key", arrow::float64()),
                     arrow::field("text", arrow::utf8()),
                     arrow::field("id", arrow::int64())}),
      {Check(keys.Finish()), Check(texts.Finish()), Check(ids.Finish())});
  FileSetOptions options;
  options.encoding.row_group_bytes = 64 << 10;
  options.sort_by = {"key", "text"};
  const auto written = Write(table, options, 3 << 20);
  EXPECT_GT(written.spilled, 0);
  const auto order = Check(arrow::compute::SortIndices(
      arrow::Datum(table),
      arrow::compute::SortOptions(
          {arrow::compute::SortKey("key"), arrow::compute::SortKey("text")})));
  const auto expected = Check(arrow::compute::Take(table, order)).table();
  EXPECT_TRUE(Read(written.files)->Equals(*expected));
}

TEST_F(FileSetWriterTest, SortsWithinPartitions) {
  const auto table =
      TableOf({arrow::field("x", arrow::int32()), arrow::field("p", arrow::int32())},
              "[[3, 1], [2, 2], [null, 1], [1, 1], [1, 2]]");
  FileSetOptions options;
  options.partition_by = {"p"};
  options.sort_by = {"x"};
  const auto files = Write(table, options).files;
  ASSERT_EQ(files.size(), 2u);
  const auto x = arrow::field("x", arrow::int32());
  EXPECT_TRUE(Read({files[0]})->Equals(*TableOf({x}, "[[1], [3], [null]]")));
  EXPECT_TRUE(Read({files[1]})->Equals(*TableOf({x}, "[[1], [2]]")));
}

TEST_F(FileSetWriterTest, RefusesABudgetBelowTheFloorWithBothNumbers) {
  FileSetOptions options;
  const auto written = TryWrite(Mixed(10), options, 1 << 20);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(KindOf(written.status()), ErrorKind::kResourceExhausted);
  EXPECT_NE(MessageOf(written.status()).find("1048576"), std::string::npos);
  const int64_t floor = Write(Mixed(10), options).floor;
  EXPECT_NE(MessageOf(written.status()).find(std::to_string(floor)), std::string::npos);
}

TEST_F(FileSetWriterTest, StaysWithinTheFloorItTold) {
  FileSetOptions options;
  options.encoding.row_group_bytes = 256 << 10;
  const int64_t floor = Write(Mixed(10), options).floor;
  const auto table = Mixed(200'000);
  const auto written = Write(table, options, floor);
  EXPECT_TRUE(Read(written.files)->Equals(*table));
}

TEST_F(FileSetWriterTest, DeletesWhatItWroteUnlessItFinished) {
  std::string root;
  const auto storage = Check(storage::Storage::FromUri(dir_ / "table", {}, &root));
  base::MemoryBudget memory(arrow::default_memory_pool(), int64_t{1} << 30);
  const auto table = Mixed(50'000);
  FileSetOptions options;
  options.encoding.row_group_bytes = 64 << 10;
  options.file_bytes = 128 << 10;
  {
    const auto writer = Check(
        FileSetWriter::Make(Check(StoredRows::Make(*table->schema(), {})), options,
                            {.storage = storage.get(), .root = root, .memory = &memory}));
    Check(writer->Write(Check(table->CombineChunksToBatch())));
    EXPECT_GT(FilesPresent(), 2);
  }
  EXPECT_EQ(FilesPresent(), 0);
  EXPECT_EQ(memory.bytes_allocated(), 0);
}

}  // namespace
}  // namespace headrace::writer
