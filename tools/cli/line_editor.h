#ifndef LUTRA_TOOLS_CLI_LINE_EDITOR_H_
#define LUTRA_TOOLS_CLI_LINE_EDITOR_H_

#include <memory>
#include <string>

namespace lutra::tools {

// Lines from standard input. Where that and standard output are a terminal, and
// the build has libedit, they can be edited, and earlier ones come back (arrow
// keys and the like; ~/.editrc is read).
class LineEditor {
 public:
  LineEditor();
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // Shows the prompt and sets the line, without its end. False at the end of
  // input, and when a signal comes.
  bool Read(const std::string& prompt, std::string& line);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;  // nullptr where nothing is edited
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_LINE_EDITOR_H_
