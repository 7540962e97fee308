#ifndef LUTRA_RUNTIME_BASE_WORK_SIZE_H_
#define LUTRA_RUNTIME_BASE_WORK_SIZE_H_

#include <cstddef>

namespace lutra {

// Elements per piece of a parallel loop: some microseconds of the cheapest
// functions, so that small calls stay on one thread.
inline constexpr size_t kElementsPerTask = 16384;

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_WORK_SIZE_H_
