#include "lutra/packer/weights.h"

#include <set>
#include <string_view>

namespace lutra::packer {
namespace {

double Ratio(size_t bytes, size_t elements) {
  if (elements == 0) return 0;
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(elements);
}

}  // namespace

size_t Weight::ElementCount() const {
  return static_cast<size_t>(n) * static_cast<size_t>(k);
}

double Weight::BitsPerWeight() const { return Ratio(bytes, ElementCount()); }

double WeightTotals::BitsPerWeight() const { return Ratio(bytes, elements); }

std::vector<Weight> Weights(const Model& model) {
  std::vector<Weight> weights;
  std::set<std::string_view> seen;
  for (const Node& node : model.graph().nodes) {
    if (!IsPackable(node.op) || !seen.insert(node.weight).second) continue;
    const TensorView& tensor = model.file().Get(node.weight);
    Weight weight;
    weight.name = node.weight;
    weight.op = node.op;
    weight.dtype = tensor.dtype;
    weight.bytes = tensor.data.size();
    weight.packed = model.packed(node.weight);
    if (weight.packed != nullptr) {
      weight.n = weight.packed->format.n;
      weight.k = weight.packed->format.k;
    } else {
      weight.n = tensor.shape.at(0);
      weight.k = tensor.shape.at(1);
    }
    if (const StoredTensor* const stored = model.stored(node.weight)) {
      weight.dtype = stored->dtype;
      weight.bytes = stored->bytes;
    }
    weights.push_back(weight);
  }
  return weights;
}

WeightTotals Total(const std::vector<Weight>& weights) {
  WeightTotals totals;
  for (const Weight& weight : weights) {
    totals.elements += weight.ElementCount();
    totals.bytes += weight.bytes;
  }
  return totals;
}

}  // namespace lutra::packer
