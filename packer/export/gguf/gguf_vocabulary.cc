#include "packer/export/gguf/gguf_vocabulary.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/tokenizer.h"
#include "lutra/runtime/tokenizer_data.h"
#include "packer/import/gguf/gguf_tokenizer.h"
#include "packer/import/tokenizers/byte_alphabet.h"
#include "runtime/base/utf8.h"

namespace lutra::packer {
namespace {

using Type = GgufTokenType;

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581
constexpr std::string_view kContinuation = "##";     // of WordPiece
// Of pieces that no merge leads to: lower than all others.
constexpr float kLowestScore = -1e6f;

class VocabularyWriter {
 public:
  VocabularyWriter(const Model& model, TokenizerData data, bool merges,
                   GgufWriter& out, std::vector<std::string>& notes)
      : model_(model),
        data_(std::move(data)),
        merges_(merges),
        out_(out),
        notes_(notes) {}

  void Write() {
    FindAdded();
    const TokenizerRecipe& recipe = data_.recipe;
    if (recipe.model == PieceModel::kMerges && recipe.bytes) {
      WriteByteLevel();
    } else if (recipe.model == PieceModel::kMerges && IsSentencePiece()) {
      merges_ ? WriteGemma4() : WriteSentencePiece();
    } else if (recipe.model == PieceModel::kWordPiece &&
               recipe.continuation == kContinuation) {
      WriteWordPiece();
    } else {
      Refuse("is none that GGUF files have (" + recipe.kind + ")");
    }
    WriteEnds();
  }

  void WriteChat(const ChatData& chat) {
    constexpr std::string_view kKey = "tokenizer.chat_template";
    std::vector<std::string> names;
    for (const auto& [name, source] : chat.templates) {
      if (name == "default") {
        out_.Text(kKey, source);
        continue;
      }
      names.push_back(name);
      out_.Text(std::string(kKey) + "." + name, source);
    }
    if (!names.empty()) out_.Texts("tokenizer.chat_templates", names);
    // Those of the ends of texts are written with these.
    constexpr std::pair<std::string_view, std::string_view> kTokens[] = {
        {"sep_token", "seperator"},  // sic
        {"pad_token", "padding"},
        {"cls_token", "cls"},
        {"mask_token", "mask"}};
    for (const auto& [name, text] : chat.tokens) {
      for (const auto& [token, key] : kTokens) {
        if (token == name) WriteId(key, IdOfAdded(text));
      }
    }
  }

  // The end of texts among several, and tokens that templates know though no
  // text gets them.
  void Prefer(const ChatData& chat) {
    for (const auto& [name, text] : chat.tokens) {
      if (name == "eos_token") end_ = IdOfAdded(text);
      if (name == "bos_token") begin_ = IdOfAdded(text);
      if (name == "unk_token") unknown_ = IdOfAdded(text);
    }
  }

 private:
  [[noreturn]] void Refuse(const std::string& cause) const {
    throw Error::InFile(
        model_.path(),
        "the tokenizer " + cause + "; --no-tokenizer leaves it out",
        ErrorCode::kUnsupported);
  }

  void FindAdded() {
    bool options = false;
    bool spaces = false;
    added_.assign(data_.size(), nullptr);
    for (const AddedToken& token : data_.recipe.added) {
      added_[static_cast<size_t>(token.id)] = &token;
      spaces = spaces || token.text.find(kSpace) != std::string::npos;
      options =
          options || token.strip_left || token.strip_right || token.single_word;
    }
    if (spaces && !data_.recipe.bytes && !merges_) {
      notes_.emplace_back(
          "added tokens with '\xE2\x96\x81' stand for spaces in GGUF files, "
          "which here they do not");
    }
    if (options) {
      notes_.emplace_back(
          "some tokens take white space along or stand alone, which GGUF "
          "cannot say");
    }
  }

  int32_t IdOfAdded(const std::string& text) const {
    for (const AddedToken& token : data_.recipe.added) {
      if (token.text == text) return token.id;
    }
    return -1;
  }

