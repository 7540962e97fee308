#ifndef LUTRA_RUNTIME_OPS_OPERATORS_H_
#define LUTRA_RUNTIME_OPS_OPERATORS_H_

#include <cstddef>

#include "lutra/runtime/operator.h"

// lutra's operators, each defined in the file of its family, and what their
// definitions share.

namespace lutra {

#define LUTRA_DECLARE_OPERATOR(name) const Operator& name##Operator();
LUTRA_OPERATORS(LUTRA_DECLARE_OPERATOR)
#undef LUTRA_DECLARE_OPERATOR

// The highest count that attributes may ask for: far above any network, and
// small enough that products of three fit 64 bits.
inline constexpr double kMaxCount = 1 << 20;

// Throws NodeError unless the input is float32 and, where `rank` is given, has
// that many dimensions.
inline constexpr size_t kAnyRank = SIZE_MAX;
void CheckFloatInput(const Model& model, const Node& node,
                     const ValueInfo& input, size_t rank = kAnyRank);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_OPERATORS_H_
