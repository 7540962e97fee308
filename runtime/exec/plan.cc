#include "runtime/exec/plan.h"

#include <chrono>
#include <cstring>
#include <set>
#include <utility>

#include "kernels/base/checked_math.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

// float32 and int32 alike.
constexpr size_t kElementBytes = 4;

size_t ValueBytes(const ValueInfo& value, size_t m) {
  const auto elements = CheckedMultiply(m, value.ElementCount());
  const auto bytes =
      elements ? CheckedMultiply(*elements, kElementBytes) : std::nullopt;
  if (!bytes) {
    throw OutOfMemory(
        TextOf(m, " tokens of value '", value.name, "' overflow memory"));
  }
  return *bytes;
}

uint64_t Nanoseconds() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

void RunProfiled(Step& step, size_t m, const Call& call, NodeProfile& profile) {
  const StepCost cost = step.Cost(m, call);
  const uint64_t begin = Nanoseconds();
  step.Run(m, call);
  profile.nanoseconds += Nanoseconds() - begin;
  profile.calls += 1;
  profile.bytes += cost.bytes;
  profile.multiply_adds += cost.multiply_adds;
}

// Without addresses.
std::vector<FusedNode> FusedNodes(const Graph& graph,
                                  const ScheduledStep& step) {
  std::vector<FusedNode> fused;
  for (const ScheduledNode& s : step) {
    fused.push_back({.node = &graph.nodes[s.node], .fusion = s.fusion});
  }
  return fused;
}

size_t ScratchBytes(const Model& model, const Execution& execution,
                    const ScheduledStep& step, size_t m) {
  const Node& first = model.graph().nodes[step[0].node];
  const Operator& op = GetOperator(first.op);
  return op.Fuses(model, first)
             ? op.FusedScratchBytes(model, FusedNodes(model.graph(), step),
                                    execution, m)
             : op.ScratchBytes(model, first, execution, m);
}

// Rows of `row_bytes`: those whose outputs are wanted, of all that are at
// `from`.
void CopyWanted(const Call& call, Outputs wanted, const void* from,
                size_t row_bytes, void* to) {
  if (wanted == Outputs::kAll) {
    std::memcpy(to, from, call.rows.size() * row_bytes);
    return;
  }
  const auto* rows = static_cast<const std::byte*>(from);
  auto* out = static_cast<std::byte*>(to);
  for (const SequenceRows& sequence : call.sequences) {
    const size_t last = sequence.first + sequence.count - 1;
    std::memcpy(out, rows + last * row_bytes, row_bytes);
    out += row_bytes;
  }
}

}  // namespace

Plan::Plan(const Model& model, const Execution& execution,
           const StateLayout& layout, Capacity capacity)
    : capacity_(capacity) {
  FindTail(model);
  schedule_ = ScheduleNodes(model, in_tail_);
  PlaceBlocks(model, execution);
  arena_ = AllocateAligned(memory_.bytes, "an arena");
  BindSteps(model, execution, layout);
  BindValues(model);
}

// All rows are needed by sequential nodes and by whatever these depend on.
void Plan::FindTail(const Model& model) {
  const Graph& graph = model.graph();
  std::set<std::string_view> whole;
  in_tail_ = std::vector<bool>(graph.nodes.size());
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    in_tail_[i] = !whole.contains(node.output) &&
                  GetOperator(node.op).schema().context == RowContext::kNone;
    if (!in_tail_[i]) whole.insert(node.inputs.begin(), node.inputs.end());
  }
}

// Steps are numbered from 1; 0 is the copying of the inputs, and the last one
// that of the outputs.
void Plan::PlaceBlocks(const Model& model, const Execution& execution) {
  const Graph& graph = model.graph();
  std::vector<BlockLifetime> blocks;
  const auto add = [&](size_t bytes, size_t step) {
    blocks.push_back({bytes, step, step});
    return blocks.size() - 1;
  };
  // When a value is there, to make tail copies at.
  std::map<std::string_view, size_t> made;
  const auto use = [&](const std::string& name, bool tail, size_t step) {
    Value& value = values_.at(name);
    std::optional<size_t>& block = tail ? value.tail : value.all;
    if (!block) {
      block = add(ValueBytes(model.value(name), Rows(tail)), made.at(name));
    }
    blocks[*block].last = step;
  };
  const auto make = [&](const ValueInfo& info, size_t step) {
    values_[info.name].row_bytes = info.ElementCount() * kElementBytes;
    made[info.name] = step;
  };
  for (const ValueInfo& input : model.inputs()) make(input, 0);
  for (size_t i = 0; i < schedule_.size(); ++i) {
    const ScheduledStep& step = schedule_[i];
    const Node& first = graph.nodes[step[0].node];
    const bool tail = in_tail_[step[0].node];
    for (const std::string& input : first.inputs) use(input, tail, i + 1);
    for (const ScheduledNode& s : step) {
      if (s.residual != nullptr) use(*s.residual, tail, i + 1);
      const std::string& output = graph.nodes[s.result].output;
      make(model.value(output), i + 1);
      use(output, tail, i + 1);
    }
    scratch_.push_back(
        add(ScratchBytes(model, execution, step, Rows(tail)), i + 1));
  }
  for (const ValueInfo& output : model.outputs()) {
    const Value& value = values_.at(output.name);
    // Of an input that is also an output nothing may be there yet.
    use(output.name, value.tail || !value.all, schedule_.size() + 1);
  }
  memory_ = PlanMemory(blocks);
}

