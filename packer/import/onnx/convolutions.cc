// Operators with a window that moves over an image.

#include <algorithm>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/onnx/onnx_node.h"

namespace lutra::packer {
namespace {

constexpr int64_t kMostTaps = 1 << 20;  // of the runtime's attributes

// [N, C, H, W].
constexpr ImageDims kImageDims = {
    .batch = 0, .height = 2, .width = 3, .channels = 1};

// Puts a dimension of size 1 in front of the last one: sounds are images of
// one row.
View AsImage(const View& view) {
  if (view.dims.size() == 4) return view;
  if (view.dims.size() != 3) {
    throw Unsupported{
        "images of " +
        std::to_string(static_cast<int64_t>(view.dims.size()) - 2) +
        " dimensions"};
  }
  View image = view;
  image.dims.insert(image.dims.begin() + 2, std::vector<Axis>());
  return image;
}

Value AsBefore(Value y, size_t rank) {
  if (rank == 3) y.view.dims.erase(y.view.dims.begin() + 2);
  return y;
}

// An attribute with a number for each dimension, the rows first.
std::array<int64_t, 2> Pair(const OnnxContext& node, std::string_view name,
                            size_t count, int64_t least) {
  std::vector<int64_t> values = node.Integers(name);
  if (values.empty()) return {1, 1};
  if (values.size() != count) {
    throw Error("has " + std::to_string(values.size()) + " numbers in '" +
                std::string(name) + "' for " + std::to_string(count) +
                " dimensions");
  }
  for (const int64_t value : values) {
    if (value >= least && value <= kMostTaps) continue;
    throw Error("has " + std::to_string(value) + " in '" + std::string(name) +
                "'");
  }
  if (count == 1) return {1, values[0]};
  return {values[0], values[1]};
}

void ReadPads(const OnnxContext& node, size_t count, Window& window) {
  const std::vector<int64_t> pads = node.Integers("pads");
  if (pads.empty()) return;
  if (pads.size() != 2 * count) {
    throw Error("has " + std::to_string(pads.size()) + " pads for " +
                std::to_string(count) + " dimensions");
  }
  for (const int64_t pad : pads) {
    if (pad >= 0 && pad <= kMostTaps) continue;
    throw Error("has a pad of " + std::to_string(pad));
  }
  for (size_t i = 0; i < count; ++i) {
    const size_t dim = 2 - count + i;
    window.padding[2 * dim] = pads[i];
    window.padding[2 * dim + 1] = pads[count + i];
  }
}

// `count`: dimensions of the window; `kernel`: its size if the node says none.
Window ReadWindow(const OnnxContext& node, const View& x, size_t count,
                  const std::array<int64_t, 2>& kernel) {
  Window window;
  window.kernel = node.HasAttribute("kernel_shape")
                      ? Pair(node, "kernel_shape", count, 1)
                      : kernel;
  window.stride = Pair(node, "strides", count, 1);
  window.dilation = Pair(node, "dilations", count, 1);
  const std::string automatic = node.Text("auto_pad", "NOTSET");
  if (automatic == "NOTSET") {
    ReadPads(node, count, window);
  } else if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    const auto rows = DimSize(x.dims[2]);
    const auto columns = DimSize(x.dims[3]);
    if (!rows || !columns || IsUnknownSize(*rows) || IsUnknownSize(*columns)) {
      throw Unsupported{"an image with a size that is not known"};
    }
    PadToSame({*rows, *columns}, automatic == "SAME_UPPER", window);
  } else if (automatic != "VALID") {
    throw Error("has the padding '" + automatic + "', which does not exist");
  }
  return window;
}

void Conv(OnnxContext& node) {
  std::optional<Constant> bias;
  if (node.Has(2)) bias = node.ConstantAt(2);
  node.SetOutput(OnnxConvolution(node, node.ValueAt(0), node.ConstantAt(1),
                                 bias ? &*bias : nullptr));
}

template <OpType kOp>
void Pool(OnnxContext& node) {
  constexpr bool kAverage = kOp == OpType::kAvgPool2d;
  Operand operand = node.Input(0);
  // The largest of quantized numbers is that of what they stand for.
  Value x = kAverage || !operand.value ? node.ValueAt(0) : *operand.value;
  const size_t rank = x.view.dims.size();
  x.view = AsImage(x.view);
  if (!node.HasAttribute("kernel_shape")) throw Error("has no kernel_shape");
  if (node.WantsOutput(1)) throw Unsupported{"the places of the largest"};
  Window window = ReadWindow(node, x.view, rank - 2, {1, 1});
  if (window.dilation != std::array<int64_t, 2>{1, 1}) {
    throw Unsupported{"a pool with dilation"};
  }
  for (size_t i = 0; i < 2; ++i) {
    if (std::max(window.padding[2 * i], window.padding[2 * i + 1]) >=
        window.kernel[i]) {
      throw Error("has padding that is not smaller than its window");
    }
  }
  const bool padded = window.padding != std::array<int64_t, 4>{0, 0, 0, 0};
  if (kAverage && padded && node.Integer("count_include_pad", 0) != 0) {
    throw Unsupported{"averages that count padding"};
  }
  if (node.Integer("ceil_mode", 0) != 0) {
    for (size_t i = 0; i < 2; ++i) {
      // A last window that begins on the image is added.
      const auto size = DimSize(x.view.dims[2 + i]);
      if (!size || IsUnknownSize(*size)) {
        throw Unsupported{"an image with a size that is not known"};
      }
      const int64_t whole =
          *size + window.padding[2 * i] + window.padding[2 * i + 1];
      const int64_t rest = (whole - window.kernel[i]) % window.stride[i];
      const int64_t begin = whole - rest - window.kernel[i] + window.stride[i];
      if (rest > 0 && begin < *size + window.padding[2 * i]) {
        window.padding[2 * i + 1] += window.stride[i] - rest;
      }
    }
  }
  Value y = node.net().Pool(kOp, x, kImageDims, window);
  if (!kAverage) y.grid = x.grid;
  node.SetOutput(AsBefore(std::move(y), rank));
}

template <OpType kOp>
void GlobalPool(OnnxContext& node) {
  const Value x = node.ValueAt(0);
  std::vector<size_t> dims;
  for (size_t i = 2; i < x.view.dims.size(); ++i) dims.push_back(i);
  node.SetOutput(node.net().Reduce(kOp, x, dims));
}

// Zeros around an image: a kernel of one tap with padding.
void Pad(OnnxContext& node) {
  if (node.Text("mode", "constant") != "constant") {
    throw Unsupported{"padding with anything but a number"};
  }
  const std::vector<int64_t> pads =
      node.Has(1) ? node.IntegersAt(1) : node.Integers("pads");
  Value x = node.ValueAt(0);
  const size_t rank = x.view.dims.size();
  if (node.Has(3)) throw Unsupported{"padding of some axes"};
  if (pads.size() != 2 * rank) throw Error("has another number of pads");
  if ((node.Has(2) ? node.NumberAt(2) : node.Number("value", 0)) != 0) {
    throw Unsupported{"padding with a number other than 0"};
  }
  Window window;
  for (size_t i = 0; i < rank; ++i) {
    for (const int64_t pad : {pads[i], pads[rank + i]}) {
      if (pad < 0 || pad > kMostTaps) {
        throw Unsupported{"a pad of " + std::to_string(pad)};
      }
      if (pad > 0 && i + 2 < rank) {
        throw Unsupported{"padding of other dimensions than an image's"};
      }
    }
  }
  x.view = AsImage(x.view);
  const size_t count = rank - 2;
  for (size_t i = 0; i < count; ++i) {
    const size_t dim = 2 - count + i;
    window.padding[2 * dim] = pads[2 + i];
    window.padding[2 * dim + 1] = pads[rank + 2 + i];
  }
  Value y = node.net().Padded(x, kImageDims, window.padding);
  node.SetOutput(AsBefore(std::move(y), rank));
}

constexpr OnnxOperator kConvolutions[] = {
    {"Conv", 2, 3, Conv},
    {"MaxPool", 1, 1, Pool<OpType::kMaxPool2d>},
    {"AveragePool", 1, 1, Pool<OpType::kAvgPool2d>},
    {"GlobalAveragePool", 1, 1, GlobalPool<OpType::kAvgPool2d>},
    {"GlobalMaxPool", 1, 1, GlobalPool<OpType::kMaxPool2d>},
    {"Pad", 1, 4, Pad},
};

}  // namespace

