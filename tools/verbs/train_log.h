#ifndef LUTRA_TOOLS_VERBS_TRAIN_LOG_H_
#define LUTRA_TOOLS_VERBS_TRAIN_LOG_H_

#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/qat/trainer.h"
#include "tools/cli/json.h"

namespace lutra::tools {

inline constexpr std::string_view kGridDistance = "grid_distance/";

// A line for each step of a training, written at once so that others can watch:
// JSON, or comma-separated values for a name that ends in ".csv".
//
// Columns beside the obvious: grid_distance/WEIGHT, the root of the mean
// squared distance of a weight's values from its grid over that of the values,
// in some of the steps.
class TrainLog {
 public:
  // `quantized`: the weights whose distance from their grids is told. A resumed
  // run appends to what is there. Throws lutra::Error.
  TrainLog(const std::string& path, bool append,
           std::vector<std::string> quantized);

  struct Line {
    qat::TrainProgress progress;
    std::optional<double> validation_loss;
    std::map<std::string, double> grid_distances;  // by weight
  };
  // Throws lutra::Error.
  void Add(const Line& line);

 private:
  Json ToJson(const Line& line) const;

  std::vector<std::string> quantized_;
  std::string path_;
  bool csv_;
  std::ofstream stream_;
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_TRAIN_LOG_H_