  void WriteId(std::string_view key, int32_t id) {
    if (id < 0) return;
    out_.Integer("tokenizer.ggml." + std::string(key) + "_token_id",
                 static_cast<uint32_t>(id));
  }

  // Pieces as `spell` has those that are no added tokens.
  template <typename Spell>
  void WritePieces(const Spell& spell) {
    std::vector<int32_t> types;
    std::unordered_set<std::string> seen;
    texts_.clear();
    for (size_t id = 0; id < data_.size(); ++id) {
      const std::string_view piece = data_.Piece(id);
      const AddedToken* added = added_[id];
      Type type = Type::kNormal;
      std::string text;
      if (data_.types[id] == PieceType::kByte) {
        char spelled[8];
        std::snprintf(spelled, sizeof(spelled), "<0x%02X>",
                      static_cast<unsigned>(static_cast<uint8_t>(piece[0])));
        text = spelled;
        type = Type::kByte;
      } else if (data_.types[id] == PieceType::kUnused) {
        text = "[PAD" + std::to_string(id) + "]";
        type = Type::kUnused;
      } else if (added != nullptr || data_.types[id] == PieceType::kControl) {
        text = added == nullptr ? std::string(piece) : added->text;
        type = data_.types[id] != PieceType::kControl ? Type::kUserDefined
               : data_.recipe.unknown == static_cast<int32_t>(id)
                   ? Type::kUnknown
                   : Type::kControl;
      } else {
        text = spell(piece);
        // What no text leads to may be spelled as something else is.
        if (seen.contains(text)) text = std::string(piece);
      }
      if (!seen.insert(text).second) {
        Refuse("has the token '" + text + "' twice");
      }
      texts_.push_back(std::move(text));
      types.push_back(static_cast<int32_t>(type));
    }
    out_.Texts("tokenizer.ggml.tokens", texts_);
    out_.Integers("tokenizer.ggml.token_type", types);
  }

  std::vector<Merge> MergesByRank() const {
    std::vector<Merge> merges = data_.merges;
    std::sort(merges.begin(), merges.end(),
              [](const Merge& a, const Merge& b) { return a.rank < b.rank; });
    return merges;
  }

  void WriteGemma4() {
    if (prefixes_ || collapses_) Refuse("is none of Gemma 4's");
    out_.Text("tokenizer.ggml.model", "gemma4");
    WritePieces([](std::string_view piece) { return std::string(piece); });
    std::vector<std::string> merges;
    for (const Merge& merge : MergesByRank()) {
      merges.push_back(std::string(data_.Piece(merge.left)) + " " +
                       std::string(data_.Piece(merge.right)));
    }
    out_.Texts("tokenizer.ggml.merges", merges);
    out_.Bool("tokenizer.ggml.add_space_prefix", false);
  }

  // Marks pieces that begin a word, not those that do not.
  void WriteWordPiece() {
    const auto& steps = data_.recipe.normalizer;
    const auto has = [&](TextStep::Kind kind) {
      return std::any_of(
          steps.begin(), steps.end(),
          [kind](const TextStep& step) { return step.kind == kind; });
    };
    constexpr int64_t kMostCharacters = 100;
    if (!has(TextStep::Kind::kNoControls) ||
        !has(TextStep::Kind::kSpaceIdeographs) ||
        data_.recipe.max_word != kMostCharacters) {
      Refuse("prepares texts otherwise than BERT's");
    }
    out_.Text("tokenizer.ggml.model", "bert");
    out_.Bool("tokenizer.ggml.normalizer.lowercase",
              has(TextStep::Kind::kLowercase));
    out_.Bool("tokenizer.ggml.normalizer.strip_accents",
              has(TextStep::Kind::kNoMarks));
    WritePieces([](std::string_view piece) {
      return piece.starts_with(kContinuation)
                 ? std::string(piece.substr(kContinuation.size()))
                 : std::string(kSpace) + std::string(piece);
    });
    const TokenizerRecipe& recipe = data_.recipe;
    if (!recipe.before.empty()) WriteId("cls", recipe.before[0]);
    if (!recipe.after.empty()) WriteId("seperator", recipe.after[0]);
  }

