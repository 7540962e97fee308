// Routed experts (Shazeer et al., "Outrageously Large Neural Networks", 2017):
// a token's `count` best of many are chosen, the matrices of these alone are
// multiplied, and their outputs are summed. Routes are [2 * count]: the numbers
// of the chosen, the best first, and then their weights.

#include "runtime/ops/experts.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/base/checked_math.h"
#include "lutra/kernels/vector_ops.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/base/out_of_memory.h"
#include "runtime/base/text_of.h"
#include "runtime/ops/matrix_product.h"
#include "runtime/ops/operators.h"
#include "runtime/ops/weight.h"

namespace lutra {
namespace {

constexpr size_t kMaxChosen = 1024;
// Their numbers are floats, which hold each up to here.
constexpr size_t kMaxExperts = size_t{1} << 24;

// The number of chosen experts of a value that holds routes.
size_t Count(const ValueInfo& routes) { return routes.ElementCount() / 2; }

void CheckRoutes(const Model& model, const Node& node,
                 const ValueInfo& routes) {
  CheckFloatInput(model, node, routes, 1);
  if (routes.ElementCount() % 2 != 0 || Count(routes) > kMaxChosen) {
    throw NodeError(model, node,
                    TextOf("input '", routes.name, "' of shape ",
                           ShapeToString(routes.shape),
                           " is not numbers and weights of up to ", kMaxChosen,
                           " experts"));
  }
}

// ---- route ----

class RouteStep : public Step {
 public:
  RouteStep(const Model& model, const Node& node, const Binding& binding)
      : experts_(model.value(node.inputs[0]).ElementCount()),
        count_(CountAttribute(node, "count")),
        over_all_(WordAttribute(node, "over") == "all"),
        scales_(node.weight.empty() ? nullptr
                                    : GetVector(model, node.weight, experts_,
                                                "scales of experts")),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        scratch_(static_cast<float*>(binding.scratch)) {}

  void Run(size_t m, const Call&) override {
    for (size_t row = 0; row < m; ++row)
      Row(x_ + row * experts_, y_ + row * 2 * count_);
  }

 private:
  void Row(const float* logits, float* numbers) const {
    float* const weights = numbers + count_;
    for (size_t i = 0; i < count_; ++i) {
      size_t best = experts_;
      for (size_t e = 0; e < experts_; ++e) {
        const auto* chosen_end = numbers + i;
        if (std::find(numbers, numbers + i, static_cast<float>(e)) !=
            chosen_end) {
          continue;
        }
        if (best == experts_ || logits[e] > logits[best]) best = e;
      }
      numbers[i] = static_cast<float>(best);
      weights[i] = logits[best];
    }
    if (over_all_) {
      kernels::SoftmaxRow(logits, experts_, scratch_);
      for (size_t i = 0; i < count_; ++i) {
        weights[i] = scratch_[static_cast<size_t>(numbers[i])];
      }
    } else {
      kernels::SoftmaxRow(weights, count_, weights);
    }
    if (scales_ == nullptr) return;
    for (size_t i = 0; i < count_; ++i) {
      weights[i] *= scales_[static_cast<size_t>(numbers[i])];
    }
  }

  size_t experts_;
  size_t count_;
  bool over_all_;
  const float* scales_;  // [experts], or nullptr
  const float* x_;
  float* y_;
  float* scratch_;  // [experts]
};

class Route : public Operator {
 public:
  Route()
      : Operator({.name = "route",
                  .weight = TensorUse::kOptional,
                  .attributes = {{.name = "count",
                                  .kind = AttributeKind::kCount,
                                  .low = 1,
                                  .high = kMaxChosen},
                                 {.name = "over",
                                  .kind = AttributeKind::kWord,
                                  .words = "all chosen"}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0], 1);
    const size_t experts = inputs[0]->ElementCount();
    const size_t count = CountAttribute(node, "count");
    if (count > experts || experts > kMaxExperts) {
      throw NodeError(
          model, node,
          TextOf(count, " cannot be chosen of ", experts, " experts"));
    }
    if (!node.weight.empty()) {
      GetVector(model, node.weight, experts, "scales of experts");
    }
    return {static_cast<int64_t>(2 * count)};
  }

  size_t ScratchBytes(const Model& model, const Node& node, const Execution&,
                      size_t) const override {
    return model.value(node.inputs[0]).ElementCount() * sizeof(float);
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution&,
                             const Binding& binding) const override {
    return std::make_unique<RouteStep>(model, node, binding);
  }
};

// ---- expert_linear ----

// Parts of an expert_linear's scratch, for up to `m` rows.
struct ExpertScratch {
  ExpertScratch(const Model& model, const Node& node,
                const Execution& execution, size_t m)
      : jobs(MemorySize({m, Count(model.value(node.inputs[1]))}, kWhat)),
        inputs(RoundUpToAlignment(MemorySize(
            {jobs, GetWeight(model, node.weight).k, sizeof(float)}, kWhat))),
        outputs(RoundUpToAlignment(MemorySize(
            {jobs, static_cast<size_t>(model.value(node.output).shape.back()),
             sizeof(float)},
            kWhat))),
        order(RoundUpToAlignment(jobs * sizeof(uint32_t))),
        starts(RoundUpToAlignment((CountAttribute(node, "experts") + 1) *
                                  sizeof(uint32_t))),
        product(MatrixProduct::ScratchBytes(model, node, execution, jobs)) {}

