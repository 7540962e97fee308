#include <array>
#include <string>
#include <vector>

#include "lutra/qat/loss.h"
#include "lutra/qat/training_program.h"
#include "tests/golden_replay/train/cases.h"

namespace lutra::golden {
namespace {

using qat::ClassificationOptions;

ClassificationOptions OptionsOf(const TrainingCase& c) {
  const auto& attributes = c.attributes();
  ClassificationOptions options;
  options.ignored_target = attributes.value("ignore_index", -100);
  options.label_smoothing = attributes.value("label_smoothing", 0.0);
  if (attributes.contains("temperature")) {
    options.temperature = attributes["temperature"].get<double>();
    options.distillation = attributes["alpha"].get<double>();
  }
  return options;
}

// What a row counts.
float ScaleOf(const TrainingCase& c, std::span<const int32_t> targets) {
  if (c.attributes().value("reduction", "mean") == "sum") return 1.0f;
  return 1.0f / static_cast<float>(qat::CountTargets(targets, OptionsOf(c)));
}

void CompareLoss(const TrainingCase& c, double sum, double scale,
                 Comparison& comparison) {
  const auto loss = static_cast<float>(sum * scale);
  c.Compare("y", {&loss, 1}, comparison);
}

void ReplayCrossEntropy(const TrainingCase& c, Comparison& comparison) {
  const auto x = c.Load<float>("x");
  const auto targets = c.Load<int32_t>("targets");
  const auto teacher =
      c.Has("teacher") ? c.Load<float>("teacher") : std::vector<float>();
  const ClassificationOptions options = OptionsOf(c);
  const float scale = ScaleOf(c, targets);
  qat::CheckTargets(targets, x.size() / targets.size(), options);
  std::vector<float> gradient(x.size());
  const auto loss =
      qat::SoftmaxCrossEntropy(x, targets, options, scale, gradient, teacher);
  CompareLoss(c, loss.loss, scale, comparison);
  c.Compare("dx", gradient, comparison);
}

void ReplayLinearCrossEntropy(const TrainingCase& c, Comparison& comparison) {
  const auto x = c.Load<float>("x");
  const auto weight = c.Load<float>("weight");
  const auto targets = c.Load<int32_t>("targets");
  const auto classes = static_cast<size_t>(c.Shape("weight").at(0));
  const float scale = ScaleOf(c, targets);
  std::vector<float> dx(x.size());
  std::vector<float> dweight(weight.size());
  qat::LinearCrossEntropy head(classes, OptionsOf(c), nullptr);
  const auto loss =
      head.Run({x.data(), x.size() / targets.size(), weight.data()}, targets,
               scale, {dx.data(), dweight.data()});
  CompareLoss(c, loss.loss, scale, comparison);
  c.Compare("dx", dx, comparison);
  c.Compare("dweight", dweight, comparison);
}

// One matrix is the embedding of a program and the layer of its loss.
void ReplayTiedEmbedding(const TrainingCase& c, Comparison& comparison) {
  Graph graph;
  graph.inputs = {{"ids", ValueType::kInt32, {}}};
  graph.nodes = {{OpType::kEmbedding, {"ids"}, "x", "weight", ""}};
  graph.outputs = {"x"};
  qat::TensorMap parameters;
  qat::Tensor& weight =
      parameters.try_emplace("weight", c.Shape("weight")).first->second;
  weight.values = c.Load<float>("weight");
  const auto ids = c.Load<int32_t>("ids");
  const auto targets = c.Load<int32_t>("targets");
  const float scale = ScaleOf(c, targets);
  qat::TrainingProgram program(graph, parameters, {});
  const std::array<const void*, 1> inputs{ids.data()};
  program.Forward(ids.size(), inputs);
  const std::span<const float> x = program.Output(0);
  std::vector<float> dx(x.size());
  std::vector<float> dweight(weight.values.size());
  qat::LinearCrossEntropy head(static_cast<size_t>(weight.shape[0]),
                               OptionsOf(c), nullptr);
  const auto loss =
      head.Run({x.data(), x.size() / ids.size(), weight.values.data()}, targets,
               scale, {dx.data(), dweight.data()});
  const std::array<const float*, 1> gradients{dx.data()};
  program.Backward(gradients);
  const auto& of_embedding = program.gradients().find("weight")->second.values;
  for (size_t i = 0; i < dweight.size(); ++i) dweight[i] += of_embedding[i];
  CompareLoss(c, loss.loss, scale, comparison);
  c.Compare("dweight", dweight, comparison);
}

void ReplaySquaredError(const TrainingCase& c, Comparison& comparison) {
  const auto x = c.Load<float>("x");
  const auto target = c.Load<float>("target");
  std::vector<float> dx(x.size());
  std::vector<float> dtarget(x.size());
  const float scale = 1.0f / static_cast<float>(x.size());
  CompareLoss(c, qat::SquaredError(x, target, scale, dx, dtarget), scale,
              comparison);
  c.Compare("dx", dx, comparison);
  c.Compare("dtarget", dtarget, comparison);
}

}  // namespace

LossReplay FindLoss(const std::string& op) {
  if (op == "cross_entropy" || op == "distillation") return ReplayCrossEntropy;
  if (op == "linear_cross_entropy") return ReplayLinearCrossEntropy;
  if (op == "tied_embedding") return ReplayTiedEmbedding;
  if (op == "mean_squared_error") return ReplaySquaredError;
  return nullptr;
}

}  // namespace lutra::golden
