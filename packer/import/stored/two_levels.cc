#include "packer/import/stored/two_levels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "kernels/base/float8.h"
#include "kernels/base/half.h"

namespace lutra::packer {
namespace {

using kernels::LutFormat;
using kernels::OffsetType;
using kernels::ScaleType;
using kernels::SuperSpan;

bool Holds(ScaleType type, float value) {
  switch (type) {
    case ScaleType::kFloat32:
      return true;
    case ScaleType::kBFloat16:
      return RoundToBFloat16(value) == value;
    case ScaleType::kFloat16:
      return RoundToFloat16(value) == value;
    case ScaleType::kE4M3:
      return FloatFromE4M3(E4M3FromFloat(value)) == value;
    case ScaleType::kE8M0:
      return FloatFromE8M0(E8M0FromFloat(value)) == value;
    default:
      return false;
  }
}

bool IsInteger(ScaleType type) {
  return type == ScaleType::kInt8 || type == ScaleType::kUint4;
}

// Whether the numbers of a row are those of `number` times a super scale each.
bool RowFits(const LutFormat& format, ScaleType number, float factor,
             std::span<const float> row) {
  if (IsInteger(number)) {
    return SuperNumbers(format, number, factor, row).has_value();
  }
  return std::all_of(row.begin(), row.end(), [&](float value) {
    if (format.super_span == SuperSpan::kNone) return Holds(number, value);
    const uint8_t stored = E4M3FromFloat(value / factor);
    return FloatFromE4M3(stored) * factor == value;
  });
}

}  // namespace

std::optional<float> CommonFactor(std::span<const float> values,
                                  ScaleType number, ScaleType super_type) {
  // As integers times a power of two.
  constexpr int kMantissaBits = 24;
  int least = 0;
  bool first = true;
  for (const float value : values) {
    if (value == 0) continue;
    const int exponent = std::ilogb(value);
    least = first ? exponent : std::min(least, exponent);
    first = false;
  }
  if (first) return 0.0f;
  int64_t common = 0;
  int64_t highest = 0;
  int64_t lowest = 0;
  for (const float value : values) {
    // Above that, the smallest one does not divide it by a small number.
    if (value != 0 && std::ilogb(value) > least + 7) return std::nullopt;
    const auto integer =
        static_cast<int64_t>(std::ldexp(value, kMantissaBits - 1 - least));
    common = std::gcd(common, integer);
    highest = std::max(highest, integer);
    lowest = std::min(lowest, integer);
  }
  const bool is_signed = number == ScaleType::kInt8;
  const int64_t most = is_signed ? INT8_MAX : 15;
  const int64_t below = is_signed ? -int64_t{INT8_MIN} : 0;
  // With a super scale of the other sign, the ends change places.
  for (const int sign : {1, -1}) {
    const int64_t up = (sign > 0 ? highest : -lowest) / common;
    const int64_t down = (sign > 0 ? -lowest : highest) / common;
    // A part of what all have in common may be all that the type holds.
    for (int64_t part = 1; part * up <= most && part * down <= below; ++part) {
      const int twos = std::countr_zero(static_cast<uint64_t>(part));
      const int64_t odd = part >> twos;
      if (common % odd != 0) continue;
      const double factor = std::ldexp(static_cast<double>(common / odd),
                                       least - (kMantissaBits - 1) - twos);
      const auto rounded = static_cast<float>(factor);
      if (double{rounded} != factor || !Holds(super_type, rounded)) continue;
      return static_cast<float>(sign) * rounded;
    }
  }
  return std::nullopt;
}

std::optional<std::vector<float>> SuperNumbers(const LutFormat& format,
                                               ScaleType number, float factor,
                                               std::span<const float> row) {
  std::vector<float> supers(format.SupersPerRow(), factor);
  if (!IsInteger(number)) return supers;
  const size_t span = format.super_span == SuperSpan::kRow
                          ? row.size()
                          : kernels::kSuperColumns / format.group_size;
  for (size_t i = 0; i < supers.size(); ++i) {
    const std::optional<float> super = CommonFactor(
        row.subspan(i * span, std::min(span, row.size() - i * span)), number,
        format.super_type);
    if (!super) return std::nullopt;
    supers[i] = *super;
  }
  return supers;
}

TwoLevelSearch::TwoLevelSearch(const LutFormat& format, bool offsets,
                               float factor)
    : factor_(factor) {
  const auto add = [&](ScaleType scale, OffsetType offset, SuperSpan span,
                       ScaleType super) {
    LutFormat form = format;
    form.scale_type = scale;
    form.offset_type = offset;
    form.super_span = span;
    form.super_type = super;
    if (kernels::CheckFormat(form) == nullptr) forms_.push_back({form});
  };
  if (!offsets) {
    constexpr auto kNone = OffsetType::kNone;
    constexpr auto kFloat32 = ScaleType::kFloat32;
    add(ScaleType::kE8M0, kNone, SuperSpan::kNone, kFloat32);
    add(ScaleType::kE4M3, kNone, SuperSpan::kNone, kFloat32);
    add(ScaleType::kE4M3, kNone, SuperSpan::kRow, kFloat32);
  }
  const bool divides =
      format.group_size != 0 && kernels::kSuperColumns % format.group_size == 0;
  const SuperSpan span = divides ? SuperSpan::kColumns256 : SuperSpan::kRow;
  for (const ScaleType super : {ScaleType::kFloat16, ScaleType::kFloat32}) {
    for (const ScaleType scale : {ScaleType::kUint4, ScaleType::kInt8}) {
      if (!offsets) {
        add(scale, OffsetType::kNone, span, super);
        continue;
      }
      add(scale, OffsetType::kUint4, span, super);
      add(scale, OffsetType::kInt8, span, super);
    }
  }
}

void TwoLevelSearch::AddRow(std::span<const float> scales,
                            std::span<const float> offsets) {
  for (Form& form : forms_) {
    if (!form.fits) continue;
    const LutFormat& format = form.format;
    form.fits = RowFits(format, format.scale_type, factor_, scales);
    if (!form.fits || offsets.empty()) continue;
    const auto number =
        static_cast<ScaleType>(static_cast<int>(format.offset_type) - 1);
    form.fits = RowFits(format, number, factor_, offsets);
  }
}

LutFormat TwoLevelSearch::Smallest(const LutFormat& one_level) const {
  LutFormat best = one_level;
  for (const Form& form : forms_) {
    if (form.fits &&
        kernels::BlobBytes(form.format) < kernels::BlobBytes(best)) {
      best = form.format;
    }
  }
  return best;
}

}  // namespace lutra::packer
