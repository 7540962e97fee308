#include "packer/import/tokenizers/tokenizers.h"

#include <charconv>

#include "lutra/runtime/error.h"

namespace lutra::packer {

std::optional<uint8_t> ParseBytePiece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') {
    return std::nullopt;
  }
  const char* digits = piece.data() + 3;
  uint8_t value = 0;
  const auto [end, error] = std::from_chars(digits, digits + 2, value, 16);
  if (error != std::errc() || end != digits + 2) return std::nullopt;
  return value;
}

TokenizerData ReadTokenizerFile(const std::filesystem::path& path) {
  if (path.filename() == "vocab.json") return ReadVocabAndMerges(path);
  if (path.extension() == ".json") return ReadTokenizerJson(path);
  return IsTiktoken(path) ? ReadTiktoken(path)
                          : ReadSentencePieceTokenizer(path);
}

void FitTokenizer(size_t vocab, std::string_view file, TokenizerData& data) {
  for (size_t id = vocab; id < data.size(); ++id) {
    if (data.types[id] == PieceType::kUnused) continue;
    throw Error::InFile(file, "has the token '" + std::string(data.Piece(id)) +
                                  "' with the id " + std::to_string(id) +
                                  ", but the model has " +
                                  std::to_string(vocab) + " rows");
  }
  while (data.size() > vocab) {
    data.ends.pop_back();
    data.types.pop_back();
    data.text.resize(data.ends.empty() ? 0 : data.ends.back());
  }
  while (data.size() < vocab) data.AddPiece("", PieceType::kUnused);
}

}  // namespace lutra::packer
