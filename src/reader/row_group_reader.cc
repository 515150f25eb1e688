#include "reader/row_group_reader.h"

#include <headrace/row_id.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <limits>
#include <utility>

#include "base/one_line.h"
#include "reader/catch_parquet.h"
#include "reader/chunk_cache.h"
#include "reader/chunk_pages.h"
#include "reader/conform.h"
#include "reader/file_schema.h"
#include "schema/column_path.h"

namespace headrace::reader {
namespace {

// What is copied out of memory is copied in pieces that stay in a core's cache.
constexpr int64_t kCopyBytes = 256 << 10;

/// Counts what is read of a file, and puts our kinds on its errors.
class CountingFile : public arrow::io::RandomAccessFile {
 public:
  CountingFile(std::shared_ptr<arrow::io::RandomAccessFile> file,
               const ReadContext& context, int64_t fragment, bool timed)
      : file_(std::move(file)),
        table_(context.table),
        counters_(context.counters),
        fragment_(fragment),
        timed_(timed) {}

  arrow::Status Close() override { return file_->Close(); }
  bool closed() const override { return file_->closed(); }
  arrow::Result<int64_t> Tell() const override { return file_->Tell(); }
  arrow::Status Seek(int64_t position) override { return file_->Seek(position); }
  arrow::Result<int64_t> GetSize() override {
    auto size = file_->GetSize();
    if (!size.ok()) return Translate(size.status());
    return size;
  }
  arrow::Result<int64_t> Read(int64_t nbytes, void* out) override {
    return Count([&] { return file_->Read(nbytes, out); });
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t nbytes) override {
    return Count([&] { return file_->Read(nbytes); });
  }
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t nbytes, void* out) override {
    return Count([&] { return file_->ReadAt(position, nbytes, out); });
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position,
                                                       int64_t nbytes) override {
    return Count([&] { return file_->ReadAt(position, nbytes); });
  }

 private:
  static int64_t SizeOf(int64_t size) { return size; }
  static int64_t SizeOf(const std::shared_ptr<arrow::Buffer>& bytes) {
    return bytes->size();
  }

  arrow::Status Translate(const arrow::Status& status) const {
    return table_->storage().Translate(status, table_->fragments()[fragment_].file.path);
  }

  template <typename Call>
  auto Count(Call&& call) -> decltype(call()) {
    ++counters_->read_calls;
    const auto begin = base::Timeline::Clock::now();
    auto result = call();
    const int64_t size = result.ok() ? SizeOf(*result) : 0;
    if (timed_) counters_->timeline.Add(base::Activity::kRead, begin, size);
    if (!result.ok()) return Translate(result.status());
    counters_->bytes_read += size;
    return result;
  }

  std::shared_ptr<arrow::io::RandomAccessFile> file_;
  const table::Table* table_;
  ReadCounters* counters_;
  int64_t fragment_;
  bool timed_;  // not where nobody waits for it
};

/// Of a damaged footer anything may come.
bool IsRange(const ByteRange& range) {
  return range.offset >= 0 && range.size > 0 &&
         range.size <= std::numeric_limits<int64_t>::max() - range.offset;
}

}  // namespace

std::vector<std::string> NamesOf(unsigned paths) {
  std::vector<std::string> names;
  const auto add = [&](DecodePath path, const char* name) {
    if ((paths & path) != 0) names.emplace_back(name);
  };
  add(DecodePath::kConstant, "constant");
  add(DecodePath::kPlaced, "placed");
  add(DecodePath::kArrays, "arrays");
  add(DecodePath::kBytes, "bytes");
  add(DecodePath::kCells, "cells");
  add(DecodePath::kAssembled, "assembled");
  return names;
}

Result<std::vector<ReadColumn>> ResolveColumns(const table::Table& table,
                                               const std::vector<std::string>& names) {
  std::vector<ReadColumn> columns;
  for (const std::string& name : names) {
    ARROW_ASSIGN_OR_RAISE(auto found, schema::ResolveColumn(*table.named_schema(), name));
    if (!table.stores_row_id() && name == kRowIdName) {
      ARROW_ASSIGN_OR_RAISE(columns.emplace_back(), RowIdColumn(table));
      continue;
    }
    ReadColumn column{std::move(found.path), std::move(found.field)};
    for (const auto& step : table.MappedPath(column.path)) {
      column.file_path.push_back(table::FileFieldOf(*step));
      column.mapped = step;
    }
    for (size_t p = 0; p < table.partition_fields().size(); ++p) {
      if (column.path.size() == 1 &&
          table.partition_fields()[p]->name() == column.path[0]) {
        column.partition = static_cast<int>(p);
      }
    }
    columns.push_back(std::move(column));
  }
  return columns;
}

