#include "packer/export/tokenizer_json_writer.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "lutra/runtime/error.h"
#include "packer/import/tokenizers/byte_alphabet.h"
#include "packer/import/tokenizers/text_step_json.h"
#include "packer/import/tokenizers/tokenizers.h"

namespace lutra::packer {
namespace {

using nlohmann::json;
using Kind = TextStep::Kind;
using Split = TextStep::Split;

bool Same(const TextStep& a, const TextStep& b) {
  return a.kind == b.kind && a.from == b.from && a.to == b.to &&
         a.prefix == b.prefix && a.ends == b.ends && a.split == b.split;
}

bool Same(const std::vector<TextStep>& a, const std::vector<TextStep>& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(),
      [](const TextStep& x, const TextStep& y) { return Same(x, y); });
}

bool Same(const std::vector<AddedToken>& a, const std::vector<AddedToken>& b) {
  const auto sorted = [](std::vector<AddedToken> tokens) {
    std::sort(tokens.begin(), tokens.end(),
              [](const AddedToken& x, const AddedToken& y) {
                return x.id != y.id ? x.id < y.id : x.text < y.text;
              });
    return tokens;
  };
  const auto x = sorted(a);
  const auto y = sorted(b);
  return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                    [](const AddedToken& l, const AddedToken& r) {
                      return l.id == r.id && l.text == r.text &&
                             l.normalized == r.normalized &&
                             l.single_word == r.single_word &&
                             l.strip_left == r.strip_left &&
                             l.strip_right == r.strip_right;
                    });
}

json Sequence(const char* key, json parts) {
  return {{"type", "Sequence"}, {key, std::move(parts)}};
}

// A regular expression in the words of tokenizer.json. Importing spells white
// space as a class, which is read the same; the short one is for people.
std::string Regex(std::string pattern) {
  constexpr std::string_view kClasses[] = {R"([\t-\r\x{85}\p{Z}])",
                                           R"(\t-\r\x{85}\p{Z})"};
  for (const std::string_view spelled : kClasses) {
    for (size_t at = pattern.find(spelled); at != std::string::npos;
         at = pattern.find(spelled, at)) {
      pattern.replace(at, spelled.size(), R"(\s)");
    }
  }
  return pattern;
}

class Writer {
 public:
  Writer(std::string file, TokenizerData data)
      : file_(std::move(file)), data_(std::move(data)) {}

  json Tokenizer() {
    FindAdded();
    SpellPieces();
    json root;
    root["version"] = "1.0";
    root["truncation"] = nullptr;
    root["padding"] = nullptr;
    root["added_tokens"] = Added();
    root["normalizer"] = Normalizer();
    root["pre_tokenizer"] = PreTokenizer();
    root["post_processor"] = PostProcessor();
    root["decoder"] = Decoder();
    root["model"] = ModelPart();
    Check(root);
    return root;
  }

  // Once it is written.
  std::vector<std::string> TakePieces() { return std::move(spelled_); }

 private:
  // The text of a token; null if there is none.
  json TextOf(int32_t id) const {
    return id < 0 ? json() : json(spelled_[static_cast<size_t>(id)]);
  }

  [[noreturn]] void Refuse(const std::string& cause) const {
    throw Error::InFile(
        file_, "the tokenizer " + cause + "; --no-tokenizer leaves it out",
        ErrorCode::kUnsupported);
  }

  void FindAdded() {
    added_.assign(data_.size(), nullptr);
    for (AddedToken& token : data_.recipe.added) {
      added_[static_cast<size_t>(token.id)] = &token;
    }
  }

  // What is looked for in normalized text, before that: of a few ways the one
  // that gives it.
  std::string Content(const AddedToken& token) const {
    if (!token.normalized) return token.text;
    std::string plain = token.text;
    const std::string& space = data_.recipe.space;
    if (!space.empty()) {
      if (plain.starts_with(space)) plain.erase(0, space.size());
      for (size_t at = plain.find(space); at != std::string::npos;
           at = plain.find(space)) {
        plain.replace(at, space.size(), 1, ' ');
      }
    }
    for (const std::string& text : {token.text, plain}) {
      if (NormalizeText(data_.recipe.normalizer, text, file_) == token.text) {
        return text;
      }
    }
    Refuse("has the token '" + token.text + "', which is normalized");
  }

