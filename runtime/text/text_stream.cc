#include "lutra/runtime/tokenizer.h"
#include "runtime/base/utf8.h"
#include "runtime/text/tokenizer_impl.h"

namespace lutra {

TextStream::TextStream(const Tokenizer& tokenizer, bool continues)
    : tokenizer_(&tokenizer), at_start_(!continues) {}

std::string TextStream::Add(int32_t id) {
  pending_ += tokenizer_->impl_->Bytes(id, /*with_special=*/false, at_start_);
  std::string_view rest = pending_;
  std::string text;
  while (!rest.empty()) {
    const Utf8Prefix prefix = ReadUtf8(rest);
    if (prefix.state == Utf8::kIncomplete) break;
    text += prefix.state == Utf8::kComplete ? rest.substr(0, prefix.bytes)
                                            : kReplacementCharacter;
    rest.remove_prefix(prefix.bytes);
  }
  pending_ = std::string(rest);
  return text;
}

std::string TextStream::Flush() {
  const std::string text = ReplaceInvalidUtf8(pending_);
  pending_.clear();
  return text;
}

}  // namespace lutra
