// tokenizer.bin: int32 length of the longest piece; then for each id float32
// score, int32 length, bytes.

#include <cmath>
#include <cstring>

#include "lutra/runtime/error.h"
#include "packer/import/tokenizers/tokenizers.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/utf8.h"

namespace lutra::packer {
namespace {

constexpr int32_t kUnknown = 0;
constexpr int32_t kBos = 1;
constexpr int32_t kEos = 2;
constexpr size_t kFirstByte = 3;

class TokenizerReader {
 public:
  TokenizerReader(std::span<const std::byte> bytes, std::string file)
      : bytes_(bytes), file_(std::move(file)) {}

  template <typename T>
  T Take() {
    T value;
    std::memcpy(&value, TakeBytes(sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::string_view TakeBytes(size_t count) {
    if (count > bytes_.size()) Fail("is truncated");
    const auto* data = reinterpret_cast<const char*>(bytes_.data());
    bytes_ = bytes_.subspan(count);
    return {data, count};
  }

  size_t left() const { return bytes_.size(); }

  [[noreturn]] void Fail(const std::string& cause) const {
    throw Error::InFile(file_, "tokenizer " + cause);
  }

 private:
  std::span<const std::byte> bytes_;
  std::string file_;
};

}  // namespace

TokenizerData ReadLlama2cTokenizer(const std::filesystem::path& path,
                                   size_t pieces) {
  const MappedFile file(path);
  TokenizerReader reader(file.bytes(), path.string());
  reader.Take<int32_t>();
  TokenizerData data;
  std::vector<float> scores;
  std::vector<uint32_t> lookup;
  for (size_t id = 0; id < pieces; ++id) {
    const auto fail = [&](const std::string& cause) {
      reader.Fail("piece " + std::to_string(id) + " of " +
                  std::to_string(pieces) + " " + cause);
    };
    if (reader.left() == 0) fail("is missing");
    const auto score = reader.Take<float>();
    const auto length = reader.Take<int32_t>();
    if (!std::isfinite(score)) fail("has no finite score");
    if (length < 0 || static_cast<size_t>(length) > kMaxPieceBytes) {
      fail("has the length " + std::to_string(length));
    }
    const std::string_view piece =
        reader.TakeBytes(static_cast<size_t>(length));
    scores.push_back(score);
    const auto byte = ParseBytePiece(piece);
    if (id < kFirstByte) {
      data.AddPiece(piece, PieceType::kControl);
    } else if (byte && id == kFirstByte + *byte) {
      const char c = static_cast<char>(*byte);
      data.AddPiece({&c, 1}, PieceType::kByte);
    } else {
      if (!IsUtf8(piece)) fail("is not UTF-8");
      data.AddPiece(piece, PieceType::kNormal);
      if (!piece.empty()) lookup.push_back(static_cast<uint32_t>(id));
    }
  }
  if (reader.left() != 0) {
    reader.Fail("has " + std::to_string(reader.left()) +
                " bytes more than the model's " + std::to_string(pieces) +
                " pieces");
  }
  if (pieces <= static_cast<size_t>(kEos)) reader.Fail("has too few pieces");
  MakeLookup(std::move(lookup), data);
  AddMergesByScore(scores, data);

  TokenizerRecipe& recipe = data.recipe;
  recipe.kind = "llama2.c";
  TextStep space;
  space.kind = TextStep::Kind::kPrefix;
  space.to = " ";
  recipe.normalizer = {space};
  recipe.byte_fallback = true;
  recipe.unknown = kUnknown;
  recipe.strip_space = true;
  recipe.before = {kBos};
  recipe.bos = kBos;
  // Its models are trained on texts that BOS separates.
  recipe.ends = {kBos, kEos};
  return data;
}

}  // namespace lutra::packer
