// tokenizer.json of https://github.com/huggingface/tokenizers.

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/tokenizers/byte_alphabet.h"
#include "packer/import/tokenizers/text_step_json.h"
#include "packer/import/tokenizers/tokenizers.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/utf8.h"

namespace lutra::packer {
namespace {

using nlohmann::json;

class JsonImporter {
 public:
  JsonImporter(const json& root, std::string_view file)
      : root_(root, file, "tokenizer"), model_(root_.Object("model")) {}

  TokenizerData Read() {
    ReadModel();
    ReadOptions();
    ReadSteps();
    if (data_.recipe.model == PieceModel::kUnigram) {
      ReadScoredVocabulary();
    } else {
      ReadVocabulary();
    }
    ReadAddedTokens();
    StorePieces();
    if (data_.recipe.model == PieceModel::kMerges) ReadMerges();
    data_.scores.resize(
        data_.recipe.model == PieceModel::kUnigram ? data_.size() : 0);
    if (root_.Has("post_processor")) {
      ReadPostProcessor(root_.Object("post_processor"));
    }
    return std::move(data_);
  }

 private:
  struct Piece {
    std::string text;
    PieceType type = PieceType::kUnused;
  };

  void ReadModel() {
    // Older files do not say it.
    const std::string type = model_.String(
        "type", model_.Has("merges") ? "BPE" : "one that is not named");
    PieceModel& model = data_.recipe.model;
    if (type == "WordPiece") {
      model = PieceModel::kWordPiece;
    } else if (type == "Unigram") {
      model = PieceModel::kUnigram;
    } else if (type != "BPE") {
      model_.Fail("type '" + type + "' is not supported");
    }
  }

  void ReadOptions() {
    TokenizerRecipe& recipe = data_.recipe;
    if (recipe.model == PieceModel::kWordPiece) {
      recipe.continuation = model_.String("continuing_subword_prefix", "##");
      recipe.max_word =
          model_.Integer("max_input_chars_per_word", 0, int64_t{1} << 30, 100);
      return;
    }
    for (const char* key :
         {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!model_.String(key, "").empty()) {
        model_.Fail(std::string(key) + " is not supported");
      }
    }
    if (model_.Number("dropout", 0, 1, 0) != 0) {
      model_.Fail("dropout is not supported");
    }
    recipe.fuse_unknown = model_.Bool("fuse_unk", false);
    recipe.byte_fallback = model_.Bool("byte_fallback", false);
    recipe.whole_pieces = model_.Bool("ignore_merges", false);
  }

  void ReadSteps() {
    TokenizerRecipe& recipe = data_.recipe;
    if (root_.Has("normalizer")) {
      recipe.normalizer = ReadNormalizer(root_.Object("normalizer"));
    }
    if (root_.Has("pre_tokenizer")) {
      PreTokenizer pre = ReadPreTokenizer(root_.Object("pre_tokenizer"));
      recipe.splitter = std::move(pre.steps);
      recipe.bytes = pre.bytes;
    }
    const JsonObject object = root_.Object("decoder");
    const TextDecoder decoder = ReadDecoder(object);
    if (decoder.bytes != recipe.bytes) {
      object.Fail("does not undo the pre_tokenizer");
    }
    recipe.space = decoder.space;
    recipe.strip_space = decoder.strip_space;
    recipe.strip_piece = decoder.strip_piece;
    recipe.clean_up = decoder.clean_up;
    if (decoder.continuation != recipe.continuation) {
      object.Fail("is not the WordPiece decoder of the model");
    }
    recipe.kind = recipe.model == PieceModel::kWordPiece ? "WordPiece"
                  : recipe.model == PieceModel::kUnigram ? "Unigram"
                  : recipe.bytes                         ? "byte-level BPE"
                                                         : "BPE";
    if (recipe.byte_fallback) recipe.kind += " with byte fallback";
  }

  Piece& PieceAt(int64_t id) {
    const auto index = static_cast<size_t>(id);
    if (index >= pieces_.size()) pieces_.resize(index + 1);
    return pieces_[index];
  }

  // A few large ids would make a large table.
  int64_t LargestId(size_t count) const {
    return static_cast<int64_t>(std::min(kMaxPieces, 16 * count + 65536)) - 1;
  }

