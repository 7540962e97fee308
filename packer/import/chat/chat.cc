#include "packer/import/chat/chat.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"
#include "packer/import/exists.h"
#include "packer/import/json_file.h"
#include "runtime/base/folder_entries.h"
#include "runtime/base/system_error.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMostTemplates = 64;
constexpr const char* kDefault = "default";

void Add(const std::string& name, std::string source, ChatData& data) {
  const auto same = [&](const auto& entry) { return entry.first == name; };
  // What is read first counts.
  if (std::none_of(data.templates.begin(), data.templates.end(), same)) {
    data.templates.emplace_back(name, std::move(source));
  }
}

void AddFile(const fs::path& path, const std::string& name, ChatData& data) {
  Add(name, std::string(MappedFile(path).text()), data);
}

// A text, or a list of named ones.
void AddMember(const JsonObject& object, ChatData& data) {
  const json* member = object.Find("chat_template");
  if (member == nullptr) return;
  if (member->is_string()) {
    Add(kDefault, object.String("chat_template"), data);
    return;
  }
  for (const json& entry : object.List("chat_template", kMostTemplates)) {
    const JsonObject each(entry, object.file(),
                          object.where() + " 'chat_template'");
    Add(each.String("name"), each.String("template"), data);
  }
}

void AddFolder(const fs::path& folder, ChatData& data) {
  std::vector<fs::path> paths;
  const int failure = ForEachEntry(folder, [&](std::string_view name) {
    fs::path file = folder / name;
    if (file.extension() == ".jinja") paths.push_back(std::move(file));
  });
  if (failure != 0 && failure != ENOENT && failure != ENOTDIR) {
    throw SystemError(folder.string(), "cannot read", failure);
  }
  std::sort(paths.begin(), paths.end());
  if (paths.size() > kMostTemplates) {
    throw Error::InFile(folder.string(), "holds too many chat templates");
  }
  for (const fs::path& path : paths) {
    AddFile(path, path.stem().string(), data);
  }
}

// The text of a token: a string, or the "content" of an object.
void AddTokens(const JsonObject& object, ChatData& data) {
  for (const char* name : {"bos_token", "eos_token", "unk_token", "sep_token",
                           "pad_token", "cls_token", "mask_token"}) {
    const json* member = object.Find(name);
    if (member == nullptr) continue;
    const auto same = [&](const auto& token) { return token.first == name; };
    if (std::any_of(data.tokens.begin(), data.tokens.end(), same)) continue;
    if (member->is_string()) {
      data.tokens.emplace_back(name, object.String(name));
    } else if (member->is_object()) {
      data.tokens.emplace_back(name, object.Object(name).String("content"));
    }
  }
}

}  // namespace

std::optional<ChatData> ReadChatFolder(const fs::path& folder) {
  ChatData data;
  // In the order in which transformers prefers them.
  if (Exists(folder / "chat_template.jinja")) {
    AddFile(folder / "chat_template.jinja", kDefault, data);
  }
  AddFolder(folder / "additional_chat_templates", data);
  for (const char* name : {"chat_template.json", "tokenizer_config.json"}) {
    if (!Exists(folder / name)) continue;
    const JsonFile file(folder / name, "chat template");
    AddMember(file.object(), data);
  }
  if (data.templates.empty()) return std::nullopt;
  for (const char* name :
       {"tokenizer_config.json", "special_tokens_map.json"}) {
    if (!Exists(folder / name)) continue;
    const JsonFile file(folder / name, "special tokens");
    AddTokens(file.object(), data);
  }
  return data;
}

}  // namespace lutra::packer
