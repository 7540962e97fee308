#ifndef LUTRA_BENCH_LIMITS_H_
#define LUTRA_BENCH_LIMITS_H_

#include <pthreadpool.h>

#include <cstddef>

// What the machine can do at best, measured, on all threads of a pool or, for
// nullptr, on the calling thread. Each call takes some tenths of a second.

namespace lutra::bench {

// Bytes per second when reading memory that no cache holds.
double ReadBandwidth(pthreadpool_t pool);

// Operations (a multiply and an add are two) per second of the int8 dot product
// of kernels/dot-inl.h on registers.
double Int8Peak(pthreadpool_t pool);

// Operations per second of the float multiply-add on registers.
double FloatPeak(pthreadpool_t pool);

}  // namespace lutra::bench

#endif  // LUTRA_BENCH_LIMITS_H_
