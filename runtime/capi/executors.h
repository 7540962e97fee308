#ifndef LUTRA_RUNTIME_CAPI_EXECUTORS_H_
#define LUTRA_RUNTIME_CAPI_EXECUTORS_H_

#include <memory>

#include "lutra.h"
#include "lutra/kernels/executor.h"

// Threads that a program in C hands in.

namespace lutra::c_api {

// Of a thread pool or an executor; nullptr if the options have neither. Throws
// Error.
std::unique_ptr<Executor> MakeExecutor(const lutra_session_options& options);

// What runs on the app's pool, which must outlive it. Throws Error in a build
// without pthreadpool.
std::unique_ptr<Executor> MakePthreadpoolExecutor(pthreadpool* pool);

}  // namespace lutra::c_api

#endif  // LUTRA_RUNTIME_CAPI_EXECUTORS_H_
