#include "lutra/runtime/chat_data.h"

#include <utility>

#include "runtime/base/json_object.h"
#include "runtime/base/printable.h"
#include "runtime/chat/budget.h"
#include "runtime/chat/text.h"

namespace lutra {
namespace {

using chat::Quoted;
using nlohmann::json;

constexpr size_t kMostTemplates = 64;
constexpr std::string_view kDefault = "default";

}  // namespace

std::string ChatDataToJson(const ChatData& data) {
  std::string text = "{\"templates\":[";
  bool first = true;
  for (const auto& [name, source] : data.templates) {
    if (!std::exchange(first, false)) text += ',';
    text += "{\"name\":" + QuoteJson(name, "chat template") +
            ",\"template\":" + QuoteJson(source, "chat template") + "}";
  }
  text += "],\"tokens\":{";
  first = true;
  for (const auto& [name, token] : data.tokens) {
    if (!std::exchange(first, false)) text += ',';
    text += QuoteJson(name, "chat template") + ":" +
            QuoteJson(token, "chat template");
  }
  return text + "}}";
}

ChatData ParseChatData(std::string_view text, std::string_view file) {
  const std::string where = Quoted(kChatKey);
  const JsonDocument document = ParseJson(text, file, where);
  const JsonObject object(document.root(), file, where);
  object.AllowOnly({"templates", "tokens"});
  ChatData data;
  for (const json& entry : object.List("templates", kMostTemplates)) {
    const JsonObject each(entry, file, where);
    each.AllowOnly({"name", "template"});
    data.templates.emplace_back(each.String("name"), each.String("template"));
    if (data.templates.back().second.size() > chat::kMaxSource) {
      each.Fail("a chat template has more than " +
                std::to_string(chat::kMaxSource) + " bytes");
    }
  }
  if (data.templates.empty()) object.Fail("has no templates");
  if (object.Has("tokens")) {
    const JsonObject tokens = object.Object("tokens");
    for (const auto& [name, token] : object.Get("tokens").items()) {
      data.tokens.emplace_back(name, tokens.String(name));
    }
  }
  return data;
}

std::optional<ChatData> ReadChatData(const Model& model) {
  const auto& metadata = model.file().metadata();
  const auto entry = metadata.find(std::string(kChatKey));
  if (entry == metadata.end()) return std::nullopt;
  return ParseChatData(entry->second, model.path());
}

std::shared_ptr<const ChatTemplate> LoadChatTemplate(const Model& model,
                                                     std::string_view name) {
  const std::optional<ChatData> data = ReadChatData(model);
  if (!data) {
    throw Error::InFile(model.path(),
                        "has no chat template (metadata 'lutra.chat')",
                        ErrorCode::kNotFound);
  }
  std::string known;
  for (const auto& [each, source] : data->templates) {
    if (each == (name.empty() ? kDefault : name) ||
        (name.empty() && data->templates.size() == 1)) {
      return ChatTemplate::Parse(source, data->tokens);
    }
    known += (known.empty() ? "'" : ", '") + Printable(each) + "'";
  }
  throw Error::InFile(model.path(),
                      "has no chat template '" +
                          Printable(name.empty() ? kDefault : name) +
                          "', but " + known,
                      ErrorCode::kNotFound);
}

}  // namespace lutra
