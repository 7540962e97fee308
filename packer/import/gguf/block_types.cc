#include "packer/import/gguf/block_types.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <utility>

#include "kernels/base/checked_math.h"
#include "kernels/base/float8.h"
#include "kernels/base/half.h"
#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

float Half(const uint8_t* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return FloatFromFloat16(bits);
}

std::vector<float> Sign() { return {-1.0f, 1.0f}; }
std::vector<float> Ternary() { return IntegerLevels(-1, 3); }
std::vector<float> FourFromMinusOne() { return IntegerLevels(-1, 4); }
std::vector<float> Unsigned2() { return IntegerLevels(0, 4); }
std::vector<float> Signed3() { return IntegerLevels(-4, 8); }
std::vector<float> Unsigned4() { return IntegerLevels(0, 16); }
std::vector<float> Signed4() { return IntegerLevels(-8, 16); }
std::vector<float> Unsigned5() { return IntegerLevels(0, 32); }
std::vector<float> Signed5() { return IntegerLevels(-16, 32); }
std::vector<float> Signed6() { return IntegerLevels(-32, 64); }
std::vector<float> Signed8() { return IntegerLevels(-128, 256); }
std::vector<float> NonLinear4() {
  return {-127, -104, -83, -65, -49, -35, -22, -10,
          1,    13,   25,  38,  53,  69,  89,  113};
}

// Low nibbles are the first half of the elements, high nibbles the second.
void Nibbles(const uint8_t* from, size_t bytes, uint8_t* codes) {
  for (size_t i = 0; i < bytes; ++i) {
    codes[i] = from[i] & 15;
    codes[bytes + i] = from[i] >> 4;
  }
}

// Fields one after the other, the lowest bits first.
template <size_t kBits>
void Fields(const uint8_t* from, size_t count, uint8_t* codes) {
  constexpr size_t kPerByte = 8 / kBits;
  for (size_t i = 0; i < count; ++i) {
    codes[i] = static_cast<uint8_t>(
        (from[i / kPerByte] >> (i % kPerByte * kBits)) & ((1 << kBits) - 1));
  }
}

void Q1_0(const uint8_t* b, uint8_t* codes, float* scales, float*) {
  scales[0] = Half(b);
  if (codes != nullptr) Fields<1>(b + 2, 128, codes);
}

template <size_t kElements>
void Q2_0(const uint8_t* b, uint8_t* codes, float* scales, float*) {
  scales[0] = Half(b);
  if (codes != nullptr) Fields<2>(b + 2, kElements, codes);
}

void Q4_0(const uint8_t* b, uint8_t* codes, float* scales, float*) {
  scales[0] = Half(b);
  if (codes != nullptr) Nibbles(b + 2, 16, codes);
}

void Q4_1(const uint8_t* b, uint8_t* codes, float* scales, float* zeros) {
  scales[0] = Half(b);
  zeros[0] = Half(b + 2);
  if (codes != nullptr) Nibbles(b + 4, 16, codes);
}

// Bit i of four bytes is the fifth bit of element i.
void FifthBits(const uint8_t* from, uint8_t* codes) {
  for (size_t i = 0; i < 32; ++i) {
    codes[i] |= static_cast<uint8_t>(((from[i / 8] >> (i % 8)) & 1) << 4);
  }
}

void Q5_0(const uint8_t* b, uint8_t* codes, float* scales, float*) {
  scales[0] = Half(b);
  if (codes == nullptr) return;
  Nibbles(b + 6, 16, codes);
  FifthBits(b + 2, codes);
}

void Q5_1(const uint8_t* b, uint8_t* codes, float* scales, float* zeros) {
  scales[0] = Half(b);
  zeros[0] = Half(b + 2);
  if (codes == nullptr) return;
  Nibbles(b + 8, 16, codes);
  FifthBits(b + 4, codes);
}

void Q8_0(const uint8_t* b, uint8_t* codes, float* scales, float*) {
  scales[0] = Half(b);
  for (size_t i = 0; codes != nullptr && i < 32; ++i) {
    codes[i] = static_cast<uint8_t>(b[2 + i] + 128);
  }
}

// Sixteen groups of two bits: four groups share 16 or 32 bytes.
void TwoBits(const uint8_t* from, uint8_t* codes) {
  for (size_t i = 0; i < 256; ++i) {
    const size_t group = i / 16;
    const uint8_t byte = from[32 * (group / 8) + 16 * (group % 2) + i % 16];
    codes[i] = (byte >> (2 * (group / 2 % 4))) & 3;
  }
}

