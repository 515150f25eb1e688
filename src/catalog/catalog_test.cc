#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <headrace/catalog.h>

#include <filesystem>
#include <string>

#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using testing::Check;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ErrorKind KindOfFailure(const Status& status) {
  EXPECT_FALSE(status.ok());
  return status.ok() ? ErrorKind::kInternal : KindOf(status);
}

TEST(CatalogAddress, IsANameAndATagOrAVersion) {
  auto address = Check(CatalogAddress::Parse("catalog:prod.flights@train-2026-11"));
  EXPECT_EQ(address.name, "prod.flights");
  EXPECT_EQ(address.tag, "train-2026-11");
  EXPECT_FALSE(address.version.has_value());
  address = Check(CatalogAddress::Parse("prod.flights@12"));
  EXPECT_EQ(address.tag, "");
  EXPECT_EQ(address.version, 12);
  EXPECT_EQ(Check(CatalogAddress::Parse("flights")).name, "flights");
}

TEST(CatalogAddress, RefusesWhatIsNone) {
  for (const char* text :
       {"", "catalog:", ".", "a.", ".a", "a..b", "a b", "-a", "a/b", "a;drop", "ä", "a@",
        "a@b@c", "@a", "a@-1", "a@99999999999999999999", "a@b/c"}) {
    EXPECT_EQ(KindOfFailure(CatalogAddress::Parse(text).status()),
              ErrorKind::kInvalidArgument)
        << text;
  }
  EXPECT_TRUE(CatalogAddress::Parse(std::string(255, 'a')).ok());
  EXPECT_FALSE(CatalogAddress::Parse(std::string(256, 'a')).ok());
}

TEST(Catalog, NamesTheCatalogsThereAre) {
  for (const char* uri : {"", "file://", "http://x/y", "s3://bucket/catalog.db"}) {
    const Status opened = Catalog::Open(uri).status();
    EXPECT_EQ(KindOfFailure(opened), ErrorKind::kInvalidArgument) << uri;
  }
  EXPECT_THAT(MessageOf(Catalog::Open("http://x/y").status()), HasSubstr("thrift://"));
}

TEST(Catalog, OpensTablesByNameAsTheyWereDescribed) {
  const testing::TempDir dir;
  testing::WriteParquet(dir / "numbers/k=1/a.parquet", testing::Numbers(0, 10));
  testing::WriteParquet(dir / "numbers/k=2/a.parquet", testing::Numbers(10, 5));
  OpenOptions options;
  options.partition_types = {{"k", "int8"}};
  const Dataset opened = Check(Dataset::Open(dir / "numbers", options));
  CatalogEntry entry = Check(DescribeTable(opened));
  EXPECT_EQ(entry.uri, dir / "numbers");
  EXPECT_EQ(entry.rows, 15);
  EXPECT_EQ(entry.files, 2);
  EXPECT_EQ(entry.format, "parquet");
  EXPECT_THAT(entry.partition_columns, ElementsAre("k"));
  ASSERT_EQ(entry.columns.size(), 2U);
  EXPECT_EQ(entry.columns[0].type, "int64");
  EXPECT_EQ(entry.columns[1].type, "int8");
  EXPECT_THAT(entry.last_writer, HasSubstr("parquet-cpp"));

  entry.name = "test.numbers";
  OpenOptions by_name;
  by_name.catalog = dir / "catalog.db";
  ASSERT_TRUE(Check(Catalog::Open(by_name.catalog))->Add(entry).ok());
  const Dataset found = Check(Dataset::Open("catalog:test.numbers", by_name));
  EXPECT_EQ(found.fingerprint(), opened.fingerprint());
  EXPECT_TRUE(found.schema()->Equals(*opened.schema()));
  // What was found needs no catalog any more.
  std::filesystem::remove(by_name.catalog);
  EXPECT_EQ(Check(Dataset::FromJson(found.ToJson())).fingerprint(), opened.fingerprint());
}

TEST(Catalog, OpensTheRowsThatAFilterLeaves) {
  const testing::TempDir dir;
  testing::WriteParquet(dir / "numbers/a.parquet", testing::Numbers(0, 10));
  CatalogEntry entry = Check(DescribeTable(Check(Dataset::Open(dir / "numbers"))));
  entry.name = "numbers";
  const auto catalog = Check(Catalog::Open(dir / "catalog.db"));
  ASSERT_TRUE(catalog->Add(entry).ok());
  EXPECT_EQ(Check(Check(OpenTable(*catalog, "numbers", {}, "x >= 8")).CountRows()), 2);
}

TEST(Catalog, ReadsPartitionColumnsBelowTheRootOfAList) {
  const testing::TempDir dir;
  testing::WriteParquet(dir / "numbers/k=1/j=1/a.parquet", testing::Numbers(0, 10));
  testing::WriteParquet(dir / "numbers/k=1/j=2/a.parquet", testing::Numbers(10, 5));
  OpenOptions options;
  options.root = dir / "numbers";
  const Dataset one = Check(Dataset::Open(dir / "numbers/k=1/j=2", options));
  EXPECT_THAT(one.schema()->field_names(), ElementsAre("x", "k", "j"));
  EXPECT_EQ(Check(Dataset::FromJson(one.ToJson())).fingerprint(), one.fingerprint());
  options.root = dir / "elsewhere";
  const Status refused = Dataset::Open(dir / "numbers", options).status();
  EXPECT_EQ(KindOfFailure(refused), ErrorKind::kInvalidArgument);
}

TEST(Catalog, IsAskedForWhereANameIsGiven) {
  const Status opened = Dataset::Open("catalog:prod.flights").status();
  EXPECT_EQ(KindOfFailure(opened), ErrorKind::kInvalidArgument);
  EXPECT_THAT(MessageOf(opened), HasSubstr("no catalog was named"));
  EXPECT_EQ(
      KindOfFailure(
          Dataset::Open(std::vector<std::string>{"catalog:a", "catalog:b"}).status()),
      ErrorKind::kInvalidArgument);
}

TEST(CatalogEntry, IsOfOneUri) {
  const testing::TempDir dir;
  testing::WriteParquet(dir / "a.parquet", testing::Numbers(0, 1));
  testing::WriteParquet(dir / "b.parquet", testing::Numbers(0, 1));
  const auto two =
      Dataset::Open(std::vector<std::string>{dir / "a.parquet", dir / "b.parquet"});
  EXPECT_EQ(KindOfFailure(DescribeTable(Check(two)).status()),
            ErrorKind::kInvalidArgument);
}

TEST(CatalogEntry, PrintsWhatIsKnown) {
  CatalogEntry entry;
  entry.name = "a.b";
  entry.uri = "/x";
  entry.rows = 5;
  entry.created_us = 1'796'000'000'000'001;
  entry.columns = {{"id", "int64", "the key"}, {"text", "string", ""}};
  entry.tags = {{"t", 4}};
  EXPECT_EQ(entry.ToString(),
            "a.b\n"
            "  uri             /x\n"
            "  rows            5\n"
            "  created         2026-11-30T00:53:20.000001Z\n"
            "  tag             t is version 4\n"
            "columns\n"
            "  id    int64   the key\n"
            "  text  string");
  EXPECT_THAT(entry.ToJson(), HasSubstr("\"version\":null"));
  EXPECT_THAT(entry.ToJson(), HasSubstr("\"tags\":{\"t\":4}"));
}

}  // namespace
}  // namespace headrace
