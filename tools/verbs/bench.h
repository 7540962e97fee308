#ifndef LUTRA_TOOLS_VERBS_BENCH_H_
#define LUTRA_TOOLS_VERBS_BENCH_H_

#include <memory>
#include <string>
#include <vector>

#include "lutra/eval/timing.h"
#include "lutra/runtime/language_model.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"

namespace lutra::tools {

// The options of the verb bench.
struct BenchOptions {
  std::vector<std::string> models;
  std::vector<size_t> threads = {0};
  std::vector<ActivationChoice> activations = {std::nullopt};
  LoadOptions load;
  uint32_t seed = 1;
  size_t beside = 0;  // busy threads beside what is measured
  OutputFormat format = OutputFormat::kTable;
  eval::TimingOptions timing;
  std::vector<size_t> batches = {1, 64};
  // For language models.
  LanguageModelOptions language;
  std::vector<size_t> prompts = {128};
  std::vector<size_t> tokens = {32};
  std::vector<size_t> depths = {0};
  std::vector<size_t> sequences = {1};
};

// The same measurements for programs, as flat objects, and for people.
struct BenchResults {
  Json records;
  Table table;
};

// Both measure all combinations of what the options list.
//
// Calls with a number of independent tokens each.
BenchResults BenchCalls(const BenchOptions& options,
                        const std::vector<std::shared_ptr<const Model>>& models,
                        Progress& progress);
// Prompts and generation with language models.
BenchResults BenchLanguage(
    const BenchOptions& options,
    const std::vector<std::shared_ptr<const Model>>& models,
    Progress& progress);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_BENCH_H_
