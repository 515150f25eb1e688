/// \file
/// A data file as a table's log names it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace headrace::table {

struct DataFile {
  /// Below the table's root, as the storage takes it (not escaped).
  std::string path = {};
  int64_t size = 0;
  /// Since the epoch.
  int64_t modified_ms = 0;
  /// Absent where it is not known without the footer.
  std::optional<int64_t> rows = {};
  /// By partition column, written as Delta writes them ("2026-11-01", "true", "12"); no
  /// value for null.
  std::map<std::string, std::optional<std::string>> partition_values = {};
  /// Delta's statistics, a JSON object ("numRecords", "minValues", "maxValues",
  /// "nullCount"); empty if there are none.
  std::string stats = {};
};

}  // namespace headrace::table
