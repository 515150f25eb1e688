// S3 as a module: its options, and its end, which is seen from outside of the process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "storage/storage.h"

namespace headrace::storage {
namespace {

Status Open(const std::map<std::string, std::string>& options,
            const std::string& uri = "s3://bucket/x") {
  std::string path;
  return Storage::FromUri(uri, options, &path).status();
}

bool Opens(const std::map<std::string, std::string>& options) {
  return Open(options).ok();
}

class S3 : public ::testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");  // a process of its own
    // Refused: none may go well before the tests of what begins with a failure.
    const Status status = Open({{"region", "eu"}, {"anonymous", "maybe"}});
    if (status.message().find("not in this installation") != std::string::npos) {
      GTEST_SKIP() << "built without S3";
    }
  }
};

TEST_F(S3, OddValuesOfOptionsAreRefused) {
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"anonymous", "maybe"}, {"request_timeout", "-1"}, {"connect_timeout", "x"}}) {
    const Status status = Open({{"region", "eu"}, {name, value}});
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument) << name;
    EXPECT_THAT(status.message(), ::testing::HasSubstr("\"" + name + "\""));
  }
}

// What a call that failed left out was begun by the next one, after its end was
// registered, and destroyed before it.
TEST_F(S3, EndsInOrderAfterCallsThatFailed) {
  EXPECT_EXIT(
      {
        const bool refused = !Opens({{"region", "eu"}, {"anonymous", "maybe"}}) &&
                             !Opens({{"region", "eu"}, {"scheme", "gopher"}});
        const bool opened = Opens({{"region", "eu"}, {"anonymous", "true"}});
        std::exit(refused && opened ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "^$");
}

}  // namespace
}  // namespace headrace::storage