  size_t Bytes() const {
    size_t sum = 0;
    for (const size_t part : {inputs, outputs, order, starts, product}) {
      const auto next = CheckedAdd(sum, part);
      if (!next) throw OutOfMemory(TextOf(kWhat, " overflows memory"));
      sum = *next;
    }
    return sum;
  }

  static constexpr const char* kWhat = "the work of experts";

  size_t jobs;  // products of one row with one expert
  size_t inputs;
  size_t outputs;
  size_t order;
  size_t starts;
  size_t product;
};

class ExpertLinearStep : public Step {
 public:
  ExpertLinearStep(const Model& model, const Node& node,
                   const Execution& execution, const Binding& binding)
      : model_(model),
        node_(node),
        execution_(execution),
        experts_(CountAttribute(node, "experts")),
        count_(Count(model.value(node.inputs[1]))),
        rows_(static_cast<uint32_t>(model.value(node.output).shape.back())),
        own_inputs_(model.value(node.inputs[0]).shape.size() == 2),
        x_(static_cast<const float*>(binding.inputs[0])),
        routes_(static_cast<const float*>(binding.inputs[1])),
        y_(binding.output),
        parts_(model, node, execution, binding.m),
        scratch_(static_cast<std::byte*>(binding.scratch)),
        product_(model, node, execution, parts_.jobs,
                 scratch_ + parts_.inputs + parts_.outputs + parts_.order +
                     parts_.starts) {}

  // All rows of an expert together: its weights are so read once.
  void Run(size_t m, const Call&) override {
    auto* const inputs = reinterpret_cast<float*>(scratch_);
    auto* const outputs = reinterpret_cast<float*>(scratch_ + parts_.inputs);
    auto* const order =
        reinterpret_cast<uint32_t*>(scratch_ + parts_.inputs + parts_.outputs);
    auto* const starts = reinterpret_cast<uint32_t*>(
        scratch_ + parts_.inputs + parts_.outputs + parts_.order);
    const size_t jobs = m * count_;
    std::fill(starts, starts + experts_ + 1, 0u);
    for (size_t job = 0; job < jobs; ++job) ++starts[ExpertOf(job) + 1];
    for (size_t e = 0; e < experts_; ++e) starts[e + 1] += starts[e];
    // Each start moves to its expert's end, which is the next one's start.
    for (size_t job = 0; job < jobs; ++job) {
      order[starts[ExpertOf(job)]++] = static_cast<uint32_t>(job);
    }
    const size_t k = product_.weight().k;
    for (size_t i = 0; i < jobs; ++i) {
      const size_t row = own_inputs_ ? order[i] : order[i] / count_;
      std::copy(x_ + row * k, x_ + (row + 1) * k, inputs + i * k);
    }
    uint32_t begin = 0;
    for (size_t e = 0; e < experts_; ++e) {
      const uint32_t end = starts[e];
      if (end == begin) continue;
      execution_.CheckCancelled();
      product_.RunRows(static_cast<uint32_t>(e) * rows_, rows_,
                       inputs + begin * k, end - begin,
                       outputs + size_t{begin} * rows_);
      begin = end;
    }
    for (size_t i = 0; i < jobs; ++i) {
      std::copy(outputs + i * rows_, outputs + (i + 1) * rows_,
                y_ + size_t{order[i]} * rows_);
    }
  }

  StepCost Cost(size_t m, const Call&) const override {
    const StepCost all = product_.Cost(1);
    const size_t used = std::min(m * count_, experts_);
    return {.bytes = all.bytes / experts_ * used,
            .multiply_adds = all.multiply_adds / experts_ * m * count_};
  }

 private:
  // Throws for what is no number of an expert.
  size_t ExpertOf(size_t job) const {
    const float number = routes_[job / count_ * 2 * count_ + job % count_];
    if (number >= 0.0f && number < static_cast<float>(experts_)) {
      return static_cast<size_t>(number);
    }
    throw NodeError(model_, node_,
                    TextOf("there is no expert ", std::to_string(number)));
  }

  const Model& model_;
  const Node& node_;
  Execution execution_;
  size_t experts_;
  size_t count_;
  uint32_t rows_;  // of an expert's matrix
  bool own_inputs_;
  const float* x_;       // [m, K], or [m, count, K]
  const float* routes_;  // [m, 2 * count]
  float* y_;             // [m, count, rows]
  ExpertScratch parts_;
  std::byte* scratch_;
  MatrixProduct product_;
};

class ExpertLinear : public Operator {
 public:
  ExpertLinear()
      : Operator({.name = "expert_linear",
                  .inputs = 2,
                  .weight = TensorUse::kRequired,
                  .bias = TensorUse::kOptional,
                  .packable = true,
                  .attributes = Attributes()}) {}