  // Tokens behind all pieces need no place in the vocabulary.
  void SpellPieces() {
    const ByteAlphabet alphabet;
    for (size_t id = 0; id < data_.size(); ++id) {
      const std::string_view piece = data_.Piece(id);
      std::string text(piece);
      if (data_.types[id] == PieceType::kByte) {
        char byte[8];
        std::snprintf(byte, sizeof(byte), "<0x%02X>",
                      static_cast<unsigned>(static_cast<uint8_t>(piece[0])));
        text = byte;
      } else if (added_[id] != nullptr) {
        text = Content(*added_[id]);
      } else if (data_.recipe.bytes && data_.types[id] == PieceType::kNormal) {
        text = alphabet.Encode(piece);
      }
      spelled_.push_back(std::move(text));
    }
    first_outside_ = data_.size();
    while (first_outside_ > 0 && added_[first_outside_ - 1] != nullptr) {
      --first_outside_;
    }
    // Their numbers follow from the size of the vocabulary.
    for (size_t id = 0; id < first_outside_; ++id) {
      if (data_.types[id] == PieceType::kUnused) first_outside_ = data_.size();
    }
  }

  json Added() const {
    std::vector<const AddedToken*> tokens;
    for (const AddedToken& token : data_.recipe.added) tokens.push_back(&token);
    std::stable_sort(
        tokens.begin(), tokens.end(),
        [](const AddedToken* a, const AddedToken* b) { return a->id < b->id; });
    json added = json::array();
    for (const AddedToken* token : tokens) {
      const auto id = static_cast<size_t>(token->id);
      added.push_back({{"id", token->id},
                       {"content", Content(*token)},
                       {"single_word", token->single_word},
                       {"lstrip", token->strip_left},
                       {"rstrip", token->strip_right},
                       {"normalized", token->normalized},
                       {"special", data_.types[id] == PieceType::kControl}});
    }
    return added;
  }

  json NormalizerOf(const TextStep& step) const {
    const auto bert = [](bool clean) -> json {
      return {{"type", "BertNormalizer"},
              {"clean_text", clean},
              {"handle_chinese_chars", !clean},
              {"strip_accents", false},
              {"lowercase", false}};
    };
    switch (step.kind) {
      case Kind::kNfc:
        return {{"type", "NFC"}};
      case Kind::kNfd:
        return {{"type", "NFD"}};
      case Kind::kNfkc:
        return {{"type", "NFKC"}};
      case Kind::kNfkd:
        return {{"type", "NFKD"}};
      case Kind::kLowercase:
        return {{"type", "Lowercase"}};
      case Kind::kNoMarks:
        return {{"type", "StripAccents"}};
      case Kind::kNoControls:
        return bert(true);
      case Kind::kSpaceIdeographs:
        return bert(false);
      case Kind::kStrip:
        return {{"type", "Strip"},
                {"strip_left", step.ends != TextStep::Ends::kEnd},
                {"strip_right", step.ends != TextStep::Ends::kStart}};
      case Kind::kPrefix:
        if (step.prefix != TextStep::Prefix::kAlways) break;
        return {{"type", "Prepend"}, {"prepend", step.to}};
      case Kind::kReplace:
        return {{"type", "Replace"},
                {"pattern", {{"String", step.from}}},
                {"content", step.to}};
      case Kind::kReplaceMatches:
        return {{"type", "Replace"},
                {"pattern", {{"Regex", Regex(step.from)}}},
                {"content", step.to}};
      case Kind::kCollapse:
      case Kind::kSplit:
        break;
    }
    Refuse("prepares texts in a way that tokenizer.json has no words for");
  }

  json Normalizer() const {
    json steps = json::array();
    for (const TextStep& step : data_.recipe.normalizer) {
      steps.push_back(NormalizerOf(step));
    }
    if (steps.empty()) return nullptr;
    if (steps.size() == 1) return std::move(steps[0]);
    return Sequence("normalizers", std::move(steps));
  }

  static json SplitOf(const TextStep& step) {
    const char* behavior = "Isolated";
    switch (step.split) {
      case Split::kIsolated:
        break;
      case Split::kRemoved:
      case Split::kKept:
        behavior = "Removed";
        break;
      case Split::kMergedWithPrevious:
        behavior = "MergedWithPrevious";
        break;
      case Split::kMergedWithNext:
        behavior = "MergedWithNext";
        break;
      case Split::kContiguous:
        behavior = "Contiguous";
        break;
    }
    return {{"type", "Split"},
            {"pattern", {{"Regex", Regex(step.from)}}},
            {"behavior", behavior},
            {"invert", step.split == Split::kKept}};
  }