  void WriteByteLevel() {
    TokenizerRecipe recipe = data_.recipe;
    auto pre = GgufPreTokenizer(recipe);
    if (!pre && MergesMakeAllPieces()) {
      recipe.whole_pieces = !recipe.whole_pieces;
      pre = GgufPreTokenizer(recipe);
    }
    if (!pre) Refuse("cuts texts in a way that llama.cpp has no name for");
    out_.Text("tokenizer.ggml.model", "gpt2");
    out_.Text("tokenizer.ggml.pre", *pre);
    const ByteAlphabet alphabet;
    WritePieces([&](std::string_view piece) { return alphabet.Encode(piece); });
    std::vector<std::string> merges;
    for (const Merge& merge : MergesByRank()) {
      merges.push_back(alphabet.Encode(data_.Piece(merge.left)) + " " +
                       alphabet.Encode(data_.Piece(merge.right)));
    }
    out_.Texts("tokenizer.ggml.merges", merges);
  }

  // Whether it makes no difference if parts that are pieces are taken whole,
  // which llama.cpp does or does not by the name of how texts are cut.
  bool MergesMakeAllPieces() const {
    TokenizerData data = data_;
    data.recipe.normalizer.clear();
    data.recipe.splitter.clear();
    data.recipe.added.clear();
    data.recipe.whole_pieces = false;
    const auto bytes = SerializeTokenizer(data);
    const auto tokenizer = Tokenizer::Parse(bytes, model_.path());
    return std::all_of(
        data_.lookup.begin(), data_.lookup.end(), [&](uint32_t id) {
          const std::string_view piece = data_.Piece(id);
          // No text has others.
          if (!IsUtf8(piece)) return true;
          const auto ids = tokenizer->Encode(piece, /*add_special=*/false);
          return ids.size() == 1 && ids[0] == static_cast<int32_t>(id);
        });
  }

  // Whether texts are prepared as sentencepiece does.
  bool IsSentencePiece() {
    const TokenizerRecipe& recipe = data_.recipe;
    if (recipe.space != kSpace || !recipe.byte_fallback) return false;
    bool replaced = false;
    for (const auto* steps : {&recipe.normalizer, &recipe.splitter}) {
      for (const TextStep& step : *steps) {
        switch (step.kind) {
          case TextStep::Kind::kCollapse:
            collapses_ = true;
            break;
          case TextStep::Kind::kPrefix:
            prefixes_ = true;
            if (step.to != kSpace) return false;
            if (step.prefix != TextStep::Prefix::kAlways) {
              notes_.emplace_back(
                  "texts that begin with a space, or follow a special token, "
                  "may get one space more");
            }
            break;
          case TextStep::Kind::kReplace:
            if (step.from != " " || step.to != kSpace) return false;
            replaced = true;
            break;
          case TextStep::Kind::kSplit:
            // Gemma's files split at spaces, of which none is left.
            if (!replaced || (step.from != " " && step.from != "\\ ")) {
              return false;
            }
            break;
          default:
            return false;
        }
      }
    }
    return replaced;
  }

  void WriteSentencePiece() {
    const std::vector<float> scores = Scores();
    out_.Text("tokenizer.ggml.model", "llama");
    out_.Text("tokenizer.ggml.pre", "default");
    WritePieces([](std::string_view piece) { return std::string(piece); });
    out_.Numbers("tokenizer.ggml.scores", scores);
    out_.Bool("tokenizer.ggml.add_space_prefix", prefixes_);
    out_.Bool("tokenizer.ggml.remove_extra_whitespaces", collapses_);
  }

