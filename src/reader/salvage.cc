#include "reader/salvage.h"

#include <arrow/array/concatenate.h>
#include <arrow/array/util.h>

#include <algorithm>
#include <utility>

#include "reader/row_group_reader.h"

namespace headrace::reader {
namespace {

/// One call of Salvage.
class Salvaging {
 public:
  Salvaging(const ReadContext& context, int64_t fragment, int row_group, int64_t first,
            int64_t rows, const ReadColumn& column)
      : context_(context),
        fragment_(fragment),
        row_group_(row_group),
        first_(first),
        column_(column),
        damaged_(static_cast<size_t>(rows), 0) {}

  // Finds which of rows [from, to) can be read, and reads them.
  Status Search(int64_t from, int64_t to) {
    auto whole = Read(from, to);
    if (whole.ok()) {
      pieces_.push_back(std::move(*whole));
      return Status::OK();
    }
    if (KindOf(whole.status()) != ErrorKind::kCorrupt) return whole.status();
    if (to - from == 1) return GiveUp(from, to);
    ARROW_ASSIGN_OR_RAISE(const bool first_damaged, IsDamaged(from));
    ARROW_ASSIGN_OR_RAISE(const bool last_damaged, IsDamaged(to - 1));
    if (first_damaged && last_damaged) return GiveUp(from, to);
    const int64_t middle = from + (to - from) / 2;
    ARROW_RETURN_NOT_OK(Search(from, middle));
    return Search(middle, to);
  }

  Result<Salvaged> Finish() && {
    Salvaged salvaged;
    ARROW_ASSIGN_OR_RAISE(salvaged.values, arrow::Concatenate(pieces_, context_.pool));
    if (any_damaged_) salvaged.damaged = std::move(damaged_);
    return salvaged;
  }

 private:
  Result<std::shared_ptr<arrow::Array>> Read(int64_t from, int64_t to) const {
    ARROW_ASSIGN_OR_RAISE(auto reader,
                          RowGroupReader::Open(context_, fragment_, row_group_,
                                               {first_ + from}, {column_}));
    return reader->Read(0, to - from);
  }

  Result<bool> IsDamaged(int64_t row) const {
    const Status status = Read(row, row + 1).status();
    if (status.ok()) return false;
    if (KindOf(status) == ErrorKind::kCorrupt) return true;
    return status;
  }

  Status GiveUp(int64_t from, int64_t to) {
    ARROW_ASSIGN_OR_RAISE(auto nulls, arrow::MakeArrayOfNull(column_.field->type(),
                                                             to - from, context_.pool));
    pieces_.push_back(std::move(nulls));
    std::fill(damaged_.begin() + from, damaged_.begin() + to, uint8_t{1});
    any_damaged_ = true;
    return Status::OK();
  }

  const ReadContext& context_;
  const int64_t fragment_;
  const int row_group_;
  const int64_t first_;
  const ReadColumn& column_;
  std::vector<uint8_t> damaged_;
  bool any_damaged_ = false;
  arrow::ArrayVector pieces_;
};

}  // namespace

Result<Salvaged> Salvage(const ReadContext& context, int64_t fragment, int row_group,
                         int64_t first, int64_t rows, const ReadColumn& column) {
  Salvaging salvaging(context, fragment, row_group, first, rows, column);
  ARROW_RETURN_NOT_OK(salvaging.Search(0, rows));
  return std::move(salvaging).Finish();
}

}  // namespace headrace::reader
