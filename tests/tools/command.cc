#include "tests/tools/command.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>

#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"

extern char** environ;

namespace lutra::tools {
namespace {

// A pipe that nobody reads.
int ClosedPipe() {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
  ::close(ends[0]);
  return ends[1];
}

// Both ends of a pipe, closed in the end.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  }
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int reader() const { return ends_[0]; }

 private:
  int ends_[2];
};

// Limits the files of this process and of those it starts.
class FileLimit {
 public:
  explicit FileLimit(size_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    struct rlimit limit = before_;
    if (bytes != 0) limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  struct rlimit before_ = {};
};

int Open(const std::filesystem::path& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (descriptor < 0) throw std::runtime_error("cannot open " + path.string());
  return descriptor;
}

// Waits until `ready`, but not for ever, and interrupts the process.
template <typename Condition>
void Interrupt(pid_t child, const Condition& ready) {
  constexpr int kAttempts = 30000;
  for (int i = 0; i < kAttempts && !ready(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ::kill(child, SIGINT);
}

}  // namespace

Outcome RunLutra(const std::vector<std::string>& arguments,
                 Stdout destination) {
  return RunLutra(arguments, RunSettings{.destination = destination});
}

Outcome RunLutra(const std::vector<std::string>& arguments,
                 const RunSettings& settings) {
  const TempDir dir;
  WriteBytes(dir / "in", settings.input);
  const int in = Open(dir / "in", O_RDONLY);
  int out = -1;
  switch (settings.destination) {
    case Stdout::kCaptured:
      out = Open(dir / "out", O_WRONLY | O_CREAT);
      break;
    case Stdout::kClosedPipe:
      out = ClosedPipe();
      break;
    case Stdout::kFullDisk:
      out = Open("/dev/full", O_WRONLY);
      break;
  }
  const int err = Open(dir / "err", O_WRONLY | O_CREAT);

  std::vector<std::string> words = {LUTRA_COMMAND};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  const Pipe silence;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(
      &actions, settings.silent_input ? silence.reader() : in, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  pid_t child = 0;
  int failure = 0;
  {
    const FileLimit limit(settings.file_limit);
    failure =
        ::posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ);
  }
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(in);
  ::close(out);
  ::close(err);
  if (failure != 0) throw std::runtime_error("cannot start " + words[0]);

  if (settings.interrupt) {
    Interrupt(child, [&] { return std::filesystem::file_size(dir / "out"); });
  }
  if (!settings.interrupt_on_file.empty()) {
    Interrupt(child, [&] {
      return !std::filesystem::is_empty(settings.interrupt_on_file);
    });
  }
  int status = 0;
  struct rusage usage = {};
  while (settings.silent_input &&
         ::wait4(child, &status, WNOHANG, &usage) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    ::kill(child, SIGINT);
  }
  if (!settings.silent_input) ::wait4(child, &status, 0, &usage);
  Outcome outcome;
  outcome.peak_bytes = static_cast<size_t>(usage.ru_maxrss) * 1024;
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
  if (settings.destination == Stdout::kCaptured)
    outcome.out = ReadBytes(dir / "out");
  outcome.err = ReadBytes(dir / "err");
  return outcome;
}

std::string OutputOf(const std::vector<std::string>& arguments) {
  const Outcome outcome = RunLutra(arguments);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  return outcome.out;
}

void ExpectError(const Outcome& outcome) {
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.err.starts_with("lutra: error: ")) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  EXPECT_LT(outcome.err.size(), 2000u);
}

std::vector<std::string> FilesIn(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace lutra::tools
