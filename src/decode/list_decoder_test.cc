#include "decode/list_decoder.h"

#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/extension/variable_shape_tensor.h>
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
const RaggedPolicy kRagged{.kind = RaggedPolicy::Kind::kRagged};

NullPolicy Fill(int64_t value) {
  return {.kind = NullPolicy::Kind::kFill, .fill = {true, value, 0}};
}

RaggedPolicy Pad(int64_t value, std::optional<int64_t> length = std::nullopt) {
  return {.kind = RaggedPolicy::Kind::kPad, .pad = {true, value, 0}, .length = length};
}

void ExpectInvalid(const Status& status, const std::string& what) {
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument) << status.ToString();
  EXPECT_THAT(MessageOf(status), AllOf(HasSubstr("column \"x\""), HasSubstr(what)));
}

std::shared_ptr<arrow::Array> Lists(const std::string& json) {
  return FromJson(arrow::list(arrow::int32()), json);
}

TEST(DecodeLists, OfEqualLengthAreOneTensor) {
  for (const auto& type :
       {arrow::list(arrow::int32()), arrow::large_list(arrow::int32())}) {
    const auto values = FromJson(type, "[[9], [1, 2, 3], [4, 5, 6]]")->Slice(1);
    const auto batch = Check(Decode(values));
    EXPECT_THAT(batch.names, ElementsAre("x"));
    EXPECT_EQ(TensorOf(batch).dtype, DType::kInt32);
    EXPECT_THAT(TensorOf(batch).shape, ElementsAre(2, 3));
    EXPECT_THAT(Values<int32_t>(batch), ElementsAre(1, 2, 3, 4, 5, 6));
  }
}

TEST(DecodeLists, OfUnequalLengthAreAnErrorThatNamesTheFirstTwo) {
  const Status status = Decode(Lists("[[1, 2], [3, 4], [5], [6]]")).status();
  ExpectInvalid(status, "found 2 (row 0) and 1 (row 2)");
}

TEST(DecodeLists, ArePaddedToTheLongestOrToALength) {
  const auto values = Lists("[[1, 2], [], [3]]");
  const auto longest = Check(Decode(values, {.ragged = Pad(-1)}));
  EXPECT_THAT(TensorOf(longest).shape, ElementsAre(3, 2));
  EXPECT_THAT(Values<int32_t>(longest), ElementsAre(1, 2, -1, -1, 3, -1));
  const auto four = Check(Decode(values, {.ragged = Pad(0, 4)}));
  EXPECT_THAT(TensorOf(four).shape, ElementsAre(3, 4));
  EXPECT_THAT(Values<int32_t>(four), ElementsAre(1, 2, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0));
  ExpectInvalid(Decode(values, {.ragged = Pad(0, 1)}).status(), "a list of 2 (row 0)");
  EXPECT_THAT(TensorOf(Check(Decode(Lists("[[], []]"), {.ragged = Pad(7)}))).shape,
              ElementsAre(2, 0));
}

TEST(DecodeLists, AreRaggedAsValuesAndOffsets) {
  const auto batch = Check(Decode(Lists("[[9, 9], [1, 2], [], [3]]")->Slice(1),
                                  {.cast = "float32", .ragged = kRagged}));
  EXPECT_THAT(batch.names, ElementsAre("x", "x_offsets"));
  EXPECT_THAT(Values<float>(batch), ElementsAre(1, 2, 3));
  EXPECT_EQ(TensorOf(batch, "x_offsets").dtype, DType::kInt64);
  EXPECT_THAT(Values<int64_t>(batch, "x_offsets"), ElementsAre(0, 2, 2, 3));
}

TEST(DecodeLists, NullRowsAreEmptyLists) {
  const auto values = Lists("[[1, 2], null, [3]]");
  ExpectInvalid(Decode(values, {.ragged = kRagged}).status(), "(row 1)");
  const auto masked = Check(Decode(values, {.nulls = kMask, .ragged = kRagged}));
  EXPECT_THAT(masked.names, ElementsAre("x", "x_offsets", "x_mask"));
  EXPECT_THAT(Values<int64_t>(masked, "x_offsets"), ElementsAre(0, 2, 2, 3));
  EXPECT_THAT(Values<bool>(masked, "x_mask"), ElementsAre(true, false, true));
  const auto padded = Check(Decode(values, {.nulls = Fill(5), .ragged = Pad(-1)}));
  EXPECT_THAT(Values<int32_t>(padded), ElementsAre(1, 2, -1, -1, 3, -1));
}

