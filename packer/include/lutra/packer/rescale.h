#ifndef LUTRA_PACKER_RESCALE_H_
#define LUTRA_PACKER_RESCALE_H_

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/packer/statistics.h"
#include "lutra/qat/scheme.h"
#include "lutra/runtime/model.h"

// Rescaling: a rewrite that computes the same function with layers that round
// better. Where x [k] goes into linear layers and nowhere else, their columns
// are multiplied by numbers s > 0 and x is divided by them: in the gain of the
// norm that makes x, or in the rows of the linear layer before it (through a
// product of two values, relu, or the means that attention takes of values).
// With m = the root mean square of a column of x over data, peak = its largest
// magnitude, w = likewise those of the layers' columns,
//
//   AWQ (Lin et al., https://arxiv.org/abs/2306.00978)
//     s = m^alpha / mean|w|^(1 - alpha), or m^alpha, whichever is better:
//     columns of large inputs are rounded finer.
//   SmoothQuant (Xiao et al., https://arxiv.org/abs/2211.10438)
//     s = peak^alpha / max|w|^(1 - alpha): large inputs, which make the step
//     of int8 activations large, move into the weights.
//
// Both divide s by the root of its largest times its smallest number. Alpha is
// the best of a grid by this measure, in the moments H of the inputs
// (statistics.h), over all layers that take x:
//
//   AWQ           sum of e H e^T, e = w - rounded(w s) / s by row
//   SmoothQuant   the same, and what rounding to int8 adds: for each of the
//                 rows seen step^2 / 12 times the sum of (w s)^2, where
//                 step = max(peak / s) / 127
//
// Where nothing is better than s = 1, the layers stay as they are.

namespace lutra::packer {

enum class RescaleMethod { kAwq, kSmoothQuant };
// "awq", "smoothquant".
std::string_view Name(RescaleMethod method);
// Throws Error.
RescaleMethod ParseRescaleMethod(std::string_view name);

// Which layers scale together, by regular expressions that are found in names
// of weights: those that read what the source makes, all of them.
struct ScalingLayers {
  std::string source;
  std::vector<std::string> layers;
};
// "SOURCE=LAYER,LAYER". Throws Error, also for a bad regular expression.
ScalingLayers ParseScalingLayers(std::string_view text);

struct RescaleOptions {
  RescaleMethod method = RescaleMethod::kAwq;
  // nullopt: the best of 0, 0.05, ... 1.
  std::optional<double> alpha;
  // Numbers below this, or above its inverse, are set to that.
  double clamp = 1e-4;
  // Empty: found from the graph. Products are divided in the layer without an
  // activation function.
  std::vector<ScalingLayers> layers;
  // How layers will be packed; those that stay float have no errors.
  qat::SchemeRules rules;
  Executor* executor = nullptr;
};

struct RescaledValue {
  std::string value;
  std::string source;               // weight
  std::vector<std::string> layers;  // weights
  double alpha = 0;
  double start = 0;   // the measure before
  double result = 0;  // and after; the same: left as it is
};

struct RescaleReport {
  std::vector<RescaledValue> values;
  size_t file_bytes = 0;
};

// Called before each value; what it throws ends the work.
using RescaleProgress =
    std::function<void(std::string_view value, size_t index, size_t count)>;

// Writes the rewritten model, whose changed tensors are float32 and all else as
// it was, to a new file at `path`, which appears there when it is complete, and
// makes `statistics` those of it. Throws Error for a model in which nothing can
// be scaled, statistics of another model, layers that are not there, and as
// packing does.
RescaleReport RescaleModel(const Model& model, Statistics& statistics,
                           const RescaleOptions& options,
                           const std::filesystem::path& path,
                           const RescaleProgress& progress = {});

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_RESCALE_H_
