// Operators that move elements, and the computation of shapes.

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/onnx/onnx_node.h"

namespace lutra::packer {
namespace {

// The same view of either kind.
template <typename Change>
void ChangeView(OnnxContext& node, const Change& change) {
  Operand operand = node.Input(0);
  View& view = operand.constant ? operand.constant->view : operand.value->view;
  view = change(view);
  node.SetOutput(std::move(operand));
}

// A constant whose elements lie in row-major order.
Constant InOrder(const Constant& constant) {
  const std::vector<int64_t> shape = ShapeOf(constant.view);
  if (constant.view == NaturalView(shape)) return constant;
  Elements elements = constant.is_float() ? Elements::Of(constant.Floats())
                                          : Elements::Of(constant.Integers());
  return MakeConstant(constant.name, std::move(elements), shape);
}

Operand ReshapedTo(const OnnxContext& node, Operand operand,
                   const std::vector<int64_t>& shape) {
  if (operand.value) {
    *operand.value = node.net().Reshaped(*operand.value, shape);
    return operand;
  }
  auto view = Reshaped(operand.constant->view, shape);
  if (!view) {
    operand.constant = InOrder(*operand.constant);
    view = Reshaped(operand.constant->view, shape);
  }
  if (!view) throw Error("has another number of elements than its input");
  operand.constant->view = *std::move(view);
  return operand;
}

void Reshape(OnnxContext& node) {
  Operand operand = node.Input(0);
  std::vector<int64_t> shape =
      node.Has(1) ? node.ShapeAt(1) : node.Integers("shape");
  const bool copies = node.Integer("allowzero", 0) == 0;
  const auto& dims = operand.view().dims;
  size_t open = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0 && copies) {
      if (i >= dims.size()) {
        throw Error("copies the size of a dimension that is not there");
      }
      const auto size = DimSize(dims[i]);
      if (!size) throw Unsupported{"a shape that joins the batch with others"};
      shape[i] = *size;
    }
    if (shape[i] == -1) ++open;
    if (shape[i] < -1 && !IsUnknownSize(shape[i])) {
      throw Error("has a size of " + std::to_string(shape[i]));
    }
  }
  if (open > 1) throw Error("has two sizes of -1");
  if (shape.size() > 8) throw Unsupported{"more than 8 dimensions"};
  node.SetOutput(ReshapedTo(node, std::move(operand), shape));
}

void Flatten(OnnxContext& node) {
  Operand operand = node.Input(0);
  const auto& dims = operand.view().dims;
  const int64_t given = node.Integer("axis", 1);
  const auto rank = static_cast<int64_t>(dims.size());
  if (given < -rank || given > rank) {
    throw Error("has the axis " + std::to_string(given));
  }
  const auto axis = static_cast<size_t>(given < 0 ? given + rank : given);
  View flat;
  flat.offset = operand.view().offset;
  flat.dims.resize(2);
  for (size_t i = 0; i < dims.size(); ++i) {
    auto& to = flat.dims[i < axis ? 0 : 1];
    to.insert(to.end(), dims[i].begin(), dims[i].end());
  }
  for (auto& dim : flat.dims) dim = Merged(dim);
  (operand.constant ? operand.constant->view : operand.value->view) = flat;
  node.SetOutput(std::move(operand));
}

void Transpose(OnnxContext& node) {
  ChangeView(node, [&](const View& view) {
    const size_t rank = view.dims.size();
    std::vector<size_t> order;
    for (const int64_t axis : node.Integers("perm")) {
      if (axis < 0 || static_cast<size_t>(axis) >= rank) {
        throw Error("has the axis " + std::to_string(axis) + " of " +
                    std::to_string(rank));
      }
      if (std::find(order.begin(), order.end(), axis) != order.end()) {
        throw Error("has an axis twice");
      }
      order.push_back(static_cast<size_t>(axis));
    }
    if (order.empty()) {
      for (size_t i = rank; i-- > 0;) order.push_back(i);
    }
    if (order.size() != rank) throw Error("has too few axes");
    return Transposed(view, order);
  });
}

