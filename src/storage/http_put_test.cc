// What each answer of a store means for a put, and that no lost answer is taken for a
// lost race. The store here is a script; real ones are in tests/integration.
#include "storage/http_put.h"

#include <arrow/filesystem/mockfs.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/cpp/lake.h"

namespace headrace::storage {
namespace {

using testing::Check;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

const HttpAnswer kOk{200, ""};
const HttpAnswer kThere{412, "<Error><Code>PreconditionFailed</Code></Error>"};
const HttpAnswer kSlowDown{503, "<Error><Code>SlowDown</Code></Error>"};

/// A store that answers as it is told, and holds what is put into `filesystem`.
class HttpPutTest : public ::testing::Test {
 protected:
  struct Step {
    Result<HttpAnswer> answer;
    std::string holds;  // What the object is from here on, if not empty.
  };

  HttpPutTest() { Check(filesystem_->CreateDir("b", true)); }

  void Script(std::vector<Step> steps) {
    steps_.assign(std::make_move_iterator(steps.begin()),
                  std::make_move_iterator(steps.end()));
    requests_.clear();
    waits_ = 0;
  }

  RetryPolicy Retry() {
    return {.attempts = 3,
            .clock = {.now = [] { return 0.0; }, .wait = [this](double) { ++waits_; }}};
  }

  PutIfAbsent Make(std::vector<Step> steps, bool heeds_condition = true) {
    Script(std::move(steps));
    return MakeHttpPut(
        {.request = [](const std::string& path,
                       std::string_view bytes) -> Result<HttpRequest> {
           return HttpRequest{.method = "PUT", .url = path, .body = std::string(bytes)};
         },
         .send = [this](const HttpRequest& request) { return Send(request); },
         .filesystem = filesystem_,
         .retry = Retry(),
         .heeds_condition = heeds_condition});
  }

  Result<bool> Put(std::vector<Step> steps) {
    return Make(std::move(steps))("b/x", "ours");
  }

  Status Delete(std::vector<Step> steps, const std::string& path = "b/x") {
    Script(std::move(steps));
    const auto request = [](const std::string& path) -> Result<HttpRequest> {
      return HttpRequest{.method = "DELETE", .url = path};
    };
    const auto send = [this](const HttpRequest& request) { return Send(request); };
    return MakeHttpDelete(request, send, Retry())(path);
  }

  Result<HttpAnswer> Send(const HttpRequest& request) {
    requests_.push_back(request);
    if (steps_.empty()) return Status::Invalid("one request too many");
    const Step step = steps_.front();
    steps_.pop_front();
    if (!step.holds.empty()) Check(filesystem_->CreateFile(request.url, step.holds));
    return step.answer;
  }

