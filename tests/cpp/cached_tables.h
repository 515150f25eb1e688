/// \file
/// A cache directory for tests: tables that cost nothing to commit, and leases of others.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <gtest/gtest.h>
#include <headrace/cache.h>
#include <headrace/dataset.h>
#include <headrace/write.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cpp/lake.h"

namespace headrace::cache {

inline constexpr int64_t kRows = 3;

/// Files and directories below a local directory, by path below it.
inline std::vector<std::string> Below(const std::string& root) {
  std::vector<std::string> found;
  if (!std::filesystem::exists(root)) return found;
  for (const auto& each : std::filesystem::recursive_directory_iterator(root)) {
    found.push_back(each.path().lexically_relative(root).string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

inline std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class CacheTest : public ::testing::Test {
 protected:
  CacheTest() {
    const auto rows = headrace::testing::TableFromJson(
        arrow::schema({arrow::field("x", arrow::int64())}), "[[1], [2], [3]]");
    headrace::testing::Check(Write(
        headrace::testing::Check(arrow::RecordBatchReader::Make(
            {headrace::testing::Check(rows->CombineChunksToBatch())}, rows->schema())),
        folder_ / "template", {.num_threads = 1}));
  }

  std::string PathOf(const CachedTable& table) const {
    return parent_ + "/" + table.directory;
  }

  /// Three rows, as a writer would commit them.
  void Commit(const CachedTable& table) const {
    std::filesystem::copy(folder_ / "template", PathOf(table),
                          std::filesystem::copy_options::recursive);
  }

  CachedTable Made(const TableCache& cache, const std::string& key,
                   const CacheOwner& owner = {"maker", "local-1"}) const {
    const CachedTable table = headrace::testing::Check(cache.Begin(owner));
    Commit(table);
    return headrace::testing::Check(cache.Publish(table, key));
  }

  void ExpectReads(const CachedTable& table) const {
    const auto dataset = Dataset::Open(PathOf(table));
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    const auto read = dataset->ToTable();
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ((*read)->num_rows(), kRows);
  }

  /// No file.
  void ExpectNoFileLeft() const {
    auto left = Below(parent_);
    std::erase_if(left, [&](const std::string& path) {
      return std::filesystem::is_directory(parent_ + "/" + path);
    });
    EXPECT_EQ(left, std::vector<std::string>());
  }
  /// No file, and no directory but that of keys.
  void ExpectNothingLeft() const {
    auto left = Below(parent_);
    std::erase(left, "_keys");
    EXPECT_EQ(left, std::vector<std::string>());
  }

  std::string LeaseOf(const CachedTable& table) const {
    return PathOf(table) + "/_headrace/leases/" + table.lease + ".json";
  }

  template <typename Change>
  static void ChangeJson(const std::string& path, Change change) {
    auto json = nlohmann::ordered_json::parse(ReadText(path));
    change(json);
    std::ofstream(path) << json.dump();
  }

  /// As if its process had ended.
  static void Kill(const std::string& lease) {
    ChangeJson(lease, [](auto& json) { json["process_started"] = "1"; });
  }
  void KillAll() const {
    for (const std::string& path : Below(parent_)) {
      if (path.find("/_headrace/leases/") != std::string::npos) {
        Kill(parent_ + "/" + path);
      }
    }
  }

  /// As if it was of another host, that renewed it a while ago.
  void MakeForeign(const CachedTable& table, std::chrono::seconds age) const {
    const std::string path = LeaseOf(table);
    ChangeJson(path, [](auto& json) {
      json["host"] = "elsewhere";
      json["boot_id"] = "another";
    });
    std::filesystem::last_write_time(path,
                                     std::filesystem::file_time_type::clock::now() - age);
  }

  headrace::testing::TempDir folder_;
  std::string parent_ = folder_ / "cache";
};

}  // namespace headrace::cache
