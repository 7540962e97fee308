// Operators that compute element by element.

#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/onnx/onnx_node.h"

namespace lutra::packer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Constant Scalar(float value) {
  return MakeConstant("", Elements::Of(std::vector<float>{value}), {});
}

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
  const View& longer =
      a.view.dims.size() >= b.view.dims.size() ? a.view : b.view;
  std::vector<int64_t> shape = ShapeOf(longer);
  const View& other = &longer == &a.view ? b.view : a.view;
  const size_t added = shape.size() - other.dims.size();
  for (size_t i = added; i < shape.size(); ++i) {
    if (shape[i] == 1) shape[i] = *DimSize(other.dims[i - added]);
  }
  const View natural = NaturalView(shape);
  const auto view_a = Broadcast(a.view, natural.dims);
  const auto view_b = Broadcast(b.view, natural.dims);
  if (!view_a || !view_b) throw Error("takes inputs whose shapes do not fit");
  Constant left = a;
  left.view = *view_a;
  Constant right = b;
  right.view = *view_b;
  if (a.is_float()) {
    std::vector<float> values = left.Floats();
    const std::vector<float> others = right.Floats();
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = Compute(arithmetic, values[i], others[i]);
    }
    return MakeConstant("", Elements::Of(std::move(values)), shape);
  }
  std::vector<int64_t> values = left.Integers();
  const std::vector<int64_t> others = right.Integers();
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = ComputeInteger(arithmetic, values[i], others[i]);
  }
  return MakeConstant("", Elements::Of(std::move(values)), shape);
}

float Reciprocal(float x) { return 1 / x; }
float Negative(float x) { return -x; }

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

template <Arithmetic kArithmetic>
void Binary(OnnxContext& node) {
  if (node.AllConstant()) {
    Constant result =
        Known(kArithmetic, node.ConstantAt(0), node.ConstantAt(1));
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
        throw Unsupported{"a quotient of two computed values"};
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
        const Constant minus = Scalar(-1);
        return node.SetOutput(net.Affine(x, &minus, &constant));
      }
      const Constant negative = Mapped(constant, Negative);
      return node.SetOutput(net.Affine(x, nullptr, &negative));
    }
    case Arithmetic::kMultiply:
      return node.SetOutput(net.Affine(x, &constant, nullptr));
    case Arithmetic::kDivide: {
      if (known == 0) throw Unsupported{"a quotient by a computed value"};
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
  const float exponent = node.NumberAt(1);
  const Value x = node.ValueAt(0);
  if (exponent != 2) throw Unsupported{"an exponent other than 2"};
  node.SetOutput(node.net().Binary(OpType::kMul, x, x));
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
  node.SetOutput(Leaky(node, Scalar(node.Number("alpha", 0.01f))));
}

void PRelu(OnnxContext& node) {
  node.SetOutput(Leaky(node, node.ConstantAt(1)));
}

void Abs(OnnxContext& node) { node.SetOutput(Leaky(node, Scalar(-1))); }

// Clip(alpha * x + beta) to [0, 1].
Value HardSigmoidOf(const OnnxContext& node, Value x, float alpha, float beta) {
  const Constant factor = Scalar(alpha);
  const Constant offset = Scalar(beta);
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
    {"LeakyRelu", 1, 1, LeakyRelu},
    {"PRelu", 2, 2, PRelu},
    {"Abs", 1, 1, Abs},
    {"HardSigmoid", 1, 1, HardSigmoid},
    {"HardSwish", 1, 1, HardSwish},
};

}  // namespace

std::span<const OnnxOperator> OnnxElementwise() { return kElementwise; }

}  // namespace lutra::packer
