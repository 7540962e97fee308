// sentencepiece's library reads the file and describes the pieces, but not how
// text is prepared: that is taken from the protocol buffer itself
// (sentencepiece_model.proto of https://github.com/google/sentencepiece).

#include <sentencepiece_processor.h>

#include <cmath>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/protobuf.h"
#include "packer/import/tokenizers/tokenizers.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/utf8.h"

namespace lutra::packer {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581

// Fields of ModelProto, TrainerSpec and NormalizerSpec, and their defaults.
constexpr uint32_t kPieces = 1;
constexpr uint32_t kTrainerSpec = 2;
constexpr uint32_t kNormalizerSpec = 3;
constexpr uint32_t kPieceText = 1;
constexpr uint32_t kPieceType = 3;
constexpr uint64_t kUserDefined = 4;
constexpr uint32_t kModelType = 3;
constexpr uint64_t kBpe = 2;
constexpr uint32_t kSpaceAsSuffix = 24;
constexpr uint32_t kCharacterMap = 2;
constexpr uint32_t kAddDummyPrefix = 3;
constexpr uint32_t kRemoveExtraSpaces = 4;
constexpr uint32_t kEscapeSpaces = 5;

class Importer {
 public:
  explicit Importer(const std::filesystem::path& path)
      : file_(path.string()), mapped_(path) {}

  TokenizerData Read() {
    const std::string_view bytes = mapped_.text();
    const Protobuf model(bytes, file_);
    CheckOptions(model);
    const auto status = processor_.LoadFromSerializedProto(bytes);
    if (!status.ok()) {
      // Some of its messages are code.
      const std::string message = status.message();
      Fail(message.find(".cc(") == std::string::npos
               ? std::string("cannot be read: ") + message
               : "is damaged");
    }
    ReadPieces(model);
    return std::move(data_);
  }

 private:
  [[noreturn]] void Fail(const std::string& cause) const {
    throw Error::InFile(file_, "sentencepiece model " + cause);
  }

  void CheckOptions(const Protobuf& model) {
    const Protobuf trainer(model.Bytes(kTrainerSpec), file_);
    if (trainer.Integer(kModelType, /*fallback=*/1) != kBpe) {
      Fail("is not of the type BPE, the only one supported");
    }
    if (trainer.Integer(kSpaceAsSuffix, 0) != 0) {
      Fail("uses treat_whitespace_as_suffix, which is not supported");
    }
    const Protobuf normalizer(model.Bytes(kNormalizerSpec), file_);
    if (!normalizer.Bytes(kCharacterMap).empty()) {
      Fail("has a normalization other than identity, which is not supported");
    }
    if (normalizer.Integer(kEscapeSpaces, 1) == 0) {
      Fail("does without escape_whitespaces, which is not supported");
    }
    const std::string space(kSpace);
    const auto add = [this](TextStep::Kind kind, std::string from,
                            std::string to) {
      TextStep& step = data_.recipe.normalizer.emplace_back();
      step.kind = kind;
      step.from = std::move(from);
      step.to = std::move(to);
    };
    if (normalizer.Integer(kRemoveExtraSpaces, 1) != 0) {
      add(TextStep::Kind::kCollapse, " ", "");
    }
    if (normalizer.Integer(kAddDummyPrefix, 1) != 0) {
      add(TextStep::Kind::kPrefix, "", space);
      data_.recipe.strip_space = true;
    }
    add(TextStep::Kind::kReplace, " ", space);
  }

  void ReadPieces(const Protobuf& model) {
    const auto pieces = static_cast<size_t>(processor_.GetPieceSize());
    if (pieces > kMaxPieces) Fail("has too many pieces");
    TokenizerRecipe& recipe = data_.recipe;
    std::vector<float> scores;
    std::vector<uint32_t> lookup;
    size_t byte_pieces = 0;
    model.ForEach(kPieces, [&](std::string_view bytes) {
      const size_t id = data_.size();
      if (id == pieces) Fail("has pieces that its library does not see");
      const Protobuf entry(bytes, file_);
      const int signed_id = static_cast<int>(id);
      const std::string_view piece = entry.Bytes(kPieceText);
      const float score = processor_.GetScore(signed_id);
      const std::string where = std::string("piece ") + std::to_string(id);
      if (piece != processor_.IdToPiece(signed_id)) {
        Fail(where + " is ambiguous");
      }
      if (piece.empty() || piece.size() > kMaxPieceBytes || !IsUtf8(piece)) {
        Fail(where + " is not proper text");
      }
      if (!std::isfinite(score)) Fail(where + " has no finite score");
      scores.push_back(score);
      PieceType type = PieceType::kNormal;
      if (processor_.IsUnused(signed_id)) {
        Fail(where + " is of the type unused, which is not supported");
      } else if (processor_.IsControl(signed_id) ||
                 processor_.IsUnknown(signed_id)) {
        type = PieceType::kControl;
      } else if (processor_.IsByte(signed_id)) {
        const auto byte = ParseBytePiece(piece);
        if (!byte) Fail(where + " is not a byte");
        const char c = static_cast<char>(*byte);
        data_.AddPiece({&c, 1}, PieceType::kByte);
        ++byte_pieces;
        return;
      } else if (entry.Integer(kPieceType, 1) == kUserDefined) {
        AddedToken token;
        token.id = signed_id;
        token.text = piece;
        token.normalized = true;
        recipe.added.push_back(std::move(token));
      } else {
        lookup.push_back(static_cast<uint32_t>(id));
      }
      data_.AddPiece(piece, type);
    });
    if (data_.size() != pieces) Fail("lacks pieces");
    MakeLookup(std::move(lookup), data_);
    AddMergesByScore(scores, data_);
    recipe.kind = "sentencepiece BPE";
    recipe.byte_fallback = byte_pieces == 256;
    recipe.unknown = processor_.unk_id();
    recipe.fuse_unknown = true;
    recipe.space = kSpace;
    recipe.bos = processor_.bos_id();
    if (recipe.bos >= 0) recipe.before = {recipe.bos};
    if (processor_.eos_id() >= 0) recipe.ends = {processor_.eos_id()};
  }

  std::string file_;
  MappedFile mapped_;
  sentencepiece::SentencePieceProcessor processor_;
  TokenizerData data_;
};

}  // namespace

TokenizerData ReadSentencePieceTokenizer(const std::filesystem::path& path) {
  return Importer(path).Read();
}

}  // namespace lutra::packer
