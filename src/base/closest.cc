#include "base/closest.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

namespace headrace::base {
namespace {

constexpr size_t kListed = 10;
constexpr size_t kCompared = 2000;
// Distances of very long names say nothing and cost much.
constexpr size_t kHead = 100;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (Lower(a[i - 1]) == Lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string ListClosest(std::string_view wanted, const std::vector<std::string>& names) {
  std::vector<std::pair<size_t, size_t>> order(std::min(names.size(), kCompared));
  for (size_t i = 0; i < order.size(); ++i) {
    order[i] = {
        Distance(wanted.substr(0, kHead), std::string_view(names[i]).substr(0, kHead)),
        i};
  }
  std::sort(order.begin(), order.end());
  std::string listed;
  for (size_t i = 0; i < std::min(order.size(), kListed); ++i) {
    listed += (i > 0 ? ", " : "") + names[order[i].second];
  }
  if (names.size() > kListed) {
    listed += " and " + std::to_string(names.size() - kListed) + " more";
  }
  return listed;
}

}  // namespace headrace::base
