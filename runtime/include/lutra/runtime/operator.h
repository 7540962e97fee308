#ifndef LUTRA_RUNTIME_OPERATOR_H_
#define LUTRA_RUNTIME_OPERATOR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/kernels/cache_type.h"
#include "lutra/kernels/executor.h"
#include "lutra/kernels/gemm.h"
#include "lutra/kernels/span.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/graph.h"
#include "lutra/runtime/model.h"

// All that readers of graphs, models and programs know of an operator is its
// definition, an Operator. Those of lutra are in runtime/ops/; an app adds its
// own by RegisterOperator, and model files then use them by their names.

namespace lutra {

struct SharedData;

// ---- What a node may say ----

enum class TensorUse { kNone, kOptional, kRequired };

enum class AttributeKind {
  kNumber,  // a number
  kCount,   // a whole number
  kWord,    // one of the words in `words`, separated by spaces
  kText,    // what `accepts` returns true for; `words` says what that is
  kList,    // `length` whole numbers; 0 is any number of them up to 8
};

struct AttributeSchema {
  std::string name;
  AttributeKind kind = AttributeKind::kNumber;
  bool required = true;
  // Of numbers and of each element of a list; lists and counts up to 2^53.
  double low = 0;
  double high = 0;
  double otherwise = 0;  // the value, or each element, if it is not given
  size_t length = 0;
  std::string words = {};
  bool (*accepts)(std::string_view text) = nullptr;
};

// What the output of a row depends on.
enum class RowContext {
  kNone,      // on the inputs of the row alone
  kPosition,  // and on the place of its token in the sequence
  kState,     // and on the tokens before it, which the operator remembers
  kCall,      // and on the other rows of the call, of whatever sequence
};

struct OperatorSchema {
  std::string name;
  size_t inputs = 1;
  TensorUse weight = TensorUse::kNone;
  TensorUse bias = TensorUse::kNone;
  // Whether the weight is a matrix [N, K] that may be packed.
  bool packable = false;
  RowContext context = RowContext::kNone;
  std::vector<AttributeSchema> attributes = {};
  // A function of one input that a product may apply to its outputs instead,
  // with the same bits; and whether the operator is the sum of two inputs, one
  // of which may be that of a product.
  kernels::Fusion fusion = kernels::Fusion::kNone;
  bool is_sum = false;
};

// ---- What a node does ----

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
  Span<const RowPlace> rows;
  Span<const SequenceRows> sequences;  // in the order of their rows
};

// A node bound to addresses and to threads.
class Step {
 public:
  virtual ~Step() = default;
  // Computes the first `m` rows, which are those of the call unless the
  // operator's RowContext is kNone. Allocates nothing. Throws Error for input
  // values that cannot be (ids; keys and values that the cache cannot hold),
  // and where it may take long, Cancelled: then its output is worth nothing.
  virtual void Run(size_t m, const Call& call) = 0;
  virtual StepCost Cost(size_t /*m*/, const Call& /*call*/) const { return {}; }
};

// How a program executes nodes, and where.
struct Execution {
  // See ProgramOptions.
  std::optional<kernels::ActivationType> activations = std::nullopt;
  Executor* executor = nullptr;  // nullptr: the calling thread
  size_t context = 0;            // tokens of a sequence; 0: no limit
  kernels::CacheType cache = kernels::CacheType::kFloat16;
  SharedData* shared = nullptr;  // lutra's own
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

// One of the nodes that a step computes together, and what it takes along.
struct FusedNode {
  const Node* node = nullptr;
  // The function that alone uses the node's output, and what the sum that alone
  // uses that adds.
  kernels::Fusion fusion = kernels::Fusion::kNone;
  const float* residual = nullptr;  // or nullptr
  float* output = nullptr;          // of the last of them
};

// The definition of an operator. Stateless; used by any number of threads.
// `node` is always one of this operator.
class Operator {
 public:
  explicit Operator(OperatorSchema schema) : schema_(std::move(schema)) {}
  virtual ~Operator() = default;
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  const OperatorSchema& schema() const { return schema_; }

  // Checks the node's inputs and tensors against each other and returns the
  // shape of its output (always float32). Called while `model` is being loaded:
  // its file, graph and packed tensors are there, its values are not. Throws
  // Error.
  virtual std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const = 0;

  // Memory that a sequence keeps for the node from call to call: for each
  // kernels::kCachePageTokens tokens, and once. Only where the schema's context
  // is kState. Throws Error.
  virtual size_t PageBytes(const Model& model, const Node& node,
                           const Execution& execution) const;
  virtual size_t StateBytes(const Model& model, const Node& node) const;
  // What the memory for tokens holds, in words: nodes of the operator with the
  // same words and as many bytes share it. Empty: the node's own.
  virtual std::string PageContent(const Node& node) const;

  // For calls of up to `m` rows.
  virtual size_t ScratchBytes(const Model& model, const Node& node,
                              const Execution& execution, size_t m) const;

  // Throws Error.
  virtual std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                                     const Execution& execution,
                                     const Binding& binding) const = 0;

  // Whether one step may compute this node together with others that fuse and
  // have the same input (up to kernels::kMaxGemmProducts), and with the
  // functions and sums that follow. Such nodes are bound by the two functions
  // below even where they are alone.
  virtual bool Fuses(const Model& model, const Node& node) const;
  // Whether two nodes that fuse, of the operator and with the same input, may
  // share a step.
  virtual bool FusesWith(const Model& model, const Node& node,
                         const Node& other) const;
  virtual size_t FusedScratchBytes(const Model& model,
                                   Span<const FusedNode> nodes,
                                   const Execution& execution, size_t m) const;
  // Of `binding`, the output is not looked at.
  virtual std::unique_ptr<Step> BindFused(const Model& model,
                                          Span<const FusedNode> nodes,
                                          const Execution& execution,
                                          const Binding& binding) const;

 private:
  OperatorSchema schema_;
};

// "file: graph: linear node 'h0': cause".
Error NodeError(const Model& model, const Node& node, std::string_view cause,
                ErrorCode code = ErrorCode::kDamaged);

// ---- The registry ----

// Throws Error for a number that stands for no operator, or for one that the
// build leaves out (LUTRA_OPERATORS of CMake).
const Operator& GetOperator(OpType op);
// Nothing for names that this version of lutra, or the app, does not know.
std::optional<OpType> FindOperator(std::string_view name);
// lutra's of this build, then those of the app in the order of their
// registration.
std::vector<OpType> AllOperators();

// Adds an operator of the app's own for the rest of the program, from any
// thread; models that use it are loaded afterwards. Its name has two parts,
// letters, digits and underscores with a point between ("acme.swish"), so that
// it never collides with one of lutra's. Throws Error if it has not, or if the
// name is taken.
OpType RegisterOperator(std::unique_ptr<const Operator> definition);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPERATOR_H_
