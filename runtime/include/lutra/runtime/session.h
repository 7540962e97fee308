#ifndef LUTRA_RUNTIME_SESSION_H_
#define LUTRA_RUNTIME_SESSION_H_

#include <pthreadpool.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lutra/kernels/cache_type.h"
#include "lutra/kernels/gemm.h"
#include "lutra/kernels/span.h"
#include "lutra/runtime/model.h"

namespace lutra {

using CacheType = kernels::CacheType;

struct SessionOptions {
  // How packed weights take their activations.
  kernels::ActivationType activations =
      kernels::ActivationType::kInt8Asymmetric;
  // Threads to run on. If `pool` is given it is used (and must outlive the
  // session) and `threads` is ignored; otherwise the session makes its own
  // pool of `threads`, where 0 means one per core that cpuinfo reports.
  pthreadpool_t pool = nullptr;
  size_t threads = 0;
  // Tokens that the state of the session holds; 0 means the model's own
  // `lutra.context_length`. A model with attention needs one of the two.
  size_t context = 0;
  // With kFloat16, keys and values beyond 65504 are an error of Run.
  CacheType cache = CacheType::kFloat16;
};

// Bytes of memory by purpose.
struct MemoryReport {
  size_t weights = 0;  // of the model's tensors, mapped and shared by sessions
  size_t arena = 0;    // values and scratch, of all prepared sizes
  // Keys and values of attention, states of recurrent nodes. The pages of a
  // cache are taken from the machine as tokens are fed.
  size_t state = 0;
  size_t dense = 0;  // rearranged or converted copies of float weights
};

// What a node of the graph has done while profiling was on. Linear nodes with
// packed weights and the same input are computed together, and with each the
// activation function that alone uses its output: the first of them has the
// cost of all, and the others have no calls.
struct NodeProfile {
  std::string name;  // the node's output
  OpType op = OpType::kLinear;
  uint64_t calls = 0;
  uint64_t nanoseconds = 0;
  uint64_t bytes = 0;  // of weights and state read
  uint64_t multiply_adds = 0;
};

// Executes a model. One session is used by one thread at a time (Cancel
// excepted); many sessions may share a model.
//
// In a model with a stateful node (see IsStateful) a session is one sequence:
// the rows of a call are the tokens that follow those of the calls before. In
// other models the rows are independent, and only position() counts them.
class Session {
 public:
  // Throws Error.
  Session(std::shared_ptr<const Model> model, const SessionOptions& options);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  const Model& model() const;
  size_t threads() const;

  // Tokens fed since the session was made or Reset.
  size_t position() const;
  // The most tokens a sequence may have; 0 if there is no limit.
  size_t context() const;
  // Begins a new sequence.
  void Reset();
  // Forgets the tokens from `position` on, so that others may follow the first
  // `position` ones. Throws Error if there are fewer, or if the model has
  // recurrent nodes (lstm_cell), which cannot go back.
  void Rewind(size_t position);

  // Plans all memory for calls of Run, or of RunLast, with `m` tokens. Plans of
  // earlier sizes are kept; each has its own arena, so use few different sizes.
  // Throws Error (0 tokens, or more memory than the machine gives).
  void Prepare(size_t m);
  void PrepareLast(size_t m);

  // Bytes of the activation arena (with scratch) for the largest prepared m.
  size_t ArenaBytes() const;
  MemoryReport Memory() const;

  // Runs `m` tokens. inputs[i] points to float or int32 [m, shape of input i],
  // outputs[i] to float [m, shape of output i]; both in the model's order.
  // Prepares `m` if that has not been done; otherwise allocates nothing.
  // Throws Error for wrong counts, for ids out of range, for keys and values
  // that a float16 cache cannot hold, and where the tokens would run past
  // context(); the sequence is then as before the call.
  void Run(size_t m, Span<const void* const> inputs,
           Span<float* const> outputs);
  // The same, but outputs[i] is [shape of output i], that of the last token
  // only, and what only the outputs need is computed for that token alone.
  void RunLast(size_t m, Span<const void* const> inputs,
               Span<float* const> outputs);

  // Makes the call of Run that is in progress, or else the next one, throw
  // Cancelled before its next node. From any thread.
  void Cancel() noexcept;

  // Off at first. Turning it on forgets what was recorded.
  void EnableProfiling(bool on);
  // One entry for each node of the graph, in its order.
  std::vector<NodeProfile> Profile() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_SESSION_H_
