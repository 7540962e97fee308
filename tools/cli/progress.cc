#include "tools/cli/progress.h"

#include <unistd.h>

#include <iostream>

#include "tools/cli/table.h"

namespace lutra::tools {
namespace {

constexpr std::chrono::milliseconds kRedraw(100);

}  // namespace

Progress::Progress()
    : enabled_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      next_(start_) {}

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

void Progress::ShowRate(std::string_view text, size_t done, size_t total,
                        std::string_view unit) {
  const std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - start_;
  const double rate = static_cast<double>(done) / elapsed.count();
  std::string line(text);
  line += ": " + std::to_string(total == 0 ? 100 : done * 100 / total) + " %";
  if (done > 0) {
    const double left = static_cast<double>(total - done) / rate;
    line += ", " + Short(rate / 1e6) + " million " + std::string(unit) +
            "/s, " + Fixed(left, 0) + " s left";
  }
  Show(line);
}

void Progress::Clear() {
  if (!drawn_) return;
  std::cerr << "\r\x1b[K" << std::flush;
  drawn_ = false;
}

}  // namespace lutra::tools
