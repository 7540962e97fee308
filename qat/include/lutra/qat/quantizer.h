#ifndef LUTRA_QAT_QUANTIZER_H_
#define LUTRA_QAT_QUANTIZER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

// Quantizers of PARQ (https://github.com/pytorch/ao, torchao/prototype/parq):
// each maps a block of values to the nearest points of a grid it derives from
// those values.

namespace lutra::qat {

// A matrix of values, one grid per row (`rows` may be output channels or blocks
// of a group size), or one grid for all of it.
struct GridView {
  const float* p = nullptr;  // [rows, columns], row-major
  size_t rows = 0;
  size_t columns = 0;
  bool per_row = false;  // one grid per row, else one for the whole matrix

  size_t GridCount() const { return per_row ? rows : 1; }
};

// Stateless; one instance may serve any bits, shape and thread.
class Quantizer {
 public:
  virtual ~Quantizer() = default;

  // The name on the command line and in files, e.g. "stretched".
  virtual std::string_view name() const = 0;

  // Number of levels of a grid; 0 bits means ternary. Throws lutra::Error for
  // bits the quantizer does not support.
  virtual size_t GridSize(int bits) const = 0;

  // Writes the quantized values q, shaped as p, and the grids
  // [GridCount(), GridSize(bits)], ascending unless the class says otherwise.
  // q may equal p (in place).
  virtual void Quantize(const GridView& p, int bits, float* q,
                        float* grid) const = 0;

  // Whether a row's grid depends on that row alone, so that rows may be handed
  // in piecewise (true for all but compatibility modes).
  virtual bool RowsAreIndependent() const { return true; }

  // The table of which every grid is a multiple: ascending, padded to a power
  // of two with its last entry, at most 256 entries; nullopt if there is none.
  virtual std::optional<std::vector<int8_t>> LutTable(int bits) const {
    static_cast<void>(bits);
    return std::nullopt;
  }
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_QUANTIZER_H_
