#ifndef LUTRA_EVAL_ACCURACY_H_
#define LUTRA_EVAL_ACCURACY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "lutra/eval/timing.h"
#include "lutra/qat/dataset.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/session.h"

// Classification of labelled images by a model: its one input is an image,
// float32 of as many values as the data set's have, its one output a score for
// each class. The predicted class is that of the largest score, of equal ones
// the first.
//
// The functions own nothing that they are given. A session is used by one
// thread at a time; several sessions may classify the same images at once.

namespace lutra::eval {

// Throws lutra::Error, which says what does not fit, unless the model takes
// images like those of `data` and gives at least one score per class.
void CheckClassifies(const Model& model, const qat::LabelledImages& data);

struct Predictions {
  std::vector<uint32_t> classes;  // by image
  size_t correct = 0;             // images whose class is their label
  double seconds = 0;             // for all of them

  // correct / images, from 0 to 1; 0 if there are none.
  double Accuracy() const;
};

// Classifies all images, 256 to a call. `progress`, which may be empty, is told
// before each call how many are done. Throws lutra::Error, also for scores that
// are not finite. The model must have passed CheckClassifies with `data`.
Predictions Classify(Session& session, const qat::LabelledImages& data,
                     const std::function<void(size_t done)>& progress = {});

// Images on which two runs over the same data disagree.
size_t CountDifferent(const Predictions& a, const Predictions& b);

// Times calls of `batch` images each, the first of the data set, which begins
// again where it has fewer. Same requirements as Classify.
Timing TimeClassification(Session& session, const qat::LabelledImages& data,
                          size_t batch, const TimingOptions& options);

}  // namespace lutra::eval

#endif  // LUTRA_EVAL_ACCURACY_H_
