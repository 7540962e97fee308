#include "packer/import/gguf/gguf_tokenizer.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"
#include "packer/import/tokenizers/patterns.h"
#include "packer/import/tokenizers/text_step_json.h"
#include "packer/import/tokenizers/tokenizers.h"
#include "runtime/base/utf8.h"

namespace lutra::packer {
namespace {

using nlohmann::json;
using Type = GgufTokenType;

// Stands for a space in sentencepiece's pieces: U+2581.
constexpr std::string_view kSpace = "\xe2\x96\x81";

constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTokenTypes = "tokenizer.ggml.token_type";
constexpr const char* kScores = "tokenizer.ggml.scores";

struct Tokens {
  std::vector<std::string_view> texts;
  std::vector<GgufTokenType> types;

  explicit Tokens(const GgufFile& file) : texts(file.Texts(kTokens)) {
    if (texts.empty() || texts.size() > kMaxPieces) {
      file.Fail(kTokens, "has no tokens, or too many");
    }
    types.assign(texts.size(), Type::kNormal);
    const std::vector<double> given = file.Numbers(kTokenTypes);
    if (given.empty()) return;
    if (given.size() != texts.size()) {
      file.Fail(kTokenTypes, "is of another length than the tokens");
    }
    for (size_t i = 0; i < types.size(); ++i) {
      const double type = given[i];
      if (!(type >= 1 && type <= 6)) {
        file.Fail(kTokenTypes, "has a type that is not known");
      }
      types[i] = static_cast<Type>(static_cast<int>(type));
    }
  }
};

// How a text is cut before anything is merged, as llama.cpp's names for it go
// (src/llama-vocab.cpp) and Hugging Face's files have it.
struct PreTokenizerRow {
  std::string_view name;
  const char* pattern;  // nullptr: that of GPT-2
  bool digits;          // each is a part of its own
  bool nfc;
  bool ignore_merges;
  bool bos;  // unless the file says otherwise
};

// Like o200k_base's, without contractions and with single digits.
constexpr const char* kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr PreTokenizerRow kPreTokenizers[] = {
    {"codeshell", nullptr, true, false, false, false},
    {"command-r", nullptr, true, true, false, false},
    {"dbrx", kLlama3Pattern, false, false, false, false},
    {"deepseek-r1-qwen", kQwen2Pattern, false, true, false, false},
    {"exaone", nullptr, true, false, false, false},
    {"glm4", kLlama3Pattern, false, false, false, false},
    {"gpt-2", nullptr, false, false, false, false},
    {"gpt-4o", kGpt4oPattern, false, false, false, false},
    {"granite-docling", nullptr, true, false, false, false},
    {"llama-bpe", kLlama3Pattern, false, false, true, true},
    {"llama-v3", kLlama3Pattern, false, false, true, true},
    {"llama3", kLlama3Pattern, false, false, true, true},
    {"llama4", kGpt4oPattern, false, false, false, false},
    {"mpt", nullptr, false, false, false, false},
    {"olmo", nullptr, false, false, false, false},
    {"phi-2", nullptr, false, false, false, false},
    {"qwen2", kQwen2Pattern, false, true, false, false},
    {"qwen35", kQwen35Pattern, false, true, false, false},
    {"refact", nullptr, true, false, false, false},
    {"smaug-bpe", kLlama3Pattern, false, false, false, false},
    {"smollm", nullptr, true, false, false, false},
    {"stablelm2", kQwen2Pattern, false, false, false, false},
    {"starcoder", nullptr, true, false, false, false},
    {"tekken", kTekken, false, false, true, true},
};

const PreTokenizerRow& FindPreTokenizer(const GgufFile& file) {
  constexpr const char* kKey = "tokenizer.ggml.pre";
  const std::string name = file.Text(kKey).value_or("");
  std::string known;
  for (const PreTokenizerRow& row : kPreTokenizers) {
    if (row.name == name) return row;
    known += known.empty() ? "" : ", ";
    known += row.name;
  }
  file.Fail(kKey, "is '" + name +
                      "', which is not supported; supported: " + known +
                      "; --tokenizer takes a tokenizer.json in its place");
}

json Steps(const PreTokenizerRow& pre) {
  json steps = json::array();
  if (pre.digits) {
    steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  }
  if (pre.pattern != nullptr) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pre.pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back({{"type", "ByteLevel"},
                   {"add_prefix_space", false},
                   {"trim_offsets", true},
                   {"use_regex", pre.pattern == nullptr}});
  return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
}

// The same as tokenizer.json has them.
json Normalizer(const PreTokenizerRow& pre) {
  return pre.nfc ? json({{"type", "NFC"}}) : json();
}

bool SameSteps(const std::vector<TextStep>& a, const std::vector<TextStep>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const TextStep& x, const TextStep& y) {
                      return x.kind == y.kind && x.from == y.from &&
                             x.to == y.to && x.prefix == y.prefix &&
                             x.ends == y.ends && x.split == y.split;
                    });
}

