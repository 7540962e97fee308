// Products of two values.

#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/network/broadcast.h"
#include "packer/import/network/network.h"

namespace lutra::packer {

void NetworkBuilder::Spend(double numbers) {
  constexpr double kMost = 1 << 24;
  spent_ += numbers;
  if (spent_ > kMost) {
    throw Unsupported{
        "more than 2^24 numbers that are computed from constants"};
  }
}

Value NetworkBuilder::Held(const Constant& constant) {
  Spend(static_cast<double>(constant.Count()));
  Layer layer;
  layer.node.op = OpType::kConstant;
  layer.vector = constant.Floats();
  layer.weight_name = NewTensorName(constant.name);
  const std::vector<int64_t> shape = ShapeOf(constant.view);
  const auto count = static_cast<int64_t>(layer.vector.size());
  Value value = AddLayer(std::move(layer), {count}, NaturalView(shape));
  value.same_in_rows = true;
  return value;
}

// The axes that both have are those of matrices, one after the other. Those
// along which b is repeated are more rows of a, and the other way round: so
// what heads share is multiplied where it lies.
Value NetworkBuilder::Matmul(const Value& a, const Value& b) {
  const size_t rank_a = a.view.dims.size();
  const size_t rank_b = b.view.dims.size();
  if (!a.same_in_rows && !b.same_in_rows && RowsOf(a.view) != RowsOf(b.view)) {
    throw Unsupported{"values of a batch together with others of none"};
  }
  std::vector<Axis> rows = a.view.dims[rank_a - 2];
  std::vector<Axis> depth_a = a.view.dims[rank_a - 1];
  std::vector<Axis> depth_b = b.view.dims[rank_b - 2];
  std::vector<Axis> columns = b.view.dims[rank_b - 1];
  for (const auto& dim : {rows, depth_a, depth_b, columns}) {
    if (HasRows(dim)) {
      throw Unsupported{"a product of computed values along the batch"};
    }
  }
  if (DimSize(depth_a) != DimSize(depth_b)) {
    throw Error("multiplies matrices of shapes that do not fit");
  }
  if (!CutAlike(depth_a, depth_b)) {
    throw Unsupported{"factors whose axes are joined in different ways"};
  }
  const auto outer = [](const View& view) {
    View before = view;
    before.dims.resize(view.dims.size() - 2);
    return before;
  };
  const Dims common = CommonDims(outer(a.view), outer(b.view));
  View view_a = BroadcastTo(outer(a.view), common);
  View view_b = BroadcastTo(outer(b.view), common);
  View view;  // of the product
  std::vector<AxisRef> matrices;
  std::vector<AxisRef> more_rows;
  std::vector<AxisRef> more_columns;
  const size_t last = common.size();
  for (size_t dim = 0; dim < last; ++dim) {
    if (!CutAlike(view_a.dims[dim], view_b.dims[dim])) {
      throw Unsupported{"factors whose axes are joined in different ways"};
    }
    view.dims.push_back(view_a.dims[dim]);
    for (size_t i = 0; i < view_a.dims[dim].size(); ++i) {
      if (view_a.dims[dim][i].is_row()) continue;
      view.dims[dim][i].stride = 0;
      const bool in_a = view_a.dims[dim][i].stride != 0;
      const bool in_b = view_b.dims[dim][i].stride != 0;
      if (in_a && in_b) matrices.push_back({dim, i});
      if (in_a && !in_b) more_rows.push_back({dim, i});
      if (!in_a && in_b) more_columns.push_back({dim, i});
    }
  }
  view_a.dims.push_back(rows);
  view_a.dims.push_back(depth_a);
  view_b.dims.push_back(depth_b);
  view_b.dims.push_back(columns);
  view.dims.push_back(rows);
  view.dims.push_back(columns);
  // In memory, a has matrices, rows and depth, b matrices, depth and columns.
  const auto join = [](std::vector<AxisRef> to,
                       const std::vector<AxisRef>& more) {
    to.insert(to.end(), more.begin(), more.end());
    return to;
  };
  const auto count = [](const View& of, const std::vector<AxisRef>& refs) {
    int64_t product = 1;
    for (const AxisRef& ref : refs) product *= of.dims[ref.dim][ref.index].size;
    return product;
  };
  const auto refs_a = join(more_rows, OfDims(view_a, {last}));
  const auto refs_k = OfDims(view_a, {last + 1});
  const auto refs_b = join(more_columns, OfDims(view_b, {last + 1}));
  const int64_t p = count(view_a, matrices);
  const int64_t m = count(view_a, refs_a);
  const int64_t k = count(view_a, refs_k);
  const int64_t n = count(view_b, refs_b);
  const Value left = Arranged(WithView(a, view_a),
                              join(join(matrices, refs_a), refs_k), {p, m, k});
  const Value right =
      Arranged(WithView(b, view_b),
               join(join(matrices, OfDims(view_b, {last})), refs_b), {p, k, n});
  int64_t stride = 1;
  const auto order = join(join(matrices, refs_a), refs_b);
  for (size_t i = order.size(); i-- > 0;) {
    // What b has more of stands where its dimensions do.
    Axis& axis = view.dims[order[i].dim][order[i].index];
    axis.stride = stride;
    stride *= axis.size;
  }
  return AddNode(OpType::kMatmul, {&left, &right}, {p, m, n}, view);
}

}  // namespace lutra::packer
