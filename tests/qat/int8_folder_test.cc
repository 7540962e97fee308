#include "lutra/qat/int8_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"

namespace lutra::qat {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Int8FolderTest : public ::testing::Test {
 protected:
  Int8FolderTest() {
    WriteBytes(dir_ / "a.bin", std::string("\x80\x00\x7f", 3));
    WriteBytes(dir_ / "b.bin", std::string("\x01\xff\x02", 3));
  }

  void List(const std::string& text) {
    WriteBytes(dir_ / "y_labels.csv", text);
  }
  std::string Message() {
    return ErrorMessage([&] { LoadInt8Folder(dir_.path(), 1, 0); });
  }

  TempDir dir_;
};

TEST_F(Int8FolderTest, ValuesAndClasses) {
  EXPECT_FALSE(IsInt8Folder(dir_.path()));
  List("b.bin,12,3\r\na.bin,12,11\n\n");
  EXPECT_TRUE(IsInt8Folder(dir_.path()));
  const LabelledImages data = LoadInt8Folder(dir_.path(), 0.5, -2);
  EXPECT_EQ(data.count, 2u);
  EXPECT_THAT(data.image_shape, ElementsAre(3));
  EXPECT_THAT(data.images, ElementsAre(1.5f, 0.5f, 2, -63, 1, 64.5f));
  EXPECT_THAT(data.labels, ElementsAre(3, 11));
  EXPECT_THAT(LoadInt8Folder(dir_.path(), 0.5, 1, true).images,
              ElementsAre(0, 127, 0.5f, 63.5f, -0.5f, 63));
  EXPECT_EQ(data.Classes(), 12u);
}

TEST_F(Int8FolderTest, BadFolders) {
  EXPECT_THAT(Message(), HasSubstr("y_labels.csv: cannot open"));
  for (const char* line : {"a.bin", "a.bin,12", "a.bin,12,12", "a.bin,300,299",
                           "a.bin,x,1", "a.bin,12,-1", "a.bin,12,1x", ",12,1",
                           "../a.bin,12,1", "/a.bin,12,1", "..,12,1"}) {
    List(std::string("b.bin,12,1\n") + line + "\n");
    EXPECT_THAT(Message(), HasSubstr("y_labels.csv: line 2 is not")) << line;
  }
  List("a.bin,12,1\nb.bin,12,1\na.bin,12,1\n");
  EXPECT_THAT(Message(), HasSubstr("line 3 names a sample again"));
  List("a.bin,12,1\nnone.bin,12,1\n");
  EXPECT_THAT(Message(), HasSubstr("none.bin: cannot open"));
  WriteBytes(dir_ / "c.bin", "ab");
  List("a.bin,12,1\nc.bin,12,1\n");
  EXPECT_THAT(Message(),
              HasSubstr("c.bin: has 2 bytes, but the first sample has 3"));
  WriteBytes(dir_ / "c.bin", "");
  EXPECT_THAT(Message(), HasSubstr("c.bin: is empty"));
}

TEST_F(Int8FolderTest, KeywordSpotting) {
  const auto folder = TestData("data/kws-mlperf-tiny/kws01");
  if (!folder) GTEST_SKIP() << "no test data";
  const LabelledImages data = LoadInt8Folder(*folder, 0.5847029089927673, 83);
  EXPECT_EQ(data.count, 1000u);
  EXPECT_EQ(data.Features(), 490u);
  EXPECT_EQ(data.Classes(), 12u);
  EXPECT_EQ(data.labels[0], 7);
}

}  // namespace
}  // namespace lutra::qat
