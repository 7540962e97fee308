#ifndef LUTRA_PACKER_REWRITE_SCALING_GROUPS_H_
#define LUTRA_PACKER_REWRITE_SCALING_GROUPS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lutra/packer/rescale.h"
#include "lutra/runtime/model.h"

namespace lutra::packer {

// Columns of a value that all linear nodes which take it may be multiplied by,
// because what is before can be divided: numbers of the gain of a norm, or rows
// of another linear node whose outputs go nowhere else. Nodes are numbers in
// the graph.
struct ScalingGroup {
  std::string value;
  std::vector<size_t> layers;    // all nodes that read the value
  size_t source = 0;             // the norm or linear node
  std::vector<uint32_t> origin;  // row of the source, of each column
  size_t rows = 0;               // of the source
};

// In the order of the graph. A product of two layers' outputs can be divided in
// either, so that a value may have two groups; the first is the one to take
// where nothing else is said.
std::vector<ScalingGroup> FindScalingGroups(const Model& model);

// One group for each value: the first, or those that `wanted` names. Throws
// Error for what is wanted and is not there, with the reason.
std::vector<ScalingGroup> ChooseScalingGroups(
    const Model& model, const std::vector<ScalingLayers>& wanted);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_REWRITE_SCALING_GROUPS_H_