  // Merges of sentencepiece go by the score of what they make. Where the list
  // of merges is what such scores give, these are found again.
  std::vector<float> Scores() const {
    std::vector<float> scores(data_.size(), kLowestScore);
    float next = 0;
    std::optional<uint32_t> last;
    // Those of tokens that are found before anything is merged never happen.
    const auto never = [&](const Merge& merge) {
      return added_[merge.left] != nullptr || added_[merge.right] != nullptr ||
             added_[merge.result] != nullptr ||
             data_.types[merge.result] != PieceType::kNormal;
    };
    for (const Merge& merge : MergesByRank()) {
      if (never(merge) || last == merge.result) continue;
      if (scores[merge.result] != kLowestScore) {
        Refuse("has merges that do not go by scores of pieces");
      }
      last = merge.result;
      scores[merge.result] = next;
      next -= 1;
    }
    TokenizerData again = data_;
    AddMergesByScore(scores, again);
    const auto used = [&](std::vector<Merge> merges) {
      std::erase_if(merges, never);
      return merges;
    };
    const std::vector<Merge> own = used(data_.merges);
    const std::vector<Merge> implied = used(std::move(again.merges));
    const bool same = std::equal(
        own.begin(), own.end(), implied.begin(), implied.end(),
        [](const Merge& a, const Merge& b) {
          return a.left == b.left && a.right == b.right && a.result == b.result;
        });
    if (!same) Refuse("lacks merges that scores of pieces imply");
    return scores;
  }

  void WriteEnds() {
    const TokenizerRecipe& recipe = data_.recipe;
    int32_t first = recipe.bos >= 0 ? recipe.bos : begin_;
    if (!recipe.before.empty()) first = recipe.before[0];
    std::vector<int32_t> ends = recipe.ends;
    if (!recipe.after.empty()) end_ = recipe.after[0];
    if (recipe.before.size() > 1 || recipe.after.size() > 1) {
      Refuse("puts several tokens before or after a text");
    }
    const auto preferred = std::find(ends.begin(), ends.end(), end_);
    if (preferred != ends.end()) {
      std::rotate(ends.begin(), preferred, preferred + 1);
    } else if (!recipe.after.empty()) {
      ends.insert(ends.begin(), end_);
    }
    WriteId("bos", first);
    constexpr std::string_view kEnds[] = {"eos", "eot", "eom"};
    for (size_t i = 0; i < std::min(std::size(kEnds), ends.size()); ++i) {
      WriteId(kEnds[i], ends[i]);
    }
    if (ends.size() > std::size(kEnds)) {
      notes_.emplace_back("of " + std::to_string(ends.size()) +
                          " ends of texts GGUF names three");
    }
    WriteId("unknown", recipe.unknown >= 0 ? recipe.unknown : unknown_);
    out_.Bool("tokenizer.ggml.add_bos_token", !recipe.before.empty());
    out_.Bool("tokenizer.ggml.add_eos_token", !recipe.after.empty());
  }

  const Model& model_;
  TokenizerData data_;
  const bool merges_;
  GgufWriter& out_;
  std::vector<std::string>& notes_;
  std::vector<const AddedToken*> added_;  // by id
  std::vector<std::string> texts_;
  int32_t begin_ = -1;
  int32_t end_ = -1;
  int32_t unknown_ = -1;
  bool prefixes_ = false;
  bool collapses_ = false;
};

}  // namespace

void WriteGgufTokenizer(const Model& model, bool merges, GgufWriter& writer,
                        std::vector<std::string>& notes) {
  const TensorView* tensor = model.file().Find(kTokenizerTensor);
  const auto chat = ReadChatData(model);
  if (tensor == nullptr) {
    writer.Text("tokenizer.ggml.model", "none");
    if (chat) notes.emplace_back("chat templates need a tokenizer: left out");
    return;
  }
  VocabularyWriter out(model, ParseTokenizer(tensor->data, model.path()),
                       merges, writer, notes);
  if (chat) out.Prefer(*chat);
  out.Write();
  if (chat) out.WriteChat(*chat);
}

}  // namespace lutra::packer
