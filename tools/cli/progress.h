#ifndef LUTRA_TOOLS_CLI_PROGRESS_H_
#define LUTRA_TOOLS_CLI_PROGRESS_H_

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace lutra::tools {

// A line on stderr that is overwritten as work goes on, and erased at the end.
// Nothing appears unless stderr is a terminal.
class Progress {
 public:
  Progress();
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Both redraw only so often as eyes follow.
  void Show(std::string_view text);
  // "text: 37 of 100".
  void Show(std::string_view text, size_t done, size_t total);
  // "text: 37 %, 12.3 million weights/s, 45 s left", by the work done since
  // this was made; `unit` is what is counted, e.g. "weights".
  void ShowRate(std::string_view text, size_t done, size_t total,
                std::string_view unit);
  // Erases the line, before other output.
  void Clear();

 private:
  const bool enabled_;
  bool drawn_ = false;
  const std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_PROGRESS_H_
