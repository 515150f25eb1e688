#include "schema/column_plan.h"

#include <arrow/extension/fixed_shape_tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace headrace::schema {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<arrow::Schema> AllForms() {
  return arrow::schema({
      arrow::field("i", arrow::int16()),
      arrow::field("when", arrow::timestamp(arrow::TimeUnit::MICRO, "UTC")),
      arrow::field("price", arrow::decimal128(10, 2)),
      arrow::field("name", arrow::utf8()),
      arrow::field("words", arrow::dictionary(arrow::int32(), arrow::utf8())),
      arrow::field("list", arrow::list(arrow::float32())),
      arrow::field("image",
                   arrow::fixed_size_list(arrow::fixed_size_list(arrow::uint8(), 3), 2)),
      arrow::field("pair", arrow::struct_({arrow::field("a", arrow::int32())})),
  });
}

Status BindError(const ColumnChoices& choices, const std::vector<std::string>& names) {
  arrow::FieldVector fields;
  for (const auto& name : names) fields.push_back(AllForms()->GetFieldByName(name));
  return BindColumns(*arrow::schema(fields), choices, false).status();
}

TEST(BindColumns, FindsTheFormOfEachType) {
  ColumnChoices choices;
  choices.casts = {{"price", "float64"}};
  choices.codes = {{"words", CodesPolicy{std::vector<std::string>{"a"}}}};
  auto selected =
      arrow::schema({AllForms()->field(0), AllForms()->field(1), AllForms()->field(2),
                     AllForms()->field(3), AllForms()->field(4), AllForms()->field(5),
                     AllForms()->field(6)});
  auto plans = BindColumns(*selected, choices, false).ValueOrDie();
  EXPECT_EQ(Form::kScalar, plans[0].form);
  EXPECT_EQ(DType::kInt16, plans[0].dtype);
  EXPECT_TRUE(plans[0].fixed_width());
  EXPECT_EQ(DType::kInt64, plans[1].dtype);
  EXPECT_EQ(DType::kFloat64, plans[2].dtype);
  EXPECT_FALSE(plans[2].fixed_width());
  EXPECT_EQ(Form::kObject, plans[3].form);
  EXPECT_EQ(Form::kCodes, plans[4].form);
  EXPECT_EQ(DType::kInt32, plans[4].dtype);
  EXPECT_EQ(Form::kList, plans[5].form);
  EXPECT_EQ(Form::kFixedShape, plans[6].form);
  EXPECT_THAT(plans[6].shape, ElementsAre(2, 3));
}

TEST(BindColumns, PassesEverythingToArrow) {
  for (const auto& plan : BindColumns(*AllForms(), {}, true).ValueOrDie()) {
    EXPECT_EQ(Form::kArrow, plan.form) << plan.name;
  }
}

TEST(BindColumns, SaysWhatToDoWithTypesThatHaveNoTensor) {
  Status status = BindError({}, {"price"});
  EXPECT_EQ(ErrorKind::kUnsupported, KindOf(status));
  EXPECT_THAT(status.message(), HasSubstr("cast({\"price\": \"float64\"})"));
  status = BindError({}, {"pair"});
  EXPECT_THAT(status.message(), HasSubstr("column \"pair\""));
  EXPECT_THAT(status.message(), HasSubstr("dotted name"));
}

TEST(BindColumns, RefusesPoliciesThatDoNotSuit) {
  ColumnChoices choices;
  choices.ragged = {{"i", {}}};
  EXPECT_THAT(BindError(choices, {"i"}).message(), HasSubstr("found int16"));
  choices = {};
  choices.codes = {{"i", {}}};
  EXPECT_THAT(BindError(choices, {"i"}).message(), HasSubstr("strings or bytes"));
  choices = {};
  choices.nulls = {{"i", {NullPolicy::Kind::kFill, Number{true, 1 << 20, 0}, {}}}};
  EXPECT_THAT(BindError(choices, {"i"}).message(), HasSubstr("1048576 is no int16"));
  choices.nulls = {{"name", {NullPolicy::Kind::kFill, Number{}, {}}}};
  EXPECT_THAT(BindError(choices, {"name"}).message(), HasSubstr("expected text"));
  choices = {};
  choices.casts = {{"name", "float32"}};
  EXPECT_THAT(BindError(choices, {"name"}).message(), HasSubstr("use codes"));
  choices.casts = {{"i", "float31"}};
  EXPECT_THAT(BindError(choices, {"i"}).message(), HasSubstr("unknown dtype 'float31'"));
}

TEST(BindColumns, RefusesPoliciesOnColumnsThatAreNotSelected) {
  ColumnChoices choices;
  choices.nulls = {{"gone", {}}};
  Status status = BindError(choices, {"i"});
  EXPECT_EQ(ErrorKind::kNotFound, KindOf(status));
  EXPECT_THAT(status.message(), HasSubstr("nulls names column \"gone\""));
}

TEST(BindColumns, PacksColumnsOfOneDtype) {
  auto selected =
      arrow::schema({arrow::field("a", arrow::int32()), arrow::field("b", arrow::int32()),
                     arrow::field("c", arrow::float32())});
  ColumnChoices choices;
  choices.packs = {{"x", {"b", "a"}}};
  auto plans = BindColumns(*selected, choices, false).ValueOrDie();
  EXPECT_EQ(0, plans[0].pack);
  EXPECT_EQ(1, plans[0].pack_position);
  EXPECT_EQ(0, plans[1].pack_position);
  EXPECT_EQ(-1, plans[2].pack);
  choices.packs = {{"x", {"a", "c"}}};
  EXPECT_THAT(BindColumns(*selected, choices, false).status().message(),
              HasSubstr("column \"c\" is float32, expected int32"));
  choices.packs = {{"c", {"a", "b"}}};
  EXPECT_THAT(BindColumns(*selected, choices, false).status().message(),
              HasSubstr("two columns \"c\""));
  choices.packs = {{"x", {"a"}}, {"y", {"a"}}};
  EXPECT_THAT(BindColumns(*selected, choices, false).status().message(),
              HasSubstr("packed twice"));
}

