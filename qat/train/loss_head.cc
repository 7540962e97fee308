#include "qat/train/loss_head.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "lutra/runtime/error.h"
#include "lutra/runtime/input_quantization.h"

namespace lutra::qat {
namespace {

using Names = std::set<std::string, std::less<>>;

TrainingProgramOptions OptionsFor(const SplitGraph& split, const Names& frozen,
                                  Executor* executor, bool recompute) {
  TrainingProgramOptions options;
  options.executor = executor;
  options.recompute = recompute;
  options.frozen = frozen;
  for (const std::string& name : {split.weight, split.bias}) {
    if (!name.empty() && !frozen.contains(name)) options.others.insert(name);
  }
  return options;
}

Names AllOf(const TensorMap& parameters) {
  Names names;
  for (const auto& [name, tensor] : parameters) names.insert(name);
  return names;
}

// Where the output is a softmax over all of a row, maybe reshaped and rounded
// afterwards, the graph up to its input; else all of it.
Graph UpToLogits(const Model& model) {
  const Graph& graph = model.graph();
  std::set<std::string_view> left_out;  // outputs of nodes
  std::string_view value = graph.outputs[0];
  for (;;) {
    const auto node =
        std::find_if(graph.nodes.begin(), graph.nodes.end(),
                     [&](const Node& other) { return other.output == value; });
    const auto reads = [&](const Node& other) {
      return !left_out.contains(other.output) &&
             std::count(other.inputs.begin(), other.inputs.end(), value) > 0;
    };
    if (node == graph.nodes.end() ||
        std::any_of(graph.nodes.begin(), graph.nodes.end(), reads)) {
      return graph;
    }
    left_out.insert(node->output);
    value = node->inputs[0];
    if (node->op == OpType::kSoftmax) break;
    if (node->op != OpType::kReshape && node->op != OpType::kFakeQuantize) {
      return graph;
    }
  }
  const ValueInfo& logits = model.value(std::string(value));
  const bool is_input =
      std::any_of(graph.inputs.begin(), graph.inputs.end(),
                  [&](const GraphInput& input) { return input.name == value; });
  if (is_input ||
      static_cast<size_t>(logits.shape.back()) != logits.ElementCount()) {
    return graph;
  }
  Graph body = graph;
  body.outputs[0] = value;
  std::erase_if(body.nodes, [&](const Node& node) {
    return left_out.contains(node.output);
  });
  return body;
}

}  // namespace

SplitGraph::SplitGraph(const Graph& graph, const TensorMap& parameters) {
  if (graph.outputs.size() != 1) {
    throw Error("training needs a graph with one output, the logits");
  }
  // Checks it as a whole.
  const TrainingProgram whole(graph, parameters, {});
  classes = whole.OutputWidth(0);
  body = UpToLogits(whole.model());
  const auto find = [&](const std::string& value) {
    return std::find_if(body.nodes.begin(), body.nodes.end(),
                        [&](const Node& node) { return node.output == value; });
  };
  const std::string logits = body.outputs[0];
  const auto last = find(logits);
  const auto uses_output = [&](const Node& node) {
    return std::find(node.inputs.begin(), node.inputs.end(), logits) !=
           node.inputs.end();
  };
  // A layer on an input of the graph is all there is to learn: it stays.
  if (last == body.nodes.end() || last->op != OpType::kLinear ||
      find(last->inputs[0]) == body.nodes.end() ||
      std::any_of(body.nodes.begin(), body.nodes.end(), uses_output)) {
    return;
  }
  has_layer = true;
  rounding = FloatInput(*last, {});
  weight = last->weight;
  bias = last->bias;
  body.outputs[0] = last->inputs[0];
  body.nodes.erase(last);
}

LossHead::Network::Network(const Graph& graph, const TensorMap& all,
                           const Names& frozen, Executor* executor,
                           bool recompute)
    : split(graph, all),
      parameters(all),
      program(split.body, all, OptionsFor(split, frozen, executor, recompute)),
      threads(executor) {}

size_t LossHead::Network::Reserve(size_t sequences, size_t longest) {
  program.Reserve(sequences, longest);
  ReserveRounded(sequences * longest);
  return program.ArenaBytes() +
         RoundedRows::Bytes(split.rounding, capacity, program.OutputWidth(0));
}

void LossHead::Network::ReserveRounded(size_t rows) {
  if (!split.rounding || rows <= capacity) return;
  const size_t width = program.OutputWidth(0);
  memory = AllocateAligned(RoundedRows::Bytes(split.rounding, rows, width),
                           "rounded activations");
  rounded = {split.rounding, rows, width, memory.get(), threads};
  capacity = rows;
}

LinearLayer LossHead::Network::Layer() {
  const Span<const float> x = program.Output(0);
  const size_t width = program.OutputWidth(0);
  ReserveRounded(x.size() / width);
  const auto values = [this](const std::string& name) {
    return parameters.find(name)->second.values.data();
  };
  return {.x = rounded.Round(x.data(), x.size() / width),
          .width = width,
          .weight = values(split.weight),
          .bias = split.bias.empty() ? nullptr : values(split.bias)};
}

LossHead::NetworkLogits::NetworkLogits(Network& network, Executor* executor)
    : network_(network),
      layer_(network.split.has_layer ? network.Layer() : LinearLayer()),
      executor_(executor) {}

void LossHead::NetworkLogits::Write(size_t row, size_t m, float* logits) const {
  const size_t classes = network_.split.classes;
  if (network_.split.has_layer) {
    LayerLogits(layer_, classes, executor_).Write(row, m, logits);
    return;
  }
  std::copy_n(network_.program.Output(0).data() + row * classes, m * classes,
              logits);
}

LossHead::LossHead(const Graph& graph, const TensorMap& parameters,
                   const ClassificationOptions& options, Executor* executor,
                   const Names& frozen, bool recompute)
    : options_(options),
      executor_(executor),
      student_(graph, parameters, frozen, executor, recompute) {
  CheckTargets({}, classes(), options);
  if (!student_.split.has_layer) return;
  loss_.emplace(classes(), options, executor);
}

void LossHead::SetTeacher(const Graph& graph, const TensorMap& parameters) {
  auto teacher = std::make_unique<Network>(graph, parameters, AllOf(parameters),
                                           executor_, /*recompute=*/false);
  if (teacher->split.classes != classes()) {
    throw Error("the teacher tells " + std::to_string(teacher->split.classes) +
                " classes apart, the model " + std::to_string(classes()));
  }
  teacher_ = std::move(teacher);
}

size_t LossHead::Reserve(size_t sequences, size_t longest) {
  const size_t rows = sequences * longest;
  gradient_.resize(
      std::max(gradient_.size(), rows * student_.program.OutputWidth(0)));
  size_t bytes =
      student_.Reserve(sequences, longest) + gradient_.size() * sizeof(float);
  if (loss_) bytes += loss_->ByteCount();
  if (teacher_ != nullptr) bytes += teacher_->Reserve(sequences, longest);
  return bytes;
}

float* LossHead::Gradient(const std::string& parameter) {
  const auto found = gradients().find(parameter);
  return found == gradients().end() ? nullptr : found->second.values.data();
}

ClassificationLoss LossHead::Run(Span<const TrainingSequence> sequences,
                                 const void* input, Span<const int32_t> targets,
                                 float scale) {
  CheckTargets(targets, classes(), options_);
  if (teacher_ == nullptr && given_ == nullptr &&
      options_.distillation != 0.0) {
    throw Error("distillation needs a teacher");
  }
  const std::array<const void*, 1> inputs{input};
  const TeacherLogits* teacher = given_;
  if (teacher_ != nullptr) {
    teacher_->program.Forward(sequences, inputs);
    teacher = &of_teacher_.emplace(*teacher_, executor_);
  }
  TrainingProgram& program = student_.program;
  program.Forward(sequences, inputs);
  const Span<const float> output = program.Output(0);
  const bool learns = scale > 0.0f;
  if (learns) gradient_.resize(std::max(gradient_.size(), output.size()));
  const Span<float> gradient(gradient_.data(), learns ? output.size() : 0);
  ClassificationLoss loss;
  if (loss_) {
    LinearGradients wanted;
    if (learns) {
      wanted.x = gradient.data();
      wanted.weight = Gradient(student_.split.weight);
      wanted.bias = Gradient(student_.split.bias);
    }
    loss = loss_->Run(student_.Layer(), targets, scale, wanted, teacher);
    if (learns) {
      student_.rounded.Mask(gradient.data(),
                            gradient.size() / student_.program.OutputWidth(0));
    }
  } else {
    if (teacher != nullptr) {
      teacher_logits_.resize(output.size());
      teacher->Write(0, targets.size(), teacher_logits_.data());
    }
    loss = SoftmaxCrossEntropy(
        output, targets, options_, scale, gradient,
        teacher == nullptr ? Span<const float>() : teacher_logits_, executor_);
  }
  if (learns) {
    const std::array<const float*, 1> gradients{gradient.data()};
    program.Backward(gradients);
  }
  return loss;
}

const TeacherLogits& LossHead::Logits(Span<const TrainingSequence> sequences,
                                      const void* input) {
  const std::array<const void*, 1> inputs{input};
  student_.program.Forward(sequences, inputs);
  return logits_.emplace(student_, executor_);
}

ClassificationLoss LossHead::Judge(Span<const TrainingSequence> sequences,
                                   const void* input,
                                   Span<const int32_t> targets) {
  CheckTargets(targets, classes(), {});
  const std::array<const void*, 1> inputs{input};
  student_.program.Forward(sequences, inputs);
  if (!loss_) {
    return SoftmaxCrossEntropy(student_.program.Output(0), targets, {}, 1.0f,
                               {}, {}, executor_);
  }
  // One with plain options will do for both.
  if (options_.label_smoothing == 0.0 && options_.distillation == 0.0) {
    return loss_->Run(student_.Layer(), targets, 1.0f, {});
  }
  if (!judge_) judge_.emplace(classes(), ClassificationOptions{}, executor_);
  return judge_->Run(student_.Layer(), targets, 1.0f, {});
}

}  // namespace lutra::qat