std::vector<int64_t> AxesOf(const OnnxContext& node) {
  return node.Has(1) ? node.IntegersAt(1) : node.Integers("axes");
}

void Squeeze(OnnxContext& node) {
  ChangeView(node, [&](View view) {
    const std::vector<int64_t> axes = AxesOf(node);
    std::vector<bool> gone(view.dims.size(), false);
    for (const int64_t axis : axes) {
      gone[node.Dim(axis, view.dims.size())] = true;
    }
    View result;
    result.offset = view.offset;
    for (size_t i = 0; i < view.dims.size(); ++i) {
      const bool one = DimSize(view.dims[i]) == 1;
      if (!(axes.empty() ? one : gone[i])) {
        result.dims.push_back(view.dims[i]);
      } else if (!one) {
        throw Error("squeezes a dimension that is not 1");
      } else if (HasRows(view.dims[i])) {
        throw Unsupported{"a batch that is squeezed away"};
      }
    }
    return result;
  });
}

void Unsqueeze(OnnxContext& node) {
  ChangeView(node, [&](const View& view) {
    const std::vector<int64_t> axes = AxesOf(node);
    const size_t rank = view.dims.size() + axes.size();
    if (rank > 8) throw Unsupported{"more than 8 dimensions"};
    std::vector<bool> fresh(rank, false);
    for (const int64_t axis : axes) {
      const size_t dim = node.Dim(axis, rank);
      if (fresh[dim]) throw Error("has an axis twice");
      fresh[dim] = true;
    }
    View result;
    result.offset = view.offset;
    size_t next = 0;
    for (size_t i = 0; i < rank; ++i) {
      result.dims.push_back(fresh[i] ? std::vector<Axis>() : view.dims[next++]);
    }
    return result;
  });
}

// `count` elements of a dimension.
Operand Cut(const OnnxContext& node, Operand operand, size_t dim, int64_t begin,
            int64_t step, int64_t count) {
  const View& view = operand.view();
  if (DimSize(view.dims[dim]) == count && begin == 0 && step == 1) {
    return operand;
  }
  if (HasRows(view.dims[dim])) throw Unsupported{"a part of the batch"};
  if (count < 1) {
    // Of a shape there may be nothing.
    if (operand.constant && !operand.dynamic && view.dims.size() == 1 &&
        !operand.constant->is_float()) {
      return {MakeConstant(operand.constant->name,
                           Elements::Of(std::vector<int64_t>()),
                           std::vector<int64_t>{0}),
              std::nullopt};
    }
    throw Unsupported{"a part without elements"};
  }
  auto cut = Sliced(view, dim, begin, step, count);
  if (!cut) {
    operand = ReshapedTo(node, std::move(operand), ShapeOf(view));
    cut = Sliced(operand.view(), dim, begin, step, count);
  }
  if (!cut) throw Unsupported{"a part of axes that are joined"};
  (operand.constant ? operand.constant->view : operand.value->view) =
      *std::move(cut);
  return operand;
}

