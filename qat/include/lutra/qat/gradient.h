#ifndef LUTRA_QAT_GRADIENT_H_
#define LUTRA_QAT_GRADIENT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/kernels/span.h"
#include "lutra/qat/tensor.h"
#include "lutra/runtime/graph.h"

namespace lutra::qat {

// Runs a graph forward, keeps its values, and runs it backward: reverse-mode
// differentiation with one hand-written rule per operator (docs: Griewank and
// Walther, "Evaluating Derivatives", 2008).
//
// A value or parameter that several nodes use receives the sum of their
// gradients. Not thread-safe; allocates only when `m` exceeds that of all
// earlier calls. Results have the same bits for any number of threads.
class Backprop {
 public:
  // `parameters` must outlive this object; their values may change between
  // calls, their shapes may not. Runs on `executor` (nullptr: the calling
  // thread), which must also outlive it. Throws lutra::Error when a parameter
  // is missing or a shape does not fit.
  Backprop(const Graph& graph, const TensorMap& parameters, Executor* executor);

  // inputs[i]: float or int32 [m, shape of input i], in the graph's order; used
  // in place until the next Forward. Throws lutra::Error for an id that is out
  // of range or a wrong number of inputs.
  void Forward(size_t m, Span<const void* const> inputs);

  // [m, shape of output `index`], valid until the next Forward.
  Span<const float> Output(size_t index) const;
  // Values per token of an output.
  size_t OutputWidth(size_t index) const;

  // Propagates the gradients of some loss with respect to every output, laid
  // out as the outputs, back to all parameters. Call after Forward.
  void Backward(Span<const float* const> output_gradients);

  // Gradients of the last Backward by parameter name, for the parameters that
  // the graph uses; the addresses stay the same. All zero for a parameter that
  // no output depends on.
  const TensorMap& gradients() const { return gradients_; }

 private:
  struct Value {
    std::string name;
    ValueType type = ValueType::kFloat32;
    std::vector<int64_t> shape;
    size_t width = 1;             // elements per token
    bool differentiable = false;  // depends on a parameter
    const void* input = nullptr;  // of the caller, for inputs of the graph
    std::vector<float> data;      // [m, width] otherwise
    std::vector<float> gradient;  // [m, width] if differentiable
    bool has_gradient = false;    // during Backward: holds a contribution

    const float* Floats() const {
      return input != nullptr ? static_cast<const float*>(input) : data.data();
    }
  };
  struct ParameterGradient {
    const Tensor* tensor = nullptr;
    Tensor* gradient = nullptr;
    bool has_gradient = false;
  };
  struct Operation {
    OpType op = OpType::kLinear;
    std::vector<size_t> inputs;  // indices into values_
    size_t output = 0;
    ParameterGradient* weight = nullptr;
    ParameterGradient* bias = nullptr;
  };

  void AddNode(const Node& node);
  void InferShape(const Node& node, const Operation& operation, Value& output);
  ParameterGradient* UseParameter(const std::string& name);
  size_t FindValue(const std::string& name) const;
  void RunForward(const Operation& operation);
  void RunBackward(const Operation& operation);
  // Whether a contribution is to be added to what is there (else it is the
  // first and replaces it); marks the gradient as present.
  static bool Accumulate(bool& has_gradient);

  Executor* executor_;
  const TensorMap& parameters_;
  size_t m_ = 0;
  std::vector<Value> values_;
  std::vector<size_t> inputs_;
  std::vector<size_t> outputs_;
  std::vector<Operation> operations_;
  std::map<std::string, ParameterGradient, std::less<>> used_;
  TensorMap gradients_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRADIENT_H_