  // What reading `part` gives.
  static std::vector<TextStep> StepsOf(const json& part) {
    return ReadPreTokenizer(JsonObject(part, "", "pre_tokenizer")).steps;
  }

  json PreTokenizer() const {
    const std::vector<TextStep>& steps = data_.recipe.splitter;
    json parts = json::array();
    size_t at = 0;
    // The longest of the forms that give the next steps, if there is one.
    const auto take = [&](const std::vector<json>& forms) {
      const json* best = nullptr;
      size_t length = 0;
      for (const json& form : forms) {
        const auto given = StepsOf(form);
        if (given.size() > length && given.size() <= steps.size() - at &&
            Same(given,
                 {steps.begin() + static_cast<ptrdiff_t>(at),
                  steps.begin() + static_cast<ptrdiff_t>(at + given.size())})) {
          best = &form;
          length = given.size();
        }
      }
      if (best == nullptr) return false;
      parts.push_back(*best);
      at += length;
      return true;
    };
    std::vector<json> metaspace;
    if (!data_.recipe.space.empty()) {
      for (const char* scheme : {"always", "first", "never"}) {
        for (const bool split : {true, false}) {
          metaspace.push_back({{"type", "Metaspace"},
                               {"replacement", data_.recipe.space},
                               {"prepend_scheme", scheme},
                               {"split", split}});
        }
      }
    }
    std::vector<json> bytes;
    for (const bool prefix : {true, false}) {
      for (const bool regex : {true, false}) {
        bytes.push_back({{"type", "ByteLevel"},
                         {"add_prefix_space", prefix},
                         {"trim_offsets", true},
                         {"use_regex", regex}});
      }
    }
    bool ended = false;
    while (at < steps.size()) {
      if (take(metaspace)) continue;
      // Nothing follows it.
      const size_t before = at;
      if (data_.recipe.bytes && take(bytes)) {
        if (at == steps.size()) {
          ended = true;
          break;
        }
        parts.erase(parts.size() - 1);
        at = before;
      }
      if (steps[at].kind != Kind::kSplit) {
        Refuse("cuts texts in a way that tokenizer.json has no words for");
      }
      parts.push_back(SplitOf(steps[at++]));
    }
    if (data_.recipe.bytes && !ended) parts.push_back(bytes.back());
    if (parts.empty()) return nullptr;
    if (parts.size() == 1) return std::move(parts[0]);
    return Sequence("pretokenizers", std::move(parts));
  }

  json PostProcessor() const {
    const TokenizerRecipe& recipe = data_.recipe;
    if (recipe.before.empty() && recipe.after.empty()) return nullptr;
    json tokens = json::object();
    const auto add = [&](int32_t id, int type, json& to) {
      const std::string text = TextOf(id);
      to.push_back({{"SpecialToken", {{"id", text}, {"type_id", type}}}});
      tokens[text] = {{"id", text},
                      {"ids", json::array({id})},
                      {"tokens", json::array({text})}};
    };
    const auto around = [&](const char* name, int type, json& to) {
      for (const int32_t id : recipe.before) add(id, type, to);
      to.push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
      for (const int32_t id : recipe.after) add(id, type, to);
    };
    json single = json::array();
    json pair = json::array();
    around("A", 0, single);
    around("A", 0, pair);
    around("B", 1, pair);
    return {{"type", "TemplateProcessing"},
            {"single", std::move(single)},
            {"pair", std::move(pair)},
            {"special_tokens", std::move(tokens)}};
  }

