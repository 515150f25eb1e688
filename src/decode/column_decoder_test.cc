#include "decode/column_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cpp/decoding.h"

namespace headrace::decode {
namespace {

using ::testing::AllOf;
using testing::Check;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const NullPolicy kMask{.kind = NullPolicy::Kind::kMask};

NullPolicy FillText(const std::string& text) {
  return {.kind = NullPolicy::Kind::kFill, .fill_text = text};
}

NullPolicy Fill(int64_t value) {
  return {.kind = NullPolicy::Kind::kFill, .fill = {true, value, 0}};
}

CodesPolicy Codes(const std::vector<std::string>& vocabulary) { return {vocabulary}; }

std::vector<std::shared_ptr<arrow::DataType>> TextTypes() {
  return {arrow::utf8(), arrow::large_utf8(), arrow::binary(), arrow::large_binary(),
          arrow::dictionary(arrow::int8(), arrow::utf8())};
}

std::shared_ptr<arrow::Array> Text(const std::shared_ptr<arrow::DataType>& type,
                                   const std::string& json) {
  auto text = FromJson(arrow::utf8(), json);
  if (type->id() == arrow::Type::DICTIONARY) {
    return Check(arrow::compute::DictionaryEncode(text)).make_array();
  }
  return Check(arrow::compute::Cast(text, type)).make_array();
}

void ExpectInvalid(const Status& status, const std::string& what) {
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument) << status.ToString();
  EXPECT_THAT(MessageOf(status), AllOf(HasSubstr("column \"x\""), HasSubstr(what)));
}

TEST(DecodeObject, PassesTextAsAnArray) {
  for (const auto& type : TextTypes()) {
    SCOPED_TRACE(type->ToString());
    const auto batch = Check(Decode(Text(type, R"(["a", "", "bc"])")->Slice(1)));
    ASSERT_EQ(ArrayOf(batch)->length(), 2);
    const auto text = Check(arrow::compute::Cast(ArrayOf(batch), arrow::utf8()));
    EXPECT_TRUE(text.make_array()->Equals(FromJson(arrow::utf8(), R"(["", "bc"])")));
  }
}

TEST(DecodeObject, TakesNullsByThePolicy) {
  for (const auto& type : TextTypes()) {
    SCOPED_TRACE(type->ToString());
    const auto values = Text(type, R"(["a", null, "c"])");
    ExpectInvalid(Decode(values).status(), "(row 1)");
    const auto filled = Check(Decode(values, {.nulls = FillText("none")}));
    EXPECT_THAT(filled.names, ElementsAre("x"));
    EXPECT_EQ(ArrayOf(filled)->null_count(), 0);
    EXPECT_EQ(
        Check(ArrayOf(filled)->GetScalar(1))->ToString(),
        Check(Text(ArrayOf(filled)->type(), R"(["none"])")->GetScalar(0))->ToString());
    const auto masked = Check(Decode(values, {.nulls = kMask}));
    EXPECT_THAT(masked.names, ElementsAre("x", "x_mask"));
    EXPECT_THAT(Values<bool>(masked, "x_mask"), ElementsAre(true, false, true));
    EXPECT_EQ(ArrayOf(masked)->null_count(), 0);
  }
}

TEST(DecodeCodes, ArePlacesInTheVocabulary) {
  for (const auto& type : TextTypes()) {
    SCOPED_TRACE(type->ToString());
    const auto batch = Check(Decode(Text(type, R"(["a", "c", "", "a"])"),
                                    {.codes = Codes({"c", "b", "a", ""})}));
    EXPECT_EQ(TensorOf(batch).dtype, DType::kInt32);
    EXPECT_THAT(TensorOf(batch).shape, ElementsAre(4));
    EXPECT_THAT(Values<int32_t>(batch), ElementsAre(2, 0, 3, 2));
  }
}

TEST(DecodeCodes, AValueOutsideOfTheVocabularyIsNamed) {
  ExpectInvalid(
      Decode(FromJson(arrow::utf8(), R"(["a", "zz"])"), {.codes = Codes({"a"})}).status(),
      "'zz' (row 1)");
}

TEST(DecodeCodes, TakesNullsByThePolicy) {
  const auto values = FromJson(arrow::utf8(), R"(["b", null])");
  const CodesPolicy codes = Codes({"a", "b"});
  ExpectInvalid(Decode(values, {.codes = codes}).status(), "(row 1)");
  EXPECT_THAT(Values<int32_t>(Check(Decode(values, {.nulls = Fill(-1), .codes = codes}))),
              ElementsAre(1, -1));
  const auto masked = Check(Decode(values, {.nulls = kMask, .codes = codes}));
  EXPECT_THAT(Values<int32_t>(masked), ElementsAre(1, 0));
  EXPECT_THAT(Values<bool>(masked, "x_mask"), ElementsAre(true, false));
}

TEST(DecodeOneHot, IsOneAtTheCode) {
  for (const auto& type : TextTypes()) {
    SCOPED_TRACE(type->ToString());
    const auto batch = Check(
        Decode(Text(type, R"(["a", "c", "a"])"), {.one_hot = Codes({"c", "b", "a"})}));
    EXPECT_EQ(TensorOf(batch).dtype, DType::kFloat32);
    EXPECT_THAT(TensorOf(batch).shape, ElementsAre(3, 3));
    EXPECT_THAT(Values<float>(batch), ElementsAre(0, 0, 1, 1, 0, 0, 0, 0, 1));
  }
  const auto none = Check(Decode(FromJson(arrow::utf8(), "[]"), {.one_hot = Codes({})}));
  EXPECT_THAT(TensorOf(none).shape, ElementsAre(0, 0));
}

TEST(DecodeOneHot, TakesNullsByThePolicyAndNamesStrangers) {
  const auto values = FromJson(arrow::utf8(), R"(["b", null])");
  const CodesPolicy vocabulary = Codes({"a", "b"});
  ExpectInvalid(Decode(values, {.one_hot = vocabulary}).status(), "(row 1)");
  EXPECT_THAT(Values<float>(
                  Check(Decode(values, {.nulls = FillText("a"), .one_hot = vocabulary}))),
              ElementsAre(0, 1, 1, 0));
  const auto masked = Check(Decode(values, {.nulls = kMask, .one_hot = vocabulary}));
  EXPECT_THAT(Values<float>(masked), ElementsAre(0, 1, 0, 0));
  EXPECT_THAT(Values<bool>(masked, "x_mask"), ElementsAre(true, false));
  ExpectInvalid(Decode(values, {.nulls = FillText("zz"), .one_hot = vocabulary}).status(),
                "fill('zz') is not among the 2");
  ExpectInvalid(Decode(values, {.nulls = kMask, .one_hot = Codes({"a"})}).status(),
                "'b' (row 0)");
}

TEST(DecodeDecimal, IsStandardizedByWayOfFloat64) {
  const auto values = FromJson(arrow::decimal128(9, 2), R"(["1.50", null, "3.25"])");
  const StandardizePolicy by{0.5, 2};
  EXPECT_THAT(Values<double>(Check(Decode(
                  values, {.cast = "float64", .nulls = Fill(4), .standardize = by}))),
              ElementsAre(0.5, 1.75, 1.375));
  EXPECT_THAT(Values<float>(Check(Decode(
                  values, {.cast = "float32", .nulls = kMask, .standardize = by}))),
              ElementsAre(0.5F, 0, 1.375F));
}

TEST(DecodeDecimal, IsCastByWayOfFloat64) {
  for (const auto& type : {arrow::decimal128(9, 2), arrow::decimal256(40, 2)}) {
    const auto values = FromJson(type, R"(["1.50", "-2.00", "3.25"])");
    EXPECT_THAT(Values<double>(Check(Decode(values, {.cast = "float64"}))),
                ElementsAre(1.5, -2, 3.25));
    EXPECT_THAT(Values<float>(Check(Decode(values->Slice(1), {.cast = "float32"}))),
                ElementsAre(-2, 3.25F));
  }
}

TEST(DecodeDecimal, TakesNullsByThePolicyAndTellsWhatDoesNotFit) {
  const auto values = FromJson(arrow::decimal128(9, 2), R"(["1.00", null, "300.00"])");
  ExpectInvalid(Decode(values, {.cast = "int16"}).status(), "(row 1)");
  EXPECT_THAT(
      Values<int16_t>(Check(Decode(values, {.cast = "int16", .nulls = Fill(-7)}))),
      ElementsAre(1, -7, 300));
  const auto masked = Check(Decode(values, {.cast = "int16", .nulls = kMask}));
  EXPECT_THAT(Values<int16_t>(masked), ElementsAre(1, 0, 300));
  EXPECT_THAT(Values<bool>(masked, "x_mask"), ElementsAre(true, false, true));
  ExpectInvalid(Decode(values, {.cast = "int8", .nulls = Fill(0)}).status(), "(row 2)");
}

TEST(DecodeArrow, PassesAnyTypeWithItsNulls) {
  for (const auto& values : {FromJson(arrow::int32(), "[1, null]"),
                             FromJson(arrow::list(arrow::utf8()), R"([["a"], null])"),
                             FromJson(arrow::struct_({arrow::field("a", arrow::int8())}),
                                      R"([{"a": 1}, null])"),
                             FromJson(arrow::decimal128(5, 1), R"(["1.5", null])")}) {
    const auto batch = Check(Decode(values, {.arrow = true}));
    EXPECT_TRUE(ArrayOf(batch)->Equals(values)) << values->type()->ToString();
  }
}

TEST(DecodeArrow, Casts) {
  const auto batch = Check(
      Decode(FromJson(arrow::int32(), "[1, null]"), {.cast = "float64", .arrow = true}));
  EXPECT_TRUE(ArrayOf(batch)->Equals(FromJson(arrow::float64(), "[1, null]")));
  ExpectInvalid(
      Decode(FromJson(arrow::int32(), "[1, 300]"), {.cast = "int8", .arrow = true})
          .status(),
      "300");
}

TEST(DecodeAnything, TakesNoRows) {
  for (const auto& type : TextTypes()) {
    EXPECT_EQ(ArrayOf(Check(Decode(Text(type, "[]"))))->length(), 0);
    EXPECT_THAT(Values<int32_t>(Check(Decode(Text(type, "[]"), {.codes = Codes({"a"})}))),
                IsEmpty());
  }
  EXPECT_THAT(Values<double>(Check(
                  Decode(FromJson(arrow::decimal128(9, 2), "[]"), {.cast = "float64"}))),
              IsEmpty());
}

TEST(VocabularyBuilder, SortsDistinctValuesBytewise) {
  VocabularyBuilder builder;
  for (const auto& type : TextTypes()) {
    Check(builder.Add(*Text(type, R"(["é", "b", null, "b"])")));
    Check(builder.Add(*Text(type, R"(["skipped", "a", "", "Z"])")->Slice(1)));
  }
  EXPECT_THAT(std::move(builder).Finish(), ElementsAre("", "Z", "a", "b", "é"));
}

}  // namespace
}  // namespace headrace::decode
