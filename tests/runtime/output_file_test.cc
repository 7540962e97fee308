#include "lutra/runtime/output_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <string>

#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

size_t CountFiles(const std::filesystem::path& folder) {
  return static_cast<size_t>(
      std::distance(std::filesystem::directory_iterator(folder),
                    std::filesystem::directory_iterator()));
}

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

std::string Temporary(const std::string& name, int process, int count) {
  return name + "." + std::to_string(process) + "." + std::to_string(count) +
         ".tmp";
}

TEST(OutputFileTest, LeftoversAreRemoved) {
  const TempDir dir;
  const auto path = dir / "out";
  for (int i = 0; i < 50; ++i) {
    WriteBytes(Temporary(path, ::getpid(), i), "leftover");
    WriteBytes(Temporary(path, 1, i), "leftover");
  }
  OutputFile file(path);
  file.Append("text");
  file.Commit();
  EXPECT_EQ(ReadBytes(path), "text");
  EXPECT_EQ(CountFiles(dir.path()), 1u);
}

TEST(OutputFileTest, OnlyLeftoversOfThePathAreRemoved) {
  const TempDir dir;
  const OutputFile living(dir / "out");
  const std::string names[] = {
      "other.12.0.tmp", "out.tmp",     "out.0.tmp",       "out.12..tmp",
      "out.12.0.t",     "out.a.0.tmp", "an.out.12.0.tmp", "out.12.0.tmp.tmp"};
  for (const std::string& name : names) WriteBytes(dir / name, "kept");
  const OutputFile file(dir / "out");
  EXPECT_TRUE(std::filesystem::exists(living.temporary()));
  for (const std::string& name : names) {
    EXPECT_TRUE(std::filesystem::exists(dir / name)) << name;
  }
}

// A writer that is killed has no time to remove anything.
TEST(OutputFileTest, FileOfAKilledProcessIsRemoved) {
  const TempDir dir;
  const auto path = dir / "out";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const OutputFile file(path);
    ::close(ends[1]);  // the parent may go on
    ::alarm(60);       // whatever becomes of the parent
    for (;;) ::pause();
  }
  ::close(ends[1]);
  char none = 0;
  EXPECT_EQ(::read(ends[0], &none, 1), 0);
  ::close(ends[0]);
  { const OutputFile second(path); }
  EXPECT_EQ(CountFiles(dir.path()), 1u) << "of a process that lives";
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  { const OutputFile third(path); }
  EXPECT_EQ(CountFiles(dir.path()), 0u);
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
