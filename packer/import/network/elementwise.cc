// Operators that compute element by element.

#include <algorithm>

#include "lutra/runtime/error.h"
#include "packer/import/network/network.h"

namespace lutra::packer {
namespace {

using Dims = std::vector<std::vector<Axis>>;

// Cuts the axes of two dimensions so that both have the same sizes. False if
// that cannot be.
bool Cut(std::vector<Axis>& a, std::vector<Axis>& b) {
  for (size_t i = 0; i < a.size() || i < b.size(); ++i) {
    if (i >= a.size() || i >= b.size()) return false;
    if (a[i].is_row() || b[i].is_row()) {
      if (a[i].row != b[i].row) return false;
      continue;
    }
    if (a[i].size == b[i].size) continue;
    std::vector<Axis>& longer = a[i].size > b[i].size ? a : b;
    const int64_t size = std::min(a[i].size, b[i].size);
    if (longer[i].size % size != 0) return false;
    const Axis axis = longer[i];
    const int64_t inner = axis.size / size;
    longer[i] = {size, axis.stride * inner};
    longer.insert(longer.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                  {inner, axis.stride});
  }
  return true;
}

// The dimensions that both broadcast to.
Dims Common(const View& a, const View& b) {
  const View& longer = a.dims.size() >= b.dims.size() ? a : b;
  const View& other = &longer == &a ? b : a;
  Dims dims = longer.dims;
  const size_t added = longer.dims.size() - other.dims.size();
  for (size_t i = added; i < dims.size(); ++i) {
    const auto& dim = other.dims[i - added];
    if (DimSize(dims[i]) == 1 && !HasRows(dims[i])) dims[i] = dim;
  }
  return dims;
}

View BroadcastTo(const View& view, const Dims& dims) {
  auto result = Broadcast(view, dims);
  if (!result) throw Error("takes inputs whose shapes do not fit");
  return *std::move(result);
}

}  // namespace

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

Value NetworkBuilder::Binary(OpType op, const Value& a, const Value& b) {
  const Dims dims = Common(a.view, b.view);
  Value left = WithView(a, BroadcastTo(a.view, dims));
  Value right = WithView(b, BroadcastTo(b.view, dims));
  if (RowsOf(a.view) != RowsOf(b.view)) {
    throw Unsupported{"values of a batch together with others of none"};
  }
  for (size_t i = 0; i < dims.size(); ++i) {
    if (!Cut(left.view.dims[i], right.view.dims[i])) {
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
    dims = Common({dims, 0}, constant->view);
  }
  Value full = Full(WithView(x, BroadcastTo(x.view, dims)));
  // Memory repeats the numbers with this period.
  int64_t period = 1;
  std::vector<View> views;
  for (const Constant* constant : {factor, offset}) {
    if (constant == nullptr) continue;
    View view = BroadcastTo(constant->view, dims);
    for (size_t i = 0; i < dims.size(); ++i) {
      if (!Cut(view.dims[i], full.view.dims[i])) {
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
      Cut(view.dims[i], full.view.dims[i]);
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
  // Quantized weights keep their scales.
  if (!one && layer.weight->constant.quantization != nullptr) {
    return std::nullopt;
  }
  if (!one) {
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