void Slice(OnnxContext& node) {
  Operand operand = node.Input(0);
  const bool old = node.opset() < 10;
  const std::vector<int64_t> starts =
      old ? node.Integers("starts") : node.IntegersAt(1);
  const std::vector<int64_t> ends =
      old ? node.Integers("ends") : node.ShapeAt(2);
  std::vector<int64_t> axes =
      node.Has(3) ? node.IntegersAt(3) : node.Integers("axes");
  std::vector<int64_t> steps;
  if (node.Has(4)) steps = node.IntegersAt(4);
  if (axes.empty()) {
    for (size_t i = 0; i < starts.size(); ++i) {
      axes.push_back(static_cast<int64_t>(i));
    }
  }
  if (steps.empty()) steps.assign(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() ||
      steps.size() != starts.size()) {
    throw Error("has lists of different lengths");
  }
  const size_t rank = operand.view().dims.size();
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t dim = node.Dim(axes[i], rank);
    const int64_t step = steps[i];
    if (step == 0) throw Error("has a step of 0");
    const auto size = DimSize(operand.view().dims[dim]);
    if (!size || IsUnknownSize(*size)) {
      // All of the batch is no part of it.
      if (starts[i] == 0 && step == 1 &&
          (IsUnknownSize(ends[i]) || ends[i] >= INT32_MAX)) {
        continue;
      }
      throw Unsupported{"a part of the batch"};
    }
    const auto place = [&](int64_t at, int64_t low, int64_t high) {
      if (at < 0) at = at < -*size ? low : at + *size;
      return std::clamp(at, low, high);
    };
    const bool up = step > 0;
    if (IsUnknownSize(starts[i]) || IsUnknownSize(ends[i])) {
      throw Unsupported{"a part as long as the batch"};
    }
    const int64_t begin = place(starts[i], 0, up ? *size : *size - 1);
    const int64_t end =
        up ? place(ends[i], 0, *size) : place(ends[i], -1, *size - 1);
    const int64_t reach = up ? end - begin : begin - end;
    const int64_t stride = std::min<int64_t>(
        up ? step : (step == INT64_MIN ? INT64_MAX : -step), *size + 1);
    const int64_t count = reach <= 0 ? 0 : (reach - 1) / stride + 1;
    operand =
        Cut(node, std::move(operand), dim, begin, up ? stride : -stride, count);
  }
  node.SetOutput(std::move(operand));
}

void Split(OnnxContext& node) {
  const Operand operand = node.Input(0);
  const size_t dim =
      node.Dim(node.Integer("axis", 0), operand.view().dims.size());
  const auto size = DimSize(operand.view().dims[dim]);
  if (!size || IsUnknownSize(*size)) throw Unsupported{"parts of the batch"};
  std::vector<int64_t> parts =
      node.Has(1) ? node.IntegersAt(1) : node.Integers("split");
  const auto count = static_cast<int64_t>(node.node().outputs.size());
  if (parts.empty()) {
    const int64_t part = (*size - 1) / count + 1;
    for (int64_t i = 0; i < count; ++i) {
      parts.push_back(std::min(part, *size - i * part));
    }
  }
  if (static_cast<int64_t>(parts.size()) != count) {
    throw Error("has another number of parts than outputs");
  }
  int64_t begin = 0;
  for (const int64_t part : parts) {
    if (part < 0 || part > *size - begin) {
      throw Error("has parts that are not those of " + std::to_string(*size));
    }
    begin += part;
  }
  if (begin != *size) throw Error("has parts that do not come to the whole");
  begin = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    Operand part = operand;
    if (part.value) part.value->sole = false;
    node.SetOutput(Cut(node, std::move(part), dim, begin, 1, parts[i]), i);
    begin += parts[i];
  }
}

// Numbers of a known shape, joined along a dimension.
Constant JoinedConstants(const OnnxContext& node, size_t dim) {
  std::vector<int64_t> shape = ShapeOf(node.ConstantAt(0).view);
  int64_t size = 0;
  std::vector<std::vector<float>> floats;
  std::vector<std::vector<int64_t>> integers;
  std::vector<int64_t> sizes;
  const bool is_float = node.ConstantAt(0).is_float();
  int64_t inner = 1;
  int64_t outer = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    (i < dim ? outer : inner) *= i == dim ? 1 : shape[i];
  }
  for (size_t i = 0; i < node.InputCount(); ++i) {
    const Constant part = node.ConstantAt(i);
    std::vector<int64_t> own = ShapeOf(part.view);
    if (own.size() != shape.size() || part.is_float() != is_float) {
      throw Error("joins inputs of different kinds");
    }
    sizes.push_back(own[dim]);
    size += own[dim];
    own[dim] = shape[dim];
    if (own != shape) throw Error("joins shapes that do not fit");
    if (is_float) {
      floats.push_back(part.Floats());
    } else {
      integers.push_back(part.Integers());
    }
  }
  const auto join = [&]<typename T>(const std::vector<std::vector<T>>& parts) {
    std::vector<T> all;
    for (int64_t o = 0; o < outer; ++o) {
      for (size_t i = 0; i < parts.size(); ++i) {
        const int64_t count = sizes[i] * inner;
        all.insert(all.end(), parts[i].begin() + o * count,
                   parts[i].begin() + (o + 1) * count);
      }
    }
    return all;
  };
  shape[dim] = size;
  return MakeConstant(
      node.node().outputs[0],
      is_float ? Elements::Of(join(floats)) : Elements::Of(join(integers)),
      shape);
}

