#ifndef LUTRA_EVAL_BUFFERS_H_
#define LUTRA_EVAL_BUFFERS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lutra/runtime/model.h"
#include "lutra/runtime/session.h"

namespace lutra::eval {

// Memory for the inputs and outputs of sessions on one model, which are counted
// as the model does. One thread at a time.
class Buffers {
 public:
  // For up to `m` tokens, all zeros. The model is not needed afterwards.
  Buffers(const Model& model, size_t m);
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;
  Buffers(Buffers&&) = default;
  Buffers& operator=(Buffers&&) = default;

  // Input `i`: [m, shape of the input], float or int32_t as the model says,
  // and how many bytes all of that is and a token of it. Aligned for both.
  std::byte* input(size_t i) { return inputs_[i].data(); }
  size_t InputBytes(size_t i) const { return inputs_[i].size(); }
  size_t InputTokenBytes(size_t i) const { return input_token_bytes_[i]; }
  // Output `i`: [m, shape of the output], of which a run of fewer tokens
  // writes the first.
  const std::vector<float>& output(size_t i) const { return outputs_[i]; }

  // Runs the first `tokens` tokens, at most `m`. Throws what Session::Run does.
  void Run(Session& session, size_t tokens);

 private:
  std::vector<size_t> input_token_bytes_;
  std::vector<std::vector<std::byte>> inputs_;
  std::vector<std::vector<float>> outputs_;
  std::vector<const void*> input_pointers_;
  std::vector<float*> output_pointers_;
};

// Fills all inputs with numbers that depend on the model and `seed` only, the
// same on every system: floats from [-1, 1), ids below the size of every
// embedding they index.
void FillRandomly(const Model& model, uint32_t seed, Buffers& buffers);

}  // namespace lutra::eval

#endif  // LUTRA_EVAL_BUFFERS_H_
