#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "lutra/qat/conversion.h"
#include "lutra/runtime/error.h"
#include "qat/grids/run_quantizer.h"
#include "qat/grids/summation.h"
#include "qat/spec/groups.h"

namespace lutra::qat {
namespace {

constexpr float kLargestEntry = 127.0f;

// The table entry whose product with the scale is nearest to w.
uint8_t NearestEntry(float w, float scale, const int8_t* table, size_t count) {
  size_t best = 0;
  for (size_t i = 1; i < count; ++i) {
    const auto distance = [&](size_t j) {
      return std::fabs(w - scale * static_cast<float>(table[j]));
    };
    if (distance(i) < distance(best)) best = i;
  }
  return static_cast<uint8_t>(best);
}

}  // namespace

RowTableForm ToRowTables(const float* w, size_t n, size_t k, const float* grids,
                         size_t levels) {
  constexpr size_t kMaxLevels = size_t{1} << kMaxTableBits;
  if (levels == 0 || levels > kMaxLevels) {
    throw Error("a table per row cannot have " + std::to_string(levels) +
                " levels (1 to " + std::to_string(kMaxLevels) + ")");
  }
  if (const auto position = FindNotFinite(w, n * k)) {
    throw Error("row " + std::to_string(*position / k) + ", column " +
                std::to_string(*position % k) + " is not finite");
  }
  if (const auto position = FindNotFinite(grids, n * levels)) {
    throw Error("the grid of row " + std::to_string(*position / levels) +
                " is not finite");
  }
  const size_t entries = std::bit_ceil(levels);
  RowTableForm form;
  form.bits = std::countr_zero(entries);
  form.indices.resize(n * k);
  form.scales.resize(n);
  form.tables.resize(n * entries);
  for (size_t row = 0; row < n; ++row) {
    std::vector<float> grid(grids + row * levels, grids + (row + 1) * levels);
    std::sort(grid.begin(), grid.end());
    const float largest = MaxMagnitude(grid.data(), levels);
    const float scale = ZeroIfTiny(largest / kLargestEntry);
    int8_t* table = &form.tables[row * entries];
    for (size_t i = 0; i < entries; ++i) {
      const float level = grid[std::min(i, levels - 1)];
      table[i] = static_cast<int8_t>(
          scale == 0.0f ? 0.0f
                        : std::clamp(std::nearbyint(level / scale),
                                     -kLargestEntry, kLargestEntry));
    }
    form.scales[row] = scale;
    for (size_t i = row * k; i < (row + 1) * k; ++i) {
      form.indices[i] = NearestEntry(w[i], scale, table, entries);
      const auto value = static_cast<double>(w[i]);
      const auto stored = static_cast<double>(
          scale * static_cast<float>(table[form.indices[i]]));
      const double error = std::fabs(value - stored);
      form.squared_error += error * error;
      form.squared_sum += value * value;
      if (error > 0.0) {
        form.largest_error =
            std::max(form.largest_error, error / static_cast<double>(largest));
      }
    }
  }
  return form;
}

RowTableForm QuantizeToRowTables(const float* w, size_t n, size_t k,
                                 const Quantizer& quantizer, int bits) {
  const size_t levels = quantizer.GridSize(bits);
  std::vector<float> q(n * k);
  std::vector<float> grids(n * levels);
  quantizer.Quantize({w, n, k, true}, bits, q.data(), grids.data());
  return ToRowTables(q.data(), n, k, grids.data(), levels);
}

}  // namespace lutra::qat
