#include "lutra/qat/conversion.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>

#include "lutra/runtime/error.h"
#include "qat/convert/group_matcher.h"
#include "qat/spec/groups.h"

namespace lutra::qat {
namespace {

LutForm MakeForm(size_t n, size_t k, const Groups& groups,
                 const Quantizer& quantizer, int bits) {
  auto table = quantizer.LutTable(bits);
  if (!table) {
    throw Error("quantizer '" + std::string(quantizer.name()) + "' with " +
                std::to_string(bits) +
                " bits has no look-up table of small integers");
  }
  LutForm form;
  form.bits = std::countr_zero(table->size());
  form.table = std::move(*table);
  form.indices.resize(n * k);
  form.scales.resize(n * groups.per_row);
  return form;
}

// The scale of a grid with levels scale * table: its level at the entry 1 or
// -1, which every table has.
float ScaleOfGrid(const std::vector<float>& grid,
                  const std::vector<int8_t>& table) {
  for (size_t i = 0; i < grid.size(); ++i) {
    if (std::abs(table[i]) == 1) return std::fabs(grid[i]);
  }
  return 0.0f;
}

}  // namespace

std::string GridMismatch::ToString() const {
  char number[32];
  std::snprintf(number, sizeof(number), "%.9g", static_cast<double>(value));
  return "row " + std::to_string(row) + ", column " + std::to_string(column) +
         " (group " + std::to_string(group) + "): " + number + " " + cause;
}

void CountBelow(const float* x, size_t n, Span<const float> thresholds,
                uint8_t* counts) {
  // Of so many values at a time compilers make vectors.
  constexpr size_t kChunk = 16;
  constexpr size_t kFewThresholds = 16;
  size_t i = 0;
  if (thresholds.size() <= kFewThresholds) {
    for (; i + kChunk <= n; i += kChunk) {
      int32_t below[kChunk] = {};
      for (const float threshold : thresholds) {
        for (size_t j = 0; j < kChunk; ++j) {
          below[j] += x[i + j] > threshold ? 1 : 0;
        }
      }
      for (size_t j = 0; j < kChunk; ++j) {
        counts[i + j] = static_cast<uint8_t>(below[j]);
      }
    }
  }
  if (thresholds.empty()) {
    std::fill(counts + i, counts + n, uint8_t{0});
    return;
  }
  // Thresholds often have equal distances: then a count is near where x is in
  // their range.
  const auto all = static_cast<float>(thresholds.size());
  const float first = thresholds.front();
  const float inverse = (all - 1) / (thresholds.back() - first);
  for (; i < n; ++i) {
    const float place = (x[i] - first) * inverse;
    const auto guess =
        static_cast<size_t>(place > 0 ? std::min(place, all) : 0);
    size_t low = guess;
    const size_t high = std::min(guess + 2, thresholds.size());
    const bool is_near =
        (low == 0 || thresholds[low - 1] < x[i]) &&
        (high == thresholds.size() || thresholds[high] >= x[i]);
    if (is_near) {
      while (low < high && thresholds[low] < x[i]) ++low;
    } else {
      low = static_cast<size_t>(
          std::lower_bound(thresholds.begin(), thresholds.end(), x[i]) -
          thresholds.begin());
    }
    counts[i] = static_cast<uint8_t>(low);
  }
}

LutForm QuantizeToLut(const float* w, size_t n, size_t k,
                      const Quantizer& quantizer, int bits,
                      int64_t group_size) {
  const Groups groups = GroupsOf(k, group_size);
  LutForm form = MakeForm(n, k, groups, quantizer, bits);
  if (const auto position = FindNotFinite(w, n * k)) {
    throw Error(
        MismatchAt(w, k, groups, *position, "is not finite").ToString());
  }
  std::vector<float> grid(quantizer.GridSize(bits));
  std::vector<float> q(groups.columns);
  ForGroups(n, k, groups, [&](size_t group, size_t begin, size_t count) {
    quantizer.Quantize({w + begin, 1, count, true}, bits, q.data(),
                       grid.data());
    // The quantizers with a table return entries of their ascending grid; the
    // last is not above any.
    CountBelow(q.data(), count, Span<const float>(grid).first(grid.size() - 1),
               form.indices.data() + begin);
    form.scales[group] = ZeroIfTiny(ScaleOfGrid(grid, form.table));
  });
  return form;
}

std::optional<LutForm> MatchGrid(const float* w, size_t n, size_t k,
                                 const Quantizer& quantizer, int bits,
                                 int64_t group_size, GridMismatch* why) {
  const Groups groups = GroupsOf(k, group_size);
  LutForm form = MakeForm(n, k, groups, quantizer, bits);
  const auto fail = [&](size_t position, std::string cause) {
    if (why != nullptr) {
      *why = MismatchAt(w, k, groups, position, std::move(cause));
    }
    return std::nullopt;
  };
  if (const auto position = FindNotFinite(w, n * k)) {
    return fail(*position, "is not finite");
  }
  GroupMatcher matcher({form.table.begin(), form.table.end()});
  std::optional<size_t> off_grid;
  ForGroups(n, k, groups, [&](size_t group, size_t begin, size_t count) {
    if (off_grid) return;
    size_t worst = 0;
    const auto scale =
        matcher.Match(w + begin, count, form.indices.data() + begin, &worst);
    if (!scale) {
      off_grid = begin + worst;
      return;
    }
    form.scales[group] = *scale;
  });
  if (off_grid) {
    return fail(*off_grid,
                "is not a multiple of the group's scale in the table of "
                "quantizer '" +
                    std::string(quantizer.name()) + "' with " +
                    std::to_string(bits) + " bits");
  }
  return form;
}

}  // namespace lutra::qat