  std::shared_ptr<arrow::fs::internal::MockFileSystem> filesystem_ =
      std::make_shared<arrow::fs::internal::MockFileSystem>(arrow::fs::TimePoint{});
  std::deque<Step> steps_;
  std::vector<HttpRequest> requests_;
  int waits_ = 0;
};

TEST_F(HttpPutTest, IsTrueWhenItIsTakenAndFalseWhenAnObjectWasThere) {
  EXPECT_TRUE(Check(Put({{kOk, ""}})));
  EXPECT_TRUE(Check(Put({{HttpAnswer{201, ""}, ""}})));
  EXPECT_FALSE(Check(Put({{kThere, "ours"}})));  // not read back: another's, as told
  EXPECT_FALSE(Check(Put({{HttpAnswer{409, "<Code>BlobAlreadyExists</Code>"}, "ours"}})));
  EXPECT_EQ(requests_.at(0).body, "ours");
}

TEST_F(HttpPutTest, IsMadeAgainWhenTheStoreIsBusy) {
  EXPECT_TRUE(Check(Put({{kSlowDown, ""}, {HttpAnswer{429, ""}, ""}, {kOk, ""}})));
  EXPECT_THAT(requests_, SizeIs(3));
  EXPECT_EQ(waits_, 2);
  for (const int status : {408, 500, 502, 504}) {
    EXPECT_TRUE(Check(Put({{HttpAnswer{status, ""}, ""}, {kOk, ""}}))) << status;
  }
}

TEST_F(HttpPutTest, IsMadeAgainWhenAnotherPutWasUnderWay) {
  const HttpAnswer conflict{409, "<Code>ConditionalRequestConflict</Code>"};
  EXPECT_TRUE(Check(Put({{conflict, ""}, {kOk, ""}})));
  EXPECT_FALSE(Check(Put({{conflict, "theirs"}, {kThere, ""}})));
}

// Written, the answer lost, made again, and refused by our own object.
TEST_F(HttpPutTest, IsTrueWhenALostAnswerWasAYes) {
  const Status reset = Status::IOError("connection reset");
  EXPECT_TRUE(Check(Put({{reset, "ours"}, {kThere, ""}})));
  EXPECT_TRUE(Check(Put({{HttpAnswer{500, ""}, "ours"}, {kThere, ""}})));
  EXPECT_TRUE(Check(Put({{reset, "ours"}, {kSlowDown, ""}, {kThere, ""}})));
}

TEST_F(HttpPutTest, IsFalseWhenALostAnswerWasANo) {
  const Status reset = Status::IOError("connection reset");
  EXPECT_FALSE(Check(Put({{reset, "theirs"}, {kThere, ""}})));
  EXPECT_FALSE(Check(Put({{reset, "our"}, {kThere, ""}})));
  EXPECT_FALSE(Check(Put({{kSlowDown, ""}, {kThere, "ours and more"}})));
}

// Neither true nor false is known then.
TEST_F(HttpPutTest, IsAnErrorWhenWhatIsThereCannotBeRead) {
  const auto put = Put({{Status::IOError("connection reset"), ""}, {kThere, ""}});
  EXPECT_FALSE(put.ok());
}

TEST_F(HttpPutTest, GivesUpAfterThreeAttempts) {
  const Step busy{kSlowDown, ""};
  const Status status = Put({busy, busy, busy}).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("503 (SlowDown)"));
  const Step silent{Status::IOError("Timeout was reached"), ""};
  EXPECT_THAT(Put({silent, silent, silent}).status().message(), HasSubstr("Timeout"));
}

TEST_F(HttpPutTest, WhatIsRefusedIsNotMadeAgain) {
  const std::vector<std::pair<HttpAnswer, ErrorKind>> cases = {
      {{403, "<Code>SignatureDoesNotMatch</Code><S>HUSH</S>"}, ErrorKind::kDenied},
      {{401, ""}, ErrorKind::kDenied},
      {{400, "<Code>ExpiredToken</Code>"}, ErrorKind::kDenied},
      {{404, "<Code>NoSuchBucket</Code>"}, ErrorKind::kNotFound},
      {{501, "<Code>NotImplemented</Code>"}, ErrorKind::kUnsupported},
      {{409, "<Code>ContainerBeingDeleted</Code>"}, ErrorKind::kUnavailable},
      {{301, ""}, ErrorKind::kUnavailable}};
  for (const auto& [answer, kind] : cases) {
    const Status status = Put({{answer, ""}}).status();
    EXPECT_EQ(KindOf(status), kind) << answer.status;
    EXPECT_THAT(status.message(), HasSubstr(std::to_string(answer.status)));
    EXPECT_THAT(status.message(), Not(HasSubstr("HUSH")));
  }
}

TEST_F(HttpPutTest, TellsWhatGoogleSays) {
  const HttpAnswer answer{403, R"({"error": {"code": 403, "message": "no right"}})"};
  EXPECT_THAT(Put({{answer, ""}}).status().message(), HasSubstr("no right"));
  for (const char* odd : {"[]", "{\"error\": 1}", "{\"error\": {\"message\": 2}}", "{"}) {
    EXPECT_FALSE(Put({{HttpAnswer{403, odd}, ""}}).ok());
  }
}

TEST_F(HttpPutTest, DeletesWhatIsThereOrNot) {
  const HttpAnswer denied{403, "<Code>AuthorizationPermissionMismatch</Code>"};
  EXPECT_TRUE(Delete({{HttpAnswer{202, ""}, ""}}).ok());
  EXPECT_TRUE(Delete({{HttpAnswer{404, "<Code>BlobNotFound</Code>"}, ""}}).ok());
  EXPECT_TRUE(Delete({{kSlowDown, ""},
                      {Status::IOError("connection reset"), ""},
                      {HttpAnswer{202, ""}, ""}})
                  .ok());
  EXPECT_THAT(requests_, SizeIs(3));
  EXPECT_EQ(waits_, 2);
  EXPECT_EQ(KindOf(Delete({{denied, ""}})), ErrorKind::kDenied);
  const HttpAnswer leased{412, "<Code>LeaseIdMissing</Code>"};
  const Status status = Delete({{leased, ""}});
  EXPECT_EQ(KindOf(status), ErrorKind::kUnavailable);
  EXPECT_THAT(status.message(),
              HasSubstr("the delete was answered by HTTP status 412 (LeaseIdMissing)"));
  EXPECT_FALSE(Delete({{kSlowDown, ""}, {kSlowDown, ""}, {kSlowDown, ""}}).ok());
}

TEST_F(HttpPutTest, DeletesNoBucket) {
  for (const char* path : {"b", "b/"}) {
    EXPECT_EQ(KindOf(Delete({}, path)), ErrorKind::kInvalidArgument) << path;
    EXPECT_THAT(requests_, SizeIs(0));
  }
}

TEST_F(HttpPutTest, AnUnknownServerIsTriedOnceBesideThePath) {
  const PutIfAbsent put =
      Make({{kOk, "probe"}, {kThere, ""}, {kOk, ""}, {kOk, ""}}, /*heeds=*/false);
  EXPECT_TRUE(Check(put("b/x", "1")));
  EXPECT_TRUE(Check(put("b/y", "2")));
  ASSERT_THAT(requests_, SizeIs(4));
  EXPECT_THAT(requests_[0].url, HasSubstr("b/_headrace_probe_"));
  EXPECT_EQ(requests_[1].url, requests_[0].url);
  EXPECT_NE(requests_[1].body, requests_[0].body);
  EXPECT_EQ(requests_[2].url, "b/x");
  EXPECT_EQ(Check(filesystem_->GetFileInfo(requests_[0].url)).type(),
            arrow::fs::FileType::NotFound);
}

TEST_F(HttpPutTest, AServerThatWritesOverWhatIsThereIsRefused) {
  const Status status = Make({{kOk, ""}, {kOk, ""}}, false)("b/x", "1").status();
  EXPECT_EQ(KindOf(status), ErrorKind::kUnsupported);
  EXPECT_THAT(status.message(), HasSubstr("commits would be lost"));
  EXPECT_THAT(requests_, SizeIs(2));  // none of b/x
}

TEST(PercentEncode, LeavesPlainAndKeptOnes) {
  EXPECT_EQ(PercentEncode("aZ0-._~/ %+=?#\xc3\xa9", "/"),
            "aZ0-._~/%20%25%2B%3D%3F%23%C3%A9");
  EXPECT_EQ(PercentEncode("a/b"), "a%2Fb");
}

}  // namespace
}  // namespace headrace::storage
