#ifndef LUTRA_TESTS_GOLDEN_REPLAY_UNPACK_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_UNPACK_H_

#include <vector>

#include "packer/import/stored/holding.h"
#include "packer/import/stored/stored_weight.h"

namespace lutra::golden {

// All values of a weight after it was written as a LUT matrix. Throws
// lutra::Error.
std::vector<float> Unpack(const packer::StoredWeight& weight,
                          const packer::Holding& holding);

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_UNPACK_H_
