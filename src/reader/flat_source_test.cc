#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "reader/shared_pages.h"
#include "tests/cpp/reading.h"

namespace headrace::reader {
namespace {

using parquet::Encoding;
using testing::TempDir;

constexpr int64_t kRows = 1200;

/// Values of a type, the extremes among them; every fifth is null, and so are rows 300 to
/// 799, whole pages of them.
std::shared_ptr<arrow::Array> SomeValues(const std::shared_ptr<arrow::DataType>& type,
                                         bool nulls) {
  const bool clock = arrow::is_temporal(type->id()) && type->id() != arrow::Type::DATE32;
  const bool repeats = type->id() == arrow::Type::DICTIONARY;
  arrow::Int64Builder integers;
  arrow::Int64Builder there;  // its own row number, or null
  base::KeyedRandom random(7);
  uint64_t drawn = 0;
  for (int64_t i = 0; i < kRows; ++i) {
    if (i % 3 == 0) drawn = random.Next();
    auto value = static_cast<int64_t>(drawn);
    if (i < 2) value = i == 0 ? INT64_MIN : INT64_MAX;
    if (clock || repeats) value = static_cast<int64_t>(drawn % 999);
    testing::Check(integers.Append(value));
    const bool is_null = nulls && (i % 5 == 2 || (i >= 300 && i < 800));
    testing::Check(is_null ? there.AppendNull() : there.Append(i));
  }
  std::shared_ptr<arrow::Array> values = testing::Check(integers.Finish());
  const auto unsafe = arrow::compute::CastOptions::Unsafe();
  switch (type->id()) {
    case arrow::Type::HALF_FLOAT:
      values = Cast(Cast(values, arrow::int8(), unsafe), arrow::float32());
      break;
    case arrow::Type::DATE32:
    case arrow::Type::TIME32:
      values = Cast(values, arrow::int32(), unsafe);
      break;
    case arrow::Type::DECIMAL128:
    case arrow::Type::DECIMAL256:
      values = Cast(values, arrow::int16(), unsafe);
      break;
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY:
    case arrow::Type::BINARY_VIEW:
    case arrow::Type::DICTIONARY:
      values = Cast(values, arrow::utf8());
      break;
    case arrow::Type::FIXED_SIZE_BINARY: {
      // The integers' own eight bytes.
      auto data = values->data()->Copy();
      data->type = arrow::fixed_size_binary(8);
      values = arrow::MakeArray(data);
      break;
    }
    default:
      break;
  }
  if (type->id() == arrow::Type::DICTIONARY) {
    values = testing::Check(arrow::compute::DictionaryEncode(values)).make_array();
  }
  // Taking row null gives null; views, which cannot be taken, come after.
  const auto rows = testing::Check(there.Finish());
  return Cast(testing::Check(arrow::compute::Take(*values, *rows)), type, unsafe);
}

/// Types that an encoding can write, all but floating point ones as they are stored.
std::vector<std::shared_ptr<arrow::DataType>> TypesOf(Encoding::type encoding) {
  const std::vector<std::shared_ptr<arrow::DataType>> integers = {
      arrow::int8(),
      arrow::uint8(),
      arrow::int16(),
      arrow::uint16(),
      arrow::int32(),
      arrow::uint32(),
      arrow::int64(),
      arrow::uint64(),
      arrow::date32(),
      arrow::time32(arrow::TimeUnit::MILLI),
      arrow::time64(arrow::TimeUnit::MICRO),
      arrow::time64(arrow::TimeUnit::NANO),
      arrow::timestamp(arrow::TimeUnit::MILLI),
      arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"),
      arrow::timestamp(arrow::TimeUnit::NANO),
      arrow::duration(arrow::TimeUnit::MICRO),
      // Stored otherwise: in milliseconds.
      arrow::timestamp(arrow::TimeUnit::SECOND),
      arrow::time32(arrow::TimeUnit::SECOND),
  };
  const std::vector<std::shared_ptr<arrow::DataType>> texts = {
      arrow::utf8(),   arrow::large_utf8(),   arrow::utf8_view(),
      arrow::binary(), arrow::large_binary(), arrow::binary_view(),
  };
  const std::vector<std::shared_ptr<arrow::DataType>> fixed = {
      arrow::float16(), arrow::fixed_size_binary(8), arrow::decimal128(20, 2),
      arrow::decimal256(60, 2)};
  std::vector<std::shared_ptr<arrow::DataType>> types;
  auto add = [&](const auto& more) {
    types.insert(types.end(), more.begin(), more.end());
  };
  const std::vector<std::shared_ptr<arrow::DataType>> floats = {arrow::float32(),
                                                                arrow::float64()};
  switch (encoding) {
    case Encoding::RLE:
      types = {arrow::boolean()};
      break;
    case Encoding::DELTA_BINARY_PACKED:
      add(integers);
      break;
    case Encoding::DELTA_LENGTH_BYTE_ARRAY:
      add(texts);
      break;
    case Encoding::DELTA_BYTE_ARRAY:
      add(texts);
      add(fixed);
      break;
    case Encoding::BYTE_STREAM_SPLIT:
      add(integers);
      add(floats);
      add(fixed);
      break;
    default:
      add(integers);
      add(texts);
      add(floats);
      add(fixed);
      types.push_back(arrow::boolean());
      types.push_back(arrow::dictionary(arrow::int32(), arrow::utf8()));
      break;
  }
  return types;
}

std::shared_ptr<arrow::Table> TableOf(Encoding::type encoding, bool nulls) {
  arrow::FieldVector fields;
  arrow::ArrayVector columns;
  for (const auto& type : TypesOf(encoding)) {
    columns.push_back(SomeValues(type, nulls));
    fields.push_back(arrow::field("c" + std::to_string(fields.size()), type, nulls));
  }
  return arrow::Table::Make(arrow::schema(fields), columns);
}

struct Layout {
  Encoding::type encoding = Encoding::PLAIN;
  bool page_v2 = false;
  bool nulls = false;
  bool index = false;
  parquet::Compression::type compression = parquet::Compression::UNCOMPRESSED;

