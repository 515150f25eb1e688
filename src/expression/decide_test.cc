#include <arrow/compute/api.h>
#include <arrow/compute/cast.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "expression/literal.h"
#include "expression/test_rows.h"

namespace headrace::expression {
namespace {

namespace cp = arrow::compute;

std::string Name(Verdict verdict) {
  return verdict == Verdict::kNone ? "none" : verdict == Verdict::kAll ? "all" : "some";
}

/// Bounds in JSON; "?" leaves them unknown.
struct Given {
  std::string min;
  std::string max;
  std::optional<int64_t> nulls;
  int64_t rows = 10;
};

ColumnBounds BoundsOf(const std::shared_ptr<arrow::DataType>& type, const Given& given) {
  ColumnBounds bounds;
  const auto scalar = [&](const std::string& json) -> std::shared_ptr<arrow::Scalar> {
    if (json == "?") return nullptr;
    return arrow::json::ArrayFromJSONString(type, "[" + json + "]")
        .ValueOrDie()
        ->GetScalar(0)
        .ValueOrDie();
  };
  bounds.min = scalar(given.min);
  bounds.max = scalar(given.max);
  bounds.null_count = given.nulls;
  bounds.rows = given.rows;
  return bounds;
}

std::string Decided(const std::string& text, const std::shared_ptr<arrow::DataType>& type,
                    const Given& given,
                    const std::function<bool(const arrow::Scalar&)>& may_contain = {}) {
  const auto filter =
      Filter::Bind(*ParseFilter(text), *arrow::schema({arrow::field("x", type)}));
  if (!filter.ok()) return filter.status().message();
  ColumnBounds bounds = BoundsOf(type, given);
  bounds.may_contain = may_contain;
  return Name(filter->Decide([&](int) { return bounds; }).ValueOrDie());
}

void Check(const std::shared_ptr<arrow::DataType>& type, const Given& given,
           const std::vector<std::pair<const char*, const char*>>& cases) {
  for (const auto& [text, verdict] : cases) {
    EXPECT_EQ(Decided(text, type, given), verdict)
        << text << " on [" << given.min << ", " << given.max << "]";
  }
}

TEST(FilterDecide, ProvesComparisonsOfIntegers) {
  Check(arrow::int32(), {"3", "7", 0},
        {{"x < 3", "none"},
         {"x <= 3", "some"},
         {"x < 8", "all"},
         {"x <= 7", "all"},
         {"x > 7", "none"},
         {"x >= 3", "all"},
         {"x = 8", "none"},
         {"x != 8", "all"},
         {"x = 5", "some"},
         {"8 > x", "all"},
         {"x = 5.5", "none"},
         {"x < 1e10", "all"},
         {"x in (1, 8)", "none"},
         {"x not in (1, 8)", "all"},
         {"x in (1, 5)", "some"},
         {"x between 3 and 7", "all"},
         {"x between 8 and 9", "none"},
         {"not x < 8", "none"},
         {"x is null", "none"},
         {"x is not null", "all"},
         {"x = null", "none"},
         {"x > 7 or x < 3", "none"},
         {"x > 0 and x < 9", "all"},
         {"x > 0 and x < 5", "some"},
         {"x + 1 > 100", "some"},
         {"x = x", "some"},
         {"x * 2 = 3 and x > 7", "none"},
         {"x * 2 = 3 or x >= 3", "all"}});
  Check(arrow::int32(), {"5", "5", 0},
        {{"x = 5", "all"},
         {"x != 5", "none"},
         {"x in (4, 5)", "all"},
         {"x in (5, null)", "all"},
         {"x not in (5, null)", "none"},
         {"x = x", "all"}});
}

TEST(FilterDecide, CountsNulls) {
  Check(arrow::int32(), {"3", "7", std::nullopt},
        {{"x < 8", "some"},
         {"x > 7", "none"},
         {"not x < 8", "none"},
         {"x is null", "some"}});
  Check(arrow::int32(), {"3", "7", 2},
        {{"x < 8", "some"}, {"x < 8 or x is null", "some"}, {"x is null", "some"}});
  Check(arrow::int32(), {"?", "?", 10},
        {{"x < 8", "none"},
         {"not x < 8", "none"},
         {"x is null", "all"},
         {"x is not null", "none"},
         {"x + 1 < 8", "none"},
         {"x in (1, null)", "none"}});
  Check(arrow::int32(), {"?", "?", 0},
        {{"x < 8", "some"}, {"x is not null", "all"}, {"x + 1 is null", "none"}});
  Check(arrow::int32(), {"3", "7", 0, 0}, {{"x < 8", "none"}, {"x is null", "none"}});
}

// NaN is in no bounds, and is less than nothing.
TEST(FilterDecide, LeavesRoomForNan) {
  Check(arrow::float64(), {"3", "7", 0},
        {{"x < 8", "some"},
         {"x > 7", "none"},
         {"not x < 8", "some"},
         {"not x > 7", "all"},
         {"x = 8", "none"},
         {"x != 8", "all"},
         {"x in (8)", "none"},
         {"x not in (8)", "all"},
         {"x != 5", "some"}});
  Check(arrow::float64(), {"5", "5", 0}, {{"x = 5", "some"}, {"x != 5", "some"}});
  Check(arrow::float64(), {"NaN", "NaN", 0}, {{"x < 8", "some"}, {"x = 1", "some"}});
}

TEST(FilterDecide, TakesZerosOfEitherSign) {
  Check(arrow::float64(), {"0.0", "0.0", 0},
        {{"x < 0", "none"},
         {"x >= -0.0", "some"},
         {"x = -0.0", "some"},
         {"x in (0)", "some"}});
  EXPECT_EQ(
      Decided("x = 0", arrow::float64(), {"-1", "1", 0},
              [](const arrow::Scalar& value) {
                return std::signbit(static_cast<const arrow::DoubleScalar&>(value).value);
              }),
      "some");
}

TEST(FilterDecide, ReadsPrefixesAsRanges) {
  const Given given{"\"abc\"", "\"abq\"", 0};
  for (const auto& type : {arrow::utf8(), arrow::large_utf8(), arrow::utf8_view(),
                           arrow::dictionary(arrow::int32(), arrow::utf8())}) {
    Check(type, given,
          {{"x like 'ab%'", "all"},
           {"x like 'abc%'", "some"},
           {"x like 'abr%'", "none"},
           {"x like 'aa%'", "none"},
           {"x like 'ab_'", "some"},
           {"x like 'b%z'", "none"},
           {"x like '%'", "all"},
           {"x ilike 'b%'", "some"},
           {"x not like 'ab%'", "none"},
           {"x not like 'b%'", "all"},
           {"x like 'abz'", "none"},
           {"x = 'abz'", "none"},
           {"x like 'b\\%%'", "some"}});
  }
}

TEST(FilterDecide, ReadsBooleansAndTimes) {
  Check(arrow::boolean(), {"true", "true", 0},
        {{"x", "all"}, {"not x", "none"}, {"x = false", "none"}, {"x in (true)", "all"}});
  Check(arrow::boolean(), {"false", "true", 0}, {{"x", "some"}, {"not x", "some"}});
  Check(arrow::date32(), {"15706", "15707", 0},
        {{"x = '2013-01-03'", "none"}, {"x < timestamp '2013-01-02 10:00:00'", "all"}});
  Check(arrow::decimal128(5, 2), {"\"1.00\"", "\"2.00\"", 0},
        {{"x > 2.001", "none"}, {"x < 2.001", "all"}, {"x = 1.5", "some"}});
}

TEST(FilterDecide, AsksBloomFiltersForEqualityOnly) {
  const auto lacks_five = [](const arrow::Scalar& value) {
    return static_cast<const arrow::Int32Scalar&>(value).value != 5;
  };
  const auto decided = [&](const std::string& text) {
    return Decided(text, arrow::int32(), {"3", "7", 0}, lacks_five);
  };
  EXPECT_EQ(decided("x = 5"), "none");
  EXPECT_EQ(decided("x != 5"), "all");
  EXPECT_EQ(decided("x in (5, 9)"), "none");
  EXPECT_EQ(decided("x in (5, 6)"), "some");
  EXPECT_EQ(decided("x <= 5"), "some");
  EXPECT_EQ(decided("x = x"), "some");
}

TEST(FilterDecide, SeesThroughCastsThatKeepOrder) {
  const auto decided = [](const std::shared_ptr<arrow::DataType>& from,
                          const std::shared_ptr<arrow::DataType>& to, const Given& given,
                          double literal) {
    const auto cast = cp::call("cast", {cp::field_ref("x")}, cp::CastOptions::Safe(to));
    const auto filter = Filter::Bind(cp::greater(cast, cp::literal(literal)),
                                     *arrow::schema({arrow::field("x", from)}))
                            .ValueOrDie();
    return Name(filter.Decide([&](int) { return BoundsOf(from, given); }).ValueOrDie());
  };
  EXPECT_EQ(decided(arrow::int32(), arrow::int64(), {"3", "7", 0}, 7), "none");
  EXPECT_EQ(decided(arrow::int32(), arrow::float64(), {"3", "7", 0}, 2.5), "all");
  EXPECT_EQ(decided(arrow::int32(), arrow::int8(), {"3", "700", 0}, 2), "some");
  EXPECT_EQ(decided(arrow::utf8(), arrow::int64(), {"\"3\"", "\"7\"", 0}, 9), "some");
}

TEST(FilterDecide, ComparesColumns) {
  const auto filter = Filter::Bind(*ParseFilter("a < b"),
                                   *arrow::schema({arrow::field("a", arrow::int64()),
                                                   arrow::field("b", arrow::int64())}))
                          .ValueOrDie();
  const auto decided = [&](const Given& a, const Given& b) {
    return Name(
        filter.Decide([&](int i) { return BoundsOf(arrow::int64(), i == 0 ? a : b); })
            .ValueOrDie());
  };
  EXPECT_EQ(decided({"1", "2", 0}, {"3", "4", 0}), "all");
  EXPECT_EQ(decided({"3", "4", 0}, {"1", "3", 0}), "none");
  EXPECT_EQ(decided({"1", "3", 0}, {"3", "4", 0}), "some");
}

TEST(FilterDecide, DistrustsBoundsThatCannotBe) {
  Check(arrow::int32(), {"7", "3", 0}, {{"x < 3", "some"}, {"x > 7", "some"}});
  const auto filter = Filter::Bind(*ParseFilter("x = 8"),
                                   *arrow::schema({arrow::field("x", arrow::int32())}))
                          .ValueOrDie();
  EXPECT_EQ(
      Name(filter.Decide([](int) { return BoundsOf(arrow::int64(), {"3", "7", 0}); })
               .ValueOrDie()),
      "some");
}

/// Random columns, random filters over them, and bounds that know less or more of the
/// columns.
class RandomFilters {
 public:
  explicit RandomFilters(unsigned seed) : random_(seed) {}

