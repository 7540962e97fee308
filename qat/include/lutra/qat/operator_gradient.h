#ifndef LUTRA_QAT_OPERATOR_GRADIENT_H_
#define LUTRA_QAT_OPERATOR_GRADIENT_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "lutra/runtime/operator.h"

// What training knows of an operator: how a gradient of the loss with respect
// to its output becomes gradients with respect to its inputs and tensors. Each
// operator of lutra has one, in qat/grad/; an app adds those of its own
// operators by RegisterGradient.

namespace lutra::qat {

// Where the gradient with respect to an input goes, as large as the input.
struct GradientTarget {
  float* values = nullptr;  // nullptr: not wanted
  // Whether to add to what is there, instead of replacing it.
  bool accumulate = false;
};

// How large calls may be.
struct BackwardCapacity {
  size_t rows = 0;
  size_t sequences = 0;
  size_t longest = 0;  // rows of the longest sequence
};

// Memory of a backward step, valid as long as the step, aligned to 64 bytes.
// Nothing overlaps, save that several inputs may be one value: then their
// targets are the same too, and all accumulate.
struct BackwardBinding {
  BackwardCapacity capacity;
  std::vector<const void*> inputs;  // [m, shape of input i]; see NeedsInputs
  const float* output = nullptr;    // [m, shape of the output]; NeedsOutput
  const float* output_gradient = nullptr;
  std::vector<GradientTarget> input_gradients;
  // What tensors receive is added to what is there. nullptr: not wanted.
  float* weight_gradient = nullptr;
  float* bias_gradient = nullptr;
  void* scratch = nullptr;  // ScratchBytes()
};

class BackwardStep {
 public:
  virtual ~BackwardStep() = default;
  // For the first `m` rows, which are those of the call; its sequences start at
  // position 0 where the operator remembers tokens. Allocates nothing. The bits
  // do not depend on the number of threads.
  virtual void Run(size_t m, const Call& call) = 0;
};

// Stateless; used by any number of threads. `node` is always one of its
// operator, checked by Operator::InferShape, with tensors of float32.
class OperatorGradient {
 public:
  OperatorGradient() = default;
  virtual ~OperatorGradient() = default;
  OperatorGradient(const OperatorGradient&) = delete;
  OperatorGradient& operator=(const OperatorGradient&) = delete;

  // Whether backward steps read the inputs and the output of the forward one,
  // which are then kept. Inputs of type int32 are always there.
  virtual bool NeedsInputs() const { return false; }
  virtual bool NeedsOutput() const { return false; }
  // Whether the weight is a parameter, and not a constant as rope's.
  virtual bool TrainsWeight() const { return true; }

  virtual size_t ScratchBytes(const Model& model, const Node& node,
                              const Execution& execution,
                              const BackwardCapacity& capacity) const;

  // Throws Error.
  virtual std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const = 0;
};

// nullptr for an operator of an app without one.
const OperatorGradient* FindGradient(OpType op);

// Gives an app's operator its gradient for the rest of the program, from any
// thread. Throws Error if it has one.
void RegisterGradient(OpType op,
                      std::unique_ptr<const OperatorGradient> gradient);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_OPERATOR_GRADIENT_H_
