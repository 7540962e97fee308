#include "runtime/exec/plan.h"

#include <chrono>
#include <cstring>
#include <set>

#include "kernels/base/checked_math.h"
#include "runtime/ops/dense.h"
#include "runtime/ops/linear.h"

namespace lutra {
namespace {

// float32 and int32 alike.
constexpr size_t kElementBytes = 4;

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

uint64_t Nanoseconds() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

void RunProfiled(Step& step, NodeProfile& profile) {
  const StepCost cost = step.Cost();
  const uint64_t begin = Nanoseconds();
  step.Run();
  profile.nanoseconds += Nanoseconds() - begin;
  profile.calls += 1;
  profile.bytes += cost.bytes;
  profile.multiply_adds += cost.multiply_adds;
}

}  // namespace

Plan::Plan(const Model& model, const Execution& execution,
           std::span<void* const> states, Size size) {
  FindRows(model, size);
  schedule_ = ScheduleNodes(model, rows_);
  PlaceBlocks(model, execution);
  arena_ = AllocateAligned(memory_.bytes, "an arena");
  BindSteps(model, execution, states);
  for (const ValueInfo& input : model.inputs()) {
    inputs_.push_back(Rows(input.name, size.m));
  }
  for (const ValueInfo& output : model.outputs()) {
    outputs_.push_back(Rows(output.name, size.last ? 1 : size.m));
  }
}

// If only the last token is wanted, all tokens are still needed by sequential
// nodes and by whatever these depend on.
void Plan::FindRows(const Model& model, Size size) {
  const Graph& graph = model.graph();
  std::set<std::string_view> whole;
  rows_.assign(graph.nodes.size(), size.m);
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    if (size.last && !whole.contains(node.output) &&
        !GetOperator(node.op).IsSequential()) {
      rows_[i] = 1;
      continue;
    }
    whole.insert(node.inputs.begin(), node.inputs.end());
  }
  for (const ValueInfo& input : model.inputs()) {
    values_[input.name] = {0, size.m, input.ElementCount()};
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const std::string& output = graph.nodes[i].output;
    values_[output] = {0, rows_[i], model.value(output).ElementCount()};
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
  const auto add_value = [&](const ValueInfo& info, size_t step) {
    Value& value = values_.at(info.name);
    value.block = add(ValueBytes(info, value.rows), step);
  };
  for (const ValueInfo& input : model.inputs()) add_value(input, 0);
  for (size_t i = 0; i < schedule_.size(); ++i) {
    const ScheduledStep& step = schedule_[i];
    const Node& first = graph.nodes[step[0].node];
    const size_t rows = rows_[step[0].node];
    for (const std::string& input : first.inputs) {
      blocks[values_.at(input).block].last = i + 1;
    }
    for (const ScheduledNode& s : step) {
      if (s.residual != nullptr) {
        blocks[values_.at(*s.residual).block].last = i + 1;
      }
      add_value(model.value(graph.nodes[s.result].output), i + 1);
    }
    const size_t scratch =
        IsPackedLinear(model, first)
            ? LinearsScratchBytes(model, step, execution, rows)
            : GetOperator(first.op).ScratchBytes(model, first, execution, rows);
    scratch_.push_back(add(scratch, i + 1));
  }
  for (const ValueInfo& output : model.outputs()) {
    blocks[values_.at(output.name).block].last = schedule_.size() + 1;
  }
  memory_ = PlanMemory(blocks);
}

void Plan::BindSteps(const Model& model, const Execution& execution,
                     std::span<void* const> states) {
  const Graph& graph = model.graph();
  const auto floats = [this](std::string_view value, size_t rows) {
    return reinterpret_cast<float*>(Rows(value, rows).first);
  };
  for (size_t i = 0; i < schedule_.size(); ++i) {
    const ScheduledStep& step = schedule_[i];
    const Node& first = graph.nodes[step[0].node];
    Binding binding;
    binding.m = rows_[step[0].node];
    for (const std::string& input : first.inputs) {
      binding.inputs.push_back(Rows(input, binding.m).first);
    }
    binding.output = floats(graph.nodes[step[0].result].output, binding.m);
    binding.scratch = Address(scratch_[i]);
    binding.state = states[step[0].node];
    if (!IsPackedLinear(model, first)) {
      steps_.push_back(
          GetOperator(first.op).Bind(model, first, execution, binding));
      continue;
    }
    std::vector<LinearOutput> outputs;
    for (const ScheduledNode& s : step) {
      outputs.push_back(
          {floats(graph.nodes[s.result].output, binding.m),
           s.residual == nullptr ? nullptr : floats(*s.residual, binding.m)});
    }
    steps_.push_back(BindLinears(model, step, execution, binding, outputs));
  }
}

std::byte* Plan::Address(size_t block) const {
  return arena_.get() + memory_.offsets[block];
}

std::pair<std::byte*, size_t> Plan::Rows(std::string_view name,
                                         size_t rows) const {
  const Value& value = values_.find(name)->second;
  const size_t row_bytes = value.elements * kElementBytes;
  return {Address(value.block) + (value.rows - rows) * row_bytes,
          rows * row_bytes};
}

void Plan::Run(const Execution& execution, std::span<const void* const> inputs,
               std::span<float* const> outputs,
               std::span<NodeProfile> profiles) {
  // Steps are bound to the arena, where everything is aligned and may be read
  // past its end.
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::memcpy(inputs_[i].first, inputs[i], inputs_[i].second);
  }
  for (size_t i = 0; i < steps_.size(); ++i) {
    execution.CheckCancelled();
    if (profiles.empty()) {
      steps_[i]->Run();
    } else {
      RunProfiled(*steps_[i], profiles[schedule_[i][0].node]);
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    std::memcpy(outputs[i], outputs_[i].first, outputs_[i].second);
  }
}

}  // namespace lutra
