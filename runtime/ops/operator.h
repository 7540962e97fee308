#ifndef LUTRA_RUNTIME_OPS_OPERATOR_H_
#define LUTRA_RUNTIME_OPS_OPERATOR_H_

#include <pthreadpool.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/cache_type.h"
#include "lutra/kernels/gemm.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/graph.h"
#include "lutra/runtime/model.h"

// What the model and the session know of an operator. To add one: its row in
// op_table.cc, one file with an Operator, one line in operators.cc.

namespace lutra {

class DenseMatrix;
class RopeAngles;

// How much a run of a step read and computed, for profiles.
struct StepCost {
  uint64_t bytes = 0;
  uint64_t multiply_adds = 0;
};

// A node bound to a number of tokens, to addresses and to a thread pool.
class Step {
 public:
  virtual ~Step() = default;
  // Allocates nothing. Throws Error for input values that cannot be: ids, and
  // keys and values that the cache cannot hold.
  virtual void Run() = 0;
  // Of the next run.
  virtual StepCost Cost() const { return {}; }
};

// Where a session is in its sequence. Changes between calls.
struct Sequence {
  size_t position = 0;  // tokens of the calls before
  size_t calls = 0;     // calls that came to their end
};

// What the steps of a session share, by tensor name.
struct SharedData {
  std::map<std::string, std::shared_ptr<DenseMatrix>, std::less<>> dense;
  std::map<std::string, std::shared_ptr<RopeAngles>, std::less<>> rope;
};

// How a session executes nodes, and where.
struct Execution {
  kernels::ActivationType activations =
      kernels::ActivationType::kInt8Asymmetric;
  pthreadpool_t pool = nullptr;  // nullptr: the calling thread
  size_t context = 0;            // tokens of a sequence; 0: no limit
  kernels::CacheType cache = kernels::CacheType::kFloat16;
  const Sequence* sequence = nullptr;
  SharedData* shared = nullptr;

  size_t Threads() const {
    return pool == nullptr ? 1 : pthreadpool_get_threads_count(pool);
  }
};

// Memory of a step. All pointers stay valid as long as the step, and have
// DenseTailBytes() readable bytes after their end. Those that are written, and
// the state, are aligned to 64 bytes; inputs to their type.
struct Binding {
  size_t m = 0;                     // tokens
  std::vector<const void*> inputs;  // [m, shape of input i]
  float* output = nullptr;          // [m, shape of the output]
  void* scratch = nullptr;          // ScratchBytes()
  void* state = nullptr;            // StateBytes()
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

  // Whether a row depends on the place of its token in the sequence.
  virtual bool IsSequential() const { return false; }

  // Memory that a session keeps for the node from call to call. It is not
  // cleared: what it holds at position 0 means nothing. Throws Error.
  virtual size_t StateBytes(const Model& model, const Node& node,
                            const Execution& execution) const;

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

// Throws NodeError unless the input is float32 and, where `rank` is given, has
// that many dimensions.
inline constexpr size_t kAnyRank = SIZE_MAX;
void CheckFloatInput(const Model& model, const Node& node,
                     const ValueInfo& input, size_t rank = kAnyRank);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_OPERATOR_H_
