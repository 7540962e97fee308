// lutra chat on a terminal.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "lutra/runtime/chat_data.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"
#include "tests/tools/command.h"

namespace lutra::tools {
namespace {

using ::testing::HasSubstr;

// A program that believes to talk to a person.
class Terminal {
 public:
  explicit Terminal(const std::vector<std::string>& call) {
    std::vector<char*> arguments;
    for (const std::string& each : call) {
      arguments.push_back(const_cast<char*>(each.c_str()));
    }
    arguments.push_back(nullptr);
    pid_ = forkpty(&fd_, nullptr, nullptr, nullptr);
    if (pid_ != 0) return;
    setenv("TERM", "xterm", 1);
    setenv("HOME", "/nowhere", 1);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  ~Terminal() {
    close(fd_);
    waitpid(pid_, nullptr, 0);
  }

  // What is typed before the editor listens is the terminal's.
  void Type(const std::string& keys) {
    termios mode = {};
    for (int i = 0; i < 10'000; ++i) {
      EXPECT_EQ(tcgetattr(fd_, &mode), 0);
      if ((mode.c_lflag & ICANON) == 0) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(write(fd_, keys.data(), keys.size()),
              static_cast<ssize_t>(keys.size()));
  }

  // What appears up to a text, or the end.
  std::string Until(const std::string& text) {
    std::string shown;
    pollfd ready = {fd_, POLLIN, 0};
    constexpr int kPatience = 60'000;  // ms
    char byte = 0;
    while (poll(&ready, 1, kPatience) == 1 && read(fd_, &byte, 1) == 1) {
      shown += byte;
      if (!text.empty() && shown.ends_with(text)) break;
    }
    return shown;
  }

  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  int fd_ = -1;
  pid_t pid_ = -1;
};

TEST(TerminalChat, LinesAreEdited) {
  TempDir dir;
  const std::string model = (dir / "m.safetensors").string();
  ChatData data;
  data.templates = {{"default",
                     "{% for m in messages %}{{ m.role }}. {{ m.content }}. "
                     "{% endfor %}assistant. "}};
  auto builder = TinyLanguage{.context = 400}.Build();
  builder.Metadata(kChatKey, ChatDataToJson(data));
  builder.Write(model);
  const std::vector<std::string> options = {
      "chat", model, "--quiet", "--temperature", "0", "-n", "12"};
  std::vector<std::string> call = {LUTRA_COMMAND};
  call.insert(call.end(), options.begin(), options.end());
  Terminal terminal(call);
  terminal.Until("> ");
  // A mistake that is mended: back, deleted, written anew.
  terminal.Type(
      "the h\xC3\xA9n\x1B[D\x7F"
      "e\r");
  terminal.Until("\n");
  terminal.Until("> ");
  terminal.Type("/history\r");
  terminal.Until("\n");
  EXPECT_THAT(terminal.Until("> "), HasSubstr("[user] the hen\r\n"));
  // The line before the last one, from the history.
  terminal.Type("\x1B[A\x1B[A a\r");
  terminal.Until("\n");
  terminal.Until("> ");
  terminal.Type("/history\r");
  terminal.Until("\n");
  EXPECT_THAT(terminal.Until("> "), HasSubstr("[user] the hen a\r\n"));
  // Ctrl-C where there is no answer ends the command.
  terminal.Type("half\x03");
  terminal.Until("");
  EXPECT_EQ(terminal.Wait(), 130);
}

}  // namespace
}  // namespace lutra::tools
