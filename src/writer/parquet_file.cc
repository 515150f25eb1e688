#include "writer/parquet_file.h"

#include <arrow/ipc/writer.h>
#include <arrow/util/base64.h>
#include <arrow/util/byte_size.h>
#include <arrow/util/key_value_metadata.h>
#include <parquet/arrow/schema.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "writer/catch_write.h"

namespace headrace::writer {
namespace {

// Rows are appended in parts, the last ones small: a row group ends within this part of
// the size it should have.
constexpr double kStep = 1.0 / 64;
constexpr int64_t kStepRowsMax = 1 << 20;
// Of values before encoding, in one part.
constexpr double kStepBytesMin = 4 << 10;
constexpr double kStepBytesMax = 16 << 20;
// What compresses without end would make row groups that no reader can hold.
constexpr int64_t kRowGroupRowsMax = int64_t{1} << 26;

// The file's row groups are made by Arrow's writer of arrays; this hands out the one that
// is open, which can tell its size.
class Observed : public parquet::ParquetFileWriter::Contents {
 public:
  Observed(std::unique_ptr<parquet::ParquetFileWriter> file,
           std::shared_ptr<parquet::schema::GroupNode> schema,
           parquet::RowGroupWriter** group)
      : Contents(std::move(schema), file->key_value_metadata()),
        file_(std::move(file)),
        group_(group) {}

  void Close() override {
    *group_ = nullptr;
    file_->Close();
    file_metadata_ = file_->metadata();
  }
  parquet::RowGroupWriter* AppendRowGroup() override { return file_->AppendRowGroup(); }
  parquet::RowGroupWriter* AppendBufferedRowGroup() override {
    return *group_ = file_->AppendBufferedRowGroup();
  }
  int64_t num_rows() const override { return file_->num_rows(); }
  int num_columns() const override { return file_->num_columns(); }
  int num_row_groups() const override { return file_->num_row_groups(); }
  const std::shared_ptr<parquet::WriterProperties>& properties() const override {
    return file_->properties();
  }
  void AddKeyValueMetadata(
      const std::shared_ptr<const arrow::KeyValueMetadata>& metadata) override {
    file_->AddKeyValueMetadata(metadata);
  }