  void ReadVocabulary() {
    const json& vocab = model_.Get("vocab");
    const JsonObject object(vocab, root_.file(), "tokenizer: model: vocab");
    const int64_t largest = LargestId(vocab.size());
    const bool bytes = data_.recipe.bytes;
    for (const auto& [spelled, value] : vocab.items()) {
      if (spelled.size() > kMaxPieceBytes) object.Fail("a piece is too long");
      const int64_t id = object.Integer(spelled, 0, largest);
      Piece& piece = PieceAt(id);
      if (piece.type != PieceType::kUnused) {
        object.Fail("two pieces have the id " + std::to_string(id));
      }
      piece.type = PieceType::kNormal;
      // What is not in the alphabet stands for itself, but no text leads to it.
      const auto decoded = bytes ? alphabet_.Decode(spelled) : spelled;
      piece.text = decoded.value_or(spelled);
      ids_[spelled] = static_cast<uint32_t>(id);
      const auto byte = ParseBytePiece(spelled);
      if (data_.recipe.byte_fallback && byte) {
        piece.type = PieceType::kByte;
        piece.text = static_cast<char>(*byte);
      } else if (decoded && !spelled.empty()) {
        lookup_.push_back(static_cast<uint32_t>(id));
      }
    }
    if (model_.Has("unk_token")) {
      data_.recipe.unknown =
          static_cast<int32_t>(IdOf(model_, model_.String("unk_token")));
    }
  }

  // A list of pieces with their scores; ids are places.
  void ReadScoredVocabulary() {
    for (const json& entry : model_.List("vocab", kMaxPieces)) {
      const std::string where = "entry " + std::to_string(pieces_.size());
      if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() ||
          !entry[1].is_number()) {
        model_.Fail("vocab: " + where + " is no piece with a score");
      }
      const auto& text = entry[0].get_ref<const std::string&>();
      if (text.size() > kMaxPieceBytes) model_.Fail("a piece is too long");
      const auto id = static_cast<uint32_t>(pieces_.size());
      const double score = entry[1].get<double>();
      if (!std::isfinite(score)) model_.Fail("vocab: " + where);
      data_.scores.push_back(score);
      Piece& piece = pieces_.emplace_back();
      piece.text = text;
      piece.type = PieceType::kNormal;
      ids_.try_emplace(text, id);
      const auto byte = ParseBytePiece(text);
      if (data_.recipe.byte_fallback && byte) {
        piece.type = PieceType::kByte;
        piece.text = static_cast<char>(*byte);
      } else if (!text.empty()) {
        lookup_.push_back(id);
      }
    }
    const auto last = static_cast<int64_t>(pieces_.size()) - 1;
    data_.recipe.unknown =
        static_cast<int32_t>(model_.Integer("unk_id", 0, last, -1));
    data_.recipe.fuse_unknown = true;
  }

  uint32_t IdOf(const JsonObject& object, const std::string& piece) const {
    const auto id = ids_.find(piece);
    if (id == ids_.end())
      object.Fail(std::string("'") + piece + "' is not in the vocab");
    return id->second;
  }

  // Tokens to be found after the normalizer are themselves normalized first.
  std::string Normalized(const std::string& text) const {
    return NormalizeText(data_.recipe.normalizer, text, root_.file());
  }

  // A token's id is that of its text in the vocab, or else the next one: the
  // library takes no notice of the id in the file, which must agree.
  void CheckAddedIds(const std::multimap<int64_t, JsonObject>& tokens) const {
    std::unordered_map<std::string, int64_t> added;
    auto next = static_cast<int64_t>(ids_.size());
    for (const auto& [id, object] : tokens) {
      const std::string text = object.String("content");
      if (text.empty()) continue;  // has none
      const auto in_vocab = ids_.find(text);
      const int64_t own = in_vocab != ids_.end()
                              ? int64_t{in_vocab->second}
                              : added.try_emplace(text, next).first->second;
      if (id != own) {
        object.Fail("'" + text + "' has the id " + std::to_string(id) +
                    ", but by the vocab and the other tokens it is " +
                    std::to_string(own));
      }
      next = std::max(next, id + 1);
    }
  }

  void ReadAddedTokens() {
    if (!root_.Has("added_tokens")) return;
    std::multimap<int64_t, JsonObject> tokens;  // by id
    for (const json& entry : root_.List("added_tokens", kMaxPieces)) {
      const JsonObject object(entry, root_.file(), "tokenizer: added_tokens");
      tokens.emplace(object.Integer("id", 0, LargestId(pieces_.size())),
                     object);
    }
    CheckAddedIds(tokens);
    for (const auto& [id, object] : tokens) {
      AddedToken token;
      token.id = static_cast<int32_t>(id);
      token.text = object.String("content");
      if (token.text.empty()) continue;  // never found
      if (token.text.size() > kMaxPieceBytes) object.Fail("is too long");
      Piece& piece = PieceAt(id);
      token.normalized = object.Bool("normalized", false);
      if (token.normalized) token.text = Normalized(token.text);
      // A byte stays one: texts lead to it by the bytes, too. Others are
      // decoded like pieces, as far as they are spelled in the alphabet of
      // bytes.
      if (piece.type != PieceType::kByte) {
        piece.text = token.text;
        if (data_.recipe.bytes) {
          piece.text = alphabet_.Decode(token.text).value_or(token.text);
        }
        piece.type = object.Bool("special", false) ? PieceType::kControl
                                                   : PieceType::kNormal;
      }
      token.single_word = object.Bool("single_word", false);
      token.strip_left = object.Bool("lstrip", false);
      token.strip_right = object.Bool("rstrip", false);
      data_.recipe.added.push_back(std::move(token));
    }
  }

