#include "lutra/qat/training_program.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/checked_math.h"
#include "lutra/kernels/attention.h"
#include "lutra/qat/operator_gradient.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/shared_data.h"
#include "qat/grad/recompute.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/base/memory_plan.h"

namespace lutra::qat {
namespace {

// float32 and int32 alike.
constexpr size_t kElementBytes = 4;

constexpr const char* kName = "training";

size_t Times(size_t a, size_t b) {
  const auto product = CheckedMultiply(a, b);
  if (!product) throw OutOfMemory("a call of training overflows memory");
  return *product;
}

// A value of the graph.
struct Value {
  const ValueInfo* info = nullptr;
  size_t width = 1;  // elements per row
  bool is_float = true;
  // Whether a gradient with respect to it is of use: it depends on a parameter
  // that is trained (or is an input whose gradient is asked for), and outputs
  // depend on it.
  bool differentiable = false;

  // Of the plan: when it is in use, and where.
  size_t first = 0, last = 0;
  size_t gradient_first = 0, gradient_last = 0;
  std::byte* memory = nullptr;
  float* gradient = nullptr;
  // Of the backward half, if it is computed again there.
  bool is_again = false;
  size_t again_first = 0, again_last = 0;
  std::byte* again = nullptr;

  // Where the backward half finds it.
  std::byte* late() const { return is_again ? again : memory; }
};

// A node, with values by their numbers.
struct Operation {
  const Node* node = nullptr;
  const Operator* definition = nullptr;
  const OperatorGradient* gradient = nullptr;
  std::vector<size_t> inputs;
  size_t output = 0;
  bool has_backward = false;
  float* weight_gradient = nullptr;
  float* bias_gradient = nullptr;

  std::unique_ptr<Step> forward;
  std::unique_ptr<Step> again;  // the same for the backward half, if need be
  std::unique_ptr<BackwardStep> backward;
  // Gradients that the backward step adds to, though they are new: an input
  // that is there twice.
  std::vector<size_t> cleared;
};

}  // namespace

std::shared_ptr<const Model> ModelOf(const Graph& graph,
                                     const TensorMap& parameters) {
  for (const Node& node : graph.nodes) {
    for (const std::string& name : {node.weight, node.bias}) {
      if (name.empty() || parameters.contains(name)) continue;
      throw Error(std::string(kName) + ": parameter '" + name + "' is missing");
    }
  }
  std::vector<TensorView> tensors;
  for (const auto& [name, tensor] : parameters) {
    TensorView view;
    view.name = name;
    view.shape = tensor.shape;
    view.data = std::as_bytes(std::span(tensor.values));
    tensors.push_back(std::move(view));
  }
  return Model::FromTensors(graph, std::move(tensors), kName);
}

class TrainingProgram::Impl {
 public:
  Impl(const Graph& graph, const TensorMap& parameters,
       const TrainingProgramOptions& options)
      : model_(ModelOf(graph, parameters)),
        input_gradients_(options.input_gradients) {
    execution_.executor = options.executor;
    execution_.cache = graph.cache.value_or(kernels::CacheType::kFloat32);
    execution_.shared = &shared_;
    execution_.cancelled = &cancelled_;
    std::map<std::string_view, size_t> numbers;
    for (const ValueInfo& input : model_->inputs()) {
      numbers.emplace(input.name, values_.size());
      values_.push_back(MakeValue(input));
      values_.back().differentiable =
          input_gradients_ && values_.back().is_float;
    }
    for (const Node& node : model_->graph().nodes) {
      Operation operation = MakeOperation(node, numbers, options);
      operation.output = values_.size();
      numbers.emplace(node.output, values_.size());
      Value value = MakeValue(model_->value(node.output));
      value.differentiable =
          operation.weight_gradient != nullptr ||
          operation.bias_gradient != nullptr ||
          std::any_of(operation.inputs.begin(), operation.inputs.end(),
                      [this](size_t i) { return values_[i].differentiable; });
      values_.push_back(value);
      operations_.push_back(std::move(operation));
      is_stateful_ |= IsStateful(node.op);
    }
    for (const ValueInfo& output : model_->outputs()) {
      outputs_.push_back(numbers.at(output.name));
    }
    for (const std::string& name : options.others) UseParameter(name, options);
    FindBackwardOperations();
    FindBackwardHalf(options.recompute);
  }

