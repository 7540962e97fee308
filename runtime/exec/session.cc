#include "lutra/runtime/session.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <utility>

#include "kernels/base/checked_math.h"
#include "lutra/kernels/variants.h"
#include "lutra/runtime/error.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/base/thread_count.h"
#include "runtime/exec/plan.h"
#include "runtime/ops/dense.h"
#include "runtime/ops/operator.h"
#include "runtime/ops/rope_angles.h"

namespace lutra {
namespace {

// More is a mistake, and pthreadpool would try.
constexpr size_t kMaxThreads = 1024;

struct DestroyPool {
  void operator()(pthreadpool_t pool) const { pthreadpool_destroy(pool); }
};
using Pool = std::unique_ptr<pthreadpool, DestroyPool>;

}  // namespace

class Session::Impl {
 public:
  Impl(std::shared_ptr<const Model> model, const SessionOptions& options)
      : model_(std::move(model)) {
    if (model_ == nullptr) throw Error("session: no model given");
    execution_.activations = options.activations;
    execution_.cache = options.cache;
    execution_.context =
        options.context == 0 ? model_->context_length() : options.context;
    execution_.sequence = &sequence_;
    execution_.shared = &shared_;
    execution_.cancelled = &cancelled_;
    execution_.pool = options.pool;
    if (options.pool == nullptr) StartThreads(options.threads);
    kernels::ActiveVariant();  // the first look at the CPU allocates
    NameContext([this] { AllocateState(); });
  }

  const Model& model() const { return *model_; }
  size_t threads() const { return execution_.Threads(); }
  size_t position() const { return sequence_.position; }
  size_t context() const { return sequential_ ? execution_.context : 0; }

  void Rewind(size_t position) {
    if (position > sequence_.position) {
      throw Error::InFile(model_->path(),
                          std::string("cannot go back to position ") +
                              std::to_string(position) + " of a sequence of " +
                              std::to_string(sequence_.position) + " tokens");
    }
    if (position != 0 && position != sequence_.position) {
      for (const Node& node : model_->graph().nodes) {
        if (node.op != OpType::kLstmCell) continue;
        throw Error::InFile(
            model_->path(),
            "the model has lstm_cell nodes, whose state cannot go back");
      }
    }
    sequence_.position = position;
  }

  Plan& Prepare(Plan::Size size) {
    if (size.m == 1) size.last = false;  // the same
    const auto found = plans_.find(size);
    if (found != plans_.end()) return found->second;
    if (size.m == 0) throw Error("session: a call needs at least one token");
    return NameContext([&]() -> Plan& {
      return plans_.try_emplace(size, *model_, execution_, states_, size)
          .first->second;
    });
  }

  size_t ArenaBytes() const {
    return plans_.empty() ? 0 : plans_.rbegin()->second.arena_bytes();
  }

  MemoryReport Memory() const {
    MemoryReport report;
    for (const TensorView& tensor : model_->file().tensors()) {
      report.weights += tensor.data.size();
    }
    for (const auto& [size, plan] : plans_) report.arena += plan.arena_bytes();
    report.state = state_bytes_;
    for (const auto& [name, matrix] : shared_.dense) {
      report.dense += matrix->copy_bytes();
    }
    return report;
  }

  void Run(Plan::Size size, Span<const void* const> inputs,
           Span<float* const> outputs) {
    CheckCount(inputs.size(), model_->inputs().size(), "inputs");
    CheckCount(outputs.size(), model_->outputs().size(), "outputs");
    if (context() != 0 && size.m > context() - sequence_.position) {
      throw Error::InFile(model_->path(),
                          std::to_string(size.m) + " tokens after " +
                              std::to_string(sequence_.position) +
                              " run past the context of " +
                              std::to_string(context()));
    }
    Plan& plan = Prepare(size);
    try {
      plan.Run(execution_, inputs, outputs, profiles_);
    } catch (const Cancelled&) {
      cancelled_ = false;
      throw;
    }
    sequence_.position += size.m;
    sequence_.calls += 1;
  }

  void Cancel() noexcept { cancelled_ = true; }

