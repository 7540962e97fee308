#ifndef LUTRA_EVAL_ANOMALY_H_
#define LUTRA_EVAL_ANOMALY_H_

#include <cstddef>
#include <functional>
#include <vector>

#include "lutra/qat/recording_folder.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/session.h"

// Detection of anomalies by an autoencoder, as MLPerf Tiny counts it: the score
// of a recording is the mean over its windows of the mean squared difference
// between the model's output and its input.
//
// The functions own nothing that they are given. A session is used by one
// thread at a time.

namespace lutra::eval {

// Throws lutra::Error, which says what does not fit, unless the model has one
// float32 input as large as a window and one output of the same size.
void CheckReconstructs(const Model& model, const qat::LabelledRecordings& data);

struct AnomalyScores {
  std::vector<double> scores;  // by recording
  // How likely an anomaly scores higher than a normal recording, both drawn at
  // random, ties counting half: the area under the receiver operating
  // characteristic. NaN where one of the two kinds is missing.
  double auc = 0;
  double normal = 0;     // mean score of normal recordings, NaN without any
  double anomalous = 0;  // likewise
  double seconds = 0;    // for all of them
};

// Runs all windows. `progress`, which may be empty, is told before each call
// how many are done. Throws lutra::Error, also for outputs that are not finite.
// The model must have passed CheckReconstructs with `data`.
AnomalyScores ScoreRecordings(
    Session& session, const qat::LabelledRecordings& data,
    const std::function<void(size_t done)>& progress = {});

}  // namespace lutra::eval

#endif  // LUTRA_EVAL_ANOMALY_H_