  const Model& model() const { return *model_; }
  TensorMap& gradients() { return gradients_; }
  size_t arena_bytes() const { return memory_bytes_; }

  void Reserve(size_t sequences, size_t longest) {
    if (sequences == 0 || longest == 0) {
      throw Error("training: a call needs at least one row");
    }
    if (sequences <= capacity_.sequences && longest <= capacity_.longest) {
      return;
    }
    BackwardCapacity capacity;
    capacity.sequences = std::max(sequences, capacity_.sequences);
    capacity.longest = std::max(longest, capacity_.longest);
    capacity.rows = Times(capacity.sequences, capacity.longest);
    Plan(capacity);
  }

  void Forward(Span<const TrainingSequence> sequences,
               Span<const void* const> inputs) {
    if (inputs.size() != model_->inputs().size()) {
      throw Error("training: " + std::to_string(inputs.size()) +
                  " inputs given, the graph takes " +
                  std::to_string(model_->inputs().size()));
    }
    MakeCall(sequences);
    for (size_t i = 0; i < inputs.size(); ++i) {
      std::memcpy(values_[i].memory, inputs[i],
                  rows_ * values_[i].width * kElementBytes);
    }
    const Call call = TheCall();
    for (const Operation& operation : operations_) {
      operation.forward->Run(rows_, call);
    }
  }

  Span<const float> Output(size_t index) const {
    const Value& value = values_[outputs_.at(index)];
    return {reinterpret_cast<const float*>(value.memory), rows_ * value.width};
  }
  size_t OutputWidth(size_t index) const {
    return values_[outputs_.at(index)].width;
  }

  void ClearGradients() {
    for (auto& [name, gradient] : gradients_) {
      std::fill(gradient.values.begin(), gradient.values.end(), 0.0f);
    }
  }

  void Backward(Span<const float* const> output_gradients) {
    if (output_gradients.size() != outputs_.size()) {
      throw Error("training: " + std::to_string(output_gradients.size()) +
                  " gradients given, the graph has " +
                  std::to_string(outputs_.size()) + " outputs");
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      SetOutputGradient(i, output_gradients[i]);
    }
    for (const size_t i : unwritten_) {
      std::fill_n(values_[i].gradient, rows_ * values_[i].width, 0.0f);
    }
    const Call call = TheCall();
    for (const LateStep& step : backward_half_) {
      const Operation& operation = operations_[step.operation];
      if (step.again) {
        operation.again->Run(rows_, call);
        continue;
      }
      for (const size_t value : operation.cleared) {
        std::fill_n(values_[value].gradient, rows_ * values_[value].width,
                    0.0f);
      }
      operation.backward->Run(rows_, call);
    }
  }

  Span<const float> InputGradient(size_t index) const {
    const Value& value = values_.at(index);
    if (!input_gradients_ || !value.is_float) return {};
    return {value.gradient, rows_ * value.width};
  }

 private:
  static Value MakeValue(const ValueInfo& info) {
    Value value;
    value.info = &info;
    value.width = info.ElementCount();
    value.is_float = info.type == ValueType::kFloat32;
    return value;
  }

  Operation MakeOperation(const Node& node,
                          const std::map<std::string_view, size_t>& numbers,
                          const TrainingProgramOptions& options) {
    Operation operation;
    operation.node = &node;
    operation.definition = &GetOperator(node.op);
    operation.gradient = FindGradient(node.op);
    if (operation.gradient == nullptr) {
      throw NodeError(*model_, node,
                      "training has no gradient for this operator",
                      ErrorCode::kUnsupported);
    }
    for (const std::string& input : node.inputs) {
      operation.inputs.push_back(numbers.at(input));
    }
    if (operation.gradient->TrainsWeight()) {
      operation.weight_gradient = UseParameter(node.weight, options);
    }
    operation.bias_gradient = UseParameter(node.bias, options);
    return operation;
  }