  std::shared_ptr<arrow::RecordBatch> Batch() {
    const int64_t rows = 1 + Below(5);
    std::vector<NamedColumn> columns;
    for (const auto& [name, type, pool] : kColumns) {
      const std::vector<std::string> values = Split(pool);
      // Few distinct values make few, tight bounds.
      const size_t first = Below(values.size());
      const size_t width = 1 + Below(3);
      const bool nullable = Below(2) == 0;
      std::string json;
      for (int64_t i = 0; i < rows; ++i) {
        const bool null = nullable && Below(3) == 0;
        json +=
            (i > 0 ? "," : "") +
            (null ? std::string("null") : values[(first + Below(width)) % values.size()]);
      }
      columns.push_back(Column(name, type, "[" + json + "]"));
    }
    return Rows(columns);
  }

  cp::Expression Condition(int depth) {
    switch (depth == 0 ? 9 : Below(10)) {
      case 0:
      case 1:
        return cp::and_(Condition(depth - 1), Condition(depth - 1));
      case 2:
      case 3:
        return cp::or_(Condition(depth - 1), Condition(depth - 1));
      case 4:
        return cp::not_(Condition(depth - 1));
      case 5:
        return cp::call(Below(2) == 0 ? "and" : "or",
                        {Condition(depth - 1), Condition(depth - 1)});
      default:
        return Leaf();
    }
  }