void Q2_K(const uint8_t* b, uint8_t* codes, float* scales, float* zeros) {
  const float d = Half(b + 80);
  const float minimum = Half(b + 82);
  for (size_t i = 0; i < 16; ++i) {
    scales[i] = d * static_cast<float>(b[i] & 15);
    zeros[i] = -(minimum * static_cast<float>(b[i] >> 4));
  }
  if (codes != nullptr) TwoBits(b + 16, codes);
}

void Q3_K(const uint8_t* b, uint8_t* codes, float* scales, float*) {
  const float d = Half(b + 108);
  const uint8_t* s = b + 96;
  for (size_t i = 0; i < 16; ++i) {
    const int low = (s[i % 8] >> (4 * (i / 8))) & 15;
    const int high = (s[8 + i % 4] >> (2 * (i / 4))) & 3;
    scales[i] = d * static_cast<float>((low | (high << 4)) - 32);
  }
  if (codes == nullptr) return;
  TwoBits(b + 32, codes);
  for (size_t i = 0; i < 256; ++i) {
    // A set bit means that nothing is subtracted.
    const int bit = b[16 * (i / 16 % 2) + i % 16] >> (i / 32);
    codes[i] |= static_cast<uint8_t>((bit & 1) << 2);
  }
}

// Eight scales and eight minima of six bits in twelve bytes.
void SixBitPairs(const uint8_t* s, float d, float minimum, float* scales,
                 float* zeros) {
  for (size_t j = 0; j < 8; ++j) {
    int scale = s[j] & 63;
    int low = s[(j + 4) % 12] & 63;
    if (j >= 4) {
      scale = (s[j + 4] & 15) | ((s[j - 4] >> 6) << 4);
      low = (s[j + 4] >> 4) | ((s[j] >> 6) << 4);
    }
    scales[j] = d * static_cast<float>(scale);
    zeros[j] = -(minimum * static_cast<float>(low));
  }
}

void NibblePairs(const uint8_t* from, uint8_t* codes) {
  for (size_t i = 0; i < 4; ++i) Nibbles(from + 32 * i, 32, codes + 64 * i);
}

void Q4_K(const uint8_t* b, uint8_t* codes, float* scales, float* zeros) {
  SixBitPairs(b + 4, Half(b), Half(b + 2), scales, zeros);
  if (codes != nullptr) NibblePairs(b + 16, codes);
}

void Q5_K(const uint8_t* b, uint8_t* codes, float* scales, float* zeros) {
  SixBitPairs(b + 4, Half(b), Half(b + 2), scales, zeros);
  if (codes == nullptr) return;
  NibblePairs(b + 48, codes);
  for (size_t i = 0; i < 256; ++i) {
    codes[i] |= static_cast<uint8_t>(((b[16 + i % 32] >> (i / 32)) & 1) << 4);
  }
}

void Q6_K(const uint8_t* b, uint8_t* codes, float* scales, float*) {
  const float d = Half(b + 208);
  for (size_t i = 0; i < 16; ++i) {
    scales[i] = d * static_cast<float>(static_cast<int8_t>(b[192 + i]));
  }
  for (size_t i = 0; codes != nullptr && i < 256; ++i) {
    const size_t half = i / 128;
    const size_t quarter = i / 32 % 4;
    const size_t m = i % 32;
    const int low =
        (b[64 * half + 32 * (quarter % 2) + m] >> (4 * (quarter / 2))) & 15;
    const int high = (b[128 + 32 * half + m] >> (2 * quarter)) & 3;
    codes[i] = static_cast<uint8_t>(low | (high << 4));
  }
}

void Iq4Xs(const uint8_t* b, uint8_t* codes, float* scales, float*) {
  const float d = Half(b);
  uint16_t high;
  std::memcpy(&high, b + 2, sizeof(high));
  for (size_t i = 0; i < 8; ++i) {
    const int low = (b[4 + i / 2] >> (4 * (i % 2))) & 15;
    const int scale = low | (((high >> (2 * i)) & 3) << 4);
    scales[i] = d * static_cast<float>(scale - 32);
    if (codes != nullptr) Nibbles(b + 8 + 16 * i, 16, codes + 32 * i);
  }
}

void Tq1_0(const uint8_t* b, uint8_t* codes, float* scales, float*) {
  scales[0] = Half(b + 52);
  if (codes == nullptr) return;
  constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
  struct Piece {
    size_t begin, bytes, digits;
  };
  for (const auto& [begin, bytes, digits] :
       {Piece{0, 32, 5}, Piece{32, 16, 5}, Piece{48, 4, 4}}) {
    for (size_t digit = 0; digit < digits; ++digit) {
      for (size_t m = 0; m < bytes; ++m) {
        const auto shifted =
            static_cast<uint8_t>(b[begin + m] * kPowers[digit]);
        *codes++ = static_cast<uint8_t>((shifted * 3) >> 8);
      }
    }
  }
}

