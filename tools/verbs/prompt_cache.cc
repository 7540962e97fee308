#include "tools/verbs/prompt_cache.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "lutra/kernels/span.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/output_file.h"
#include "runtime/base/mapped_file.h"

namespace lutra::tools {
namespace {

constexpr std::string_view kMagic = "lutrapc1";
// The magic number and how many tokens follow.
constexpr size_t kHead = 16;

uint64_t LittleEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

std::string Bytes(uint64_t value, size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) {
    bytes += static_cast<char>(value >> (8 * i) & 0xFF);
  }
  return bytes;
}

}  // namespace

PromptCache::PromptCache(std::string path, LanguageModel& model)
    : path_(std::move(path)), model_(model) {
  std::error_code error;
  if (used() && std::filesystem::exists(path_, error)) Read();
}

void PromptCache::Read() {
  const MappedFile file(path_);
  const std::string_view text = file.text();
  const bool begins = text.substr(0, kMagic.size()) == kMagic;
  if (!begins || text.size() < kHead) {
    throw Error::InFile(path_, "is no prompt cache");
  }
  const uint64_t count = LittleEndian(text.substr(8, 8));
  if (count > (text.size() - kHead) / sizeof(int32_t)) {
    throw Error::InFile(path_, "the prompt cache is cut off");
  }
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < count; ++i) {
    tokens.push_back(
        static_cast<int32_t>(LittleEndian(text.substr(kHead + 4 * i, 4))));
  }
  const std::string_view saved = text.substr(kHead + 4 * tokens.size());
  try {
    Sequence sequence = model_.program().Restore(Span<const std::byte>(
        reinterpret_cast<const std::byte*>(saved.data()), saved.size()));
    if (sequence.position() != tokens.size()) {
      throw Error(ErrorCode::kDamaged, "has another number of tokens");
    }
    model_.session().sequence() = std::move(sequence);
  } catch (const Error& error) {
    throw Error::InFile(path_, "the prompt cache " + std::string(error.what()),
                        error.code());
  }
  tokens_ = std::move(tokens);
}

void PromptCache::Write(const std::vector<int32_t>& tokens) const {
  std::string head(kMagic);
  head += Bytes(tokens.size(), 8);
  for (const int32_t id : tokens) head += Bytes(static_cast<uint32_t>(id), 4);
  const std::vector<std::byte> saved = model_.session().sequence().Save();
  OutputFile file(path_);
  file.Append(head);
  file.Append(std::string_view(reinterpret_cast<const char*>(saved.data()),
                               saved.size()));
  file.Commit();
}

void PromptCache::Watch(TextGenerator& generator,
                        const std::vector<int32_t>& prompt) {
  std::vector<int32_t> but_last(prompt.begin(), prompt.end() - 1);
  const bool holds_it =
      tokens_.size() >= but_last.size() &&
      std::equal(but_last.begin(), but_last.end(), tokens_.begin());
  if (holds_it) return;
  generator.OnLastToken(
      [this, but_last = std::move(but_last)] { Write(but_last); });
}

GenerationEnd PromptCache::Generate(TextGenerator& generator,
                                    const Tokenizer& tokenizer,
                                    std::string_view prompt,
                                    const TextGenerator::Show& show) {
  std::vector<int32_t> tokens = tokenizer.EncodePrompt(prompt);
  if (tokens.empty()) {
    throw Error("the prompt is empty: there is nothing to keep in '" + path_ +
                "'");
  }
  const auto [mine, theirs] = std::mismatch(tokens_.begin(), tokens_.end(),
                                            tokens.begin(), tokens.end());
  // The last token is fed in any case: the text begins with its logits.
  size_t common =
      std::min(static_cast<size_t>(mine - tokens_.begin()), tokens.size() - 1);
  const bool can_go_back = model_.session().sequence().CanTruncate();
  if (common < tokens_.size() && !can_go_back) common = 0;
  generator.Rewind(common);
  generator.Accept(Span<const int32_t>(tokens.data(), common));
  Watch(generator, tokens);
  return generator.GenerateFrom(
      {tokens.begin() + static_cast<std::ptrdiff_t>(common), tokens.end()},
      !prompt.empty(), show);
}

}  // namespace lutra::tools
