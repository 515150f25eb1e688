#include "writer/stored_rows.h"

#include <arrow/array.h>
#include <arrow/extension/fixed_shape_tensor.h>
#include <gtest/gtest.h>

#include "schema/field.h"
#include "tests/cpp/lake.h"

namespace headrace::writer {
namespace {

using testing::Check;

std::shared_ptr<arrow::RecordBatch> BatchOf(const arrow::FieldVector& fields,
                                            const std::string& rows) {
  return Check(
      testing::TableFromJson(arrow::schema(fields), rows)->CombineChunksToBatch());
}

Result<std::shared_ptr<arrow::RecordBatch>> Converted(
    const arrow::RecordBatch& batch, TypeRules rules,
    const std::optional<Schema>& schema = {}) {
  ARROW_ASSIGN_OR_RAISE(const auto stored,
                        StoredRows::Make(*batch.schema(), schema, rules));
  ARROW_ASSIGN_OR_RAISE(auto converted,
                        stored.Convert(batch, 0, arrow::default_memory_pool()));
  EXPECT_TRUE(converted->schema()->Equals(stored.schema(), /*check_metadata=*/true));
  ARROW_RETURN_NOT_OK(converted->ValidateFull());
  return converted;
}

TEST(StoredRows, MakesPlainWhatOnlyMemoryKnows) {
  const auto batch = BatchOf({arrow::field("s", arrow::large_utf8()),
                              arrow::field("l", arrow::large_list(arrow::int8())),
                              arrow::field("u", arrow::uint8()),
                              arrow::field("t", arrow::time32(arrow::TimeUnit::MILLI))},
                             R"([["a", [1], 255, 7], [null, null, null, null]])");
  const auto stored = Check(Converted(*batch, TypeRules::kParquet));
  EXPECT_TRUE(stored->schema()->field(0)->type()->Equals(arrow::utf8()));
  EXPECT_TRUE(stored->schema()->field(1)->type()->Equals(arrow::list(arrow::int8())));
  EXPECT_TRUE(stored->column(2)->Equals(batch->column(2)));
  EXPECT_TRUE(stored->column(3)->Equals(batch->column(3)));
}

TEST(StoredRows, WidensUnsignedIntegersForDeltaAndRemembersTheirDtype) {
  const auto batch =
      BatchOf({arrow::field("a", arrow::uint8()), arrow::field("b", arrow::uint16()),
               arrow::field("c", arrow::uint32()), arrow::field("d", arrow::uint64())},
              "[[255, 65535, 4294967295, 18446744073709551615]]");
  const auto stored = Check(Converted(*batch, TypeRules::kDelta));
  const arrow::DataTypeVector types = {arrow::int16(), arrow::int32(), arrow::int64(),
                                       arrow::decimal128(20, 0)};
  const char* dtypes[] = {"uint8", "uint16", "uint32", "uint64"};
  const char* values[] = {"255", "65535", "4294967295", "18446744073709551615"};
  for (int i = 0; i < 4; ++i) {
    const auto& field = stored->schema()->field(i);
    EXPECT_TRUE(field->type()->Equals(types[static_cast<size_t>(i)]));
    EXPECT_EQ(Check(schema::DeclaredField(*field))->dtype, dtypes[i]);
    EXPECT_EQ(Check(stored->column(i)->GetScalar(0))->ToString(), values[i]);
  }
}

TEST(StoredRows, StoresTimestampsInMicrosecondsIfNothingIsLost) {
  const auto type = arrow::timestamp(arrow::TimeUnit::NANO, "Europe/Berlin");
  const auto whole = BatchOf({arrow::field("t", type)}, "[[5000]]");
  const auto stored = Check(Converted(*whole, TypeRules::kDelta));
  EXPECT_TRUE(
      stored->column(0)->type()->Equals(arrow::timestamp(arrow::TimeUnit::MICRO, "UTC")));
  const auto lost =
      Converted(*BatchOf({arrow::field("t", type)}, "[[5001]]"), TypeRules::kDelta);
  EXPECT_EQ(KindOf(lost.status()), ErrorKind::kInvalidArgument);
  EXPECT_NE(MessageOf(lost.status()).find("\"t\""), std::string::npos);
}

TEST(StoredRows, RefusesForDeltaWhatItHasNoTypeFor) {
  for (const auto& type : {arrow::float16(), arrow::time32(arrow::TimeUnit::MILLI),
                           arrow::duration(arrow::TimeUnit::MICRO), arrow::null()}) {
    const auto schema = arrow::schema({arrow::field("odd", arrow::list(type))});
    EXPECT_TRUE(StoredRows::Make(*schema, {}, TypeRules::kParquet).ok());
    const auto refused = StoredRows::Make(*schema, {}, TypeRules::kDelta);
    EXPECT_EQ(KindOf(refused.status()), ErrorKind::kUnsupported) << type->ToString();
    EXPECT_NE(MessageOf(refused.status()).find("\"odd\""), std::string::npos);
  }
}

TEST(StoredRows, EncodesListsAndTensorsByTheirFields) {
  const auto batch =
      BatchOf({arrow::field("x", arrow::fixed_size_list(arrow::float32(), 2)),
               arrow::field("y", arrow::list(arrow::int16())),
               arrow::field("f", arrow::boolean())},
              "[[[1, 2], [], true], [null, [3, 4, 5], false]]");
  const auto schema = Check(Schema::Make(
      {{.name = "x", .dtype = "float32", .shape = {2}},
       {.name = "y", .dtype = "int16", .shape = {Field::kVaries}, .codec = "raw"},
       {.name = "f", .dtype = "bool", .codec = "raw"}}));
  const auto stored = Check(Converted(*batch->Slice(1), TypeRules::kParquet, schema));
  EXPECT_TRUE(stored->column(0)->IsNull(0));
  const auto& cells = static_cast<const arrow::BinaryArray&>(*stored->column(1));
  EXPECT_EQ(cells.GetView(0), std::string_view("\3\0\4\0\5\0", 6));
  EXPECT_EQ(static_cast<const arrow::BinaryArray&>(*stored->column(2)).GetView(0),
            std::string_view("\0", 1));
  const auto first = Check(Converted(*batch->Slice(0, 1), TypeRules::kParquet, schema));
  const float expected[] = {1, 2};
  EXPECT_EQ(static_cast<const arrow::BinaryArray&>(*first->column(0)).GetView(0),
            std::string_view(reinterpret_cast<const char*>(expected), 8));
}

TEST(StoredRows, EncodesFixedShapeTensorsForDeltaUnasked) {
  const auto type = arrow::extension::fixed_shape_tensor(arrow::int32(), {2, 1});
  const auto storage = Check(arrow::json::ArrayFromJSONString(
      arrow::fixed_size_list(arrow::int32(), 2), "[[1, 2], [3, 4]]"));
  const auto batch =
      arrow::RecordBatch::Make(arrow::schema({arrow::field("x", type)}), 2,
                               {arrow::ExtensionType::WrapArray(type, storage)});
  const auto stored = Check(Converted(*batch, TypeRules::kDelta));
  const auto field = *Check(schema::DeclaredField(*stored->schema()->field(0)));
  EXPECT_EQ(field.shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(field.codec, "raw");
  EXPECT_EQ(static_cast<const arrow::BinaryArray&>(*stored->column(0)).GetView(1),
            std::string_view("\3\0\0\0\4\0\0\0", 8));
}

TEST(StoredRows, NamesFieldAndRowOfAValueThatDoesNotFit) {
  const auto schema = Check(
      Schema::Make({{.name = "x", .dtype = "int16", .shape = {2}, .codec = "raw"}}));
  for (const char* rows : {"[[[1, 2]], [[1]]]", "[[[1, 2]], [[1, null]]]"}) {
    const auto converted =
        Converted(*BatchOf({arrow::field("x", arrow::list(arrow::int16()))}, rows),
                  TypeRules::kParquet, schema);
    EXPECT_EQ(KindOf(converted.status()), ErrorKind::kInvalidArgument);
    EXPECT_NE(MessageOf(converted.status()).find("field x"), std::string::npos);
    EXPECT_NE(MessageOf(converted.status()).find("row 1"), std::string::npos);
  }
}

TEST(StoredRows, RefusesFieldsThatSuitNoColumn) {
  const auto given = arrow::schema({arrow::field("x", arrow::utf8())});
  const auto tensors =
      Check(Schema::Make({{.name = "x", .dtype = "int16", .shape = {2}}}));
  EXPECT_EQ(KindOf(StoredRows::Make(*given, tensors).status()),
            ErrorKind::kSchemaMismatch);
  const auto other = Check(Schema::Make({{.name = "y", .dtype = "int16"}}));
  EXPECT_EQ(KindOf(StoredRows::Make(*given, other).status()), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace headrace::writer