void Plan::BindSteps(const Model& model, const Execution& execution,
                     const StateLayout& layout) {
  for (size_t i = 0; i < schedule_.size(); ++i) {
    const size_t first = schedule_[i][0].node;
    BoundStep bound;
    bound.step = BindStep(model, execution, layout, i);
    bound.in_tail = in_tail_[first];
    bound.node = first;
    for (const ScheduledNode& s : schedule_[i]) {
      const Value& value = values_.at(model.graph().nodes[s.result].output);
      if (!value.all || !value.tail) continue;
      bound.gatherings.push_back(
          {Address(*value.all), Address(*value.tail), value.row_bytes});
    }
    steps_.push_back(std::move(bound));
  }
}

std::unique_ptr<Step> Plan::BindStep(const Model& model,
                                     const Execution& execution,
                                     const StateLayout& layout, size_t index) {
  const Graph& graph = model.graph();
  const ScheduledStep& step = schedule_[index];
  const Node& first = graph.nodes[step[0].node];
  const bool tail = in_tail_[step[0].node];
  const auto floats = [&](std::string_view value) {
    return reinterpret_cast<float*>(Address(value, tail));
  };
  Binding binding;
  binding.m = Rows(tail);
  for (const std::string& input : first.inputs) {
    binding.inputs.push_back(Address(input, tail));
  }
  binding.scratch = Address(scratch_[index]);
  binding.page_offset = layout.page_offsets[step[0].node];
  binding.state_offset = layout.state_offsets[step[0].node];
  const Operator& op = GetOperator(first.op);
  if (!op.Fuses(model, first)) {
    binding.output = floats(first.output);
    return op.Bind(model, first, execution, binding);
  }
  std::vector<FusedNode> fused = FusedNodes(graph, step);
  for (size_t i = 0; i < step.size(); ++i) {
    fused[i].output = floats(graph.nodes[step[i].result].output);
    if (step[i].residual != nullptr) {
      fused[i].residual = floats(*step[i].residual);
    }
  }
  return op.BindFused(model, fused, execution, binding);
}

void Plan::BindValues(const Model& model) {
  const auto address = [this](std::optional<size_t> block) {
    return block ? Address(*block) : nullptr;
  };
  for (const ValueInfo& input : model.inputs()) {
    const Value& value = values_.at(input.name);
    inputs_.push_back(
        {address(value.all), address(value.tail), value.row_bytes});
  }
  for (const ValueInfo& output : model.outputs()) {
    const Value& value = values_.at(output.name);
    const bool gathered = value.tail.has_value();
    outputs_.push_back({address(gathered ? value.tail : value.all), gathered,
                        value.row_bytes});
  }
}

std::byte* Plan::Address(size_t block) const {
  return arena_.get() + memory_.offsets[block];
}

std::byte* Plan::Address(std::string_view name, bool tail) const {
  const Value& value = values_.find(name)->second;
  return Address(tail ? *value.tail : *value.all);
}

void Plan::Run(const Call& call, Outputs wanted, const Execution& execution,
               Span<const void* const> inputs, Span<float* const> outputs,
               std::span<NodeProfile> profiles) {
  const size_t rows = call.rows.size();
  const size_t wanted_rows =
      wanted == Outputs::kAll ? rows : call.sequences.size();
  // Steps are bound to the arena, where everything is aligned.
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Input& input = inputs_[i];
    if (input.all != nullptr) {
      std::memcpy(input.all, inputs[i], rows * input.row_bytes);
    }
    if (input.tail != nullptr) {
      CopyWanted(call, wanted, inputs[i], input.row_bytes, input.tail);
    }
  }
  for (const BoundStep& bound : steps_) {
    execution.CheckCancelled();
    const size_t m = bound.in_tail ? wanted_rows : rows;
    if (profiles.empty()) {
      bound.step->Run(m, call);
    } else {
      RunProfiled(*bound.step, m, call, profiles[bound.node]);
    }
    for (const Gathering& g : bound.gatherings) {
      CopyWanted(call, wanted, g.from, g.row_bytes, g.to);
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Output& output = outputs_[i];
    if (output.gathered) {
      std::memcpy(outputs[i], output.from, wanted_rows * output.row_bytes);
    } else {
      CopyWanted(call, wanted, output.from, output.row_bytes, outputs[i]);
    }
  }
}

}  // namespace lutra
