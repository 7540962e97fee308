#include "tools/progress.h"

#include <unistd.h>

#include <iostream>

#include "tools/table.h"

namespace lutra::tools {
namespace {

constexpr std::chrono::milliseconds kRedraw(100);

}  // namespace

Progress::Progress()
    : enabled_(::isatty(STDERR_FILENO) == 1),
      next_(std::chrono::steady_clock::now()) {}

Progress::~Progress() { Clear(); }

void Progress::Show(std::string_view text) {
  const auto now = std::chrono::steady_clock::now();
  if (!enabled_ || now < next_) return;
  next_ = now + kRedraw;
  // The escape sequence erases what a longer line left behind.
  std::cerr << '\r' << OneLine(std::string(text)) << "\x1b[K" << std::flush;
  drawn_ = true;
}

void Progress::Show(std::string_view text, size_t done, size_t total) {
  Show(std::string(text) + ": " + std::to_string(done) + " of " +
       std::to_string(total));
}

void Progress::Clear() {
  if (!drawn_) return;
  std::cerr << "\r\x1b[K" << std::flush;
  drawn_ = false;
}

}  // namespace lutra::tools
