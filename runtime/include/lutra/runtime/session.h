#ifndef LUTRA_RUNTIME_SESSION_H_
#define LUTRA_RUNTIME_SESSION_H_

#include <pthreadpool.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "lutra/kernels/gemm.h"
#include "lutra/runtime/model.h"

namespace lutra {

struct SessionOptions {
  // How packed linear nodes take their activations.
  kernels::ActivationType activations =
      kernels::ActivationType::kInt8Asymmetric;
  // Threads to run on. If `pool` is given it is used (and must outlive the
  // session) and `threads` is ignored; otherwise the session makes its own
  // pool of `threads`, where 0 means one per core that cpuinfo reports.
  pthreadpool_t pool = nullptr;
  size_t threads = 0;
};

// Executes a model. One session is used by one thread at a time; many sessions
// may share a model.
class Session {
 public:
  // Throws Error.
  Session(std::shared_ptr<const Model> model, const SessionOptions& options);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  const Model& model() const;
  size_t threads() const;

  // Plans all memory for calls with `m` tokens. Plans of earlier sizes are
  // kept; each has its own arena and, with XNNPACK, its own rearranged copy of
  // the float weights of linear nodes (packed weights are never copied), so use
  // few different sizes. Throws Error (0 tokens, or more memory than the
  // machine gives).
  void Prepare(size_t m);

  // Bytes of the activation arena (with scratch) for the largest prepared m.
  size_t ArenaBytes() const;

  // Runs `m` tokens. inputs[i] points to float or int32 [m, shape of input i],
  // outputs[i] to float [m, shape of output i]; both in the model's order.
  // Prepares `m` if that has not been done; otherwise allocates nothing.
  // Throws Error for wrong counts and for ids out of range.
  void Run(size_t m, std::span<const void* const> inputs,
           std::span<float* const> outputs);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_SESSION_H_
