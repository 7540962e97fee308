#ifndef LUTRA_RUNTIME_BASE_OUT_OF_MEMORY_H_
#define LUTRA_RUNTIME_BASE_OUT_OF_MEMORY_H_

#include "lutra/runtime/error.h"

namespace lutra {

// An Error that the C API reports with a status of its own.
class OutOfMemory : public Error {
 public:
  using Error::Error;
  explicit OutOfMemory(const Error& error) : Error(error) {}
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_OUT_OF_MEMORY_H_
