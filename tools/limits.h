#ifndef LUTRA_TOOLS_LIMITS_H_
#define LUTRA_TOOLS_LIMITS_H_

#include <pthreadpool.h>

#include <cstddef>
#include <cstdint>

// What the machine can do at best, measured, on all threads of a pool or, for
// nullptr, on the calling thread.

namespace lutra::tools {

// Rates of one measurement of about a millisecond, to be alternated with what
// is compared with them: other work on the machine then slows both.
//
// Bytes per second when reading `memory`, aligned to 64, once, in four streams
// per thread, which keeps more of the memory system busy than one.
double ReadRate(const uint8_t* memory, size_t bytes, pthreadpool_t pool);
// Operations per second (a multiply and an add are two) on registers, of the
// instructions that the active kernel variant uses: its int8 dot product where
// a table allows the fastest, and its float multiply-add. 0 if the variant is
// the reference.
double Int8Rate(pthreadpool_t pool);
double FloatRate(pthreadpool_t pool);

// The best of several such measurements, some tenths of a second together.
// Memory that no cache holds is read.
double ReadBandwidth(pthreadpool_t pool);
double Int8Peak(pthreadpool_t pool);
double FloatPeak(pthreadpool_t pool);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_LIMITS_H_
