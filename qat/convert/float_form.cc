#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "kernels/base/float8.h"
#include "lutra/qat/conversion.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "qat/convert/group_matcher.h"
#include "qat/grids/float_quantizer.h"
#include "qat/grids/summation.h"
#include "qat/spec/groups.h"

namespace lutra::qat {
namespace {

// The largest value is most often the largest float: that scale comes first, as
// looking for all others takes hundreds of times as long. Blocks of
// Microscaling Formats, or parts of them, need no others: floats that a larger
// power of two made are there with the least one, too, or, where that leads
// beyond the largest float, with the next.
std::optional<float> MatchGroup(const FloatGrid& grid, const float* w,
                                size_t count, GroupMatcher& matcher,
                                uint8_t* indices, size_t* worst) {
  const float scale = grid.ScaleFor(MaxMagnitude(w, count));
  if (grid.mx) {
    if (matcher.TryScale(scale, w, count, indices, worst)) return scale;
    return matcher.TryScale(2.0f * scale, w, count, indices, worst);
  }
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float candidate :
       {scale, std::nextafter(scale, 0.0f), std::nextafter(scale, infinity)}) {
    if (matcher.TryScale(candidate, w, count, indices, worst)) return candidate;
  }
  return matcher.Match(w, count, indices, worst);
}

uint8_t Encoded(DType dtype, float level) {
  return dtype == DType::kFloat8E5M2 ? E5M2FromExactFloat(level)
                                     : E4M3FromFloat(level);
}

}  // namespace

std::optional<DType> FloatStorage(std::string_view quantizer) {
  const FloatGrid* const grid = FindFloatGrid(quantizer);
  if (grid == nullptr ||
      MakeFloatQuantizer(quantizer)->LutTable(grid->type.bits)) {
    return std::nullopt;
  }
  // Those of 6 bits are among them.
  return grid->type.largest > kE4M3.largest ? DType::kFloat8E5M2
                                            : DType::kFloat8E4M3;
}

std::optional<FloatForm> MatchFloats(const float* w, size_t n, size_t k,
                                     std::string_view quantizer,
                                     int64_t group_size, GridMismatch* why) {
  const std::optional<DType> dtype = FloatStorage(quantizer);
  if (!dtype) {
    throw Error("weights of quantizer '" + std::string(quantizer) +
                "' are not stored as 8-bit floats");
  }
  const Groups groups = GroupsOf(k, group_size);
  const FloatGrid& grid = *FindFloatGrid(quantizer);
  const std::vector<float> levels = grid.type.Levels();
  const auto fail = [&](size_t position, std::string cause) {
    if (why != nullptr) {
      *why = MismatchAt(w, k, groups, position, std::move(cause));
    }
    return std::nullopt;
  };
  if (const auto position = FindNotFinite(w, n * k)) {
    return fail(*position, "is not finite");
  }
  FloatForm form;
  form.dtype = *dtype;
  form.codes.resize(n * k);
  form.scales.resize(n * groups.per_row);
  std::vector<uint8_t> codes;
  for (const float level : levels) codes.push_back(Encoded(form.dtype, level));
  GroupMatcher matcher(levels);
  std::optional<size_t> off_grid;
  ForGroups(n, k, groups, [&](size_t group, size_t begin, size_t count) {
    if (off_grid) return;
    size_t worst = 0;
    uint8_t* const indices = form.codes.data() + begin;
    const auto scale =
        MatchGroup(grid, w + begin, count, matcher, indices, &worst);
    if (!scale) {
      off_grid = begin + worst;
      return;
    }
    form.scales[group] = *scale;
    for (size_t i = 0; i < count; ++i) indices[i] = codes[indices[i]];
  });
  if (off_grid) {
    return fail(*off_grid,
                "is not a multiple of the group's scale among the "
                "floats of quantizer '" +
                    std::string(quantizer) + "'");
  }
  return form;
}

}  // namespace lutra::qat
