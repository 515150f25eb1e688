#include "pipeline/time_filter.h"

#include <arrow/scalar.h>
#include <arrow/util/decimal.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <utility>
#include <vector>

#include "expression/bind.h"
#include "expression/literal.h"
#include "schema/column_path.h"

namespace headrace::pipeline {
namespace {

namespace cp = arrow::compute;
using arrow::Type;
using cp::Expression;

constexpr int64_t kNanosInSecond = 1'000'000'000;
constexpr int64_t kSecondsInDay = 86'400;

Status Invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

/// A point of time; in UTC, or of no zone.
struct Instant {
  int64_t seconds = 0;
  int64_t nanos = 0;
  bool zoned = false;
  /// An integer was given: it is of the zone that the column is of.
  bool of_any_zone = false;
  std::string text = {};  // as it was given

  bool operator<(const Instant& other) const {
    return std::pair(seconds, nanos) < std::pair(other.seconds, other.nanos);
  }
};

/// How many digits after the second a count since the epoch has, by its size.
int DigitsBySize(int64_t count) {
  static constexpr std::array<int64_t, 3> kLimits = {100'000'000'000, 100'000'000'000'000,
                                                     100'000'000'000'000'000};
  int digits = 0;
  for (const int64_t limit : kLimits) {
    if (count < limit && count > -limit) return digits;
    digits += 3;
  }
  return digits;
}

Instant InstantOf(int64_t count, int digits) {
  int64_t in_second = 1;
  for (int i = 0; i < digits; ++i) in_second *= 10;
  Instant instant;
  instant.seconds = count / in_second;
  int64_t rest = count % in_second;
  if (rest < 0) {
    rest += in_second;
    --instant.seconds;
  }
  instant.nanos = rest * (kNanosInSecond / in_second);
  return instant;
}

/// The instant of a date or timestamp; nothing for other scalars.
std::optional<Instant> InstantOf(const arrow::Scalar& scalar) {
  if (!scalar.is_valid) return std::nullopt;
  if (scalar.type->id() == Type::DATE32) {
    const int64_t days = static_cast<const arrow::Date32Scalar&>(scalar).value;
    return InstantOf(days * kSecondsInDay, 0);
  }
  if (scalar.type->id() != Type::TIMESTAMP) return std::nullopt;
  const auto& type = static_cast<const arrow::TimestampType&>(*scalar.type);
  Instant instant = InstantOf(static_cast<const arrow::TimestampScalar&>(scalar).value,
                              3 * static_cast<int>(type.unit()));
  instant.zoned = !type.timezone().empty();
  return instant;
}

Result<Instant> InstantOf(const Moment& moment, const std::string& name) {
  if (const auto* count = std::get_if<int64_t>(&moment)) {
    Instant instant = InstantOf(*count, DigitsBySize(*count));
    instant.of_any_zone = true;
    instant.text = std::to_string(*count);
    return instant;
  }
  const auto& text = std::get<std::string>(moment);
  auto scalar = expression::ParseDate(text);
  if (scalar == nullptr) scalar = expression::ParseTimestamp(text);
  if (scalar == nullptr) {
    return Invalid(
        "between: " + name + " is '" + text +
        "', expected a date, a timestamp (\"2026-11-01T06:00Z\") or an integer "
        "since the epoch");
  }
  Instant instant = *InstantOf(*scalar);
  instant.text = text;
  return instant;
}

// Columns of integers since the epoch

bool IsInteger(const arrow::DataType& type) { return arrow::is_integer(type.id()); }

/// The digits after the second of a partition column of integers: by its largest value.
int DigitsOf(const table::PartitionColumns& columns, int partition) {
  int digits = 0;
  for (const auto& value : columns.values(partition)) {
    if (!value->is_valid) continue;
    auto number = value->CastTo(arrow::int64());
    // What passes 2^63 counts nothing smaller than nanoseconds.
    digits = std::max(
        digits,
        number.ok() ? DigitsBySize(static_cast<arrow::Int64Scalar&>(**number).value) : 9);
  }
  return digits;
}

/// An instant as a count since the epoch: a decimal, as it may lie between two integers.
Expression EpochLiteral(const Instant& instant, int digits) {
  const arrow::Decimal128 nanos =
      arrow::Decimal128(instant.seconds) * arrow::Decimal128(kNanosInSecond) +
      arrow::Decimal128(instant.nanos);
  return cp::literal(arrow::Decimal128Scalar(nanos, arrow::decimal128(38, 9 - digits)));
}

int PartitionOf(const arrow::FieldVector& fields, const std::string& name) {
  auto found = std::ranges::find(fields, name, [](const auto& f) { return f->name(); });
  return found == fields.end() ? -1 : static_cast<int>(found - fields.begin());
}

// Columns of parts of a time

enum class TimePart { kDate, kYear, kMonth, kDay, kHour, kMinute };

struct PartColumn {
  TimePart part;
  std::string name;
  bool padded = false;  // text of two digits: "07"
};

std::string Lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return text;
}

bool EveryValueHasTwoDigits(const table::PartitionColumns& columns, int partition) {
  return std::ranges::all_of(columns.values(partition), [](const auto& value) {
    return !value->is_valid || value->ToString().size() == 2;
  });
}

/// A partition column of this name, if it holds integers or text of two digits.
std::optional<PartColumn> FindPart(const table::PartitionColumns& columns, TimePart part,
                                   std::string_view name) {
  const auto& fields = columns.fields;
  for (int i = 0; i < static_cast<int>(fields.size()); ++i) {
    if (Lower(fields[i]->name()) != name) continue;
    if (IsInteger(*fields[i]->type())) return PartColumn{part, fields[i]->name()};
    const bool text = fields[i]->type()->id() == Type::STRING;
    if (text && part != TimePart::kYear && EveryValueHasTwoDigits(columns, i)) {
      return PartColumn{part, fields[i]->name(), true};
    }
  }
  return std::nullopt;
}

/// What holds a time: one column, or partition columns of its parts, coarsest first.
struct TimeColumn {
  std::vector<PartColumn> parts = {};  // empty: `name` holds it
  std::string name = {};
  std::shared_ptr<arrow::DataType> type = {};
  int partition = -1;

