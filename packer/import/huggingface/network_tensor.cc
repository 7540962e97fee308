#include "packer/import/huggingface/network_tensor.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "kernels/base/half.h"
#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

// A part and the matrix that it is rows of: of `rows` rows and `columns`
// columns where it lies, at `data`.
struct Source {
  TensorPart part;
  RawTensor tensor;
  TensorView view;
  int64_t rows = 1;
  int64_t columns = 1;
  std::span<const std::byte> data;

  int64_t RowCount() const {
    const int64_t all = part.transposed ? columns : rows;
    return part.count == 0 ? all : part.count;
  }
  int64_t RowWidth() const { return part.transposed ? rows : columns; }
  // Whether its elements are in order.
  bool IsRun() const {
    return !part.transposed && part.step == 1 && tensor.row_order.empty() &&
           tensor.column_order.empty();
  }
};

Source Find(const Checkpoint& checkpoint, const TensorPart& part) {
  Source source;
  source.part = part;
  source.tensor = checkpoint.Get(part.name);
  source.view = source.tensor.view;
  const size_t dimensions = part.stored.size();
  if (source.tensor.transposed && dimensions >= 2) {
    source.part.transposed = !part.transposed;
    std::swap(source.part.stored[dimensions - 2],
              source.part.stored[dimensions - 1]);
  }
  CheckShape(source.view, source.part.stored, source.tensor.file);
  source.data = source.view.data;
  const std::vector<int64_t>& shape = source.view.shape;
  if (shape.size() > 1) source.columns = shape.back();
  for (size_t i = part.index < 0 ? 0 : 1;
       i < std::max<size_t>(shape.size(), 2) - 1; ++i) {
    source.rows *= shape[i];
  }
  if (part.index >= 0 && !source.tensor.row_order.empty()) {
    source.part.first += part.index * source.rows;
  } else if (part.index >= 0) {
    const size_t bytes =
        source.data.size() / static_cast<size_t>(shape.front());
    source.data =
        source.data.subspan(static_cast<size_t>(part.index) * bytes, bytes);
  }
  return source;
}

// Elements that are converted together: bounds memory.
constexpr size_t kPiece = size_t{1} << 20;

// Copies rows [first, first + count) of a part, elements of `size` bytes.
void Gather(const Source& source, size_t size, size_t first, size_t count,
            std::byte* to) {
  const auto width = static_cast<size_t>(source.RowWidth());
  const auto columns = static_cast<size_t>(source.columns);
  const std::byte* const below = source.tensor.below.data();
  const size_t own = below == nullptr ? std::numeric_limits<size_t>::max()
                                      : source.data.size() / (width * size);
  for (size_t i = first; i < first + count; ++i) {
    size_t row = static_cast<size_t>(source.part.first) +
                 i * static_cast<size_t>(source.part.step);
    const std::vector<uint32_t>& rows = source.tensor.row_order;
    if (!source.part.transposed) {
      if (!rows.empty()) row = rows[row];
      const std::byte* from = row < own
                                  ? source.data.data() + row * width * size
                                  : below + (row - own) * width * size;
      if (source.tensor.column_order.empty()) {
        std::memcpy(to, from, width * size);
        to += width * size;
        continue;
      }
      for (const uint32_t column : source.tensor.column_order) {
        std::memcpy(to, from + column * size, size);
        to += size;
      }
      continue;
    }
    for (size_t j = 0; j < width; ++j, to += size) {
      const size_t from = rows.empty() ? j : rows[j];
      std::memcpy(to, source.data.data() + (from * columns + row) * size, size);
    }
  }
}

// The first row of a part.
std::vector<float> FirstRow(const Source& source) {
  std::vector<float> row(static_cast<size_t>(source.RowWidth()));
  const size_t size = ByteSize(source.view.dtype);
  std::vector<std::byte> stored(row.size() * size);
  Gather(source, size, 0, 1, stored.data());
  ToFloats(source.view.dtype, stored, row);
  return row;
}

