#include "table/delta/log_files.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace headrace::table::delta {
namespace {

constexpr size_t kVersionDigits = 20;
constexpr size_t kPartDigits = 10;

// The number that a text of just so many digits is.
std::optional<int64_t> Number(std::string_view text, size_t digits) {
  if (text.size() != digits) return {};
  int64_t number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return {};
  return number;
}

std::vector<std::string_view> Split(std::string_view name) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    parts.push_back(name.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// Parts of checkpoints of several files: by version and count of parts.
using Parts =
    std::map<std::pair<int64_t, int64_t>, std::map<int64_t, storage::FileEntry>>;

// `rest` of a checkpoint's name: "parquet", "0000000001.0000000003.parquet", or
// "UUID.json" and "UUID.parquet".
void AddCheckpoint(int64_t version, const std::vector<std::string_view>& rest,
                   storage::FileEntry file, std::map<int64_t, Checkpoint>* checkpoints,
                   Parts* parts) {
  if (rest.size() == 3 && rest[2] == "parquet") {
    const auto part = Number(rest[0], kPartDigits);
    const auto count = Number(rest[1], kPartDigits);
    if (part && count) (*parts)[{version, *count}][*part] = std::move(file);
    return;
  }
  const bool classic = rest.size() == 1 && rest[0] == "parquet";
  const bool by_uuid = rest.size() == 2 && (rest[1] == "parquet" || rest[1] == "json");
  if (!classic && !by_uuid) return;
  checkpoints->insert_or_assign(version, Checkpoint{version, {std::move(file)}});
}

}  // namespace

std::string CommitName(int64_t version) {
  const std::string digits = std::to_string(version);
  return std::string(kVersionDigits - digits.size(), '0') + digits + ".json";
}

LogFiles LogFiles::Make(std::vector<storage::FileEntry> files) {
  LogFiles log;
  Parts parts;
  for (storage::FileEntry& file : files) {
    const std::string name = file.relative_path;
    const std::vector<std::string_view> words = Split(name);
    const auto version = Number(words[0], kVersionDigits);
    if (!version) continue;
    if (words.size() == 2 && words[1] == "json") {
      log.commits_[*version] = std::move(file);
    } else if (words.size() == 4 && words[2] == "compacted" && words[3] == "json") {
      const auto last = Number(words[1], kVersionDigits);
      if (last && *last >= *version) {
        log.compacted_.emplace(*version, std::pair(*last, std::move(file)));
      }
    } else if (words.size() > 2 && words[1] == "checkpoint" && file.size > 0) {
      AddCheckpoint(*version, {words.begin() + 2, words.end()}, std::move(file),
                    &log.checkpoints_, &parts);
    }
  }
  for (auto& [which, by_part] : parts) {
    const auto [version, count] = which;
    if (static_cast<int64_t>(by_part.size()) != count || by_part.begin()->first != 1 ||
        by_part.rbegin()->first != count || log.checkpoints_.count(version) > 0) {
      continue;
    }
    Checkpoint& checkpoint = log.checkpoints_[version];
    checkpoint.version = version;
    for (auto& [part, file] : by_part) checkpoint.files.push_back(std::move(file));
  }
  return log;
}

int64_t LogFiles::last() const {
  int64_t last = 0;
  if (!commits_.empty()) last = commits_.rbegin()->first;
  if (!checkpoints_.empty()) last = std::max(last, checkpoints_.rbegin()->first);
  return last;
}

std::optional<int64_t> LogFiles::first() const {
  if (commits_.count(0) > 0) return 0;
  if (!checkpoints_.empty()) return checkpoints_.begin()->first;
  return {};
}

Result<LogSegment> LogFiles::SegmentOf(int64_t version,
                                       const std::string& display_path) const {
  auto not_there = [&](const std::string& why) {
    const auto earliest = first();
    return Error(ErrorKind::kNotFound,
                 display_path + ": version " + std::to_string(version) + " " + why +
                     ", expected one of " +
                     (earliest ? std::to_string(*earliest) : std::string("none")) +
                     " to " + std::to_string(last()));
  };
  if (version < 0 || version > last()) return not_there("is not there");
  LogSegment segment;
  segment.version = version;
  int64_t next = 0;
  const auto after = checkpoints_.upper_bound(version);
  if (after != checkpoints_.begin()) {
    segment.checkpoint = std::prev(after)->second;
    next = segment.checkpoint->version + 1;
  }
  while (next <= version) {
    // The compacted file that takes us furthest.
    int64_t end = next - 1;
    const storage::FileEntry* taken = nullptr;
    const auto [begin_compacted, end_compacted] = compacted_.equal_range(next);
    for (auto it = begin_compacted; it != end_compacted; ++it) {
      if (it->second.first <= version && it->second.first > end) {
        end = it->second.first;
        taken = &it->second.second;
      }
    }
    if (taken == nullptr) {
      const auto found = commits_.find(next);
      if (found == commits_.end()) {
        const bool cleaned = !segment.checkpoint && commits_.count(0) == 0;
        if (cleaned) return not_there("was cleaned up");
        return Error(ErrorKind::kCorrupt,
                     display_path + ": " + CommitName(next) +
                         " is missing, which version " + std::to_string(version) +
                         " is made of: restore the file, or open a version before it");
      }
      end = next;
      taken = &found->second;
    }
    segment.commits.push_back(*taken);
    next = end + 1;
  }
  return segment;
}

}  // namespace headrace::table::delta
