#include "base/hash.h"

#include <gtest/gtest.h>

#include <set>

namespace headrace::base {
namespace {

// Fingerprints stand in saved states, so the hash is a format: XXH3 as published,
// canonical (big-endian) digits.
TEST(Hash, IsXxh3) {
  EXPECT_EQ(Hash64(""), 0x2d06800538d394c2U);
  EXPECT_EQ(HashHex(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(Hash64("headrace"), 0xcb57e9962b2bf0aaU);
  EXPECT_EQ(HashHex("headrace"), "d204bc6c7a983ece79778286cfaaea08");
}

TEST(Hash, TakesEveryByteIntoAccount) {
  std::set<std::string> seen;
  const std::string text(300, 'x');
  seen.insert(HashHex(text));
  for (size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = '\0';
    EXPECT_TRUE(seen.insert(HashHex(changed)).second) << i;
    EXPECT_TRUE(seen.insert(HashHex(text.substr(0, i))).second) << i;
  }
}

}  // namespace
}  // namespace headrace::base
