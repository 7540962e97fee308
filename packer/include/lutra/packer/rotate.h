#ifndef LUTRA_PACKER_ROTATE_H_
#define LUTRA_PACKER_ROTATE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "lutra/kernels/executor.h"
#include "lutra/runtime/model.h"

// Rotation: a rewrite of a residual network with RMS norms that computes the
// same function with weights that round better. The stream x [d] that layers
// read through norms and add to is turned by an orthogonal Q: x Q takes its
// place everywhere. An RMS norm without gain commutes with that, so that
//
//   a layer that reads the stream   W becomes W diag(gain) Q, the gain 1
//   a layer that writes to it       W becomes Q^T W, its bias Q^T bias
//   the embedding                   rows e become e Q
//
// Likewise the values of each head of attention are turned by a matrix of
// their own, in the layer that makes them and, back, in the one that takes the
// output. What outliers there were in single columns is then spread over all
// of them, and rounding with statistics (statistics.h) finds the directions
// that matter. (QuaRot, Ashkboos et al., https://arxiv.org/abs/2404.00456, and
// SpinQuant, https://arxiv.org/abs/2405.16406, without their products at run
// time.)
//
// Q is a Hadamard matrix with random signs, times (Kronecker) a random
// orthogonal one for what is left of d beside powers of two.
//
// An embedding that is also the output matrix is left as it is; two small
// layers [d, d] turn what it gives and what it takes. Their weights are called
// kRotationIn and kRotationOut; they are best packed at 8 bits or kept.

namespace lutra::packer {

inline constexpr const char* kRotationIn = "rotation.in.weight";
inline constexpr const char* kRotationOut = "rotation.out.weight";

struct RotateOptions {
  uint64_t seed = 1;
  Executor* executor = nullptr;
};

struct RotateReport {
  size_t width = 0;   // of the stream
  size_t layers = 0;  // weights that were changed
  size_t heads = 0;   // key-value heads whose values were turned, all layers
  bool tied = false;  // whether two layers were added
  size_t file_bytes = 0;
};

// Writes the rewritten model, whose changed weights are float32 and all else as
// it was, to a new file at `path`, which appears there when it is complete.
// Throws Error with the node that stands in the way: a stream that something
// else than RMS norms and sums reads, layers with packed weights, a weight that
// is needed both turned and as it is (but see above).
RotateReport RotateModel(const Model& model, const std::filesystem::path& path,
                         const RotateOptions& options);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ROTATE_H_
