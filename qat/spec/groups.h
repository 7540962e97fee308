#ifndef LUTRA_QAT_SPEC_GROUPS_H_
#define LUTRA_QAT_SPEC_GROUPS_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "lutra/runtime/error.h"

namespace lutra::qat {

// How rows of k columns fall into groups.
struct Groups {
  size_t columns;  // of a full group; the last one may be short
  size_t per_row;
};

// `group_size` 0 means the whole row. Throws lutra::Error if it is negative.
inline Groups GroupsOf(size_t k, int64_t group_size) {
  if (group_size < 0) {
    throw Error("a group size of " + std::to_string(group_size) +
                " is impossible");
  }
  const size_t columns = group_size == 0 ? std::max<size_t>(k, 1)
                                         : static_cast<size_t>(group_size);
  return {columns, k == 0 ? 0 : (k - 1) / columns + 1};
}

// Calls f(group, begin, count) for every group of a row-major [n, k] matrix:
// its index, its first element and its number of columns.
template <typename F>
void ForGroups(size_t n, size_t k, const Groups& groups, const F& f) {
  for (size_t row = 0; row < n; ++row) {
    for (size_t g = 0; g < groups.per_row; ++g) {
      const size_t column = g * groups.columns;
      f(row * groups.per_row + g, row * k + column,
        std::min(groups.columns, k - column));
    }
  }
}

// Position of the first value that is not finite.
inline std::optional<size_t> FindNotFinite(const float* p, size_t size) {
  const float* end = p + size;
  const float* it =
      std::find_if(p, end, [](float x) { return !std::isfinite(x); });
  if (it == end) return std::nullopt;
  return static_cast<size_t>(it - p);
}

}  // namespace lutra::qat

#endif  // LUTRA_QAT_SPEC_GROUPS_H_
