#include "gang/wire.h"

#include <gtest/gtest.h>

#include <string>

namespace headrace::gang {
namespace {

TEST(Wire, FramesComeByteByByte) {
  const std::string sent =
      FrameWriter(FrameType::kReport).Bytes("one").Finish() +
      FrameWriter(FrameType::kHeartbeat).Finish() +
      FrameWriter(FrameType::kCollected).Number(7).Bytes("").Finish();
  FrameBuffer buffer;
  std::vector<Frame> frames;
  for (const char byte : sent) {
    buffer.Append({&byte, 1});
    while (auto frame = *buffer.Next()) frames.push_back(std::move(*frame));
  }
  ASSERT_EQ(frames.size(), 3);
  EXPECT_EQ(frames[0].type, FrameType::kReport);
  FrameReader report(frames[0].body);
  EXPECT_EQ(report.Bytes(), "one");
  EXPECT_TRUE(report.ok());
  EXPECT_TRUE(frames[1].body.empty());
  FrameReader collected(frames[2].body);
  EXPECT_EQ(collected.Number(), 7);
  EXPECT_EQ(collected.Bytes(), "");
  EXPECT_TRUE(collected.ok());
}

TEST(Wire, MissingFieldsAreEmptyAndNotOk) {
  for (const std::string& body : {std::string(), std::string(7, 'x'), std::string(8, 'x'),
                                  std::string(8, '\xff')}) {
    FrameReader reader(body);
    EXPECT_EQ(reader.Bytes(), "");
    EXPECT_EQ(reader.Number(), 0);
    EXPECT_FALSE(reader.ok());
  }
  FrameReader more(std::string_view("12345678rest", 12));
  more.Number();
  EXPECT_FALSE(more.ok());
}

TEST(Wire, FramesHaveALimit) {
  FrameBuffer buffer;
  buffer.Append(FrameWriter(FrameType::kHello).Bytes(std::string(100, 's')).Finish());
  EXPECT_EQ(KindOf(buffer.Next(/*bytes_max=*/50).status()), ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace headrace::gang