void Concat(OnnxContext& node) {
  if (!node.HasAttribute("axis")) throw Error("has no axis");
  const size_t rank = node.Input(0).view().dims.size();
  const size_t dim = node.Dim(node.Integer("axis", 0), rank);
  if (node.AllConstant()) {
    return node.SetOutput(JoinedConstants(node, dim));
  }
  // The first one that is computed says which rows there are.
  const auto rows = [&] {
    for (size_t i = 0; i < node.InputCount(); ++i) {
      if (!node.IsConstant(i)) return node.ValueAt(i).view;
    }
    return View();
  }();
  Value all = node.AnyValueAt(0);
  if (all.same_in_rows && all.view.dims.size() == rows.dims.size()) {
    for (size_t d = 0; d < rows.dims.size(); ++d) {
      if (d != dim && all.view.dims[d].empty() && HasRows(rows.dims[d])) {
        all.view.dims[d] = rows.dims[d];
      }
    }
  }
  for (size_t i = 1; i < node.InputCount(); ++i) {
    const Value part = node.AnyValueAt(i);
    if (part.view.dims.size() != rank) {
      throw Error("joins inputs of different ranks");
    }
    all = node.net().Concat(all, part, dim);
  }
  node.SetOutput(std::move(all));
}

void Shape(OnnxContext& node) {
  const View view = node.Input(0).view();
  std::vector<int64_t> shape;
  for (const auto& dim : view.dims) {
    const auto size = DimSize(dim);
    if (!size) throw Unsupported{"a shape that joins the batch with others"};
    shape.push_back(*size);
  }
  const auto rank = static_cast<int64_t>(shape.size());
  const auto place = [&](int64_t at) {
    return std::clamp(at < 0 ? at + rank : at, int64_t{0}, rank);
  };
  const int64_t begin = place(node.Integer("start", 0));
  const int64_t end = std::max(begin, place(node.Integer("end", rank)));
  const std::vector<int64_t> part(shape.begin() + begin, shape.begin() + end);
  const std::vector<int64_t> length = {end - begin};
  node.SetOutput(
      MakeConstant(node.node().outputs[0], Elements::Of(part), length));
}

void ConstantNode(OnnxContext& node) {
  Constant constant;
  if (node.HasAttribute("value")) {
    constant = node.Tensor("value");
  } else if (node.HasAttribute("value_float")) {
    constant = MakeConstant(
        "", Elements::Of(std::vector<float>{node.Number("value_float", 0)}),
        {});
  } else if (node.HasAttribute("value_int")) {
    constant = MakeConstant(
        "", Elements::Of(std::vector<int64_t>{node.Integer("value_int", 0)}),
        {});
  } else if (node.HasAttribute("value_ints")) {
    const std::vector<int64_t> values = node.Integers("value_ints");
    const std::vector<int64_t> shape = {static_cast<int64_t>(values.size())};
    constant = MakeConstant("", Elements::Of(values), shape);
  } else {
    throw Unsupported{"a constant of another kind than numbers"};
  }
  constant.name = node.node().outputs[0];
  node.SetOutput(std::move(constant));
}

