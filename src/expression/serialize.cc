#include <arrow/array/array_nested.h>
#include <arrow/buffer.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <arrow/type_traits.h>
#include <arrow/util/base64.h>
#include <arrow/util/key_value_metadata.h>

#include <charconv>
#include <exception>

#include "expression/bind.h"
#include "expression/filter.h"

namespace headrace::expression {
namespace {

namespace cp = arrow::compute;

Status Damaged(const std::string& reason) {
  return Error(ErrorKind::kInvalidArgument,
               "the serialized filter is damaged: " + reason);
}

/// Walks a serialized expression as arrow::compute::Deserialize will, which trusts its
/// input. The format: one row whose schema's metadata is the tree in prefix order (keys
/// literal, field_ref, nested_field_ref, call ... [options] end); literals and options
/// are columns.
class Checker {
 public:
  explicit Checker(const arrow::RecordBatch& batch)
      : batch_(batch), metadata_(*batch.schema()->metadata()) {}

  Status Run() {
    ARROW_RETURN_NOT_OK(CheckOne(0));
    return next_ == metadata_.size() ? Status::OK()
                                     : Damaged("something follows its end");
  }

 private:
  Status CheckOne(int depth) {
    if (depth > kExpressionDepthMax) return Damaged("it is nested too deep");
    if (next_ >= metadata_.size()) return Damaged("it ends too early");
    const std::string& key = metadata_.key(next_);
    const std::string& value = metadata_.value(next_);
    ++next_;
    if (key == "field_ref") return Status::OK();
    if (key == "literal") return ColumnAt(value).status();
    if (key == "nested_field_ref") return CheckNested(value, depth);
    if (key == "call") return CheckCall(depth);
    return Damaged("unknown part '" + key.substr(0, 40) + "'");
  }

  Status CheckCall(int depth) {
    while (next_ < metadata_.size() && metadata_.key(next_) != "end") {
      if (metadata_.key(next_) != "options") {
        ARROW_RETURN_NOT_OK(CheckOne(depth + 1));
        continue;
      }
      ARROW_ASSIGN_OR_RAISE(auto column, ColumnAt(metadata_.value(next_)));
      ARROW_RETURN_NOT_OK(CheckOptions(*column));
      ++next_;
      if (next_ >= metadata_.size() || metadata_.key(next_) != "end") {
        return Damaged("options are not a call's last part");
      }
    }
    if (next_ >= metadata_.size()) return Damaged("a call does not end");
    ++next_;
    return Status::OK();
  }

  Status CheckNested(const std::string& count, int depth) {
    int64_t parts = 0;
    if (!ParseNumber(count, &parts) || parts < 1 || parts > metadata_.size() - next_) {
      return Damaged("a nested column has " + count.substr(0, 20) + " parts");
    }
    for (; parts > 0; --parts) {
      if (next_ >= metadata_.size() || !metadata_.key(next_).ends_with("field_ref")) {
        return Damaged("a nested column has something else among its parts");
      }
      ARROW_RETURN_NOT_OK(CheckOne(depth + 1));
    }
    return Status::OK();
  }

  static Status CheckOptions(const arrow::Array& column) {
    if (column.type_id() != arrow::Type::STRUCT || column.IsNull(0)) {
      return Damaged("options are no struct");
    }
    const auto& options = static_cast<const arrow::StructArray&>(column);
    const auto name = options.GetFieldByName("_type_name");
    if (name == nullptr || name->type_id() != arrow::Type::BINARY || name->IsNull(0)) {
      return Damaged("options have no type");
    }
    const auto set = options.GetFieldByName("value_set");
    if (set != nullptr && (set->type_id() != arrow::Type::LIST || set->IsNull(0))) {
      return Damaged("a value set is no list");
    }
    return Status::OK();
  }

  Result<std::shared_ptr<arrow::Array>> ColumnAt(const std::string& text) const {
    int64_t index = 0;
    if (!ParseNumber(text, &index) || index >= batch_.num_columns()) {
      return Damaged("it refers to value " + text.substr(0, 20) + " of " +
                     std::to_string(batch_.num_columns()));
    }
    return batch_.column(static_cast<int>(index));
  }

  static bool ParseNumber(const std::string& text, int64_t* value) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, *value);
    return error == std::errc() && stop == end && *value >= 0;
  }

  const arrow::RecordBatch& batch_;
  const arrow::KeyValueMetadata& metadata_;
  int64_t next_ = 0;
};

Status CheckSerialized(const std::shared_ptr<arrow::Buffer>& buffer) {
  arrow::io::BufferReader stream(buffer);
  ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ipc::RecordBatchFileReader::Open(&stream));
  if (reader->num_record_batches() != 1) return Damaged("it holds no single batch");
  ARROW_ASSIGN_OR_RAISE(auto batch, reader->ReadRecordBatch(0));
  ARROW_RETURN_NOT_OK(batch->ValidateFull());
  if (batch->num_rows() != 1) return Damaged("it holds no single row");
  if (batch->schema()->metadata() == nullptr) return Damaged("it holds no tree");
  return Checker(*batch).Run();
}

Result<cp::Expression> Deserialize(const std::shared_ptr<arrow::Buffer>& buffer) {
  // Arrow reports by Status; what its parsers' dependencies throw ends here.
  try {
    ARROW_RETURN_NOT_OK(CheckSerialized(buffer));
    return cp::Deserialize(buffer);
  } catch (const std::exception& e) {
    return Damaged(e.what());
  }
}

}  // namespace

Result<std::string> SerializeExpression(const cp::Expression& expression) {
  ARROW_RETURN_NOT_OK(CheckDepth(expression));
  const auto buffer = cp::Serialize(expression);
  if (!buffer.ok()) {
    return WithContext(buffer.status(),
                       "the filter cannot be serialized (columns by name "
                       "can, columns by position cannot)");
  }
  return arrow::util::base64_encode(std::string_view(**buffer));
}

Result<cp::Expression> DeserializeExpression(std::string_view base64) {
  auto bytes = arrow::util::base64_decode(base64);
  if (!bytes.ok()) return Damaged(bytes.status().message());
  auto expression = Deserialize(arrow::Buffer::FromString(*std::move(bytes)));
  if (expression.ok()) return expression;
  if (KindOf(expression.status()) == ErrorKind::kInvalidArgument &&
      expression.status().message().starts_with("the serialized filter")) {
    return expression;
  }
  return Damaged(expression.status().message());
}

}  // namespace headrace::expression
