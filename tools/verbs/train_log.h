#ifndef LUTRA_TOOLS_VERBS_TRAIN_LOG_H_
#define LUTRA_TOOLS_VERBS_TRAIN_LOG_H_

#include <fstream>
#include <string>

#include "lutra/qat/trainer.h"

namespace lutra::tools {

// A line for each step of a training, written at once so that others can watch:
// JSON, or comma-separated values for a name that ends in ".csv".
class TrainLog {
 public:
  // A resumed run appends to what is there. Throws lutra::Error.
  TrainLog(const std::string& path, bool append);

  // Throws lutra::Error.
  void Add(const qat::TrainProgress& progress);

 private:
  std::string path_;
  bool csv_;
  std::ofstream stream_;
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_TRAIN_LOG_H_
