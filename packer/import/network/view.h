#ifndef LUTRA_PACKER_IMPORT_NETWORK_VIEW_H_
#define LUTRA_PACKER_IMPORT_NETWORK_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

// How an array of another program's graph lies in memory. Transposing,
// reshaping, slicing and repeating change the view alone, so that a layout that
// differs from the source's, of images for instance, costs nothing until
// something asks for elements in another order.

namespace lutra::packer {

// A part of a dimension: `size` elements, `stride` apart.
struct Axis {
  int64_t size = 1;
  int64_t stride = 0;
  // Which row axis of the graph this is, or -1. Row axes are those over which a
  // call has its rows: they are no part of a row's memory, and have no stride.
  // Their size may be unknown: 0.
  int row = -1;

  bool is_row() const { return row >= 0; }
  bool operator==(const Axis&) const = default;
};

// The dimensions as the source counts them, each of axes, the outermost first.
// Axes of size 1 are left out unless they are row axes.
struct View {
  std::vector<std::vector<Axis>> dims;
  int64_t offset = 0;

  bool operator==(const View&) const = default;
};

// What a source calls the size of a row axis that is not known: a number that
// no dimension can have, by which shapes that are computed carry it along.
int64_t UnknownSize(int row);
bool IsUnknownSize(int64_t size);

// An array in row-major order. Throws Error if strides overflow.
View NaturalView(std::span<const int64_t> shape);

// The size of a dimension: UnknownSize if it is a row axis of such, nullopt if
// it holds one together with others.
std::optional<int64_t> DimSize(const std::vector<Axis>& dim);
// All sizes. Throws Error with the bare cause if one cannot be told.
std::vector<int64_t> ShapeOf(const View& view);
// Elements of a row. At most 2^31: Throws Error with the bare cause.
size_t RowElements(const View& view);
bool HasRows(const std::vector<Axis>& dim);
// The row axes, in order.
std::vector<int> RowsOf(const View& view);
// Those that are not.
std::vector<Axis> RowElementAxes(std::span<const Axis> axes);

// Whether the view shows each of `count` elements once.
bool ShowsAll(const View& view, size_t count);

// Joins neighbours that lie as one.
std::vector<Axis> Merged(std::span<const Axis> axes);

View Transposed(const View& view, std::span<const size_t> order);
// `shape` as ONNX has it: one size may be -1. nullopt if axes have to be moved
// in memory before, or row axes are mixed with others. Throws Error with the
// bare cause if the numbers of elements differ.
std::optional<View> Reshaped(const View& view, std::span<const int64_t> shape);
// Elements begin, begin + step, ... of a dimension of one axis, `count` of them
// at least 1. nullopt if it is of several.
std::optional<View> Sliced(const View& view, size_t dim, int64_t begin,
                           int64_t step, int64_t count);
// As numpy broadcasts it to `shape`; nullopt if it cannot.
std::optional<View> Broadcast(const View& view,
                              std::span<const std::vector<Axis>> shape);

// Where the elements of axes lie, in their order. At most `limit`: throws Error
// with the bare cause.
std::vector<uint32_t> Places(std::span<const Axis> axes, int64_t offset,
                             size_t limit);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_NETWORK_VIEW_H_
