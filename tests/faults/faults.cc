// lutra_faults [--draws N] [--only COMMAND]: runs commands of lutra while calls
// of the C library fail, are interrupted, do half of the work, or end the
// process: the only difference that this may make is one line on standard error
// and the exit code 1, and a file is what it was before or what it is meant to
// be. Prints what was done; exits with 1 if something went wrong.

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/faults/commands.h"
#include "tests/faults/interpose.h"
#include "tests/faults/options.h"
#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"
#include "tests/tools/command.h"

namespace lutra::faults {
namespace {

namespace fs = std::filesystem;
using tools::Outcome;

struct Fault {
  lutra_call call;
  int error;   // errno, or a lutra_effect
  bool lasts;  // all calls after it fail as well
  const char* name;
  // A run must not notice.
  bool harmless = false;
  // What the line says; nullptr: the system's words for the error.
  const char* reason = nullptr;
};

constexpr const char* kMemory = "memory";
constexpr Fault kFaults[] = {
    {LUTRA_CALL_ALLOCATE, ENOMEM, false, "memory: one refused", false, kMemory},
    {LUTRA_CALL_ALLOCATE, ENOMEM, true, "memory: no more than is freed", false,
     kMemory},
    {LUTRA_CALL_OPEN, EMFILE, false, "open: EMFILE"},
    {LUTRA_CALL_OPEN, EIO, true, "open: EIO from then on"},
    {LUTRA_CALL_OPEN, LUTRA_EFFECT_KILL, false, "open: kill -9"},
    {LUTRA_CALL_OPEN_SYSTEM, ENOENT, true, "no more of /proc and /sys", true},
    // What cannot be looked at may not be there: its reader says so.
    {LUTRA_CALL_STAT, EIO, false, "stat: EIO", false, ""},
    {LUTRA_CALL_READ, EIO, false, "read: EIO"},
    {LUTRA_CALL_READ, EINTR, false, "read: EINTR", true},
    {LUTRA_CALL_READ, LUTRA_EFFECT_SHORT, true, "read: halves", true},
    {LUTRA_CALL_MAP, ENOMEM, false, "mmap: ENOMEM"},
    {LUTRA_CALL_WRITE, ENOSPC, true, "write: ENOSPC from then on"},
    {LUTRA_CALL_WRITE, EIO, false, "write: EIO"},
    {LUTRA_CALL_WRITE, EINTR, false, "write: EINTR", true},
    {LUTRA_CALL_WRITE, LUTRA_EFFECT_SHORT, true, "write: halves", true},
    {LUTRA_CALL_WRITE, LUTRA_EFFECT_KILL, false, "write: kill -9"},
    {LUTRA_CALL_LOCK, ENOLCK, true, "flock: ENOLCK", true},
    {LUTRA_CALL_CLOSE, EIO, false, "close: EIO"},
    {LUTRA_CALL_CLOSE, LUTRA_EFFECT_KILL, false, "close: kill -9"},
    {LUTRA_CALL_RENAME, EIO, false, "rename: EIO"},
    {LUTRA_CALL_RENAME, LUTRA_EFFECT_KILL, false, "rename: kill -9"},
    {LUTRA_CALL_MAKE_FOLDER, EACCES, false, "mkdir: EACCES"},
    {LUTRA_CALL_THREAD, EAGAIN, false, "thread: EAGAIN"},
    {LUTRA_CALL_CLOCK, LUTRA_EFFECT_FORWARD, false, "clock: one look ahead",
     true},
    {LUTRA_CALL_CLOCK, LUTRA_EFFECT_FORWARD, true, "clock: a day forward",
     true},
    {LUTRA_CALL_CLOCK, LUTRA_EFFECT_BACK, true, "date: a day back", true},
};

using Files = std::map<std::string, std::string>;

// What is in the folder "out".
Files Written() {
  Files files;
  for (const auto& entry : fs::recursive_directory_iterator("out")) {
    if (entry.is_regular_file()) {
      files[entry.path().string()] = ReadBytes(entry.path());
    }
  }
  return files;
}

void Put(const Files& files) {
  fs::remove_all("out");
  fs::create_directory("out");
  for (const auto& [path, bytes] : files) {
    fs::create_directories(fs::path(path).parent_path());
    WriteBytes(path, bytes);
  }
}

size_t CountLines(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

// A command that runs as it should.
class Subject {
 public:
  explicit Subject(const Command& command) : command_(command) {
    ::setenv("LUTRA_FAULT_COUNTS", "counts", 1);
    Put({});
    const Outcome first = Run();
    const Files files = Written();
    std::istringstream counts(ReadBytes("counts"));
    for (size_t& count : counts_) counts >> count;
    // Where there is something already.
    for (const auto& [path, bytes] : files) {
      // Folders of checkpoints and caches that are none are refused.
      if (!path.starts_with("out/checkpoint") && path != "out/cache") {
        before_[path] = "before";
      }
    }
    Put(before_);
    const Outcome second = Run();
    after_ = Written();
    ::unsetenv("LUTRA_FAULT_COUNTS");
    if (first.exit_code != 0 || second.exit_code != 0 || !second.err.empty()) {
      throw std::runtime_error(command.name + ": " + first.err + second.err);
    }
    prints_the_same_ = first.out == second.out;
    out_ = second.out;
    // Logs with speeds.
    for (const auto& [path, bytes] : after_) {
      if (files.at(path) != bytes) varying_.push_back(path);
    }
  }

  size_t Count(lutra_call call) const { return counts_[call]; }
  const Command& command() const { return command_; }

  // What is wrong with a run in which the n-th call is at fault, "" if nothing.
  // `failed`: it was refused, as it should be.
  std::string Try(const Fault& fault, size_t n, bool& failed) const {
    Put(before_);
    ::setenv("LUTRA_FAULT", Variable(fault, n).c_str(), 1);
    const Outcome outcome = Run();
    ::unsetenv("LUTRA_FAULT");
    failed = outcome.exit_code != 0;
    if (fault.error == LUTRA_EFFECT_KILL && failed) {
      return Killed(outcome);
    }
    if (!failed) {
      // Without knowledge of the CPU products of floats have other bits.
      return Succeeded(outcome, fault.call == LUTRA_CALL_OPEN_SYSTEM,
                       fault.call != LUTRA_CALL_CLOCK);
    }
    if (fault.harmless) return "failed: " + outcome.err;
    std::string problem = Refused(fault, outcome);
    return problem.empty() ? OldOrNew(false) : problem;
  }

  static std::string Variable(const Fault& fault, size_t n) {
    return std::to_string(fault.call) + " " + std::to_string(n) + " " +
           std::to_string(fault.error) + " " + (fault.lasts ? "1" : "0");
  }

 private:
  Outcome Run() const { return Run(command_.call); }
  Outcome Run(const std::vector<std::string>& call) const {
    return tools::RunLutra(call, {.input = command_.input});
  }

  bool Varies(const std::string& path) const {
    return std::find(varying_.begin(), varying_.end(), path) != varying_.end();
  }

  // Every file is there and whole.
  std::string Succeeded(const Outcome& outcome, bool other_bits = false,
                        bool same_output = true) const {
    if (outcome.exit_code != 0) return "failed: " + outcome.err;
    if (prints_the_same_ && same_output && !other_bits && outcome.out != out_) {
      return "prints something else";
    }
    const Files files = Written();
    for (const auto& [path, bytes] : after_) {
      const auto found = files.find(path);
      if (found == files.end()) return path + " is missing";
      const bool same = other_bits ? true
                        : Varies(path)
                            ? CountLines(found->second) == CountLines(bytes)
                            : found->second == bytes;
      if (!same) return path + " is another";
    }
    for (const auto& [path, bytes] : files) {
      // States of earlier checkpoints do no harm.
      if (!after_.contains(path) && !path.starts_with("out/checkpoint/")) {
        return path + " is left";
      }
    }
    return "";
  }

  // Every file is the old one or the new one.
  std::string OldOrNew(bool killed) const {
    const Files files = Written();
    for (const auto& [path, bytes] : before_) {
      if (!files.contains(path)) return path + " is lost";
    }
    for (const auto& [path, bytes] : files) {
      const auto old = before_.find(path);
      if (old != before_.end() && old->second == bytes) continue;
      const auto made = after_.find(path);
      if (made == after_.end()) {
        const bool temporary = path.ends_with(".tmp");
        if (!(killed && temporary) && !path.starts_with("out/checkpoint/")) {
          return path + " is left";
        }
      } else if (Varies(path) ? CountLines(bytes) > CountLines(made->second)
                              : bytes != made->second) {
        if (!path.starts_with("out/checkpoint/")) return path + " is damaged";
      }
    }
    return "";
  }

  // The next run is as if nothing had been.
  std::string Killed(const Outcome& outcome) const {
    if (outcome.signal != SIGKILL) return "ended by itself";
    std::string problem = OldOrNew(true);
    if (!problem.empty()) return problem;
    if (!command_.go_on.empty() &&
        fs::exists("out/checkpoint/model.safetensors")) {
      const Outcome next = Run(command_.go_on);
      if (next.exit_code != 0) return "does not go on: " + next.err;
      for (const auto& [path, bytes] : Written()) {
        if (after_.contains(path) && !Varies(path) &&
            bytes != after_.at(path)) {
          return "goes on to another " + path;
        }
      }
      return "";
    }
    problem = Succeeded(Run());
    return problem.empty() ? "" : "afterwards: " + problem;
  }

  // One line says why.
  std::string Refused(const Fault& fault, const Outcome& outcome) const {
    if (outcome.signal != 0) {
      return "ended by signal " + std::to_string(outcome.signal) + ": " +
             outcome.err;
    }
    if (outcome.exit_code != 1) {
      return "exit code " + std::to_string(outcome.exit_code);
    }
    std::istringstream lines(outcome.err);
    std::string error;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("lutra: warning: ")) continue;
      if (!error.empty() || !line.starts_with("lutra: error: ")) {
        return "not one line: " + outcome.err;
      }
      error = line;
    }
    const char* reason =
        fault.reason != nullptr ? fault.reason : std::strerror(fault.error);
    if (error.find(reason) == std::string::npos) {
      return "does not say '" + std::string(reason) + "': " + error;
    }
    if (fault.call == LUTRA_CALL_ALLOCATE || fault.call == LUTRA_CALL_THREAD) {
      return "";
    }
    // Which file it was.
    for (const auto& entry : fs::directory_iterator(".")) {
      if (error.find(entry.path().filename().string()) != std::string::npos) {
        return "";
      }
    }
    return "names no file: " + error;
  }