  // Where its gradient goes; nullptr if it has none.
  float* UseParameter(const std::string& name,
                      const TrainingProgramOptions& options) {
    if (name.empty() || options.frozen.contains(name)) return nullptr;
    return gradients_.try_emplace(name, model_->file().Get(name).shape)
        .first->second.values.data();
  }

  // Backward goes from the outputs to what they depend on.
  void FindBackwardOperations() {
    std::vector<bool> reached(values_.size(), false);
    for (const size_t output : outputs_) reached[output] = true;
    for (size_t i = operations_.size(); i-- > 0;) {
      Operation& operation = operations_[i];
      if (!reached[operation.output]) continue;
      operation.has_backward = values_[operation.output].differentiable;
      for (const size_t input : operation.inputs) reached[input] = true;
    }
    for (size_t i = 0; i < values_.size(); ++i) {
      // An input that nothing depends on has a gradient all the same.
      const bool wanted_input = i < model_->inputs().size();
      if (!reached[i] && !wanted_input) values_[i].differentiable = false;
    }
  }

  // Whether its backward step reads this input of the forward one.
  bool ReadsInput(const Operation& operation, size_t input) const {
    return operation.gradient->NeedsInputs() || !values_[input].is_float;
  }

  void FindBackwardHalf(bool recompute) {
    std::vector<PlannedOperation> planned;
    for (const Operation& operation : operations_) {
      PlannedOperation& each = planned.emplace_back();
      each.inputs = operation.inputs;
      each.output = operation.output;
      each.width = values_[operation.output].width;
      each.has_backward = operation.has_backward;
      for (const size_t input : operation.inputs) {
        if (ReadsInput(operation, input)) each.read_backward.push_back(input);
      }
      if (operation.gradient->NeedsOutput()) {
        each.read_backward.push_back(operation.output);
      }
    }
    std::vector<size_t> parts = {0};
    if (recompute) parts = RecomputedParts(planned, outputs_);
    backward_half_ = BackwardHalf(planned, outputs_, parts);
    for (const LateStep& step : backward_half_) {
      if (step.again)
        values_[operations_[step.operation].output].is_again = true;
    }
  }

  // ---- The plan: steps are numbered 0 (the inputs), then forward, the loss,
  // the backward half, and the end.

  size_t ForwardStep(size_t operation) const { return operation + 1; }
  size_t LossStep() const { return operations_.size() + 1; }
  size_t LateStepOf(size_t index) const { return LossStep() + 1 + index; }
  size_t End() const { return LateStepOf(backward_half_.size()); }

  void FindLifetimes() {
    for (Value& value : values_) {
      value.first = value.last = 0;
      value.gradient_first = End();
      value.gradient_last = 0;
    }
    const auto use = [](Value& value, size_t step) {
      value.last = std::max(value.last, step);
    };
    const auto use_late = [](Value& value, size_t step) {
      size_t& last = value.is_again ? value.again_last : value.last;
      last = std::max(last, step);
    };
    const auto use_gradient = [](Value& value, size_t step) {
      value.gradient_first = std::min(value.gradient_first, step);
      value.gradient_last = std::max(value.gradient_last, step);
    };
    for (size_t i = 0; i < operations_.size(); ++i) {
      const Operation& operation = operations_[i];
      Value& output = values_[operation.output];
      output.first = output.last = ForwardStep(i);
      for (const size_t input : operation.inputs) {
        use(values_[input], ForwardStep(i));
      }
    }
    for (size_t i = 0; i < backward_half_.size(); ++i) {
      const Operation& operation = operations_[backward_half_[i].operation];
      const size_t step = LateStepOf(i);
      Value& output = values_[operation.output];
      if (backward_half_[i].again) {
        output.again_first = output.again_last = step;
        for (const size_t input : operation.inputs) {
          use_late(values_[input], step);
        }
        continue;
      }
      use_gradient(output, step);
      if (operation.gradient->NeedsOutput()) use_late(output, step);
      for (const size_t input : operation.inputs) {
        Value& value = values_[input];
        if (ReadsInput(operation, input)) use_late(value, step);
        if (value.differentiable) use_gradient(value, step);
      }
    }
    for (const size_t output : outputs_) {
      use(values_[output], LossStep());
      if (values_[output].differentiable) {
        use_gradient(values_[output], LossStep());
      }
    }
    for (size_t i = 0; i < model_->inputs().size(); ++i) {
      if (values_[i].differentiable) use_gradient(values_[i], End());
    }
  }

