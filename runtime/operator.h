#ifndef LUTRA_RUNTIME_OPERATOR_H_
#define LUTRA_RUNTIME_OPERATOR_H_

#include <pthreadpool.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "lutra/kernels/gemm.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/graph.h"
#include "lutra/runtime/model.h"

// What the model and the session know of an operator. To add one: its name and
// counts in graph.cc, one file with an Operator, one line in operators.cc.

namespace lutra {

// A node bound to a number of tokens, to addresses and to a thread pool.
class Step {
 public:
  virtual ~Step() = default;
  // Allocates nothing. Throws Error for input values that cannot be (ids).
  virtual void Run() = 0;
};

// How a session executes packed weights, and where.
struct Execution {
  kernels::ActivationType activations =
      kernels::ActivationType::kInt8Asymmetric;
  pthreadpool_t pool = nullptr;  // nullptr: the calling thread

  size_t Threads() const {
    return pool == nullptr ? 1 : pthreadpool_get_threads_count(pool);
  }
};

// Memory of a step. All pointers are aligned to 64 bytes, stay valid as long as
// the step, and have DenseTailBytes() readable bytes after their end.
struct Binding {
  size_t m = 0;                     // tokens
  std::vector<const void*> inputs;  // [m, shape of input i]
  float* output = nullptr;          // [m, shape of the output]
  void* scratch = nullptr;          // ScratchBytes()
};

// Operators are stateless; `node` is always of the operator's type.
class Operator {
 public:
  virtual ~Operator() = default;

  // Checks the node's inputs and tensors against each other and returns the
  // shape of its output (always float32). Called while `model` is being loaded:
  // its file, graph and packed tensors are there, its values are not. Throws
  // Error.
  virtual std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      std::span<const ValueInfo* const> inputs) const = 0;

  virtual size_t ScratchBytes(const Model& model, const Node& node,
                              const Execution& execution, size_t m) const;

  // Throws Error.
  virtual std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                                     const Execution& execution,
                                     const Binding& binding) const = 0;
};

const Operator& GetOperator(OpType op);

// "file: graph: linear node 'h0': cause".
Error NodeError(const Model& model, const Node& node, std::string_view cause);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPERATOR_H_
