#ifndef LUTRA_PACKER_IMPORT_STORED_GROUP_ORDER_H_
#define LUTRA_PACKER_IMPORT_STORED_GROUP_ORDER_H_

#include <cstdint>
#include <vector>

#include "packer/import/stored/part.h"
#include "packer/import/stored/stored_weight.h"

namespace lutra::packer {

// Takes over the group of each column (g_idx) where these are not what the
// group size says. Throws Error for groups that do not exist.
void SetGroupOrder(const Part& order, size_t groups, StoredWeight& weight);

// The weight with the columns of a group side by side: column i is column
// order[i] of the other. Inputs have to be put in that order, too. Throws Error
// with the bare cause if groups are not of the group size.
StoredWeight SortedByGroup(const StoredWeight& weight,
                           std::vector<uint32_t>& order);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_STORED_GROUP_ORDER_H_
