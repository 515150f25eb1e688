#include <arrow/compute/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/writer.h>
#include <arrow/util/base64.h>
#include <arrow/util/key_value_metadata.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "expression/test_rows.h"

namespace headrace::expression {
namespace {

namespace cp = arrow::compute;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kFilters[] = {
    "year = 2013 and month <= 10", "carrier in ('AA', null) or not carrier like 'U%'",
    "a.\"b c\" between date '2013-01-02' and timestamp '2013-01-02 10:00:00Z'",
    "x is null or -x * 2 % 3 = 1.5", "true"};

std::string Serialized(std::string_view text) {
  return SerializeExpression(ParseFilter(text).ValueOrDie()).ValueOrDie();
}

TEST(SerializeExpression, GivesTheSameExpressionBack) {
  for (const char* text : kFilters) {
    const auto expression = ParseFilter(text).ValueOrDie();
    EXPECT_TRUE(DeserializeExpression(Serialized(text)).ValueOrDie().Equals(expression))
        << text;
  }
}

TEST(SerializeExpression, RefusesWhatCannotBeWritten) {
  const auto status = SerializeExpression(cp::field_ref(arrow::FieldRef(0))).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kUnsupported);
  EXPECT_THAT(status.message(), HasSubstr("columns by position cannot"));
}

TEST(DeserializeExpression, RefusesWhatIsNoExpression) {
  for (const std::string& bytes :
       {std::string(), std::string("ARROW1"), std::string(100, 'A'), std::string("!!"),
        std::string(5000, '/')}) {
    const auto status = DeserializeExpression(bytes).status();
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument) << bytes;
    EXPECT_THAT(status.message(), StartsWith("the serialized filter is damaged: "));
  }
}

/// A file with a given tree in its metadata and given values.
std::string File(const std::vector<std::pair<std::string, std::string>>& tree,
                 const arrow::ArrayVector& values) {
  auto metadata = std::make_shared<arrow::KeyValueMetadata>();
  for (const auto& [key, value] : tree) metadata->Append(key, value);
  arrow::FieldVector fields;
  for (const auto& value : values) fields.push_back(arrow::field("", value->type()));
  const auto batch =
      arrow::RecordBatch::Make(arrow::schema(fields, metadata), /*num_rows=*/1, values);
  auto stream = arrow::io::BufferOutputStream::Create().ValueOrDie();
  auto writer = arrow::ipc::MakeFileWriter(stream, batch->schema()).ValueOrDie();
  EXPECT_TRUE(writer->WriteRecordBatch(*batch).ok());
  EXPECT_TRUE(writer->Close().ok());
  return arrow::util::base64_encode(std::string_view(*stream->Finish().ValueOrDie()));
}

// Each of these sends Arrow's own reader past the end of something.
TEST(DeserializeExpression, RefusesTreesThatLieAboutThemselves) {
  const auto one = Column("", arrow::int64(), "[1]").values;
  const auto options =
      Column("",
             arrow::struct_({arrow::field("_type_name", arrow::binary()),
                             arrow::field("value_set", arrow::list(arrow::int64()))}),
             R"([{"_type_name": "SetLookupOptions", "value_set": null}])")
          .values;
  const std::pair<std::vector<std::pair<std::string, std::string>>, const char*>
      kCases[] = {
          {{{"call", "add"}}, "a call does not end"},
          {{{"call", "add"}, {"literal", "0"}}, "a call does not end"},
          {{{"literal", "1"}}, "it refers to value 1 of 1"},
          {{{"literal", "-1"}}, "it refers to value -1 of 1"},
          {{{"literal", "x"}}, "it refers to value x of 1"},
          {{{"call", "is_in"}, {"options", "0"}, {"end", ""}}, "options are no struct"},
          {{{"call", "is_in"}, {"options", "0"}}, "options are no struct"},
          {{{"nested_field_ref", "2000000000"}}, "a nested column has 2000000000 parts"},
          {{{"nested_field_ref", "1"}, {"literal", "0"}},
           "something else among its parts"},
          {{{"nested_field_ref", "0"}}, "a nested column has 0 parts"},
          {{{"field_ref", "a"}, {"field_ref", "b"}}, "something follows its end"},
          {{{"what", ""}}, "unknown part 'what'"},
      };
  for (const auto& [tree, message] : kCases) {
    EXPECT_THAT(DeserializeExpression(File(tree, {one})).status().message(),
                HasSubstr(message));
  }
  EXPECT_THAT(DeserializeExpression(
                  File({{"call", "is_in"}, {"options", "0"}, {"end", ""}}, {options}))
                  .status()
                  .message(),
              HasSubstr("a value set is no list"));
  std::vector<std::pair<std::string, std::string>> deep(100000, {"call", "invert"});
  EXPECT_THAT(DeserializeExpression(File(deep, {one})).status().message(),
              HasSubstr("it is nested too deep"));
  EXPECT_TRUE(
      DeserializeExpression(
          File({{"call", "equal"}, {"field_ref", "a"}, {"literal", "0"}, {"end", ""}},
               {one}))
          .ok());
}

TEST(DeserializeExpression, SurvivesDamagedBytes) {
  const auto schema = arrow::schema(
      {arrow::field("year", arrow::int32()), arrow::field("month", arrow::int8()),
       arrow::field("carrier", arrow::utf8()), arrow::field("x", arrow::float64())});
  std::mt19937 random(7);
  int refused = 0;
  int mutations = 0;
  for (const char* text : kFilters) {
    const std::string good = arrow::util::base64_decode(Serialized(text)).ValueOrDie();
    for (int i = 0; i < 400; ++i, ++mutations) {
      std::string bytes = good;
      for (unsigned flips = 1 + random() % 4; flips > 0; --flips) {
        bytes[random() % bytes.size()] = static_cast<char>(random());
      }
      if (i % 8 == 0) bytes.resize(random() % bytes.size());
      const auto expression = DeserializeExpression(arrow::util::base64_encode(bytes));
      if (expression.ok()) {
        (void)Filter::Bind(*expression, *schema);
        continue;
      }
      ++refused;
      EXPECT_EQ(KindOf(expression.status()), ErrorKind::kInvalidArgument);
    }
  }
  EXPECT_GT(refused, mutations / 10);
}

}  // namespace
}  // namespace headrace::expression
