#include "lutra/runtime/session.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/checked_math.h"
#include "runtime/dense.h"
#include "runtime/memory_plan.h"
#include "runtime/operator.h"
#include "runtime/out_of_memory.h"
#include "runtime/thread_count.h"

namespace lutra {
namespace {

// More is a mistake, and pthreadpool would try.
constexpr size_t kMaxThreads = 1024;

// float32 and int32 alike.
constexpr size_t kElementBytes = 4;

struct FreeMemory {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Arena = std::unique_ptr<std::byte, FreeMemory>;

struct DestroyPool {
  void operator()(pthreadpool_t pool) const { pthreadpool_destroy(pool); }
};
using Pool = std::unique_ptr<pthreadpool, DestroyPool>;

Arena AllocateArena(size_t bytes) {
  Arena arena(
      static_cast<std::byte*>(std::aligned_alloc(kArenaAlignment, bytes)));
  if (!arena) {
    throw OutOfMemory("no memory for an arena of " + std::to_string(bytes) +
                      " bytes");
  }
  return arena;
}

size_t ValueBytes(const ValueInfo& value, size_t m) {
  const auto elements = CheckedMultiply(m, value.ElementCount());
  const auto bytes =
      elements ? CheckedMultiply(*elements, kElementBytes) : std::nullopt;
  const auto padded =
      bytes ? CheckedAdd(*bytes, DenseTailBytes()) : std::nullopt;
  if (!padded) {
    throw OutOfMemory(std::to_string(m) + " tokens of value '" + value.name +
                      "' overflow memory");
  }
  return *padded;
}

// Everything needed to run a number of tokens: the arena and the steps bound
// to it.
class Plan {
 public:
  Plan(const Model& model, const Execution& execution, size_t m) {
    PlaceBlocks(model, execution, m);
    arena_ = AllocateArena(memory_.bytes);
    const Graph& graph = model.graph();
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const Node& node = graph.nodes[i];
      Binding binding;
      binding.m = m;
      for (const std::string& input : node.inputs) {
        binding.inputs.push_back(Address(values_.at(input)));
      }
      binding.output =
          reinterpret_cast<float*>(Address(values_.at(node.output)));
      binding.scratch = Address(scratch_[i]);
      steps_.push_back(
          GetOperator(node.op).Bind(model, node, execution, binding));
    }
    for (const ValueInfo& input : model.inputs()) {
      inputs_.push_back(Port(input, m));
    }
    for (const ValueInfo& output : model.outputs()) {
      outputs_.push_back(Port(output, m));
    }
  }

  size_t arena_bytes() const { return memory_.bytes; }

  void Run(std::span<const void* const> inputs,
           std::span<float* const> outputs) {
    // Steps are bound to the arena, because XNNPACK binds addresses when it
    // plans and reads past the end of its inputs.
    for (size_t i = 0; i < inputs.size(); ++i) {
      std::memcpy(inputs_[i].first, inputs[i], inputs_[i].second);
    }
    for (const auto& step : steps_) step->Run();
    for (size_t i = 0; i < outputs.size(); ++i) {
      std::memcpy(outputs[i], outputs_[i].first, outputs_[i].second);
    }
  }

 private:
  // Steps are numbered from 1; 0 is the copying of the inputs, and the last
  // one that of the outputs.
  void PlaceBlocks(const Model& model, const Execution& execution, size_t m) {
    const Graph& graph = model.graph();
    std::vector<BlockLifetime> blocks;
    const auto add = [&](size_t bytes, size_t step) {
      blocks.push_back({bytes, step, step});
      return blocks.size() - 1;
    };
    for (const ValueInfo& input : model.inputs()) {
      values_.emplace(input.name, add(ValueBytes(input, m), 0));
    }
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const Node& node = graph.nodes[i];
      for (const std::string& input : node.inputs) {
        blocks[values_.at(input)].last = i + 1;
      }
      const ValueInfo& output = model.value(node.output);
      values_.emplace(node.output, add(ValueBytes(output, m), i + 1));
      scratch_.push_back(add(
          GetOperator(node.op).ScratchBytes(model, node, execution, m), i + 1));
    }
    for (const ValueInfo& output : model.outputs()) {
      blocks[values_.at(output.name)].last = graph.nodes.size() + 1;
    }
    memory_ = PlanMemory(blocks);
  }

  std::byte* Address(size_t block) const {
    return arena_.get() + memory_.offsets[block];
  }

  std::pair<std::byte*, size_t> Port(const ValueInfo& value, size_t m) const {
    return {Address(values_.at(value.name)),
            m * value.ElementCount() * kElementBytes};
  }

  // Blocks of the arena.
  std::map<std::string, size_t, std::less<>> values_;
  std::vector<size_t> scratch_;  // of each node
  MemoryPlan memory_;
  Arena arena_;
  std::vector<std::unique_ptr<Step>> steps_;
  // Address and bytes of the graph's inputs and outputs.
  std::vector<std::pair<std::byte*, size_t>> inputs_;
  std::vector<std::pair<std::byte*, size_t>> outputs_;
};

}  // namespace

class Session::Impl {
 public:
  Impl(std::shared_ptr<const Model> model, const SessionOptions& options)
      : model_(std::move(model)) {
    if (model_ == nullptr) throw Error("session: no model given");
    execution_.activations = options.activations;
    execution_.pool = options.pool;
    if (options.pool != nullptr) return;
    const size_t threads =
        options.threads == 0 ? DefaultThreadCount() : options.threads;
    if (threads > kMaxThreads) {
      throw Error("session: " + std::to_string(threads) +
                  " threads are more than the limit of " +
                  std::to_string(kMaxThreads));
    }
    if (threads == 1) return;  // the calling thread
    own_pool_.reset(pthreadpool_create(threads));
    if (!own_pool_) throw Error("session: cannot start threads");
    execution_.pool = own_pool_.get();
  }

  const Model& model() const { return *model_; }
  size_t threads() const { return execution_.Threads(); }

  Plan& Prepare(size_t m) {
    const auto found = plans_.find(m);
    if (found != plans_.end()) return found->second;
    if (m == 0) throw Error("session: a call needs at least one token");
    return plans_.try_emplace(m, *model_, execution_, m).first->second;
  }

  size_t ArenaBytes() const {
    return plans_.empty() ? 0 : plans_.rbegin()->second.arena_bytes();
  }

  void Run(size_t m, std::span<const void* const> inputs,
           std::span<float* const> outputs) {
    CheckCount(inputs.size(), model_->inputs().size(), "inputs");
    CheckCount(outputs.size(), model_->outputs().size(), "outputs");
    Prepare(m).Run(inputs, outputs);
  }

 private:
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
  std::map<size_t, Plan> plans_;  // by tokens; destroyed before the pool
};

Session::Session(std::shared_ptr<const Model> model,
                 const SessionOptions& options)
    : impl_(std::make_unique<Impl>(std::move(model), options)) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

const Model& Session::model() const { return impl_->model(); }

size_t Session::threads() const { return impl_->threads(); }

void Session::Prepare(size_t m) { impl_->Prepare(m); }

size_t Session::ArenaBytes() const { return impl_->ArenaBytes(); }

void Session::Run(size_t m, std::span<const void* const> inputs,
                  std::span<float* const> outputs) {
  impl_->Run(m, inputs, outputs);
}

}  // namespace lutra
