#ifndef LUTRA_TOOLS_VERBS_EVAL_RESULTS_H_
#define LUTRA_TOOLS_VERBS_EVAL_RESULTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tools/cli/json.h"
#include "tools/cli/line_chart.h"
#include "tools/cli/options.h"

namespace lutra::tools {

// What `lutra eval --text ... --json` has printed, for pictures of loss against
// bits: each file is a way of making models, a line, and each model a point.
class EvalResults {
 public:
  // False if `text`, of the file `path`, is not of that kind. Throws Error if
  // it is, but has no models, or some that were measured otherwise.
  bool Add(const std::string& path, const std::string& text);
  bool empty() const { return ways_.empty(); }

  // Divergence and perplexity against bits per weight.
  std::vector<ChartPanel> Panels() const;
  // All models, as a table or JSON.
  void Print(OutputFormat format) const;

 private:
  struct Result {
    std::string label;
    double bits = 0;
    int64_t file_bytes = 0;  // 0: not known
    double perplexity = 0;
    double divergence = 0;  // NaN: not measured, as the next
    double same_top = 0;
  };
  struct Way {
    std::string name;             // of the file, without folder and ending
    std::vector<Result> results;  // by their bits
  };

  // Throws Error, for the file `path`.
  static Result ResultOf(const Json& model, const std::string& path);

  std::vector<Way> ways_;
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_EVAL_RESULTS_H_
