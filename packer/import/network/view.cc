#include "packer/import/network/view.h"

#include <algorithm>
#include <deque>
#include <limits>

#include "kernels/base/checked_math.h"
#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

constexpr int64_t kFirstUnknown = std::numeric_limits<int64_t>::min() + 1;
constexpr int kMostUnknownRows = 64;
constexpr size_t kMostViewElements = size_t{1} << 31;

[[noreturn]] void FailCount() {
  throw Error("has another number of elements than its input");
}

// Takes axes of `size` elements from one end; false if they do not come to
// that.
class Taker {
 public:
  explicit Taker(std::span<const Axis> axes) : rest_(axes.begin(), axes.end()) {
    for (const Axis& axis : axes) {
      if (!axis.is_row()) elements_ *= axis.size;
    }
  }

  std::optional<std::vector<Axis>> Take(int64_t size, bool front) {
    std::vector<Axis> taken;
    const auto add = [&](const Axis& axis) {
      taken.insert(front ? taken.end() : taken.begin(), axis);
    };
    if (IsUnknownSize(size)) {
      if (rest_.empty() || !End(front).is_row() ||
          UnknownSize(End(front).row) != size) {
        return std::nullopt;
      }
      add(Pop(front));
      return taken;
    }
    // A row axis of size 1 is a dimension, other axes of size 1 are not there.
    if (size == 1 && !rest_.empty() && End(front).is_row() &&
        End(front).size == 1) {
      add(Pop(front));
      return taken;
    }
    for (int64_t need = size; need > 1;) {
      if (rest_.empty()) return std::nullopt;
      Axis& axis = End(front);
      if (axis.size != 0 && need % axis.size == 0) {
        need /= axis.size;
        add(Pop(front));
      } else if (!axis.is_row() && axis.size % need == 0) {
        const int64_t inner = axis.size / need;
        if (front) {
          add({need, axis.stride * inner});
          axis.size = inner;
        } else {
          add({need, axis.stride});
          axis = {inner, axis.stride * need};
        }
        need = 1;
      } else {
        return std::nullopt;
      }
    }
    return taken;
  }

  std::vector<Axis> Rest() const { return {rest_.begin(), rest_.end()}; }
  int64_t elements() const { return elements_; }

 private:
  Axis& End(bool front) { return front ? rest_.front() : rest_.back(); }
  Axis Pop(bool front) {
    const Axis axis = End(front);
    if (front) {
      rest_.pop_front();
    } else {
      rest_.pop_back();
    }
    return axis;
  }

  std::deque<Axis> rest_;
  int64_t elements_ = 1;
};

// Checks what can be checked when sizes are known: -1 stands for one size.
void CheckCount(const View& view, std::span<const int64_t> shape) {
  std::vector<int64_t> sizes;
  for (const auto& dim : view.dims) {
    for (const Axis& axis : dim) {
      if (axis.size == 0) return;
      sizes.push_back(axis.size);
    }
  }
  const auto count = CheckedElementCount(sizes);
  if (!count) FailCount();
  std::vector<int64_t> known;
  bool open = false;
  for (const int64_t size : shape) {
    if (IsUnknownSize(size)) return;
    open = open || size == -1;
    if (size != -1) known.push_back(size);
  }
  const auto product = CheckedElementCount(known);
  if (!product || *product > kMostViewElements) FailCount();
  if (open ? *product == 0 || *count % *product != 0 : *count != *product) {
    FailCount();
  }
}

}  // namespace

int64_t UnknownSize(int row) { return kFirstUnknown + row; }

bool IsUnknownSize(int64_t size) {
  return size >= kFirstUnknown && size < kFirstUnknown + kMostUnknownRows;
}

View NaturalView(std::span<const int64_t> shape) {
  View view;
  view.dims.resize(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1) view.dims[i] = {{shape[i], stride}};
    // Without elements there are strides all the same.
    const int64_t size = std::max<int64_t>(shape[i], 1);
    if (stride > std::numeric_limits<int64_t>::max() / size) {
      throw Error("has a shape that is not possible");
    }
    stride *= size;
  }
  return view;
}

std::optional<int64_t> DimSize(const std::vector<Axis>& dim) {
  int64_t size = 1;
  for (const Axis& axis : dim) {
    if (axis.is_row() && axis.size == 0) {
      if (dim.size() > 1) return std::nullopt;
      return UnknownSize(axis.row);
    }
    if (size >
        std::numeric_limits<int64_t>::max() / std::max<int64_t>(axis.size, 1)) {
      return std::nullopt;
    }
    size *= axis.size;
  }
  return size;
}

std::vector<int64_t> ShapeOf(const View& view) {
  std::vector<int64_t> shape;
  for (const auto& dim : view.dims) {
    const auto size = DimSize(dim);
    if (!size) throw Error("joins a batch with other dimensions");
    shape.push_back(*size);
  }
  return shape;
}

size_t RowElements(const View& view) {
  size_t count = 1;
  bool none = false;
  for (const auto& dim : view.dims) {
    for (const Axis& axis : dim) {
      if (axis.is_row()) continue;
      none = none || axis.size == 0;
      // The sizes of what has no elements are multiplied elsewhere.
      const auto product = CheckedMultiply(
          count, static_cast<size_t>(std::max<int64_t>(axis.size, 1)));
      if (!product || *product > kMostViewElements) {
        throw Error("has more than 2^31 elements");
      }
      count = *product;
    }
  }
  return none ? 0 : count;
}

