#include "storage/glob.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace headrace::storage {
namespace {

struct Pattern {
  std::string pattern;
  std::vector<std::string> matches;
  std::vector<std::string> others;
};

void Expect(const std::vector<Pattern>& patterns) {
  for (const auto& [pattern, matches, others] : patterns) {
    for (const std::string& path : matches) {
      EXPECT_TRUE(GlobMatches(pattern, path)) << pattern << " and " << path;
    }
    for (const std::string& path : others) {
      EXPECT_FALSE(GlobMatches(pattern, path)) << pattern << " and " << path;
    }
  }
}

TEST(IsGlob, IsAPathWithAWildcard) {
  for (const char* glob : {"*", "a?", "a/[bc]", "a/**/b"}) EXPECT_TRUE(IsGlob(glob));
  for (const char* path :
       {"", "/", "a/b.parquet", "year=2013", "a]b", "{a,b}", "a%2Ab"}) {
    EXPECT_FALSE(IsGlob(path)) << path;
  }
}

TEST(LiteralPrefix, IsTheDirectoryBeforeTheFirstWildcard) {
  EXPECT_EQ(LiteralPrefix("/data/a*.parquet"), "/data");
  EXPECT_EQ(LiteralPrefix("/data/2013/*/part-?.parquet"), "/data/2013");
  EXPECT_EQ(LiteralPrefix("/data/**"), "/data");
  EXPECT_EQ(LiteralPrefix("/data/[ab]/c/d"), "/data");
  EXPECT_EQ(LiteralPrefix("/data/year=20?3/a"), "/data");
}

TEST(LiteralPrefix, IsTheRootOrNothingWhereTheFirstNameIsWild) {
  EXPECT_EQ(LiteralPrefix("/*.parquet"), "/");
  EXPECT_EQ(LiteralPrefix("*.parquet"), "");
  EXPECT_EQ(LiteralPrefix("bucket*/a"), "");
}

TEST(GlobMatches, APlainPathIsThePathOnly) {
  Expect({{"a/b.parquet", {"a/b.parquet"}, {"a/b.parquet2", "xa/b.parquet", "a/b", ""}},
          {"a.b", {"a.b"}, {"aXb"}},
          {"(a)+$^|{b}", {"(a)+$^|{b}"}, {"a"}},
          {"", {""}, {"a", "/"}}});
}

TEST(GlobMatches, AStarStaysWithinAName) {
  Expect({{"*", {"", "a", "a.parquet"}, {"a/b", "/"}},
          {"a*", {"a", "ab", "abc"}, {"ba", "a/b", "A"}},
          {"*.parquet", {".parquet", "a.parquet", "a.parquet.parquet"}, {"a.parquet2"}},
          {"a/*/c", {"a/b/c", "a//c"}, {"a/c", "a/b/b/c"}},
          {"a*b*c", {"abc", "aXbXc", "abbcc"}, {"acb", "ab", "a/bc"}},
          {"year=*/x", {"year=2013/x", "year=/x"}, {"year=2013/y/x"}}});
}

TEST(GlobMatches, AQuestionMarkIsOneCharacterOfAName) {
  Expect({{"a?c", {"abc", "a?c", "a.c"}, {"ac", "abbc", "a/c"}},
          {"??", {"ab"}, {"a", "abc", "/a", "a/"}}});
}

TEST(GlobMatches, BracketsAreOneOfTheirCharacters) {
  Expect({{"[abc]", {"a", "b", "c"}, {"d", "", "ab", "[abc]"}},
          {"[a-c]x", {"ax", "bx", "cx"}, {"dx", "-x"}},
          {"[a-cx-z0]", {"b", "y", "0"}, {"d", "w", "1"}},
          {"[!a]", {"b", "!"}, {"a", "/", ""}},
          {"[!a-c]", {"d", "-"}, {"a", "b", "c"}},
          {"[^a]", {"b"}, {"a"}},
          {"201[4-6]/*", {"2014/x", "2016/x"}, {"2013/x", "2017/x"}}});
}

TEST(GlobMatches, BracketsHoldBracketsHyphensAndExclamationMarks) {
  Expect({{"[]a]", {"]", "a"}, {"[", "[]a]"}},
          {"[!]a]", {"b"}, {"]", "a"}},
          {"[[]", {"["}, {"]", "[[]"}},
          {"[a-]", {"a", "-"}, {"b"}},
          {"[-a]", {"a", "-"}, {"b"}},
          {"[a!]", {"a", "!"}, {"b"}},
          {"[*?]", {"*", "?"}, {"a", ""}}});
}

TEST(GlobMatches, ABracketThatIsNeverClosedStandsForItself) {
  Expect({{"a[b", {"a[b"}, {"ab", "a"}}, {"[", {"["}, {"a"}}, {"[]", {"[]"}, {"]"}}});
}

TEST(GlobMatches, BracketsNeverMatchASlash) {
  Expect({{"a[!x]b", {"a-b"}, {"a/b"}}, {"a[.-0]b", {"a.b", "a0b"}, {"a/b"}}});
}

TEST(GlobMatches, TwoStarsGoAcrossNames) {
  Expect({{"**", {"", "a", "a/b/c"}, {}},
          {"a/**", {"a/b", "a/b/c"}, {"b/a", "a"}},
          {"**/c", {"c", "a/c", "a/b/c"}, {"ac", "a/cc", "c/a"}},
          {"a/**/c", {"a/c", "a/b/c", "a/b/b/c"}, {"a/bc", "b/a/c", "ac"}},
          {"a/**/*.parquet", {"a/x.parquet", "a/b/c/x.parquet"}, {"b/x.parquet"}},
          {"**/x=*/**/y", {"x=1/y", "a/x=1/b/c/y"}, {"x=1", "x/y"}}});
}

TEST(GlobMatches, IsCaseSensitive) {
  Expect({{"a*.Parquet", {"ab.Parquet"}, {"ab.parquet", "AB.Parquet"}},
          {"[a-c]", {"b"}, {"B"}}});
}

// One test of every path against every pattern of three symbols, by a slow oracle.
bool Slow(const std::string& pattern, const std::string& path) {
  if (pattern.empty()) return path.empty();
  if (pattern[0] == '*') {
    return Slow(pattern.substr(1), path) ||
           (!path.empty() && path[0] != '/' && Slow(pattern, path.substr(1)));
  }
  if (path.empty()) return false;
  const bool one = pattern[0] == '?' ? path[0] != '/' : pattern[0] == path[0];
  return one && Slow(pattern.substr(1), path.substr(1));
}

std::vector<std::string> Words(const std::string& letters, size_t length_max) {
  std::vector<std::string> words = {""};
  for (size_t begin = 0, length = 1; length <= length_max; ++length) {
    const size_t end = words.size();
    for (; begin < end; ++begin) {
      for (char c : letters) words.push_back(words[begin] + c);
    }
  }
  return words;
}

TEST(GlobMatches, AgreesWithASlowOracle) {
  const auto paths = Words("ab/", 4);
  for (const std::string& pattern : Words("ab/*?", 4)) {
    if (pattern.find("**") != std::string::npos) continue;
    for (const std::string& path : paths) {
      ASSERT_EQ(GlobMatches(pattern, path), Slow(pattern, path))
          << pattern << " and " << path;
    }
  }
}

}  // namespace
}  // namespace headrace::storage
