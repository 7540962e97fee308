#include "qat/grids/float_quantizer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "lutra/qat/quantizers.h"
#include "qat/grids/run_quantizer.h"
#include "qat/grids/summation.h"

namespace lutra::qat {
namespace {

// Its scale is the best one (MakeFloat4Quantizer).
constexpr std::string_view kFloat4 = "fp4";

class FloatQuantizer : public RunQuantizer {
 public:
  explicit FloatQuantizer(const FloatGrid& grid)
      : RunQuantizer(grid.name, /*center=*/false),
        grid_(grid),
        levels_(grid.type.Levels()) {}

  size_t GridSize(int bits) const override {
    CheckBits(bits, grid_.type.bits, grid_.type.bits);
    return levels_.size();
  }

  // In units of the smallest step.
  std::optional<std::vector<int8_t>> LutTable(int bits) const override {
    const size_t count = GridSize(bits);
    const float unit = grid_.type.StepAt(0.0f);
    if (grid_.type.largest / unit >
        static_cast<float>(std::numeric_limits<int8_t>::max())) {
      return std::nullopt;
    }
    std::vector<int8_t> table;
    for (const float level : levels_) {
      table.push_back(static_cast<int8_t>(level / unit));
    }
    table.resize(std::bit_ceil(count), table.back());
    return table;
  }

 private:
  void QuantizeRun(const Run& run, int /*bits*/) const override {
    const float s = grid_.ScaleFor(MaxMagnitude(run.p, run.n));
    for (size_t i = 0; i < levels_.size(); ++i) run.grid[i] = s * levels_[i];
    for (size_t i = 0; i < run.n; ++i)
      run.q[i] = s * grid_.type.Round(run.p[i] / s);
  }

  const FloatGrid& grid_;
  std::vector<float> levels_;  // ascending
};

}  // namespace

std::unique_ptr<Quantizer> MakeFloatQuantizer(std::string_view name) {
  const FloatGrid* const grid = FindFloatGrid(name);
  return grid == nullptr ? nullptr : std::make_unique<FloatQuantizer>(*grid);
}

std::optional<int> FloatBits(std::string_view quantizer) {
  if (quantizer == kFloat4) return kE2M1.bits;
  const FloatGrid* const grid = FindFloatGrid(quantizer);
  if (grid == nullptr) return std::nullopt;
  return grid->type.bits;
}

bool HasPowersOfTwo(std::string_view quantizer) {
  const FloatGrid* const grid = FindFloatGrid(quantizer);
  return grid != nullptr && grid->mx;
}

std::optional<std::string_view> MicroscalingOf(std::string_view quantizer,
                                               int bits) {
  for (const FloatGrid& grid : kFloatGrids) {
    const bool same = grid.name == quantizer || grid.finer == quantizer;
    if (grid.mx && same && grid.type.bits == bits) return grid.name;
  }
  return std::nullopt;
}

}  // namespace lutra::qat
