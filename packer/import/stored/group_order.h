#ifndef LUTRA_PACKER_IMPORT_STORED_GROUP_ORDER_H_
#define LUTRA_PACKER_IMPORT_STORED_GROUP_ORDER_H_

#include "packer/import/stored/part.h"
#include "packer/import/stored/stored_weight.h"

namespace lutra::packer {

// Takes over the group of each column (g_idx) where these are not what the
// group size says. Throws Error for groups that do not exist.
void SetGroupOrder(const Part& order, size_t groups, StoredWeight& weight);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_STORED_GROUP_ORDER_H_
