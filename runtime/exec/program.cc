#include "lutra/runtime/program.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <utility>

#include "kernels/base/checked_math.h"
#include "lutra/kernels/variants.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/shared_data.h"
#include "runtime/base/log.h"
#include "runtime/base/text_of.h"
#include "runtime/base/threads.h"
#include "runtime/exec/plan.h"
#include "runtime/exec/saved_sequence.h"
#include "runtime/exec/sequence_state.h"

namespace lutra {

CacheType ChosenCache(const Model& model, const ProgramOptions& options) {
  return options.cache.value_or(
      model.graph().cache.value_or(CacheType::kFloat16));
}

class Program::Impl {
 public:
  Impl(std::shared_ptr<const Model> model, const ProgramOptions& options)
      : model_(std::move(model)) {
    if (model_ == nullptr) throw Error("program: no model given");
    execution_.activations = options.activations;
    execution_.cache = ChosenCache(*model_, options);
    execution_.context =
        options.context == 0 ? model_->context_length() : options.context;
    execution_.shared = &shared_;
    execution_.cancelled = &cancelled_;
    execution_.executor = options.executor;
    if (options.executor == nullptr) {
      threads_ = StartThreads(options.threads);
      execution_.executor = threads_.get();
    }
    kernels::ActiveVariant();  // the first look at the CPU allocates
    NameContext([this] {
      layout_ = std::make_shared<StateLayout>(model_, execution_);
    });
    WarnOfContext();
  }

  const Model& model() const { return *model_; }
  size_t threads() const { return execution_.Threads(); }
  const std::shared_ptr<const StateLayout>& layout() const { return layout_; }

  void Reserve(Capacity capacity) {
    if (capacity.rows == 0) {
      throw Error("program: a call needs at least one token");
    }
    if (plan_) {
      const Capacity old = plan_->capacity();
      if (capacity.rows <= old.rows && capacity.outputs <= old.outputs) return;
      capacity.rows = std::max(capacity.rows, old.rows);
      capacity.outputs = std::max(capacity.outputs, old.outputs);
    }
    NameContext([&] {
      Plan plan(*model_, execution_, *layout_, capacity);
      places_.resize(capacity.rows);
      sequences_.resize(capacity.rows);
      plan_ = std::move(plan);
    });
  }

  size_t ArenaBytes() const { return plan_ ? plan_->arena_bytes() : 0; }

  MemoryReport Memory() const {
    MemoryReport report;
    for (const TensorView& tensor : model_->file().tensors()) {
      report.weights += tensor.data.size();
    }
    report.arena = ArenaBytes();
    return report;
  }

  void Run(Span<const Rows> calls, Outputs wanted,
           Span<const void* const> inputs, Span<float* const> outputs) {
    CheckCount(inputs.size(), model_->inputs().size(), "inputs");
    CheckCount(outputs.size(), model_->outputs().size(), "outputs");
    const size_t rows = CheckedRows(calls);
    Reserve({rows, wanted == Outputs::kAll ? rows : calls.size()});
    for (const Rows& call : calls) StateOf(call).PrepareCall(call.count);
    try {
      plan_->Run(MakeCall(calls), wanted, execution_, inputs, outputs,
                 profiles_);
    } catch (const Cancelled&) {
      cancelled_ = false;
      throw;
    }
    for (const Rows& call : calls) StateOf(call).Advance(call.count);
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
  void WarnOfContext() const {
    const size_t own = model_->context_length();
    if (own == 0 || layout_->context <= own) return;
    Log(LogLevel::kWarning, model_->path(),
        TextOf("is made for sequences of ", own, " tokens, but the context is ",
               layout_->context, ": what comes after the first ", own,
               " may be worth nothing"));
  }

  // Memory that is missing is most often the context's.
  template <typename Allocate>
  void NameContext(const Allocate& allocate) const {
    try {
      allocate();
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kOutOfMemory || execution_.context == 0) {
        throw;
      }
      throw Error::InFile(
          model_->path(),
          TextOf(error.what(), ", with a context of ", execution_.context,
                 " tokens (the option 'context')"),
          error.code());
    }
  }

  void CheckCount(size_t given, size_t expected, const char* what) const {
    if (given != expected) {
      throw Error::InFile(
          model_->path(),
          TextOf(given, " ", what, " given, but the model has ", expected),
          ErrorCode::kInvalidArgument);
    }
  }

  static SequenceState& StateOf(const Rows& call) {
    return *call.sequence->state_;
  }