TEST(DecodeLists, NullElementsAreFilledOrAnError) {
  const auto values = Lists("[[1, 2], [3, null]]");
  ExpectInvalid(Decode(values).status(), "element 1 (row 1) is null");
  ExpectInvalid(Decode(values, {.nulls = kMask}).status(), "element 1 (row 1) is null");
  EXPECT_THAT(Values<int32_t>(Check(Decode(values, {.nulls = Fill(7)}))),
              ElementsAre(1, 2, 3, 7));
  EXPECT_THAT(Values<int32_t>(Check(Decode(values->Slice(0, 1)))), ElementsAre(1, 2));
}

TEST(DecodeLists, TakeElementsOfEveryType) {
  EXPECT_THAT(Values<bool>(Check(Decode(
                  FromJson(arrow::list(arrow::boolean()), "[[true], [false], [true]]")
                      ->Slice(1)))),
              ElementsAre(false, true));
  EXPECT_THAT(Values<uint64_t>(Check(Decode(
                  FromJson(arrow::list(arrow::uint64()), "[[18446744073709551615]]")))),
              ElementsAre(std::numeric_limits<uint64_t>::max()));
  EXPECT_THAT(
      Values<int8_t>(Check(Decode(FromJson(arrow::list(arrow::float64()), "[[1, -2]]"),
                                  {.cast = "int8"}))),
      ElementsAre(1, -2));
}

TEST(DecodeLists, TellWhatDoesNotFitItsCast) {
  ExpectInvalid(Decode(Lists("[[1, 2], [3, 300]]"), {.cast = "uint8"}).status(),
                "the value 300 (row 1) is no uint8");
  ExpectInvalid(
      Decode(Lists("[[1, null], [3, 300]]"), {.cast = "uint8", .nulls = Fill(0)})
          .status(),
      "the value 300 (row 1) is no uint8");
}

TEST(DecodeLists, TakeNoRows) {
  EXPECT_THAT(TensorOf(Check(Decode(Lists("[]")))).shape, ElementsAre(0, 0));
  const auto ragged = Check(Decode(Lists("[]"), {.ragged = kRagged}));
  EXPECT_THAT(Values<int32_t>(ragged), IsEmpty());
  EXPECT_THAT(Values<int64_t>(ragged, "x_offsets"), ElementsAre(0));
}

