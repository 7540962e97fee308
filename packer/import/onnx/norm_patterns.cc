#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "packer/import/onnx/onnx_index.h"
#include "packer/import/onnx/onnx_patterns.h"

namespace lutra::packer {
namespace {

class NormPatterns {
 public:
  explicit NormPatterns(OnnxGraph& graph) : graph_(graph), index_(graph) {}

  void Replace() {
    for (OnnxNode& node : graph_.nodes) {
      if (const auto norm = Found(node)) Use(*norm);
    }
  }

 private:
  // What a norm is taken of, and the node that gives it out.
  struct Norm {
    std::string x;
    double eps = 0;
    OnnxNode* last = nullptr;
  };

  // The input of a mean over the last dimension, which stays.
  std::optional<std::string> MeanOf(const OnnxNode* node) const {
    if (node == nullptr || (!OnnxIndex::Is(*node, "ReduceMean", 1) &&
                            !OnnxIndex::Is(*node, "ReduceMean", 2))) {
      return std::nullopt;
    }
    const auto keeps = node->attributes.find("keepdims");
    if (keeps != node->attributes.end() && keeps->second.integer == 0) {
      return std::nullopt;
    }
    std::vector<int64_t> axes;
    if (node->inputs.size() == 2) {
      const Constant* const constant = index_.ConstantOf(node->inputs[1]);
      if (constant == nullptr || constant->is_float() ||
          constant->Count() != 1) {
        return std::nullopt;
      }
      axes = constant->Integers();
    } else if (const auto given = node->attributes.find("axes");
               given != node->attributes.end()) {
      axes = given->second.integers;
    }
    if (axes != std::vector<int64_t>{-1}) return std::nullopt;
    return node->inputs[0];
  }

  // x of its square.
  std::optional<std::string> RootOf(const OnnxNode* square) const {
    if (square == nullptr) return std::nullopt;
    if (OnnxIndex::Is(*square, "Mul", 2) &&
        square->inputs[0] == square->inputs[1]) {
      return square->inputs[0];
    }
    if (OnnxIndex::Is(*square, "Pow", 2) &&
        index_.Number(square->inputs[1]) == 2.0) {
      return square->inputs[0];
    }
    return std::nullopt;
  }

  // If the node is the mean of the squares that some x is divided by the root
  // of: x / sqrt(mean(x^2) + eps).
  std::optional<Norm> Found(const OnnxNode& mean) const {
    const auto square = MeanOf(&mean);
    if (!square) return std::nullopt;
    const auto x = RootOf(index_.MakerOf(*square));
    if (!x) return std::nullopt;
    Norm norm{*x};
    OnnxNode* const sum = index_.OnlyReaderOf(mean);
    if (sum == nullptr || !OnnxIndex::Is(*sum, "Add", 2)) return std::nullopt;
    const auto eps =
        index_.Number(sum->inputs[OnnxIndex::Other(*sum, mean.outputs[0])]);
    if (!eps || *eps < 0 || *eps > 1) return std::nullopt;
    norm.eps = *eps;
    OnnxNode* const root = index_.OnlyReaderOf(*sum);
    if (root == nullptr) return std::nullopt;
    OnnxNode* inverse = nullptr;
    if (IsPower(*root, -0.5)) {
      inverse = root;
    } else if (OnnxIndex::Is(*root, "Sqrt", 1) || IsPower(*root, 0.5)) {
      OnnxNode* const next = index_.OnlyReaderOf(*root);
      if (next == nullptr) return std::nullopt;
      const bool quotient =
          OnnxIndex::Is(*next, "Div", 2) && next->inputs[1] == root->outputs[0];
      if (quotient && next->inputs[0] == norm.x) {
        norm.last = next;
        return norm;
      }
      if (OnnxIndex::Is(*next, "Reciprocal", 1) ||
          (quotient && index_.Number(next->inputs[0]) == 1.0)) {
        inverse = next;
      }
    }
    if (inverse == nullptr) return std::nullopt;
    norm.last = index_.OnlyReaderOf(*inverse);
    if (norm.last == nullptr || !OnnxIndex::Is(*norm.last, "Mul", 2)) {
      return std::nullopt;
    }
    const size_t other = OnnxIndex::Other(*norm.last, inverse->outputs[0]);
    if (norm.last->inputs[other] != norm.x) return std::nullopt;
    return norm;
  }

  bool IsPower(const OnnxNode& node, double exponent) const {
    return OnnxIndex::Is(node, "Pow", 2) &&
           index_.Number(node.inputs[1]) == exponent;
  }

  // A constant of a number for each element of the last dimension, which the
  // node takes together with `input`.
  const Constant* VectorBeside(const OnnxNode& node,
                               const std::string& input) const {
    const Constant* const constant =
        index_.ConstantOf(node.inputs[OnnxIndex::Other(node, input)]);
    if (constant == nullptr || !constant->is_float() ||
        constant->view.dims.empty() || constant->Count() < 2 ||
        DimSize(constant->view.dims.back()) !=
            static_cast<int64_t>(constant->Count())) {
      return nullptr;
    }
    return constant;
  }

  void Use(const Norm& norm) {
    OnnxNode* last = norm.last;
    std::vector<std::string> inputs = {norm.x};
    // Of what is less its mean, it is the other norm.
    bool centred = false;
    const OnnxNode* const difference = index_.MakerOf(norm.x);
    if (difference != nullptr && OnnxIndex::Is(*difference, "Sub", 2) &&
        MeanOf(index_.MakerOf(difference->inputs[1])) ==
            difference->inputs[0]) {
      centred = true;
      inputs[0] = difference->inputs[0];
    }
    const auto take = [&](const char* op) {
      OnnxNode* const next = index_.OnlyReaderOf(*last);
      if (next == nullptr || !OnnxIndex::Is(*next, op, 2) ||
          VectorBeside(*next, last->outputs[0]) == nullptr) {
        return false;
      }
      inputs.push_back(next->inputs[OnnxIndex::Other(*next, last->outputs[0])]);
      last = next;
      return true;
    };
    if (take("Mul") && centred) take("Add");
    last->domain = kNormDomain;
    last->op = centred ? "LayerNorm" : "RmsNorm";
    last->inputs = std::move(inputs);
    last->attributes.clear();
    OnnxAttribute eps;
    eps.type = static_cast<int64_t>(OnnxAttribute::Type::kFloat);
    eps.number = static_cast<float>(norm.eps);
    last->attributes["epsilon"] = std::move(eps);
  }

  OnnxGraph& graph_;
  OnnxIndex index_;
};

}  // namespace

void UseNorms(OnnxGraph& graph) { NormPatterns(graph).Replace(); }

}  // namespace lutra::packer