  void Plan(const BackwardCapacity& capacity) {
    FindLifetimes();
    execution_.context = capacity.longest;
    std::vector<BlockLifetime> blocks;
    const auto bytes_of = [&](const Value& value) {
      return Times(Times(capacity.rows, value.width), kElementBytes);
    };
    for (const Value& value : values_) {
      blocks.push_back({bytes_of(value), value.first, value.last});
    }
    for (const Value& value : values_) {
      const bool used =
          value.differentiable && value.gradient_first <= value.gradient_last;
      blocks.push_back({used ? bytes_of(value) : 0, value.gradient_first,
                        std::max(value.gradient_first, value.gradient_last)});
    }
    for (const Value& value : values_) {
      blocks.push_back({value.is_again ? bytes_of(value) : 0, value.again_first,
                        value.again_last});
    }
    const auto forward_scratch = [&](const Operation& o) {
      return o.definition->ScratchBytes(*model_, *o.node, execution_,
                                        capacity.rows);
    };
    for (size_t i = 0; i < operations_.size(); ++i) {
      blocks.push_back(
          {forward_scratch(operations_[i]), ForwardStep(i), ForwardStep(i)});
    }
    for (size_t i = 0; i < backward_half_.size(); ++i) {
      const Operation& o = operations_[backward_half_[i].operation];
      blocks.push_back({backward_half_[i].again
                            ? forward_scratch(o)
                            : o.gradient->ScratchBytes(*model_, *o.node,
                                                       execution_, capacity),
                        LateStepOf(i), LateStepOf(i)});
    }
    const MemoryPlan plan = PlanMemory(blocks);
    // Steps of before point into the memory of before.
    for (Operation& operation : operations_) {
      operation.forward.reset();
      operation.again.reset();
      operation.backward.reset();
    }
    capacity_ = {};
    arena_ = nullptr;
    PlaceStates(capacity);
    arena_ = AllocateAligned(plan.bytes, "a training step");
    memory_bytes_ = plan.bytes + state_bytes_;
    const auto place = [&](size_t block) {
      return arena_.get() + plan.offsets[block];
    };
    for (size_t i = 0; i < values_.size(); ++i) {
      values_[i].memory = place(i);
      values_[i].gradient =
          values_[i].differentiable
              ? reinterpret_cast<float*>(place(values_.size() + i))
              : nullptr;
      values_[i].again = place(2 * values_.size() + i);
    }
    const size_t scratch = 3 * values_.size();
    for (size_t i = 0; i < operations_.size(); ++i) {
      Operation& o = operations_[i];
      const auto memory = [this](size_t value) {
        return values_[value].memory;
      };
      o.forward = BindForward(i, memory, place(scratch + i), capacity);
    }
    BindBackwardHalf(capacity, [&](size_t i) {
      return place(scratch + operations_.size() + i);
    });
    rows_places_.resize(capacity.rows);
    sequences_.resize(capacity.sequences);
    capacity_ = capacity;
  }

