#ifndef LUTRA_PACKER_IMPORT_CHAT_CHAT_H_
#define LUTRA_PACKER_IMPORT_CHAT_CHAT_H_

#include <filesystem>
#include <optional>

#include "lutra/runtime/chat_data.h"

namespace lutra::packer {

// The chat templates of a Hugging Face folder and the special tokens that they
// see: chat_template.jinja, additional_chat_templates/NAME.jinja,
// chat_template.json, tokenizer_config.json, special_tokens_map.json. Nothing
// if there is no template. Throws Error.
std::optional<ChatData> ReadChatFolder(const std::filesystem::path& folder);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_CHAT_CHAT_H_
