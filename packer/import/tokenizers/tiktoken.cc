// Files of https://github.com/openai/tiktoken: a line for each piece, its bytes
// in base64 and its rank. How texts are split, and the special tokens behind
// the ranks, are not in them.

#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "lutra/runtime/error.h"
#include "packer/import/exists.h"
#include "packer/import/tokenizers/oniguruma.h"
#include "packer/import/tokenizers/patterns.h"
#include "packer/import/tokenizers/tokenizers.h"
#include "runtime/base/json_object.h"
#include "runtime/base/mapped_file.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;

// Patterns by the most ranks that vocabularies with them have: those of Qwen
// (single digits), of cl100k_base and Llama 3, and of o200k_base.
struct Pattern {
  size_t ranks;
  const char* regex;
};
constexpr Pattern kPatterns[] = {
    {130000, kLlama3Pattern},
    {160000, kQwen2Pattern},
    {kMaxPieces, kGpt4oPattern},
};

// Nothing if it is not base64.
std::optional<std::string> DecodeBase64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(static_cast<uint8_t>(bits >> count));
  }
  return bytes;
}

struct Line {
  std::string piece;
  size_t rank = 0;
};

std::optional<Line> ReadLine(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos) return std::nullopt;
  std::optional<std::string> piece = DecodeBase64(line.substr(0, space));
  Line result;
  const char* const end = line.data() + line.size();
  const auto [stop, error] =
      std::from_chars(line.data() + space + 1, end, result.rank);
  if (!piece || piece->empty() || error != std::errc() || stop != end) {
    return std::nullopt;
  }
  result.piece = std::move(*piece);
  return result;
}

std::string_view TakeLine(std::string_view& rest) {
  const size_t end = std::min(rest.find('\n'), rest.size());
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

// Of tokenizer_config.json: the special tokens behind the ranks.
void AddSpecialTokens(const fs::path& config_path, TokenizerData& data) {
  if (!Exists(config_path)) return;
  const MappedFile file(config_path);
  const std::string name = config_path.string();
  const JsonDocument document =
      ParseJson(file.text(), name, "tokenizer config");
  const JsonObject config(document.root(), name, "tokenizer config");
  if (!config.Has("added_tokens_decoder")) return;
  const JsonObject tokens = config.Object("added_tokens_decoder");
  const size_t ranks = data.size();
  for (size_t id = ranks; id < ranks + 65536; ++id) {
    const std::string key = std::to_string(id);
    if (!tokens.Has(key)) continue;
    const JsonObject token = tokens.Object(key);
    while (data.size() < id) data.AddPiece("", PieceType::kUnused);
    AddedToken added;
    added.id = static_cast<int32_t>(id);
    added.text = token.String("content");
    if (added.text.empty()) continue;
    added.strip_left = token.Bool("lstrip", false);
    added.strip_right = token.Bool("rstrip", false);
    added.single_word = token.Bool("single_word", false);
    data.AddPiece(added.text, token.Bool("special", true) ? PieceType::kControl
                                                          : PieceType::kNormal);
    data.recipe.added.push_back(std::move(added));
  }
}

}  // namespace

bool IsTiktoken(const fs::path& path) {
  const MappedFile file(path);
  std::string_view rest = file.text().substr(
      0, std::min<size_t>(file.text().size(), kMaxPieceBytes));
  return ReadLine(TakeLine(rest)).has_value();
}

TokenizerData ReadTiktoken(const fs::path& path) {
  const std::string name = path.string();
  const MappedFile file(path);
  TokenizerData data;
  std::vector<uint32_t> lookup;
  std::vector<float> scores;
  for (std::string_view rest = file.text(); !rest.empty();) {
    const std::string_view text = TakeLine(rest);
    if (text.empty()) continue;
    const std::optional<Line> line = ReadLine(text);
    if (!line || line->rank < data.size() || line->rank >= kMaxPieces ||
        line->piece.size() > kMaxPieceBytes) {
      throw Error::InFile(name, "piece " + std::to_string(data.size()) +
                                    " is not one in base64 with the next "
                                    "rank");
    }
    while (data.size() < line->rank) {
      data.AddPiece("", PieceType::kUnused);
      scores.push_back(0);
    }
    lookup.push_back(static_cast<uint32_t>(data.size()));
    scores.push_back(-static_cast<float>(data.size()));
    data.AddPiece(line->piece, PieceType::kNormal);
  }
  if (data.size() == 0) throw Error::InFile(name, "has no pieces");
  const size_t ranks = data.size();
  data.recipe.kind = "tiktoken";
  data.recipe.bytes = true;
  data.recipe.whole_pieces = true;
  MakeLookup(std::move(lookup), data);
  AddMergesByScore(scores, data);
  const nlohmann::json none = nlohmann::json::object();
  const JsonObject object(none, name, "tokenizer");
  TextStep split;
  split.kind = TextStep::Kind::kSplit;
  for (const Pattern& pattern : kPatterns) {
    if (ranks > pattern.ranks) continue;
    split.from = PcrePattern(object, pattern.regex);
    break;
  }
  data.recipe.splitter = {split};
  AddSpecialTokens(path.parent_path() / "tokenizer_config.json", data);
  return data;
}

}  // namespace lutra::packer
