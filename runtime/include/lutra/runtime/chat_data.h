#ifndef LUTRA_RUNTIME_CHAT_DATA_H_
#define LUTRA_RUNTIME_CHAT_DATA_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/runtime/chat_template.h"
#include "lutra/runtime/model.h"

namespace lutra {

// The key of a model file's metadata that holds its chat templates
// (docs/model_file.md).
inline constexpr std::string_view kChatKey = "lutra.chat";

// What a checkpoint says about conversations.
struct ChatData {
  // Name and source; the one that is meant without a name is "default".
  std::vector<std::pair<std::string, std::string>> templates;
  ChatTemplate::Tokens tokens;
};

// The text under kChatKey, and back. Throw Error.
std::string ChatDataToJson(const ChatData& data);
ChatData ParseChatData(std::string_view json, std::string_view file);

// What the model's file has; nothing if it has no chat template. Throws Error.
std::optional<ChatData> ReadChatData(const Model& model);

// The template of that name, "default" if it is empty. Throws Error of the code
// kNotFound if the model has none, and what ChatTemplate::Parse throws.
std::shared_ptr<const ChatTemplate> LoadChatTemplate(
    const Model& model, std::string_view name = {});

}  // namespace lutra

#endif  // LUTRA_RUNTIME_CHAT_DATA_H_
