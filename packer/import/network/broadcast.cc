#include "packer/import/network/broadcast.h"

#include <algorithm>
#include <utility>

#include "lutra/runtime/error.h"

namespace lutra::packer {

bool CutAlike(std::vector<Axis>& a, std::vector<Axis>& b) {
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

Dims CommonDims(const View& a, const View& b) {
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

ConstantPair BroadcastTogether(const Constant& a, const Constant& b) {
  const View& longer =
      a.view.dims.size() >= b.view.dims.size() ? a.view : b.view;
  const View& other = &longer == &a.view ? b.view : a.view;
  ConstantPair pair{ShapeOf(longer), a, b};
  const size_t added = pair.shape.size() - other.dims.size();
  for (size_t i = added; i < pair.shape.size(); ++i) {
    if (pair.shape[i] == 1) pair.shape[i] = *DimSize(other.dims[i - added]);
  }
  const View natural = NaturalView(pair.shape);
  pair.a.view = BroadcastTo(a.view, natural.dims);
  pair.b.view = BroadcastTo(b.view, natural.dims);
  return pair;
}

}  // namespace lutra::packer