  // Keys, values and states of the call's sequences. Keys and values are those
  // of one node after the other, as all that is needed of them later is kept as
  // values of the graph.
  void PlaceStates(const BackwardCapacity& capacity) {
    size_t page_bytes = 0;
    size_t state_bytes = 0;
    state_offsets_.clear();
    for (const Operation& o : operations_) {
      state_offsets_.push_back(state_bytes);
      if (o.definition->schema().context != RowContext::kState) continue;
      page_bytes = std::max(
          page_bytes, o.definition->PageBytes(*model_, *o.node, execution_));
      state_bytes +=
          RoundUpToAlignment(o.definition->StateBytes(*model_, *o.node));
    }
    const size_t pages_of_one =
        page_bytes == 0
            ? 0
            : (capacity.longest - 1) / kernels::kCachePageTokens + 1;
    const size_t pages = Times(pages_of_one, capacity.sequences);
    const size_t page_memory = Times(pages, page_bytes);
    state_bytes_ = page_memory + Times(state_bytes, capacity.sequences);
    states_ = nullptr;
    states_ = AllocateAligned(state_bytes_, "the states of a training step");
    pages_.clear();
    for (size_t i = 0; i < pages; ++i) {
      pages_.push_back(states_.get() + i * page_bytes);
    }
    pages_of_one_ = pages_of_one;
    sequence_states_.clear();
    for (size_t i = 0; i < capacity.sequences; ++i) {
      sequence_states_.push_back(states_.get() + page_memory + i * state_bytes);
    }
  }

  // With values where `memory` says.
  template <typename Memory>
  std::unique_ptr<Step> BindForward(size_t index, const Memory& memory,
                                    void* scratch,
                                    const BackwardCapacity& capacity) const {
    const Operation& operation = operations_[index];
    Binding binding;
    binding.m = capacity.rows;
    for (const size_t input : operation.inputs) {
      binding.inputs.push_back(memory(input));
    }
    binding.output = reinterpret_cast<float*>(memory(operation.output));
    binding.scratch = scratch;
    binding.state_offset = state_offsets_[index];
    return operation.definition->Bind(*model_, *operation.node, execution_,
                                      binding);
  }

  template <typename Scratch>
  void BindBackwardHalf(const BackwardCapacity& capacity,
                        const Scratch& scratch) {
    std::vector<bool> written(values_.size(), false);
    for (const size_t output : outputs_) written[output] = true;
    for (size_t i = 0; i < backward_half_.size(); ++i) {
      const size_t index = backward_half_[i].operation;
      Operation& o = operations_[index];
      if (backward_half_[i].again) {
        const auto late = [this](size_t value) {
          return values_[value].late();
        };
        o.again = BindForward(index, late, scratch(i), capacity);
        continue;
      }
      BackwardBinding binding;
      binding.capacity = capacity;
      o.cleared.clear();
      for (const size_t input : o.inputs) {
        const Value& value = values_[input];
        binding.inputs.push_back(ReadsInput(o, input) ? value.late() : nullptr);
        if (!written[input] && value.differentiable &&
            std::count(o.inputs.begin(), o.inputs.end(), input) > 1) {
          o.cleared.push_back(input);
          written[input] = true;
        }
        binding.input_gradients.push_back({value.gradient, written[input]});
      }
      for (const size_t input : o.inputs) written[input] = true;
      const Value& output = values_[o.output];
      if (o.gradient->NeedsOutput()) {
        binding.output = reinterpret_cast<const float*>(output.late());
      }
      binding.output_gradient = output.gradient;
      binding.weight_gradient = o.weight_gradient;
      binding.bias_gradient = o.bias_gradient;
      binding.scratch = scratch(i);
      o.backward = o.gradient->Bind(*model_, *o.node, execution_, binding);
    }
    unwritten_.clear();
    for (size_t i = 0; i < model_->inputs().size(); ++i) {
      if (values_[i].differentiable && !written[i]) unwritten_.push_back(i);
    }
  }

  // ---- A call

  void MakeCall(Span<const TrainingSequence> sequences) {
    size_t longest = 0;
    for (const TrainingSequence& sequence : sequences) {
      if (sequence.rows == 0) {
        throw Error("training: a sequence needs at least one row");
      }
      longest = std::max(longest, sequence.rows);
    }
    Reserve(sequences.size(), longest);
    rows_ = 0;
    for (size_t i = 0; i < sequences.size(); ++i) {
      SequenceRows& rows = sequences_[i];
      rows.first = rows_;
      rows.count = sequences[i].rows;
      rows.position = sequences[i].position;
      rows.pages = pages_.data() + i * pages_of_one_;
      rows.old_state = rows.new_state = sequence_states_[i];
      if (rows.position != 0 && is_stateful_) {
        throw Error(
            "training: sequences of a graph that remembers tokens start at "
            "position 0");
      }
      for (size_t j = 0; j < rows.count; ++j, ++rows_) {
        rows_places_[rows_] = {&rows, rows.position + j};
      }
    }
    sequence_count_ = sequences.size();
    ++calls_;
  }

