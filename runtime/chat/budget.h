#ifndef LUTRA_RUNTIME_CHAT_BUDGET_H_
#define LUTRA_RUNTIME_CHAT_BUDGET_H_

#include <algorithm>
#include <cstddef>
#include <string>

#include "lutra/runtime/chat_template.h"

namespace lutra::chat {

[[noreturn]] inline void Fail(ChatTemplateFault fault,
                              const std::string& cause) {
  throw ChatTemplateError(fault, cause);
}
[[noreturn]] inline void FailRun(const std::string& cause) {
  Fail(ChatTemplateFault::kRuntime, cause);
}
[[noreturn]] inline void FailLimit(const std::string& cause) {
  Fail(ChatTemplateFault::kLimit, cause);
}

// Nesting of expressions and statements, and of values; of a template's text.
inline constexpr size_t kMaxDepth = 100;
inline constexpr size_t kMaxValueDepth = 200;
inline constexpr size_t kMaxSource = size_t{1} << 18;

// What one rendering may use. All work counts: a step is a node of the
// template, an element that is looked at, or a few bytes that are written.
class Budget {
 public:
  // What a rendering of small input has: the hostile templates of the tests
  // end far below 100 ms. Input adds to it, as each message is work.
  static constexpr size_t kSteps = 400'000;
  static constexpr size_t kStepsPerValue = 500;
  static constexpr size_t kStepsPerByte = 1;
  static constexpr size_t kBytes = size_t{4} << 20;
  static constexpr size_t kBytesPerByte = 16;
  // Templates look through all messages for each of them.
  static constexpr size_t kStepsPerPair = 16;
  static constexpr size_t kMostMessages = 4000;
  // Calls of the evaluator within each other.
  static constexpr size_t kNesting = 500;

  void Allow(size_t values, size_t bytes) {
    max_steps_ += values * kStepsPerValue + bytes * kStepsPerByte;
    max_bytes_ += values * 256 + bytes * kBytesPerByte;
  }

  void AllowMessages(size_t count) {
    const size_t most = kMostMessages;
    const size_t pairs = std::min(count, most) * std::min(count, most);
    max_steps_ += pairs * kStepsPerPair;
  }

  void Step(size_t count = 1) {
    steps_ += count;
    if (steps_ > max_steps_ || count > max_steps_) {
      FailLimit("chat template: takes too many steps");
    }
  }
  void Take(size_t bytes) {
    if (bytes > max_bytes_ || bytes_ + bytes > max_bytes_) {
      FailLimit("chat template: needs too much memory");
    }
    bytes_ += bytes;
    Step(bytes / 32);
  }
  // Whether that much could be taken, before it is.
  void Check(size_t bytes) const {
    if (bytes > max_bytes_ || bytes_ + bytes > max_bytes_) {
      FailLimit("chat template: needs too much memory");
    }
  }
  void Give(size_t bytes) { bytes_ -= bytes; }

  // Counts a call for as long as it lives.
  class Nested {
   public:
    explicit Nested(Budget& budget) : budget_(budget) {
      if (budget_.nesting_ >= kNesting) {
        FailLimit("chat template: calls are nested too deeply");
      }
      ++budget_.nesting_;
    }
    ~Nested() { --budget_.nesting_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    Budget& budget_;
  };

 private:
  size_t max_steps_ = kSteps;
  size_t max_bytes_ = kBytes;
  size_t steps_ = 0;
  size_t bytes_ = 0;
  size_t nesting_ = 0;
};

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_BUDGET_H_
