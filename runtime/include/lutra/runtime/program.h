#ifndef LUTRA_RUNTIME_PROGRAM_H_
#define LUTRA_RUNTIME_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lutra/kernels/cache_type.h"
#include "lutra/kernels/executor.h"
#include "lutra/kernels/gemm.h"
#include "lutra/kernels/span.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/sequence.h"

namespace lutra {

using CacheType = kernels::CacheType;
// nullopt: what the model says.
using ActivationChoice = std::optional<kernels::ActivationType>;

struct ProgramOptions {
  // How packed weights take their activations, instead of what the model says:
  // its nodes' own way if they have one (the attribute `input_type`, which
  // rounds the inputs of float weights as well), or else int8: with a scale for
  // each group where the weight has groups of columns, else asymmetric, with a
  // scale for each token.
  ActivationChoice activations = std::nullopt;
  // Threads to run on. If `executor` is given it is used (and must outlive the
  // program) and `threads` is ignored; otherwise the program starts
  // threads of its own, as many as `lutra cpu` says for 0.
  Executor* executor = nullptr;
  size_t threads = 0;
  // The most tokens of a sequence; 0 means the model's own
  // `lutra.context_length`. A model with attention needs one of the two. More
  // than Model::context_length() is allowed, but past the length that a model
  // was trained for its outputs are often worth nothing: the log (log.h) has a
  // warning.
  size_t context = 0;
  // How keys and values are kept, instead of what the model says or, where it
  // says nothing, kFloat16. With that, keys and values beyond 65504 are an
  // error of Run.
  std::optional<CacheType> cache = std::nullopt;
};

// How a program of the model keeps keys and values with these options.
CacheType ChosenCache(const Model& model, const ProgramOptions& options);

// Bytes of memory by purpose.
struct MemoryReport {
  size_t weights = 0;  // of the model's tensors, mapped and shared by programs
  size_t arena = 0;    // values and scratch
  // Of a session's sequence: keys and values of the tokens so far, states of
  // recurrent nodes.
  size_t state = 0;
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

// A model ready to execute: its graph bound to weights, to an arena for as many
// rows as calls have, and to threads. A call runs rows of any number of
// sequences; a session (session.h) is a program with one of them.
//
// In a model with a stateful node (see IsStateful) the rows of a sequence are
// the tokens that follow those of the calls before. In other models rows are
// independent, and sequences only count them.
//
// The outputs of a row depend on the tokens of its sequence and nothing else:
// if all weights are packed, not a bit of them changes with what else is in the
// call, with how a sequence is cut into calls, with forks, truncation, saving
// and restoring, or with the number of threads.
//
// One thread at a time, Cancel excepted; many programs may share a model.
class Program {
 public:
  // Throws Error.
  Program(std::shared_ptr<const Model> model, const ProgramOptions& options);
  ~Program();
  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;

  const Model& model() const;
  size_t threads() const;
  // The most tokens a sequence may have; 0 if there is no limit.
  size_t context() const;

  // An empty sequence.
  Sequence NewSequence() const;
  // One that Sequence::Save has written. The bytes are checked like any file.
  // Throws Error if they are damaged or of another model, or if they hold more
  // tokens than the context.
  Sequence Restore(Span<const std::byte> saved) const;
  // Bytes of a sequence of `tokens` tokens. Throws Error if that overflows.
  size_t SequenceBytes(size_t tokens) const;

  // Plans all memory for calls of up to `rows` rows, of which `outputs` have
  // outputs that are wanted: all of them for Run, one for each sequence for
  // RunLast. What was reserved before stays. Throws Error (0 rows, or more
  // memory than the machine gives).
  void Reserve(size_t rows, size_t outputs);

  // The next `count` rows of a sequence.
  struct Rows {
    Sequence* sequence = nullptr;
    size_t count = 0;
  };

  // Runs the rows of `calls`, one sequence after the other, each sequence once.
  // inputs[i] points to float or int32 [all rows, shape of input i], outputs[i]
  // to float [all rows, shape of output i]; both in the model's order. Reserves
  // what has not been reserved; allocates else nothing but pages of sequences.
  // Throws Error for wrong counts, for ids out of range, for keys and values
  // that a float16 cache cannot hold, and where tokens would run past
  // context(); all sequences are then as before the call.
  void Run(Span<const Rows> calls, Span<const void* const> inputs,
           Span<float* const> outputs);
  // The same, but outputs[i] is [sequences, shape of output i], those of the
  // last row of each, and what only the outputs need is computed for these rows
  // alone.
  void RunLast(Span<const Rows> calls, Span<const void* const> inputs,
               Span<float* const> outputs);

  // Makes the call that is in progress, or else the next one, throw Cancelled:
  // before its next node, and within nodes that can take long (but not within
  // one product with packed weights). From any thread.
  void Cancel() noexcept;

  // Bytes of the arena, with scratch.
  size_t ArenaBytes() const;
  // `state` is 0.
  MemoryReport Memory() const;

  // Off at first. Turning it on forgets what was recorded.
  void EnableProfiling(bool on);
  // One entry for each node of the graph, in its order.
  std::vector<NodeProfile> Profile() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_PROGRAM_H_
