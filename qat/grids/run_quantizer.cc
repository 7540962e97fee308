#include "qat/grids/run_quantizer.h"

#include <bit>
#include <limits>
#include <string>

#include "lutra/runtime/error.h"
#include "qat/grids/summation.h"

namespace lutra::qat {

void RunQuantizer::Quantize(const GridView& p, int bits, float* q,
                            float* grid) const {
  const size_t levels = GridSize(bits);
  const size_t count = p.GridCount();
  const size_t n = p.per_row ? p.columns : p.rows * p.columns;
  if (n == 0) {
    for (size_t i = 0; i < count * levels; ++i) grid[i] = 0.0f;
    return;
  }
  std::vector<float> scratch(NeedsScratch() ? n : 0);
  for (size_t i = 0; i < count; ++i) {
    const Run run{p.p + i * n,       n,      q + i * n,
                  grid + i * levels, levels, scratch.data()};
    if (center_) {
      QuantizeCentered(run, bits);
    } else {
      QuantizeRun(run, bits);
    }
  }
}

void RunQuantizer::QuantizeCentered(const Run& run, int bits) const {
  const float mean = Mean(run.p, run.n);
  for (size_t i = 0; i < run.n; ++i) run.q[i] = run.p[i] - mean;
  Run centered = run;
  centered.p = run.q;
  QuantizeRun(centered, bits);
  for (size_t i = 0; i < run.n; ++i) run.q[i] += mean;
  for (size_t i = 0; i < run.levels; ++i) run.grid[i] += mean;
}

void CheckBitsOf(std::string_view quantizer, int bits, int min, int max) {
  if (bits >= min && bits <= max) return;
  std::string range = std::to_string(min);
  if (max > min) range += " to " + std::to_string(max);
  throw Error("quantizer '" + std::string(quantizer) + "' does not support " +
              std::to_string(bits) + " bits (only " + range + ")");
}

std::optional<std::vector<int8_t>> MakeTable(int first, int step,
                                             size_t count) {
  const int last = first + step * static_cast<int>(count - 1);
  if (count > kMaxTableEntries || first < std::numeric_limits<int8_t>::min() ||
      last > std::numeric_limits<int8_t>::max()) {
    return std::nullopt;
  }
  std::vector<int8_t> table;
  for (size_t i = 0; i < std::bit_ceil(count); ++i) {
    const int level = static_cast<int>(i < count ? i : count - 1);
    table.push_back(static_cast<int8_t>(first + step * level));
  }
  return table;
}

}  // namespace lutra::qat
