// Operators that compute element by element.

#include <algorithm>
#include <memory>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/network/broadcast.h"
#include "packer/import/network/network.h"

namespace lutra::packer {

Value NetworkBuilder::Unary(OpType op, const Value& x, Attributes attributes) {
  const Value full = Full(x);
  return AddNode(op, {&full}, full.shape, full.view, std::move(attributes));
}

Value NetworkBuilder::Scaled(const Value& x, double factor) {
  return Unary(OpType::kScale, x, {{"factor", factor}});
}

Value NetworkBuilder::OnGrid(const Value& x, const ValueGrid& grid) {
  const auto low = static_cast<double>(grid.low - grid.zero);
  const auto high = static_cast<double>(grid.high - grid.zero);
  const double scale = double{grid.scale};
  Value y = Unary(OpType::kFakeQuantize, x,
                  {{"scale", scale}, {"low", low}, {"high", high}});
  if (low <= 0 && high >= 0) y.range = {low * scale, high * scale};
  return y;
}

Value NetworkBuilder::OnOwnGrid(const Value& x) {
  // An array of one row of a call has a grid of its own.
  bool one_row = true;
  for (const auto& dim : x.view.dims) {
    for (const Axis& axis : dim) {
      one_row = one_row && (!axis.is_row() || axis.size == 1);
    }
  }
  return Unary(OpType::kDynamicQuantize, x,
               {{"over", std::string(one_row ? "row" : "call")}});
}

Value NetworkBuilder::Binary(OpType op, const Value& a, const Value& b) {
  const Dims dims = CommonDims(a.view, b.view);
  Value left = WithView(a, BroadcastTo(a.view, dims));
  Value right = WithView(b, BroadcastTo(b.view, dims));
  if (!a.same_in_rows && !b.same_in_rows && RowsOf(a.view) != RowsOf(b.view)) {
    throw Unsupported{"values of a batch together with others of none"};
  }
  for (size_t i = 0; i < dims.size(); ++i) {
    if (!CutAlike(left.view.dims[i], right.view.dims[i])) {
      throw Unsupported{"inputs whose axes are joined in different ways"};
    }
  }
  // In the order of one that is not repeated.
  const auto size = [](const Value& v) {
    int64_t count = 1;
    for (const int64_t n : v.shape) count *= n;
    return static_cast<size_t>(count);
  };
  const Value& lead = ShowsAll(left.view, size(left)) ? left : right;
  const auto order = InMemoryOrder(lead.view);
  std::vector<int64_t> shape = {static_cast<int64_t>(RowElements(lead.view))};
  if (ShowsAll(lead.view, size(lead))) shape = lead.shape;
  left = Arranged(left, order, shape);
  right = Arranged(right, order, shape);
  return AddNode(op, {&left, &right}, shape, left.view);
}

Value NetworkBuilder::Affine(const Value& x, const Constant* factor,
                             const Constant* offset) {
  Dims dims = x.view.dims;
  for (const Constant* constant : {factor, offset}) {
    if (constant == nullptr) continue;
    dims = CommonDims({dims, 0}, constant->view);
  }
  Value full = Full(WithView(x, BroadcastTo(x.view, dims)));
  // Memory repeats the numbers with this period.
  int64_t period = 1;
  std::vector<View> views;
  for (const Constant* constant : {factor, offset}) {
    if (constant == nullptr) continue;
    View view = BroadcastTo(constant->view, dims);
    for (size_t i = 0; i < dims.size(); ++i) {
      if (!CutAlike(view.dims[i], full.view.dims[i])) {
        throw Unsupported{"numbers whose axes are joined in another way"};
      }
      for (size_t j = 0; j < view.dims[i].size(); ++j) {
        const Axis& axis = full.view.dims[i][j];
        if (axis.is_row() || view.dims[i][j].stride == 0) continue;
        period = std::max(period, axis.size * axis.stride);
      }
    }
    views.push_back(std::move(view));
  }
  // The numbers in the order of memory.
  const auto numbers = [&](const Constant* constant, View view, float missing) {
    std::vector<float> result(static_cast<size_t>(period), missing);
    if (constant == nullptr) return result;
    for (size_t i = 0; i < dims.size(); ++i) {
      // Cutting for one may have cut the value's axes further than the other's.
      CutAlike(view.dims[i], full.view.dims[i]);
    }
    std::vector<Axis> axes;
    for (const AxisRef& ref : InMemoryOrder(full.view)) {
      const Axis& axis = full.view.dims[ref.dim][ref.index];
      if (axis.stride < period) axes.push_back(view.dims[ref.dim][ref.index]);
    }
    const auto places = Places(axes, view.offset, size_t{1} << 24);
    for (size_t i = 0; i < result.size(); ++i) {
      result[i] = constant->Value(places[i]);
    }
    return result;
  };
  const std::vector<float> factors =
      numbers(factor, factor != nullptr ? views.front() : View(), 1);
  const std::vector<float> offsets =
      numbers(offset, offset != nullptr ? views.back() : View(), 0);
  if (auto folded = Fold(full, factors, offsets)) return *folded;
  const bool uniform =
      std::equal(factors.begin() + 1, factors.end(), factors.begin());
  if (offset == nullptr && uniform) return Scaled(full, factors[0]);
  // One kernel of one tap for each channel.
  const int64_t count = static_cast<int64_t>(RowElements(full.view));
  const std::vector<int64_t> image = {count / period, 1, period};
  const Value in = InShape(full, image);
  Layer layer;
  layer.node.op = OpType::kDepthwiseConv2d;
  layer.node.inputs = {in.name};
  layer.node.attributes["kernel"] = std::vector<int64_t>{1, 1};
  const std::vector<int64_t> shape = {1, period};
  Matrix matrix;
  matrix.constant = MakeConstant(hint_, Elements::Of(factors), shape);
  matrix.rows = {0};
  for (uint32_t i = 0; i < factors.size(); ++i) matrix.columns.push_back(i);
  layer.weight = std::move(matrix);
  layer.weight_name = NewTensorName(hint_ + ".factors");
  layer.outputs = factors.size();
  layer.bias = offsets;
  return AddLayer(std::move(layer), image, full.view);
}

// As the scales of a matrix of whole numbers that all are 1. False if they are
// not, or are not those of rows.
bool NetworkBuilder::TakeScales(const std::vector<float>& factors,
                                Matrix& matrix) {
  const Quantization& old = *matrix.constant.quantization;
  std::vector<float> scales(old.scales.bytes.size() /
                            BytesOf(old.scales.type, 1));
  if (old.block != 0 || scales.size() != matrix.rows.size()) return false;
  for (size_t i = 0; i < scales.size(); ++i) {
    if (old.scales.Float(i) != 1) return false;
  }
  for (size_t row = 0; row < matrix.rows.size(); ++row) {
    const size_t own =
        old.ScaleOf(size_t{matrix.rows[row]} + matrix.columns[0]);
    scales[own] = factors[row % factors.size()];
  }
  auto scaled = std::make_shared<Quantization>(old);
  scaled->scales = Elements::Of(std::move(scales));
  matrix.constant.quantization = std::move(scaled);
  return true;
}

// Into the layer that makes x, whose outputs are the last axis of memory.
std::optional<Value> NetworkBuilder::Fold(const Value& x,
                                          const std::vector<float>& factors,
                                          const std::vector<float>& offsets) {
  if (!x.sole) return std::nullopt;
  const auto found = std::find_if(
      layers_.begin(), layers_.end(),
      [&](const Layer& layer) { return layer.node.output == x.name; });
  if (found == layers_.end() || found->outputs == 0) return std::nullopt;
  Layer& layer = *found;
  const size_t n = layer.outputs;
  if (n % factors.size() != 0) return std::nullopt;
  const bool one = std::all_of(factors.begin(), factors.end(),
                               [](float f) { return f == 1; });
  const bool quantized = layer.weight->constant.quantization != nullptr;
  if (!one && quantized) {
    // Quantized weights keep their scales, unless these are still to come.
    if (!TakeScales(factors, *layer.weight)) return std::nullopt;
  } else if (!one) {
    if (layer.factors.empty()) layer.factors.assign(n, 1);
    for (size_t i = 0; i < n; ++i) {
      layer.factors[i] *= double{factors[i % factors.size()]};
    }
  }
  layer.bias.resize(n);
  for (size_t i = 0; i < n; ++i) {
    const size_t j = i % factors.size();
    layer.bias[i] = static_cast<float>(double{layer.bias[i]} * factors[j] +
                                       double{offsets[j]});
  }
  return x;
}

}  // namespace lutra::packer
