#ifndef LUTRA_TOOLS_VERBS_INSPECT_LATTICE_H_
#define LUTRA_TOOLS_VERBS_INSPECT_LATTICE_H_

#include <cstddef>
#include <string>

#include "tools/cli/options.h"

namespace lutra::tools {

// Says which float tensors of a source lie on a hidden grid.
void PrintLattices(const std::string& path, size_t threads,
                   OutputFormat format);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_INSPECT_LATTICE_H_
