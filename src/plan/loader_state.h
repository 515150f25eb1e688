/// \file
/// The resumable state of a loader: a few numbers as JSON (docs/format/loader-state.md).
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace headrace::plan {

struct LoaderState {
  static constexpr int kFormat = 1;

  /// Identity of the rows: the table's kind ("parquet") and its fingerprint.
  std::string table_format;
  std::string fingerprint;
  /// Of a table with versions: which one.
  std::optional<int64_t> table_version = {};
  /// Canonical filter text, or "hash:<hex>" where that is longer than 120 bytes or not
  /// UTF-8; empty: none.
  std::string filter;
  bool shuffle = true;
  uint64_t seed = 0;
  int streams = 8;
  int64_t shuffle_window_rows = 0;
  int64_t epoch = 0;
  /// Samples consumed in all ranks, of this epoch.
  int64_t samples = 0;

  bool operator==(const LoaderState&) const = default;

  std::string ToJson() const;
  /// InvalidArgument for text that is no state, naming the key, what it is and what was
  /// expected; Unsupported for a newer format, naming both. Unknown keys are passed over:
  /// a key that changes what is delivered raises the format.
  static Result<LoaderState> FromJson(const std::string& json);
  /// What differs in identity and order (not in position) as lines "seed: state 7, loader
  /// 8"; empty where the state fits.
  std::vector<std::string> DifferencesFrom(const LoaderState& loader) const;
};

/// Shortens a filter's canonical text for the state.
std::string FilterForState(const std::string& canonical_text);

}  // namespace headrace::plan