  // The number of rows, which the sequences have room for.
  size_t CheckedRows(Span<const Rows> calls) const {
    if (calls.empty()) throw Error("program: a call needs at least one token");
    size_t rows = 0;
    for (size_t i = 0; i < calls.size(); ++i) {
      const Rows& call = calls[i];
      if (call.sequence == nullptr || call.sequence->state_ == nullptr ||
          !layout_->Accepts(StateOf(call).layout())) {
        throw Error::InFile(
            model_->path(),
            TextOf("sequence ", i, " of the call is not one of this program"),
            ErrorCode::kInvalidArgument);
      }
      const auto same = [&call](const Rows& other) {
        return other.sequence == call.sequence;
      };
      if (std::any_of(calls.begin(), calls.begin() + i, same)) {
        throw Error::InFile(model_->path(),
                            TextOf("sequence ", i, " is in the call twice"),
                            ErrorCode::kInvalidArgument);
      }
      CheckRoom(call);
      const auto sum = CheckedAdd(rows, call.count);
      if (!sum) throw OutOfMemory("the rows of a call overflow memory");
      rows = *sum;
    }
    return rows;
  }

  void CheckRoom(const Rows& call) const {
    if (call.count == 0) {
      throw Error("program: a call needs at least one token");
    }
    const size_t position = call.sequence->position();
    const size_t context = layout_->context;
    if (context == 0 ||
        (position <= context && call.count <= context - position)) {
      return;
    }
    throw Error::InFile(model_->path(),
                        TextOf(call.count, " tokens after ", position,
                               " run past the context of ", context),
                        ErrorCode::kContextFull);
  }

  Call MakeCall(Span<const Rows> calls) {
    size_t row = 0;
    for (size_t i = 0; i < calls.size(); ++i) {
      sequences_[i] = StateOf(calls[i]).Rows(row, calls[i].count);
      for (size_t j = 0; j < calls[i].count; ++j, ++row) {
        places_[row] = {&sequences_[i], sequences_[i].position + j};
      }
    }
    return {.id = ++calls_,
            .rows = {places_.data(), row},
            .sequences = {sequences_.data(), calls.size()}};
  }

  std::shared_ptr<const Model> model_;
  std::unique_ptr<Executor> threads_;  // unless the options have an executor
  Execution execution_;
  std::shared_ptr<const StateLayout> layout_;
  SharedData shared_;
  std::optional<Plan> plan_;  // destroyed before the threads
  uint64_t calls_ = 0;
  // Of the call, with room for all that the plan takes.
  std::vector<RowPlace> places_;
  std::vector<SequenceRows> sequences_;
  std::atomic<bool> cancelled_ = false;
  bool profiling_ = false;
  std::vector<NodeProfile> profiles_;  // empty if profiling is off
  std::vector<NodeProfile> recorded_;  // when it was turned off
};

Program::Program(std::shared_ptr<const Model> model,
                 const ProgramOptions& options)
    : impl_(std::make_unique<Impl>(std::move(model), options)) {}
Program::~Program() = default;
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;

const Model& Program::model() const { return impl_->model(); }
size_t Program::threads() const { return impl_->threads(); }
size_t Program::context() const { return impl_->layout()->context; }

Sequence Program::NewSequence() const {
  return Sequence(std::make_unique<SequenceState>(impl_->layout()));
}

Sequence Program::Restore(Span<const std::byte> saved) const {
  return Sequence(RestoreSequence(impl_->layout(), saved));
}

size_t Program::SequenceBytes(size_t tokens) const {
  const StateLayout& layout = *impl_->layout();
  const auto pages =
      CheckedMultiply(layout.PageCount(tokens), layout.page_bytes);
  const auto bytes =
      pages ? CheckedAdd(*pages, 2 * layout.state_bytes) : std::nullopt;
  if (!bytes) throw OutOfMemory("the state of the model overflows memory");
  return *bytes;
}

void Program::Reserve(size_t rows, size_t outputs) {
  impl_->Reserve({rows, std::min(rows, outputs)});
}

void Program::Run(Span<const Rows> calls, Span<const void* const> inputs,
                  Span<float* const> outputs) {
  impl_->Run(calls, Outputs::kAll, inputs, outputs);
}

void Program::RunLast(Span<const Rows> calls, Span<const void* const> inputs,
                      Span<float* const> outputs) {
  impl_->Run(calls, Outputs::kLast, inputs, outputs);
}

void Program::Cancel() noexcept { impl_->Cancel(); }
size_t Program::ArenaBytes() const { return impl_->ArenaBytes(); }
MemoryReport Program::Memory() const { return impl_->Memory(); }
void Program::EnableProfiling(bool on) { impl_->EnableProfiling(on); }
std::vector<NodeProfile> Program::Profile() const { return impl_->Profile(); }

}  // namespace lutra
