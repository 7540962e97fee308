#ifndef LUTRA_RUNTIME_SESSION_H_
#define LUTRA_RUNTIME_SESSION_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/program.h"

namespace lutra {

// A program with one sequence, what most apps need. One thread at a time,
// Cancel excepted; many sessions may share a model.
class Session {
 public:
  // Throws Error.
  Session(std::shared_ptr<const Model> model, const ProgramOptions& options);

  const Model& model() const { return program_.model(); }
  size_t threads() const { return program_.threads(); }
  Program& program() { return program_; }
  const Program& program() const { return program_; }
  // To fork and save it, or to go on with another one.
  Sequence& sequence() { return sequence_; }
  const Sequence& sequence() const { return sequence_; }

  // Tokens fed since the session was made or Reset.
  size_t position() const { return sequence_.position(); }
  // The most tokens a sequence may have; 0 if there is no limit.
  size_t context() const { return program_.context(); }
  // Begins a new sequence.
  void Reset() { sequence_.Truncate(0); }
  // See Sequence::Truncate.
  void Rewind(size_t position) { sequence_.Truncate(position); }

  // Plans all memory for calls of Run, or of RunLast, with up to `m` rows, and
  // for as many more tokens of the sequence, if the context has room for them.
  // Throws Error (0 rows, or more memory than the machine gives).
  void Prepare(size_t m);
  void PrepareLast(size_t m);

  // Bytes of the arena, with scratch.
  size_t ArenaBytes() const { return program_.ArenaBytes(); }
  MemoryReport Memory() const;

  // Runs the next `m` rows of the sequence, see Program::Run and RunLast:
  // inputs[i] is [m, shape of input i], outputs[i] [m, shape of output i], or
  // [shape of output i] with RunLast.
  void Run(size_t m, Span<const void* const> inputs,
           Span<float* const> outputs);
  void RunLast(size_t m, Span<const void* const> inputs,
               Span<float* const> outputs);

  // See Program.
  void Cancel() noexcept { program_.Cancel(); }
  void EnableProfiling(bool on) { program_.EnableProfiling(on); }
  std::vector<NodeProfile> Profile() const { return program_.Profile(); }

 private:
  void PrepareTokens(size_t m);

  Program program_;
  Sequence sequence_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_SESSION_H_