// Parts one below the other, a few rows at a time: of the type `dtype`, or
// float32 if `convert` is set.
void WriteSources(const std::vector<Source>& sources, DType dtype, bool convert,
                  const std::function<float(float)>& transform,
                  const std::vector<float>& added, const TensorParts& parts) {
  const size_t size = ByteSize(dtype);
  std::vector<std::byte> stored;
  std::vector<float> floats;
  size_t offset = 0;
  const auto write = [&](std::span<const std::byte> bytes) {
    parts(offset, bytes);
    offset += bytes.size();
  };
  for (const Source& source : sources) {
    const auto rows = static_cast<size_t>(source.RowCount());
    const auto width = static_cast<size_t>(source.RowWidth());
    const size_t piece =
        std::max<size_t>(1, kPiece / std::max<size_t>(1, width));
    for (size_t first = 0; first < rows; first += piece) {
      const size_t count = std::min(piece, rows - first);
      stored.resize(count * width * size);
      Gather(source, size, first, count, stored.data());
      if (!convert) {
        write(stored);
        continue;
      }
      floats.resize(count * width);
      ToFloats(dtype, stored, floats);
      if (transform != nullptr) {
        for (float& value : floats) value = transform(value);
      }
      for (size_t i = 0; !added.empty() && i < floats.size(); ++i) {
        floats[i] += added[i % width];
      }
      write(std::as_bytes(std::span(floats)));
    }
  }
}

// The tensor as it would lie in one piece, without data.
TensorView Whole(const NetworkTensor& tensor, const Source& first) {
  TensorView view = first.view;
  view.shape = tensor.shape;
  view.data = {};
  return view;
}

// The rows of a quantized weight that a part is.
StoredWeight RowsOfPart(const StoredWeight& whole, const TensorPart& part) {
  // Of a transposed part it is the outputs that are rows here.
  std::vector<int64_t> shape = part.stored;
  if (part.transposed && shape.size() > 1) {
    std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  }
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  const std::vector<int64_t> wanted = {rows, shape.back()};
  TensorView view;
  view.name = whole.tensor;
  view.shape = {static_cast<int64_t>(whole.rows),
                static_cast<int64_t>(whole.columns)};
  CheckShape(view, wanted, whole.file);
  size_t first = 0;
  size_t count = whole.rows;
  if (part.index >= 0) {
    count /= static_cast<size_t>(shape.front());
    first = static_cast<size_t>(part.index) * count;
  }
  first += static_cast<size_t>(part.first);
  if (part.count != 0) count = static_cast<size_t>(part.count);
  if (part.step == 1) {
    return first == 0 && count == whole.rows ? whole
                                             : RowsOf(whole, first, count);
  }
  std::vector<uint32_t> order(count);
  for (size_t i = 0; i < count; ++i) {
    order[i] =
        static_cast<uint32_t>(first + i * static_cast<size_t>(part.step));
  }
  return Reordered(whole, std::move(order));
}

StoredWeight Joined(std::vector<StoredWeight> parts) {
  return parts.size() == 1 ? std::move(parts.front())
                           : Stacked(std::move(parts));
}

// A tensor whose parts are quantized.
ImportTensor TakeStored(const Checkpoint& checkpoint,
                        const NetworkTensor& tensor, bool dequantize) {
  if (!tensor.added.name.empty()) {
    throw Error::InTensor(checkpoint.FileOf(tensor.name), tensor.name,
                          "is quantized, but '" + tensor.added.name +
                              "' is to be added to it; --dequantize does not "
                              "help, the float checkpoint would");
  }
  std::vector<StoredWeight> parts;
  for (const TensorPart& part : tensor.parts) {
    const StoredWeight* stored = checkpoint.FindStored(part.name);
    if (stored == nullptr ||
        (!parts.empty() && !SameForm(parts.front(), *stored))) {
      throw Error::InTensor(
          checkpoint.FileOf(part.name), part.name,
          "is of another format than '" + tensor.parts.front().name + "'");
    }
    parts.push_back(RowsOfPart(*stored, part));
  }
  StoredWeight weight = Joined(std::move(parts));
  weight.transform = tensor.transform;
  return HeldTensor(tensor.name, weight,
                    dequantize || tensor.transform != nullptr);
}

}  // namespace

