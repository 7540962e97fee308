#include "tools/verbs/eval.h"

#include <memory>

#include "tools/cli/language_options.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kExample =
    "Several models share one table.\n"
    "\n"
    "With --data: accuracy on labelled samples. The folder holds images in "
    "idx\n"
    "files (t10k-images-idx3-ubyte[.gz], t10k-labels-idx1-ubyte[.gz]), or a\n"
    "file of signed bytes q for each sample and a y_labels.csv (MLPerf Tiny);\n"
    "the model then sees (q - ZERO_POINT) * SCALE. The column 'differs' "
    "counts\n"
    "the samples that a model puts in another class than the reference does.\n"
    "\n"
    "With --text: perplexity of language models. The text is cut into chunks\n"
    "of CONTEXT - 1 tokens; each is scored on its own, after BOS (without BOS\n"
    "the chunks have CONTEXT tokens and the first is not scored). Models with\n"
    "different tokenizers compare by bits per byte.\n"
    "\n"
    "Example:\n"
    "  lutra eval --data /usr/share/datasets/fashion-mnist --time \\\n"
    "    float.safetensors packed.safetensors:int8 "
    "packed.safetensors:float32 \\\n"
    "    --label float --label 'packed, int8' --label 'packed, float'\n"
    "  lutra eval --data kws01 --scale 0.5847029089927673 --zero-point 83 \\\n"
    "    keywords.safetensors\n"
    "  lutra eval --text stories.txt --bytes 65536 float.safetensors "
    "packed.safetensors";

void Run(EvalOptions& options) {
  if (options.data.empty() == options.text.empty()) {
    throw CLI::ValidationError("eval", "give either --data or --text");
  }
  std::vector<std::string>& labels = options.labels;
  if (labels.size() > options.models.size()) {
    throw CLI::ValidationError("--label", "there are more labels than models");
  }
  labels.insert(
      labels.end(),
      options.models.begin() + static_cast<std::ptrdiff_t>(labels.size()),
      options.models.end());
  if (options.text.empty()) {
    EvalAccuracy(options);
  } else {
    EvalPerplexity(options);
  }
}

void AddAccuracyOptions(CLI::App& app, EvalOptions& options) {
  app.add_option("--data", options.data, "Folder with labelled samples")
      ->type_name("DIR");
  app.add_option("--scale", options.scale,
                 "What signed bytes are multiplied by")
      ->capture_default_str();
  app.add_option("--zero-point", options.zero_point,
                 "What is subtracted from signed bytes before")
      ->check(CLI::Range(-128, 127))
      ->capture_default_str();
  app.add_option("--reference", options.reference,
                 "Label of the model that 'differs' compares with; the "
                 "first model if not given")
      ->type_name("LABEL");
  app.add_option("--limit", options.limit, "Use only the first N samples")
      ->type_name("N");
  app.add_flag("--time", options.time, "Also measure the time per sample");
  AddSizesOption(app, "--batch", options.batches, 1, kMaxBatch,
                 "Samples per call when measuring time");
  AddTimingOptions(app, options.timing);
}

void AddPerplexityOptions(CLI::App& app, EvalOptions& options) {
  app.add_option("--text", options.text, "File with text")->type_name("FILE");
  app.add_option("--bytes", options.bytes,
                 "Use only the first N bytes of it; 0: all")
      ->type_name("N")
      ->capture_default_str();
  AddContextOption(app, options.language.session.context,
                   "256, or what the model is made for if that is less");
  AddLanguageOptions(app, options.language);
}

}  // namespace

void AddEvalVerb(CLI::App& app) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App* eval = app.add_subcommand(
      "eval", "Measure accuracy on samples or perplexity on a text");
  eval->footer(kExample);
  eval->add_option("MODEL", options->models,
                   "Models; ':int8', ':float32' or another activation type "
                   "after a name chooses its activations")
      ->required();
  eval->add_option("--label", options->labels,
                   "What the table calls the models, in their order")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  AddAccuracyOptions(*eval, *options);
  AddPerplexityOptions(*eval, *options);
  AddActivationsOption(*eval, options->language.session.activations);
  AddThreadsOption(*eval, options->language.session.threads);
  AddFormatOptions(*eval, options->format);
  eval->callback([options] { Run(*options); });
}

}  // namespace lutra::tools
