#ifndef LUTRA_RUNTIME_OPS_OPERATOR_H_
#define LUTRA_RUNTIME_OPS_OPERATOR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/cache_type.h"
#include "lutra/kernels/executor.h"
#include "lutra/kernels/gemm.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/graph.h"
#include "lutra/runtime/model.h"

// What the model and the program know of an operator. To add one: its row in
// op_table.cc, one file with an Operator, one line in operators.cc.

namespace lutra {

class RopeAngles;

// How much a run of a step read and computed, for profiles.
struct StepCost {
  uint64_t bytes = 0;
  uint64_t multiply_adds = 0;
};

// The rows of a call that belong to one sequence: `count` from row `first` on.
// They follow the `position` tokens of the calls before.
struct SequenceRows {
  size_t first = 0;
  size_t count = 0;
  size_t position = 0;
  // Memory of all tokens, in pages of kernels::kCachePageTokens tokens: keys
  // and values. Written at [position, position + count) only.
  std::byte* const* pages = nullptr;
  // The state after `position` tokens, which means nothing if there are none,
  // and where the one after the call is put; so a call that fails changes
  // nothing.
  const std::byte* old_state = nullptr;
  std::byte* new_state = nullptr;
};

// The sequence of a row, and its place there.
struct RowPlace {
  const SequenceRows* sequence = nullptr;
  size_t position = 0;
};

struct Call {
  uint64_t id = 0;  // another one for every call
  std::span<const RowPlace> rows;
  std::span<const SequenceRows> sequences;  // in the order of their rows
};

// A node bound to addresses and to a thread executor.
class Step {
 public:
  virtual ~Step() = default;
  // Computes the first `m` rows, which are those of the call unless nothing
  // about the operator is sequential. Allocates nothing. Throws Error for input
  // values that cannot be (ids; keys and values that the cache cannot hold),
  // and where it may take long, Cancelled: then its output is worth nothing.
  virtual void Run(size_t m, const Call& call) = 0;
  virtual StepCost Cost(size_t /*m*/, const Call& /*call*/) const { return {}; }
};

// What the steps of a program share, by tensor name.
struct SharedData {
  std::map<std::string, std::shared_ptr<RopeAngles>, std::less<>> rope;
};

// How a program executes nodes, and where.
struct Execution {
  kernels::ActivationType activations =
      kernels::ActivationType::kInt8Asymmetric;
  Executor* executor = nullptr;  // nullptr: the calling thread
  size_t context = 0;            // tokens of a sequence; 0: no limit
  kernels::CacheType cache = kernels::CacheType::kFloat16;
  SharedData* shared = nullptr;
  const std::atomic<bool>* cancelled = nullptr;

  size_t Threads() const {
    return executor == nullptr ? 1 : executor->threads();
  }
  // Throws Cancelled if the call is. From any thread.
  void CheckCancelled() const {
    if (cancelled->load(std::memory_order_relaxed)) {
      throw Cancelled("the call was cancelled");
    }
  }
};

// Memory of a step. All pointers stay valid as long as the step. Those that are
// written are aligned to 64 bytes; inputs to their type.
struct Binding {
  size_t m = 0;                     // the most rows of a call
  std::vector<const void*> inputs;  // [m, shape of input i]
  float* output = nullptr;          // [m, shape of the output]
  void* scratch = nullptr;          // ScratchBytes()
  // Where the node's memory begins in each page and in each state of a
  // sequence, multiples of 64.
  size_t page_offset = 0;
  size_t state_offset = 0;
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

  // Memory that a sequence keeps for the node from call to call: for each
  // kernels::kCachePageTokens tokens, and once. Throws Error.
  virtual size_t PageBytes(const Model& model, const Node& node,
                           const Execution& execution) const;
  virtual size_t StateBytes(const Model& model, const Node& node) const;

  // For calls of up to `m` rows.
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