int64_t CheckedCount(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (IsUnknownSize(size)) throw Unsupported{"a constant of the batch"};
    if (size < 0 || size > kMostComputed || count * size > kMostComputed) {
      throw Error("makes a constant of a size that is not possible");
    }
    count *= size;
  }
  return count;
}

void ConstantOfShape(OnnxContext& node) {
  const std::vector<int64_t> shape = node.IntegersAt(0);
  const auto count = static_cast<size_t>(CheckedCount(shape));
  Constant value = MakeConstant("", Elements::Of(std::vector<float>{0}),
                                std::vector<int64_t>{1});
  if (node.HasAttribute("value")) value = node.Tensor("value");
  if (value.Count() != 1) throw Error("has a value of several numbers");
  Elements elements =
      value.is_float()
          ? Elements::Of(std::vector<float>(count, value.Floats()[0]))
          : Elements::Of(std::vector<int64_t>(count, value.Integers()[0]));
  node.SetOutput(
      MakeConstant(node.node().outputs[0], std::move(elements), shape));
}

void RangeOfFloats(OnnxContext& node) {
  const double start = double{node.NumberAt(0)};
  const double limit = double{node.NumberAt(1)};
  const double step = double{node.NumberAt(2)};
  const double count = std::ceil((limit - start) / step);
  if (!(count <= kMostComputed)) {
    throw Error("makes a constant of a size that is not possible");
  }
  std::vector<float> values;
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i) {
    values.push_back(static_cast<float>(start + static_cast<double>(i) * step));
  }
  const std::vector<int64_t> shape = {static_cast<int64_t>(values.size())};
  node.SetOutput(
      MakeConstant(node.node().outputs[0], Elements::Of(values), shape));
}

void Range(OnnxContext& node) {
  if (node.ConstantAt(0).is_float()) return RangeOfFloats(node);
  int64_t numbers[3];
  for (size_t i = 0; i < 3; ++i) {
    const std::vector<int64_t> values = node.IntegersAt(i);
    if (values.size() != 1) throw Error("takes numbers alone");
    if (IsUnknownSize(values[0])) throw Unsupported{"a range of the batch"};
    numbers[i] = values[0];
    constexpr int64_t kFurthest = int64_t{1} << 31;
    if (numbers[i] < -kFurthest || numbers[i] > kFurthest) {
      throw Error("makes a constant of a size that is not possible");
    }
  }
  if (numbers[2] == 0) throw Error("has a step of 0");
  std::vector<int64_t> values;
  for (int64_t at = numbers[0];
       numbers[2] > 0 ? at < numbers[1] : at > numbers[1]; at += numbers[2]) {
    if (static_cast<int64_t>(values.size()) == kMostComputed) {
      throw Error("makes a constant of a size that is not possible");
    }
    values.push_back(at);
  }
  const std::vector<int64_t> shape = {static_cast<int64_t>(values.size())};
  node.SetOutput(
      MakeConstant(node.node().outputs[0], Elements::Of(values), shape));
}

// Rows of a table of whole numbers, which the node behind makes floats of: with
// its scale and zero point.
void GatherQuantized(OnnxContext& node, Constant table, const Value& ids) {
  const OnnxNode* const reader = node.Reader();
  if (reader == nullptr || reader->FullName() != "DequantizeLinear" ||
      reader->inputs.size() < 2) {
    throw Unsupported{"a table of integers"};
  }
  auto quantization = std::make_shared<Quantization>();
  for (size_t i = 1; i < reader->inputs.size(); ++i) {
    if (reader->inputs[i].empty()) continue;
    const Constant* const number = node.KnownConstant(reader->inputs[i]);
    if (number == nullptr || number->Count() != 1 ||
        number->is_float() != (i == 1)) {
      throw Unsupported{"a table of integers with several scales"};
    }
    if (i == 1) {
      quantization->scales = Elements::Of(number->Floats());
    } else {
      quantization->zeros = Elements::Of(number->Integers());
    }
  }
  table.quantization = std::move(quantization);
  node.SetOutput(Operand{std::nullopt, node.net().Embedding(table, ids),
                         DynamicPart{DynamicPart::Kind::kRows, ""}});
}

