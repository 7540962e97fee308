#ifndef LUTRA_TOOLS_VERBS_TRAIN_PROCESSES_H_
#define LUTRA_TOOLS_VERBS_TRAIN_PROCESSES_H_

#include <functional>
#include <memory>

#include "lutra/qat/processes.h"

namespace lutra::tools {

// The processes that mpirun has started with this one.
class MpiProcesses : public qat::Processes {
 public:
  // Before the program ends well; waits for all of them.
  virtual void Leave() = 0;
};

// nullptr without mpirun. Who waits for a process that does not answer gives up
// soon after `ending` says that this one is to end: then the other probably
// has. Throws lutra::Error where this program has no MPI.
std::unique_ptr<MpiProcesses> JoinProcesses(std::function<bool()> ending);

// The same where there is mpirun.
std::unique_ptr<MpiProcesses> StartMpi(std::function<bool()> ending);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_TRAIN_PROCESSES_H_
