#include <gtest/gtest.h>
#include <headrace/accelerators.h>
#include <sys/stat.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using Shares = std::vector<std::vector<std::string>>;

std::string Script(const testing::TempDir& dir, const std::string& text) {
  const std::string path = dir / "discover";
  std::ofstream(path) << "#!/bin/sh\n" << text << "\n";
  chmod(path.c_str(), 0755);
  return path;
}

TEST(Accelerators, AreThoseThatACommandPrints) {
  const testing::TempDir dir;
  DiscoverOptions options;
  options.command = Script(dir, R"(echo '{"name": "gpu", "addresses": ["0", "GPU-1"]}')");
  EXPECT_EQ(*Discover(options), (Accelerators{"gpu", {"0", "GPU-1"}}));
  options.visible = "GPU-1, 7";
  EXPECT_EQ(Discover(options)->addresses, std::vector<std::string>{"GPU-1"});
  options.visible = "";
  EXPECT_TRUE(Discover(options)->addresses.empty());
  options.name = "fpga";
  EXPECT_EQ(KindOf(Discover(options).status()), ErrorKind::kInvalidArgument);
}

TEST(Accelerators, CommandsThatFailAreToldOf) {
  const testing::TempDir dir;
  DiscoverOptions options;
  options.command = dir / "missing";
  EXPECT_EQ(KindOf(Discover(options).status()), ErrorKind::kNotFound);
  options.command = Script(dir, "echo the driver is not loaded; exit 9");
  const Status failed = Discover(options).status();
  EXPECT_EQ(KindOf(failed), ErrorKind::kUnavailable);
  EXPECT_NE(failed.message().find("the driver is not loaded"), std::string::npos);
  options.command = Script(dir, "echo 0");
  EXPECT_EQ(KindOf(Discover(options).status()), ErrorKind::kInvalidArgument);
}

TEST(Accelerators, JsonIsSparks) {
  const Accelerators two{"gpu", {"0", "1"}};
  EXPECT_EQ(*Accelerators::FromJson(two.ToJson()), two);
  for (const char* text :
       {"", "[]", R"({"name": "gpu"})", R"({"name": 1, "addresses": []})",
        R"({"name": "gpu", "addresses": [0]})", R"({"addresses": ["0"]})"}) {
    EXPECT_EQ(KindOf(Accelerators::FromJson(text).status()), ErrorKind::kInvalidArgument)
        << text;
  }
}

TEST(Accelerators, NoTwoTasksShareUnlessAsked) {
  const Accelerators four{"gpu", {"0", "1", "2", "3"}};
  EXPECT_EQ(*Share(four, 4, 1), (Shares{{"0"}, {"1"}, {"2"}, {"3"}}));
  EXPECT_EQ(*Share(four, 2, 2), (Shares{{"0", "1"}, {"2", "3"}}));
  EXPECT_EQ(*Share(four, 3, 0.5), (Shares{{"0"}, {"0"}, {"1"}}));
  EXPECT_EQ(Share(four, 10, 0.1)->back(), std::vector<std::string>{"0"});
  const Status few = Share(four, 3, 2).status();
  EXPECT_EQ(KindOf(few), ErrorKind::kResourceExhausted);
  EXPECT_NE(few.message().find("needs 6 gpu"), std::string::npos) << few.message();
  EXPECT_NE(few.message().find("found 4 (0, 1, 2, 3)"), std::string::npos);
  EXPECT_EQ(KindOf(Share({}, 1, 0.5).status()), ErrorKind::kResourceExhausted);
  for (const double wrong : {0.0, -1.0, 0.7, 1.5}) {
    EXPECT_EQ(KindOf(Share(four, 1, wrong).status()), ErrorKind::kInvalidArgument)
        << wrong;
  }
}

}  // namespace
}  // namespace headrace
