#include "reader/page_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/schema.h>

#include <vector>

#include "base/memory_budget.h"

namespace headrace::reader {
namespace {

using Page = parquet::DictionaryPage;

// Indices 0, 1, 2, 0, 1, 2, 0, 1 of two bits: their width, one packed group of eight.
constexpr std::array<uint8_t, 4> kIndices = {2, 3, 0b00100100, 0b01001001};

std::shared_ptr<Page> PageOf(const std::vector<float>& values, int64_t misaligned,
                             int32_t says) {
  const auto bytes = static_cast<int64_t>(values.size() * sizeof(float));
  std::shared_ptr<arrow::Buffer> buffer =
      arrow::AllocateBuffer(bytes + misaligned).ValueOrDie();
  const auto* const in = reinterpret_cast<const uint8_t*>(values.data());
  std::copy(in, in + bytes, buffer->mutable_data() + misaligned);
  return std::make_shared<Page>(arrow::SliceBuffer(buffer, misaligned), says,
                                parquet::Encoding::PLAIN);
}

class DictionaryOfNumbers : public ::testing::Test {
 protected:
  Status Set(const std::shared_ptr<Page>& page, bool lasting) {
    ARROW_RETURN_NOT_OK(values_.SetDictionary(page, lasting));
    return values_.Start(parquet::Encoding::RLE_DICTIONARY, 8, kIndices.data(),
                         kIndices.size());
  }

  base::MemoryBudget pool_{arrow::default_memory_pool()};
  parquet::schema::NodePtr node_ = parquet::schema::PrimitiveNode::Make(
      "x", parquet::Repetition::REQUIRED, parquet::Type::FLOAT);
  parquet::ColumnDescriptor descriptor_{node_, 0, 0};
  PageValues<parquet::FloatType> values_{&descriptor_, &pool_};
};

TEST_F(DictionaryOfNumbers, IsItsPageWhereThatStays) {
  const auto page = PageOf({1.5F, 2.5F, 3.5F}, 0, 3);
  ASSERT_TRUE(Set(page, /*lasting=*/true).ok());
  std::array<int32_t, 8> indices;
  const float* entries = values_.Indices(8, indices.data()).ValueOrDie();
  EXPECT_EQ(static_cast<const void*>(page->data()), static_cast<const void*>(entries));
  EXPECT_THAT(indices, ::testing::ElementsAre(0, 1, 2, 0, 1, 2, 0, 1));
  EXPECT_EQ(2, page.use_count());
}

TEST_F(DictionaryOfNumbers, IsCopiedWhereItMustBe) {
  for (const bool lasting : {false, true}) {
    auto page = PageOf({1.5F, 2.5F, 3.5F}, lasting ? 1 : 0, 3);
    ASSERT_TRUE(Set(page, lasting).ok());
    EXPECT_EQ(1, page.use_count());
    page.reset();
    std::array<float, 8> out;
    ASSERT_TRUE(values_.Decode(8, out.data()).ok());
    EXPECT_THAT(out,
                ::testing::ElementsAre(1.5F, 2.5F, 3.5F, 1.5F, 2.5F, 3.5F, 1.5F, 2.5F));
  }
}

TEST_F(DictionaryOfNumbers, OfFewerBytesThanItSaysIsRefused) {
  for (const int32_t says : {-1, 3}) {
    const Status status = Set(PageOf({1.5F, 2.5F}, 0, says), /*lasting=*/true);
    EXPECT_EQ(ErrorKind::kCorrupt, KindOf(status));
  }
}

TEST_F(DictionaryOfNumbers, IndicesBeyondItAreRefused) {
  std::array<int32_t, 8> indices;
  for (const int64_t n : {3, 4, 8}) {
    ASSERT_TRUE(Set(PageOf({1.5F, 2.5F}, 0, 2), /*lasting=*/true).ok());
    EXPECT_EQ(ErrorKind::kCorrupt, KindOf(values_.Indices(n, indices.data()).status()));
  }
  ASSERT_TRUE(Set(PageOf({}, 0, 0), /*lasting=*/true).ok());
  EXPECT_EQ(ErrorKind::kCorrupt, KindOf(values_.Indices(1, indices.data()).status()));
  ASSERT_TRUE(Set(PageOf({1.5F, 2.5F}, 0, 2), /*lasting=*/true).ok());
  EXPECT_TRUE(values_.Indices(2, indices.data()).ok());
}

}  // namespace
}  // namespace headrace::reader
