// Operators that compute element by element.

#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/network/broadcast.h"
#include "packer/import/onnx/attention.h"
#include "packer/import/onnx/onnx_node.h"

namespace lutra::packer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

void CheckFloat(const Constant& constant) {
  if (constant.is_float()) return;
  throw Error("mixes numbers of types " +
              std::string(Name(constant.elements.type)) + " and float32");
}

// The numbers of a constant through a function, once they are needed.
Constant Mapped(const Constant& constant, float (*function)(float)) {
  CheckFloat(constant);
  std::vector<float> values = constant.Floats();
  for (float& value : values) value = function(value);
  const std::vector<int64_t> shape = ShapeOf(constant.view);
  return MakeConstant(constant.name, Elements::Of(std::move(values)), shape);
}

template <OpType kOp>
void Function(OnnxContext& node) {
  node.SetOutput(node.net().Unary(kOp, node.ValueAt(0)));
}

void Gelu(OnnxContext& node) {
  const bool tanh = node.Text("approximate", "none") == "tanh";
  node.SetOutput(node.net().Unary(tanh ? OpType::kGeluTanh : OpType::kGelu,
                                  node.ValueAt(0)));
}

void Identity(OnnxContext& node) {
  // A mask, too, in training only.
  if (node.WantsOutput(1)) throw Unsupported{"its second output"};
  node.SetOutput(node.Input(0));
}

void Cast(OnnxContext& node) {
  const auto type = OnnxType(node.Integer("to", 0));
  if (!type) throw Unsupported{"a cast to a type that is not known"};
  Operand operand = node.Input(0);
  // Sums of products are as exact as floats as they are as whole numbers.
  if (operand.dynamic && operand.dynamic->kind != DynamicPart::Kind::kNumbers &&
      operand.dynamic->kind != DynamicPart::Kind::kZero && IsFloat(*type)) {
    return node.SetOutput(std::move(operand));
  }
  if (operand.dynamic) throw Unsupported{"a cast of quantized values"};
  if (operand.value) {
    const bool same = operand.value->ids ? !IsFloat(*type) && BitsOf(*type) > 16
                                         : IsFloat(*type);
    if (!same || operand.value->grid) {
      throw Unsupported{"a cast of computed values"};
    }
    // Halves are computed as floats.
    node.SetOutput(std::move(operand));
    return;
  }
  Constant& constant = *operand.constant;
  if (constant.is_float() == IsFloat(*type)) {
    node.SetOutput(std::move(operand));
    return;
  }
  if (!constant.is_float()) {
    for (const int64_t value : constant.Integers()) {
      if (IsUnknownSize(value)) {
        throw Unsupported{"a size computed from that of the batch"};
      }
    }
  }
  const std::vector<int64_t> shape = ShapeOf(constant.view);
  Elements elements;
  if (IsFloat(*type)) {
    elements = Elements::Of(constant.Floats());
  } else {
    std::vector<int64_t> values;
    for (const float value : constant.Floats()) {
      if (!(std::abs(value) < 9e18f)) throw Error("casts a number too large");
      values.push_back(static_cast<int64_t>(value));
    }
    elements = Elements::Of(std::move(values));
  }
  node.SetOutput(MakeConstant(constant.name, std::move(elements), shape));
}

Value Clamped(const OnnxContext& node, const Value& x, float low, float high) {
  if (std::isnan(low) || std::isnan(high) || low > high) {
    throw Error("clips to an empty range");
  }
  constexpr float kLargest = 1e12f;  // of the runtime's attribute
  Attributes attributes;
  if (low >= -kLargest) attributes["low"] = double{low};
  if (high <= kLargest) attributes["high"] = double{high};
  if (low == 0 && high > kLargest) return node.net().Unary(OpType::kRelu, x);
  return node.net().Unary(OpType::kClamp, x, attributes);
}

void Clip(OnnxContext& node) {
  const float low =
      node.Has(1) ? node.NumberAt(1) : node.Number("min", -kInfinity);
  const float high =
      node.Has(2) ? node.NumberAt(2) : node.Number("max", kInfinity);
  node.SetOutput(Clamped(node, node.ValueAt(0), low, high));
}

// max(x, number) and min(x, number).
template <bool kMax>
void Bound(OnnxContext& node) {
  const size_t constant = node.IsConstant(0) ? 0 : 1;
  const float bound = node.NumberAt(constant);
  node.SetOutput(Clamped(node, node.ValueAt(1 - constant),
                         kMax ? bound : -kInfinity, kMax ? kInfinity : bound));
}