  ColumnBounds Bounds(const std::shared_ptr<arrow::Array>& column) {
    ColumnBounds bounds;
    bounds.rows = column->length();
    if (Below(4) != 0) bounds.null_count = column->null_count();
    std::vector<std::shared_ptr<arrow::Scalar>> values;
    for (int64_t i = 0; i < column->length(); ++i) {
      const auto value = PlainScalar(column->GetScalar(i).ValueOrDie()).ValueOrDie();
      if (!value->is_valid) continue;
      values.push_back(value);
      if (CompareScalars(*value, *value) != 0) continue;  // NaN
      if (bounds.min == nullptr || CompareScalars(*value, *bounds.min) < 0)
        bounds.min = value;
      if (bounds.max == nullptr || CompareScalars(*value, *bounds.max) > 0)
        bounds.max = value;
    }
    if (bounds.min != nullptr && bounds.min->type->id() == arrow::Type::STRING &&
        Below(2) == 0) {
      // As truncated statistics have it.
      const auto text = bounds.max->ToString();
      bounds.max = arrow::MakeScalar(text.substr(0, 1) + "~");
      bounds.min = arrow::MakeScalar(bounds.min->ToString().substr(0, 1));
    }
    if (Below(8) == 0) bounds.min = nullptr;
    if (Below(8) == 0) bounds.max = nullptr;
    if (Below(2) == 0) {
      bounds.may_contain = [values](const arrow::Scalar& asked) {
        for (const auto& value : values) {
          if (value->Equals(
                  asked,
                  arrow::EqualOptions::Defaults().nans_equal(true).signed_zeros_equal(
                      false))) {
            return true;
          }
        }
        return false;
      };
    }
    return bounds;
  }