  static std::vector<AttributeSchema> Attributes() {
    std::vector<AttributeSchema> attributes = InputAttributes();
    attributes.push_back(RequiredCount("experts"));
    return attributes;
  }

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0]);
    CheckInputQuantization(model, node);
    CheckRoutes(model, node, *inputs[1]);
    const auto count = static_cast<int64_t>(Count(*inputs[1]));
    const std::vector<int64_t>& shape = inputs[0]->shape;
    const Weight w = GetWeight(model, node.weight);
    const size_t experts = CountAttribute(node, "experts");
    const bool fits =
        !shape.empty() && shape.back() == int64_t{w.k} &&
        (shape.size() == 1 || (shape.size() == 2 && shape[0] == count));
    if (!fits || w.n % experts != 0) {
      throw NodeError(
          model, node,
          TextOf("input '", inputs[0]->name, "' of shape ",
                 ShapeToString(shape), " and ", count,
                 " routes do not fit the weight '", node.weight, "' of shape [",
                 w.n, ", ", w.k, "], ", experts, " experts"));
    }
    const auto rows = static_cast<int64_t>(w.n / experts);
    if (w.packed != nullptr &&
        static_cast<size_t>(rows) % kernels::kBlockRows != 0) {
      throw NodeError(
          model, node,
          TextOf("a packed weight needs experts of a multiple of ",
                 kernels::kBlockRows, " rows, and these have ", rows));
    }
    GetBias(model, node, w.n);
    return {count, rows};
  }

  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution, size_t m) const override {
    return ExpertScratch(model, node, execution, m).Bytes();
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<ExpertLinearStep>(model, node, execution, binding);
  }
};

// ---- expert_sum ----

class ExpertSumStep : public Step {
 public:
  ExpertSumStep(const Model& model, const Node& node, const Binding& binding)
      : count_(Count(model.value(node.inputs[1]))),
        width_(model.value(node.output).ElementCount()),
        x_(static_cast<const float*>(binding.inputs[0])),
        routes_(static_cast<const float*>(binding.inputs[1])),
        y_(binding.output) {}

  void Run(size_t m, const Call&) override {
    for (size_t row = 0; row < m; ++row) {
      float* __restrict y = y_ + row * width_;
      std::fill(y, y + width_, 0.0f);
      for (size_t i = 0; i < count_; ++i) {
        const float weight = routes_[row * 2 * count_ + count_ + i];
        const float* __restrict x = x_ + (row * count_ + i) * width_;
        for (size_t j = 0; j < width_; ++j) y[j] += weight * x[j];
      }
    }
  }

 private:
  size_t count_;
  size_t width_;
  const float* x_;       // [m, count, width]
  const float* routes_;  // [m, 2 * count]
  float* y_;
};

class ExpertSum : public Operator {
 public:
  ExpertSum() : Operator({.name = "expert_sum", .inputs = 2}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0], 2);
    CheckRoutes(model, node, *inputs[1]);
    if (inputs[0]->shape[0] != static_cast<int64_t>(Count(*inputs[1]))) {
      throw NodeError(
          model, node,
          TextOf("input '", inputs[0]->name, "' of shape ",
                 ShapeToString(inputs[0]->shape),
                 " is not one row for each of ", Count(*inputs[1]), " routes"));
    }
    return {inputs[0]->shape[1]};
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution&,
                             const Binding& binding) const override {
    return std::make_unique<ExpertSumStep>(model, node, binding);
  }
};

}  // namespace

void ReferenceRoute(std::span<const float> logits, size_t count, bool over_all,
                    const float* scales, float* routes) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [logits](size_t a, size_t b) {
    return logits[a] > logits[b];
  });
  std::vector<float> weights;
  for (size_t i = 0; i < (over_all ? logits.size() : count); ++i) {
    weights.push_back(logits[over_all ? i : order[i]]);
  }
  kernels::SoftmaxRow(weights.data(), weights.size(), weights.data());
  for (size_t i = 0; i < count; ++i) {
    routes[i] = static_cast<float>(order[i]);
    routes[count + i] = weights[over_all ? order[i] : i];
    if (scales != nullptr) routes[count + i] *= scales[order[i]];
  }
}

void ReferenceExpertSum(std::span<const float> x,
                        std::span<const float> weights, float* y) {
  const size_t width = x.size() / weights.size();
  for (size_t j = 0; j < width; ++j) {
    y[j] = 0.0f;
    for (size_t i = 0; i < weights.size(); ++i) {
      y[j] += weights[i] * x[i * width + j];
    }
  }
}

const Operator& RouteOperator() {
  static const Route op;
  return op;
}

const Operator& ExpertLinearOperator() {
  static const ExpertLinear op;
  return op;
}

const Operator& ExpertSumOperator() {
  static const ExpertSum op;
  return op;
}

}  // namespace lutra
