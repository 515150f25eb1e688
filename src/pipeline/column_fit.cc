#include "pipeline/column_fit.h"

#include <arrow/util/float16.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>
#include <vector>

#include "schema/dtype.h"
#include "schema/text.h"

namespace headrace::pipeline {
namespace {

bool Less(const Extreme& a, const Extreme& b) {
  return std::visit(
      [](auto x, auto y) {
        if constexpr (std::is_integral_v<decltype(x)> &&
                      std::is_integral_v<decltype(y)>) {
          return std::cmp_less(x, y);
        } else {
          return static_cast<double>(x) < static_cast<double>(y);
        }
      },
      a, b);
}

template <typename Value>
Extreme ToExtreme(Value value) {
  if constexpr (std::is_floating_point_v<Value>) {
    return static_cast<double>(value);
  } else {
    if (std::in_range<int64_t>(value)) return static_cast<int64_t>(value);
    return static_cast<uint64_t>(value);
  }
}

// The stored elements of a primitive array.
template <typename Stored>
const Stored* ElementsOf(const arrow::Array& values) {
  return values.data()->GetValues<Stored>(1);
}

}  // namespace

template <typename Value, typename At>
void NumberFit::AddEach(const arrow::Array& values, At&& at) {
  std::vector<double> finite;
  finite.reserve(static_cast<size_t>(values.length()));
  Value min = 0;
  Value max = 0;
  bool any = false;
  for (int64_t i = 0; i < values.length(); ++i) {
    if (values.IsNull(i)) continue;
    const Value value = at(i);
    if constexpr (std::is_floating_point_v<Value>) {
      if (std::isnan(value)) {
        ++nans_;
        continue;
      }
    }
    min = any ? std::min(min, value) : value;
    max = any ? std::max(max, value) : value;
    any = true;
    const auto real = static_cast<double>(value);
    if (std::isfinite(real)) {
      finite.push_back(real);
    } else {
      ++infinities_;
    }
  }
  nulls_ += values.null_count();
  moments_.Add(finite);
  if (any) Widen(ToExtreme(min), ToExtreme(max));
}

void NumberFit::Widen(const Extreme& min, const Extreme& max) {
  if (!min_ || Less(min, *min_)) min_ = min;
  if (!max_ || Less(*max_, max)) max_ = max;
}

Status NumberFit::Add(const arrow::Array& values) {
  auto plain = [&]<typename Stored>(Stored) {
    const auto* elements = ElementsOf<Stored>(values);
    AddEach<Stored>(values, [elements](int64_t i) { return elements[i]; });
  };
  const auto dtype = schema::DTypeOf(*values.type());
  switch (dtype.value_or(DType::kBFloat16)) {
    case DType::kBool: {
      const auto& flags = static_cast<const arrow::BooleanArray&>(values);
      AddEach<int64_t>(values, [&](int64_t i) { return flags.Value(i) ? 1 : 0; });
      break;
    }
    case DType::kInt8:
      plain(int8_t{});
      break;
    case DType::kInt16:
      plain(int16_t{});
      break;
    case DType::kInt32:
      plain(int32_t{});
      break;
    case DType::kInt64:
      plain(int64_t{});
      break;
    case DType::kUInt8:
      plain(uint8_t{});
      break;
    case DType::kUInt16:
      plain(uint16_t{});
      break;
    case DType::kUInt32:
      plain(uint32_t{});
      break;
    case DType::kUInt64:
      plain(uint64_t{});
      break;
    case DType::kFloat16: {
      const auto* bits = ElementsOf<uint16_t>(values);
      AddEach<float>(values, [bits](int64_t i) {
        return arrow::util::Float16::FromBits(bits[i]).ToFloat();
      });
      break;
    }
    case DType::kFloat32:
      plain(float{});
      break;
    case DType::kFloat64:
      plain(double{});
      break;
    case DType::kBFloat16:
      return Error(ErrorKind::kInternal, values.type()->ToString() + " is no number");
  }
  return Status::OK();
}

void NumberFit::Merge(const NumberFit& later) {
  nulls_ += later.nulls_;
  nans_ += later.nans_;
  infinities_ += later.infinities_;
  moments_.Merge(later.moments_);
  if (later.min_) Widen(*later.min_, *later.max_);
}

NumericFeature NumberFit::Finish() const {
  NumericFeature feature;
  feature.count = moments_.count() + infinities_;
  feature.nulls = nulls_;
  feature.nans = nans_;
  feature.min = min_;
  feature.max = max_;
  if (infinities_ > 0 || moments_.count() == 0) return feature;
  if (std::isfinite(moments_.mean())) feature.mean = moments_.mean();
  if (std::isfinite(moments_.std())) feature.std = moments_.std();
  return feature;
}

Status TextFit::Count(std::string_view value, int64_t times, int64_t values_max) {
  auto found = counts_.find(value);
  if (found == counts_.end()) {
    if (std::ssize(counts_) >= values_max) {
      return Error(ErrorKind::kResourceExhausted,
                   "it has more than " + std::to_string(values_max) +
                       " distinct values, the most that a vocabulary may have: leave it "
                       "out, or give more as vocabulary_max");
    }
    found = counts_.emplace(value, 0).first;
  }
  found->second += times;
  return Status::OK();
}

Status TextFit::Add(const arrow::Array& values, int64_t values_max) {
  ARROW_ASSIGN_OR_RAISE(auto text, schema::PlainText(arrow::MakeArray(values.data()),
                                                     arrow::default_memory_pool()));
  return schema::VisitText(*text,
                           [&](int64_t, std::optional<std::string_view> value) -> Status {
                             if (value) return Count(*value, 1, values_max);
                             ++nulls_;
                             return Status::OK();
                           });
}

Status TextFit::Merge(TextFit other, int64_t values_max) {
  if (other.counts_.size() > counts_.size()) std::swap(counts_, other.counts_);
  nulls_ += other.nulls_;
  for (const auto& [value, times] : other.counts_) {
    ARROW_RETURN_NOT_OK(Count(value, times, values_max));
  }
  return Status::OK();
}

VocabularyFeature TextFit::Finish(bool binary) && {
  VocabularyFeature feature;
  feature.nulls = nulls_;
  feature.binary = binary;
  std::vector<std::pair<std::string, int64_t>> sorted;
  sorted.reserve(counts_.size());
  while (!counts_.empty()) {
    auto entry = counts_.extract(counts_.begin());
    sorted.emplace_back(std::move(entry.key()), entry.mapped());
  }
  std::sort(sorted.begin(), sorted.end());
  for (auto& [value, times] : sorted) {
    feature.values.push_back(std::move(value));
    feature.counts.push_back(times);
  }
  return feature;
}

}  // namespace headrace::pipeline
