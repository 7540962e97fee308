// Operators with weights, and those that look at several elements.

#include <algorithm>
#include <numeric>

#include "lutra/runtime/error.h"
#include "packer/import/network/network.h"

namespace lutra::packer {
namespace {

constexpr size_t kMostRows = size_t{1} << 24;  // bounds memory

std::vector<uint32_t> PlacesOf(const std::vector<Axis>& dim) {
  return Places(dim, 0, kMostRows);
}

int64_t SizeOf(const std::vector<Axis>& dim) {
  const auto size = DimSize(dim);
  if (!size || IsUnknownSize(*size)) {
    throw Unsupported{"a layer along the batch"};
  }
  return *size;
}

// The range that activations of 8 bits are quantized for.
void SetRange(const Value& x, Node& node) {
  if (!x.range) return;
  node.attributes["input_min"] = x.range->first;
  node.attributes["input_max"] = x.range->second;
}

Attribute List(std::initializer_list<int64_t> values) {
  return std::vector<int64_t>(values);
}

// With the constant's offset, which its places do not have.
std::vector<uint32_t> Moved(std::vector<uint32_t> places, int64_t offset) {
  for (uint32_t& place : places) place += static_cast<uint32_t>(offset);
  return places;
}

std::vector<size_t> AllDims(const View& view) {
  std::vector<size_t> dims(view.dims.size());
  std::iota(dims.begin(), dims.end(), size_t{0});
  return dims;
}

size_t CountOf(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return static_cast<size_t>(count);
}

std::vector<Axis> DimOf(int64_t size, int64_t stride) {
  if (size == 1) return {};
  return {{size, stride}};
}

}  // namespace

void PadToSame(const std::array<int64_t, 2>& image, bool upper,
               Window& window) {
  for (size_t i = 0; i < 2; ++i) {
    const int64_t outputs = (image[i] - 1) / window.stride[i] + 1;
    const int64_t reach = window.dilation[i] * (window.kernel[i] - 1) + 1;
    const int64_t all = std::max<int64_t>(
        0, (outputs - 1) * window.stride[i] + reach - image[i]);
    const int64_t less = all / 2;
    window.padding[2 * i] = upper ? less : all - less;
    window.padding[2 * i + 1] = upper ? all - less : less;
  }
}

Value NetworkBuilder::Linear(const Value& x, const Constant& weight) {
  if (x.view.dims.empty() || HasRows(x.view.dims.back())) {
    throw Unsupported{"a product along the batch"};
  }
  const int64_t k = SizeOf(x.view.dims.back());
  const int64_t n = SizeOf(weight.view.dims[1]);
  if (SizeOf(weight.view.dims[0]) != k) {
    throw Error("multiplies " + std::to_string(k) + " columns with " +
                std::to_string(SizeOf(weight.view.dims[0])) + " rows");
  }
  Value in = Full(x);
  const size_t last = in.view.dims.size() - 1;
  std::vector<size_t> others = AllDims(in.view);
  others.pop_back();
  const auto outer = OfDims(in.view, others);
  Layer layer;
  Matrix matrix;
  matrix.constant = weight;
  matrix.rows = Moved(PlacesOf(weight.view.dims[1]), weight.view.offset);
  const std::vector<uint32_t> by_index = PlacesOf(weight.view.dims[0]);
  std::vector<int64_t> shape = {n};
  View view = in.view;
  if (outer.empty()) {
    // Columns are put in the order that memory has.
    in = InShape(in, {k});
    matrix.columns.resize(by_index.size());
    const auto places = PlacesOf(in.view.dims[last]);
    for (size_t i = 0; i < places.size(); ++i) {
      matrix.columns[places[i]] = by_index[i];
    }
    layer.node.op = OpType::kLinear;
  } else {
    auto order = outer;
    const auto inner = OfDims(in.view, {last});
    order.insert(order.end(), inner.begin(), inner.end());
    const int64_t rows = static_cast<int64_t>(RowElements(in.view)) / k;
    in = Arranged(in, order, {1, rows, k});
    view = in.view;
    for (const AxisRef& ref : outer) {
      Axis& axis = view.dims[ref.dim][ref.index];
      axis.stride = axis.stride / k * n;
    }
    matrix.columns = by_index;
    shape = {1, rows, n};
    layer.node.op = OpType::kConv2d;
    layer.node.attributes["kernel"] = List({1, 1});
  }
  view.dims[last] = DimOf(n, 1);
  layer.node.inputs = {in.name};
  SetRange(x, layer.node);
  layer.weight = std::move(matrix);
  layer.weight_name = NewTensorName(weight.name);
  layer.outputs = static_cast<size_t>(n);
  return AddLayer(std::move(layer), std::move(shape), std::move(view));
}

// [H, W, C] in memory.
Value NetworkBuilder::Image(const Value& x, const ImageDims& dims) {
  const View& view = x.view;
  if (!RowElementAxes(view.dims[dims.batch]).empty()) {
    throw Unsupported{"an image with a batch that is no row axis"};
  }
  std::vector<int64_t> shape;
  for (const size_t dim : {dims.height, dims.width, dims.channels}) {
    if (HasRows(view.dims[dim])) {
      throw Unsupported{"an image with a size that is not known"};
    }
    shape.push_back(SizeOf(view.dims[dim]));
  }
  return Arranged(x, OfDims(view, {dims.height, dims.width, dims.channels}),
                  shape);
}

namespace {

// Sizes of what comes out. Throws Error with the bare cause.
std::array<int64_t, 2> OutputSize(const std::vector<int64_t>& image,
                                  const Window& window) {
  std::array<int64_t, 2> size = {};
  for (size_t i = 0; i < 2; ++i) {
    const int64_t whole =
        image[i] + window.padding[2 * i] + window.padding[2 * i + 1];
    const int64_t reach = window.dilation[i] * (window.kernel[i] - 1) + 1;
    if (whole < reach) throw Error("has a window larger than its image");
    size[i] = (whole - reach) / window.stride[i] + 1;
  }
  return size;
}

View ImageView(const View& from, const ImageDims& dims,
               const std::vector<int64_t>& shape) {
  View view = from;
  view.offset = 0;
  view.dims[dims.height] = DimOf(shape[0], shape[1] * shape[2]);
  view.dims[dims.width] = DimOf(shape[1], shape[2]);
  view.dims[dims.channels] = DimOf(shape[2], 1);
  return view;
}

Attributes WindowAttributes(const Window& window) {
  return {{"kernel", List({window.kernel[0], window.kernel[1]})},
          {"stride", List({window.stride[0], window.stride[1]})},
          {"padding", List({window.padding[0], window.padding[1],
                            window.padding[2], window.padding[3]})}};
}

}  // namespace

Value NetworkBuilder::Convolution(const Value& x, const ImageDims& dims,
                                  const Constant& weight, size_t groups,
                                  const Window& window) {
  const Value image = Image(x, dims);
  const int64_t channels = image.shape[2];
  const int64_t n = SizeOf(weight.view.dims[0]);
  const int64_t depth = SizeOf(weight.view.dims[1]);
  const auto g = static_cast<int64_t>(groups);
  if (channels != depth * g || n % g != 0) {
    throw Error("has " + std::to_string(channels) + " channels, its weight " +
                std::to_string(depth) + " in " + std::to_string(g) +
                " groups of " + std::to_string(n));
  }
  const auto out = OutputSize(image.shape, window);
  Matrix matrix;
  matrix.constant = weight;
  const auto rows = Moved(PlacesOf(weight.view.dims[0]), weight.view.offset);
  std::vector<Axis> window_axes = weight.view.dims[2];
  window_axes.insert(window_axes.end(), weight.view.dims[3].begin(),
                     weight.view.dims[3].end());
  const auto taps = PlacesOf(window_axes);
  const auto inner = PlacesOf(weight.view.dims[1]);
  Layer layer;
  layer.node.attributes = WindowAttributes(window);
  layer.node.attributes["dilation"] =
      List({window.dilation[0], window.dilation[1]});
  if (groups > 1 && depth == 1 && n == channels) {
    layer.node.op = OpType::kDepthwiseConv2d;
    matrix.rows = taps;
    matrix.columns = rows;
  } else {
    layer.node.op = OpType::kConv2d;
    SetRange(x, layer.node);
    matrix.rows = rows;
    for (const uint32_t tap : taps) {
      for (int64_t c = 0; c < channels; ++c) {
        matrix.columns.push_back(tap + inner[static_cast<size_t>(c % depth)]);
        if (groups == 1) continue;
        matrix.column_groups.push_back(static_cast<uint32_t>(c / depth));
      }
    }
    for (int64_t i = 0; groups > 1 && i < n; ++i) {
      matrix.row_groups.push_back(static_cast<uint32_t>(i / (n / g)));
    }
  }
  layer.node.inputs = {image.name};
  layer.weight = std::move(matrix);
  layer.weight_name = NewTensorName(weight.name);
  layer.outputs = static_cast<size_t>(n);
  const std::vector<int64_t> shape = {out[0], out[1], n};
  return AddLayer(std::move(layer), shape, ImageView(image.view, dims, shape));
}

Value NetworkBuilder::Pool(OpType op, const Value& x, const ImageDims& dims,
                           const Window& window) {
  const Value image = Image(x, dims);
  const auto out = OutputSize(image.shape, window);
  const std::vector<int64_t> shape = {out[0], out[1], image.shape[2]};
  Value y = AddNode(op, {&image}, shape, ImageView(image.view, dims, shape),
                    WindowAttributes(window));
  y.range = x.range;
  return y;
}

// A kernel of one tap for each channel.
Value NetworkBuilder::Padded(const Value& x, const ImageDims& dims,
                             const std::array<int64_t, 4>& padding) {
  const int64_t channels = SizeOf(x.view.dims[dims.channels]);
  const std::vector<int64_t> shape = {channels, 1, 1, 1};
  const Constant ones = MakeConstant(
      hint_, Elements::Of(std::vector<float>(static_cast<size_t>(channels), 1)),
      shape);
  Window window;
  window.padding = padding;
  Value y = Convolution(x, dims, ones, static_cast<size_t>(channels), window);
  // What is added later is not added to the padding before.
  y.sole = false;
  y.range = x.range;
  return y;
}

std::optional<Value> NetworkBuilder::ReducedInPlace(
    OpType pool, const Value& x, const std::vector<size_t>& dims,
    const std::vector<AxisRef>& reduced) {
  if (!ShowsAll(x.view, CountOf(x.shape))) return std::nullopt;
  std::vector<Axis> axes;
  for (const AxisRef& ref : reduced) {
    axes.push_back(x.view.dims[ref.dim][ref.index]);
  }
  std::sort(axes.begin(), axes.end(),
            [](const Axis& a, const Axis& b) { return a.stride > b.stride; });
  axes = Merged(axes);
  if (axes.size() != 1) return std::nullopt;
  const int64_t count = axes[0].size;
  const int64_t inner = axes[0].stride;
  const auto outer = static_cast<int64_t>(CountOf(x.shape)) / (count * inner);
  const Value image = InShape(x, {outer, count, inner});
  View view = x.view;
  for (const size_t dim : dims) view.dims[dim].clear();
  for (auto& dim : view.dims) {
    for (Axis& axis : dim) {
      if (axis.stride > inner) axis.stride /= count;
    }
  }
  return AddNode(pool, {&image}, {outer, 1, inner}, view,
                 {{"kernel", List({1, count})}});
}

Value NetworkBuilder::Reduce(OpType pool, const Value& x,
                             const std::vector<size_t>& dims) {
  std::vector<size_t> kept = AllDims(x.view);
  std::erase_if(kept, [&](size_t dim) {
    return std::find(dims.begin(), dims.end(), dim) != dims.end();
  });
  for (const size_t dim : dims) {
    if (HasRows(x.view.dims[dim])) {
      throw Unsupported{"a reduction over the batch"};
    }
  }
  const auto reduced = OfDims(x.view, dims);
  if (reduced.empty()) return x;
  if (auto y = ReducedInPlace(pool, x, dims, reduced)) return *std::move(y);
  int64_t count = 1;
  for (const AxisRef& ref : reduced) {
    count *= x.view.dims[ref.dim][ref.index].size;
  }
  // What is reduced lies outside: as rows of an image of one column.
  auto order = reduced;
  std::stable_sort(order.begin(), order.end(),
                   [&](const AxisRef& a, const AxisRef& b) {
                     return x.view.dims[a.dim][a.index].stride >
                            x.view.dims[b.dim][b.index].stride;
                   });
  for (const AxisRef& ref : InMemoryOrder(x.view)) {
    if (std::find(dims.begin(), dims.end(), ref.dim) == dims.end()) {
      order.push_back(ref);
    }
  }
  const int64_t rest = static_cast<int64_t>(RowElements(x.view)) / count;
  const Value image = Arranged(x, order, {count, 1, rest});
  View view = image.view;
  for (const size_t dim : dims) view.dims[dim].clear();
  return AddNode(pool, {&image}, {1, 1, rest}, view,
                 {{"kernel", List({count, 1})}});
}

Value NetworkBuilder::Softmax(const Value& x, size_t dims) {
  std::vector<size_t> last = AllDims(x.view);
  last.erase(last.begin(), last.end() - static_cast<std::ptrdiff_t>(dims));
  auto inner = OfDims(x.view, last);
  for (const size_t dim : last) {
    if (HasRows(x.view.dims[dim])) throw Unsupported{"over the batch"};
  }
  std::vector<AxisRef> order;
  for (const AxisRef& ref : InMemoryOrder(x.view)) {
    if (std::find(last.begin(), last.end(), ref.dim) == last.end()) {
      order.push_back(ref);
    }
  }
  std::stable_sort(inner.begin(), inner.end(),
                   [&](const AxisRef& a, const AxisRef& b) {
                     return x.view.dims[a.dim][a.index].stride >
                            x.view.dims[b.dim][b.index].stride;
                   });
  int64_t count = 1;
  for (const AxisRef& ref : inner) {
    order.push_back(ref);
    count *= x.view.dims[ref.dim][ref.index].size;
  }
  const int64_t rows = static_cast<int64_t>(RowElements(x.view)) / count;
  const Value in = Arranged(x, order, {rows, count});
  return AddNode(OpType::kSoftmax, {&in}, in.shape, in.view);
}

void NetworkBuilder::SetZeroIfEmpty(const Value& softmax) {
  for (Layer& layer : layers_) {
    if (layer.node.output != softmax.name) continue;
    if (layer.node.op != OpType::kSoftmax) break;
    layer.node.attributes["empty"] = std::string("zero");
    return;
  }
  throw Unsupported{"what is no number, in anything but what softmax gives"};
}

Value NetworkBuilder::Norm(OpType op, const Value& x, const Constant& weight,
                           const Constant* bias, double eps) {
  const size_t last = x.view.dims.size() - 1;
  if (x.view.dims.empty() || HasRows(x.view.dims[last])) {
    throw Unsupported{"over the batch"};
  }
  std::vector<AxisRef> order;
  for (const AxisRef& ref : InMemoryOrder(x.view)) {
    if (ref.dim != last) order.push_back(ref);
  }
  const auto inner = OfDims(x.view, {last});
  order.insert(order.end(), inner.begin(), inner.end());
  const int64_t k = SizeOf(x.view.dims[last]);
  const int64_t rows = static_cast<int64_t>(RowElements(x.view)) / k;
  const Value in = Arranged(x, order, {rows, k});
  Layer layer;
  layer.node.op = op;
  layer.node.inputs = {in.name};
  layer.node.attributes["eps"] = eps;
  layer.vector = weight.Floats();
  layer.weight_name = NewTensorName(weight.name);
  if (bias != nullptr) layer.bias = bias->Floats();
  if (layer.vector.size() != static_cast<size_t>(k) ||
      (bias != nullptr && layer.bias.size() != layer.vector.size())) {
    throw Error("has a weight of another size than the last dimension");
  }
  return AddLayer(std::move(layer), in.shape, in.view);
}

Value NetworkBuilder::Embedding(const Constant& table, const Value& ids) {
  if (!ids.ids) throw Unsupported{"a table looked up by what is computed"};
  Layer layer;
  layer.node.op = OpType::kEmbedding;
  layer.node.inputs = {ids.name};
  Matrix matrix;
  matrix.constant = table;
  matrix.rows = Moved(PlacesOf(table.view.dims[0]), table.view.offset);
  matrix.columns = PlacesOf(table.view.dims[1]);
  const auto n = static_cast<int64_t>(matrix.columns.size());
  layer.weight = std::move(matrix);
  layer.weight_name = NewTensorName(table.name);
  View view = ids.view;
  view.offset *= n;
  for (auto& dim : view.dims) {
    for (Axis& axis : dim) axis.stride *= n;
  }
  view.dims.push_back(DimOf(n, 1));
  std::vector<int64_t> shape = ids.shape;
  shape.push_back(n);
  return AddLayer(std::move(layer), std::move(shape), std::move(view));
}

Value NetworkBuilder::Concat(const Value& a, const Value& other, size_t dim) {
  if (HasRows(a.view.dims[dim])) throw Unsupported{"along the batch"};
  Value b = other;
  if (other.same_in_rows) {
    for (size_t i = 0; i < a.view.dims.size(); ++i) {
      if (b.view.dims[i].empty() && HasRows(a.view.dims[i])) {
        b.view.dims[i] = a.view.dims[i];
      }
    }
  }
  if (RowsOf(a.view) != RowsOf(b.view)) {
    throw Unsupported{"values of a batch together with others of none"};
  }
  // What lies outside of the dimension in memory stays there, and so does what
  // lies inside, if the dimension is of one axis. Of a dimension of size 1 that
  // is everything.
  const auto axes_of = [&](const Value& value) {
    return RowElementAxes(value.view.dims[dim]).size();
  };
  const View& lead = axes_of(a) == 0 ? b.view : a.view;
  const auto stride = [&](size_t d) {
    const auto axes = RowElementAxes(lead.dims[d]);
    return axes.empty() ? int64_t{0} : axes.front().stride;
  };
  const bool one_axis = axes_of(a) <= 1 && axes_of(b) <= 1;
  const bool single = axes_of(a) == 0 && axes_of(b) == 0;
  std::vector<size_t> outer;
  std::vector<size_t> inner;
  for (size_t d = 0; d < a.view.dims.size(); ++d) {
    if (d == dim) continue;
    if (DimSize(a.view.dims[d]) != DimSize(b.view.dims[d])) {
      throw Error("joins shapes that differ in more than one dimension");
    }
    const bool inside = single || (one_axis && stride(d) < stride(dim));
    (inside ? inner : outer).push_back(d);
  }
  const auto by_stride = [&](size_t p, size_t q) {
    return stride(p) > stride(q);
  };
  std::stable_sort(outer.begin(), outer.end(), by_stride);
  std::stable_sort(inner.begin(), inner.end(), by_stride);
  std::vector<size_t> order = outer;
  order.push_back(dim);
  order.insert(order.end(), inner.begin(), inner.end());
  int64_t block = 1;  // elements inside of one of the dimension
  for (const size_t d : inner) block *= SizeOf(RowElementAxes(a.view.dims[d]));
  const int64_t left = SizeOf(a.view.dims[dim]) * block;
  const int64_t right = SizeOf(b.view.dims[dim]) * block;
  const int64_t rows = static_cast<int64_t>(RowElements(a.view)) / left;
  const Value x = Arranged(a, OfDims(a.view, order), {rows, left});
  const Value y = Arranged(b, OfDims(b.view, order), {rows, right});
  View view = x.view;
  for (const size_t d : outer) {
    for (Axis& axis : view.dims[d]) {
      axis.stride = axis.stride / left * (left + right);
    }
  }
  view.dims[dim] = DimOf((left + right) / block, block);
  return AddNode(OpType::kConcat, {&x, &y}, {rows, left + right}, view);
}

Value NetworkBuilder::Recurrent(const Value& x, const RecurrentLayer& cell) {
  const auto& time = x.view.dims[0];
  if (time.size() != 1 || !time[0].is_row() ||
      !RowElementAxes(x.view.dims[1]).empty()) {
    throw Unsupported{"a sequence whose steps are no rows of a call"};
  }
  SetTime(time[0].row);
  if (cell.attributes.contains("direction")) {
    Note("a layer goes backward, so a sequence comes in one call");
  }
  Constant transposed = cell.input;
  transposed.view = Transposed(cell.input.view, std::vector<size_t>{1, 0});
  Value in = Linear(x, transposed);
  layers_.back().bias = cell.input_bias;
  Layer layer;
  layer.node.op = cell.op;
  layer.node.inputs = {in.name};
  layer.node.attributes = cell.attributes;
  Matrix matrix;
  matrix.constant = cell.recurrent;
  matrix.rows =
      Moved(PlacesOf(cell.recurrent.view.dims[0]), cell.recurrent.view.offset);
  matrix.columns = PlacesOf(cell.recurrent.view.dims[1]);
  layer.weight = std::move(matrix);
  layer.weight_name = NewTensorName(cell.recurrent.name);
  layer.bias = cell.recurrent_bias;
  View view = in.view;
  view.dims.back() = DimOf(cell.outputs, 1);
  return AddLayer(std::move(layer), {cell.outputs}, std::move(view));
}

}  // namespace lutra::packer
