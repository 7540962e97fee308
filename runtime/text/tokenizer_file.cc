// The binary of docs/tokenizer.md.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "kernels/base/checked_math.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/tokenizer_data.h"

namespace lutra {
namespace {

constexpr char kMagic[8] = {'l', 'u', 't', 'r', 'a', 't', 'o', 'k'};
constexpr uint32_t kVersion = 1;
constexpr size_t kFileAlignment = 64;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t recipe_bytes;
  uint32_t pieces;
  uint32_t text_bytes;
  uint32_t merges;
  uint32_t lookup;
};
static_assert(sizeof(Header) == 32);
static_assert(sizeof(Merge) == 16);
static_assert(std::is_trivially_copyable_v<Merge>);

template <typename T>
void Append(Span<const T> values, std::vector<std::byte>& bytes) {
  const size_t begin = bytes.size();
  bytes.resize(begin + values.size_bytes());
  if (!values.empty()) {
    std::memcpy(bytes.data() + begin, values.data(), values.size_bytes());
  }
}

class Parser {
 public:
  Parser(Span<const std::byte> bytes, std::string_view file)
      : bytes_(bytes), file_(file) {}

  TokenizerData Parse() {
    Header header;
    if (bytes_.size() < sizeof(header)) Fail("is shorter than its header");
    std::memcpy(&header, bytes_.data(), sizeof(header));
    bytes_ = bytes_.subspan(sizeof(header));
    if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
      Fail("has the wrong magic number");
    }
    if (header.version != kVersion) {
      Fail("has version " + std::to_string(header.version) +
               "; this build reads version " + std::to_string(kVersion),
           ErrorCode::kUnsupported);
    }
    if (header.pieces > kMaxPieces || header.merges > kMaxMerges ||
        header.lookup > header.pieces) {
      Fail("has counts above the limits");
    }
    const auto recipe = Take<char>(header.recipe_bytes);
    TokenizerData data;
    data.recipe =
        ParseRecipe({recipe.data(), recipe.size()}, header.pieces, file_);
    data.merges = Take<Merge>(header.merges);
    data.ends = Take<uint32_t>(header.pieces);
    data.lookup = Take<uint32_t>(header.lookup);
    data.types = Take<PieceType>(header.pieces);
    if (data.recipe.model == PieceModel::kUnigram) {
      data.scores = Take<double>(header.pieces);
    }
    const auto text = Take<char>(header.text_bytes);
    data.text.assign(text.begin(), text.end());
    if (bytes_.size() >= kFileAlignment) {
      Fail("has " + std::to_string(bytes_.size()) + " bytes too many");
    }
    CheckPieces(data);
    CheckMerges(data);
    for (const double score : data.scores) {
      if (!std::isfinite(score)) Fail("has a score that is not finite");
    }
    return data;
  }

 private:
  [[noreturn]] void Fail(const std::string& cause,
                         ErrorCode code = ErrorCode::kDamaged) const {
    throw Error::InFile(file_, "tokenizer " + cause, code);
  }

  // Nothing is allocated unless the bytes are there.
  template <typename T>
  std::vector<T> Take(size_t count) {
    if (count > bytes_.size() / sizeof(T)) Fail("is truncated");
    std::vector<T> values(count);
    if (count > 0) std::memcpy(values.data(), bytes_.data(), count * sizeof(T));
    bytes_ = bytes_.subspan(count * sizeof(T));
    return values;
  }

  void CheckPieces(const TokenizerData& data) const {
    size_t begin = 0;
    for (size_t id = 0; id < data.size(); ++id) {
      const size_t end = data.ends[id];
      if (end < begin || end > data.text.size() ||
          end - begin > kMaxPieceBytes) {
        Fail("has no proper extent for piece " + std::to_string(id));
      }
      begin = end;
      if (data.types[id] > PieceType::kUnused) {
        Fail("has an unknown type for piece " + std::to_string(id));
      }
      if (data.types[id] == PieceType::kByte && data.Piece(id).size() != 1) {
        Fail("has a byte piece of another length than 1 at " +
             std::to_string(id));
      }
    }
    if (begin != data.text.size()) Fail("has text that belongs to no piece");
    for (const uint32_t id : data.lookup) {
      if (id >= data.size()) Fail("looks up a piece that does not exist");
    }
  }

  void CheckMerges(const TokenizerData& data) const {
    const auto pair = [](const Merge& m) { return std::pair(m.left, m.right); };
    for (size_t i = 0; i < data.merges.size(); ++i) {
      const Merge& merge = data.merges[i];
      if (merge.left >= data.size() || merge.right >= data.size() ||
          merge.result >= data.size()) {
        Fail("merges pieces that do not exist");
      }
      if (i > 0 && pair(data.merges[i - 1]) >= pair(merge)) {
        Fail("has merges out of order");
      }
    }
  }

  Span<const std::byte> bytes_;
  std::string_view file_;
};

}  // namespace

std::vector<std::byte> SerializeTokenizer(const TokenizerData& data) {
  std::string recipe = RecipeToJson(data.recipe);
  recipe.resize((recipe.size() + 3) / 4 * 4, ' ');
  Header header = {};
  std::copy(std::begin(kMagic), std::end(kMagic), header.magic);
  header.version = kVersion;
  header.recipe_bytes = static_cast<uint32_t>(recipe.size());
  header.pieces = static_cast<uint32_t>(data.size());
  header.text_bytes = static_cast<uint32_t>(data.text.size());
  header.merges = static_cast<uint32_t>(data.merges.size());
  header.lookup = static_cast<uint32_t>(data.lookup.size());
  std::vector<std::byte> bytes;
  Append<Header>({&header, 1}, bytes);
  Append<char>(recipe, bytes);
  Append<Merge>(data.merges, bytes);
  Append<uint32_t>(data.ends, bytes);
  Append<uint32_t>(data.lookup, bytes);
  Append<PieceType>(data.types, bytes);
  Append<double>(data.scores, bytes);
  Append<char>(data.text, bytes);
  bytes.resize((bytes.size() + kFileAlignment - 1) / kFileAlignment *
               kFileAlignment);
  return bytes;
}

TokenizerData ParseTokenizer(Span<const std::byte> bytes,
                             std::string_view file) {
  return Parser(bytes, file).Parse();
}

}  // namespace lutra
