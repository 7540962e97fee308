#include "runtime/base/threads.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "lutra/kernels/thread_team.h"
#include "lutra/runtime/error.h"
#include "runtime/base/thread_count.h"

namespace lutra {

std::unique_ptr<Executor> StartThreads(size_t wanted) {
  if (wanted > kMaxThreads) {
    throw Error("threads: " + std::to_string(wanted) +
                " are more than the limit of " + std::to_string(kMaxThreads));
  }
  if (wanted == 1) return nullptr;
  const ThreadChoice choice = ChooseThreads();
  try {
    return StartThreadTeam(wanted == 0 ? choice.threads
                                       : std::min(wanted, choice.most));
  } catch (const std::runtime_error& error) {
    throw Error(ErrorCode::kNoThreads, error.what());
  }
}

}  // namespace lutra