  Call TheCall() const {
    return {.id = calls_,
            .rows = {rows_places_.data(), rows_},
            .sequences = {sequences_.data(), sequence_count_}};
  }

  void SetOutputGradient(size_t index, const float* gradient) {
    const Value& value = values_[outputs_[index]];
    if (!value.differentiable) return;
    const size_t count = rows_ * value.width;
    const auto begin = outputs_.begin();
    const bool again =
        std::find(begin, begin + static_cast<ptrdiff_t>(index),
                  outputs_[index]) != begin + static_cast<ptrdiff_t>(index);
    if (!again) {
      std::copy_n(gradient, count, value.gradient);
      return;
    }
    for (size_t i = 0; i < count; ++i) value.gradient[i] += gradient[i];
  }

  std::shared_ptr<const Model> model_;
  bool input_gradients_;
  Execution execution_;
  SharedData shared_;
  std::atomic<bool> cancelled_ = false;
  std::vector<Value> values_;  // the inputs, then what the nodes make
  std::vector<Operation> operations_;
  std::vector<size_t> outputs_;
  std::vector<LateStep> backward_half_;
  TensorMap gradients_;
  bool is_stateful_ = false;

  BackwardCapacity capacity_;
  AlignedMemory arena_;
  AlignedMemory states_;
  size_t memory_bytes_ = 0;
  size_t state_bytes_ = 0;
  std::vector<std::byte*> pages_;
  size_t pages_of_one_ = 0;  // sequence
  std::vector<std::byte*> sequence_states_;
  std::vector<size_t> state_offsets_;  // of each operation
  std::vector<size_t> unwritten_;      // inputs whose gradient no step writes

  uint64_t calls_ = 0;
  size_t rows_ = 0;
  size_t sequence_count_ = 0;
  std::vector<RowPlace> rows_places_;
  std::vector<SequenceRows> sequences_;
};

TrainingProgram::TrainingProgram(const Graph& graph,
                                 const TensorMap& parameters,
                                 const TrainingProgramOptions& options)
    : impl_(std::make_unique<Impl>(graph, parameters, options)) {}
TrainingProgram::~TrainingProgram() = default;
TrainingProgram::TrainingProgram(TrainingProgram&&) noexcept = default;
TrainingProgram& TrainingProgram::operator=(TrainingProgram&&) noexcept =
    default;

const Model& TrainingProgram::model() const { return impl_->model(); }
void TrainingProgram::Reserve(size_t sequences, size_t longest) {
  impl_->Reserve(sequences, longest);
}
size_t TrainingProgram::ArenaBytes() const { return impl_->arena_bytes(); }
void TrainingProgram::Forward(Span<const TrainingSequence> sequences,
                              Span<const void* const> inputs) {
  impl_->Forward(sequences, inputs);
}
void TrainingProgram::Forward(size_t rows, Span<const void* const> inputs) {
  const TrainingSequence sequence{.rows = rows};
  impl_->Forward({&sequence, 1}, inputs);
}
Span<const float> TrainingProgram::Output(size_t index) const {
  return impl_->Output(index);
}
size_t TrainingProgram::OutputWidth(size_t index) const {
  return impl_->OutputWidth(index);
}
void TrainingProgram::ClearGradients() { impl_->ClearGradients(); }
void TrainingProgram::Backward(Span<const float* const> output_gradients) {
  impl_->Backward(output_gradients);
}
TensorMap& TrainingProgram::gradients() { return impl_->gradients(); }
const TensorMap& TrainingProgram::gradients() const {
  return impl_->gradients();
}
Span<const float> TrainingProgram::InputGradient(size_t index) const {
  return impl_->InputGradient(index);
}

}  // namespace lutra::qat
