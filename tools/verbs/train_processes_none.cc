#include "lutra/runtime/error.h"
#include "tools/verbs/train_processes.h"

namespace lutra::tools {

std::unique_ptr<MpiProcesses> StartMpi(std::function<bool()> /*ending*/) {
  throw Error(ErrorCode::kUnsupported,
              "mpirun has started this, but lutra was built without MPI");
}

}  // namespace lutra::tools