bool HasRows(const std::vector<Axis>& dim) {
  return std::any_of(dim.begin(), dim.end(),
                     [](const Axis& axis) { return axis.is_row(); });
}

std::vector<int> RowsOf(const View& view) {
  std::vector<int> rows;
  for (const auto& dim : view.dims) {
    for (const Axis& axis : dim) {
      if (axis.is_row()) rows.push_back(axis.row);
    }
  }
  return rows;
}

std::vector<Axis> RowElementAxes(std::span<const Axis> axes) {
  std::vector<Axis> result(axes.begin(), axes.end());
  std::erase_if(result, [](const Axis& axis) { return axis.is_row(); });
  return result;
}

bool ShowsAll(const View& view, size_t count) {
  if (view.offset != 0) return false;
  std::vector<Axis> axes;
  for (const auto& dim : view.dims) {
    for (const Axis& axis : dim) {
      if (!axis.is_row()) axes.push_back(axis);
    }
  }
  std::sort(axes.begin(), axes.end(),
            [](const Axis& a, const Axis& b) { return a.stride < b.stride; });
  int64_t expected = 1;
  for (const Axis& axis : axes) {
    if (axis.stride != expected) return false;
    expected *= axis.size;
  }
  return expected == static_cast<int64_t>(count);
}

std::vector<Axis> Merged(std::span<const Axis> axes) {
  std::vector<Axis> merged;
  for (const Axis& axis : axes) {
    if (!axis.is_row() && axis.size == 1) continue;
    if (!merged.empty() && !axis.is_row() && !merged.back().is_row() &&
        merged.back().stride == axis.size * axis.stride) {
      merged.back() = {merged.back().size * axis.size, axis.stride};
    } else {
      merged.push_back(axis);
    }
  }
  return merged;
}

View Transposed(const View& view, std::span<const size_t> order) {
  View result;
  result.offset = view.offset;
  for (const size_t dim : order) result.dims.push_back(view.dims[dim]);
  return result;
}

std::optional<View> Reshaped(const View& view, std::span<const int64_t> shape) {
  CheckCount(view, shape);
  std::vector<Axis> axes;
  for (const auto& dim : view.dims) {
    axes.insert(axes.end(), dim.begin(), dim.end());
  }
  Taker taker(Merged(axes));
  View result;
  result.offset = view.offset;
  result.dims.resize(shape.size());
  const size_t open = static_cast<size_t>(
      std::find(shape.begin(), shape.end(), -1) - shape.begin());
  const auto take = [&](size_t i, bool front) {
    auto taken = taker.Take(shape[i], front);
    if (taken) result.dims[i] = Merged(*std::move(taken));
    return taken.has_value();
  };
  for (size_t i = 0; i < open; ++i) {
    if (!take(i, true)) return std::nullopt;
  }
  for (size_t i = shape.size(); i-- > open + 1;) {
    if (!take(i, false)) return std::nullopt;
  }
  if (open < shape.size()) {
    result.dims[open] = taker.Rest();
  } else if (!taker.Rest().empty()) {
    return std::nullopt;
  }
  return result;
}

std::optional<View> Sliced(const View& view, size_t dim, int64_t begin,
                           int64_t step, int64_t count) {
  View result = view;
  std::vector<Axis>& axes = result.dims[dim];
  if (axes.empty()) return result;  // of one element
  if (axes.size() > 1 || axes[0].is_row()) return std::nullopt;
  result.offset += begin * axes[0].stride;
  axes[0] = {count, axes[0].stride * step};
  if (count == 1) axes.clear();
  return result;
}

std::optional<View> Broadcast(const View& view,
                              std::span<const std::vector<Axis>> shape) {
  if (view.dims.size() > shape.size()) return std::nullopt;
  View result;
  result.offset = view.offset;
  const size_t added = shape.size() - view.dims.size();
  for (size_t i = 0; i < shape.size(); ++i) {
    std::vector<Axis> repeated = shape[i];
    for (Axis& axis : repeated) axis.stride = 0;
    if (i < added) {
      result.dims.push_back(repeated);
      continue;
    }
    const std::vector<Axis>& own = view.dims[i - added];
    const auto size = DimSize(own);
    if (size == 1 && !HasRows(own)) {
      result.dims.push_back(repeated);
    } else if (size && size == DimSize(shape[i])) {
      result.dims.push_back(own);
    } else if (!size && own.size() == shape[i].size()) {
      result.dims.push_back(own);
    } else {
      return std::nullopt;
    }
  }
  return result;
}

std::vector<uint32_t> Places(std::span<const Axis> axes, int64_t offset,
                             size_t limit) {
  size_t count = 1;
  for (const Axis& axis : axes) {
    const auto product = CheckedMultiply(count, static_cast<size_t>(axis.size));
    if (!product || *product > limit) {
      throw Error("has more than " + std::to_string(limit) +
                  " elements to be moved");
    }
    count = *product;
  }
  std::vector<uint32_t> places = {static_cast<uint32_t>(offset)};
  for (const Axis& axis : axes) {
    std::vector<uint32_t> next;
    next.reserve(places.size() * static_cast<size_t>(axis.size));
    for (const uint32_t place : places) {
      for (int64_t i = 0; i < axis.size; ++i) {
        next.push_back(static_cast<uint32_t>(place + i * axis.stride));
      }
    }
    places = std::move(next);
  }
  return places;
}

}  // namespace lutra::packer
