// Builds without pthreadpool.

#include "lutra/runtime/error.h"
#include "runtime/capi/executors.h"

namespace lutra::c_api {

std::unique_ptr<Executor> MakePthreadpoolExecutor(pthreadpool* /*pool*/) {
  throw Error(
      ErrorCode::kUnsupported,
      "this build of lutra knows no pthreadpool: hand in an executor instead");
}

}  // namespace lutra::c_api
