#include "packer/import/onnx/onnx_patterns.h"

#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "packer/import/onnx/onnx_index.h"

namespace lutra::packer {
namespace {

bool IsAbout(double value, double wanted) {
  return std::abs(value - wanted) < 1e-4 * wanted;
}

class GeluPatterns {
 public:
  explicit GeluPatterns(OnnxGraph& graph) : graph_(graph), index_(graph) {}

  void Replace() {
    for (OnnxNode& node : graph_.nodes) {
      if (!Is(node, "Erf", 1)) continue;
      const auto argument = Scaled(node.inputs[0]);
      if (!argument || !IsAbout(argument->factor, std::sqrt(0.5))) continue;
      for (OnnxNode* const sum : index_.ReadersOf(node)) {
        if (!Is(*sum, "Add", 2)) continue;
        const auto one =
            index_.Number(sum->inputs[OnnxIndex::Other(*sum, node.outputs[0])]);
        if (!one || !IsAbout(*one, 1)) continue;
        ReplaceProducts(std::string(argument->name), *sum);
      }
    }
  }

 private:
  struct Factor {
    std::string_view name;
    double factor = 1;
  };

  static bool Is(const OnnxNode& node, std::string_view op, size_t inputs) {
    return OnnxIndex::Is(node, op, inputs);
  }

  // A value times, or divided by, a number.
  std::optional<Factor> Scaled(std::string_view name) const {
    const OnnxNode* const maker = index_.MakerOf(name);
    if (maker == nullptr) return std::nullopt;
    const bool quotient = Is(*maker, "Div", 2);
    if (!quotient && !Is(*maker, "Mul", 2)) return std::nullopt;
    for (const size_t i : {size_t{1}, size_t{0}}) {
      const auto number = index_.Number(maker->inputs[i]);
      if (!number || (quotient && i == 0)) continue;
      return Factor{maker->inputs[1 - i], quotient ? 1 / *number : *number};
    }
    return std::nullopt;
  }

  // Products of x, the sum and a half are the sum's readers, or theirs.
  void ReplaceProducts(const std::string& x, const OnnxNode& sum) {
    std::vector<OnnxNode*> found;
    const auto look = [&](OnnxNode& node) {
      const bool product = Is(node, "Mul", 2) || Is(node, "Div", 2);
      if (product && IsGelu(node.outputs[0], x, sum.outputs[0])) {
        found.push_back(&node);
      }
    };
    for (OnnxNode* const reader : index_.ReadersOf(sum)) {
      if (!Is(*reader, "Mul", 2) && !Is(*reader, "Div", 2)) continue;
      look(*reader);
      for (OnnxNode* const next : index_.ReadersOf(*reader)) look(*next);
    }
    for (OnnxNode* const node : found) {
      node->op = "Gelu";
      node->inputs = {x};
      node->attributes.clear();
    }
  }

  bool IsGelu(std::string_view name, std::string_view x,
              std::string_view sum) const {
    Product product;
    return Multiply(name, x, sum, 3, product) && product.x == 1 &&
           product.sum == 1 && IsAbout(product.number, 0.5);
  }

  struct Product {
    double number = 1;
    int x = 0;  // how often
    int sum = 0;
  };
  bool Multiply(std::string_view name, std::string_view x, std::string_view sum,
                int depth, Product& product) const {
    if (name == x) return ++product.x == 1;
    if (name == sum) return ++product.sum == 1;
    if (depth == 0) return false;
    if (const auto scaled = Scaled(name)) {
      product.number *= scaled->factor;
      return Multiply(scaled->name, x, sum, depth - 1, product);
    }
    const OnnxNode* const maker = index_.MakerOf(name);
    return maker != nullptr && Is(*maker, "Mul", 2) &&
           Multiply(maker->inputs[0], x, sum, depth - 1, product) &&
           Multiply(maker->inputs[1], x, sum, depth - 1, product);
  }

  OnnxGraph& graph_;
  OnnxIndex index_;
};

}  // namespace

void UseGelu(OnnxGraph& graph) { GeluPatterns(graph).Replace(); }

}  // namespace lutra::packer
