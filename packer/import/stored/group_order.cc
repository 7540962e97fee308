#include "packer/import/stored/group_order.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "lutra/runtime/error.h"

namespace lutra::packer {

void SetGroupOrder(const Part& order, size_t groups, StoredWeight& weight) {
  order.CheckMatrix(1, weight.columns);
  bool regular = true;
  std::vector<uint32_t> group_of(weight.columns);
  for (size_t c = 0; c < weight.columns; ++c) {
    const int64_t group = order.Integer(c);
    // Files whose columns were never ordered have -1 everywhere.
    if (group == -1 && c == 0) return;
    if (group < 0 || group >= static_cast<int64_t>(groups)) {
      order.Fail("has a group that does not exist: " + std::to_string(group));
    }
    group_of[c] = static_cast<uint32_t>(group);
    regular = regular && group_of[c] == c / weight.group_size;
  }
  if (!regular) weight.group_of_column = std::move(group_of);
}

StoredWeight SortedByGroup(const StoredWeight& weight,
                           std::vector<uint32_t>& order) {
  order.resize(weight.columns);
  std::iota(order.begin(), order.end(), 0u);
  const std::vector<uint32_t>& group_of = weight.group_of_column;
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return group_of[a] < group_of[b];
  });
  for (size_t c = 0; c < order.size(); ++c) {
    if (group_of[order[c]] == c / weight.group_size) continue;
    throw Error("its groups have other sizes than " +
                std::to_string(weight.group_size) + " columns");
  }
  StoredWeight result = weight;
  result.group_of_column.clear();
  result.read = [read = weight.read, order](size_t first, size_t count,
                                            StoredRows& out) {
    read(first, count, out);
    if (out.want_codes) ReorderColumns(order, count, out.codes);
  };
  return result;
}

}  // namespace lutra::packer