  std::string ToString() const {
    std::string text = "\"" + name + "\"";
    for (size_t i = 1; i < parts.size(); ++i) text += " with \"" + parts[i].name + "\"";
    return text;
  }
  bool Has(const std::string& column) const {
    return name == column ||
           std::ranges::find(parts, column, &PartColumn::name) != parts.end();
  }
};

constexpr std::array<std::pair<TimePart, std::string_view>, 4> kFiner = {
    {{TimePart::kMonth, "month"},
     {TimePart::kDay, "day"},
     {TimePart::kHour, "hour"},
     {TimePart::kMinute, "minute"}}};

/// Adds the finer parts that follow one another without a gap.
void AddFinerParts(const table::PartitionColumns& columns, TimeColumn* column) {
  const bool from_date = column->parts[0].part == TimePart::kDate;
  for (const auto& [part, name] : kFiner) {
    if (from_date && part < TimePart::kHour) continue;
    auto found = FindPart(columns, part, name);
    if (!found) return;
    column->parts.push_back(*std::move(found));
  }
}

bool NamesAnEpoch(const std::string& name) {
  const std::string lower = Lower(name);
  const std::string last = lower.substr(lower.rfind('_') + 1);
  return last == "ts" || last == "time" || last == "timestamp" || last == "epoch";
}

/// What may hold a row's time among the partition columns.
std::vector<TimeColumn> PartitionTimes(const table::PartitionColumns& columns) {
  std::vector<TimeColumn> times;
  const auto& fields = columns.fields;
  for (int i = 0; i < static_cast<int>(fields.size()); ++i) {
    const auto& type = fields[i]->type();
    TimeColumn time{{}, fields[i]->name(), type, i};
    const bool year = Lower(fields[i]->name()) == "year" && IsInteger(*type);
    if (type->id() == Type::DATE32 || year) {
      time.parts = {{year ? TimePart::kYear : TimePart::kDate, fields[i]->name()}};
    } else if (type->id() != Type::TIMESTAMP &&
               !(IsInteger(*type) && NamesAnEpoch(fields[i]->name()))) {
      continue;
    }
    times.push_back(std::move(time));
  }
  // Hours belong to a date or a year only if there is but one.
  if (times.size() == 1 && !times[0].parts.empty()) AddFinerParts(columns, &times[0]);
  return times;
}

bool HoldsTime(const arrow::DataType& type) {
  return type.id() == Type::DATE32 || type.id() == Type::TIMESTAMP;
}

Result<TimeColumn> OnlyOne(const std::vector<TimeColumn>& times,
                           const table::Table& table) {
  if (times.size() == 1) return times[0];
  if (times.empty()) {
    return Invalid(table.DisplayUri() +
                   ": between found no column of time: no partition column of dates, "
                   "timestamps, years or epochs, and no column of dates or timestamps; "
                   "say which by column=, or what a partition column holds by "
                   "partition_types when opening");
  }
  std::string names;
  for (const TimeColumn& time : times)
    names += (names.empty() ? "" : ", ") + time.ToString();
  return Invalid(table.DisplayUri() + ": between may mean any of " + names +
                 ": say which by column=");
}

Result<TimeColumn> FindTime(const table::Table& table,
                            const std::optional<std::string>& column) {
  std::vector<TimeColumn> times = PartitionTimes(table.partition_columns());
  if (!column) {
    if (!times.empty()) return OnlyOne(times, table);
    for (const auto& field : table.schema()->fields()) {
      if (HoldsTime(*field->type())) times.push_back({{}, field->name(), field->type()});
    }
    return OnlyOne(times, table);
  }
  for (const TimeColumn& time : times) {
    if (time.Has(*column)) return time;
  }
  ARROW_ASSIGN_OR_RAISE(auto found,
                        schema::ResolveColumn(*table.named_schema(), *column));
  const auto& type = found.field->type();
  const int partition = PartitionOf(table.partition_fields(), *column);
  if (HoldsTime(*type) || (IsInteger(*type) && partition >= 0)) {
    return TimeColumn{{}, *column, type, partition};
  }
  return Invalid(
      table.DisplayUri() + ": between on column \"" + *column + "\" of type " +
      type->ToString() + ", expected dates or timestamps" +
      (partition >= 0 ? "; partition_types says what a partition column holds"
       : IsInteger(*type)
           ? "; what integers in files count is not known, so compare them by where"
           : ""));
}

// Conditions

Expression And(Expression a, Expression b) {
  return cp::call("and_kleene", {std::move(a), std::move(b)});
}
Expression Or(Expression a, Expression b) {
  return cp::call("or_kleene", {std::move(a), std::move(b)});
}
Expression Field(const std::string& name) { return cp::field_ref(arrow::FieldRef(name)); }

/// The calendar fields of an instant.
struct Calendar {
  int64_t days = 0;
  int64_t year = 0;
  int64_t month = 0;
  int64_t day = 0;
  int64_t hour = 0;
  int64_t minute = 0;
  bool whole_minute = false;