// a + b, a - b, a * b and a / b of numbers that are known.
enum class Arithmetic { kAdd, kSubtract, kMultiply, kDivide };

template <typename T>
T Compute(Arithmetic arithmetic, T a, T b) {
  switch (arithmetic) {
    case Arithmetic::kAdd:
      return a + b;
    case Arithmetic::kSubtract:
      return a - b;
    case Arithmetic::kMultiply:
      return a * b;
    case Arithmetic::kDivide:
      return a / b;
  }
  return a;
}

int64_t ComputeInteger(Arithmetic arithmetic, int64_t a, int64_t b) {
  constexpr int64_t kLargest = int64_t{1} << 31;
  if (IsUnknownSize(a) || IsUnknownSize(b)) {
    throw Unsupported{"a size computed from that of the batch"};
  }
  if (std::abs(a) > kLargest || std::abs(b) > kLargest) {
    throw Error("computes with numbers above 2^31");
  }
  if (arithmetic == Arithmetic::kDivide && b == 0) throw Error("divides by 0");
  return Compute(arithmetic, a, b);
}

Constant Known(Arithmetic arithmetic, const Constant& a, const Constant& b) {
  if (a.is_float() != b.is_float()) CheckFloat(a.is_float() ? b : a);
  if (a.is_float()) {
    return Combined<float>(
        "", a, b, [=](float x, float y) { return Compute(arithmetic, x, y); });
  }
  return Combined<int64_t>("", a, b, [=](int64_t x, int64_t y) {
    return ComputeInteger(arithmetic, x, y);
  });
}

// The constant where the factor is 1, else 0, also of what is not finite.
Constant Chosen(const Constant& factor, const Constant& constant) {
  CheckFloat(constant);
  return Combined<float>(constant.name, factor, constant,
                         [](float f, float x) { return f != 0 ? x : 0.0f; });
}

float Reciprocal(float x) { return 1 / x; }
float Negative(float x) { return -x; }

// x to the power of a multiple of a half.
Value Power(const OnnxContext& node, const Value& x, double exponent) {
  if (exponent == 1) return x;
  if (exponent == 2) return node.net().Binary(OpType::kMul, x, x);
  constexpr double kLargest = 8;  // of the runtime's attribute
  if (!(std::abs(exponent) <= kLargest) ||
      2 * exponent != std::floor(2 * exponent)) {
    throw Unsupported{"an exponent that is no multiple of 1/2 up to 8"};
  }
  return node.net().Unary(OpType::kPower, x, {{"exponent", exponent}});
}

void Sqrt(OnnxContext& node) {
  node.SetOutput(Power(node, node.ValueAt(0), 0.5));
}

void ReciprocalOf(OnnxContext& node) {
  node.SetOutput(Power(node, node.ValueAt(0), -1));
}

// x * sigmoid(x), in either order: the node that is the sigmoid of the other.
std::optional<size_t> SiluInput(const OnnxContext& node) {
  for (const size_t i : {size_t{0}, size_t{1}}) {
    const OnnxNode* maker = node.Maker(1 - i);
    if (maker != nullptr && maker->FullName() == "Sigmoid" &&
        maker->inputs.size() == 1 &&
        maker->inputs[0] == node.node().inputs[i]) {
      return i;
    }
  }
  return std::nullopt;
}

// A product with a factor that is not known as a number: a scale of what
// DynamicQuantizeLinear has quantized times a constant, and products of such
// numbers times constants and their scale. False if it is none of these.
bool MultiplyDynamic(OnnxContext& node) {
  using Kind = DynamicPart::Kind;
  Operand a = node.Input(0);
  Operand b = node.Input(1);
  if (!a.is_quantized()) std::swap(a, b);
  if (!a.is_quantized()) return false;
  const auto is = [](const Operand& operand, Kind kind) {
    return operand.dynamic && operand.dynamic->kind == kind;
  };
  if (is(a, Kind::kScale) && is(b, Kind::kProduct)) std::swap(a, b);
  if (is(a, Kind::kProduct) && is(b, Kind::kScale) &&
      a.dynamic->scale == b.dynamic->scale) {
    node.SetOutput(node.net().Affine(*a.value, &*b.constant, nullptr));
    return true;
  }
  if (b.dynamic || !b.constant) {
    throw Unsupported{"quantized values with a factor that is computed"};
  }
  CheckFloat(*b.constant);
  if (is(a, Kind::kScale)) {
    a.constant = Known(Arithmetic::kMultiply, *a.constant, *b.constant);
    node.SetOutput(std::move(a));
    return true;
  }
  if (!is(a, Kind::kProduct)) {
    throw Unsupported{"whole numbers of a quantized value as such"};
  }
  *a.value = node.net().Affine(*a.value, &*b.constant, nullptr);
  node.SetOutput(std::move(a));
  return true;
}