  json Decoder() const {
    const TokenizerRecipe& recipe = data_.recipe;
    if (recipe.bytes) {
      return {{"type", "ByteLevel"},
              {"add_prefix_space", true},
              {"trim_offsets", true},
              {"use_regex", true}};
    }
    if (recipe.model == PieceModel::kWordPiece) {
      return {{"type", "WordPiece"},
              {"prefix", recipe.continuation},
              {"cleanup", recipe.clean_up}};
    }
    json parts = json::array();
    if (!recipe.space.empty() && recipe.strip_piece) {
      parts.push_back({{"type", "Metaspace"},
                       {"replacement", recipe.space},
                       {"prepend_scheme", "always"},
                       {"split", true}});
    } else if (!recipe.space.empty()) {
      parts.push_back({{"type", "Replace"},
                       {"pattern", {{"String", recipe.space}}},
                       {"content", " "}});
    }
    if (recipe.byte_fallback) parts.push_back({{"type", "ByteFallback"}});
    parts.push_back({{"type", "Fuse"}});
    if (recipe.strip_space) {
      parts.push_back(
          {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    }
    return Sequence("decoders", std::move(parts));
  }

  json Vocabulary() const {
    json vocabulary = json::object();
    for (size_t id = 0; id < first_outside_; ++id) {
      if (data_.types[id] == PieceType::kUnused) continue;
      if (!vocabulary.emplace(spelled_[id], id).second) {
        Refuse("has the piece '" + spelled_[id] + "' twice");
      }
    }
    return vocabulary;
  }

  json ModelPart() const {
    const TokenizerRecipe& recipe = data_.recipe;
    if (recipe.model == PieceModel::kUnigram) {
      json vocabulary = json::array();
      for (size_t id = 0; id < first_outside_; ++id) {
        vocabulary.push_back({spelled_[id], data_.scores[id]});
      }
      return {{"type", "Unigram"},
              {"unk_id", recipe.unknown < 0 ? json() : json(recipe.unknown)},
              {"vocab", std::move(vocabulary)},
              {"byte_fallback", recipe.byte_fallback}};
    }
    if (recipe.model == PieceModel::kWordPiece) {
      return {{"type", "WordPiece"},
              {"unk_token", TextOf(recipe.unknown)},
              {"continuing_subword_prefix", recipe.continuation},
              {"max_input_chars_per_word", recipe.max_word},
              {"vocab", Vocabulary()}};
    }
    return {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", TextOf(recipe.unknown)},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", recipe.fuse_unknown},
            {"byte_fallback", recipe.byte_fallback},
            {"ignore_merges", recipe.whole_pieces},
            {"vocab", Vocabulary()},
            {"merges", Merges()}};
  }

  // Those of one rank, which scores give, as the library's converter has them.
  std::vector<Merge> MergesInOrder() const {
    std::vector<Merge> merges = data_.merges;
    std::stable_sort(
        merges.begin(), merges.end(),
        [](const Merge& a, const Merge& b) { return a.rank < b.rank; });
    return merges;
  }

  json Merges() const {
    json merges = json::array();
    for (const Merge& merge : MergesInOrder()) {
      merges.push_back({spelled_[merge.left], spelled_[merge.right]});
    }
    return merges;
  }

  // What is read back is the same, but for pieces that no text leads to.
  void Check(const json& root) const {
    const TokenizerData read = ReadTokenizerJson(root, file_);
    const TokenizerRecipe& a = data_.recipe;
    const TokenizerRecipe& b = read.recipe;
    const auto merge = [](const Merge& x, const Merge& y) {
      return x.left == y.left && x.right == y.right && x.result == y.result;
    };
    const bool same =
        a.model == b.model && Same(a.normalizer, b.normalizer) &&
        Same(a.splitter, b.splitter) && Same(a.added, b.added) &&
        a.bytes == b.bytes && a.byte_fallback == b.byte_fallback &&
        a.unknown == b.unknown && a.whole_pieces == b.whole_pieces &&
        a.continuation == b.continuation && a.max_word == b.max_word &&
        a.clean_up == b.clean_up && a.space == b.space &&
        a.strip_space == b.strip_space && a.strip_piece == b.strip_piece &&
        a.before == b.before && a.after == b.after &&
        std::equal(data_.merges.begin(), data_.merges.end(),
                   read.merges.begin(), read.merges.end(), merge) &&
        std::all_of(data_.lookup.begin(), data_.lookup.end(), [&](uint32_t id) {
          return read.Find(data_.Piece(id)) == int64_t{id};
        });
    if (!same) Refuse("is none that tokenizer.json can hold");
  }

  std::string file_;
  TokenizerData data_;
  std::vector<const AddedToken*> added_;  // by id
  std::vector<std::string> spelled_;      // as the file has the pieces
  size_t first_outside_ = 0;  // from here on pieces are not in the vocabulary
};

}  // namespace

WrittenTokenizer WriteTokenizerJson(const TokenizerData& data,
                                    const std::string& file) {
  Writer writer(file, data);
  std::string text = writer.Tokenizer().dump() + "\n";
  return {std::move(text), writer.TakePieces()};
}

}  // namespace lutra::packer