  explicit Calendar(const Instant& instant) {
    const std::chrono::sys_seconds at{std::chrono::seconds(instant.seconds)};
    const auto midnight = std::chrono::floor<std::chrono::days>(at);
    const std::chrono::year_month_day date(midnight);
    days = midnight.time_since_epoch().count();
    year = static_cast<int>(date.year());
    month = static_cast<unsigned>(date.month());
    day = static_cast<unsigned>(date.day());
    const int64_t second = (at - midnight).count();
    hour = second / 3600;
    minute = second / 60 % 60;
    whole_minute = second % 60 == 0 && instant.nanos == 0;
  }

  int64_t Of(TimePart part) const {
    switch (part) {
      case TimePart::kDate:
        return days;
      case TimePart::kYear:
        return year;
      case TimePart::kMonth:
        return month;
      case TimePart::kDay:
        return day;
      case TimePart::kHour:
        return hour;
      case TimePart::kMinute:
        return minute;
    }
    return 0;
  }
  /// Nothing of the instant is finer than a part.
  bool IsWhole(TimePart part) const {
    return whole_minute && (part >= TimePart::kMinute || minute == 0) &&
           (part >= TimePart::kHour || hour == 0) &&
           (part == TimePart::kDate || part >= TimePart::kDay || day == 1) &&
           (part == TimePart::kDate || part >= TimePart::kMonth || month == 1);
  }
};

Expression PartLiteral(const PartColumn& column, int64_t value) {
  if (column.part == TimePart::kDate) {
    return cp::literal(arrow::Date32Scalar(static_cast<int32_t>(value)));
  }
  if (!column.padded) return cp::literal(value);
  std::string text = std::to_string(value);
  return cp::literal(std::string(2 - std::min<size_t>(2, text.size()), '0') + text);
}

/// `parts` at or after (`from`), or before, an instant: by the coarsest part, and where
/// that is equal by the finer ones. Partition values decide it without arithmetic. What
/// the parts are too coarse to tell apart passes.
Expression Bounded(const std::vector<PartColumn>& parts, const Calendar& at, bool from) {
  size_t last = parts.size() - 1;
  while (last > 0 && at.IsWhole(parts[last - 1].part)) --last;
  const char* compare = from                           ? "greater_equal"
                        : at.IsWhole(parts[last].part) ? "less"
                                                       : "less_equal";
  Expression bounded = cp::call(
      compare,
      {Field(parts[last].name), PartLiteral(parts[last], at.Of(parts[last].part))});
  for (size_t i = last; i-- > 0;) {
    const Expression field = Field(parts[i].name);
    const Expression value = PartLiteral(parts[i], at.Of(parts[i].part));
    bounded = Or(cp::call(from ? "greater" : "less", {field, value}),
                 And(cp::call("equal", {field, value}), std::move(bounded)));
  }
  return bounded;
}

Result<Expression> BoundedParts(const TimeColumn& time, const Instant& instant,
                                const std::string& name, bool from) {
  const Calendar at(instant);
  if (!at.IsWhole(time.parts.back().part)) {
    return Invalid("between: " + name + " is '" + instant.text +
                   "', which is finer than " + time.ToString() +
                   " holds: give bounds as coarse, or name a finer column by column=");
  }
  return Bounded(time.parts, at, from);
}

/// A literal beside a column of timestamps.
Expression TimestampLiteral(const Instant& instant, const arrow::DataType& type) {
  const bool zoned =
      instant.of_any_zone
          ? !static_cast<const arrow::TimestampType&>(type).timezone().empty()
          : instant.zoned;
  const bool nanos = instant.nanos % 1000 != 0;
  const int64_t value = nanos ? instant.seconds * kNanosInSecond + instant.nanos
                              : instant.seconds * 1'000'000 + instant.nanos / 1000;
  const auto unit = nanos ? arrow::TimeUnit::NANO : arrow::TimeUnit::MICRO;
  return cp::literal(
      arrow::TimestampScalar(value, arrow::timestamp(unit, zoned ? "UTC" : "")));
}

/// A column without parts.
Expression BoundedWhole(const table::PartitionColumns& columns, const TimeColumn& time,
                        const Instant& instant, bool from) {
  const Expression literal =
      IsInteger(*time.type) ? EpochLiteral(instant, DigitsOf(columns, time.partition))
                            : TimestampLiteral(instant, *time.type);
  return cp::call(from ? "greater_equal" : "less", {Field(time.name), literal});
}

bool IsComparison(const std::string& function) {
  static constexpr std::array<std::string_view, 6> kComparisons = {
      "equal", "not_equal", "less", "less_equal", "greater", "greater_equal"};
  return std::ranges::find(kComparisons, function) != kComparisons.end();
}

/// The literal's instant as a count, if the other side is a partition column of integers.
std::optional<Expression> AsEpoch(const Expression& literal, const Expression& column,
                                  const table::PartitionColumns& columns) {
  const arrow::Datum* datum = literal.literal();
  const arrow::FieldRef* ref = column.field_ref();
  if (datum == nullptr || !datum->is_scalar() || ref == nullptr ||
      ref->name() == nullptr) {
    return std::nullopt;
  }
  const auto instant = InstantOf(*datum->scalar());
  const int partition = PartitionOf(columns.fields, *ref->name());
  if (!instant || partition < 0 || !IsInteger(*columns.fields[partition]->type())) {
    return std::nullopt;
  }
  return EpochLiteral(*instant, DigitsOf(columns, partition));
}

Expression Rewritten(const Expression& filter, const table::PartitionColumns& columns,
                     int depth) {
  const Expression::Call* call = filter.call();
  // Binding refuses what is deeper.
  if (call == nullptr || depth > expression::kExpressionDepthMax) return filter;
  Expression::Call copy = *call;
  if (IsComparison(copy.function_name) && copy.arguments.size() == 2) {
    for (const size_t i : {0, 1}) {
      auto epoch = AsEpoch(copy.arguments[i], copy.arguments[1 - i], columns);
      if (epoch) copy.arguments[i] = *std::move(epoch);
    }
    return Expression(std::move(copy));
  }
  for (Expression& argument : copy.arguments) {
    argument = Rewritten(argument, columns, depth + 1);
  }
  return Expression(std::move(copy));
}

/// A range's bounds as instants.
struct Instants {
  Instant from;
  Instant to;

