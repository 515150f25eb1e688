#include "gang/environment.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace headrace::gang {
namespace {

std::map<std::string, std::string> Variables(const std::vector<std::string>& lines) {
  std::map<std::string, std::string> variables;
  for (const std::string& line : lines) {
    const size_t equals = line.find('=');
    EXPECT_TRUE(variables.emplace(line.substr(0, equals), line.substr(equals + 1)).second)
        << line;
  }
  return variables;
}

Meeting Place() {
  return {
      .address = "there", .secret = "s", .attempt = 3, .ports = {1, 2, 3, 4}, .cores = 8};
}

TEST(TaskEnvironment, HasWhatFrameworksLookFor) {
  GangOptions options{.command = {"p"}, .tasks = 2};
  options.environment = {{"RANK", "77"}, {"HOME", "/home"}};
  auto found = Variables(TaskEnvironment(options, Place(), 1));
  EXPECT_EQ(found["RANK"], "1");
  EXPECT_EQ(found["LOCAL_RANK"], "1");
  EXPECT_EQ(found["WORLD_SIZE"], "2");
  EXPECT_EQ(found["LOCAL_WORLD_SIZE"], "2");
  EXPECT_EQ(found["MASTER_ADDR"], "127.0.0.1");
  EXPECT_EQ(found["MASTER_PORT"], "1");
  EXPECT_EQ(found["JAX_COORDINATOR_ADDRESS"], "127.0.0.1:2");
  EXPECT_EQ(found["TF_CONFIG"],
            R"({"cluster": {"worker": ["127.0.0.1:3", "127.0.0.1:4"]}, )"
            R"("task": {"type": "worker", "index": 1}})");
  EXPECT_EQ(found["OMP_NUM_THREADS"], "4");
  EXPECT_EQ(found["HOME"], "/home");
  EXPECT_EQ(found.count("CUDA_VISIBLE_DEVICES"), 0);
}

TEST(TaskEnvironment, KeepsWhatUsersSay) {
  GangOptions options{.command = {"p"}, .tasks = 2};
  options.environment = {{"OMP_NUM_THREADS", "1"}, {"CUDA_VISIBLE_DEVICES", "0,1"}};
  EXPECT_EQ(Variables(TaskEnvironment(options, Place(), 0))["OMP_NUM_THREADS"], "1");
  EXPECT_EQ(Variables(TaskEnvironment(options, Place(), 0))["CUDA_VISIBLE_DEVICES"],
            "0,1");
  options.accelerators = {{"0"}, {"1"}};
  EXPECT_EQ(Variables(TaskEnvironment(options, Place(), 1))["CUDA_VISIBLE_DEVICES"], "1");
}

TEST(GangPlace, ReadsWhatTasksFind) {
  GangOptions options{.command = {"p"}, .tasks = 2, .accelerators = {{"0"}, {"3", "4"}}};
  options.timeout_ms = 1234;
  auto variables = Variables(TaskEnvironment(options, Place(), 1));
  const auto read = [&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
  const GangPlace place = **GangPlace::Read(read);
  EXPECT_EQ(place.address, "there");
  EXPECT_EQ(place.secret, "s");
  EXPECT_EQ(place.rank, 1);
  EXPECT_EQ(place.world_size, 2);
  EXPECT_EQ(place.attempt, 3);
  EXPECT_EQ(place.timeout_ms, 1234);
  EXPECT_EQ(place.accelerators, (std::vector<std::string>{"3", "4"}));

  for (const char* wrong : {"", "x", "-1", "2", "1 "}) {
    variables["RANK"] = wrong;
    const auto refused = GangPlace::Read(read);
    EXPECT_EQ(KindOf(refused.status()), ErrorKind::kInvalidArgument) << wrong;
    EXPECT_NE(refused.status().message().find("RANK"), std::string::npos);
  }
  EXPECT_EQ(*GangPlace::Read([](const char*) { return nullptr; }), std::nullopt);
}

}  // namespace
}  // namespace headrace::gang