  void StorePieces() {
    for (const Piece& piece : pieces_) data_.AddPiece(piece.text, piece.type);
    MakeLookup(std::move(lookup_), data_);
  }

  // "a b", or ["a", "b"] where pieces may hold spaces; the rank is the place.
  void ReadMerges() {
    uint32_t rank = 0;
    for (const json& entry : model_.List("merges", kMaxMerges)) {
      std::string left;
      std::string right;
      if (entry.is_string()) {
        const auto& text = entry.get_ref<const std::string&>();
        const size_t space = text.find(' ');
        if (space == std::string::npos ||
            text.find(' ', space + 1) != std::string::npos) {
          model_.Fail("merge " + std::to_string(rank) + " is not two pieces");
        }
        left = text.substr(0, space);
        right = text.substr(space + 1);
      } else if (entry.is_array() && entry.size() == 2 &&
                 entry[0].is_string() && entry[1].is_string()) {
        left = entry[0].get<std::string>();
        right = entry[1].get<std::string>();
      } else {
        model_.Fail("merge " + std::to_string(rank) + " is not two pieces");
      }
      data_.merges.push_back({IdOf(model_, left), IdOf(model_, right), rank,
                              IdOf(model_, left + right)});
      ++rank;
    }
    SortMerges(data_.merges);
  }

  // Which special tokens are put around one text.
  void ReadPostProcessor(const JsonObject& object) {
    constexpr size_t kMaxParts = 32;
    const std::string type = object.String("type");
    if (type == "Sequence") {
      for (const json& entry : object.List("processors", kMaxParts)) {
        ReadPostProcessor(JsonObject(entry, root_.file(), object.where()));
      }
    } else if (type == "TemplateProcessing") {
      ReadTemplate(object, object.List("single", kMaxParts));
    } else if (type == "RobertaProcessing" || type == "BertProcessing") {
      ReadPair(object, "cls", data_.recipe.before);
      ReadPair(object, "sep", data_.recipe.after);
    } else if (type != "ByteLevel") {  // which changes offsets only
      object.Fail("type '" + type + "' is not supported");
    }
  }

  // ["</s>", 2]
  void ReadPair(const JsonObject& object, const char* key,
                std::vector<int32_t>& ids) const {
    const json& pair = object.List(key, 2);
    const auto last = static_cast<int64_t>(pieces_.size()) - 1;
    if (pair.size() != 2 || !pair[1].is_number_integer() ||
        pair[1].get<int64_t>() < 0 || pair[1].get<int64_t>() > last) {
      object.Fail(std::string(key) + " is no token and its id");
    }
    ids.push_back(static_cast<int32_t>(pair[1].get<int64_t>()));
  }

  void ReadTemplate(const JsonObject& object, const json& parts) {
    bool after = false;
    TokenizerRecipe& recipe = data_.recipe;
    for (const json& entry : parts) {
      const JsonObject part(entry, root_.file(), object.where() + ": single");
      if (part.Has("Sequence")) {
        if (after) part.Fail("repeats the text, which is not supported");
        after = true;
        continue;
      }
      const std::string name = part.Object("SpecialToken").String("id");
      const JsonObject token = object.Object("special_tokens").Object(name);
      const auto last = static_cast<int64_t>(pieces_.size()) - 1;
      for (const int64_t id : token.Integers("ids", 0, last, 16)) {
        (after ? recipe.after : recipe.before)
            .push_back(static_cast<int32_t>(id));
      }
    }
    if (!after) object.Fail("leaves the text out, which is not supported");
  }

  JsonObject root_;
  JsonObject model_;
  TokenizerData data_;
  ByteAlphabet alphabet_;
  std::vector<Piece> pieces_;
  std::unordered_map<std::string, uint32_t> ids_;  // by the file's spelling
  std::vector<uint32_t> lookup_;
};

}  // namespace

TokenizerData ReadTokenizerJson(const std::filesystem::path& path) {
  const MappedFile file(path);
  const std::string name = path.string();
  const JsonDocument document = ParseJson(file.text(), name, "tokenizer");
  return ReadTokenizerJson(document.root(), name);
}

TokenizerData ReadTokenizerJson(const json& root, const std::string& file) {
  return JsonImporter(root, file).Read();
}

}  // namespace lutra::packer
