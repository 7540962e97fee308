#ifndef LUTRA_RUNTIME_BASE_WORK_SIZE_H_
#define LUTRA_RUNTIME_BASE_WORK_SIZE_H_

#include <cstddef>

namespace lutra {

// Elements per piece of a parallel loop: some microseconds of the cheapest
// functions, so that small calls stay on one thread.
inline constexpr size_t kElementsPerTask = 16384;

// Operations per row of a call, of operators whose work the size of the file
// does not bound: some minutes of one core.
inline constexpr double kMaxWork = 0x1p40;

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_WORK_SIZE_H_