template <Arithmetic kArithmetic>
void Binary(OnnxContext& node) {
  if (ScaleScores(node) || MaskScores(node)) return;
  if (kArithmetic == Arithmetic::kMultiply && MultiplyDynamic(node)) return;
  if (node.AllConstant()) {
    Constant result =
        Known(kArithmetic, node.ConstantAt(0), node.ConstantAt(1));
    node.net().Spend(static_cast<double>(result.Count()));
    result.name = node.node().outputs[0];
    node.SetOutput(std::move(result));
    return;
  }
  NetworkBuilder& net = node.net();
  if (!node.IsConstant(0) && !node.IsConstant(1)) {
    const Value a = node.ValueAt(0);
    const Value b = node.ValueAt(1);
    switch (kArithmetic) {
      case Arithmetic::kAdd:
        return node.SetOutput(net.Binary(OpType::kAdd, a, b));
      case Arithmetic::kSubtract:
        return node.SetOutput(net.Binary(OpType::kAdd, a, net.Scaled(b, -1)));
      case Arithmetic::kMultiply:
        if (const auto input = SiluInput(node)) {
          return node.SetOutput(net.Unary(OpType::kSilu, *input == 0 ? a : b));
        }
        return node.SetOutput(net.Binary(OpType::kMul, a, b));
      case Arithmetic::kDivide:
        return node.SetOutput(net.Binary(OpType::kMul, a, Power(node, b, -1)));
    }
  }
  const size_t known = node.IsConstant(0) ? 0 : 1;
  const Constant constant = node.ConstantAt(known);
  const Value x = node.ValueAt(1 - known);
  CheckFloat(constant);
  switch (kArithmetic) {
    case Arithmetic::kAdd:
      return node.SetOutput(net.Affine(x, nullptr, &constant));
    case Arithmetic::kSubtract: {
      if (known == 0) {
        const Constant minus = ScalarConstant(-1);
        return node.SetOutput(net.Affine(x, &minus, &constant));
      }
      const Constant negative = Mapped(constant, Negative);
      return node.SetOutput(net.Affine(x, nullptr, &negative));
    }
    case Arithmetic::kMultiply:
      return node.SetOutput(net.Affine(x, &constant, nullptr));
    case Arithmetic::kDivide: {
      if (known == 0) {
        return node.SetOutput(
            net.Affine(Power(node, x, -1), &constant, nullptr));
      }
      const Constant inverse = Mapped(constant, Reciprocal);
      return node.SetOutput(net.Affine(x, &inverse, nullptr));
    }
  }
}

void Neg(OnnxContext& node) {
  if (node.IsConstant(0)) {
    return node.SetOutput(Mapped(node.ConstantAt(0), Negative));
  }
  node.SetOutput(node.net().Scaled(node.ValueAt(0), -1));
}

void Pow(OnnxContext& node) {
  node.SetOutput(Power(node, node.ValueAt(0), double{node.NumberAt(1)}));
}

void IsNaN(OnnxContext& node) {
  const Operand scores = node.Input(0);
  if (scores.scores() != nullptr && scores.scores()->softmax) {
    return node.SetOutput(scores);  // for ReplacesNaN
  }
  node.SetOutput(Operand{std::nullopt, node.ValueAt(0),
                         DynamicPart{DynamicPart::Kind::kIsNaN, ""}});
}

// 0 where a softmax gives no number, which is where it sees nothing.
bool ReplacesNaN(OnnxContext& node) {
  const Operand mask = node.Input(0);
  if (mask.scores() != nullptr) {
    // A token sees itself.
    const Operand same = node.Input(2);
    if (same.scores() != mask.scores() || node.NumberAt(1) != 0) {
      throw Unsupported{"other values where there is no number"};
    }
    node.SetOutput(same);
    return true;
  }
  if (!mask.dynamic || mask.dynamic->kind != DynamicPart::Kind::kIsNaN) {
    return false;
  }
  const Value x = node.ValueAt(2);
  if (mask.value->name != x.name || mask.value->view != x.view ||
      node.NumberAt(1) != 0) {
    throw Unsupported{"other values where there is no number"};
  }
  node.net().SetZeroIfEmpty(x);
  node.SetOutput(x);
  return true;
}