Result<ReadColumn> RowIdColumn(const table::Table& table) {
  const auto files = static_cast<int64_t>(table.fragments().size());
  if (files > kRowIdFilesMax) {
    return Error(ErrorKind::kUnsupported,
                 table.DisplayUri() + ": the table has " + std::to_string(files) +
                     " files, row ids number at most " + std::to_string(kRowIdFilesMax) +
                     ": compact it into fewer");
  }
  ReadColumn column;
  column.field = table::RowIdField();
  column.path = {column.field->name()};
  column.row_id = true;
  return column;
}

struct RowGroupReader::OpenFile {
  parquet::ReaderProperties properties;
  parquet::ArrowReaderProperties arrow_properties;
  std::shared_ptr<arrow::io::RandomAccessFile> input;
  std::shared_ptr<CachedFile> cached;  // input, where there is a cache
  std::shared_ptr<parquet::FileMetaData> metadata;
  std::unique_ptr<parquet::ParquetFileReader> parquet;
  parquet::arrow::SchemaManifest manifest;
  // Made when columns are entered, or end, within the row group.
  std::shared_ptr<parquet::RowGroupPageIndexReader> indexes;
  // Made when the first column needs record assembly.
  std::unique_ptr<parquet::arrow::FileReader> assembled;
  int row_group = 0;

  /// Throws what Parquet throws.
  void OpenIndexes() {
    const auto pages = indexes == nullptr ? parquet->GetPageIndexReader() : nullptr;
    if (pages != nullptr) indexes = pages->RowGroup(row_group);
  }

  ColumnChunk ChunkAt(int64_t first_row) const {
    return {.file = parquet.get(),
            .input = input,
            .properties = &properties,
            .indexes = indexes.get(),
            .row_group = row_group,
            .first_row = first_row};
  }

  Result<parquet::arrow::FileReader*> Assembled(arrow::MemoryPool* pool) {
    if (assembled == nullptr) {
      ARROW_ASSIGN_OR_RAISE(
          assembled,
          parquet::arrow::FileReader::Make(
              pool, parquet::ParquetFileReader::Open(input, properties, metadata),
              arrow_properties));
    }
    return assembled.get();
  }
};

RowGroupReader::RowGroupReader() = default;
RowGroupReader::~RowGroupReader() = default;

Result<std::unique_ptr<RowGroupReader>> RowGroupReader::Open(
    const ReadContext& context, int64_t fragment, int row_group, const EnteredRows& rows,
    const std::vector<ReadColumn>& columns) {
  std::unique_ptr<RowGroupReader> reader(new RowGroupReader());
  reader->table_ = context.table;
  reader->counters_ = context.counters;
  reader->pool_ = context.pool;
  reader->fragment_ = fragment;
  reader->file_ = std::make_unique<OpenFile>();
  OpenFile& file = *reader->file_;
  file.row_group = row_group;
  file.properties = parquet::ReaderProperties(context.pool);
  file.properties.enable_buffered_stream();
  file.properties.set_buffer_size(context.read_buffer_bytes);
  // Costs nothing where writers left no checksums.
  file.properties.set_page_checksum_verification(true);
  file.arrow_properties.set_pre_buffer(false);
  file.arrow_properties.set_batch_size(context.tile_rows);
  ARROW_ASSIGN_OR_RAISE(file.metadata, context.table->Footer(fragment));
  ARROW_ASSIGN_OR_RAISE(auto input, context.table->OpenFile(fragment));
  file.input = std::make_shared<CountingFile>(input, context, fragment, true);
  if (context.cache != nullptr) {
    auto ahead = context.cache->in_background()
                     ? std::make_shared<CountingFile>(input, context, fragment, false)
                     : file.input;
    file.cached = std::make_shared<CachedFile>(context.cache, fragment, file.input,
                                               std::move(ahead));
    file.input = file.cached;
  }
  Status opened = CatchParquet([&]() -> Status {
    file.parquet =
        parquet::ParquetFileReader::Open(file.input, file.properties, file.metadata);
    return parquet::arrow::SchemaManifest::Make(file.metadata->schema(),
                                                file.metadata->key_value_metadata(),
                                                file.arrow_properties, &file.manifest);
  });
  if (!opened.ok()) return WithContext(opened, context.table->DisplayPath(fragment));
  if (file.cached != nullptr) {
    ARROW_RETURN_NOT_OK(reader->ReadAhead(context, rows, columns));
  }
  ++context.counters->row_groups_opened;
  for (const ReadColumn& column : columns) {
    reader->fields_.push_back(column.field);
    reader->mapped_.push_back(column.mapped != nullptr ? column.mapped : column.field);
    Status status =
        CatchParquet([&] { return reader->OpenColumn(context, fragment, rows, column); });
    if (!status.ok()) return reader->Locate(status, reader->fields_.size() - 1);
    reader->placeable_.resize(reader->sources_.size());
    reader->cells_placeable_.resize(reader->sources_.size());
  }
  reader->noted_.resize(columns.size());
  return reader;
}

