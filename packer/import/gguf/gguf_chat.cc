#include "packer/import/gguf/gguf_chat.h"

#include <string>
#include <utility>
#include <vector>

namespace lutra::packer {

std::optional<ChatData> ReadGgufChat(const GgufFile& file) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  ChatData data;
  if (auto source = file.Text(kKey)) {
    data.templates.emplace_back("default", std::move(*source));
  }
  for (const std::string_view name : file.Texts("tokenizer.chat_templates")) {
    const std::string key = std::string(kKey) + "." + std::string(name);
    if (auto source = file.Text(key)) {
      data.templates.emplace_back(name, std::move(*source));
    }
  }
  if (data.templates.empty()) return std::nullopt;
  // The variables of transformers, and the keys of their ids.
  constexpr std::pair<const char*, const char*> kTokens[] = {
      {"bos_token", "tokenizer.ggml.bos_token_id"},
      {"eos_token", "tokenizer.ggml.eos_token_id"},
      {"unk_token", "tokenizer.ggml.unknown_token_id"},
      {"sep_token", "tokenizer.ggml.seperator_token_id"},
      {"pad_token", "tokenizer.ggml.padding_token_id"},
      {"cls_token", "tokenizer.ggml.cls_token_id"},
      {"mask_token", "tokenizer.ggml.mask_token_id"}};
  const std::vector<std::string_view> pieces =
      file.Texts("tokenizer.ggml.tokens");
  for (const auto& [name, key] : kTokens) {
    const auto id = file.Integer(key);
    if (!id || *id < 0 || static_cast<size_t>(*id) >= pieces.size()) continue;
    data.tokens.emplace_back(name, pieces[static_cast<size_t>(*id)]);
  }
  return data;
}

}  // namespace lutra::packer
