#include "packer/import/network/network.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>

#include "lutra/runtime/error.h"
#include "packer/import/checkpoint.h"

namespace lutra::packer {
namespace {

// Places are float32 in model files: every whole number up to this one is
// exact.
constexpr size_t kMostPlaces = size_t{1} << 24;

// Throws Unsupported if a dimension is a row axis and more.
ImportedArray Describe(const std::string& name, const View& view,
                       const std::vector<size_t>& order) {
  ImportedArray array;
  array.name = name;
  for (const auto& dim : view.dims) {
    array.rows.push_back(HasRows(dim) ? dim[0].row : -1);
    if (HasRows(dim) && dim.size() > 1) {
      throw Unsupported{"a dimension that is a batch and more"};
    }
  }
  for (const size_t dim : order) {
    if (!HasRows(view.dims[dim])) array.order.push_back(dim);
  }
  return array;
}

int64_t Count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

}  // namespace

std::string NetworkBuilder::NewName() {
  std::string name = hint_;
  for (int i = 1; !names_.insert(name).second; ++i) {
    name = hint_ + "." + std::to_string(i);
  }
  return name;
}

std::string NetworkBuilder::NewTensorName(const std::string& name) {
  const std::string base = name.empty() ? hint_ : name;
  std::string result = base;
  for (int i = 1; !tensor_names_.insert(result).second; ++i) {
    result = base + "." + std::to_string(i);
  }
  return result;
}

void NetworkBuilder::Note(const std::string& note) {
  if (std::find(notes_.begin(), notes_.end(), note) == notes_.end()) {
    notes_.push_back(note);
  }
}

Value NetworkBuilder::AddLayer(Layer layer, std::vector<int64_t> shape,
                               View view) {
  layer.node.output = NewName();
  Value value;
  value.name = layer.node.output;
  value.shape = std::move(shape);
  value.view = std::move(view);
  layers_.push_back(std::move(layer));
  return value;
}

Value NetworkBuilder::AddNode(OpType op, std::vector<const Value*> inputs,
                              std::vector<int64_t> shape, View view,
                              Attributes attributes) {
  Layer layer;
  layer.node.op = op;
  for (const Value* input : inputs) {
    if (input->ids) throw Unsupported{"whole numbers that are computed with"};
    layer.node.inputs.push_back(input->name);
  }
  layer.node.attributes = std::move(attributes);
  return AddLayer(std::move(layer), std::move(shape), std::move(view));
}

Value NetworkBuilder::WithView(const Value& x, View view) const {
  Value value = x;
  value.view = std::move(view);
  return value;
}

Value NetworkBuilder::InShape(const Value& x,
                              const std::vector<int64_t>& shape) {
  if (x.shape == shape) return x;
  return AddNode(OpType::kReshape, {&x}, shape, x.view, {{"shape", shape}});
}

std::vector<NetworkBuilder::AxisRef> NetworkBuilder::OfDims(
    const View& view, const std::vector<size_t>& dims) {
  std::vector<AxisRef> order;
  for (const size_t dim : dims) {
    for (size_t i = 0; i < view.dims[dim].size(); ++i) {
      if (!view.dims[dim][i].is_row()) order.push_back({dim, i});
    }
  }
  return order;
}

std::vector<NetworkBuilder::AxisRef> NetworkBuilder::InMemoryOrder(
    const View& view) {
  std::vector<size_t> dims;
  for (size_t i = 0; i < view.dims.size(); ++i) dims.push_back(i);
  std::vector<AxisRef> order = OfDims(view, dims);
  std::stable_sort(order.begin(), order.end(),
                   [&](const AxisRef& a, const AxisRef& b) {
                     return view.dims[a.dim][a.index].stride >
                            view.dims[b.dim][b.index].stride;
                   });
  return order;
}

std::optional<std::vector<int64_t>> NetworkBuilder::Permutation(
    const std::vector<Axis>& axes, int64_t offset, int64_t memory) {
  constexpr size_t kMostDims = 8;
  if (offset != 0 || axes.size() > kMostDims) return std::nullopt;
  std::vector<size_t> sorted(axes.size());
  std::iota(sorted.begin(), sorted.end(), size_t{0});
  std::stable_sort(sorted.begin(), sorted.end(), [&](size_t a, size_t b) {
    return axes[a].stride > axes[b].stride;
  });
  std::vector<int64_t> order(axes.size());
  int64_t expected = 1;
  for (size_t i = sorted.size(); i-- > 0;) {
    const Axis& axis = axes[sorted[i]];
    if (axis.stride != expected) return std::nullopt;
    expected *= axis.size;
    order[sorted[i]] = static_cast<int64_t>(i);
  }
  if (expected != memory) return std::nullopt;
  return order;
}

Value NetworkBuilder::Arranged(const Value& x,
                               const std::vector<AxisRef>& order,
                               const std::vector<int64_t>& shape) {
  std::vector<Axis> axes;
  View view = x.view;
  view.offset = 0;
  int64_t stride = 1;
  for (const AxisRef& ref : order) {
    axes.push_back(x.view.dims[ref.dim][ref.index]);
  }
  for (size_t i = order.size(); i-- > 0;) {
    Axis& axis = view.dims[order[i].dim][order[i].index];
    axis.stride = stride;
    stride *= axis.size;
  }
  const std::vector<Axis> merged = Merged(axes);
  const int64_t memory = Count(x.shape);
  const bool in_line =
      merged.empty() || (merged.size() == 1 && merged[0].stride == 1);
  if (in_line && stride == memory) {
    Value value = InShape(x, shape);
    value.view = std::move(view);
    return value;
  }
  if (x.ids) throw Unsupported{"ids that are put in another order"};
  if (const auto dims = Permutation(merged, x.view.offset, memory)) {
    std::vector<int64_t> sizes(merged.size());
    std::vector<int64_t> moved_sizes;
    for (size_t i = 0; i < merged.size(); ++i) {
      sizes[static_cast<size_t>((*dims)[i])] = merged[i].size;
      moved_sizes.push_back(merged[i].size);
    }
    const Value from = InShape(x, sizes);
    const Value moved = AddNode(OpType::kTranspose, {&from}, moved_sizes, view,
                                {{"order", *dims}});
    return InShape(moved, shape);
  }
  const Value flat = InShape(x, {memory});
  Layer layer;
  layer.node.inputs = {flat.name};
  if (in_line) {
    layer.node.op = OpType::kSlice;
    layer.node.attributes["begin"] = static_cast<double>(x.view.offset);
    layer.node.attributes["length"] = static_cast<double>(stride);
  } else {
    if (memory > static_cast<int64_t>(kMostPlaces)) {
      throw Unsupported{"more than 2^24 elements in another order"};
    }
    layer.node.op = OpType::kGather;
    for (const uint32_t place : Places(axes, x.view.offset, kMostPlaces)) {
      layer.vector.push_back(static_cast<float>(place));
    }
    layer.weight_name = NewTensorName(hint_ + ".places");
  }
  Value moved = AddLayer(std::move(layer), {stride}, view);
  return InShape(moved, shape);
}

Value NetworkBuilder::Full(const Value& x) {
  if (ShowsAll(x.view, static_cast<size_t>(Count(x.shape)))) return x;
  std::vector<size_t> dims;
  for (size_t i = 0; i < x.view.dims.size(); ++i) dims.push_back(i);
  const auto order = OfDims(x.view, dims);
  return Arranged(x, order, {static_cast<int64_t>(RowElements(x.view))});
}

Value NetworkBuilder::Reshaped(const Value& x,
                               const std::vector<int64_t>& shape) {
  if (auto view = packer::Reshaped(x.view, shape)) {
    return WithView(x, *std::move(view));
  }
  // In the source's order, any shape is one of the same memory.
  std::vector<size_t> dims;
  for (size_t i = 0; i < x.view.dims.size(); ++i) dims.push_back(i);
  const auto count = static_cast<int64_t>(RowElements(x.view));
  const Value moved = Arranged(x, OfDims(x.view, dims), {count});
  auto view = packer::Reshaped(moved.view, shape);
  if (!view) throw Unsupported{"a shape that joins the batch with other axes"};
  return WithView(moved, *std::move(view));
}

Value NetworkBuilder::AddInput(const std::string& name, const View& view,
                               bool ids, const std::vector<size_t>& order) {
  Value value;
  value.name = name;
  value.ids = ids;
  value.view = view;
  int64_t stride = 1;
  for (size_t i = order.size(); i-- > 0;) {
    for (size_t j = view.dims[order[i]].size(); j-- > 0;) {
      Axis& axis = value.view.dims[order[i]][j];
      if (axis.is_row()) continue;
      axis.stride = stride;
      stride *= axis.size;
    }
  }
  arrays_.push_back(Describe(name, view, order));
  for (const size_t dim : arrays_.back().order) {
    value.shape.push_back(*DimSize(view.dims[dim]));
  }
  inputs_.push_back(
      {name, ids ? ValueType::kInt32 : ValueType::kFloat32, value.shape});
  return value;
}

void NetworkBuilder::AddOutput(const std::string& name, const Value& value,
                               const std::vector<size_t>& order) {
  std::vector<int64_t> shape;
  const ImportedArray array = Describe(name, value.view, order);
  for (const size_t dim : array.order) {
    shape.push_back(*DimSize(value.view.dims[dim]));
  }
  arrays_.push_back(array);
  if (shape.empty()) shape = {1};
  SetHint(name);
  Value result = Arranged(value, OfDims(value.view, order), shape);
  const auto made = [&](const std::string& output) {
    return std::find_if(layers_.begin(), layers_.end(), [&](const Layer& l) {
      return l.node.output == output;
    });
  };
  // What the graph takes in, or gives out already, is copied.
  if (made(result.name) == layers_.end() ||
      std::find(outputs_.begin(), outputs_.end(), result.name) !=
          outputs_.end()) {
    if (result.name == name) {  // an input of the graph
      outputs_.push_back(name);
      return;
    }
    result = AddNode(OpType::kReshape, {&result}, shape, result.view,
                     {{"shape", shape}});
  }
  made(result.name)->node.output = name;
  for (Layer& layer : layers_) {
    std::replace(layer.node.inputs.begin(), layer.node.inputs.end(),
                 result.name, name);
  }
  outputs_.push_back(name);
}

void NetworkBuilder::AddWeight(Layer& layer, ImportPlan& plan) {
  const auto rows = static_cast<int64_t>(layer.weight->rows.size());
  const auto columns = static_cast<int64_t>(layer.weight->columns.size());
  const std::string& name = layer.weight_name;
  layer.node.weight = name;
  std::optional<StoredWeight> stored;
  if (layer.factors.empty() && IsPackable(layer.node.op)) {
    stored = layer.weight->Stored(options_.source.string());
  }
  if (stored) {
    try {
      plan.tensors.push_back(HeldTensor(name, *stored, options_.dequantize));
      return;
    } catch (const Error& error) {
      Note("'" + name + "' became float32: " + error.what());
    }
  }
  ImportTensor tensor;
  tensor.info.name = name;
  tensor.info.dtype = DType::kFloat32;
  tensor.info.shape = {rows, columns};
  tensor.write = [matrix = *layer.weight, factors = layer.factors,
                  by_column = layer.node.op == OpType::kDepthwiseConv2d](
                     const TensorParts& parts, ImportedWeight&) {
    const size_t k = matrix.columns.size();
    std::vector<float> row(k);
    for (size_t r = 0; r < matrix.rows.size(); ++r) {
      for (size_t c = 0; c < k; ++c) {
        row[c] = matrix.Value(r, c);
        if (factors.empty()) continue;
        row[c] = static_cast<float>(row[c] * factors[by_column ? c : r]);
      }
      parts(r * k * sizeof(float), std::as_bytes(std::span(row)));
    }
  };
  plan.tensors.push_back(std::move(tensor));
}

void NetworkBuilder::RemoveUnused() {
  std::set<std::string> used(outputs_.begin(), outputs_.end());
  for (size_t i = layers_.size(); i-- > 0;) {
    const Node& node = layers_[i].node;
    if (used.contains(node.output)) {
      used.insert(node.inputs.begin(), node.inputs.end());
    } else {
      layers_.erase(layers_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

ImportPlan NetworkBuilder::Finish() {
  RemoveUnused();
  ImportPlan plan;
  plan.graph.inputs = inputs_;
  plan.graph.outputs = outputs_;
  for (Layer& layer : layers_) {
    if (layer.weight) {
      AddWeight(layer, plan);
    } else if (!layer.vector.empty()) {
      layer.node.weight = layer.weight_name;
      plan.tensors.push_back(MakeTensor(
          layer.weight_name, {static_cast<int64_t>(layer.vector.size())},
          [values = layer.vector] { return values; }));
    }
    if (!layer.bias.empty()) {
      layer.node.bias = NewTensorName(layer.weight_name + ".bias");
      plan.tensors.push_back(
          MakeTensor(layer.node.bias, {static_cast<int64_t>(layer.bias.size())},
                     [values = layer.bias] { return values; }));
    }
    plan.graph.nodes.push_back(layer.node);
  }
  plan.notes = notes_;
  plan.arrays = arrays_;
  plan.time_axis = time_;
  return plan;
}

}  // namespace lutra::packer
