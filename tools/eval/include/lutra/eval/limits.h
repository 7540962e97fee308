#ifndef LUTRA_EVAL_LIMITS_H_
#define LUTRA_EVAL_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "lutra/kernels/executor.h"

// What the machine can do at best, measured, on all threads of an executor or,
// for nullptr, on the calling thread. Rates are per second. The executor must
// be idle and is used by one call at a time.

namespace lutra::eval {

struct FreeDeleter {
  void operator()(uint8_t* p) const { std::free(p); }
};
using HugePages = std::unique_ptr<uint8_t[], FreeDeleter>;

// Memory that has been written to, in huge pages where the system has them:
// with small ones the speed of reading depends on where it happens to put them.
// Throws std::bad_alloc.
HugePages AllocateHugePages(size_t bytes);

// Memory, more than any cache holds, that is read a piece at a time.
class UncachedMemory {
 public:
  // What a measurement reads, and so the most that it takes from the caches.
  static constexpr size_t kPieceBytes = size_t{32} << 20;
  static constexpr size_t kBytes = 8 * kPieceBytes;

  // kBytes of its own, in huge pages. Throws std::bad_alloc.
  UncachedMemory();
  // Others' memory, aligned to 64, which must stay as long as this. If it is
  // less than a piece, all of it is one.
  UncachedMemory(const uint8_t* memory, size_t bytes);
  UncachedMemory(const UncachedMemory&) = delete;
  UncachedMemory& operator=(const UncachedMemory&) = delete;

  // Bytes per second when reading the next piece, or all, in four streams per
  // thread, which keeps more of the memory system busy than one.
  double ReadRate(Executor* executor);
  double ReadAllRate(Executor* executor) const;

 private:
  const HugePages own_;
  const uint8_t* const memory_;
  const size_t bytes_;
  size_t at_ = 0;  // of the next piece
};

// A measurement of a rate takes about a millisecond: to be alternated, on the
// same executor, with what is compared with it. Other work on the machine then
// slows both.
//
// Operations per second (a multiply and an add are two) on registers, of the
// instructions that the active kernel variant uses: its int8 dot product where
// a table allows the fastest, and its float multiply-add
// (lutra/kernels/peak.h). 0 if the variant is the reference.
double Int8Rate(Executor* executor);
double FloatRate(Executor* executor);

// The best of several such measurements, some tenths of a second together.
// All of an UncachedMemory is read, which is made for that: ReadBandwidth
// throws std::bad_alloc.
double ReadBandwidth(Executor* executor);
// Likewise of reading so many bytes again and again, as a model's calls do:
// those that fit are read from caches.
double ReadBandwidth(Executor* executor, size_t bytes);
double Int8Peak(Executor* executor);
double FloatPeak(Executor* executor);

}  // namespace lutra::eval

#endif  // LUTRA_EVAL_LIMITS_H_