ImportTensor TakeTensor(const Checkpoint& checkpoint,
                        const NetworkTensor& tensor, bool float32,
                        bool dequantize) {
  if (tensor.parts.empty()) {
    return MakeTensor(tensor.name, tensor.shape,
                      [values = tensor.values] { return values; });
  }
  if (checkpoint.FindStored(tensor.parts.front().name) != nullptr) {
    return TakeStored(checkpoint, tensor, dequantize);
  }
  std::vector<Source> sources;
  for (const TensorPart& part : tensor.parts) {
    sources.push_back(Find(checkpoint, part));
  }
  const Source& first = sources.front();
  const DType dtype = first.view.dtype;
  const size_t size = ByteSize(dtype);
  for (const Source& source : sources) {
    if (source.view.dtype == dtype) continue;
    throw Error::InTensor(source.tensor.file, source.view.name,
                          "is of another type than '" + first.view.name + "'");
  }
  TensorView view = Whole(tensor, first);
  std::optional<Source> added;
  if (!tensor.added.name.empty()) added = Find(checkpoint, tensor.added);
  const auto transform = first.tensor.computed ? nullptr : tensor.transform;
  const bool as_floats = transform != nullptr || added.has_value();
  // For its checks of the type, and what it becomes.
  ImportTensor result = CopyTensor(tensor.name, view, float32 || as_floats,
                                   first.tensor.file, first.tensor.owner);
  const bool convert = result.info.dtype != dtype || as_floats;
  if (sources.size() == 1 && first.IsRun() && !convert) {
    const size_t row = static_cast<size_t>(first.columns) * size;
    view.data = first.data.subspan(static_cast<size_t>(first.part.first) * row,
                                   static_cast<size_t>(first.RowCount()) * row);
    return CopyTensor(tensor.name, view, float32, first.tensor.file,
                      first.tensor.owner);
  }
  result.read = nullptr;
  result.write = [sources, dtype, convert, transform,
                  row = added ? FirstRow(*added) : std::vector<float>()](
                     const TensorParts& parts, ImportedWeight&) {
    WriteSources(sources, dtype, convert, transform, row, parts);
  };
  return result;
}

std::optional<ImportTensor> TakeOnGrid(const Checkpoint& checkpoint,
                                       const NetworkTensor& tensor,
                                       Recovery& recovery,
                                       std::string& reason) {
  reason.clear();
  if (tensor.parts.empty() || tensor.transform != nullptr ||
      !tensor.added.name.empty()) {
    reason = "its values change in the import";
    return std::nullopt;
  }
  std::vector<StoredWeight> parts;
  for (const TensorPart& part : tensor.parts) {
    // For the checks of shape and type, which floats have to pass as well.
    const Source source = Find(checkpoint, part);
    const bool transposed = source.part.transposed;
    if (transposed &&
        (part.stored.size() != 2 || !source.tensor.row_order.empty())) {
      reason = "its columns are rows in the checkpoint";
      return std::nullopt;
    }
    if (!source.tensor.column_order.empty()) {
      reason = "its columns have another order in the file";
      return std::nullopt;
    }
    if (!MayHaveGrid(source.view.dtype)) return std::nullopt;
    const StoredWeight* weight =
        recovery.Find(source.tensor, transposed, reason);
    if (weight == nullptr) return std::nullopt;
    if (!parts.empty() && !SameForm(parts.front(), *weight)) {
      reason = "its parts are on different grids";
      return std::nullopt;
    }
    parts.push_back(RowsOfPart(*weight, part));
  }
  return HeldTensor(tensor.name, Joined(std::move(parts)),
                    /*dequantize=*/false);
}

ImportTensor TakeFrequencies(const NetworkTensor& tensor, int64_t context,
                             RopePrecision precision, DType dtype) {
  const bool is_long =
      !tensor.long_values.empty() && context > tensor.long_from;
  std::vector<float> values = is_long ? tensor.long_values : tensor.values;
  if (precision == RopePrecision::kCheckpoint) {
    for (float& value : values) {
      if (dtype == DType::kBFloat16) value = RoundToBFloat16(value);
      if (dtype == DType::kFloat16) value = RoundToFloat16(value);
    }
  }
  return MakeTensor(tensor.name, tensor.shape,
                    [values = std::move(values)] { return values; });
}

}  // namespace lutra::packer