Status RowGroupReader::ReadAhead(const ReadContext& context, const EnteredRows& rows,
                                 const std::vector<ReadColumn>& columns) {
  const bool part =
      rows.ahead_first > 0 ||
      rows.ahead_end < file_->metadata->RowGroup(file_->row_group)->num_rows();
  if (part || rows.first > 0) {
    ARROW_RETURN_NOT_OK(CatchParquet([&] { return HoldIndexes(); }));
  }
  std::vector<ByteRange> ranges;
  for (const ReadColumn& column : columns) {
    const auto* field = column.stored()
                            ? FindField(file_->manifest.schema_fields, column.file_path)
                            : nullptr;
    if (field == nullptr) continue;
    std::vector<int> leaves;
    CollectLeaves(*field, &leaves);
    for (const int leaf : leaves) {
      const auto pages = CatchParquet([&] {
        // Records are assembled from the first on.
        if (!part || !IsFlatField(*field)) return RangesOf(file_->ChunkAt(0), leaf, {});
        file_->OpenIndexes();
        return RangesOf(file_->ChunkAt(0), leaf, {rows.ahead_first, rows.ahead_end});
      });
      if (!pages.ok() && KindOf(pages.status()) != ErrorKind::kCorrupt) {
        return pages.status();
      }
      if (!pages.ok()) continue;  // told by whoever reads the chunk
      std::ranges::copy_if(pages->ranges, std::back_inserter(ranges), IsRange);
    }
  }
  ARROW_ASSIGN_OR_RAISE(const bool all, file_->cached->Hold(ranges, rows.others_follow));
  if (all) {
    file_->properties.set_buffer_size(std::min(context.read_buffer_bytes, kCopyBytes));
  }
  return Status::OK();
}

bool RowGroupReader::IsFlatField(const parquet::arrow::SchemaField& field) const {
  return field.is_leaf() && IsFlat(*file_->metadata->schema()->Column(field.column_index),
                                   *field.field->type());
}

Status RowGroupReader::HoldIndexes() {
  // Parquet reads the offset indexes of all columns of a row group at once.
  const auto group = file_->metadata->RowGroup(file_->row_group);
  int64_t begin = std::numeric_limits<int64_t>::max();
  int64_t end = 0;
  for (int leaf = 0; leaf < group->num_columns(); ++leaf) {
    if (const auto index = group->ColumnChunk(leaf)->GetOffsetIndexLocation()) {
      begin = std::min(begin, index->offset);
      end = std::max(end, index->offset + index->length);
    }
  }
  const ByteRange range{begin, end - begin};
  return IsRange(range) ? file_->cached->Hold({range}).status() : Status::OK();
}

