#include "tools/verbs/train_processes.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

namespace lutra::tools {

// By what Open MPI, MPICH and its kin, and launchers with PMIx set. MPI is not
// asked: started without mpirun it takes its time.
std::unique_ptr<MpiProcesses> JoinProcesses(std::function<bool()> ending) {
  constexpr std::array<const char*, 3> kNames = {"OMPI_COMM_WORLD_SIZE",
                                                 "PMI_SIZE", "PMIX_RANK"};
  const bool several = std::any_of(
      kNames.begin(), kNames.end(),
      [](const char* name) { return std::getenv(name) != nullptr; });
  return several ? StartMpi(std::move(ending)) : nullptr;
}

}  // namespace lutra::tools
