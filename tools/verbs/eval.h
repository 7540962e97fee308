#ifndef LUTRA_TOOLS_VERBS_EVAL_H_
#define LUTRA_TOOLS_VERBS_EVAL_H_

#include <string>
#include <vector>

#include "lutra/eval/timing.h"
#include "lutra/runtime/language_model.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/verbs/train_data.h"

namespace lutra::tools {

// The options of the verb eval.
struct EvalOptions {
  std::vector<std::string> models;
  std::vector<std::string> labels;  // one for each model
  OutputFormat format = OutputFormat::kTable;
  LanguageModelOptions language;  // its session options are for all models
  LoadOptions load;
  std::string reference;  // a label; for texts also a model
  size_t sequences = 4;   // chunks of a text at once

  // Accuracy.
  std::string data;
  LabelledDataOptions labelled;
  size_t limit = 0;
  bool time = false;
  std::vector<size_t> batches = {1, 64};
  eval::TimingOptions timing;

  // Perplexity.
  std::string text;
  size_t bytes = 0;
  std::string protocol = "all";  // or "llama"
  size_t chunks = 0;             // 0: all

  // Multiple choice: a file of questions; `limit` counts here, too.
  std::string choices;
};

// What is found out about models and a text.
struct TextReport {
  Json json;
  Table table;
};
TextReport MeasurePerplexity(const EvalOptions& options);

// Print their table or JSON. Throw lutra::Error.
void EvalAccuracy(const EvalOptions& options);
void EvalAnomalies(const EvalOptions& options);
void EvalPerplexity(const EvalOptions& options);
void EvalChoices(const EvalOptions& options);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_EVAL_H_
