#ifndef LUTRA_TOOLS_EVAL_MODEL_DATA_H_
#define LUTRA_TOOLS_EVAL_MODEL_DATA_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/model.h"
#include "lutra/runtime/session.h"

// What goes into a session and what comes out.

namespace lutra::tools {

// Memory for the inputs and outputs of a session, for up to `m` tokens.
class Buffers {
 public:
  Buffers(const Model& model, size_t m);

  // Bytes of one token of input `i`.
  size_t InputTokenBytes(size_t i) const { return input_token_bytes_[i]; }
  std::span<std::byte> input(size_t i) { return inputs_[i]; }
  std::span<const float> output(size_t i) const { return outputs_[i]; }

  // Runs the first `m` tokens.
  void Run(Session& session, size_t m);

 private:
  std::vector<size_t> input_token_bytes_;
  std::vector<std::vector<std::byte>> inputs_;
  std::vector<std::vector<float>> outputs_;
  std::vector<const void*> input_pointers_;
  std::vector<float*> output_pointers_;
};

// Fills all inputs with numbers that depend on `seed` only: floats from [-1,
// 1), ids below the size of every embedding they index.
void FillRandomly(const Model& model, uint32_t seed, Buffers& buffers);

// Tokens for one input, as its type and shape demand.
struct InputData {
  size_t tokens = 0;
  std::vector<std::byte> bytes;
};

// Reads a .npy or an idx file (told by its content) for the input `value`. The
// file's shape is [tokens, ...] with as many elements per token as the value
// has, or just the value's shape for one token. Bytes for a float32 input are
// pixels and divided by 255, as in training. Throws lutra::Error.
InputData ReadInput(const std::filesystem::path& path, const ValueInfo& value);

// Whether some weight is packed, so that the activation type matters.
bool HasPackedWeights(const Model& model);
// Whether the model has packed weights and they are multiplied by int8.
bool MultipliesInt8(const Model& model, kernels::ActivationType activations);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_EVAL_MODEL_DATA_H_