Value OnnxConvolution(const OnnxContext& node, Value x, Constant weight,
                      const Constant* bias) {
  const size_t rank = x.view.dims.size();
  x.view = AsImage(x.view);
  if (weight.view.dims.size() != rank) {
    throw Error("has a weight of " + std::to_string(weight.view.dims.size()) +
                " dimensions for " + std::to_string(rank));
  }
  weight.view = AsImage(weight.view);
  const std::array<int64_t, 2> kernel = {*DimSize(weight.view.dims[2]),
                                         *DimSize(weight.view.dims[3])};
  const Window window = ReadWindow(node, x.view, rank - 2, kernel);
  if (window.kernel != kernel) {
    throw Error("has a kernel of another size than its weight");
  }
  const int64_t groups = node.Integer("group", 1);
  if (groups < 1 || groups > kMostTaps) {
    throw Error("has " + std::to_string(groups) + " groups");
  }
  Value y = node.net().Convolution(x, kImageDims, weight,
                                   static_cast<size_t>(groups), window);
  if (bias != nullptr) {
    Constant numbers = *bias;
    if (numbers.view.dims.size() != 1 ||
        DimSize(numbers.view.dims[0]) != DimSize(weight.view.dims[0])) {
      throw Error("has a bias of another size than its weight");
    }
    numbers.view.dims.resize(3);
    y = node.net().Affine(y, nullptr, &numbers);
  }
  return AsBefore(std::move(y), rank);
}

std::span<const OnnxOperator> OnnxConvolutions() { return kConvolutions; }

}  // namespace lutra::packer
