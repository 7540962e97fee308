// QuantizeLinear and DequantizeLinear: of weights, which stay whole numbers,
// and of computed values, which are rounded to the same numbers.

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/onnx/onnx_node.h"

namespace lutra::packer {
namespace {

void CheckRowMajor(const Constant& constant) {
  const std::vector<int64_t> shape = ShapeOf(constant.view);
  if (constant.view == NaturalView(shape)) return;
  throw Unsupported{"a scale of numbers in another order than the file's"};
}

// Makes a constant of whole numbers one with scales: inputs `scale` and
// `scale` + 1 of the node. `axis`: along which scales differ; with blocks of
// `block` places, or 0.
void SetQuantization(const OnnxContext& node, size_t scale, int64_t axis,
                     int64_t block, Constant& constant) {
  if (constant.is_float()) throw Error("takes numbers that are floats");
  CheckRowMajor(constant);
  const std::vector<int64_t> shape = ShapeOf(constant.view);
  auto quantization = std::make_shared<Quantization>();
  const Constant scales = node.ConstantAt(scale);
  if (!scales.is_float()) throw Error("has scales that are no floats");
  CheckRowMajor(scales);
  quantization->scales = scales.elements;
  if (node.Has(scale + 1)) {
    const Constant zeros = node.ConstantAt(scale + 1);
    if (zeros.elements.type != constant.elements.type) {
      throw Error("has zero points of another type than its numbers");
    }
    if (ShapeOf(zeros.view) != ShapeOf(scales.view)) {
      throw Error("has zero points of another shape than its scales");
    }
    CheckRowMajor(zeros);
    bool all_zero = true;
    for (size_t i = 0; i < zeros.Count(); ++i) {
      all_zero = all_zero && zeros.elements.Integer(i) == 0;
    }
    if (!all_zero) quantization->zeros = zeros.elements;
  }
  const std::vector<int64_t> scale_shape = ShapeOf(scales.view);
  if (block < 0) throw Error("has blocks of " + std::to_string(block));
  if (scales.Count() != 1 || block != 0 || scale_shape.size() > 1) {
    const size_t dim = node.Dim(axis, shape.size());
    quantization->size = static_cast<size_t>(shape[dim]);
    for (size_t i = dim + 1; i < shape.size(); ++i) {
      quantization->inner *= static_cast<size_t>(shape[i]);
    }
    std::vector<int64_t> expected = {shape[dim]};
    if (block > 0) {
      quantization->block = static_cast<size_t>(block);
      expected = shape;
      expected[dim] = (shape[dim] - 1) / block + 1;
    }
    if (scale_shape != expected) {
      throw Error("has scales of the shape " + ShapeToString(scale_shape) +
                  ", expected " + ShapeToString(expected));
    }
  }
  constant.quantization = std::move(quantization);
}

// Of a computed value: one scale, the input `scale` of the node, with its zero
// point behind it.
ValueGrid ReadGrid(const OnnxContext& node, size_t scale, ElementType type) {
  if (node.ConstantAt(scale).Count() != 1) {
    throw Unsupported{"several scales of a computed value"};
  }
  ValueGrid grid;
  grid.scale = node.NumberAt(scale);
  if (!(grid.scale > 0)) throw Error("has a scale that is not positive");
  if (node.Has(scale + 1)) {
    const std::vector<int64_t> zeros = node.IntegersAt(scale + 1);
    if (zeros.size() != 1) throw Error("has several zero points of one scale");
    grid.zero = zeros[0];
  }
  grid.low = Lowest(type);
  grid.high = Highest(type);
  return grid;
}

using Kind = DynamicPart::Kind;

// Its scale and zero point are those of the array's own range.
void DynamicQuantizeLinear(OnnxContext& node) {
  const Value y = node.net().OnOwnGrid(node.ValueAt(0));
  const std::string& name = node.node().outputs[0];
  node.SetOutput(Operand{std::nullopt, y, DynamicPart{Kind::kNumbers, name}});
  const Constant one =
      MakeConstant(name + ".scale", Elements::Of(std::vector<float>{1}), {});
  node.SetOutput(Operand{one, std::nullopt, DynamicPart{Kind::kScale, name}},
                 1);
  node.SetOutput(Operand{one, std::nullopt, DynamicPart{Kind::kZero, name}}, 2);
}

// The numbers at `input`, less their zero point, which is at `zero`.
Operand DynamicNumbers(const OnnxContext& node, size_t input, size_t zero) {
  Operand x = node.Input(input);
  if (!x.dynamic || x.dynamic->kind != Kind::kNumbers) {
    throw Unsupported{"numbers that were not quantized by their own range"};
  }
  if (node.Has(zero)) {
    const Operand operand = node.Input(zero);
    if (operand.dynamic && operand.dynamic->kind == Kind::kZero &&
        operand.dynamic->scale == x.dynamic->scale) {
      return x;
    }
  }
  throw Unsupported{"numbers without their zero point"};
}

// A product of numbers and a weight of whole numbers, whose zero points are the
// input `zero`; its scales, along `axis`, are multiplied with it later.
Constant UnscaledWeight(const OnnxContext& node, size_t input, size_t zero,
                        size_t axis) {
  Constant weight = node.ConstantAt(input);
  if (weight.is_float()) throw Error("takes numbers that are floats");
  CheckRowMajor(weight);
  const std::vector<int64_t> shape = ShapeOf(weight.view);
  if (axis >= shape.size()) throw Error("has a weight of too few dimensions");
  auto quantization = std::make_shared<Quantization>();
  quantization->size = static_cast<size_t>(shape[axis]);
  for (size_t i = axis + 1; i < shape.size(); ++i) {
    quantization->inner *= static_cast<size_t>(shape[i]);
  }
  quantization->scales =
      Elements::Of(std::vector<float>(quantization->size, 1));
  if (node.Has(zero)) {
    const std::vector<int64_t> zeros = node.IntegersAt(zero);
    if (zeros.size() != 1 && zeros.size() != quantization->size) {
      throw Error("has zero points of another size than its weight");
    }
    std::vector<int64_t> all(quantization->size, 0);
    for (size_t i = 0; i < all.size(); ++i) {
      all[i] = zeros[zeros.size() == 1 ? 0 : i];
    }
    const bool all_zero = std::all_of(all.begin(), all.end(),
                                      [](int64_t point) { return point == 0; });
    if (!all_zero) quantization->zeros = Elements::Of(std::move(all));
  }
  weight.quantization = std::move(quantization);
  return weight;
}

void SetProduct(const OnnxContext& node, const Operand& x, Value y) {
  node.SetOutput(Operand{std::nullopt, std::move(y),
                         DynamicPart{Kind::kProduct, x.dynamic->scale}});
}

void MatMulInteger(OnnxContext& node) {
  const Operand x = DynamicNumbers(node, 0, 2);
  const Constant weight = UnscaledWeight(node, 1, 3, 1);
  if (weight.view.dims.size() != 2) {
    throw Unsupported{"a weight that is no matrix"};
  }
  SetProduct(node, x, node.net().Linear(*x.value, weight));
}

void ConvInteger(OnnxContext& node) {
  const Operand x = DynamicNumbers(node, 0, 2);
  SetProduct(
      node, x,
      OnnxConvolution(node, *x.value, UnscaledWeight(node, 1, 3, 0), nullptr));
}

// What a value of whole numbers stands for; its scale is the input `scale`.
Value Dequantized(const OnnxContext& node, size_t input, size_t scale) {
  Operand operand = node.Input(input);
  if (!operand.value || !operand.value->grid) {
    throw Unsupported{"numbers that were not quantized before"};
  }
  Value value = *std::move(operand.value);
  ValueGrid grid = ReadGrid(node, scale, ElementType::kInt8);
  grid.low = value.grid->low;
  grid.high = value.grid->high;
  if (grid != *value.grid) {
    throw Unsupported{"another scale than the numbers were made with"};
  }
  value.grid.reset();
  return value;
}

// The output, as whole numbers of the type of the zero point.
void SetQuantized(OnnxContext& node, const Value& y, size_t scale) {
  if (!node.Has(scale + 1)) throw Unsupported{"an output without a zero point"};
  const ValueGrid grid =
      ReadGrid(node, scale, node.ConstantAt(scale + 1).elements.type);
  Value rounded = node.net().OnGrid(y, grid);
  rounded.grid = grid;
  node.SetOutput(std::move(rounded));
}

void QuantizeLinear(OnnxContext& node) {
  ElementType type = ElementType::kUInt8;
  if (node.Has(2)) type = node.ConstantAt(2).elements.type;
  if (node.HasAttribute("output_dtype")) {
    const auto given = OnnxType(node.Integer("output_dtype", 0));
    if (!given) throw Unsupported{"numbers of a type that is not known"};
    type = *given;
  }
  if (IsFloat(type) || BitsOf(type) > 16) {
    throw Unsupported{"numbers of the type " + std::string(Name(type))};
  }
  const ValueGrid grid = ReadGrid(node, 1, type);
  Value y = node.net().OnGrid(node.ValueAt(0), grid);
  y.grid = grid;
  node.SetOutput(std::move(y));
}

void DequantizeLinear(OnnxContext& node) {
  if (const Operand x = node.Input(0); x.dynamic) {
    if (x.dynamic->kind == Kind::kRows) return node.SetOutput(*x.value);
    const Operand numbers = DynamicNumbers(node, 0, 2);
    const Operand scale = node.Input(1);
    if (!scale.dynamic || scale.dynamic->scale != numbers.dynamic->scale ||
        scale.dynamic->kind != Kind::kScale ||
        scale.constant->Floats() != std::vector<float>{1}) {
      throw Unsupported{"another scale than the numbers were made with"};
    }
    return node.SetOutput(*numbers.value);
  }
  if (!node.IsConstant(0)) return node.SetOutput(Dequantized(node, 0, 1));
  Constant constant = node.ConstantAt(0);
  SetQuantization(node, 1, node.Integer("axis", 1),
                  node.Integer("block_size", 0), constant);
  node.SetOutput(std::move(constant));
}

// A bias of whole numbers in the scale of the products.
Constant ProductBias(const OnnxContext& node, size_t input, size_t x_scale,
                     const Constant& weight) {
  const double scale = double{node.NumberAt(x_scale)};
  const std::vector<int64_t> numbers = node.IntegersAt(input);
  const Quantization& quantization = *weight.quantization;
  std::vector<float> values;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const size_t own = quantization.size == 1 ? 0 : i;
    if (own >= quantization.size) throw Error("has more biases than scales");
    values.push_back(
        static_cast<float>(static_cast<double>(numbers[i]) * scale *
                           double{quantization.scales.Float(own)}));
  }
  const std::vector<int64_t> shape = {static_cast<int64_t>(values.size())};
  return MakeConstant(node.ConstantAt(input).name,
                      Elements::Of(std::move(values)), shape);
}

// The operators that compute with whole numbers round once, at the end, as
// these do: x, its scale and zero point, the weight, its scale and zero point,
// those of the output, a bias.
void QLinearConv(OnnxContext& node) {
  Constant weight = node.ConstantAt(3);
  SetQuantization(node, 4, 0, 0, weight);
  std::optional<Constant> bias;
  if (node.Has(8)) bias = ProductBias(node, 8, 1, weight);
  SetQuantized(node,
               OnnxConvolution(node, Dequantized(node, 0, 1), weight,
                               bias ? &*bias : nullptr),
               6);
}

void QLinearMatMul(OnnxContext& node) {
  Constant weight = node.ConstantAt(3);
  SetQuantization(node, 4, 1, 0, weight);
  if (weight.view.dims.size() != 2) {
    throw Unsupported{"a weight that is no matrix"};
  }
  SetQuantized(node, node.net().Linear(Dequantized(node, 0, 1), weight), 6);
}

// The bias stands before the output here.
void QGemm(OnnxContext& node) {
  Constant weight = node.ConstantAt(3);
  SetQuantization(node, 4, node.Integer("transB", 0) != 0 ? 0 : 1, 0, weight);
  std::optional<Constant> bias;
  if (node.Has(6)) bias = ProductBias(node, 6, 1, weight);
  const Value y =
      OnnxGemm(node, Dequantized(node, 0, 1), weight, bias ? &*bias : nullptr);
  if (!node.Has(7)) return node.SetOutput(y);
  SetQuantized(node, y, 7);
}

void QLinearGlobalAveragePool(OnnxContext& node) {
  const Value x = Dequantized(node, 0, 1);
  const size_t first = node.Integer("channels_last", 0) != 0 ? 1 : 2;
  std::vector<size_t> dims;
  for (size_t i = 0; i + 2 < x.view.dims.size(); ++i) dims.push_back(first + i);
  SetQuantized(node, node.net().Reduce(OpType::kAvgPool2d, x, dims), 3);
}

void QLinearAdd(OnnxContext& node) {
  SetQuantized(node,
               node.net().Binary(OpType::kAdd, Dequantized(node, 0, 1),
                                 Dequantized(node, 3, 4)),
               6);
}

constexpr OnnxOperator kQuantized[] = {
    {"QuantizeLinear", 2, 3, QuantizeLinear},
    {"DequantizeLinear", 2, 3, DequantizeLinear},
    {"DynamicQuantizeLinear", 1, 1, DynamicQuantizeLinear},
    {"MatMulInteger", 2, 4, MatMulInteger},
    {"ConvInteger", 2, 4, ConvInteger},
    {"QLinearConv", 8, 9, QLinearConv},
    {"QLinearMatMul", 8, 8, QLinearMatMul},
    {"com.microsoft.QGemm", 6, 9, QGemm},
    {"com.microsoft.QLinearAdd", 8, 8, QLinearAdd},
    {"com.microsoft.QLinearGlobalAveragePool", 5, 5, QLinearGlobalAveragePool},
    {"com.microsoft.QuantizeLinear", 2, 3, QuantizeLinear},
    {"com.microsoft.DequantizeLinear", 2, 3, DequantizeLinear},
};

}  // namespace

std::span<const OnnxOperator> OnnxQuantized() { return kQuantized; }

}  // namespace lutra::packer
