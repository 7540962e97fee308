// What the tokens of a text have to do with each other, where these are rows of
// a call.

#include <algorithm>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/network/broadcast.h"
#include "packer/import/network/network.h"

namespace lutra::packer {
namespace {

int64_t CountOf(const std::vector<Axis>& axes) {
  int64_t count = 1;
  for (const Axis& axis : axes) count *= axis.size;
  return count;
}

// Without the last two dimensions.
View Outer(View view) {
  view.dims.resize(view.dims.size() - 2);
  return view;
}

// The axes of the heads.
std::vector<Axis> HeadAxes(const View& outer) {
  std::vector<Axis> axes;
  for (const auto& dim : outer.dims) {
    for (const Axis& axis : dim) {
      if (!axis.is_row()) axes.push_back(axis);
    }
  }
  return axes;
}

}  // namespace

void NetworkBuilder::SetTime(int row) {
  if (time_ >= 0 && time_ != row) {
    throw Unsupported{"sequences along different dimensions"};
  }
  time_ = row;
}

Value NetworkBuilder::Attention(const Value& queries, const Value& keys,
                                const Value& values, double scale,
                                bool past_only, size_t window) {
  if (!(scale > 0)) throw Unsupported{"a scale of scores that is not above 0"};
  const Value* const all[] = {&queries, &keys, &values};
  const size_t rank = queries.view.dims.size();
  const std::vector<Axis>& tokens = queries.view.dims[rank - 2];
  if (keys.view.dims.size() != rank || values.view.dims.size() != rank) {
    throw Unsupported{"queries, keys and values of different ranks"};
  }
  Dims common = Outer(queries.view).dims;
  for (const Value* value : {&keys, &values}) {
    common = CommonDims({common, 0}, Outer(value->view));
  }
  for (const Value* value : all) {
    const View& view = value->view;
    if (view.dims[rank - 2] != tokens || HasRows(view.dims[rank - 1]) ||
        RowsOf(view) != RowsOf(queries.view)) {
      throw Unsupported{"attention of one text to another"};
    }
    if (DimSize(view.dims[rank - 1]) != DimSize(queries.view.dims[rank - 1])) {
      throw Unsupported{"values of another size than keys"};
    }
  }
  SetTime(tokens[0].row);
  // Whose heads are cut in the same way, and what lies behind each other: heads
  // that several queries share are repeated inside of the others.
  View outer[3];
  for (size_t i = 0; i < 3; ++i) {
    outer[i] = BroadcastTo(Outer(all[i]->view), common);
  }
  for (size_t pass = 0; pass < 2; ++pass) {
    for (size_t i = 1; i < 3; ++i) {
      for (size_t dim = 0; dim < common.size(); ++dim) {
        if (!CutAlike(outer[0].dims[dim], outer[i].dims[dim])) {
          throw Unsupported{"heads whose axes are joined in different ways"};
        }
      }
    }
  }
  const std::vector<Axis> heads = HeadAxes(outer[0]);
  const int64_t count = CountOf(heads);
  size_t repeated = heads.size();  // from here on keys and values are
  for (size_t i = heads.size(); i-- > 0;) {
    const bool in_both =
        HeadAxes(outer[1])[i].stride == 0 && HeadAxes(outer[2])[i].stride == 0;
    if (!in_both) break;
    repeated = i;
  }
  const int64_t kv_heads = CountOf(
      {heads.begin(), heads.begin() + static_cast<ptrdiff_t>(repeated)});
  const int64_t size = *DimSize(queries.view.dims[rank - 1]);
  std::vector<Value> in;
  for (size_t i = 0; i < 3; ++i) {
    View view = outer[i];
    std::vector<AxisRef> order;
    size_t head = 0;
    for (size_t dim = 0; dim < view.dims.size(); ++dim) {
      for (size_t j = 0; j < view.dims[dim].size(); ++j) {
        if (view.dims[dim][j].is_row()) continue;
        if (i == 0 || head < repeated) order.push_back({dim, j});
        ++head;
      }
    }
    view.dims.push_back(tokens);
    view.dims.push_back(all[i]->view.dims[rank - 1]);
    for (size_t j = 0; j < view.dims.back().size(); ++j) {
      order.push_back({rank - 1, j});
    }
    if (i > 0) {
      // What is repeated is not there.
      for (auto& dim : view.dims) {
        std::erase_if(dim, [](const Axis& axis) {
          return !axis.is_row() && axis.stride == 0;
        });
      }
    }
    in.push_back(Arranged(WithView(*all[i], view), order,
                          {(i == 0 ? count : kv_heads) * size}));
  }
  Attributes attributes = {{"heads", static_cast<double>(count)},
                           {"kv_heads", static_cast<double>(kv_heads)},
                           {"scale", scale}};
  if (window != 0) attributes["window"] = static_cast<double>(window);
  if (!past_only) attributes["direction"] = std::string("both");
  View view = in[0].view;
  view.dims[rank - 1] = {};
  if (size > 1) view.dims[rank - 1] = {{size, 1}};
  return AddNode(OpType::kAttention, {&in[0], &in[1], &in[2]}, {count * size},
                 std::move(view), std::move(attributes));
}

Value NetworkBuilder::ByPosition(const std::string& name,
                                 std::vector<float> table, size_t positions,
                                 View view) {
  Spend(static_cast<double>(table.size()));
  const std::vector<int> rows = RowsOf(view);
  const auto size = static_cast<int64_t>(RowElements(view));
  Layer zeros;
  zeros.node.op = OpType::kConstant;
  zeros.vector.assign(static_cast<size_t>(size), 0);
  zeros.weight_name = NewTensorName(name + ".zeros");
  const Value start = AddLayer(std::move(zeros), {size}, view);
  Layer layer;
  layer.node.op = OpType::kPositionEmbedding;
  layer.node.inputs = {start.name};
  Matrix matrix;
  const std::vector<int64_t> shape = {static_cast<int64_t>(positions), size};
  matrix.constant = MakeConstant(name, Elements::Of(std::move(table)), shape);
  for (size_t i = 0; i < positions; ++i) {
    matrix.rows.push_back(static_cast<uint32_t>(i * static_cast<size_t>(size)));
  }
  for (int64_t i = 0; i < size; ++i) {
    matrix.columns.push_back(static_cast<uint32_t>(i));
  }
  layer.weight = std::move(matrix);
  layer.weight_name = NewTensorName(name);
  Value value = AddLayer(std::move(layer), {size}, std::move(view));
  value.same_in_rows = true;
  value.sole = false;
  return value;
}

Value NetworkBuilder::OfSteps(const char* over, const Value& x, size_t dim) {
  SetTime(x.view.dims[dim][0].row);
  const Value full = Full(x);
  return OfLastStep(AddNode(OpType::kTokenPool, {&full}, full.shape, full.view,
                            {{"over", std::string(over)}}),
                    dim);
}

Value NetworkBuilder::OfLastStep(const Value& x, size_t dim) {
  SetTime(x.view.dims[dim][0].row);
  View view = x.view;
  view.dims.erase(view.dims.begin() + static_cast<ptrdiff_t>(dim));
  return WithView(x, std::move(view));
}

}  // namespace lutra::packer
