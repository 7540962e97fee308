// DenseColumns of vector_ops.h, compiled for each Highway target.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/float/dense_kernels.cc"
// Must come before highway.h.
#include "hwy/foreach_target.h"
// Must come before the -inl.h files.
#include "hwy/highway.h"

#include "kernels/target/find_target.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/target/kernel_tables.h"

#ifndef LUTRA_KERNELS_DENSE_COLUMNS_OF_
#define LUTRA_KERNELS_DENSE_COLUMNS_OF_
namespace lutra::kernels {
// See find_target.h.
template <int64_t kTarget>
struct DenseColumnsOf {
  static constexpr DenseColumnsFunction value = nullptr;
};
}  // namespace lutra::kernels
#endif

#if LUTRA_HAS_BLOCKS
#include "kernels/float/dense_kernels-inl.h"

namespace lutra::kernels {
template <>
struct DenseColumnsOf<HWY_TARGET> {
  static constexpr DenseColumnsFunction value = HWY_NAMESPACE::DenseColumns;
};
}  // namespace lutra::kernels
#endif  // LUTRA_HAS_BLOCKS

#if HWY_ONCE
namespace lutra::kernels {

DenseColumnsFunction FindDenseColumns(int64_t target) noexcept {
  const auto function = FindTargetOrWorse<DenseColumnsOf>(target);
  return function == nullptr ? reference::DenseColumns : function;
}

}  // namespace lutra::kernels
#endif  // HWY_ONCE