 private:
  std::unique_ptr<parquet::ParquetFileWriter> file_;
  parquet::RowGroupWriter** group_;
};

// Of a row before encoding.
double RowBytes(const arrow::RecordBatch& batch) {
  const auto bytes = arrow::util::ReferencedBufferSize(batch);
  if (!bytes.ok() || batch.num_rows() == 0) return 1;
  return static_cast<double>(*bytes) / static_cast<double>(batch.num_rows());
}

// Where Parquet files keep the Arrow schema, and with it the metadata of fields.
constexpr char kArrowSchema[] = "ARROW:schema";

Result<std::shared_ptr<arrow::KeyValueMetadata>> ArrowSchemaMetadata(
    const arrow::Schema& schema) {
  ARROW_ASSIGN_OR_RAISE(const auto serialized, arrow::ipc::SerializeSchema(schema));
  auto metadata = schema.metadata() == nullptr
                      ? std::make_shared<arrow::KeyValueMetadata>()
                      : schema.metadata()->Copy();
  metadata->Append(kArrowSchema,
                   arrow::util::base64_encode(std::string_view(*serialized)));
  return metadata;
}

}  // namespace

Result<std::unique_ptr<ParquetFile>> ParquetFile::Create(
    const Encoding& encoding, const Context& context, std::string path,
    const arrow::RecordBatch& first) {
  auto file =
      std::unique_ptr<ParquetFile>(new ParquetFile(encoding, context, std::move(path)));
  ARROW_ASSIGN_OR_RAISE(file->sink_, context.storage->Create(file->path_));
  const Status opened = CatchWrite([&] { return file->Open(first); });
  if (!opened.ok()) {
    file->Abandon();
    return file->Translate(opened);
  }
  return file;
}

ParquetFile::~ParquetFile() { Abandon(); }

Status ParquetFile::Open(const arrow::RecordBatch& first) {
  const auto properties = encoding_.Properties(first, RowBytes(first), context_.pool);
  const auto arrow_properties = encoding_.ArrowProperties(context_.executor);
  std::shared_ptr<parquet::SchemaDescriptor> descriptor;
  ARROW_RETURN_NOT_OK(parquet::arrow::ToParquetSchema(encoding_.schema.get(), *properties,
                                                      *arrow_properties, &descriptor));
  auto root =
      std::static_pointer_cast<parquet::schema::GroupNode>(descriptor->schema_root());
  ARROW_ASSIGN_OR_RAISE(auto metadata, ArrowSchemaMetadata(*encoding_.schema));
  auto inner = parquet::ParquetFileWriter::Open(sink_, root, properties, metadata);
  auto outer = std::make_unique<parquet::ParquetFileWriter>();
  outer->Open(std::make_unique<Observed>(std::move(inner), root, &group_));
  return parquet::arrow::FileWriter::Make(context_.pool, std::move(outer),
                                          encoding_.schema, arrow_properties, &writer_);
}

double ParquetFile::Ratio() const {
  const int64_t encoded = group_->total_bytes_written();
  return encoded == 0 ? ratio_
                      : static_cast<double>(group_->total_compressed_bytes_written()) /
                            static_cast<double>(encoded);
}

double ParquetFile::Measured() const {
  const auto open = group_->estimated_buffered_stats();
  // Levels are held as int16, of which mostly one bit is written.
  const auto encoded =
      static_cast<double>(open.value_bytes + open.dict_bytes) +
      static_cast<double>(open.def_level_bytes + open.rep_level_bytes) / 16;
  return static_cast<double>(group_->total_compressed_bytes() +
                             group_->total_compressed_bytes_written()) +
         encoded * Ratio();
}

int64_t ParquetFile::NextRows(double row_bytes) const {
  const auto target = static_cast<double>(encoding_.options.row_group_bytes);
  double rows = kStepBytesMax / std::max(row_bytes, 0.125);
  if (group_rows_ > 0) {
    const double measured = std::max(Measured(), 1.0);
    const double left = std::max((target - measured) / 2, target * kStep);
    rows = std::min(rows, left * static_cast<double>(group_rows_) / measured);
  } else {
    rows = std::min(rows, target / 4 / std::max(row_bytes, 0.125));
  }
  rows = std::max(rows, kStepBytesMin / std::max(row_bytes, 0.125));
  return std::clamp<int64_t>(static_cast<int64_t>(rows), 1, kStepRowsMax);
}

Result<int64_t> ParquetFile::Append(const arrow::RecordBatch& batch, int64_t offset) {
  const double row_bytes = RowBytes(batch);
  const auto target = static_cast<double>(encoding_.options.row_group_bytes);
  auto append = [&]() -> Result<int64_t> {
    int64_t appended = 0;
    while (offset + appended < batch.num_rows()) {
      if (group_ == nullptr) ARROW_RETURN_NOT_OK(writer_->NewBufferedRowGroup());
      const int64_t rows =
          std::min(NextRows(row_bytes), batch.num_rows() - offset - appended);
      const auto part = batch.Slice(offset + appended, rows);
      ARROW_RETURN_NOT_OK(writer_->WriteRecordBatch(*part));
      appended += rows;
      group_rows_ += rows;
      if (Measured() < target * (1 - kStep / 2) && group_rows_ < kRowGroupRowsMax)
        continue;
      ARROW_RETURN_NOT_OK(EndRowGroup());
      break;
    }
    return appended;
  };
  auto appended = CatchWrite(append);
  if (!appended.ok()) return Translate(appended.status());
  rows_ += *appended;
  return appended;
}

Status ParquetFile::EndRowGroup() {
  // Arrow's writer would end it with the next one; it is ended once.
  group_->Close();
  ratio_ = Ratio();
  group_ = nullptr;
  group_rows_ = 0;
  ++row_groups_;
  ARROW_ASSIGN_OR_RAISE(bytes_, sink_->Tell());
  return Status::OK();
}

Result<std::shared_ptr<parquet::FileMetaData>> ParquetFile::Close() {
  std::shared_ptr<parquet::FileMetaData> footer;
  const Status closed = CatchWrite([&] {
    if (group_ != nullptr) ARROW_RETURN_NOT_OK(EndRowGroup());
    ARROW_RETURN_NOT_OK(writer_->Close());
    footer = writer_->metadata();
    ARROW_ASSIGN_OR_RAISE(bytes_, sink_->Tell());
    return sink_->Close();
  });
  if (!closed.ok()) return Translate(closed);
  writer_.reset();
  sink_.reset();
  return footer;
}

void ParquetFile::Abandon() {
  if (sink_ == nullptr) return;
  // First, so that nothing more is written: Arrow's writers end a file as they go.
  (void)sink_->Abort();
  (void)CatchWrite([&] {
    writer_.reset();
    return Status::OK();
  });
  sink_.reset();
}

Status ParquetFile::Translate(const Status& status) const {
  return status.IsIOError() ? context_.storage->Translate(status, path_) : status;
}

}  // namespace headrace::writer
