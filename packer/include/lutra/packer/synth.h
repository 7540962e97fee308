#ifndef LUTRA_PACKER_SYNTH_H_
#define LUTRA_PACKER_SYNTH_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/packer/pack.h"
#include "lutra/qat/scheme.h"
#include "lutra/runtime/safetensors.h"

// Models of real architectures with random weights: to measure speed and memory
// at sizes for which no checkpoint is at hand. They say nothing sensible.

namespace lutra::packer {

struct SynthOptions {
  // The architecture, see FindArchitecture.
  int64_t vocab = 0;
  int64_t dim = 0;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t context = 0;
  int64_t window = 0;  // of attention; 0: none
  double norm_eps = 1e-5;
  double rope_theta = 1e4;
  bool query_key_value_bias = false;
  bool tied = false;  // the output shares the embedding's matrix

  // Weights that these leave float get the type `dtype` (F32, F16 or BF16).
  qat::SchemeRules rules;
  DType dtype = DType::kBFloat16;
  uint64_t seed = 0;
  // As PackOptions::executor.
  Executor* executor = nullptr;
};

// The shape of a known model, e.g. "tinyllama-1.1b", as its config.json has it.
// Throws Error that suggests the nearest name.
SynthOptions FindArchitecture(std::string_view name);
const std::vector<std::string_view>& ArchitectureNames();

// Numbers in all weights, biases and norms; a shared matrix counts once. Throws
// Error for shapes that do not fit together.
size_t ParameterCount(const SynthOptions& options);

struct SynthReport {
  size_t parameters = 0;  // see ParameterCount
  size_t file_bytes = 0;
};

// Writes the model to `path`, tensor by tensor: random indices and scales go
// straight into the blobs, floats are never made for them. Every value of a
// matrix has mean 0 and variance 1/K (divided by twice the number of layers
// where a result is added to the residual stream), so that activations and
// logits stay near 1. The same bytes for the same options, whatever the
// executor. Throws Error for shapes that do not fit together.
SynthReport SynthesizeModel(const std::filesystem::path& path,
                            const SynthOptions& options,
                            const PackProgress& progress = {});

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_SYNTH_H_
