#include "packer/import/stored/group_order.h"

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

}  // namespace lutra::packer