void Tq2_0(const uint8_t* b, uint8_t* codes, float* scales, float*) {
  scales[0] = Half(b + 64);
  for (size_t i = 0; codes != nullptr && i < 256; ++i) {
    codes[i] = (b[32 * (i / 128) + i % 32] >> (2 * (i / 32 % 4))) & 3;
  }
}

void Mxfp4(const uint8_t* b, uint8_t* codes, float* scales, float*) {
  scales[0] = std::ldexp(1.0f, int{b[0]} - 127);
  if (codes != nullptr) Nibbles(b + 1, 16, codes);
}

void Nvfp4(const uint8_t* b, uint8_t* codes, float* scales, float*) {
  for (size_t i = 0; i < 4; ++i) {
    const uint8_t bits = b[i] & 0x7F;
    scales[i] = bits == 0x7F ? 0.0f : FloatFromE4M3(bits);
    if (codes != nullptr) Nibbles(b + 4 + 8 * i, 8, codes + 16 * i);
  }
}

constexpr ZeroRule kNone = ZeroRule::kNone;
constexpr ZeroRule kAdd = ZeroRule::kAdd;

constexpr BlockType kTypes[] = {
    {2, "Q4_0", 32, 18, 32, kNone, Signed4, Q4_0},
    {3, "Q4_1", 32, 20, 32, kAdd, Unsigned4, Q4_1},
    {6, "Q5_0", 32, 22, 32, kNone, Signed5, Q5_0},
    {7, "Q5_1", 32, 24, 32, kAdd, Unsigned5, Q5_1},
    {8, "Q8_0", 32, 34, 32, kNone, Signed8, Q8_0},
    {10, "Q2_K", 256, 84, 16, kAdd, Unsigned2, Q2_K},
    {11, "Q3_K", 256, 110, 16, kNone, Signed3, Q3_K},
    {12, "Q4_K", 256, 144, 32, kAdd, Unsigned4, Q4_K},
    {13, "Q5_K", 256, 176, 32, kAdd, Unsigned5, Q5_K},
    {14, "Q6_K", 256, 210, 16, kNone, Signed6, Q6_K},
    {20, "IQ4_NL", 32, 18, 32, kNone, NonLinear4, Q4_0},
    {23, "IQ4_XS", 256, 136, 32, kNone, NonLinear4, Iq4Xs},
    {34, "TQ1_0", 256, 54, 256, kNone, Ternary, Tq1_0},
    {35, "TQ2_0", 256, 66, 256, kNone, FourFromMinusOne, Tq2_0},
    {39, "MXFP4", 32, 17, 32, kNone, Float4Levels, Mxfp4},
    {40, "NVFP4", 64, 36, 16, kNone, Float4Levels, Nvfp4},
    {41, "Q1_0", 128, 18, 128, kNone, Sign, Q1_0},
};

constexpr uint32_t kQ2_0 = 42;
constexpr BlockType kShortQ2_0 = {kQ2_0, "Q2_0",           64,      18, 64,
                                  kNone, FourFromMinusOne, Q2_0<64>};
constexpr BlockType kLongQ2_0 = {kQ2_0, "Q2_0",           128,      34, 128,
                                 kNone, FourFromMinusOne, Q2_0<128>};

struct OtherType {
  uint32_t id;
  const char* name;
};
// Known by name, and why not.
constexpr OtherType kVectors[] = {
    {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},
    {21, "IQ3_S"},   {22, "IQ2_S"},  {29, "IQ1_M"}};
constexpr OtherType kOthers[] = {{9, "Q8_1"},    {15, "Q8_K"},   {24, "I8"},
                                 {25, "I16"},    {26, "I32"},    {27, "I64"},
                                 {142, "PQ2_0"}, {143, "PTQ1_0"}};

std::string WhyNot(uint32_t type) {
  for (const OtherType& row : kVectors) {
    if (row.id == type) {
      return std::string("is of type ") + row.name +
             ", whose codes stand for vectors: no table of numbers holds them";
    }
  }
  for (const OtherType& row : kOthers) {
    if (row.id == type) {
      return std::string("is of type ") + row.name + ", which is not supported";
    }
  }
  return "is of type number " + std::to_string(type) + ", which is not known";
}