// The first token of a text, or the last one, which is what each row has as far
// as the text has come.
Value TokenAt(const OnnxContext& node, const Value& x, size_t dim,
              int64_t place) {
  if (place != 0 && place != -1) {
    throw Unsupported{"tokens other than the first and the last"};
  }
  return place == 0 ? node.net().OfSteps("first", x, dim)
                    : node.net().OfLastStep(x, dim);
}

// Rows of a table by the ids of the input, or places that are known.
void Gather(OnnxContext& node) {
  Operand data = node.Input(0);
  const size_t rank = data.view().dims.size();
  const size_t dim = node.Dim(node.Integer("axis", 0), rank);
  if (!node.IsConstant(1)) {
    if (!data.constant || rank != 2 || dim != 0) {
      throw Unsupported{"places that are computed, in anything but a table"};
    }
    const Operand ids = node.Input(1);
    if (!ids.value) throw Unsupported{"places that are quantized"};
    if (!data.constant->is_float()) {
      return GatherQuantized(node, *data.constant, *ids.value);
    }
    return node.SetOutput(node.net().Embedding(*data.constant, *ids.value));
  }
  const auto size = DimSize(data.view().dims[dim]);
  const Constant indices = node.ConstantAt(1);
  std::vector<int64_t> places = indices.Integers();
  if (!size || IsUnknownSize(*size)) {
    if (size && indices.view.dims.empty() && node.texts() != nullptr &&
        *size == UnknownSize(node.texts()->steps_row())) {
      return node.SetOutput(TokenAt(node, node.ValueAt(0), dim, places[0]));
    }
    throw Unsupported{"a part of the batch"};
  }
  for (int64_t& place : places) {
    if (place < -*size || place >= *size) {
      throw Error("takes element " + std::to_string(place) + " of " +
                  std::to_string(*size));
    }
    if (place < 0) place += *size;
  }
  if (indices.view.dims.empty()) {
    data = Cut(node, std::move(data), dim, places[0], 1, 1);
    View& view = data.constant ? data.constant->view : data.value->view;
    view.dims.erase(view.dims.begin() + static_cast<std::ptrdiff_t>(dim));
    return node.SetOutput(std::move(data));
  }
  if (indices.view.dims.size() != 1 || places.empty()) {
    throw Unsupported{"places of several dimensions"};
  }
  const int64_t step = places.size() > 1 ? places[1] - places[0] : 1;
  for (size_t i = 1; i < places.size(); ++i) {
    if (places[i] - places[i - 1] != step) {
      throw Unsupported{"places that are not evenly spaced"};
    }
  }
  node.SetOutput(Cut(node, std::move(data), dim, places[0], step,
                     static_cast<int64_t>(places.size())));
}

// Elements of dimensions are repeated: all of them one after the other, or each
// beside itself.
View Repeated(View view, const std::vector<int64_t>& times, bool each) {
  if (times.size() != view.dims.size()) {
    throw Error("has another number of repeats than dimensions");
  }
  for (size_t i = 0; i < times.size(); ++i) {
    if (times[i] == 1) continue;
    if (times[i] < 1 || times[i] > int64_t{1} << 31) {
      throw Error("repeats a dimension " + std::to_string(times[i]) + " times");
    }
    if (HasRows(view.dims[i])) throw Unsupported{"a batch that is repeated"};
    auto& dim = view.dims[i];
    dim.insert(each ? dim.end() : dim.begin(), Axis{times[i], 0});
  }
  (void)RowElements(view);
  return view;
}

void Tile(OnnxContext& node) {
  ChangeView(node, [&](const View& view) {
    return Repeated(view, node.IntegersAt(1), /*each=*/false);
  });
}

