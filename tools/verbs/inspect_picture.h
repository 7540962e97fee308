#ifndef LUTRA_TOOLS_VERBS_INSPECT_PICTURE_H_
#define LUTRA_TOOLS_VERBS_INSPECT_PICTURE_H_

#include <string>

#include "tools/verbs/inspection.h"

namespace lutra::tools {

// The graph of a model as an SVG picture: a box for each input, node and
// output. Layers that repeat are drawn once, in a frame that says how often.
// Throws lutra::Error for a file without a graph, and for more than 2,048
// boxes.
std::string GraphPicture(const Inspection& inspection);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_INSPECT_PICTURE_H_
