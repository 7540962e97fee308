// AttendTokens of attention.h, compiled for each Highway target.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/attention_kernels.cc"
// Must come before highway.h.
#include "hwy/foreach_target.h"
// Must come before the -inl.h files.
#include "hwy/highway.h"

#include "kernels/attention/attention_reference.h"
#include "kernels/target/find_target.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/target/kernel_tables.h"

#ifndef LUTRA_KERNELS_ATTEND_TOKENS_OF_
#define LUTRA_KERNELS_ATTEND_TOKENS_OF_
namespace lutra::kernels {
// See find_target.h.
template <int64_t kTarget>
struct AttendTokensOf {
  static constexpr AttendTokensFunction value = nullptr;
};
}  // namespace lutra::kernels
#endif

#if LUTRA_HAS_BLOCKS
#include "kernels/attention/attention-inl.h"

namespace lutra::kernels {
template <>
struct AttendTokensOf<HWY_TARGET> {
  static constexpr AttendTokensFunction value = HWY_NAMESPACE::AttendTokens;
};
}  // namespace lutra::kernels
#endif  // LUTRA_HAS_BLOCKS

#if HWY_ONCE
namespace lutra::kernels {

AttendTokensFunction FindAttendTokens(int64_t target) noexcept {
  const auto function = FindTargetOrWorse<AttendTokensOf>(target);
  return function == nullptr ? AttendTokensPlainly : function;
}

}  // namespace lutra::kernels
#endif  // HWY_ONCE
