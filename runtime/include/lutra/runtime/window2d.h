#ifndef LUTRA_RUNTIME_WINDOW2D_H_
#define LUTRA_RUNTIME_WINDOW2D_H_

#include <algorithm>
#include <cstddef>

#include "lutra/runtime/model.h"

namespace lutra {

// How a convolution or a pooling moves over an image [height, width, channels].
struct Window2d {
  size_t height = 0, width = 0, channels = 0;  // of the input
  size_t out_height = 0, out_width = 0;
  size_t kernel[2] = {1, 1};  // rows, columns
  size_t stride[2] = {1, 1};
  size_t padding[4] = {0, 0, 0, 0};  // top, bottom, left, right
  size_t dilation[2] = {1, 1};

  // Input row (or column) under tap `tap` of output row `out`; at least
  // `height` (or `width`) where that is padding.
  size_t Row(size_t out, size_t tap) const {
    return out * stride[0] + tap * dilation[0] - padding[0];
  }
  size_t Column(size_t out, size_t tap) const {
    return out * stride[1] + tap * dilation[1] - padding[2];
  }
  // Taps [begin, end) of an output row (or column) that lie on the image.
  struct Range {
    size_t begin = 0, end = 0;
  };
  Range RowTaps(size_t out) const {
    return OnImage(out * stride[0], padding[0], height, kernel[0], dilation[0]);
  }
  Range ColumnTaps(size_t out) const {
    return OnImage(out * stride[1], padding[2], width, kernel[1], dilation[1]);
  }
  size_t Taps() const { return kernel[0] * kernel[1]; }
  // The most that can lie on the image.
  double TapsOnImage() const {
    return static_cast<double>(std::min(kernel[0], height)) *
           static_cast<double>(std::min(kernel[1], width));
  }
  size_t InputSize() const { return height * width * channels; }
  size_t OutputPixels() const { return out_height * out_width; }

 private:
  // Of a window that begins at `place` of the padded side.
  static Range OnImage(size_t place, size_t before, size_t size, size_t taps,
                       size_t step) {
    const auto steps_to = [&](size_t end) {
      return end <= place ? 0 : std::min(taps, (end - place + step - 1) / step);
    };
    return {steps_to(before), steps_to(before + size)};
  }
};

// From the attributes of the node and the shape of its input. Throws Error if
// the window is larger than the padded image, or has more taps than memory has
// bytes.
Window2d MakeWindow2d(const Model& model, const Node& node,
                      const ValueInfo& input);

// What lies under the window at an output pixel (of those of one image, row by
// row): [taps, channels], zeros where that is padding.
void GatherWindow(const Window2d& window, const float* image, size_t pixel,
                  float* row);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_WINDOW2D_H_
