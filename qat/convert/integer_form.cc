#include <algorithm>
#include <limits>
#include <string>

#include "lutra/qat/conversion.h"
#include "lutra/runtime/error.h"
#include "qat/grids/run_quantizer.h"
#include "qat/grids/stretched.h"
#include "qat/spec/groups.h"

namespace lutra::qat {
namespace {

constexpr float kStretchedZeroPoint = -0.5f;

IntegerForm MakeIntegerForm(const float* w, size_t n, size_t k, int bits,
                            const Groups& groups) {
  if (bits < 1 || bits > kMaxGridBits) {
    throw Error("conversion to integers does not support " +
                std::to_string(bits) + " bits");
  }
  if (const auto position = FindNotFinite(w, n * k)) {
    throw Error("row " + std::to_string(*position / k) + ", column " +
                std::to_string(*position % k) + " is not finite");
  }
  IntegerForm form;
  form.bits = bits;
  form.n = n;
  form.k = k;
  form.group_size = groups.columns;
  form.data.resize(n * k);
  form.scales.resize(n * groups.per_row);
  form.zero_points.resize(n * groups.per_row);
  return form;
}

}  // namespace

IntegerForm ConvertStretched(const float* w, size_t n, size_t k, int bits,
                             int64_t group_size, float eps) {
  const Groups groups = GroupsOf(k, group_size);
  IntegerForm form = MakeIntegerForm(w, n, k, bits, groups);
  ForGroups(n, k, groups, [&](size_t group, size_t begin, size_t count) {
    const StretchedCode code(w + begin, count, bits, eps);
    for (size_t i = begin; i < begin + count; ++i) {
      form.data[i] = static_cast<int8_t>(code.Quantize(w[i]));
    }
    form.scales[group] = code.scale();
    form.zero_points[group] = kStretchedZeroPoint;
  });
  return form;
}

IntegerForm ConvertAffine(const float* w, size_t n, size_t k, int bits,
                          int64_t group_size, AffineMapping mapping,
                          float eps) {
  const Groups groups = GroupsOf(k, group_size);
  IntegerForm form = MakeIntegerForm(w, n, k, bits, groups);
  if (mapping == AffineMapping::kFloatZeroPoint) {
    throw Error("conversion to integers needs an integer zero point");
  }
  const AffineScheme scheme{mapping, SignedBounds(bits), eps};
  ForGroups(n, k, groups, [&](size_t group, size_t begin, size_t count) {
    const Range range = MinMax(w + begin, count);
    const AffineParameters parameters =
        ChooseAffine(scheme, range.min, range.max);
    const AffineCode code(parameters, scheme);
    for (size_t i = begin; i < begin + count; ++i) {
      form.data[i] = static_cast<int8_t>(code.Clip(code.Raw(w[i])));
    }
    form.scales[group] = parameters.scale;
    form.zero_points[group] = parameters.zero_point;
  });
  return form;
}

std::vector<float> Dequantize(const IntegerForm& form) {
  std::vector<float> w(form.n * form.k);
  ForGroups(
      form.n, form.k, {form.group_size, form.GroupsPerRow()},
      [&](size_t group, size_t begin, size_t count) {
        for (size_t i = begin; i < begin + count; ++i) {
          w[i] = (static_cast<float>(form.data[i]) - form.zero_points[group]) *
                 form.scales[group];
        }
      });
  return w;
}

LutForm ToLutForm(const IntegerForm& form) {
  const bool stretched =
      !form.zero_points.empty() && form.zero_points[0] == kStretchedZeroPoint;
  const float zero_point = stretched ? kStretchedZeroPoint : 0.0f;
  for (const float z : form.zero_points) {
    if (z != zero_point) {
      throw Error("a zero point per group of other than 0 has no table");
    }
  }
  const int lo = SignedBounds(form.bits).lo;
  const size_t levels = size_t{1} << form.bits;
  auto table =
      stretched ? MakeTable(2 * lo + 1, 2, levels) : MakeTable(lo, 1, levels);
  if (!table) {
    throw Error(std::to_string(form.bits) + " bits have no look-up table");
  }
  LutForm result;
  result.bits = form.bits;
  result.table = std::move(*table);
  result.scales = form.scales;
  if (stretched) {
    for (float& scale : result.scales) scale = ZeroIfTiny(scale / 2.0f);
  }
  for (const int8_t value : form.data) {
    result.indices.push_back(static_cast<uint8_t>(value - lo));
  }
  return result;
}

std::vector<float> Dequantize(const LutForm& form, size_t n, size_t k,
                              int64_t group_size) {
  std::vector<float> w(n * k);
  ForGroups(n, k, GroupsOf(k, group_size),
            [&](size_t group, size_t begin, size_t count) {
              for (size_t i = begin; i < begin + count; ++i) {
                const int8_t level = form.table[form.indices[i]];
                w[i] = form.scales[group] * static_cast<float>(level);
              }
            });
  return w;
}

}  // namespace lutra::qat