TEST(DecodeFixedShape, IsATensorOfThatShape) {
  const auto type = arrow::fixed_size_list(arrow::fixed_size_list(arrow::int16(), 2), 3);
  const auto values =
      FromJson(type, "[[[0, 0], [0, 0], [0, 0]], [[1, 2], [3, 4], [5, 6]]]")->Slice(1);
  const auto batch = Check(Decode(values));
  EXPECT_THAT(TensorOf(batch).shape, ElementsAre(1, 3, 2));
  EXPECT_THAT(Values<int16_t>(batch), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(DecodeFixedShape, NullRowsAreZeroOrFilled) {
  const auto values =
      FromJson(arrow::fixed_size_list(arrow::int32(), 2), "[[1, 2], null, [3, 4]]");
  ExpectInvalid(Decode(values).status(), "(row 1)");
  const auto masked = Check(Decode(values, {.nulls = kMask}));
  EXPECT_THAT(Values<int32_t>(masked), ElementsAre(1, 2, 0, 0, 3, 4));
  EXPECT_THAT(Values<bool>(masked, "x_mask"), ElementsAre(true, false, true));
  EXPECT_THAT(Values<int32_t>(Check(Decode(values, {.nulls = Fill(9)}))),
              ElementsAre(1, 2, 9, 9, 3, 4));
}

TEST(DecodeFixedShape, ANullListInsideIsAnError) {
  const auto type = arrow::fixed_size_list(arrow::fixed_size_list(arrow::int16(), 1), 2);
  ExpectInvalid(Decode(FromJson(type, "[[[1], null]]"), {.nulls = Fill(0)}).status(),
                "null");
}

TEST(DecodeFixedShape, TakesTensorsOfFixedShape) {
  const auto type = arrow::extension::fixed_shape_tensor(arrow::float32(), {2, 2});
  const auto storage = FromJson(arrow::fixed_size_list(arrow::float32(), 4),
                                "[[0, 0, 0, 0], [1, 2, 3, 4], [5, 6, 7, 8]]");
  const auto values = arrow::ExtensionType::WrapArray(type, storage)->Slice(1);
  const auto batch = Check(Decode(values));
  EXPECT_THAT(TensorOf(batch).shape, ElementsAre(2, 2, 2));
  EXPECT_THAT(Values<float>(batch), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(Values<int64_t>(Check(Decode(values, {.cast = "int64"}))),
              ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

std::shared_ptr<arrow::Array> VariableShape(const std::string& json) {
  const auto type = arrow::extension::variable_shape_tensor(arrow::int32(), 2);
  const auto& storage = static_cast<const arrow::ExtensionType&>(*type).storage_type();
  return arrow::ExtensionType::WrapArray(type, FromJson(storage, json));
}

constexpr char kTwo[] = R"([{"data": [9], "shape": [1, 1]},
                            {"data": [1, 2, 3, 4, 5, 6], "shape": [2, 3]},
                            {"data": [7, 8, 9], "shape": [3, 1]}])";

TEST(DecodeVariableShape, OfOneShapeIsOneTensor) {
  const auto batch = Check(Decode(VariableShape(kTwo)->Slice(1, 1)));
  EXPECT_THAT(TensorOf(batch).shape, ElementsAre(1, 2, 3));
  EXPECT_THAT(Values<int32_t>(batch), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(DecodeVariableShape, OfSeveralShapesIsAnErrorPaddedOrRagged) {
  const auto values = VariableShape(kTwo)->Slice(1);
  ExpectInvalid(Decode(values).status(), "found (2, 3) (row 0) and (3, 1) (row 1)");
  const auto padded = Check(Decode(values, {.ragged = Pad(-1)}));
  EXPECT_THAT(TensorOf(padded).shape, ElementsAre(2, 3, 3));
  EXPECT_THAT(Values<int32_t>(padded),
              ElementsAre(1, 2, 3, 4, 5, 6, -1, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1));
  const auto ragged = Check(Decode(values, {.ragged = kRagged}));
  EXPECT_THAT(ragged.names, ElementsAre("x", "x_offsets", "x_shape"));
  EXPECT_THAT(Values<int32_t>(ragged), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(Values<int64_t>(ragged, "x_offsets"), ElementsAre(0, 6, 9));
  EXPECT_THAT(TensorOf(ragged, "x_shape").shape, ElementsAre(2, 2));
  EXPECT_THAT(Values<int64_t>(ragged, "x_shape"), ElementsAre(2, 3, 3, 1));
}

TEST(DecodeVariableShape, NullRowsAreEmpty) {
  const auto values = VariableShape(R"([{"data": [1, 2], "shape": [1, 2]}, null])");
  const auto ragged = Check(Decode(values, {.nulls = kMask, .ragged = kRagged}));
  EXPECT_THAT(Values<int64_t>(ragged, "x_offsets"), ElementsAre(0, 2, 2));
  EXPECT_THAT(Values<int64_t>(ragged, "x_shape"), ElementsAre(1, 2, 0, 0));
  EXPECT_THAT(Values<bool>(ragged, "x_mask"), ElementsAre(true, false));
}

TEST(DecodeVariableShape, AShapeThatIsNotItsValuesIsCorrupt) {
  for (const char* shape : {"[2, 2]", "[0, 3]"}) {
    const Status status =
        Decode(VariableShape(std::string(R"([{"data": [1, 2, 3], "shape": )") + shape +
                             "}]"),
               {.ragged = kRagged})
            .status();
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(KindOf(status), ErrorKind::kCorrupt);
    EXPECT_THAT(MessageOf(status), HasSubstr("(row 0)"));
  }
}

}  // namespace
}  // namespace headrace::decode