  std::string ToString() const {
    return std::string(parquet::EncodingToString(encoding)) +
           (page_v2 ? ", page v2" : ", page v1") + (nulls ? ", nulls" : "") +
           (index ? ", index, " : ", ") +
           arrow::util::Codec::GetCodecAsString(compression);
  }
};

void Write(const std::string& path, const std::shared_ptr<arrow::Table>& table,
           const Layout& layout) {
  parquet::WriterProperties::Builder properties;
  properties.data_pagesize(256)->write_batch_size(64);
  properties.compression(layout.compression);
  properties.data_page_version(layout.page_v2 ? parquet::ParquetDataPageVersion::V2
                                              : parquet::ParquetDataPageVersion::V1);
  if (!layout.index) properties.disable_write_page_index();
  if (layout.encoding == Encoding::RLE_DICTIONARY) {
    properties.enable_dictionary();
  } else {
    properties.disable_dictionary()->encoding(layout.encoding);
  }
  WriteParquetAs(path, table, properties.build());
}

/// Reads every column in pieces, some passed over, and compares with what was written.
void ExpectPieces(const Lake& lake, const arrow::Table& written, int64_t first) {
  for (int c = 0; c < written.num_columns(); ++c) {
    const auto& field = written.field(c);
    SCOPED_TRACE(field->type()->ToString() + " from row " + std::to_string(first));
    auto reader = lake.Open({field->name()}, first);
    ASSERT_TRUE(reader.ok()) << reader.status().ToString();
    const auto& type = lake.table->schema()->field(c)->type();
    const auto all = Cast(Joined(*written.column(c)), type);
    int64_t at = first;
    auto expect = [&](int64_t rows) {
      auto values = (*reader)->Read(0, rows);
      ASSERT_TRUE(values.ok()) << values.status().ToString();
      ASSERT_TRUE((*values)->ValidateFull().ok()) << (*values)->ValidateFull().ToString();
      EXPECT_EQ((*values)->type()->ToString(), type->ToString());
      ASSERT_TRUE(Plain(*values)->Equals(Plain(all->Slice(at, rows))))
          << "rows " << at << " to " << at + rows << ": " << (*values)->ToString();
      at += rows;
    };
    auto skip = [&](int64_t rows) {
      (*reader)->Skip(0, rows);
      at += rows;
    };
    if (kRows - at > 700) {
      expect(1);
      skip(1);
      skip(62);
      expect(300);
      skip(333);
      expect(2);
    }
    if (kRows - at > 10) skip(kRows - at - 10);
    expect(kRows - at);
  }
}

/// Enters every column at a row and leaves what it met there for who comes after.
void EnterAt(const Lake& lake, const arrow::Table& written, int64_t first) {
  const auto columns = testing::Check(ResolveColumns(*lake.table, written.ColumnNames()));
  EnteredRows rows;
  rows.first = first;
  rows.others_follow = true;
  auto reader = testing::Check(RowGroupReader::Open(lake.context, 0, 0, rows, columns));
  for (size_t c = 0; c < columns.size(); ++c) testing::Check(reader->Read(c, 1).status());
}

/// The cells of a reader's only column, as a window would hold them.
struct Cells {
  explicit Cells(size_t rows) : cells(rows) {}

