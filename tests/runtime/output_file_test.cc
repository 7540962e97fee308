#include "lutra/runtime/output_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>

#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

TEST(OutputFileTest, AppearsOnCommit) {
  const TempDir dir;
  const auto path = dir / "out";
  OutputFile file(path);
  file.Append("abc");
  file.Append("def");
  const std::array<std::byte, 1> x = {std::byte{'X'}};
  file.WriteAt(1, x);
  file.WriteAt(8, x);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(ReadBytes(file.temporary()), std::string("aXcdef\0\0X", 9));
  file.Commit();
  EXPECT_EQ(ReadBytes(path), std::string("aXcdef\0\0X", 9));
}

TEST(OutputFileTest, ReplacesAndRespectsTheUmask) {
  const TempDir dir;
  const auto path = dir / "out";
  WriteBytes(path, "a longer text than the new one");
  const mode_t old_mask = ::umask(027);
  {
    OutputFile file(path);
    file.Append("new");
    file.Commit();
  }
  ::umask(old_mask);
  EXPECT_EQ(ReadBytes(path), "new");
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0640u);
}

TEST(OutputFileTest, SeveralWritersOfOnePathDoNotMix) {
  const TempDir dir;
  const auto path = dir / "out";
  OutputFile a(path);
  OutputFile b(path);
  a.Append("first");
  b.Append("second, which is longer");
  b.Commit();
  a.Commit();
  EXPECT_EQ(ReadBytes(path), "first");
}

// A process of the same number that was killed left its temporary files.
TEST(OutputFileTest, LeftoversAreNotInTheWay) {
  const TempDir dir;
  const auto path = dir / "out";
  for (int i = 0; i < 50; ++i) {
    WriteBytes(path.string() + "." + std::to_string(::getpid()) + "." +
                   std::to_string(i) + ".tmp",
               "leftover");
  }
  OutputFile file(path);
  file.Append("text");
  file.Commit();
  EXPECT_EQ(ReadBytes(path), "text");
}

TEST(OutputFileTest, RefusesWhatIsNoFile) {
  const TempDir dir;
  EXPECT_THAT(ErrorMessage([&] { OutputFile(dir.path()); }),
              HasSubstr("is a folder"));
  EXPECT_THAT(ErrorMessage([&] { OutputFile("/dev/null"); }),
              HasSubstr("not a regular file"));
  EXPECT_THAT(ErrorMessage([&] { OutputFile(dir / "none" / "out"); }),
              HasSubstr("No such file"));
}

// The target turned into something else while it was written.
TEST(OutputFileTest, ReportsAFailedRename) {
  const TempDir dir;
  const auto path = dir / "out";
  {
    OutputFile file(path);
    std::filesystem::create_directory(path);
    EXPECT_THAT(ErrorMessage([&] { file.Commit(); }),
                HasSubstr("out: cannot write"));
  }
  std::filesystem::remove(path);
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace lutra
