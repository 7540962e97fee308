#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "lutra/runtime/error.h"
#include "runtime/text/regex.h"

namespace lutra {
namespace {

// The patterns of real tokenizers have a few hundred bytes and need a few steps
// per character.
constexpr size_t kMaxPatternBytes = 8192;
constexpr uint32_t kMatchLimit = 10'000'000;
constexpr uint32_t kDepthLimit = 100'000;
constexpr uint32_t kHeapLimitKiB = 64 * 1024;

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
};
using Code = std::unique_ptr<pcre2_code, Free>;
using MatchData = std::unique_ptr<pcre2_match_data, Free>;
using MatchContext = std::unique_ptr<pcre2_match_context, Free>;

std::string Message(int error) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(error, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

PCRE2_SPTR Units(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data());
}

}  // namespace

class Regex::Impl {
 public:
  Impl(std::string_view pattern, std::string_view file) : file_(file) {
    if (pattern.size() > kMaxPatternBytes) {
      Fail("is longer than " + std::to_string(kMaxPatternBytes) + " bytes",
           ErrorCode::kUnsupported);
    }
    int error = 0;
    PCRE2_SIZE offset = 0;
    // The patterns are written for Oniguruma, where ^ and $ match at every
    // line. \C would match half a character.
    constexpr uint32_t kOptions =
        PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    code_.reset(pcre2_compile(Units(pattern), pattern.size(), kOptions, &error,
                              &offset, nullptr));
    if (code_ == nullptr) {
      if (error == PCRE2_ERROR_HEAP_FAILED) throw std::bad_alloc();
      Fail("is not valid at byte " + std::to_string(offset) + ": " +
           Message(error));
    }
    // Where there is no just-in-time compiler, matching is slower.
    has_jit_ = pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE) == 0;
    context_.reset(pcre2_match_context_create(nullptr));
    if (context_ == nullptr) throw std::bad_alloc();
    pcre2_set_match_limit(context_.get(), kMatchLimit);
    pcre2_set_depth_limit(context_.get(), kDepthLimit);
    pcre2_set_heap_limit(context_.get(), kHeapLimitKiB);
  }

  void ForEachMatch(std::string_view text,
                    const std::function<void(size_t, size_t)>& match) const {
    const MatchData data(
        pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    if (data == nullptr) throw std::bad_alloc();
    // The text is checked once, by the first call.
    uint32_t options = PCRE2_NOTEMPTY;
    for (size_t begin = 0; begin < text.size();) {
      // What pcre2_match checks, its first call has.
      int rc =
          has_jit_ && begin > 0
              ? pcre2_jit_match(code_.get(), Units(text), text.size(), begin,
                                PCRE2_NOTEMPTY, data.get(), context_.get())
              : Match(text, begin, options, data.get());
      if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
        rc = Match(text, begin, options | PCRE2_NO_JIT, data.get());
      }
      if (rc == PCRE2_ERROR_NOMATCH) return;
      if (rc == PCRE2_ERROR_NOMEMORY) throw std::bad_alloc();
      if (rc < 0)
        Fail("does not work on this text: " + Message(rc),
             ErrorCode::kUnsupported);
      options |= PCRE2_NO_UTF_CHECK;
      const PCRE2_SIZE* extent = pcre2_get_ovector_pointer(data.get());
      // \K can put the start anywhere.
      if (extent[0] < begin || extent[1] <= extent[0]) {
        Fail("has matches that run backwards", ErrorCode::kUnsupported);
      }
      match(extent[0], extent[1]);
      begin = extent[1];
    }
  }

 private:
  [[noreturn]] void Fail(const std::string& cause,
                         ErrorCode code = ErrorCode::kDamaged) const {
    throw Error::InFile(file_, "tokenizer: regular expression " + cause, code);
  }

  int Match(std::string_view text, size_t begin, uint32_t options,
            pcre2_match_data* data) const {
    return pcre2_match(code_.get(), Units(text), text.size(), begin, options,
                       data, context_.get());
  }

  std::string file_;
  Code code_;
  MatchContext context_;
  bool has_jit_ = false;
};

Regex::Regex(std::string_view pattern, std::string_view file)
    : impl_(std::make_unique<Impl>(pattern, file)) {}
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

void Regex::ForEachMatch(
    std::string_view text,
    const std::function<void(size_t, size_t)>& match) const {
  impl_->ForEachMatch(text, match);
}

}  // namespace lutra
