#ifndef LUTRA_TOOLS_VERBS_RUN_FILES_H_
#define LUTRA_TOOLS_VERBS_RUN_FILES_H_

#include <map>
#include <string>
#include <vector>

#include "lutra/runtime/model.h"
#include "tools/cli/input_data.h"

// The files that the verb run reads and writes.

namespace lutra::tools {

// Splits NAME=FILE; the name may be left out if there is only one value. Every
// value that is named gets a file, each at most one. Throws UsageError about
// `option`.
std::map<std::string, std::string> AssignFiles(
    const std::string& option, const std::vector<std::string>& texts,
    const std::vector<ValueInfo>& values);

// The inputs of the model in its order, of as many tokens each. Throws
// UsageError for one without a file, and lutra::Error.
std::vector<InputData> ReadInputs(
    const Model& model, const std::map<std::string, std::string>& files);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_RUN_FILES_H_
