#include "gang/output.h"

#include <gtest/gtest.h>

#include <string>

namespace headrace::gang {
namespace {

TEST(LineCutter, HandsOnWholeLines) {
  LineCutter cutter;
  EXPECT_EQ(cutter.Append("a"), "");
  EXPECT_EQ(cutter.Append("b\nc\nd"), "ab\nc\n");
  EXPECT_EQ(cutter.Flush(), "d");
  EXPECT_EQ(cutter.Flush(), "");
}

TEST(LineCutter, DoesNotWaitForEverForAnEnd) {
  LineCutter cutter;
  const std::string half(LineCutter::kLineBytesMax, 'x');
  EXPECT_EQ(cutter.Append(half), "");
  EXPECT_EQ(cutter.Append("y"), half + "y");
}

TEST(Tail, KeepsTheLastLines) {
  Tail tail;
  EXPECT_EQ(tail.Text(), "");
  for (int i = 0; i < 30; ++i) tail.Add("line " + std::to_string(i) + "\n");
  tail.Add("end");
  const std::string text = tail.Text();
  EXPECT_TRUE(text.starts_with("\n  line 11\n")) << text;
  EXPECT_TRUE(text.ends_with("\n  line 29\n  end")) << text;
}

}  // namespace
}  // namespace headrace::gang
