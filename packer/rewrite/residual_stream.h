#ifndef LUTRA_PACKER_REWRITE_RESIDUAL_STREAM_H_
#define LUTRA_PACKER_REWRITE_RESIDUAL_STREAM_H_

#include <cstddef>
#include <string>
#include <vector>

#include "lutra/runtime/model.h"

namespace lutra::packer {

// The parts of a residual network that a rotation changes. Nodes are numbers in
// the graph; each occurs once.
struct ResidualStream {
  size_t width = 0;
  std::vector<size_t> embeddings;  // that begin it
  std::vector<size_t> norms;       // that read it
  std::vector<size_t> readers;     // linear nodes that read these
  std::vector<size_t> norm_of;     // of each reader
  std::vector<size_t> writers;     // linear nodes that are added to it
};

// Throws Error with the node that stands in the way.
ResidualStream FindResidualStream(const Model& model);

// Attention whose values come from a linear node and whose output goes to one,
// and nowhere else.
struct AttentionValues {
  size_t values = 0;  // the linear node that makes them
  size_t output = 0;  // and the one that takes the output
  size_t heads = 0;
  size_t kv_heads = 0;
  size_t head_dim = 0;
};
std::vector<AttentionValues> FindAttentionValues(const Model& model);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_REWRITE_RESIDUAL_STREAM_H_