// What would be the tokenizer.json.
// Adds tokens and merges to what `root` says of texts.
TokenizerData ReadMerges(const GgufFile& file, json root, json model) {
  const Tokens tokens(file);
  root["version"] = "1.0";
  root["post_processor"] = nullptr;
  json added = json::array();
  json vocabulary = json::object();
  for (size_t id = 0; id < tokens.texts.size(); ++id) {
    const std::string text(tokens.texts[id]);
    const Type type = tokens.types[id];
    // Fills up the numbers; no text leads there.
    if (type == Type::kUnused) continue;
    if (!IsUtf8(text)) file.Fail(kTokens, "has a token that is not UTF-8");
    if (!vocabulary.emplace(text, id).second) {
      file.Fail(kTokens, "has the token '" + text + "' twice");
    }
    if (type != Type::kControl && type != Type::kUserDefined &&
        type != Type::kUnknown) {
      continue;
    }
    added.push_back({{"id", id},
                     {"content", text},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", type != Type::kUserDefined}});
  }
  json merges = json::array();
  for (const std::string_view merge : file.Texts("tokenizer.ggml.merges")) {
    if (!IsUtf8(merge)) {
      file.Fail("tokenizer.ggml.merges", "has a merge that is not UTF-8");
    }
    merges.push_back(std::string(merge));
  }
  root["added_tokens"] = std::move(added);
  model["type"] = "BPE";
  model["vocab"] = std::move(vocabulary);
  model["merges"] = std::move(merges);
  root["model"] = std::move(model);
  return ReadTokenizerJson(root, file.path());
}

TokenizerData ReadByteLevel(const GgufFile& file) {
  const PreTokenizerRow& pre = FindPreTokenizer(file);
  const json root = {{"normalizer", Normalizer(pre)},
                     {"pre_tokenizer", Steps(pre)},
                     {"decoder", {{"type", "ByteLevel"}}}};
  TokenizerData data =
      ReadMerges(file, root, {{"ignore_merges", pre.ignore_merges}});
  data.recipe.kind = "GGUF, " + std::string(pre.name);
  return data;
}

// Gemma 4's: merges of characters, of which spaces are spelled as in
// sentencepiece.
TokenizerData ReadGemma4(const GgufFile& file) {
  const std::string space(kSpace);
  const json decoders = {
      {{"type", "Replace"}, {"pattern", {{"String", space}}}, {"content", " "}},
      {{"type", "ByteFallback"}},
      {{"type", "Fuse"}}};
  const json root = {
      {"normalizer",
       {{"type", "Replace"},
        {"pattern", {{"String", " "}}},
        {"content", space}}},
      {"pre_tokenizer", nullptr},
      {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}}};
  json model = {{"byte_fallback", true}, {"fuse_unk", true}};
  const auto unknown = file.Integer("tokenizer.ggml.unknown_token_id");
  const auto texts = file.Texts(kTokens);
  if (unknown && *unknown >= 0 &&
      *unknown < static_cast<int64_t>(texts.size())) {
    model["unk_token"] = std::string(texts[static_cast<size_t>(*unknown)]);
  }
  TokenizerData data = ReadMerges(file, root, std::move(model));
  data.recipe.kind = "GGUF, Gemma 4";
  return data;
}

TextStep Step(TextStep::Kind kind, std::string from, std::string to) {
  TextStep step;
  step.kind = kind;
  step.from = std::move(from);
  step.to = std::move(to);
  return step;
}

TokenizerData ReadSentencePiece(const GgufFile& file) {
  const Tokens tokens(file);
  const std::vector<double> given = file.Numbers(kScores);
  if (given.size() != tokens.texts.size()) {
    file.Fail(kScores, "is of another length than the tokens");
  }
  TokenizerData data;
  TokenizerRecipe& recipe = data.recipe;
  std::vector<float> scores;
  std::vector<uint32_t> lookup;
  size_t byte_pieces = 0;
  for (size_t id = 0; id < tokens.texts.size(); ++id) {
    const std::string_view text = tokens.texts[id];
    if (text.size() > kMaxPieceBytes || !IsUtf8(text)) {
      file.Fail(kTokens, "has a token that is not proper text");
    }
    if (!std::isfinite(given[id])) file.Fail(kScores, "is not finite");
    scores.push_back(static_cast<float>(given[id]));
    switch (tokens.types[id]) {
      case Type::kByte: {
        const auto byte = ParseBytePiece(text);
        if (!byte) file.Fail(kTokens, "has a byte that is none");
        const char c = static_cast<char>(*byte);
        data.AddPiece({&c, 1}, PieceType::kByte);
        ++byte_pieces;
        continue;
      }
      case Type::kUnused:
        data.AddPiece(text, PieceType::kUnused);
        continue;
      case Type::kControl:
      case Type::kUnknown:
        data.AddPiece(text, PieceType::kControl);
        if (tokens.types[id] == Type::kUnknown)
          recipe.unknown = static_cast<int>(id);
        // llama.cpp finds control tokens in texts that say so.
        if (!text.empty()) {
          AddedToken token;
          token.id = static_cast<int32_t>(id);
          token.text = text;
          recipe.added.push_back(std::move(token));
        }
        continue;
      case Type::kUserDefined: {
        // As in sentencepiece: runs of spaces are such tokens of Gemma.
        AddedToken token;
        token.id = static_cast<int32_t>(id);
        token.text = text;
        token.normalized = true;
        if (!text.empty()) recipe.added.push_back(std::move(token));
        data.AddPiece(text, PieceType::kNormal);
        continue;
      }
      default:
        if (text.empty()) file.Fail(kTokens, "has an empty token");
        data.AddPiece(text, PieceType::kNormal);
        lookup.push_back(static_cast<uint32_t>(id));
    }
  }
  MakeLookup(std::move(lookup), data);
  AddMergesByScore(scores, data);
  const std::string space(kSpace);
  if (file.Bool("tokenizer.ggml.remove_extra_whitespaces").value_or(false)) {
    recipe.normalizer.push_back(Step(TextStep::Kind::kCollapse, " ", ""));
  }
  if (file.Bool("tokenizer.ggml.add_space_prefix").value_or(true)) {
    recipe.normalizer.push_back(Step(TextStep::Kind::kPrefix, "", space));
    recipe.strip_space = true;
  }
  recipe.normalizer.push_back(Step(TextStep::Kind::kReplace, " ", space));
  recipe.kind = "GGUF, sentencepiece BPE";
  recipe.byte_fallback = byte_pieces == 256;
  recipe.fuse_unknown = true;
  recipe.space = kSpace;
  return data;
}

// The text that a file of WordPiece has for a piece that begins a word, which
// is marked there; pieces within words are marked elsewhere.
std::string WordPieceText(std::string_view text) {
  if (text.starts_with(kSpace)) return std::string(text.substr(kSpace.size()));
  if (text.starts_with('[') && text.ends_with(']')) return std::string(text);
  return "##" + std::string(text);
}

TokenizerData ReadWordPiece(const GgufFile& file) {
  const Tokens tokens(file);
  json vocabulary = json::object();
  json added = json::array();
  for (size_t id = 0; id < tokens.texts.size(); ++id) {
    const Type type = tokens.types[id];
    if (type == Type::kUnused) continue;
    if (!IsUtf8(tokens.texts[id])) {
      file.Fail(kTokens, "has a token that is not UTF-8");
    }
    const bool special = type == Type::kControl || type == Type::kUnknown;
    const std::string text = special ? std::string(tokens.texts[id])
                                     : WordPieceText(tokens.texts[id]);
    if (!vocabulary.emplace(text, id).second) {
      file.Fail(kTokens, "has the token '" + text + "' twice");
    }
    if (special) {
      added.push_back({{"id", id}, {"content", text}, {"special", true}});
    }
  }
  constexpr const char* kUnknownKey = "tokenizer.ggml.unknown_token_id";
  const auto unknown = file.Integer(kUnknownKey);
  std::string unknown_text = "[UNK]";
  if (unknown && *unknown >= 0 &&
      *unknown < static_cast<int64_t>(tokens.texts.size())) {
    unknown_text = tokens.texts[static_cast<size_t>(*unknown)];
  }
  const bool lowercase =
      file.Bool("tokenizer.ggml.normalizer.lowercase").value_or(true);
  const bool strips =
      file.Bool("tokenizer.ggml.normalizer.strip_accents").value_or(lowercase);
  json root;
  root["version"] = "1.0";
  root["normalizer"] = {{"type", "BertNormalizer"},
                        {"clean_text", true},
                        {"handle_chinese_chars", true},
                        {"strip_accents", strips},
                        {"lowercase", lowercase}};
  root["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
  root["post_processor"] = nullptr;
  root["decoder"] = {
      {"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  root["added_tokens"] = std::move(added);
  root["model"] = {{"type", "WordPiece"},
                   {"unk_token", unknown_text},
                   {"continuing_subword_prefix", "##"},
                   {"max_input_chars_per_word", 100},
                   {"vocab", std::move(vocabulary)}};
  TokenizerData data = ReadTokenizerJson(root, file.path());
  data.recipe.kind = "GGUF, WordPiece";
  return data;
}

// An id of the vocabulary, -1 if the file has none.
int32_t Id(const GgufFile& file, const char* key, size_t size) {
  const auto id = file.Integer(key);
  if (!id) return -1;
  if (*id < 0 || *id >= static_cast<int64_t>(size)) {
    file.Fail(key, "is not the number of a token");
  }
  return static_cast<int32_t>(*id);
}

void ReadEnds(const GgufFile& file, bool bos_by_default, TokenizerData& data) {
  TokenizerRecipe& recipe = data.recipe;
  // Many files name a token that their models never saw at the start of a text.
  const int32_t bos = Id(file, "tokenizer.ggml.bos_token_id", data.size());
  recipe.bos = -1;
  recipe.before.clear();
  recipe.after.clear();
  if (bos >= 0 &&
      file.Bool("tokenizer.ggml.add_bos_token").value_or(bos_by_default)) {
    recipe.bos = bos;
    recipe.before = {bos};
  }
  for (const char* key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id"}) {
    const int32_t id = Id(file, key, data.size());
    if (id >= 0) recipe.ends.push_back(id);
  }
  if (!recipe.ends.empty() &&
      file.Bool("tokenizer.ggml.add_eos_token").value_or(false)) {
    recipe.after = {recipe.ends.front()};
  }
  std::sort(recipe.ends.begin(), recipe.ends.end());
  recipe.ends.erase(std::unique(recipe.ends.begin(), recipe.ends.end()),
                    recipe.ends.end());
}

// The tokens around a text, which older files call after their use.
void ReadWordPieceEnds(const GgufFile& file, TokenizerData& data) {
  const auto id = [&](const char* key, const char* other) {
    const int32_t found = Id(file, key, data.size());
    return found >= 0 ? found : Id(file, other, data.size());
  };
  TokenizerRecipe& recipe = data.recipe;
  const int32_t first =
      id("tokenizer.ggml.cls_token_id", "tokenizer.ggml.bos_token_id");
  const int32_t last =
      id("tokenizer.ggml.seperator_token_id", "tokenizer.ggml.eos_token_id");
  if (first >= 0) recipe.before = {first};
  if (last >= 0) recipe.after = {last};
  recipe.bos = first;
}

}  // namespace

std::optional<std::string> GgufPreTokenizer(const TokenizerRecipe& recipe) {
  const auto fits = [&](const PreTokenizerRow& row) {
    std::vector<TextStep> normalizer;
    if (row.nfc) {
      const json object = Normalizer(row);
      normalizer = ReadNormalizer(JsonObject(object, "", "normalizer"));
    }
    const json object = Steps(row);
    return row.ignore_merges == recipe.whole_pieces &&
           SameSteps(normalizer, recipe.normalizer) &&
           SameSteps(
               ReadPreTokenizer(JsonObject(object, "", "pre_tokenizer")).steps,
               recipe.splitter);
  };
  // Several names mean the same: the one that it came with, or a common one.
  constexpr std::string_view kFrom = "GGUF, ";
  std::vector<std::string_view> names = {"gpt-2", "llama-bpe", "qwen2",
                                         "smollm"};
  if (recipe.kind.starts_with(kFrom)) {
    names.insert(names.begin(),
                 std::string_view(recipe.kind).substr(kFrom.size()));
  }
  for (const PreTokenizerRow& row : kPreTokenizers) names.push_back(row.name);
  for (const std::string_view name : names) {
    const auto* row = std::find_if(
        std::begin(kPreTokenizers), std::end(kPreTokenizers),
        [&](const PreTokenizerRow& each) { return each.name == name; });
    if (row != std::end(kPreTokenizers) && fits(*row)) return std::string(name);
  }
  return std::nullopt;
}

std::optional<TokenizerData> ReadGgufTokenizer(const GgufFile& file) {
  constexpr const char* kModel = "tokenizer.ggml.model";
  const auto model = file.Text(kModel);
  if (!model || *model == "none" || *model == "no_vocab") return std::nullopt;
  if (*model == "bert") {
    TokenizerData data = ReadWordPiece(file);
    ReadWordPieceEnds(file, data);
    return data;
  }
  if (*model == "gemma4") {
    TokenizerData data = ReadGemma4(file);
    ReadEnds(file, /*bos=*/true, data);
    return data;
  }
  const bool scores = *model == "llama";
  if (!scores && *model != "gpt2") {
    file.Fail(kModel, "is '" + *model +
                          "', which is not supported; supported: bert, "
                          "gemma4, gpt2, llama");
  }
  TokenizerData data = scores ? ReadSentencePiece(file) : ReadByteLevel(file);
  ReadEnds(file, scores || FindPreTokenizer(file).bos, data);
  return data;
}

}  // namespace lutra::packer