 private:
  struct Spec {
    const char* name;
    std::shared_ptr<arrow::DataType> type;
    const char* values;
  };
  static const std::vector<Spec> kColumns;

  static std::vector<std::string> Split(const std::string& text) {
    std::vector<std::string> parts(1);
    for (const char c : text) {
      if (c == ' ') {
        parts.emplace_back();
      } else {
        parts.back().push_back(c);
      }
    }
    return parts;
  }

  size_t Below(size_t n) { return random_() % n; }

  std::shared_ptr<arrow::Array> Some(const Spec& spec, size_t count) {
    const std::vector<std::string> values = Split(spec.values);
    std::string json;
    for (size_t i = 0; i < count; ++i) {
      json += (i > 0 ? "," : "") +
              (Below(8) == 0 ? std::string("null") : values[Below(values.size())]);
    }
    const auto plain = PlainType(spec.type);
    return arrow::json::ArrayFromJSONString(plain, "[" + json + "]").ValueOrDie();
  }

  cp::Expression Leaf() {
    static const char* kComparisons[] = {"equal",      "not_equal", "less",
                                         "less_equal", "greater",   "greater_equal"};
    const Spec& spec = kColumns[Below(kColumns.size())];
    const auto column = cp::field_ref(spec.name);
    const auto type = PlainType(spec.type);
    const auto literal = [&] {
      return cp::literal(Some(spec, 1)->GetScalar(0).ValueOrDie());
    };
    const char* comparison = kComparisons[Below(6)];
    switch (Below(9)) {
      case 0:
        return cp::is_null(column, Below(2) == 0);
      case 1:
        return cp::is_valid(column);
      case 2:
      case 3:
        return cp::call(
            "is_in", {column},
            cp::SetLookupOptions(
                Some(spec, Below(4)),
                static_cast<cp::SetLookupOptions::NullMatchingBehavior>(Below(4))));
      case 4:
        if (type->id() == arrow::Type::STRING) {
          static const char* kPatterns[] = {"a%", "ab%", "b_%", "%b",
                                            "c",  "%",   "",    "ab\\%%"};
          if (Below(3) == 0) {
            return cp::call("starts_with", {column}, cp::MatchSubstringOptions("ab"));
          }
          return cp::call("match_like", {column},
                          cp::MatchSubstringOptions(kPatterns[Below(8)], Below(4) == 0));
        }
        if (type->id() == arrow::Type::BOOL) return column;
        if (arrow::is_numeric(type->id())) {
          static const double kReals[] = {
              0.5, -1.5, 1e300, 2, -0.0, 3.25, std::numeric_limits<double>::quiet_NaN()};
          return cp::call(comparison, {column, cp::literal(kReals[Below(7)])});
        }
        return cp::call(comparison, {literal(), column});
      case 5:
        if (type->id() == arrow::Type::INT32) {
          return cp::call(comparison, {cp::call("cast", {column},
                                                cp::CastOptions::Safe(arrow::float32())),
                                       cp::field_ref("f")});
        }
        return cp::call(comparison, {column, column});
      default:
        return cp::call(comparison, {column, literal()});
    }
  }

