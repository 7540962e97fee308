#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cwchar>
#include <iostream>
#include <string_view>

#include "lutra/runtime/error.h"
#include "tools/cli/line_editor.h"

namespace lutra::tools {
namespace {

constexpr int kHistory = 1000;  // lines

bool HasTerminal() {
  return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
}

// A character from the terminal. libedit's own way reads on after a signal,
// where a Ctrl-C is to end the line.
int ReadCharacter(EditLine*, wchar_t* character) {
  std::mbstate_t state = {};
  for (;;) {
    char byte = 0;
    const ssize_t count = read(STDIN_FILENO, &byte, 1);
    if (count <= 0) return static_cast<int>(count);
    switch (std::mbrtowc(character, &byte, 1, &state)) {
      case static_cast<size_t>(-2):  // more bytes
        break;
      case static_cast<size_t>(-1):  // none; left out
        state = {};
        break;
      default:
        return 1;
    }
  }
}

}  // namespace

class LineEditor::Impl {
 public:
  Impl() {
    // What a character is; where nobody says, UTF-8.
    std::setlocale(LC_CTYPE, "");
    if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") {
      std::setlocale(LC_CTYPE, "C.UTF-8");
    }
    edit_ = el_init("lutra", stdin, stdout, stderr);
    history_ = history_init();
    if (edit_ == nullptr || history_ == nullptr) {
      Free();
      throw Error("cannot set up the terminal");
    }
    HistEvent event;
    history(history_, &event, H_SETSIZE, kHistory);
    history(history_, &event, H_SETUNIQUE, 1);
    el_set(edit_, EL_CLIENTDATA, this);
    el_set(edit_, EL_PROMPT, &Impl::Prompt);
    el_set(edit_, EL_EDITOR, "emacs");
    el_set(edit_, EL_SIGNAL, 0);
    el_set(edit_, EL_HIST, history, history_);
    el_set(edit_, EL_GETCFN, &ReadCharacter);
    el_source(edit_, nullptr);
  }
  ~Impl() { Free(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  bool Read(const std::string& prompt, std::string& line) {
    prompt_ = prompt;
    int count = 0;
    const char* const text = el_gets(edit_, &count);
    if (text == nullptr || count <= 0) return false;
    line.assign(text, static_cast<size_t>(count));
    if (line.back() == '\n') line.pop_back();
    if (!line.empty()) {
      HistEvent event;
      history(history_, &event, H_ENTER, line.c_str());
    }
    return true;
  }

 private:
  static char* Prompt(EditLine* edit) {
    Impl* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return self->prompt_.data();
  }

  void Free() {
    if (history_ != nullptr) history_end(history_);
    if (edit_ != nullptr) el_end(edit_);
  }

  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
  std::string prompt_;
};

LineEditor::LineEditor() {
  if (HasTerminal()) impl_ = std::make_unique<Impl>();
}
LineEditor::~LineEditor() = default;

bool LineEditor::Read(const std::string& prompt, std::string& line) {
  std::cout << (impl_ ? "" : prompt) << std::flush;
  if (impl_ != nullptr) return impl_->Read(prompt, line);
  return static_cast<bool>(std::getline(std::cin, line));
}

}  // namespace lutra::tools