std::optional<DType> PlainType(uint32_t type) {
  switch (type) {
    case 0:
      return DType::kFloat32;
    case 1:
      return DType::kFloat16;
    case 28:
      return DType::kFloat64;
    case 30:
      return DType::kBFloat16;
    default:
      return std::nullopt;
  }
}

}  // namespace

const BlockType* FindBlockType(const GgufTensor& tensor) {
  if (tensor.type == kQ2_0) {
    // Neither product can overflow: a tensor has below 2^63 elements.
    const uint64_t elements = tensor.rows() * tensor.columns();
    const uint64_t blocks = elements / kShortQ2_0.elements;
    const bool is_short = elements % kShortQ2_0.elements == 0 &&
                          tensor.room.size() / kShortQ2_0.bytes >= blocks;
    return is_short ? &kShortQ2_0 : &kLongQ2_0;
  }
  const auto* found = std::find_if(
      std::begin(kTypes), std::end(kTypes),
      [&](const BlockType& type) { return type.id == tensor.type; });
  return found == std::end(kTypes) ? nullptr : found;
}

const BlockType& BlockTypeOf(std::string_view name) {
  if (name == kShortQ2_0.name) return kShortQ2_0;
  return *std::find_if(
      std::begin(kTypes), std::end(kTypes),
      [&](const BlockType& type) { return type.name == name; });
}

void AddGgufTensor(const std::shared_ptr<const GgufFile>& file,
                   const GgufTensor& tensor, const std::string& name,
                   RawTensors& plain, StoredWeights& stored) {
  const auto fail = [&](const std::string& cause) {
    throw Error::InTensor(file->path(), tensor.name, cause,
                          ErrorCode::kUnsupported);
  };
  const auto check_room = [&](std::optional<size_t> bytes) {
    if (bytes && *bytes <= tensor.room.size()) return;
    throw Error::InTensor(file->path(), tensor.name,
                          "runs past its end: there are " +
                              std::to_string(tensor.room.size()) + " bytes");
  };
  // No type has less than a bit per element, so that what fits its room fits
  // size_t, also where that has 32 bits.
  if (tensor.rows() * tensor.columns() / 8 > tensor.room.size()) {
    check_room(std::nullopt);
  }
  if (const auto dtype = PlainType(tensor.type)) {
    RawTensor raw;
    raw.view.name = tensor.name;
    raw.view.dtype = *dtype;
    for (const uint64_t dimension : tensor.shape) {
      raw.view.shape.push_back(static_cast<int64_t>(dimension));
    }
    const auto bytes =
        CheckedMultiply(raw.view.ElementCount(), ByteSize(*dtype));
    check_room(bytes);
    raw.view.data = {tensor.room.data(), *bytes};
    raw.file = file->path();
    raw.owner = file;
    plain.tensors.emplace(name, std::move(raw));
    return;
  }
  const BlockType* type = FindBlockType(tensor);
  if (type == nullptr) fail(WhyNot(tensor.type));
  StoredWeight weight;
  weight.rows = static_cast<size_t>(tensor.rows());
  weight.columns = static_cast<size_t>(tensor.columns());
  if (weight.columns % type->elements != 0) {
    throw Error::InTensor(file->path(), tensor.name,
                          "has rows of " + std::to_string(weight.columns) +
                              ", no multiple of the block's " +
                              std::to_string(type->elements));
  }
  const size_t blocks = weight.columns / type->elements;  // per row
  const auto row_bytes = CheckedMultiply(blocks, type->bytes);
  check_room(row_bytes ? CheckedMultiply(weight.rows, *row_bytes)
                       : std::nullopt);
  weight.format = std::string("GGUF, ") + type->name;
  weight.file = file->path();
  weight.tensor = tensor.name;
  weight.name = tensor.name;
  weight.group_size = type->group;
  weight.levels = type->levels();
  weight.zero = type->zero;
  const size_t columns = weight.columns;
  const size_t groups = weight.Groups();
  weight.read = [file, type, columns, groups, blocks,
                 data = reinterpret_cast<const uint8_t*>(tensor.room.data())](
                    size_t first, size_t count, StoredRows& out) {
    out.scales.resize(count * groups);
    out.zeros.resize(count * groups);
    if (out.want_codes) out.codes.resize(count * columns);
    const size_t per_block = type->elements / type->group;
    const uint8_t* block = data + first * blocks * type->bytes;
    for (size_t i = 0; i < count * blocks; ++i, block += type->bytes) {
      type->decode(
          block,
          out.want_codes ? out.codes.data() + i * type->elements : nullptr,
          out.scales.data() + i * per_block, out.zeros.data() + i * per_block);
    }
  };
  stored.emplace(name, std::move(weight));
}

}  // namespace lutra::packer
