#ifndef LUTRA_PACKER_CALIBRATE_H_
#define LUTRA_PACKER_CALIBRATE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/qat/samples.h"
#include "lutra/runtime/model.h"

// Runs a model over data and writes the second moments of the inputs of its
// linear, conv2d, lstm_cell and gru_cell nodes (statistics.h), for packing with
// data.

namespace lutra::packer {

struct CalibrateOptions {
  // The most samples, spread evenly over all; 0: all of them.
  size_t samples = 0;
  // Bytes for sums at a time. Where those of all values take more, the data is
  // run several times, each for as many values as fit (at least one).
  size_t memory = size_t{1} << 30;
  // Rows count by the squares of the gradients of the loss with respect to the
  // outputs made of them, in the place of one over the square of their size. Of
  // linear nodes with float weights only; memory is then that of training.
  bool gradients = false;
  Executor* executor = nullptr;  // nullptr: the calling thread
};

// Of a text that is run over where nobody says how many.
inline constexpr size_t kTextWindows = 64;

// Numbers below `all`, evenly spread: `most` of them, or all for 0.
std::vector<uint32_t> SpreadSamples(size_t all, size_t most);

struct CalibrationPlan {
  size_t values = 0;   // inputs of layers
  size_t passes = 0;   // how often the data is run
  size_t samples = 0;  // of each pass
  size_t rows = 0;     // likewise
  // The most bytes beside the mapped files: sums, and memory of the program.
  size_t memory = 0;
};

// What Calibrate will do. Throws Error for a model without such nodes, for
// one that takes several inputs, and for samples that it does not take.
CalibrationPlan PlanCalibration(const std::shared_ptr<const Model>& model,
                                const qat::Samples& samples,
                                const CalibrateOptions& options);

// Called after every few rows; what it throws ends the work.
using CalibrationProgress = std::function<void(size_t rows, size_t total)>;

// Writes a statistics file, which appears at `path` when it is complete. The
// sums are the same for any number of threads. Throws Error as above, and for
// values that are not finite (naming the value).
CalibrationPlan Calibrate(const std::shared_ptr<const Model>& model,
                          const qat::Samples& samples,
                          const CalibrateOptions& options,
                          const std::filesystem::path& path,
                          const CalibrationProgress& progress = {});

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_CALIBRATE_H_
