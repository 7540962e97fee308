// vocab.json and merges.txt, as GPT-2 has them: the parts of a tokenizer.json
// that they stand for.

#include <algorithm>
#include <map>
#include <string>
#include <system_error>

#include "lutra/runtime/error.h"
#include "packer/import/exists.h"
#include "packer/import/tokenizers/patterns.h"
#include "packer/import/tokenizers/tokenizers.h"
#include "runtime/base/json_object.h"
#include "runtime/base/mapped_file.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json ReadJson(const fs::path& path, const std::string& what) {
  const MappedFile file(path);
  return ParseJson(file.text(), path.string(), what).root();
}

// "a b" for each line but the first, if that says the version.
json ReadMerges(const fs::path& path) {
  const MappedFile file(path);
  std::string_view rest = file.text();
  json merges = json::array();
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    merges.push_back(std::string(line));
  }
  return merges;
}

json ByteLevel(bool prefix_space, bool split) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", prefix_space},
          {"use_regex", split}};
}

// The special tokens of tokenizer_config.json: those listed with their ids, or
// the ones that have a role.
json AddedTokens(const json& config, const json& vocab) {
  std::map<int64_t, json> tokens;  // by id
  const auto add = [&](int64_t id, const json& token) {
    json entry = token.is_object() ? token : json{{"content", token}};
    if (!entry.contains("content") || !entry["content"].is_string()) return;
    entry["id"] = id;
    if (!entry.contains("special")) entry["special"] = true;
    tokens.try_emplace(id, std::move(entry));
  };
  if (config.contains("added_tokens_decoder") &&
      config["added_tokens_decoder"].is_object()) {
    for (const auto& [key, token] : config["added_tokens_decoder"].items()) {
      add(std::atoll(key.c_str()), token);
    }
  }
  for (const char* role :
       {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    if (!config.contains(role)) continue;
    const json& token = config[role];
    const json text =
        token.is_object() ? token.value("content", json()) : token;
    if (!text.is_string() || !vocab.contains(text.get<std::string>())) continue;
    const json& id = vocab[text.get<std::string>()];
    if (id.is_number_integer()) add(id.get<int64_t>(), token);
  }
  json list = json::array();
  for (const auto& [id, token] : tokens) list.push_back(token);
  return list;
}

}  // namespace

TokenizerData ReadVocabAndMerges(const fs::path& vocab_path) {
  const fs::path folder = vocab_path.parent_path();
  const fs::path config_path = folder / "tokenizer_config.json";
  const json vocab = ReadJson(vocab_path, "vocabulary");
  if (!vocab.is_object()) {
    throw Error::InFile(vocab_path.string(), "is no object of pieces and ids");
  }
  json config = json::object();
  if (Exists(config_path)) {
    config = ReadJson(config_path, "tokenizer config");
  }
  const JsonObject options(config, config_path.string(), "tokenizer config");
  const bool qwen = options.String("tokenizer_class", "").starts_with("Qwen2");
  const bool prefix_space = options.Bool("add_prefix_space", false);
  json root = {{"added_tokens", AddedTokens(config, vocab)},
               {"model",
                {{"type", "BPE"},
                 {"vocab", vocab},
                 {"merges", ReadMerges(folder / "merges.txt")}}},
               {"decoder", ByteLevel(true, true)}};
  if (qwen) {  // a class that has no other files
    root["normalizer"] = {{"type", "NFC"}};
    root["pre_tokenizer"] = {{"type", "Sequence"},
                             {"pretokenizers",
                              {{{"type", "Split"},
                                {"pattern", {{"Regex", kQwen2Pattern}}},
                                {"behavior", "Isolated"},
                                {"invert", false}},
                               ByteLevel(prefix_space, false)}}};
  } else {
    root["pre_tokenizer"] = ByteLevel(prefix_space, true);
  }
  return ReadTokenizerJson(root, vocab_path.string());
}

}  // namespace lutra::packer