TEST(BindColumns, StandardizesNumbersToFloat32OrTheCastsFloat) {
  ColumnChoices choices;
  choices.standardize = {{"i", {2, 3}}};
  auto selected = arrow::schema({AllForms()->field(0)});
  auto plan = BindColumns(*selected, choices, true).ValueOrDie()[0];
  EXPECT_EQ(Form::kScalar, plan.form);
  EXPECT_EQ(DType::kInt16, plan.stored_dtype);
  EXPECT_EQ(DType::kFloat32, plan.dtype);
  EXPECT_TRUE(plan.fixed_width());
  EXPECT_FALSE(plan.as_stored());
  EXPECT_EQ((StandardizePolicy{2, 3}), plan.standardize);
  choices.casts = {{"i", "bfloat16"}};
  EXPECT_EQ(DType::kBFloat16,
            BindColumns(*selected, choices, false).ValueOrDie()[0].dtype);
  choices.casts = {{"i", "int8"}};
  EXPECT_THAT(BindError(choices, {"i"}).message(), HasSubstr("found a cast to int8"));
  // A later cast could mend it.
  EXPECT_TRUE(CheckChoices(*selected, choices).ok());
}

TEST(BindColumns, RefusesToStandardizeWhatIsNoNumberOrByWhatIsNone) {
  ColumnChoices choices;
  choices.standardize = {{"name", {0, 1}}};
  EXPECT_THAT(BindError(choices, {"name"}).message(), HasSubstr("use codes or one_hot"));
  choices.standardize = {{"list", {0, 1}}};
  EXPECT_THAT(BindError(choices, {"list"}).message(), HasSubstr("takes numbers"));
  choices.standardize = {{"gone", {0, 1}}};
  EXPECT_EQ(ErrorKind::kNotFound, KindOf(BindError(choices, {"i"})));
  for (const StandardizePolicy& none :
       {StandardizePolicy{NAN, 1}, StandardizePolicy{0, INFINITY},
        StandardizePolicy{0, -1}}) {
    choices.standardize = {{"i", none}};
    const Status status = BindError(choices, {"i"});
    EXPECT_EQ(ErrorKind::kInvalidArgument, KindOf(status));
    EXPECT_THAT(status.message(), HasSubstr("expected finite numbers"));
  }
}

TEST(BindColumns, PacksStandardizedColumnsByTheirFloats) {
  ColumnChoices choices;
  choices.standardize = {{"i", {0, 1}}, {"when", {0, 1}}};
  choices.packs = {{"x", {"i", "when"}}};
  auto selected = arrow::schema({AllForms()->field(0), AllForms()->field(1)});
  EXPECT_TRUE(BindColumns(*selected, choices, false).ok());
  choices.standardize.erase("when");
  EXPECT_THAT(BindColumns(*selected, choices, false).status().message(),
              HasSubstr("\"when\" is int64, expected float32"));
}

TEST(BindColumns, TakesCodesOrOneHotForAColumn) {
  ColumnChoices choices;
  choices.one_hot = {{"name", {}}};
  auto selected = arrow::schema({AllForms()->GetFieldByName("name")});
  const auto plan = BindColumns(*selected, choices, false).ValueOrDie()[0];
  EXPECT_EQ(Form::kOneHot, plan.form);
  EXPECT_EQ(DType::kFloat32, plan.dtype);
  EXPECT_TRUE(plan.has_vocabulary());
  choices.codes = {{"name", {}}};
  EXPECT_THAT(BindError(choices, {"name"}).message(), HasSubstr("expected one of them"));
  choices = {};
  choices.one_hot = {{"i", {}}};
  EXPECT_THAT(BindError(choices, {"i"}).message(), HasSubstr("one_hot takes strings"));
  choices.one_hot = {{"name", CodesPolicy{std::vector<std::string>{"a", "a"}}}};
  EXPECT_THAT(BindError(choices, {"name"}).message(), HasSubstr("twice"));
  choices.one_hot = {{"name", {}}};
  choices.nulls = {{"name", {NullPolicy::Kind::kFill, Number{}, {}}}};
  EXPECT_THAT(BindError(choices, {"name"}).message(), HasSubstr("expected text"));
}

TEST(CastType, ReachesBelowLists) {
  ColumnChoices choices;
  choices.casts = {{"list", "float64"}, {"image", "float32"}};
  EXPECT_TRUE(CastType(*AllForms()->GetFieldByName("list"), choices)
                  .ValueOrDie()
                  ->Equals(arrow::list(arrow::float64())));
  EXPECT_EQ(DType::kFloat32,
            BindColumns(*arrow::schema({AllForms()->GetFieldByName("image")}),
                        ColumnChoices{.casts = {{"image", "float32"}},
                                      .nulls = {},
                                      .ragged = {},
                                      .codes = {},
                                      .maps = {},
                                      .packs = {}},
                        false)
                .ValueOrDie()[0]
                .dtype);
}

}  // namespace
}  // namespace headrace::schema