  std::mt19937 random_;
};

const std::vector<RandomFilters::Spec> RandomFilters::kColumns = {
    {"i", arrow::int32(), "-2 -1 0 1 2 3 4 5"},
    {"j", arrow::int8(), "-128 -1 0 1 127"},
    {"u", arrow::uint64(), "0 1 2 18446744073709551615"},
    {"f", arrow::float32(), "-1.5 -0.0 0.0 0.5 NaN 2 Inf"},
    {"d", arrow::float64(), "-Inf -1.5 -0.0 0.0 NaN 2 3.25"},
    {"s", arrow::utf8(), R"("" "a" "ab" "abc" "b" "bb" "c" "ab%")"},
    {"k", arrow::dictionary(arrow::int8(), arrow::utf8()), R"("a" "ab" "b" "c")"},
    {"b", arrow::boolean(), "true false true true"},
    {"t", arrow::date32(), "0 1 2 3"},
    {"m", arrow::decimal128(4, 1), R"("-1.5" "0.0" "0.5" "2.0")"},
};

// The heart of pruning: what is proved of a set of rows must hold for each of them.
TEST(FilterDecide, AgreesWithEvaluatingEveryRow) {
  std::map<std::string, int> verdicts;
  for (unsigned seed = 0; seed < 6000; ++seed) {
    RandomFilters random(seed);
    const auto rows = random.Batch();
    const auto condition = random.Condition(3);
    const auto filter = Filter::Bind(condition, *rows->schema());
    ASSERT_TRUE(filter.ok()) << "seed " << seed << ": " << filter.status().ToString();
    const auto verdict = filter
                             ->Decide([&](int i) {
                               const auto column = rows->GetColumnByName(
                                   filter->columns()[static_cast<size_t>(i)]);
                               return random.Bounds(column);
                             })
                             .ValueOrDie();
    const std::string passes = Passes(condition, rows);
    ASSERT_EQ(passes.size(), static_cast<size_t>(rows->num_rows())) << passes;
    ++verdicts[Name(verdict)];
    const char forbidden = verdict == Verdict::kNone  ? '1'
                           : verdict == Verdict::kAll ? '0'
                                                      : '-';
    EXPECT_EQ(passes.find(forbidden), std::string::npos)
        << "seed " << seed << ": " << filter->text() << "\nis said to pass "
        << Name(verdict) << " of\n"
        << rows->ToString();
  }
  EXPECT_GT(verdicts["none"], 600);
  EXPECT_GT(verdicts["all"], 300);
  EXPECT_GT(verdicts["some"], 600);
}

}  // namespace
}  // namespace headrace::expression
