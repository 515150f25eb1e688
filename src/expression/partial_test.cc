#include "expression/partial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/cpp/lake.h"

namespace headrace::expression {
namespace {

using testing::Check;
using ::testing::ElementsAre;

/// What is decided of rows of which year and day are known: null where not given.
Verdict Decided(const std::string& filter, std::optional<int32_t> year,
                const std::string& day) {
  const arrow::FieldVector known = {arrow::field("year", arrow::int32()),
                                    arrow::field("day", arrow::utf8())};
  const std::map<std::string, std::shared_ptr<arrow::Scalar>> values = {
      {"year", year ? arrow::MakeScalar(*year) : arrow::MakeNullScalar(arrow::int32())},
      {"day", arrow::MakeScalar(day)}};
  const Filter bound = Check(BindKnown(Check(ParseFilter(filter)), known));
  return Check(bound.Decide([&](int i) {
    ColumnBounds bounds;
    bounds.rows = 1;
    const auto value = values.find(bound.columns()[static_cast<size_t>(i)]);
    if (value == values.end()) return bounds;
    bounds.null_count = value->second->is_valid ? 0 : 1;
    if (value->second->is_valid) bounds.min = bounds.max = value->second;
    return bounds;
  }));
}

TEST(BindKnown, DecidesWhatNoOtherColumnCanChange) {
  EXPECT_EQ(Decided("year = 2026 and x > 5", 2026, "a"), Verdict::kSome);
  EXPECT_EQ(Decided("year = 2026 and x > 5", 2025, "a"), Verdict::kNone);
  EXPECT_EQ(Decided("year = 2026 or x > 5", 2025, "a"), Verdict::kSome);
  EXPECT_EQ(Decided("year = 2026 or x > 5", 2026, "a"), Verdict::kAll);
  EXPECT_EQ(Decided("not (year = 2026 or x > 5)", 2026, "a"), Verdict::kNone);
  EXPECT_EQ(Decided("not (year = 2026 and x > 5)", 2025, "a"), Verdict::kAll);
  EXPECT_EQ(Decided("year in (2024, 2025) and day like 'a%' and y", 2025, "b"),
            Verdict::kNone);
}

TEST(BindKnown, ConditionsOnUnknownColumnsAreNotTakenForOneAnother) {
  EXPECT_EQ(Decided("x > 5 and not x > 5", 2026, "a"), Verdict::kSome);
  EXPECT_EQ(Decided("x > 5 or not x > 5", 2026, "a"), Verdict::kSome);
}

TEST(BindKnown, AConditionOnBothKindsOfColumnsIsUnknown) {
  EXPECT_EQ(Decided("year > x", 2026, "a"), Verdict::kSome);
  EXPECT_EQ(Decided("not year + x > 3", 2026, "a"), Verdict::kSome);
}

TEST(BindKnown, NullIsNeitherTrueNorFalse) {
  EXPECT_EQ(Decided("year = 2026", std::nullopt, "a"), Verdict::kNone);
  EXPECT_EQ(Decided("not year = 2026", std::nullopt, "a"), Verdict::kNone);
  EXPECT_EQ(Decided("year is null and x > 5", std::nullopt, "a"), Verdict::kSome);
  EXPECT_EQ(Decided("year = 2026 or x > 5", std::nullopt, "a"), Verdict::kSome);
}

TEST(BindKnown, AnUnknownColumnIsNeverOfAKnownName) {
  const arrow::FieldVector known = {arrow::field("unknown 1", arrow::int32())};
  const auto filter = Check(ParseFilter("x > 5 and \"unknown 1\" = 3"));
  EXPECT_THAT(Check(BindKnown(filter, known)).columns(),
              ElementsAre("unknown 2", "unknown 1"));
}

TEST(BindKnown, RefusesWhatDoesNotFitAKnownColumn) {
  const arrow::FieldVector known = {arrow::field("year", arrow::int32())};
  const auto bound = BindKnown(Check(ParseFilter("year = 'x' and z")), known);
  EXPECT_EQ(KindOf(bound.status()), ErrorKind::kInvalidArgument);
}

TEST(MentionedColumns, AreNamedOnce) {
  EXPECT_THAT(Check(MentionedColumns(Check(ParseFilter("b = 1 or a.c > b + 1")))),
              ElementsAre("a.c", "b"));
}

}  // namespace
}  // namespace headrace::expression
