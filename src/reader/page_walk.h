/// \file
/// The rows of a flat column chunk, page by page.
#pragma once

#include <headrace/result.h>
#include <parquet/column_page.h>
#include <parquet/column_reader.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "reader/chunk_pages.h"
#include "reader/page_values.h"
#include "reader/read_context.h"

namespace headrace::reader {

/// Where a source is in its chunk. Rows that are passed over are decoded only within the
/// page that the next wanted one is in.
template <typename Physical>
class PageWalk {
 public:
  PageWalk(const ReadContext& context, const parquet::ColumnDescriptor* descriptor,
           ChunkPages pages, int64_t first_row)
      : pool_(context.pool),
        counters_(context.counters),
        dictionary_(std::move(pages.dictionary)),
        pager_(std::move(pages.pager)),
        found_(std::move(pages.found)),
        shared_(pages.shared),
        key_(pages.key),
        levels_(descriptor->max_definition_level()),
        values_(descriptor, context.pool),
        next_row_(pages.passed),
        pending_skip_(first_row - pages.passed) {
    counters_->values_skipped += pages.passed;
    pager_->set_data_page_filter([this](const parquet::DataPageStats& page) {
      if (repeated_ > 0) {
        repeated_ -= page.num_values;
        return true;
      }
      if (page.num_values > pending_skip_) return false;
      pending_skip_ -= page.num_values;
      next_row_ += page.num_values;
      counters_->values_skipped += page.num_values;
      return true;
    });
  }
  PageWalk(const PageWalk&) = delete;
  PageWalk& operator=(const PageWalk&) = delete;

  void Skip(int64_t rows) { pending_skip_ += rows; }

  /// Opens the page of the next row that is not passed over; how many of its rows can be
  /// taken, at most `rows`. 0 at the end of the chunk.
  Result<int64_t> Ready(int64_t rows) {
    while (true) {
      if (page_left_ == 0) {
        ARROW_ASSIGN_OR_RAISE(const bool opened, OpenPage());
        if (!opened) return 0;
        continue;
      }
      if (pending_skip_ == 0) return std::min(rows, page_left_);
      const int64_t passed = std::min(pending_skip_, page_left_);
      ARROW_RETURN_NOT_OK(Pass(passed));
      pending_skip_ -= passed;
      page_left_ -= passed;
      counters_->values_decoded += passed;
    }
  }

  /// Calls `take(at, n)` until `rows` rows are taken, each time for the `n` next ones,
  /// which follow the first `at` and lie in the open page.
  template <typename Take>
  Status TakeRows(int64_t rows, Take&& take) {
    for (int64_t done = 0; done < rows;) {
      ARROW_ASSIGN_OR_RAISE(const int64_t n, Ready(rows - done));
      if (n == 0) return ChunkEnded(done, rows);
      ARROW_RETURN_NOT_OK(take(done, n));
      page_left_ -= n;
      done += n;
    }
    counters_->values_decoded += rows;
    return Status::OK();
  }

  PageLevels& levels() { return levels_; }
  PageValues<Physical>& values() { return values_; }
  /// The open page.
  const parquet::DataPage& page() const {
    return static_cast<const parquet::DataPage&>(*page_);
  }

 private:
  Result<bool> OpenPage() {
    ARROW_RETURN_NOT_OK(OpenDictionary());
    while (true) {
      page_ = NextPage();
      if (page_ == nullptr) return false;
      switch (page_->type()) {
        case parquet::PageType::DICTIONARY_PAGE:
          shared_ = nullptr;  // this one does not last
          ARROW_RETURN_NOT_OK(SetDictionary(page_, /*lasting=*/false));
          break;
        case parquet::PageType::DATA_PAGE: {
          const auto& page = static_cast<const parquet::DataPageV1&>(*page_);
          return StartValues(page, levels_.Start(page));
        }
        case parquet::PageType::DATA_PAGE_V2: {
          const auto& page = static_cast<const parquet::DataPageV2&>(*page_);
          ARROW_ASSIGN_OR_RAISE(const int64_t levels, levels_.Start(page));
          return StartValues(page, levels);
        }
        default:
          break;  // index pages and what later formats may add
      }
    }
  }