// Where a mask that is known says so the second input, else the third.
void Where(OnnxContext& node) {
  if (ReplacesNaN(node) || ChooseScores(node)) return;
  const Constant mask = node.ConstantAt(0);
  std::vector<float> chosen;
  std::vector<float> others;
  for (const int64_t bit : mask.Integers()) {
    chosen.push_back(bit != 0 ? 1.0f : 0.0f);
    others.push_back(bit != 0 ? 0.0f : 1.0f);
  }
  const std::vector<int64_t> shape = ShapeOf(mask.view);
  std::optional<Value> sum;
  std::optional<Constant> known;
  for (const size_t input : {size_t{1}, size_t{2}}) {
    const Constant factor = MakeConstant(
        mask.name, Elements::Of(input == 1 ? chosen : others), shape);
    if (node.IsConstant(input)) {
      known = Chosen(factor, node.ConstantAt(input));
      continue;
    }
    const Value part = node.net().Affine(node.ValueAt(input), &factor, nullptr);
    sum = sum ? node.net().Binary(OpType::kAdd, *sum, part) : part;
  }
  if (known) sum = node.net().Affine(*sum, nullptr, &*known);
  node.SetOutput(*std::move(sum));
}

// relu(x) - slope * relu(-x).
Value Leaky(const OnnxContext& node, const Constant& slope) {
  NetworkBuilder& net = node.net();
  Value x = node.ValueAt(0);
  x.sole = false;
  const Value below = net.Unary(OpType::kRelu, net.Scaled(x, -1));
  const Constant negative = Mapped(slope, Negative);
  return net.Binary(OpType::kAdd, net.Unary(OpType::kRelu, x),
                    net.Affine(below, &negative, nullptr));
}

void LeakyRelu(OnnxContext& node) {
  node.SetOutput(Leaky(node, ScalarConstant(node.Number("alpha", 0.01f))));
}

void PRelu(OnnxContext& node) {
  node.SetOutput(Leaky(node, node.ConstantAt(1)));
}

void Abs(OnnxContext& node) { node.SetOutput(Leaky(node, ScalarConstant(-1))); }

// Clip(alpha * x + beta) to [0, 1].
Value HardSigmoidOf(const OnnxContext& node, const Value& x, float alpha,
                    float beta) {
  const Constant factor = ScalarConstant(alpha);
  const Constant offset = ScalarConstant(beta);
  return Clamped(node, node.net().Affine(x, &factor, &offset), 0, 1);
}

void HardSigmoid(OnnxContext& node) {
  node.SetOutput(HardSigmoidOf(node, node.ValueAt(0),
                               node.Number("alpha", 0.2f),
                               node.Number("beta", 0.5f)));
}

void HardSwish(OnnxContext& node) {
  Value x = node.ValueAt(0);
  x.sole = false;
  node.SetOutput(node.net().Binary(OpType::kMul, x,
                                   HardSigmoidOf(node, x, 1.0f / 6, 0.5f)));
}

constexpr OnnxOperator kElementwise[] = {
    {"Relu", 1, 1, Function<OpType::kRelu>},
    {"Sigmoid", 1, 1, Function<OpType::kSigmoid>},
    {"Tanh", 1, 1, Function<OpType::kTanh>},
    {"Swish", 1, 1, Function<OpType::kSilu>},
    {"Gelu", 1, 1, Gelu},
    {"com.microsoft.Gelu", 1, 1, Gelu},
    {"Identity", 1, 1, Identity},
    {"Dropout", 1, 3, Identity},
    {"Cast", 1, 1, Cast},
    {"Clip", 1, 3, Clip},
    {"Max", 2, 2, Bound<true>},
    {"Min", 2, 2, Bound<false>},
    {"Add", 2, 2, Binary<Arithmetic::kAdd>},
    {"Sub", 2, 2, Binary<Arithmetic::kSubtract>},
    {"Mul", 2, 2, Binary<Arithmetic::kMultiply>},
    {"Div", 2, 2, Binary<Arithmetic::kDivide>},
    {"Neg", 1, 1, Neg},
    {"Pow", 2, 2, Pow},
    {"Sqrt", 1, 1, Sqrt},
    {"Reciprocal", 1, 1, ReciprocalOf},
    {"Exp", 1, 1, Function<OpType::kExp>},
    {"Where", 3, 3, Where},
    {"IsNaN", 1, 1, IsNaN},
    {"LeakyRelu", 1, 1, LeakyRelu},
    {"PRelu", 2, 2, PRelu},
    {"Abs", 1, 1, Abs},
    {"HardSigmoid", 1, 1, HardSigmoid},
    {"HardSwish", 1, 1, HardSwish},
};

}  // namespace

std::span<const OnnxOperator> OnnxElementwise() { return kElementwise; }

}  // namespace lutra::packer
