#include "lutra/qat/recording_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "lutra/qat/int8_folder.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::qat {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void WriteFloats(const std::filesystem::path& path,
                 const std::vector<float>& values) {
  WriteBytes(path, std::string(reinterpret_cast<const char*>(values.data()),
                               values.size() * sizeof(float)));
}

TEST(RecordingFolderTest, WindowsAndLabels) {
  const TempDir dir;
  WriteFloats(dir / "a.bin", {1, 2, 3, 4, 5, 6, 7});
  WriteFloats(dir / "b.bin", {8, 9});
  EXPECT_FALSE(IsRecordingFolder(dir.path()));
  WriteBytes(dir / "y_labels.csv", "a.bin,12,3\n");
  EXPECT_FALSE(IsRecordingFolder(dir.path()));
  WriteBytes(dir / "y_labels.csv", "b.bin,2,1,8,4\r\na.bin,2,0,8,12\n");
  EXPECT_TRUE(IsRecordingFolder(dir.path()));
  const LabelledRecordings data = LoadRecordingFolder(dir.path());
  EXPECT_EQ(data.windows.count, 3u);
  EXPECT_THAT(data.windows.images, ElementsAre(8, 9, 1, 2, 4, 5));
  EXPECT_THAT(data.windows.labels, ElementsAre(1, 0, 0));
  ASSERT_EQ(data.recordings.size(), 2u);
  EXPECT_EQ(data.recordings[0].windows, 1u);
  EXPECT_EQ(data.recordings[0].label, 1);
  EXPECT_EQ(data.recordings[1].windows, 2u);
}

TEST(RecordingFolderTest, BadFolders) {
  const TempDir dir;
  WriteFloats(dir / "a.bin", {1, 2, 3});
  WriteFloats(dir / "b.bin", {1, 2, 3});
  WriteFloats(dir / "nan.bin", {1, NAN, 3});
  const std::pair<const char*, const char*> lists[] = {
      {"a.bin,2,0,8,4\nb.bin,2,0\n", "line 2 is not"},
      {"a.bin,2,2,8,4\n", "line 1 is not"},
      {"../a.bin,2,1,8,4\n", "line 1 is not"},
      {"a.bin,2,1,8,4\na.bin,2,1,8,4\n", "line 2 names a sample again"},
      {"a.bin,3,1,8,4\n", "other than two classes"},
      {"a.bin,2,1,6,4\n", "not of whole float32"},
      {"a.bin,2,1,0,4\n", "not of whole float32"},
      {"a.bin,2,1,8,0\n", "not of whole float32"},
      {"a.bin,2,1,16,4\n", "a.bin: has 12 bytes, not a window of 16"},
      {"a.bin,2,1,8,4\nb.bin,2,1,4,4\n", "b.bin: has windows of 1 values"},
      {"nan.bin,2,1,8,4\n", "nan.bin: holds a number that is not finite"},
      {"none.bin,2,1,8,4\n", "none.bin: cannot open"},
  };
  for (const auto& [list, message] : lists) {
    WriteBytes(dir / "y_labels.csv", list);
    EXPECT_THAT(ErrorMessage([&] { LoadRecordingFolder(dir.path()); }),
                HasSubstr(message));
  }
}

}  // namespace
}  // namespace lutra::qat
