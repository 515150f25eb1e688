#include "text_table.h"

#include <algorithm>

#include "terminal.h"

namespace headrace::cli {
namespace {

bool BeginsCharacter(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

size_t CharacterCount(const std::string& utf8) {
  return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), BeginsCharacter));
}

std::string Cut(const std::string& utf8) {
  if (CharacterCount(utf8) <= TextTable::kCellCharactersMax) return utf8;
  size_t characters = 0;
  size_t end = 0;
  for (; end < utf8.size(); ++end) {
    if (BeginsCharacter(utf8[end]) && ++characters == TextTable::kCellCharactersMax)
      break;
  }
  return utf8.substr(0, end) + "…";
}

}  // namespace

void TextTable::AddRow(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = Cut(Printable(cell));
  rows_.push_back(std::move(cells));
}

void TextTable::AddRule() { rows_.emplace_back(); }

std::string TextTable::ToString() const {
  std::vector<size_t> widths(alignments_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], CharacterCount(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < widths.size(); ++i) {
      if (i > 0) line += "  ";
      if (row.empty()) {
        line.append(widths[i], '-');
        continue;
      }
      const std::string space(widths[i] - CharacterCount(row[i]), ' ');
      line += alignments_[i] == Align::kRight ? space + row[i] : row[i] + space;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace headrace::cli
