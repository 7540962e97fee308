#ifndef LUTRA_KERNELS_PEAK_H_
#define LUTRA_KERNELS_PEAK_H_

#include <cstddef>

// The most that the active variant (variants.h) could compute: the instructions
// with which it multiplies and adds, on registers, with enough of them at once
// to hide how long each takes. Nothing is read from memory, so that the time of
// a call is the least that so many operations can take on this CPU.
//
//   const double operations = RunInt8Peak(150000);  // about a millisecond
//   const double per_second = operations / seconds;
//
// Both work on the calling thread only and may be called from several at once:
// the peak of a machine is the sum of what all its threads do in the same time.

namespace lutra::kernels {

// Does `rounds` rounds; a round is some tens of instructions. Returns how many
// operations that were, where a multiply and an add are two, and every lane of
// a vector counts. 0, at once, if the variant is the reference, which has no
// such instructions, or if `rounds` is 0.
//
// Of the int8 dot product, in the form for the tables that allow the fastest.
double RunInt8Peak(size_t rounds) noexcept;
// Of the float multiply-add.
double RunFloatPeak(size_t rounds) noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_PEAK_H_
