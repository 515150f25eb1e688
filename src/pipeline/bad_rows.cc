#include "pipeline/bad_rows.h"

#include <numeric>
#include <utility>

namespace headrace::pipeline {
namespace {

// Whether a row's own content is to blame.
bool IsOfRows(const Status& status) {
  const ErrorKind kind = KindOf(status);
  return kind == ErrorKind::kInvalidArgument || kind == ErrorKind::kCorrupt ||
         kind == ErrorKind::kSchemaMismatch ||
         kind == ErrorKind::kUnsupported;  // a format that is not read, say
}

/// Some samples of a drawing, as a drawing of their own.
class DrawnPart {
 public:
  DrawnPart(const batch::Drawing& whole, const std::vector<batch::Segment>& origins,
            std::vector<int64_t> samples)
      : samples_(std::move(samples)) {
    for (int64_t sample : samples_) {
      batch::Segment segment = origins[static_cast<size_t>(sample)];
      segment.out = static_cast<int64_t>(segments_.size());
      segments_.push_back(segment);
    }
    if (segments_.empty()) {  // says of which windows the empty batch is
      segments_.push_back(origins[0]);
      segments_[0].rows = 0;
    }
    drawing_ = whole;
    drawing_.segments = segments_;
    drawing_.rounds = {};
    drawing_.rows = static_cast<int64_t>(samples_.size());
    drawing_.locate = [this, locate = &whole.locate](int64_t i) {
      return (*locate)(samples_[static_cast<size_t>(i)]);
    };
  }
  DrawnPart(const DrawnPart&) = delete;
  DrawnPart& operator=(const DrawnPart&) = delete;

  const batch::Drawing& drawing() const { return drawing_; }

 private:
  std::vector<int64_t> samples_;
  std::vector<batch::Segment> segments_;
  batch::Drawing drawing_;
};

/// The bad values of a drawing, column by column.
class Search {
 public:
  Search(const Assembler& assembler, const batch::Drawing& drawing)
      : assembler_(assembler), drawing_(drawing), origins_(drawing.rows) {
    for (const batch::Segment& segment : drawing.segments) {
      for (int64_t i = 0; i < segment.rows; ++i) {
        origins_[static_cast<size_t>(segment.out + i * segment.out_stride)] = {
            segment.window, segment.from + i, 1, 0, 1};
      }
    }
  }

  const std::vector<batch::Segment>& origins() const { return origins_; }
  /// What is wrong with each sample, empty where nothing is.
  const std::vector<std::string>& what() const { return what_; }

  // Finds a column's bad samples: a byte a sample; empty if there are none.
  Result<std::vector<uint8_t>> Of(size_t column) {
    what_.assign(origins_.size(), "");
    any_ = false;
    std::vector<int64_t> readable;
    for (size_t i = 0; i < origins_.size(); ++i) {
      const uint8_t* damaged = origins_[i].window->damaged(column);
      if (damaged == nullptr || damaged[origins_[i].from] == 0) {
        readable.push_back(static_cast<int64_t>(i));
        continue;
      }
      any_ = true;
      what_[i] = "column \"" + assembler_.columns()[column].name + "\"" +
                 drawing_.locate(static_cast<int64_t>(i)) +
                 ": the file is damaged here; find where else with `headrace verify`";
    }
    ARROW_RETURN_NOT_OK(Bisect(column, readable, 0, readable.size()));
    std::vector<uint8_t> bad;
    if (!any_) return bad;
    for (const std::string& what : what_) bad.push_back(what.empty() ? 0 : 1);
    return bad;
  }

 private:
  Status Bisect(size_t column, const std::vector<int64_t>& samples, size_t from,
                size_t to) {
    if (from == to) return Status::OK();
    const DrawnPart part(drawing_, origins_,
                         {samples.begin() + static_cast<int64_t>(from),
                          samples.begin() + static_cast<int64_t>(to)});
    Status status = assembler_.Check(part.drawing(), column);
    if (status.ok()) return Status::OK();
    if (!IsOfRows(status)) return status;
    if (to - from == 1) {
      any_ = true;
      what_[static_cast<size_t>(samples[from])] = MessageOf(status);
      return Status::OK();
    }
    const size_t middle = from + (to - from) / 2;
    ARROW_RETURN_NOT_OK(Bisect(column, samples, from, middle));
    return Bisect(column, samples, middle, to);
  }

  const Assembler& assembler_;
  const batch::Drawing& drawing_;
  std::vector<batch::Segment> origins_;
  std::vector<std::string> what_;
  bool any_ = false;
};

bool AnyDamaged(const Assembler& assembler, const batch::Drawing& drawing) {
  for (const batch::Segment& segment : drawing.segments) {
    for (size_t c = 0; c < assembler.columns().size(); ++c) {
      if (segment.window->damaged(c) != nullptr) return true;
    }
  }
  return false;
}

}  // namespace

Result<TensorBatch> AssembleAround(const Assembler& assembler, ErrorPolicy policy,
                                   const batch::Drawing& drawing,
                                   std::vector<SkippedRow>* skipped) {
  if (!AnyDamaged(assembler, drawing)) {
    auto whole = assembler.Assemble(drawing);
    if (whole.ok() || !IsOfRows(whole.status())) return whole;
  }
  Search search(assembler, drawing);
  Assembler::Missing missing(assembler.columns().size());
  std::vector<std::string> what(search.origins().size());
  for (size_t c = 0; c < missing.size(); ++c) {
    ARROW_ASSIGN_OR_RAISE(missing[c], search.Of(c));
    for (size_t i = 0; i < what.size(); ++i) {
      if (what[i].empty()) what[i] = search.what()[i];
    }
  }
  if (policy == ErrorPolicy::kNull) return assembler.Assemble(drawing, missing);
  std::vector<int64_t> good;
  for (size_t i = 0; i < what.size(); ++i) {
    const auto sample = static_cast<int64_t>(i);
    if (what[i].empty()) {
      good.push_back(sample);
    } else {
      skipped->push_back({sample, std::move(what[i])});
    }
  }
  const DrawnPart part(drawing, search.origins(), std::move(good));
  return assembler.Assemble(part.drawing());
}

}  // namespace headrace::pipeline
