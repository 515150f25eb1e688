/// \file
/// Row ids: the name of a row in one version of a table.
#pragma once

#include <cstdint>
#include <string_view>

namespace headrace {

/// The column of row ids, which every table has that stores no column of this name.
inline constexpr std::string_view kRowIdName = "row_id";

/// Bits of a row id that hold the row in its file; those above hold the file's number.
inline constexpr int kRowInFileBits = 40;
/// Files that row ids can number.
inline constexpr int64_t kRowIdFilesMax = int64_t{1} << (63 - kRowInFileBits);

/// The id of a row: which of the table's files (by path below the table's root, bytewise;
/// of a list: as given), and which row of the file, both from 0. Ids ascend in stored
/// order.
constexpr int64_t RowId(int64_t file, int64_t row_in_file) {
  return (file << kRowInFileBits) | row_in_file;
}
/// The file's number; negative for what is no row's id.
constexpr int64_t FileOf(int64_t row_id) { return row_id >> kRowInFileBits; }
constexpr int64_t RowInFileOf(int64_t row_id) {
  return row_id & ((int64_t{1} << kRowInFileBits) - 1);
}

}  // namespace headrace