  // Sets the dictionary that comes apart from the pages, if it is not set.
  Status OpenDictionary() {
    auto dictionary = std::exchange(found_.dictionary, nullptr);
    if (dictionary_ != nullptr) {
      const auto page = std::exchange(dictionary_, nullptr)->NextPage();
      if (page == nullptr || page->type() != parquet::PageType::DICTIONARY_PAGE) {
        return Error(ErrorKind::kCorrupt, "the chunk does not begin with its dictionary");
      }
      dictionary = std::static_pointer_cast<parquet::DictionaryPage>(page);
    }
    if (dictionary == nullptr) return Status::OK();
    if (shared_ != nullptr) entered_.dictionary = dictionary;
    return SetDictionary(dictionary, /*lasting=*/true);
  }

  // The page that others left, where it is next; else the pager's.
  std::shared_ptr<parquet::Page> NextPage() {
    const bool wanted = found_.page != nullptr && found_.first_row == next_row_ &&
                        found_.page->num_values() > pending_skip_;
    if (!wanted) return pager_->NextPage();
    repeated_ = found_.page->num_values();
    return std::exchange(found_.page, nullptr);
  }

  Status SetDictionary(const std::shared_ptr<parquet::Page>& page, bool lasting) {
    return values_.SetDictionary(std::static_pointer_cast<parquet::DictionaryPage>(page),
                                 lasting);
  }

  Result<bool> StartValues(const parquet::DataPage& page, int64_t levels_bytes) {
    if (page.num_values() < 0 || levels_bytes > page.size()) {
      return BadPage("says that it has " + std::to_string(page.num_values()) +
                     " values in " + std::to_string(page.size()) + " bytes");
    }
    ARROW_RETURN_NOT_OK(values_.Start(page.encoding(), page.num_values(),
                                      page.data() + levels_bytes,
                                      page.size() - levels_bytes));
    if (shared_ != nullptr) ARROW_RETURN_NOT_OK(Share(page));
    page_left_ = page.num_values();
    next_row_ += page.num_values();
    return true;
  }

  // Leaves the dictionary for others, and the page that is entered, if it is cut.
  Status Share(const parquet::DataPage& page) {
    entered_.first_row = next_row_;
    if (pending_skip_ > 0) {
      auto copy = CopyOf(page, pool_);
      if (!copy.ok() && !copy.status().IsOutOfMemory()) return copy.status();
      if (copy.ok()) entered_.page = *std::move(copy);
    }
    std::exchange(shared_, nullptr)->Put(key_, std::exchange(entered_, {}));
    return Status::OK();
  }

  Status Pass(int64_t rows) {
    std::array<bool, kPageTileRows> there;
    for (int64_t done = 0; done < rows;) {
      const int64_t n = std::min(rows - done, kPageTileRows);
      int64_t values = n;
      if (!levels_.all_there()) {
        ARROW_ASSIGN_OR_RAISE(values, levels_.Next(n, there.data()));
      }
      ARROW_RETURN_NOT_OK(values_.Pass(values));
      done += n;
    }
    return Status::OK();
  }

  arrow::MemoryPool* pool_;
  ReadCounters* counters_;
  std::unique_ptr<parquet::PageReader> dictionary_;  // until it is read
  std::unique_ptr<parquet::PageReader> pager_;
  SharedPages::Pages found_;    // that others left, until they are used
  SharedPages::Pages entered_;  // that are for others, until they are left
  SharedPages* shared_;         // null once they are
  SharedPages::Key key_;
  std::shared_ptr<parquet::Page> page_;
  PageLevels levels_;
  PageValues<Physical> values_;
  int64_t next_row_;      // of the row group: where the page after the open one begins
  int64_t repeated_ = 0;  // rows that the pager has yet to pass over, as others left them
  int64_t pending_skip_;
  int64_t page_left_ = 0;  // rows of the open page
};

}  // namespace headrace::reader