  void EnableProfiling(bool on) {
    if (!on && !profiling_) return;
    profiling_ = on;
    if (!on) {
      recorded_ = std::move(profiles_);
      profiles_.clear();
      return;
    }
    profiles_.clear();
    for (const Node& node : model_->graph().nodes) {
      profiles_.push_back({.name = node.output, .op = node.op});
    }
  }

  std::vector<NodeProfile> Profile() const {
    return profiling_ ? profiles_ : recorded_;
  }

 private:
  void StartThreads(size_t wanted) {
    const size_t threads = wanted == 0 ? DefaultThreadCount() : wanted;
    if (threads > kMaxThreads) {
      throw Error(std::string("session: ") + std::to_string(threads) +
                  " threads are more than the limit of " +
                  std::to_string(kMaxThreads));
    }
    if (threads == 1) return;  // the calling thread
    own_pool_.reset(pthreadpool_create(threads));
    if (!own_pool_) throw Error("session: cannot start threads");
    execution_.pool = own_pool_.get();
  }

  void AllocateState() {
    const Graph& graph = model_->graph();
    std::vector<size_t> sizes;
    for (const Node& node : graph.nodes) {
      const Operator& op = GetOperator(node.op);
      sequential_ |= op.IsSequential();
      sizes.push_back(op.StateBytes(*model_, node, execution_));
      const auto sum = CheckedAdd(state_bytes_, sizes.back());
      if (!sum) throw OutOfMemory("the state of the model overflows memory");
      state_bytes_ = *sum;
    }
    for (const size_t bytes : sizes) {
      state_memory_.push_back(AllocateAligned(bytes, "a state"));
      states_.push_back(state_memory_.back().get());
    }
  }

  // Memory that is missing is most often the context's.
  template <typename Allocate>
  auto NameContext(const Allocate& allocate) const -> decltype(allocate()) {
    try {
      return allocate();
    } catch (const OutOfMemory& error) {
      if (context() == 0) throw;
      throw OutOfMemory(Error::InFile(
          model_->path(), std::string(error.what()) + ", with a context of " +
                              std::to_string(context()) +
                              " tokens (the option 'context')"));
    }
  }

  void CheckCount(size_t given, size_t expected, const char* what) const {
    if (given != expected) {
      throw Error::InFile(model_->path(), std::to_string(given) + " " + what +
                                              " given, but the model has " +
                                              std::to_string(expected));
    }
  }

  std::shared_ptr<const Model> model_;
  Pool own_pool_;
  Execution execution_;
  bool sequential_ = false;
  Sequence sequence_;
  std::vector<AlignedMemory> state_memory_;  // of each node
  std::vector<void*> states_;
  size_t state_bytes_ = 0;
  SharedData shared_;
  std::map<Plan::Size, Plan> plans_;  // destroyed before the pool
  std::atomic<bool> cancelled_ = false;
  bool profiling_ = false;
  std::vector<NodeProfile> profiles_;  // empty if profiling is off
  std::vector<NodeProfile> recorded_;  // when it was turned off
};

Session::Session(std::shared_ptr<const Model> model,
                 const SessionOptions& options)
    : impl_(std::make_unique<Impl>(std::move(model), options)) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

const Model& Session::model() const { return impl_->model(); }
size_t Session::threads() const { return impl_->threads(); }
size_t Session::position() const { return impl_->position(); }
size_t Session::context() const { return impl_->context(); }
void Session::Reset() { impl_->Rewind(0); }
void Session::Rewind(size_t position) { impl_->Rewind(position); }

void Session::Prepare(size_t m) { impl_->Prepare({m, false}); }
void Session::PrepareLast(size_t m) { impl_->Prepare({m, true}); }
size_t Session::ArenaBytes() const { return impl_->ArenaBytes(); }
MemoryReport Session::Memory() const { return impl_->Memory(); }

void Session::Run(size_t m, Span<const void* const> inputs,
                  Span<float* const> outputs) {
  impl_->Run({m, false}, inputs, outputs);
}

void Session::RunLast(size_t m, Span<const void* const> inputs,
                      Span<float* const> outputs) {
  impl_->Run({m, true}, inputs, outputs);
}

void Session::Cancel() noexcept { impl_->Cancel(); }
void Session::EnableProfiling(bool on) { impl_->EnableProfiling(on); }
std::vector<NodeProfile> Session::Profile() const { return impl_->Profile(); }

}  // namespace lutra
