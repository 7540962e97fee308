#ifndef LUTRA_RUNTIME_OPS_OPERATORS_H_
#define LUTRA_RUNTIME_OPS_OPERATORS_H_

#include <cstddef>
#include <initializer_list>

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

// A count of heads, experts or the like, which must be given.
inline AttributeSchema RequiredCount(const char* name) {
  return {
      .name = name, .kind = AttributeKind::kCount, .low = 1, .high = kMaxCount};
}

// The product of sizes that come from a file or a caller. Throws OutOfMemory,
// `what` "overflows memory", unless it leaves room to be rounded up.
size_t MemorySize(std::initializer_list<size_t> factors, const char* what);

// Throws NodeError unless the input is float32 and, where `rank` is given, has
// that many dimensions.
inline constexpr size_t kAnyRank = SIZE_MAX;
void CheckFloatInput(const Model& model, const Node& node,
                     const ValueInfo& input, size_t rank = kAnyRank);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_OPERATORS_H_
