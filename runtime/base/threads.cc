#include "runtime/base/threads.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "lutra/kernels/thread_team.h"
#include "lutra/runtime/error.h"
#include "runtime/base/text_of.h"
#include "runtime/base/thread_count.h"

namespace lutra {
namespace {

#if defined(LUTRA_HAVE_THREADS)
constexpr bool kHasThreads = true;
#else
constexpr bool kHasThreads = false;  // then nothing here counts CPUs
#endif

}  // namespace

std::unique_ptr<Executor> StartThreads(size_t wanted) {
  if (wanted > kMaxThreads) {
    throw Error(TextOf("threads: ", wanted, " are more than the limit of ",
                       kMaxThreads));
  }
  if (!kHasThreads || wanted == 1) return nullptr;
  const ThreadChoice choice = ChooseThreads();
  try {
    return StartThreadTeam(wanted == 0 ? choice.threads
                                       : std::min(wanted, choice.most));
  } catch (const std::runtime_error& error) {
    throw Error(ErrorCode::kNoThreads, error.what());
  }
}

}  // namespace lutra