Status RowGroupReader::OpenColumn(const ReadContext& context, int64_t fragment,
                                  const EnteredRows& rows, const ReadColumn& column) {
  if (column.partition >= 0) {
    const auto& values = context.table->fragments()[fragment].partition_values;
    sources_.push_back(MakeConstantSource(values[column.partition], pool_));
    return Status::OK();
  }
  if (column.row_id) {
    const int64_t row = context.table->FirstRowInFile(fragment, file_->row_group);
    sources_.push_back(MakeNumberedSource(RowId(fragment, row + rows.first), pool_));
    placeable_.push_back(true);
    return Status::OK();
  }
  const auto* field = FindField(file_->manifest.schema_fields, column.file_path);
  if (field == nullptr) {
    sources_.push_back(
        MakeConstantSource(arrow::MakeNullScalar(column.field->type()), pool_));
    return Status::OK();
  }
  if (rows.first > 0) file_->OpenIndexes();
  ColumnChunk chunk = file_->ChunkAt(rows.first);
  chunk.fragment = fragment;
  chunk.others_follow = rows.others_follow;
  if (IsFlatField(*field)) {
    ARROW_ASSIGN_OR_RAISE(auto source, MakeFlatSource(context, chunk, field->column_index,
                                                      field->field->type()));
    sources_.push_back(std::move(source));
    const bool as_stored = field->field->type()->Equals(*column.field->type());
    placeable_.push_back(as_stored && sources_.back()->CanPlace());
    cells_placeable_.push_back(as_stored && sources_.back()->CanPlaceCells());
    return Status::OK();
  }
  std::vector<int> leaves;
  CollectLeaves(*field, &leaves);
  ARROW_ASSIGN_OR_RAISE(auto* assembled, file_->Assembled(pool_));
  ARROW_ASSIGN_OR_RAISE(auto source,
                        MakeAssembledSource(context, assembled, chunk, leaves,
                                            static_cast<int>(column.path.size()) - 1));
  sources_.push_back(std::move(source));
  return Status::OK();
}

Result<std::shared_ptr<arrow::Array>> RowGroupReader::Read(size_t column, int64_t rows) {
  Note(column, sources_[column]->path());
  auto read = CatchParquet([&]() -> Result<std::shared_ptr<arrow::Array>> {
    ARROW_ASSIGN_OR_RAISE(auto values, sources_[column]->Read(rows));
    return Conform(values, *mapped_[column], pool_);
  });
  if (!read.ok()) return Locate(read.status(), column);
  return read;
}

Status RowGroupReader::Place(size_t column, int64_t rows, const window::Slot& slot) {
  const DecodePath path = sources_[column]->path();
  Note(column, path == DecodePath::kConstant ? path : DecodePath::kPlaced);
  Status placed = CatchParquet([&] { return sources_[column]->Place(rows, slot); });
  return placed.ok() ? placed : Locate(placed, column);
}

Status RowGroupReader::PlaceCells(size_t column, int64_t rows,
                                  const window::CellSlot& slot) {
  Note(column, DecodePath::kCells);
  Status placed = CatchParquet([&] { return sources_[column]->PlaceCells(rows, slot); });
  return placed.ok() ? placed : Locate(placed, column);
}

void RowGroupReader::Note(size_t column, DecodePath path) {
  if ((noted_[column] & path) != 0) return;
  noted_[column] |= path;
  counters_->decode_paths.Add(fields_[column]->name(), path);
}

Status RowGroupReader::Locate(const Status& status, size_t column) const {
  const ErrorKind kind = KindOf(status);
  const std::string where = table_->DisplayPath(fragment_) + ": row group " +
                            std::to_string(file_->row_group) + ", column \"" +
                            fields_[column]->name() + "\"";
  if (kind == ErrorKind::kUnsupported || kind == ErrorKind::kSchemaMismatch) {
    return WithContext(status, where);
  }
  // CountingFile has put our kind on what storage said; Parquet's own complaints have
  // none.
  const bool from_storage = status.detail() != nullptr && kind != ErrorKind::kCorrupt;
  if (from_storage || kind == ErrorKind::kResourceExhausted) return status;
  ARROW_RETURN_NOT_OK(table_->CheckUnchanged(fragment_));
  return Error(ErrorKind::kCorrupt,
               where + ": " + base::OneLine(status.message()) +
                   ": the file is damaged; restore it, or find what else "
                   "is broken with `headrace verify`");
}

}  // namespace headrace::reader
