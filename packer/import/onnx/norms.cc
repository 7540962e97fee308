// Operators that look at a whole dimension: norms, softmax, reductions.

#include <algorithm>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/batch_norm.h"
#include "packer/import/onnx/attention.h"
#include "packer/import/onnx/onnx_node.h"

namespace lutra::packer {
namespace {

void BatchNormalization(OnnxContext& node) {
  if (node.Integer("training_mode", 0) != 0 || node.WantsOutput(1)) {
    throw Unsupported{"batch normalization in training"};
  }
  const Value x = node.ValueAt(0);
  if (x.view.dims.size() < 2) throw Error("takes a value without channels");
  std::vector<std::vector<float>> parts;
  for (size_t i = 1; i < 5; ++i) {
    parts.push_back(node.ConstantAt(i).Floats());
    if (static_cast<int64_t>(parts.back().size()) != DimSize(x.view.dims[1])) {
      throw Error("has parameters of another size than the channels");
    }
  }
  const ChannelAffine affine = ToAffine(parts[0], parts[1], parts[2], parts[3],
                                        double{node.Number("epsilon", 1e-5f)});
  // Over the dimensions behind the channels, too.
  std::vector<int64_t> shape(x.view.dims.size() - 1, 1);
  shape[0] = static_cast<int64_t>(affine.factor.size());
  const auto constant = [&](const std::vector<double>& values) {
    return MakeConstant(
        node.node().outputs[0],
        Elements::Of(std::vector<float>(values.begin(), values.end())), shape);
  };
  const Constant factor = constant(affine.factor);
  const Constant offset = constant(affine.offset);
  node.SetOutput(node.net().Affine(x, &factor, &offset));
}

// Over the last dimension: of several that are normalized together, of which
// each has a weight of its own, there is no example.
template <OpType kOp>
void Norm(OnnxContext& node) {
  if (node.WantsOutput(1) || node.WantsOutput(2)) {
    throw Unsupported{"mean and variance as outputs"};
  }
  const Value x = node.ValueAt(0);
  const size_t rank = x.view.dims.size();
  if (node.Dim(node.Integer("axis", -1), rank) + 1 != rank) {
    throw Unsupported{"a norm over several dimensions"};
  }
  const auto size = DimSize(x.view.dims.back());
  if (!size || IsUnknownSize(*size)) throw Unsupported{"over the batch"};
  const std::vector<int64_t> shape = {*size};
  const Constant weight =
      node.Has(1)
          ? node.ConstantAt(1)
          : MakeConstant(
                node.node().outputs[0],
                Elements::Of(std::vector<float>(static_cast<size_t>(*size), 1)),
                shape);
  std::optional<Constant> bias;
  if (node.Has(2)) bias = node.ConstantAt(2);
  node.SetOutput(node.net().Norm(kOp, x, weight, bias ? &*bias : nullptr,
                                 double{node.Number("epsilon", 1e-5f)}));
}

void Softmax(OnnxContext& node) {
  if (SoftmaxOfScores(node)) return;
  const Value x = node.ValueAt(0);
  const size_t rank = x.view.dims.size();
  const bool old = node.opset() < 13;  // over all dimensions from the axis on
  const size_t axis = node.Dim(node.Integer("axis", old ? 1 : -1), rank);
  if (old || axis + 1 == rank) {
    return node.SetOutput(node.net().Softmax(x, old ? rank - axis : 1));
  }
  std::vector<size_t> order;
  for (size_t i = 0; i < rank; ++i) {
    if (i != axis) order.push_back(i);
  }
  order.push_back(axis);
  Value y =
      node.net().Softmax(node.net().WithView(x, Transposed(x.view, order)), 1);
  std::vector<size_t> back(rank);
  for (size_t i = 0; i < rank; ++i) back[order[i]] = i;
  node.SetOutput(node.net().WithView(y, Transposed(y.view, back)));
}

template <OpType kPool, bool kSum>
void Reduce(OnnxContext& node) {
  const Value x = node.ValueAt(0);
  const size_t rank = x.view.dims.size();
  const std::vector<int64_t> axes =
      node.Has(1) ? node.IntegersAt(1) : node.Integers("axes");
  std::vector<size_t> dims;
  for (const int64_t axis : axes) {
    const size_t dim = node.Dim(axis, rank);
    if (std::find(dims.begin(), dims.end(), dim) != dims.end()) {
      throw Error("has an axis twice");
    }
    dims.push_back(dim);
  }
  if (axes.empty()) {
    if (node.Integer("noop_with_empty_axes", 0) != 0) {
      return node.SetOutput(x);
    }
    for (size_t i = 0; i < rank; ++i) dims.push_back(i);
  }
  std::sort(dims.begin(), dims.end());
  const bool keeps = node.Integer("keepdims", 1) != 0;
  if (kPool == OpType::kAvgPool2d && !kSum && dims.size() == 1 && !keeps &&
      node.texts() != nullptr &&
      DimSize(x.view.dims[dims[0]]) == UnknownSize(node.texts()->steps_row())) {
    return node.SetOutput(node.net().OfSteps("mean", x, dims[0]));
  }
  double count = 1;
  for (const size_t dim : dims) {
    const auto size = DimSize(x.view.dims[dim]);
    count *= static_cast<double>(size.value_or(1));
  }
  Value y = node.net().Reduce(kPool, x, dims);
  if (kSum) y = node.net().Scaled(y, count);
  if (!keeps) {
    for (size_t i = dims.size(); i-- > 0;) {
      y.view.dims.erase(y.view.dims.begin() +
                        static_cast<std::ptrdiff_t>(dims[i]));
    }
  }
  node.SetOutput(std::move(y));
}

constexpr OnnxOperator kNorms[] = {
    {"BatchNormalization", 5, 5, BatchNormalization},
    {"LayerNormalization", 2, 3, Norm<OpType::kLayerNorm>},
    {"RMSNormalization", 2, 2, Norm<OpType::kRmsNorm>},
    {"SimplifiedLayerNormalization", 2, 2, Norm<OpType::kRmsNorm>},
    {"lutra.LayerNorm", 1, 3, Norm<OpType::kLayerNorm>},
    {"lutra.RmsNorm", 1, 2, Norm<OpType::kRmsNorm>},
    {"Softmax", 1, 1, Softmax},
    {"ReduceMean", 1, 2, Reduce<OpType::kAvgPool2d, false>},
    {"ReduceSum", 1, 2, Reduce<OpType::kAvgPool2d, true>},
    {"ReduceMax", 1, 2, Reduce<OpType::kMaxPool2d, false>},
};

}  // namespace

std::span<const OnnxOperator> OnnxNorms() { return kNorms; }

}  // namespace lutra::packer
