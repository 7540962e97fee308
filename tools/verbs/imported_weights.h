#ifndef LUTRA_TOOLS_VERBS_IMPORTED_WEIGHTS_H_
#define LUTRA_TOOLS_VERBS_IMPORTED_WEIGHTS_H_

#include <string>

#include "lutra/packer/import.h"
#include "tools/cli/json.h"

// What became, or would become, of the quantized weights of a checkpoint.

namespace lutra::tools {

// A line for each format, each after a line's end: "  14 of GPTQ, 4 bits: 5.00
// bits per weight, every value exact".
std::string WeightLines(const packer::ImportReport& report);

// The same for floats that recovery left, by reason; a line for each weight
// whose groups are not all on its grid.
std::string FloatLines(const packer::ImportReport& report);

Json FloatsJson(const packer::ImportReport& report);

Json WeightsJson(const packer::ImportReport& report);

// "LlamaForCausalLM, 30 layers, 134,515,008 parameters, context 2048, ...".
std::string NetworkLine(const packer::ImportReport& report);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_IMPORTED_WEIGHTS_H_