  static Result<Instants> Of(const TimeRange& range) {
    Instants instants;
    ARROW_ASSIGN_OR_RAISE(instants.from, InstantOf(range.start, "start"));
    ARROW_ASSIGN_OR_RAISE(instants.to, InstantOf(range.end, "end"));
    if (instants.to < instants.from) {
      return Invalid("between: start '" + instants.from.text + "' is after end '" +
                     instants.to.text + "'");
    }
    return instants;
  }
};

/// The column of a range among partition columns, if they alone say which one it is.
std::optional<TimeColumn> FindKnownTime(const table::PartitionColumns& known,
                                        const std::optional<std::string>& column) {
  const std::vector<TimeColumn> times = PartitionTimes(known);
  if (!column) {
    if (times.size() != 1) return std::nullopt;
    return times[0];
  }
  for (const TimeColumn& time : times) {
    if (time.Has(*column)) return time;
  }
  const int partition = PartitionOf(known.fields, *column);
  if (partition < 0) return std::nullopt;
  const auto& type = known.fields[static_cast<size_t>(partition)]->type();
  if (!HoldsTime(*type) && !IsInteger(*type)) return std::nullopt;
  return TimeColumn{{}, *column, type, partition};
}

/// Whether partition columns that are not known yet may say more of a range.
bool MoreMayCome(const table::PartitionColumns& known,
                 const std::vector<std::string>& keys, const TimeRange& range,
                 const std::optional<TimeColumn>& time) {
  return std::ranges::any_of(keys, [&](const std::string& key) {
    if (PartitionOf(known.fields, key) >= 0) return false;
    if (!time) return !range.column || *range.column == key;
    const auto names_it = [&](const auto& finer) { return finer.second == Lower(key); };
    return !time->parts.empty() && std::ranges::any_of(kFiner, names_it);
  });
}

}  // namespace

Result<Expression> BetweenFilter(const table::Table& table, const TimeRange& range) {
  ARROW_ASSIGN_OR_RAISE(const Instants bounds, Instants::Of(range));
  ARROW_ASSIGN_OR_RAISE(TimeColumn time, FindTime(table, range.column));
  if (time.parts.empty() && time.type->id() == Type::DATE32) {
    time.parts = {{TimePart::kDate, time.name}};
  }
  if (time.parts.empty()) {
    const auto columns = table.partition_columns();
    return And(BoundedWhole(columns, time, bounds.from, true),
               BoundedWhole(columns, time, bounds.to, false));
  }
  ARROW_ASSIGN_OR_RAISE(auto lower, BoundedParts(time, bounds.from, "start", true));
  ARROW_ASSIGN_OR_RAISE(auto upper, BoundedParts(time, bounds.to, "end", false));
  return And(std::move(lower), std::move(upper));
}

Result<table::PartCondition> BetweenKnown(const table::PartitionColumns& known,
                                          const std::vector<std::string>& keys,
                                          const TimeRange& range) {
  ARROW_ASSIGN_OR_RAISE(const Instants bounds, Instants::Of(range));
  const auto time = FindKnownTime(known, range.column);
  table::PartCondition part{cp::literal(true), !MoreMayCome(known, keys, range, time)};
  if (!time) return part;
  part.condition = time->parts.empty()
                       ? And(BoundedWhole(known, *time, bounds.from, true),
                             BoundedWhole(known, *time, bounds.to, false))
                       : And(Bounded(time->parts, Calendar(bounds.from), true),
                             Bounded(time->parts, Calendar(bounds.to), false));
  return part;
}

Expression WithEpochs(const Expression& filter, const table::PartitionColumns& columns) {
  const bool any = std::ranges::any_of(
      columns.fields, [](const auto& field) { return IsInteger(*field->type()); });
  return any ? Rewritten(filter, columns, 0) : filter;
}

}  // namespace headrace::pipeline