  const Command& command_;
  std::array<size_t, LUTRA_CALL_COUNT> counts_ = {};
  Files before_;
  Files after_;
  std::vector<std::string> varying_;
  std::string out_;
  bool prints_the_same_ = false;
};

struct Row {
  size_t runs = 0;
  size_t refused = 0;
  size_t bad = 0;
};

// The numbers of calls, or `draws` of them.
std::vector<size_t> Draw(size_t count, size_t draws, std::mt19937_64& rng) {
  std::vector<size_t> numbers;
  if (draws == 0 || count <= draws) {
    for (size_t n = 1; n <= count; ++n) numbers.push_back(n);
    return numbers;
  }
  for (size_t i = 0; i < draws; ++i) {  // one of each part
    const size_t begin = count * i / draws;
    const size_t end = count * (i + 1) / draws;
    numbers.push_back(begin + 1 + rng() % (end - begin));
  }
  return numbers;
}

int RunAll(size_t draws, std::string_view only) {
  std::vector<Command> commands = Commands();
  if (!only.empty()) {
    std::erase_if(commands,
                  [only](const Command& each) { return each.name != only; });
    if (commands.empty()) {
      std::string names;
      for (const Command& each : Commands()) names += "\n  " + each.name;
      throw std::invalid_argument("no command '" + std::string(only) +
                                  "'; there are" + names);
    }
  }
  const TempDir dir;
  fs::current_path(dir.path());
  MakeSources();
  ::setenv("LD_PRELOAD", LUTRA_FAULTS_LIBRARY, 1);
  std::mt19937_64 rng(1);
  Row rows[std::size(kFaults)];
  size_t bad = 0;
  for (const Command& command : commands) {
    const Subject subject(command);
    for (size_t i = 0; i < std::size(kFaults); ++i) {
      const Fault& fault = kFaults[i];
      for (const size_t n : Draw(subject.Count(fault.call), draws, rng)) {
        bool failed = false;
        const std::string problem = subject.Try(fault, n, failed);
        ++rows[i].runs;
        if (!problem.empty()) {
          ++rows[i].bad;
          ++bad;
          std::fprintf(stderr, "%s, %s, call %zu (LUTRA_FAULT='%s'): %s\n",
                       command.name.c_str(), fault.name, n,
                       Subject::Variable(fault, n).c_str(), problem.c_str());
        } else if (failed) {
          ++rows[i].refused;
        }
      }
    }
  }
  std::printf("| %-29s | %6s | %9s | %7s | %5s |\n", "fault", "runs",
              "survived", "refused", "wrong");
  std::printf("| :%s | %s: | %s: | %s: | %s: |\n",
              "----------------------------", "-----", "--------", "------",
              "----");
  for (size_t i = 0; i < std::size(kFaults); ++i) {
    const Row& row = rows[i];
    std::printf("| %-29s | %6zu | %9zu | %7zu | %5zu |\n", kFaults[i].name,
                row.runs, row.runs - row.refused - row.bad, row.refused,
                row.bad);
  }
  fs::current_path("/");
  return bad == 0 ? 0 : 1;
}

}  // namespace
}  // namespace lutra::faults

int main(int argc, char** argv) {
  try {
    std::map<std::string_view, std::string> options = {{"--draws", "50"},
                                                       {"--only", ""}};
    lutra::faults::ReadOptions(argc, argv, options);
    const uint64_t draws =
        lutra::faults::Number("--draws", options["--draws"], 0);
    return lutra::faults::RunAll(draws, options["--only"]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lutra_faults: %s\n", error.what());
    return 2;
  }
}