void Expand(OnnxContext& node) {
  Operand operand = node.Input(0);
  const std::vector<int64_t> shape = node.ShapeAt(1);
  const View& view = operand.view();
  if (shape.size() > 8) throw Unsupported{"more than 8 dimensions"};
  std::vector<std::vector<Axis>> dims;
  for (size_t i = 0; i < std::max(shape.size(), view.dims.size()); ++i) {
    const size_t from_end = std::max(shape.size(), view.dims.size()) - i;
    const int64_t size =
        from_end <= shape.size() ? shape[shape.size() - from_end] : 1;
    std::vector<Axis> dim;
    if (from_end <= view.dims.size()) {
      dim = view.dims[view.dims.size() - from_end];
    }
    const bool one = DimSize(dim) == 1 && !HasRows(dim);
    if (one && IsUnknownSize(size)) throw Unsupported{"a batch made anew"};
    if (size < 1 && !IsUnknownSize(size)) {
      throw Error("has a size of " + std::to_string(size));
    }
    if (one && size != 1) dim = {{size, 0}};
    if (size != 1 && DimSize(dim) != size) {
      throw Error("expands to a shape that does not fit");
    }
    dims.push_back(std::move(dim));
  }
  auto expanded = Broadcast(view, dims);
  if (!expanded) throw Error("expands to a shape that does not fit");
  (void)RowElements(*expanded);
  (operand.constant ? operand.constant->view : operand.value->view) =
      *std::move(expanded);
  node.SetOutput(std::move(operand));
}

// Nearest neighbours, by whole factors: then the roundings of all modes agree.
void Resize(OnnxContext& node) {
  if (node.Text("mode", "nearest") != "nearest") {
    throw Unsupported{"resizing by interpolation"};
  }
  const Value x = node.ValueAt(0);
  const bool upsample = node.node().op == "Upsample";
  const size_t scales = upsample || node.opset() < 11 ? 1 : 2;
  std::vector<int64_t> times;
  const auto add = [&](double factor) {
    if (!(factor >= 1) || factor != std::floor(factor) || factor > 1 << 20) {
      throw Unsupported{"resizing by anything but whole factors"};
    }
    times.push_back(static_cast<int64_t>(factor));
  };
  std::vector<float> factors;
  if (node.Has(scales)) factors = node.ConstantAt(scales).Floats();
  if (!factors.empty()) {
    for (const float factor : factors) add(double{factor});
  } else {
    if (!node.Has(3)) throw Error("has neither sizes nor factors");
    const std::vector<int64_t> sizes = node.IntegersAt(3);
    if (sizes.size() != x.view.dims.size()) {
      throw Error("has another number of sizes than dimensions");
    }
    for (size_t i = 0; i < sizes.size(); ++i) {
      const auto size = DimSize(x.view.dims[i]);
      add(size == sizes[i] ? 1
                           : static_cast<double>(sizes[i]) /
                                 static_cast<double>(size.value_or(0)));
    }
  }
  node.SetOutput(
      node.net().WithView(x, Repeated(x.view, times, /*each=*/true)));
}

constexpr size_t kMany = 1024;

constexpr OnnxOperator kShapes[] = {
    {"Reshape", 1, 2, Reshape},
    {"Flatten", 1, 1, Flatten},
    {"Transpose", 1, 1, Transpose},
    {"Squeeze", 1, 2, Squeeze},
    {"Unsqueeze", 1, 2, Unsqueeze},
    {"Slice", 1, 5, Slice},
    {"Split", 1, 2, Split},
    {"Concat", 1, kMany, Concat},
    {"Shape", 1, 1, Shape},
    {"Constant", 0, 0, ConstantNode},
    {"ConstantOfShape", 1, 1, ConstantOfShape},
    {"Range", 3, 3, Range},
    {"Gather", 2, 2, Gather},
    {"Tile", 2, 2, Tile},
    {"Expand", 2, 2, Expand},
    {"Resize", 1, 4, Resize},
    {"Upsample", 1, 2, Resize},
};

}  // namespace

std::span<const OnnxOperator> OnnxShapes() { return kShapes; }

}  // namespace lutra::packer
