#ifndef LUTRA_PACKER_EXPORT_GGUF_BLOCK_WRITER_H_
#define LUTRA_PACKER_EXPORT_GGUF_BLOCK_WRITER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "packer/export/export_rows.h"
#include "packer/import/gguf/block_types.h"

namespace lutra::packer {

// Writes packed rows as blocks of a type of ggml, if these hold every value.
class BlockWriter {
 public:
  // The type of the fewest bits that holds all rows; nullopt if none does.
  static std::optional<BlockWriter> Smallest(ExportRows& rows);

  const BlockType& type() const { return *type_; }
  size_t RowBytes(size_t columns) const {
    return columns / type_->elements * type_->bytes;
  }

  // What all of the tensor's values are to be multiplied by, beside it.
  float factor() const { return factor_; }

  // Fills RowBytes. Returns false, and leaves the bytes half done, if a value
  // would not be the row's. That is found by reading back what was written.
  bool Write(const CodedRow& row, uint8_t* bytes) const;

 private:
  // How a type keeps the scales of a block.
  enum class Scales;
  struct Form;
  // What the groups of a block are multiplied by, and what is added.
  struct Numbers {
    std::array<float, 16> scales = {};
    std::array<float, 16> zeros = {};
    float super_scale = 0;  // 0: not known
    float super_zero = 0;
  };

  // An entry e of a table is the level (e - shift) / unit.
  BlockWriter(const Form& form, float unit, float shift, float factor);

  // Where bit b of the code of element i is: at 8 * i + b, in bits from the
  // start of the block. Empty for digits of base 3.
  struct Bits {
    std::vector<uint16_t> places;
    size_t of_code = 0;
    uint8_t code_of_zeros = 0;  // what a block of zeros has
  };
  static Bits FindBits(const BlockType& type);
  static const Bits& BitsOf(const Form& form);

  static const Form kForms[];
  bool FindNumbers(const CodedRow& row, size_t first, Numbers& numbers) const;
  bool WriteNumbers(const Numbers& numbers, uint8_t* block) const;
  bool WriteSmallNumbers(const Numbers& numbers, uint8_t* block) const;
  void WriteCodes(const uint8_t* codes, uint8_t* block) const;

  const Form* form_;
  const BlockType* type_;
  float unit_;
  float shift_;
  float factor_;
  std::vector<float> levels_;
  std::array<int16_t, 256> code_of_;  // of an entry + 128; -1: none
  const Bits* bits_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_EXPORT_GGUF_BLOCK_WRITER_H_
