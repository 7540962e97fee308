// Builds without threads (LUTRA_THREADS=OFF).

#include "lutra/kernels/thread_team.h"

namespace lutra {

std::unique_ptr<Executor> StartThreadTeam(size_t /*threads*/) {
  return nullptr;
}

}  // namespace lutra
