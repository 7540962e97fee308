#ifndef LUTRA_TOOLS_EVAL_EVALUATE_H_
#define LUTRA_TOOLS_EVAL_EVALUATE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/qat/dataset.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/session.h"
#include "tools/eval/timing.h"

// Classification of labelled images by a model.

namespace lutra::tools {

// A model as the command line names it: FILE or FILE:ACTIVATIONS.
struct ModelChoice {
  std::string path;
  kernels::ActivationType activations;
};
ModelChoice ParseModelChoice(std::string_view text,
                             kernels::ActivationType default_activations);

// Throws lutra::Error unless the model takes one image and gives one score per
// class.
void CheckClassifies(const Model& model, const qat::LabelledImages& data);

struct Predictions {
  std::vector<uint32_t> classes;  // by image; of equal scores the first
  size_t correct = 0;
  double seconds = 0;

  double Accuracy() const;
};

// Classifies all images. `progress` is told how many are done. Throws
// lutra::Error, also for scores that are not finite.
Predictions Classify(Session& session, const qat::LabelledImages& data,
                     const std::function<void(size_t)>& progress);

// Images on which two runs over the same data disagree.
size_t CountDifferent(const Predictions& a, const Predictions& b);

// Times calls of `batch` images each.
Timing TimeClassification(Session& session, const qat::LabelledImages& data,
                          size_t batch, const TimingOptions& options);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_EVAL_EVALUATE_H_
