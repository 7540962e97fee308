// Products with matrices.

#include <optional>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/onnx/attention.h"
#include "packer/import/onnx/onnx_node.h"

namespace lutra::packer {
namespace {

constexpr int64_t kMostColumns = int64_t{1} << 30;

void CheckFloatWeight(const Constant& weight) {
  if (weight.is_float()) return;
  throw Error("computes floats with numbers of type " +
              std::string(Name(weight.elements.type)));
}

// What both become with a dimension more where they are vectors, which goes
// again afterwards.
struct Promoted {
  bool first = false;
  bool second = false;
};

Promoted Promote(View& a, View& b) {
  if (a.dims.empty() || b.dims.empty()) throw Error("multiplies a number");
  Promoted promoted{a.dims.size() == 1, b.dims.size() == 1};
  if (promoted.first) a.dims.emplace(a.dims.begin());
  if (promoted.second) b.dims.emplace_back();
  return promoted;
}

Value Demoted(Value y, Promoted promoted) {
  if (promoted.second) y.view.dims.pop_back();
  if (promoted.first)
    y.view.dims.erase(y.view.dims.end() - 1 - (promoted.second ? 0 : 1));
  return y;
}

View Swapped(const View& view) {
  View swapped = view;
  std::swap(swapped.dims[view.dims.size() - 2], swapped.dims.back());
  return swapped;
}

// One matrix, whatever comes before it: nullopt if there are several.
std::optional<Constant> OneMatrix(Constant constant) {
  auto& dims = constant.view.dims;
  while (dims.size() > 2 && dims[0].empty()) dims.erase(dims.begin());
  if (dims.size() != 2) return std::nullopt;
  return constant;
}

void MatMul(OnnxContext& node) {
  if (MatMulOfTokens(node)) return;
  NetworkBuilder& net = node.net();
  Operand a = node.Input(0);
  Operand b = node.Input(1);
  const auto view = [](Operand& operand) -> View& {
    return operand.constant ? operand.constant->view : operand.value->view;
  };
  if (node.IsConstant(0)) CheckFloatWeight(*a.constant);
  if (node.IsConstant(1)) CheckFloatWeight(*b.constant);
  const size_t rank_a = a.view().dims.size();
  const Promoted promoted = Promote(view(a), view(b));
  const auto value = [&](const Operand& operand, size_t input) {
    if (node.IsConstant(input)) return net.Held(*operand.constant);
    return net.WithView(node.ValueAt(input), operand.view());
  };
  if (node.IsConstant(1)) {
    if (const auto weight = OneMatrix(*b.constant)) {
      // The matrix may have more dimensions than what it is multiplied with.
      Value x = value(a, 0);
      for (size_t rank = b.view().dims.size(); x.view.dims.size() < rank;) {
        x.view.dims.emplace(x.view.dims.begin());
      }
      return node.SetOutput(Demoted(net.Linear(x, *weight), promoted));
    }
  } else if (node.IsConstant(0) && rank_a <= 2) {
    // The transpose of the product is one with a matrix.
    Constant weight = *a.constant;
    weight.view = Swapped(weight.view);
    Value x = value(b, 1);
    x.view = Swapped(x.view);
    Value y = net.Linear(x, weight);
    y.view = Swapped(y.view);
    return node.SetOutput(Demoted(std::move(y), promoted));
  }
  node.SetOutput(Demoted(net.Matmul(value(a, 0), value(b, 1)), promoted));
}

void Gemm(OnnxContext& node) {
  std::optional<Constant> bias;
  if (node.Has(2)) bias = node.ConstantAt(2);
  node.SetOutput(OnnxGemm(node, node.ValueAt(0), node.ConstantAt(1),
                          bias ? &*bias : nullptr));
}

// Fields of `bits` bits, each row of `columns` filled up to whole bytes, as one
// per byte.
Elements Unpacked(const Elements& packed, size_t rows, size_t columns,
                  size_t bits) {
  std::vector<std::byte> values;
  const size_t row_bytes = (columns * bits + 7) / 8;
  for (size_t i = 0; i < rows * columns; ++i) {
    const size_t bit = i % columns * bits;
    const auto byte = std::to_integer<unsigned>(
        packed.bytes[i / columns * row_bytes + bit / 8]);
    values.push_back(
        static_cast<std::byte>(byte >> (bit % 8) & ((1u << bits) - 1)));
  }
  return Elements::OfBytes(ElementType::kUInt8, std::move(values));
}

// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
void MatMulNBits(OnnxContext& node) {
  const auto attribute = [&](const char* name, int64_t low, int64_t high) {
    if (!node.HasAttribute(name)) {
      throw Error("lacks the attribute '" + std::string(name) + "'");
    }
    const int64_t value = node.Integer(name, 0);
    if (value < low || value > high) {
      throw Error("has the attribute '" + std::string(name) + "' of " +
                  std::to_string(value));
    }
    return static_cast<size_t>(value);
  };
  const size_t k = attribute("K", 1, kMostColumns);
  const size_t n = attribute("N", 1, kMostColumns);
  const int64_t bits_given = node.Integer("bits", 4);
  if (bits_given != 2 && bits_given != 4 && bits_given != 8) {
    throw Error("has " + std::to_string(bits_given) + " bits");
  }
  const auto bits = static_cast<size_t>(bits_given);
  const size_t block = attribute("block_size", 16, 1 << 20);
  if ((block & (block - 1)) != 0) {
    throw Error("has blocks of " + std::to_string(block) +
                ", which is no power of two");
  }
  if (node.Has(4)) throw Unsupported{"columns in another order (g_idx)"};
  const size_t blocks = (k + block - 1) / block;
  Constant packed = node.ConstantAt(1);
  const Constant scales = node.ConstantAt(2);
  if (packed.elements.type != ElementType::kUInt8 ||
      packed.elements.bytes.size() != n * blocks * (block * bits / 8)) {
    throw Error("has weights of another size than N, K and the block say");
  }
  if (!scales.is_float() || scales.Count() != n * blocks) {
    throw Error("has " + std::to_string(scales.Count()) + " scales for " +
                std::to_string(n * blocks) + " blocks");
  }
  auto quantization = std::make_shared<Quantization>();
  quantization->scales = scales.elements;
  quantization->size = blocks * block;
  quantization->block = block;
  if (node.Has(3)) {
    const Constant zeros = node.ConstantAt(3);
    if (zeros.is_float()) {
      throw Unsupported{"zero points that are floats"};
    }
    const size_t row_bytes = (blocks * bits + 7) / 8;
    if (zeros.elements.type != ElementType::kUInt8 ||
        zeros.elements.bytes.size() != n * row_bytes) {
      throw Error("has zero points of another size than its blocks");
    }
    quantization->zeros = Unpacked(zeros.elements, n, blocks, bits);
  } else {
    quantization->zeros = Elements::OfBytes(
        ElementType::kUInt8,
        std::vector<std::byte>(n * blocks,
                               static_cast<std::byte>(1u << (bits - 1))));
  }
  Constant weight;
  weight.name = packed.name;
  weight.elements = packed.elements;
  weight.elements.type = bits == 2   ? ElementType::kUInt2
                         : bits == 4 ? ElementType::kUInt4
                                     : ElementType::kUInt8;
  weight.quantization = std::move(quantization);
  const auto stride = static_cast<int64_t>(blocks * block);
  weight.view.dims = {{{static_cast<int64_t>(k), 1}},
                      {{static_cast<int64_t>(n), stride}}};
  Value y = node.net().Linear(node.ValueAt(0), weight);
  if (node.Has(5)) {
    const Constant bias = node.ConstantAt(5);
    CheckFloatWeight(bias);
    y = node.net().Affine(y, nullptr, &bias);
  }
  node.SetOutput(std::move(y));
}

constexpr OnnxOperator kProducts[] = {
    {"MatMul", 2, 2, MatMul},
    {"Gemm", 2, 3, Gemm},
    {"com.microsoft.MatMulNBits", 3, 6, MatMulNBits},
};

}  // namespace

Value OnnxGemm(const OnnxContext& node, Value x, Constant weight,
               const Constant* bias) {
  CheckFloatWeight(weight);
  if (x.view.dims.size() != 2 || weight.view.dims.size() != 2) {
    throw Error("takes matrices alone");
  }
  const std::vector<size_t> swapped = {1, 0};
  if (node.Integer("transA", 0) != 0) x.view = Transposed(x.view, swapped);
  if (node.Integer("transB", 0) != 0) {
    weight.view = Transposed(weight.view, swapped);
  }
  Value y = node.net().Linear(x, weight);
  const float alpha = node.Number("alpha", 1);
  const float beta = node.Number("beta", 1);
  if (alpha != 1) {
    const Constant factor = ScalarConstant(alpha);
    y = node.net().Affine(y, &factor, nullptr);
  }
  if (bias == nullptr || beta == 0) return y;
  if (beta != 1) throw Unsupported{"a factor of the bias"};
  CheckFloatWeight(*bias);
  const Value sum = node.net().Affine(y, nullptr, bias);
  if (sum.view.dims.size() != 2 ||
      DimSize(sum.view.dims[1]) != DimSize(y.view.dims[1])) {
    throw Error("has a bias of another size than its weight");
  }
  return sum;
}

std::span<const OnnxOperator> OnnxProducts() { return kProducts; }

}  // namespace lutra::packer
