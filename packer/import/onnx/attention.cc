#include "packer/import/onnx/attention.h"

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

// What masks add to hide a token: scores are nowhere near.
constexpr double kHidden = -1000;

bool IsTokens(const std::vector<Axis>& dim) {
  return dim.size() == 1 && dim[0].is_row();
}

View Swapped(View view) {
  std::swap(view.dims[view.dims.size() - 2], view.dims.back());
  return view;
}

Operand OfScores(Value value, Scores scores) {
  Operand operand{std::nullopt, std::move(value)};
  operand.dynamic = DynamicPart{DynamicPart::Kind::kScores, ""};
  operand.dynamic->scores = std::make_shared<Scores>(std::move(scores));
  return operand;
}

// The scores of a node of two inputs, and the place of the other one.
struct ScoresInput {
  Operand operand;
  size_t other = 0;
};

std::optional<ScoresInput> ScoresOf(const OnnxContext& node) {
  for (const size_t i : {size_t{0}, size_t{1}}) {
    Operand operand = node.Input(i);
    if (operand.scores() == nullptr) continue;
    if (operand.scores()->softmax) {
      throw Unsupported{"weights of tokens that are computed with"};
    }
    return ScoresInput{std::move(operand), 1 - i};
  }
  return std::nullopt;
}

SeenTokens Both(const SeenTokens& a, const SeenTokens& b) {
  SeenTokens both = a;
  both.past_only = a.past_only || b.past_only;
  if (b.window != 0 && (a.window == 0 || b.window < a.window)) {
    both.window = b.window;
  }
  return both;
}

// Input `mask` is one of sizes, or a constant for tokens of any number.
SeenTokens SeenBy(const OnnxContext& node, size_t mask,
                  const std::function<bool(double)>& lets_through) {
  const Operand operand = node.Input(mask);
  if (operand.by_sizes() != nullptr) {
    return node.texts()->Seen(node.node().inputs[mask], lets_through);
  }
  const Constant constant = node.ConstantAt(mask);
  std::vector<float> values;
  if (constant.is_float()) {
    values = constant.Floats();
  } else {
    for (const int64_t value : constant.Integers()) {
      values.push_back(static_cast<float>(value));
    }
  }
  for (const float value : values) {
    if (!lets_through(double{value})) {
      throw Unsupported{"a mask of a fixed size"};
    }
  }
  return {};
}

void SetMasked(const OnnxContext& node, const ScoresInput& input,
               const SeenTokens& seen) {
  Scores scores = *input.operand.scores();
  scores.seen = Both(scores.seen, seen);
  node.SetOutput(OfScores(*input.operand.value, std::move(scores)));
}

}  // namespace

bool MatMulOfTokens(const OnnxContext& node) {
  const Operand a = node.Input(0);
  const Operand b = node.Input(1);
  if (const Scores* const scores = a.scores()) {
    if (!scores->softmax) {
      throw Unsupported{"products of tokens without softmax"};
    }
    node.SetOutput(node.net().Attention(
        scores->queries, scores->keys, node.ValueAt(1), scores->scale,
        scores->seen.past_only, scores->seen.window));
    return true;
  }
  if (node.texts() == nullptr || !a.value || !b.value || a.dynamic ||
      b.dynamic || a.view().dims.size() < 2 || b.view().dims.size() < 2) {
    return false;
  }
  const std::vector<Axis>& queries = a.view().dims[a.view().dims.size() - 2];
  const std::vector<Axis>& keys = b.view().dims.back();
  const int tokens = node.texts()->steps_row();
  if (!IsTokens(queries) || !IsTokens(keys) ||
      (queries[0].row != tokens && keys[0].row != tokens)) {
    return false;
  }
  if (queries[0].row != keys[0].row) {
    throw Unsupported{"attention of one text to another"};
  }
  Value value = node.ValueAt(0);
  Scores scores;
  scores.queries = value;
  scores.keys = node.ValueAt(1);
  scores.keys.view = Swapped(scores.keys.view);
  value.view.dims.back() = keys;
  node.SetOutput(OfScores(std::move(value), std::move(scores)));
  return true;
}

bool ScaleScores(const OnnxContext& node) {
  const bool divides = node.node().op == "Div";
  if (!divides && node.node().op != "Mul") return false;
  const auto input = ScoresOf(node);
  if (!input) return false;
  if (divides && input->other == 0) {
    throw Unsupported{"a number divided by scores of tokens"};
  }
  const auto number = double{node.NumberAt(input->other)};
  Scores scores = *input->operand.scores();
  if (scores.seen.past_only || scores.seen.window != 0) {
    throw Unsupported{"scores of tokens that are scaled behind a mask"};
  }
  scores.scale *= divides ? 1 / number : number;
  node.SetOutput(OfScores(*input->operand.value, std::move(scores)));
  return true;
}

bool MaskScores(const OnnxContext& node) {
  const auto input = ScoresOf(node);
  if (!input) return false;
  if (node.node().op != "Add") {
    throw Unsupported{"scores of tokens that are computed with"};
  }
  SetMasked(node, *input, SeenBy(node, input->other, [](double added) {
              if (added != 0 && !(added <= kHidden)) {
                throw Unsupported{"scores of tokens with numbers added"};
              }
              return added == 0;
            }));
  return true;
}

bool ChooseScores(const OnnxContext& node) {
  for (const size_t chosen : {size_t{1}, size_t{2}}) {
    const Operand operand = node.Input(chosen);
    if (operand.scores() == nullptr) continue;
    if (operand.scores()->softmax || !(node.NumberAt(3 - chosen) <= kHidden)) {
      throw Unsupported{"scores of tokens that are computed with"};
    }
    const bool first = chosen == 1;
    SetMasked(node, {operand, 0},
              SeenBy(node, 0, [=](double bit) { return (bit != 0) == first; }));
    return true;
  }
  return false;
}

bool SoftmaxOfScores(const OnnxContext& node) {
  const Operand operand = node.Input(0);
  if (operand.scores() == nullptr) return false;
  const size_t rank = operand.view().dims.size();
  const bool old = node.opset() < 13;
  if (operand.scores()->softmax ||
      node.Dim(node.Integer("axis", old ? 1 : -1), rank) + 1 != rank) {
    throw Unsupported{"scores of tokens that are computed with"};
  }
  Scores scores = *operand.scores();
  scores.softmax = true;
  node.SetOutput(OfScores(*operand.value, std::move(scores)));
  return true;
}

}  // namespace lutra::packer