  Status Place(RowGroupReader* reader, int64_t at, int64_t rows,
               const uint32_t* place = nullptr) {
    window::CellSlot slot;
    slot.cells = cells.data() + (place == nullptr ? at : 0);
    slot.place = place;
    slot.keep = [this](std::shared_ptr<const void> memory) {
      memories.push_back(std::move(memory));
    };
    return reader->PlaceCells(0, rows, slot);
  }

  std::optional<std::string_view> At(size_t row) const {
    if (cells[row].data == nullptr) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(cells[row].data),
                            static_cast<size_t>(cells[row].size));
  }

  std::vector<window::Cell> cells;
  std::vector<std::shared_ptr<const void>> memories;
};

/// Looks at every column's cells, where it has any, in pieces, some passed over and some
/// placed backwards, once the reader is gone.
void ExpectCells(const Lake& lake, const arrow::Table& written, int64_t first) {
  for (int c = 0; c < written.num_columns(); ++c) {
    const auto& field = written.field(c);
    SCOPED_TRACE(field->type()->ToString() + ", cells from row " + std::to_string(first));
    auto reader = testing::Check(lake.Open({field->name()}, first));
    const bool text = arrow::is_binary_like(field->type()->id()) ||
                      arrow::is_large_binary_like(field->type()->id());
    ASSERT_EQ(reader->CanPlaceCells(0), text);
    if (!text) continue;
    std::vector<uint32_t> backwards(kRows);
    for (uint32_t i = 0; i < kRows; ++i) backwards[i] = kRows - 1 - i;
    Cells cells(kRows);
    Cells turned(kRows);
    std::vector<bool> read(kRows, false);
    auto turned_reader = testing::Check(lake.Open({field->name()}, first));
    int64_t at = first;
    for (const auto& [skipped, rows] :
         {std::pair{0, 1}, {1, 0}, {62, 300}, {333, 2}, {0, 400}}) {
      const int64_t passed = std::min<int64_t>(skipped, kRows - at);
      reader->Skip(0, passed);
      turned_reader->Skip(0, passed);
      at += passed;
      const int64_t count = std::min<int64_t>(rows, kRows - at);
      testing::Check(cells.Place(reader.get(), at, count));
      testing::Check(turned.Place(turned_reader.get(), at, count, backwards.data() + at));
      std::fill_n(read.begin() + at, count, true);
      at += count;
    }
    reader.reset();
    turned_reader.reset();
    const auto plain = Cast(Joined(*written.column(c)), arrow::large_binary());
    const auto& expected = static_cast<const arrow::LargeBinaryArray&>(*plain);
    for (size_t row = 0; row < kRows; ++row) {
      if (!read[row]) continue;
      const auto i = static_cast<int64_t>(row);
      std::optional<std::string_view> value;
      if (expected.IsValid(i)) value = expected.GetView(i);
      ASSERT_EQ(cells.At(row), value) << "row " << row;
      ASSERT_EQ(turned.At(kRows - 1 - row), value) << "row " << row;
    }
  }
}

class FlatSourceTest : public ::testing::TestWithParam<Encoding::type> {};

TEST_P(FlatSourceTest, ReadsEveryTypeFromAnyRow) {
  TempDir dir;
  for (bool nulls : {false, true}) {
    const auto table = TableOf(GetParam(), nulls);
    for (bool page_v2 : {false, true}) {
      for (bool index : {false, true}) {
        for (auto compression :
             {parquet::Compression::UNCOMPRESSED, parquet::Compression::ZSTD}) {
          const Layout layout{GetParam(), page_v2, nulls, index, compression};
          SCOPED_TRACE(layout.ToString());
          Write(dir / "a.parquet", table, layout);
          const Lake lake(dir / "a.parquet");
          ASSERT_EQ(index, lake.table->row_groups()[0].has_offset_index != 0);
          for (int64_t first : {0, 1, 64, 500, 1199}) {
            ExpectPieces(lake, *table, first);
            if (HasFatalFailure()) return;
            ExpectCells(lake, *table, first);
            if (HasFatalFailure()) return;
          }
          SharedPages shared(1 << 20);
          Lake sharing(dir / "a.parquet");
          sharing.context.shared_pages = &shared;
          for (int64_t cut : {1, 64, 500, 1199}) {
            EnterAt(sharing, *table, cut);
            ExpectPieces(sharing, *table, cut == 1199 ? 1 : 0);
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Encodings, FlatSourceTest,
    ::testing::Values(Encoding::PLAIN, Encoding::RLE_DICTIONARY, Encoding::RLE,
                      Encoding::DELTA_BINARY_PACKED, Encoding::DELTA_LENGTH_BYTE_ARRAY,
                      Encoding::DELTA_BYTE_ARRAY, Encoding::BYTE_STREAM_SPLIT),
    [](const auto& info) { return std::string(parquet::EncodingToString(info.param)); });

TEST(FlatSource, KeepsPlainPagesOfWhichHalfIsWantedAndCopiesOtherCells) {
  TempDir dir;
  arrow::StringBuilder texts;
  for (int i = 0; i < 128; ++i) testing::Check(texts.Append(std::string(100, 'a')));
  const auto table =
      arrow::Table::Make(arrow::schema({arrow::field("c0", arrow::utf8())}),
                         {testing::Check(texts.Finish())});
  for (auto compression :
       {parquet::Compression::UNCOMPRESSED, parquet::Compression::SNAPPY}) {
    Layout layout;
    layout.compression = compression;
    Write(dir / "a.parquet", table, layout);  // pages of 64 rows
    const Lake lake(dir / "a.parquet");
    auto reader = testing::Check(lake.Open({"c0"}));
    Cells cells(128);
    testing::Check(cells.Place(reader.get(), 0, 31));
    testing::Check(cells.Place(reader.get(), 31, 65));
    testing::Check(cells.Place(reader.get(), 96, 32));
    // In a page the size of the next value lies between two.
    const bool kept = compression == parquet::Compression::UNCOMPRESSED;
    auto gap = [&](size_t row) {
      return cells.cells[row + 1].data - cells.cells[row].data - 100;
    };
    EXPECT_EQ(gap(0), 0);
    EXPECT_EQ(gap(40), kept ? 4 : 0);
    EXPECT_EQ(gap(70), kept ? 4 : 0);
    EXPECT_EQ(gap(100), kept ? 4 : 0);
  }
}

TEST(FlatSource, ReadsEveryCompression) {
  TempDir dir;
  const auto table = TableOf(Encoding::PLAIN, /*nulls=*/true);
  for (auto compression : {parquet::Compression::SNAPPY, parquet::Compression::GZIP,
                           parquet::Compression::BROTLI, parquet::Compression::LZ4,
                           parquet::Compression::ZSTD}) {
    for (bool page_v2 : {false, true}) {
      const Layout layout{Encoding::PLAIN, page_v2, true, true, compression};
      SCOPED_TRACE(layout.ToString());
      Write(dir / "a.parquet", table, layout);
      const Lake lake(dir / "a.parquet");
      ExpectPieces(lake, *table, 0);
      ExpectPieces(lake, *table, 777);
    }
  }
}

TEST(FlatSource, ReadsPlainPagesAfterTheDictionaryBecameTooLarge) {
  TempDir dir;
  const auto table = TableOf(Encoding::PLAIN, /*nulls=*/true);
  for (bool index : {false, true}) {
    parquet::WriterProperties::Builder properties;
    properties.data_pagesize(256)->write_batch_size(64)->dictionary_pagesize_limit(200);
    if (!index) properties.disable_write_page_index();
    WriteParquetAs(dir / "a.parquet", table, properties.build());
    const Lake lake(dir / "a.parquet");
    for (int64_t first : {0, 1, 64, 500, 1199}) ExpectPieces(lake, *table, first);
  }
}

TEST(FlatSource, ReadsTimestampsOfTwelveBytesAndDecimalsInIntegers) {
  TempDir dir;
  const auto nanoseconds = arrow::timestamp(arrow::TimeUnit::NANO);
  const auto table = arrow::Table::Make(
      arrow::schema({arrow::field("t", nanoseconds),
                     arrow::field("d", arrow::decimal128(9, 2)),
                     arrow::field("e", arrow::decimal128(18, 2))}),
      {SomeValues(nanoseconds, true), SomeValues(arrow::decimal128(9, 2), true),
       SomeValues(arrow::decimal128(18, 2), true)});
  parquet::WriterProperties::Builder properties;
  properties.data_pagesize(256)->write_batch_size(64)->enable_store_decimal_as_integer();
  WriteParquetAs(dir / "a.parquet", table, properties.build(),
                 parquet::ArrowWriterProperties::Builder()
                     .enable_deprecated_int96_timestamps()
                     ->build());
  const Lake lake(dir / "a.parquet");
  const auto schema = lake.table->Footer(0).ValueOrDie()->schema();
  ASSERT_EQ(parquet::Type::INT96, schema->Column(0)->physical_type());
  ASSERT_EQ(parquet::Type::INT32, schema->Column(1)->physical_type());
  ASSERT_EQ(parquet::Type::INT64, schema->Column(2)->physical_type());
  for (int64_t first : {0, 1, 64, 500, 1199}) ExpectPieces(lake, *table, first);
}

/// A required and a nullable column of 20,000 rows in two row groups.
std::shared_ptr<arrow::Table> LongTable() {
  arrow::Int64Builder all;
  arrow::StringBuilder some;
  for (int64_t i = 0; i < 20000; ++i) {
    testing::Check(all.Append(i * 7));
    testing::Check(i % 3 == 0
                       ? some.AppendNull()
                       : some.Append(std::string(static_cast<size_t>(i % 17), 'x') +
                                     std::to_string(i)));
  }
  return arrow::Table::Make(
      arrow::schema({arrow::field("all", arrow::int64(), false),
                     arrow::field("some", arrow::utf8())}),
      {testing::Check(all.Finish()), testing::Check(some.Finish())});
}

void WriteLong(const std::string& path, bool index, bool page_v2 = false) {
  testing::ParquetOptions options;
  options.row_group_rows = 10000;
  options.data_page_bytes = 1024;
  options.page_index = index;
  options.dictionary = false;
  options.compression = parquet::Compression::UNCOMPRESSED;
  options.page_version =
      page_v2 ? parquet::ParquetDataPageVersion::V2 : parquet::ParquetDataPageVersion::V1;
  testing::WriteParquet(path, LongTable(), options);
}

TEST(FlatSource, ReadsTheSameRowsBySeekingAsByPassingOverPages) {
  TempDir dir;
  const auto table = LongTable();
  for (bool page_v2 : {false, true}) {
    WriteLong(dir / "index.parquet", true, page_v2);
    WriteLong(dir / "plain.parquet", false, page_v2);
    const Lake with(dir / "index.parquet"), without(dir / "plain.parquet");
    base::KeyedRandom random(11);
    for (int trial = 0; trial < 60; ++trial) {
      const int row_group = static_cast<int>(random.Below(2));
      auto at = static_cast<int64_t>(random.Below(10000));
      SCOPED_TRACE(::testing::Message() << "row group " << row_group << " from " << at);
      auto a = testing::Check(with.Open({"all", "some"}, at, row_group));
      auto b = testing::Check(without.Open({"all", "some"}, at, row_group));
      while (at < 10000) {
        const auto rows = std::min<int64_t>(
            10000 - at, static_cast<int64_t>(1 + random.Below(trial % 2 ? 3000 : 40)));
        const bool skip = random.Below(2) == 0;
        for (size_t c = 0; c < 2; ++c) {
          if (skip) {
            a->Skip(c, rows);
            b->Skip(c, rows);
            continue;
          }
          const auto expected = Joined(*table->column(static_cast<int>(c)))
                                    ->Slice(row_group * 10000 + at, rows);
          auto by_index = a->Read(c, rows);
          ASSERT_TRUE(by_index.ok()) << by_index.status().ToString();
          ASSERT_TRUE((*by_index)->Equals(expected)) << "by index, row " << at;
          auto by_headers = b->Read(c, rows);
          ASSERT_TRUE(by_headers.ok()) << by_headers.status().ToString();
          ASSERT_TRUE((*by_headers)->Equals(expected)) << "by headers, row " << at;
        }
        at += rows;
        if (trial % 2 == 0 && random.Below(20) == 0) break;
      }
    }
  }
}

TEST(FlatSource, ReadsOnlyTheBytesItNeedsByTheIndex) {
  TempDir dir;
  WriteLong(dir / "a.parquet", /*index=*/true);
  const auto pages = PagesOf(dir / "a.parquet", 1, 0);
  ASSERT_GT(pages.size(), 20u);

  const Lake lake(dir / "a.parquet");
  ASSERT_TRUE(lake.Read("all", 9990, 10, /*row_group=*/1).ok());

  // The last page, and the index of the row group's columns.
  auto file = parquet::ParquetFileReader::OpenFile(dir / "a.parquet");
  int64_t index_bytes = 0;
  for (int c = 0; c < 2; ++c) {
    const auto chunk = file->metadata()->RowGroup(1)->ColumnChunk(c);
    index_bytes += chunk->GetOffsetIndexLocation()->length;
    index_bytes += chunk->GetColumnIndexLocation()->length;
  }
  EXPECT_GT(lake.counters.bytes_read, 0);
  EXPECT_LE(lake.counters.bytes_read,
            pages.back().end - pages.back().begin + index_bytes);
  EXPECT_LT(lake.counters.values_decoded,
            10000 / static_cast<int64_t>(pages.size()) + 64);
  EXPECT_EQ(10000, lake.counters.values_decoded + lake.counters.values_skipped);
}

TEST(FlatSource, ReadsTheDictionaryAndThenOnlyThePagesItNeeds) {
  TempDir dir;
  arrow::StringBuilder builder;
  for (int i = 0; i < 20000; ++i) {
    testing::Check(builder.Append("value " + std::to_string(i * 7919 % 1000)));
  }
  const auto table = arrow::Table::Make(arrow::schema({arrow::field("s", arrow::utf8())}),
                                        {testing::Check(builder.Finish())});
  parquet::WriterProperties::Builder properties;
  properties.data_pagesize(512)->write_batch_size(64);
  properties.compression(parquet::Compression::UNCOMPRESSED);
  WriteParquetAs(dir / "a.parquet", table, properties.build());
  const auto pages = PagesOf(dir / "a.parquet", 0, 0);
  ASSERT_GT(pages.size(), 20u);
  const int64_t dictionary_bytes = pages.front().begin;

  const Lake lake(dir / "a.parquet");
  const auto values = lake.Read("s", 19500, 3).ValueOrDie();

  EXPECT_TRUE(values->Equals(Joined(*table->column(0))->Slice(19500, 3)));
  EXPECT_GT(lake.counters.bytes_read, dictionary_bytes / 2);
  EXPECT_LT(lake.counters.bytes_read,
            dictionary_bytes + (pages.back().end - pages.front().begin) / 2);
}

TEST(FlatSource, PassesOverPagesWithoutDecodingThem) {
  TempDir dir;
  WriteLong(dir / "a.parquet", /*index=*/false);
  const Lake lake(dir / "a.parquet");
  auto reader = lake.Open({"all"}, 5000).ValueOrDie();
  ASSERT_TRUE(reader->Read(0, 1).ok());
  reader->Skip(0, 4000);
  ASSERT_TRUE(reader->Read(0, 999).ok());
  EXPECT_EQ(10000, lake.counters.values_decoded + lake.counters.values_skipped);
  // What was asked for, and the begun pages before it.
  EXPECT_LT(lake.counters.values_decoded, 1000 + 3 * (1024 / 8 + 64));
}

TEST(FlatSource, HoldsAPageAndNotTheRowGroup) {
  TempDir dir;
  arrow::Int64Builder builder;
  for (int64_t i = 0; i < 500000; ++i) testing::Check(builder.Append(i * 7919));
  const auto table =
      arrow::Table::Make(arrow::schema({arrow::field("x", arrow::int64())}),
                         {testing::Check(builder.Finish())});
  testing::ParquetOptions options;
  options.data_page_bytes = 8 << 10;
  options.dictionary = false;
  options.compression = parquet::Compression::UNCOMPRESSED;
  testing::WriteParquet(dir / "a.parquet", table, options);
  const Lake lake(dir / "a.parquet");
  auto reader = lake.Open({"x"}).ValueOrDie();
  for (int64_t at = 0; at < 500000; at += 1000) ASSERT_TRUE(reader->Read(0, 1000).ok());
  EXPECT_LT(lake.pool.max_memory(), 300 << 10);
  reader.reset();
  EXPECT_EQ(0, lake.pool.bytes_allocated());
}

TEST(FlatSource, IsCorruptPastTheEndOfTheRowGroup) {
  TempDir dir;
  WriteLong(dir / "a.parquet", /*index=*/true);
  const Lake lake(dir / "a.parquet");
  for (int64_t first : {0, 9990}) {
    auto reader = lake.Open({"some"}, first).ValueOrDie();
    reader->Skip(0, 9990 - first);
    const Status status = reader->Read(0, 11).status();
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(ErrorKind::kCorrupt, KindOf(status));
    EXPECT_THAT(MessageOf(status),
                ::testing::HasSubstr("a.parquet: row group 0, column \"some\": "));
  }
}

}  // namespace
}  // namespace headrace::reader
