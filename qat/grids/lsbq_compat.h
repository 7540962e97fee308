#ifndef LUTRA_QAT_GRIDS_LSBQ_COMPAT_H_
#define LUTRA_QAT_GRIDS_LSBQ_COMPAT_H_

#include <memory>

#include "lutra/qat/quantizers.h"

namespace lutra::qat {

// Upstream's optimal LSBQ with its defects: see LsbqOptions::compat.
std::unique_ptr<Quantizer> MakeCompatOptimalLsbqQuantizer(
    const LsbqOptions& options);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRIDS_LSBQ_COMPAT_H_
