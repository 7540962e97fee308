#ifndef LUTRA_PACKER_IMPORT_STORED_STORED_WEIGHT_H_
#define LUTRA_PACKER_IMPORT_STORED_STORED_WEIGHT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lutra/runtime/safetensors.h"

namespace lutra::packer {

// How the zero point of a group takes part in the value of a weight.
enum class ZeroRule {
  kNone,      // level * scale
  kSubtract,  // (level - zero) * scale
  kAdd,       // level * scale + zero
};

// Rows of a quantized weight as its checkpoint defines them.
struct StoredRows {
  // Whether codes are wanted. Looking at scales alone costs less.
  bool want_codes = true;
  std::vector<uint8_t> codes;  // [count, columns]
  std::vector<float> scales;   // [count, groups]
  std::vector<float> zeros;    // the same; not used by ZeroRule::kNone
  // [count, columns]: the weights that codes were found for. Only of a
  // StoredWeight::FromFloats, with the codes.
  std::vector<float> original;
};

// A quantized weight of a checkpoint, whatever its format: codes stand for
// levels, which scales and zero points of groups of columns make values of. All
// of it is computed in float32, each operation rounded once, in the order that
// the format's own library has.
struct StoredWeight {
  std::string format;      // for people: "GPTQ, 4 bits"
  std::string file;        // it comes from, for messages
  std::string tensor;      // the same: that with the codes
  std::string name;        // of the whole in the checkpoint
  bool reordered = false;  // rows are not in the checkpoint's order
  size_t rows = 0;
  size_t columns = 0;
  size_t group_size = 0;      // columns that share a scale
  std::vector<float> levels;  // of the codes, at most 256
  // What the scales of all groups were multiplied by, each product rounded to
  // float32, where that is known. It lets them take fewer bits.
  float factor = 1;
  ZeroRule zero = ZeroRule::kNone;
  // The group of each column where columns of a group are not neighbours.
  std::vector<uint32_t> group_of_column;
  // Reads `count` rows from `first` on. Keeps the file mapped. Throws Error
  // where the file is wrong.
  std::function<void(size_t first, size_t count, StoredRows& rows)> read;
  // Of a grid found in plain floats of a type, which the values give back when
  // they are rounded to it: all of them if `lossless`, else most.
  struct FromFloats {
    DType dtype = DType::kFloat32;
    bool lossless = false;
    bool operator==(const FromFloats&) const = default;
  };
  std::optional<FromFloats> from_floats;
  // Of a layer that rounds what it reads and what it gives, to whole numbers
  // from -128 to 127 times these; 0: it does not.
  float input_scale = 0;
  float output_scale = 0;
  // Of a weight that becomes floats: what is done to each.
  std::function<float(float)> transform;

  size_t Groups() const {
    return group_size == 0 ? 0 : (columns + group_size - 1) / group_size;
  }
  // What a code stands for.
  float Value(uint8_t code, float scale, float zero_point) const;
  // `count` rows of values.
  void Values(const StoredRows& rows, size_t count,
              std::span<float> values) const;
};

// Rows [first, first + count) of a weight as one of its own.
StoredWeight RowsOf(const StoredWeight& weight, size_t first, size_t count);

// Whether weights have the same columns, groups, levels and rule.
bool SameForm(const StoredWeight& a, const StoredWeight& b);

// Weights one below the other as one. They are of the same form.
StoredWeight Stacked(std::vector<StoredWeight> weights);

// A weight whose row i is row order[i] of another.
StoredWeight Reordered(const StoredWeight& weight, std::vector<uint32_t> order);

// A weight whose column i is column order[i] of another, of regular groups.
StoredWeight WithColumns(const StoredWeight& weight,
                         std::vector<uint32_t> order);

// Of `count` rows: column i becomes what column order[i] was.
void ReorderColumns(const std::vector<uint32_t>& order, size_t count,
                    std::vector<uint8_t>& codes);

// Levels minimum, minimum + 1, ...: `count` of them.
std::vector<float> IntegerLevels(int minimum, size_t count);
// Those of e2m1, the four-bit float; the sign is bit 3.
std::vector<float> Float4Levels();

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_STORED_STORED_WEIGHT_H_
