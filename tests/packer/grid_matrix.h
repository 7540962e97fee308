#ifndef LUTRA_TESTS_PACKER_GRID_MATRIX_H_
#define LUTRA_TESTS_PACKER_GRID_MATRIX_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>
#include <vector>

#include "kernels/base/half.h"
#include "packer/lattice/group_fit.h"
#include "packer/lattice/lattice.h"

// Matrices of floats that lie on a grid.

namespace lutra::packer {

// A tensor in memory of a type.
class Matrix {
 public:
  Matrix(DType dtype, size_t rows, size_t columns,
         const std::vector<float>& values)
      : dtype_(dtype), rows_(rows), columns_(columns) {
    for (const float value : values) {
      if (dtype == DType::kFloat32) {
        Append(value);
      } else {
        Append(dtype == DType::kFloat16 ? Float16FromFloat(value)
                                        : BFloat16FromFloat(value));
      }
    }
  }

  DType dtype() const { return dtype_; }
  std::vector<int64_t> shape() const {
    return {static_cast<int64_t>(rows_), static_cast<int64_t>(columns_)};
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

  // As float32.
  std::vector<float> Values() const {
    std::vector<float> scratch;
    const auto rows = View().rows.Rows(0, rows_, scratch);
    return {rows.begin(), rows.end()};
  }

  FloatMatrix View() const {
    TensorView view;
    view.name = "w";
    view.dtype = dtype_;
    view.shape = shape();
    view.data = {bytes_.data(), bytes_.size()};
    return {RowSource(view, "file"), dtype_};
  }

 private:
  template <typename T>
  void Append(T value) {
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
  }

  DType dtype_;
  size_t rows_;
  size_t columns_;
  std::vector<std::byte> bytes_;
};

inline const Grid& Named(std::string_view name) {
  const auto grids = Grids();
  return *std::find_if(grids.begin(), grids.end(),
                       [&](const Grid& grid) { return grid.name == name; });
}

using Random = std::mt19937;

inline float Uniform(Random& random, float low, float high) {
  return std::uniform_real_distribution<float>(low, high)(random);
}

// How scales and offsets are rounded before they make weights.
using Rounding = float (*)(float);
inline float AsIs(float value) { return value; }

struct MadeOf {
  const Grid* grid;
  DType dtype;
  size_t rows = 12;
  size_t columns = 256;
  size_t group_size = 32;  // of columns: a scale per row
  Rounding rounding = RoundToBFloat16;
  bool signs = false;      // scales of either sign
  bool one_scale = false;  // for all
  float size = 0.01f;      // of scales
};

// Weights on a grid. Each group has its outermost levels, as the largest weight
// of a group decides on its scale.
inline Matrix Make(const MadeOf& made, Random& random) {
  std::vector<float> values;
  const Grid& grid = *made.grid;
  const size_t last = grid.level_count - 1;
  float scale = made.rounding(made.size);
  for (size_t row = 0; row < made.rows; ++row) {
    for (size_t begin = 0; begin < made.columns; begin += made.group_size) {
      const size_t count = std::min(made.group_size, made.columns - begin);
      if (!made.one_scale) {
        scale = made.rounding(made.size * Uniform(random, 0.3f, 3.0f));
        if (made.signs && random() % 2 == 0) scale = -scale;
      }
      float offset = 0;
      if (grid.rule == Grid::Rule::kOffset) {
        offset = made.rounding(-made.size * Uniform(random, 0.0f, 15.0f));
      } else if (grid.rule == Grid::Rule::kZeroPoint) {
        offset = static_cast<float>(random() % grid.level_count);
      }
      std::vector<uint8_t> codes(count);
      for (uint8_t& code : codes) {
        // More often in the middle, as weights are.
        code = static_cast<uint8_t>(
            (random() % grid.level_count + random() % grid.level_count) / 2);
      }
      codes[0] = 0;
      codes[count / 2] = static_cast<uint8_t>(last);
      std::shuffle(codes.begin(), codes.end(), random);
      for (const uint8_t code : codes) {
        const auto level = static_cast<float>(grid.levels[code]);
        values.push_back(grid.rule == Grid::Rule::kZeroPoint
                             ? (level - offset) * scale
                             : level * scale + offset);
      }
    }
  }
  return Matrix(made.dtype, made.rows, made.columns, values);
}

}  // namespace lutra::packer

#endif  // LUTRA_TESTS_PACKER_GRID_MATRIX_H_
