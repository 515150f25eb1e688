/// \file
/// Rows of text as an aligned table.
#pragma once

#include <string>
#include <vector>

namespace headrace::cli {

/// Columns are as wide as their widest cell. Cells are made safe for a terminal, and cut
/// where they are longer than kCellCharactersMax.
class TextTable {
 public:
  static constexpr size_t kCellCharactersMax = 40;

  enum class Align { kLeft, kRight };

  explicit TextTable(std::vector<Align> alignments)
      : alignments_(std::move(alignments)) {}

  /// REQUIRES: one cell a column.
  void AddRow(std::vector<std::string> cells);
  /// A line between the rows before and after.
  void AddRule();
  std::string ToString() const;

 private:
  std::vector<Align> alignments_;
  std::vector<std::vector<std::string>> rows_;  // an empty one is a rule
};

}  // namespace headrace::cli
