#ifndef LUTRA_RUNTIME_OPS_WINDOW2D_H_
#define LUTRA_RUNTIME_OPS_WINDOW2D_H_

#include <cstddef>
#include <vector>

#include "kernels/base/parallel.h"
#include "lutra/runtime/window2d.h"
#include "runtime/ops/operators.h"

namespace lutra {

// The attributes of a pooling, and of a convolution, which has one more.
std::vector<AttributeSchema> PoolAttributes();
std::vector<AttributeSchema> ConvolutionAttributes();

// Calls f(row) for every row of output pixels of `m` images, on the threads of
// `execution`; `row` counts through all images.
template <typename Function>
void ForEachOutputRow(const Window2d& window, size_t m,
                      const Execution& execution, const Function& f) {
  // Elements read per piece of work, rounded up to rows of pixels.
  constexpr double kTile = 1 << 16;
  const double work = static_cast<double>(window.out_width) *
                      static_cast<double>(window.channels) *
                      window.TapsOnImage();
  ParallelFor(execution.executor, m * window.out_height,
              static_cast<size_t>(kTile / work) + 1,
              [&](size_t begin, size_t end) {
                for (size_t row = begin; row < end; ++row) f(row);
              });
}

// Likewise pixel(row, column) for every output pixel.
template <typename Pixel>
void ForEachOutputPixel(const Window2d& window, size_t m,
                        const Execution& execution, const Pixel& pixel) {
  ForEachOutputRow(window, m, execution, [&](size_t row) {
    for (size_t column = 0; column < window.out_width; ++column) {
      execution.CheckCancelled();
      pixel(row, column);
    }
  });
}

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_WINDOW2D_H_
