#include "packer/export/gguf/block_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <utility>

#include "kernels/base/float8.h"
#include "kernels/base/half.h"

namespace lutra::packer {

enum class BlockWriter::Scales {
  kHalf,  // one float16, and one that is added
  kE8M0,  // a power of two
  kE4M3,  // 8-bit floats of four groups
  kQ2_K,  // the others: small whole numbers times a float16
  kQ3_K,
  kPairs,  // of Q4_K and Q5_K
  kQ6_K,
  kIq4Xs,
};

struct BlockWriter::Form {
  const char* name;
  Scales scales;
  size_t scale;  // where the float16 is
  size_t zero;   // and that of what is added
};

// By their bits per weight; of as many what more programs read comes first.
const BlockWriter::Form BlockWriter::kForms[] = {
    {"Q1_0", Scales::kHalf, 0, 0},   {"TQ1_0", Scales::kHalf, 52, 0},
    {"TQ2_0", Scales::kHalf, 64, 0}, {"Q2_0", Scales::kHalf, 0, 0},
    {"Q2_K", Scales::kQ2_K, 80, 82}, {"Q3_K", Scales::kQ3_K, 108, 0},
    {"MXFP4", Scales::kE8M0, 0, 0},  {"IQ4_XS", Scales::kIq4Xs, 0, 0},
    {"Q4_0", Scales::kHalf, 0, 0},   {"IQ4_NL", Scales::kHalf, 0, 0},
    {"Q4_K", Scales::kPairs, 0, 2},  {"NVFP4", Scales::kE4M3, 0, 0},
    {"Q4_1", Scales::kHalf, 0, 2},   {"Q5_0", Scales::kHalf, 0, 0},
    {"Q5_K", Scales::kPairs, 0, 2},  {"Q5_1", Scales::kHalf, 0, 2},
    {"Q6_K", Scales::kQ6_K, 208, 0}, {"Q8_0", Scales::kHalf, 0, 0},
};

namespace {

bool StoreHalf(float value, uint8_t* at) {
  const uint16_t bits = Float16FromFloat(value);
  std::memcpy(at, &bits, sizeof(bits));
  return FloatFromFloat16(bits) == value;
}

// Writes numbers as whole quotients, within the limits, of a float16, which is
// stored at `at`: what they are known to be multiples of, or one of them, of
// either sign. Times `sign` in the block. Returns whether that can be.
bool StoreQuotients(std::span<const float> numbers, float known, int sign,
                    int lowest, int highest, uint8_t* at, int* quotients) {
  float unit = known;
  for (size_t i = 0; i < numbers.size() && unit == 0; ++i) unit = numbers[i];
  for (const float factor : {unit, -unit}) {
    bool fits = StoreHalf(static_cast<float>(sign) * factor, at);
    for (size_t i = 0; i < numbers.size() && fits; ++i) {
      const float quotient =
          factor == 0 ? 0.0f : std::nearbyint(numbers[i] / factor);
      fits = quotient >= static_cast<float>(lowest) &&
             quotient <= static_cast<float>(highest);
      if (fits) quotients[i] = static_cast<int>(quotient);
    }
    if (fits) return true;
  }
  return false;
}

// Five digits of base 3 in a byte, as a fraction of 256.
void WriteDigits(const uint8_t* codes, uint8_t* block) {
  struct Piece {
    size_t begin, bytes, digits;
  };
  for (const auto& [begin, bytes, digits] :
       {Piece{0, 32, 5}, Piece{32, 16, 5}, Piece{48, 4, 4}}) {
    for (size_t m = 0; m < bytes; ++m) {
      unsigned number = 0;
      for (size_t digit = 0; digit < 5; ++digit) {
        number *= 3;
        if (digit < digits) number += codes[digit * bytes + m];
      }
      block[begin + m] = static_cast<uint8_t>((number * 256 + 242) / 243);
    }
    codes += bytes * digits;
  }
}

}  // namespace

BlockWriter::BlockWriter(const Form& form, float unit, float shift,
                         float factor)
    : form_(&form),
      type_(&BlockTypeOf(form.name)),
      unit_(unit),
      shift_(shift),
      factor_(factor),
      levels_(type_->levels()),
      bits_(&BitsOf(form)) {
  for (int entry = -128; entry < 128; ++entry) {
    const float level = (static_cast<float>(entry) - shift) / unit;
    const auto found = std::find(levels_.begin(), levels_.end(), level);
    code_of_[static_cast<size_t>(entry + 128)] =
        found == levels_.end() ? int16_t{-1}
                               : static_cast<int16_t>(found - levels_.begin());
  }
}

// Codes are bits here and there of a block: reading blocks with one bit set
// tells where. What is written is then what is read.
BlockWriter::Bits BlockWriter::FindBits(const BlockType& type) {
  Bits bits;
  if (type.levels().size() == 3) return bits;
  std::vector<uint8_t> block(type.bytes);
  std::vector<uint8_t> zeros(type.elements);
  std::vector<uint8_t> codes(type.elements);
  float unused[2][16];
  type.decode(block.data(), zeros.data(), unused[0], unused[1]);
  bits.code_of_zeros = zeros[0];
  bits.places.resize(8 * type.elements);
  for (size_t bit = 0; bit < 8 * type.bytes; ++bit) {
    block[bit / 8] = static_cast<uint8_t>(1 << (bit % 8));
    type.decode(block.data(), codes.data(), unused[0], unused[1]);
    block[bit / 8] = 0;
    for (size_t i = 0; i < codes.size(); ++i) {
      const unsigned changed = codes[i] ^ zeros[i];
      for (size_t b = 0; b < 8; ++b) {
        if (((changed >> b) & 1) == 0) continue;
        bits.places[8 * i + b] = static_cast<uint16_t>(bit);
        bits.of_code = std::max(bits.of_code, b + 1);
      }
    }
  }
  return bits;
}

const BlockWriter::Bits& BlockWriter::BitsOf(const Form& form) {
  static const std::vector<Bits> all = [] {
    std::vector<Bits> found;
    for (const Form& each : kForms) {
      found.push_back(FindBits(BlockTypeOf(each.name)));
    }
    return found;
  }();
  return all[static_cast<size_t>(&form - kForms)];
}

void BlockWriter::WriteCodes(const uint8_t* codes, uint8_t* block) const {
  if (bits_->places.empty()) return WriteDigits(codes, block);
  for (size_t i = 0; i < type_->elements; ++i) {
    const unsigned code = codes[i] ^ bits_->code_of_zeros;
    for (size_t b = 0; b < bits_->of_code; ++b) {
      const size_t bit = bits_->places[8 * i + b];
      block[bit / 8] = static_cast<uint8_t>(block[bit / 8] |
                                            (((code >> b) & 1) << (bit % 8)));
    }
  }
}

// Those of the block that begins at column `first`.
bool BlockWriter::FindNumbers(const CodedRow& row, size_t first,
                              Numbers& numbers) const {
  const size_t groups = type_->elements / type_->group;
  const bool adds = type_->zero == ZeroRule::kAdd;
  for (size_t i = 0; i < groups; ++i) {
    const size_t begin = first + i * type_->group;
    const size_t group = begin / row.group_size;
    if ((begin + type_->group - 1) / row.group_size != group) return false;
    const float scale = row.scales[group];
    const float offset = row.offsets.empty() ? 0.0f : row.offsets[group];
    numbers.scales[i] = scale * unit_;
    numbers.zeros[i] = offset + shift_ * scale;
    if (!adds && numbers.zeros[i] != 0) return false;
  }
  if (row.super_scales.empty()) return true;
  // Neighbours may be multiples of different numbers.
  const size_t super = first / row.super_size;
  if ((first + type_->elements - 1) / row.super_size == super) {
    numbers.super_scale = row.super_scales[super] * unit_;
    if (!row.super_offsets.empty() && shift_ == 0) {
      numbers.super_zero = row.super_offsets[super];
    }
  }
  return true;
}

bool BlockWriter::WriteNumbers(const Numbers& numbers, uint8_t* block) const {
  switch (form_->scales) {
    case Scales::kHalf:
      return StoreHalf(numbers.scales[0], block + form_->scale) &&
             (type_->zero != ZeroRule::kAdd ||
              StoreHalf(numbers.zeros[0], block + form_->zero));
    case Scales::kE8M0:
      // There is no 0; the codes of a group of zeros are.
      block[0] = numbers.scales[0] == 0 ? uint8_t{0}
                                        : E8M0FromFloat(numbers.scales[0]);
      return true;
    case Scales::kE4M3:
      for (size_t i = 0; i < 4; ++i) {
        block[i] = E4M3FromFloat(numbers.scales[i] / factor_);
      }
      return true;
    default:
      return WriteSmallNumbers(numbers, block);
  }
}

bool BlockWriter::WriteSmallNumbers(const Numbers& numbers,
                                    uint8_t* block) const {
  const size_t groups = type_->elements / type_->group;
  const bool adds = type_->zero == ZeroRule::kAdd;
  int lowest = adds ? 0 : -32;
  int highest = 31;
  if (form_->scales == Scales::kQ2_K) highest = 15;
  if (form_->scales == Scales::kPairs) highest = 63;
  if (form_->scales == Scales::kQ6_K) {
    lowest = INT8_MIN;
    highest = INT8_MAX;
  }
  int scale[16] = {};
  int zero[16] = {};  // what is subtracted
  if (!StoreQuotients(std::span(numbers.scales).first(groups),
                      numbers.super_scale, 1, lowest, highest,
                      block + form_->scale, scale) ||
      (adds && !StoreQuotients(std::span(numbers.zeros).first(groups),
                               numbers.super_zero, -1, 0, highest,
                               block + form_->zero, zero))) {
    return false;
  }
  const auto put = [block](size_t byte, int value, size_t shift) {
    block[byte] = static_cast<uint8_t>(block[byte] | (value << shift));
  };
  for (size_t i = 0; i < groups; ++i) {
    const int n = scale[i];
    switch (form_->scales) {
      case Scales::kQ2_K:
        put(i, n | (zero[i] << 4), 0);
        break;
      case Scales::kQ3_K:
        put(96 + i % 8, (n + 32) & 15, 4 * (i / 8));
        put(104 + i % 4, (n + 32) >> 4, 2 * (i / 4));
        break;
      case Scales::kPairs:
        if (i < 4) {
          put(4 + i, n, 0);
          put(8 + i, zero[i], 0);
        } else {
          put(8 + i, (n & 15) | ((zero[i] & 15) << 4), 0);
          put(i, n >> 4, 6);
          put(4 + i, zero[i] >> 4, 6);
        }
        break;
      case Scales::kQ6_K:
        block[192 + i] = static_cast<uint8_t>(n);
        break;
      default:
        put(4 + i / 2, (n + 32) & 15, 4 * (i % 2));
        put(2 + i / 4, (n + 32) >> 4, 2 * (i % 4));
        break;
    }
  }
  return true;
}

bool BlockWriter::Write(const CodedRow& row, uint8_t* bytes) const {
  const size_t elements = type_->elements;
  uint8_t codes[256];
  float scales[16];
  float zeros[16];
  std::memset(bytes, 0, RowBytes(row.entries.size()));
  for (size_t first = 0; first < row.entries.size();
       first += elements, bytes += type_->bytes) {
    Numbers numbers;
    if (!FindNumbers(row, first, numbers) || !WriteNumbers(numbers, bytes)) {
      return false;
    }
    for (size_t i = 0; i < elements; ++i) {
      const size_t column = first + i;
      // Where all is 0 the entries are of no account.
      const bool none = row.scales[column / row.group_size] == 0;
      const int entry = none ? 0 : row.entries[column];
      const int code = code_of_[static_cast<size_t>(entry + 128)];
      if (code < 0 && !none) return false;
      codes[i] = static_cast<uint8_t>(std::max(code, 0));
    }
    WriteCodes(codes, bytes);
    type_->decode(bytes, codes, scales, zeros);
    for (size_t i = 0; i < elements; ++i) {
      const size_t group = (first + i) / row.group_size;
      const size_t own = i / type_->group;
      float value =
          row.scales[group] * static_cast<float>(row.entries[first + i]);
      if (!row.offsets.empty()) value = value + row.offsets[group];
      float read = levels_[codes[i]] * (scales[own] * factor_);
      if (type_->zero == ZeroRule::kAdd) read = read + zeros[own];
      if (read != value) return false;
    }
  }
  return true;
}

std::optional<BlockWriter> BlockWriter::Smallest(ExportRows& rows) {
  if (!rows.packed() || rows.rows() == 0) return std::nullopt;
  const CodedRow first = rows.Coded(0);
  const auto lowest = static_cast<float>(
      *std::min_element(first.entries.begin(), first.entries.end()));
  const float super = first.super_scales.empty() ? 0.0f : first.super_scales[0];
  // Tables that begin elsewhere, with offsets that make up for it, and of
  // twice or half the levels: odd numbers, and 4-bit floats.
  std::set<float> shifts = {0.0f, -2.0f, -8.0f, -128.0f, lowest};
  if (!first.offsets.empty()) shifts.insert({0.5f, 1.0f, 2.0f, 4.0f, 8.0f});
  std::vector<uint8_t> bytes;
  for (const Form& form : kForms) {
    if (rows.columns() % BlockTypeOf(form.name).elements != 0) continue;
    for (const float unit : {1.0f, 2.0f, 0.5f}) {
      for (const float shift : shifts) {
        // One number for all of a tensor may stand beside it.
        const bool factor = form.scales == Scales::kE4M3 && super != 0;
        const BlockWriter writer(form, unit, shift,
                                 factor ? super * unit : 1.0f);
        bytes.resize(writer.RowBytes(rows.columns()));
        size_t row = 0;
        while (row < rows.rows() && writer.Write(rows.Coded(row), bytes.data()))
          ++row;
        if (row == rows.rows()) return writer;
      }
    }
  }
  return std::nullopt;
}

}  // namespace lutra::packer
