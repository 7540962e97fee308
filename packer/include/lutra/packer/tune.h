#ifndef LUTRA_PACKER_TUNE_H_
#define LUTRA_PACKER_TUNE_H_

#include <cstddef>
#include <filesystem>
#include <functional>

#include "lutra/qat/samples.h"
#include "lutra/qat/scale_tuner.h"
#include "lutra/runtime/model.h"

// Tunes a packed model: no index and no table changes; scales, and the gains of
// norms, learn to give the outputs of the float model
// (lutra/qat/scale_tuner.h). The file has the same size and speed.

namespace lutra::packer {

struct TuneReport {
  size_t scales = 0;      // that were tuned
  size_t gains = 0;       // likewise
  size_t memory = 0;      // bytes, beside the mapped files
  double first_loss = 0;  // means per row over the first and the last tenth
  double last_loss = 0;   // of the steps
  size_t file_bytes = 0;
};

// Called after every step; what it throws ends the work, and nothing is
// written.
using TuneProgress = std::function<void(int64_t step, double loss)>;

// Writes the tuned model to a new file at `path` (which may be the packed
// model's own), where it appears when it is complete. Scales are rounded to
// their types in the file, gains are float32. The record of errors (kPackKey)
// is made anew against the weights of `reference`, where it has them in the
// same shape. Throws Error: for a model without packed weights, a reference
// that has some or whose outputs are others, samples that do not fit, scales
// that leave their type's range.
TuneReport TuneModel(const Model& packed, const Model& reference,
                     const qat::Samples& samples,
                     const qat::ScaleTunerOptions& options,
                     const std::filesystem::path& path,
                     const TuneProgress& progress = {});

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_TUNE_H_
