#include "storage/faulty.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "storage/storage.h"
#include "tests/cpp/lake.h"

namespace headrace::storage {
namespace {

using testing::Check;
using ::testing::HasSubstr;

class FaultyTest : public ::testing::Test {
 protected:
  FaultyTest() {
    testing::WriteFile(path_, "0123456789");
    InstallFaulty(faults_);
    std::string path;
    storage_ = Check(Storage::FromUri("faulty://" + path_, {}, &path));
    EXPECT_EQ(path, path_);
  }

  Result<std::string> Read() {
    ARROW_ASSIGN_OR_RAISE(auto file, storage_->Open({path_, "x", 10, 0}));
    ARROW_ASSIGN_OR_RAISE(auto bytes, file->ReadAt(0, 8));
    return bytes->ToString();
  }

  testing::TempDir folder_;
  std::string path_ = folder_ / "x";
  std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
  std::shared_ptr<Storage> storage_;
};

TEST_F(FaultyTest, CountsEachCallOfEachFile) {
  EXPECT_EQ(Check(Read()), "01234567");
  EXPECT_EQ(Check(Read()), "01234567");
  Check(storage_->List(path_));
  using Counts = std::map<std::pair<Operation, std::string>, int64_t>;
  EXPECT_EQ(faults_->counts(), (Counts{{{Operation::kInfo, path_}, 1},
                                       {{Operation::kOpen, path_}, 2},
                                       {{Operation::kRead, path_}, 2}}));
  EXPECT_FALSE(faults_->struck());
}

TEST_F(FaultyTest, StrikesTheCallThatWasArmedOnly) {
  faults_->Arm({Operation::kRead, path_, 2}, Fault::kFail);
  EXPECT_EQ(Check(Read()), "01234567");
  EXPECT_FALSE(faults_->struck());
  EXPECT_THAT(Read().status().message(), HasSubstr("struck"));
  EXPECT_TRUE(faults_->struck());
  EXPECT_EQ(Check(Read()), "01234567");
}

TEST_F(FaultyTest, StrikesEachCallFromTheOneOnIfLasting) {
  faults_->Arm({Operation::kOpen, path_, 2}, Fault::kErrno, /*lasting=*/true);
  EXPECT_EQ(Check(Read()), "01234567");
  EXPECT_FALSE(Read().ok());
  const Status status = Read().status();
  EXPECT_EQ(KindOf(status), ErrorKind::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("faulty://" + path_));
  faults_->Disarm();
  EXPECT_EQ(Check(Read()), "01234567");
}

TEST_F(FaultyTest, DamagesBytesAsItSays) {
  const auto read_with = [&](Fault fault) {
    faults_->Arm({Operation::kRead, path_, 1}, fault);
    return Check(Read());
  };
  EXPECT_EQ(read_with(Fault::kDelay), "01234567");
  EXPECT_EQ(read_with(Fault::kCut), "0123");
  EXPECT_EQ(read_with(Fault::kFlip), std::string("0123456") + static_cast<char>(~'7'));
  const std::string block = read_with(Fault::kBlock);
  EXPECT_EQ(block.substr(0, 2), "01");
  EXPECT_EQ(block.substr(6), "67");
  for (size_t i = 2; i < 6; ++i) EXPECT_EQ(block[i], static_cast<char>(('0' + i) ^ 0xa5));
}

TEST_F(FaultyTest, HalvesSizes) {
  faults_->Arm({Operation::kInfo, path_, 1}, Fault::kCut);
  EXPECT_EQ(Check(storage_->List(path_))[0].size, 5);
}

/// Writes a file in two calls, and closes it.
Status Written(const Storage& storage, const std::string& path) {
  ARROW_ASSIGN_OR_RAISE(auto stream, storage.Create(path));
  ARROW_RETURN_NOT_OK(stream->Write("0123", 4));
  ARROW_RETURN_NOT_OK(stream->Write("4567", 4));
  return stream->Close();
}

TEST_F(FaultyTest, CountsCallsThatWrite) {
  const std::string path = folder_.path() + "/new/y";
  Check(Written(*storage_, path));
  EXPECT_TRUE(Check(storage_->PutIfAbsent(path + "1", "a")));
  EXPECT_FALSE(Check(storage_->PutIfAbsent(path + "1", "b")));
  Check(storage_->Delete(path + "1"));
  using Counts = std::map<std::pair<Operation, std::string>, int64_t>;
  EXPECT_EQ(faults_->counts(), (Counts{{{Operation::kCreate, path}, 1},
                                       {{Operation::kWrite, path}, 2},
                                       {{Operation::kClose, path}, 1},
                                       {{Operation::kPut, path + "1"}, 2},
                                       {{Operation::kDelete, path + "1"}, 1}}));
  EXPECT_EQ(Check(storage_->ReadAll(path))->ToString(), "01234567");
}

TEST_F(FaultyTest, StrikesCallsThatWrite) {
  const std::string path = folder_ / "y";
  for (const Operation operation :
       {Operation::kCreate, Operation::kWrite, Operation::kClose}) {
    for (const Fault fault : {Fault::kFail, Fault::kErrno, Fault::kThrottle, Fault::kLost,
                              Fault::kCut, Fault::kFlip}) {
      faults_->Arm({operation, path, 1}, fault);
      const Status status = Written(*storage_, path);
      EXPECT_THAT(status.message(), HasSubstr("struck")) << fault;
      EXPECT_TRUE(faults_->struck()) << fault;
    }
  }
}

TEST_F(FaultyTest, AWriteThatIsCutLeavesHalfOfIt) {
  const std::string path = folder_ / "y";
  faults_->Arm({Operation::kWrite, path, 2}, Fault::kCut);
  EXPECT_FALSE(Written(*storage_, path).ok());
  EXPECT_EQ(Check(storage_->ReadAll(path))->ToString(), "012345");
}

TEST_F(FaultyTest, APutFailsBeforeItIsDoneOrAfter) {
  const std::string path = folder_ / "y";
  faults_->Arm({Operation::kPut, path, 1}, Fault::kFail);
  EXPECT_EQ(KindOf(storage_->PutIfAbsent(path, "a").status()), ErrorKind::kUnavailable);
  EXPECT_EQ(KindOf(storage_->ReadAll(path).status()), ErrorKind::kNotFound);
  faults_->Arm({Operation::kPut, path, 1}, Fault::kLost);
  EXPECT_EQ(KindOf(storage_->PutIfAbsent(path, "a").status()), ErrorKind::kUnavailable);
  EXPECT_EQ(Check(storage_->ReadAll(path))->ToString(), "a");
  EXPECT_FALSE(Check(storage_->PutIfAbsent(path, "b")));
}

TEST_F(FaultyTest, ADeleteFailsBeforeItIsDoneOrAfter) {
  faults_->Arm({Operation::kDelete, path_, 1}, Fault::kFail);
  EXPECT_FALSE(storage_->Delete(path_).ok());
  EXPECT_TRUE(Read().ok());
  faults_->Arm({Operation::kDelete, path_, 1}, Fault::kLost);
  EXPECT_FALSE(storage_->Delete(path_).ok());
  EXPECT_EQ(KindOf(Read().status()), ErrorKind::kNotFound);
}

TEST_F(FaultyTest, KnowsWhichFilesAreHeld) {
  auto file = Check(storage_->Open({path_, "x", 10, 0}));
  EXPECT_EQ(faults_->open_files(), 1);
  file.reset();
  EXPECT_EQ(faults_->open_files(), 0);
}

TEST(AddScheme, IsUnknownUntilAdded) {
  std::string path;
  EXPECT_THAT(Storage::FromUri("nowhere:///x", {}, &path).status().message(),
              HasSubstr("scheme \"nowhere\" is unknown"));
}

}  // namespace
}  // namespace headrace::storage
