#include "runtime/ops/window2d.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "kernels/base/checked_math.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

template <size_t kCount>
void Read(const Node& node, const char* name, size_t (&values)[kCount]) {
  const std::vector<int64_t> list = ListAttribute(node, name);
  for (size_t i = 0; i < kCount; ++i) values[i] = static_cast<size_t>(list[i]);
}

// Steps of the window along one side. Attributes are at most 2^20, sides 2^31:
// nothing overflows 64 bits, and what is no larger than the padded side
// fits 32.
size_t Steps(const Model& model, const Node& node, size_t size, size_t before,
             size_t after, size_t kernel, size_t dilation, size_t stride) {
  const uint64_t padded = uint64_t{size} + before + after;
  const uint64_t covered = uint64_t{kernel - 1} * dilation + 1;
  if (covered > padded) {
    throw NodeError(model, node,
                    TextOf("a window of ", covered,
                           " is larger than the padded input of ", padded));
  }
  return static_cast<size_t>((padded - covered) / stride + 1);
}

AttributeSchema Lengths(const char* name, size_t length) {
  return {.name = name,
          .kind = AttributeKind::kList,
          .low = 1,
          .high = kMaxCount,
          .otherwise = 1,
          .length = length};
}

// Convolutions are, poolings are not.
bool IsDilatable(const Node& node) {
  const auto& attributes = GetOperator(node.op).schema().attributes;
  return std::any_of(
      attributes.begin(), attributes.end(),
      [](const AttributeSchema& a) { return a.name == "dilation"; });
}

}  // namespace

std::vector<AttributeSchema> PoolAttributes() {
  AttributeSchema stride = Lengths("stride", 2);
  stride.required = false;
  AttributeSchema padding = Lengths("padding", 4);
  padding.required = false;
  padding.low = padding.otherwise = 0;
  return {Lengths("kernel", 2), stride, padding};
}

std::vector<AttributeSchema> ConvolutionAttributes() {
  std::vector<AttributeSchema> attributes = PoolAttributes();
  AttributeSchema dilation = Lengths("dilation", 2);
  dilation.required = false;
  attributes.push_back(dilation);
  return attributes;
}

Window2d MakeWindow2d(const Model& model, const Node& node,
                      const ValueInfo& input) {
  CheckFloatInput(model, node, input, 3);
  Window2d w;
  w.height = static_cast<size_t>(input.shape[0]);
  w.width = static_cast<size_t>(input.shape[1]);
  w.channels = static_cast<size_t>(input.shape[2]);
  Read(node, "kernel", w.kernel);
  Read(node, "stride", w.stride);
  Read(node, "padding", w.padding);
  if (IsDilatable(node)) Read(node, "dilation", w.dilation);
  w.out_height = Steps(model, node, w.height, w.padding[0], w.padding[1],
                       w.kernel[0], w.dilation[0], w.stride[0]);
  w.out_width = Steps(model, node, w.width, w.padding[2], w.padding[3],
                      w.kernel[1], w.dilation[1], w.stride[1]);
  if (!CheckedMultiply(w.kernel[0], w.kernel[1])) {
    throw NodeError(model, node, "its window has too many taps");
  }
  return w;
}

void GatherWindow(const Window2d& w, const float* image, size_t pixel,
                  float* row) {
  const size_t out_y = pixel / w.out_width;
  const size_t out_x = pixel % w.out_width;
  const Window2d::Range rows = w.RowTaps(out_y);
  const Window2d::Range columns = w.ColumnTaps(out_x);
  const size_t line = w.kernel[1] * w.channels;
  const size_t begin = columns.begin * w.channels;
  const size_t end = columns.end * w.channels;
  std::fill(row, row + rows.begin * line, 0.0f);
  for (size_t ky = rows.begin; ky < rows.end; ++ky) {
    float* const to = row + ky * line;
    const float* const from = image + w.Row(out_y, ky) * w.width * w.channels;
    std::fill(to, to + begin, 0.0f);
    if (w.dilation[1] == 1) {  // taps lie side by side in the image, too
      if (begin < end) {
        std::memcpy(to + begin,
                    from + w.Column(out_x, columns.begin) * w.channels,
                    (end - begin) * sizeof(float));
      }
    } else {
      for (size_t kx = columns.begin; kx < columns.end; ++kx) {
        std::memcpy(to + kx * w.channels,
                    from + w.Column(out_x, kx) * w.channels,
                    w.channels * sizeof(float));
      }
    }
    std::fill(to + end, to + line, 0.0f);
  }
  std::fill(row + rows.end * line, row + w.kernel[0] * line, 0.0f);
}

}  // namespace lutra
