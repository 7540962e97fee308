#include "packer/export/tokenizer_files.h"

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/tokenizer.h"
#include "lutra/runtime/tokenizer_data.h"
#include "packer/export/tokenizer_json_writer.h"

namespace lutra::packer {
namespace {

using nlohmann::json;

// tokenizer_config.json: the special tokens and the templates.
json Configuration(const TokenizerRecipe& recipe,
                   const std::vector<std::string>& pieces, int64_t padding,
                   const std::optional<ChatData>& chat) {
  json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false}};
  const auto set = [&](const char* name, int64_t id) {
    if (id >= 0) config[name] = pieces[static_cast<size_t>(id)];
  };
  if (padding < static_cast<int64_t>(pieces.size())) set("pad_token", padding);
  set("bos_token", recipe.before.empty() ? recipe.bos : recipe.before[0]);
  set("unk_token", recipe.unknown);
  if (!recipe.ends.empty()) set("eos_token", recipe.ends[0]);
  if (!recipe.after.empty()) set("eos_token", recipe.after[0]);
  if (!chat) return config;
  for (const auto& [name, text] : chat->tokens) config[name] = text;
  if (chat->templates.size() == 1 && chat->templates[0].first == "default") {
    config["chat_template"] = chat->templates[0].second;
    return config;
  }
  json templates = json::array();
  for (const auto& [name, source] : chat->templates) {
    templates.push_back({{"name", name}, {"template", source}});
  }
  config["chat_template"] = std::move(templates);
  return config;
}

json Generation(const TokenizerRecipe& recipe) {
  json config = json::object();
  if (recipe.bos >= 0) config["bos_token_id"] = recipe.bos;
  if (!recipe.ends.empty()) config["eos_token_id"] = recipe.ends;
  return config;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> TokenizerFiles(
    const Model& model, int64_t padding) {
  const TensorView* tensor = model.file().Find(kTokenizerTensor);
  if (tensor == nullptr) return {};
  const TokenizerData data = ParseTokenizer(tensor->data, model.path());
  const WrittenTokenizer written = WriteTokenizerJson(data, model.path());
  const json config =
      Configuration(data.recipe, written.pieces, padding, ReadChatData(model));
  return {{"tokenizer.json", written.json},
          {"tokenizer_config.json", config.dump(2) + "\n"},
          {"generation_config.json", Generation(data.recipe).dump(2) + "\n"}};
}

}  // namespace lutra::packer
