#include "tools/verbs/eval.h"

#include <memory>

#include "lutra/qat/recording_folder.h"
#include "tools/cli/language_options.h"
#include "tools/cli/load_options.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kEvalExample =
    "Several models share one table.\n"
    "\n"
    "With --data: accuracy on labelled samples. The folder holds images in "
    "idx\n"
    "files (t10k-images-idx3-ubyte[.gz], t10k-labels-idx1-ubyte[.gz]) or "
    "NumPy's\n"
    "(test-images.npy, test-labels.npy), or a file of signed bytes q "
    "(--unsigned:\n"
    "0 to 255) for each sample and a y_labels.csv (MLPerf Tiny);\n"
    "the model then sees (q - ZERO_POINT) * SCALE. The column 'differs' "
    "counts\n"
    "the samples that a model puts in another class than the reference does.\n"
    "A list with five fields names recordings of float32 values, windows of\n"
    "which an autoencoder gives out again (MLPerf Tiny's anomaly detection): "
    "'AUC'\n"
    "is the area under the ROC curve of the mean squared error of recordings,\n"
    "the next columns are its means over normal and over anomalous ones.\n"
    "\n"
    "With --text: perplexity of language models. The text is cut into chunks\n"
    "of CONTEXT - 1 tokens; each is scored on its own, after BOS (where the\n"
    "tokenizer puts none, the chunks have CONTEXT tokens and the first is not\n"
    "scored). What the tokenizer puts after a text (EOS) is neither fed nor\n"
    "scored. Models with different tokenizers compare by bits per byte.\n"
    "'--protocol llama' scores what llama-perplexity does: the second half of\n"
    "whole chunks of CONTEXT tokens (there 512). With --reference the table "
    "has\n"
    "the mean Kullback-Leibler divergence from that model's probabilities, in\n"
    "nats, and how often both have the same most probable token.\n"
    "\n"
    "With --multiple-choice: how many questions are answered right. Each line "
    "of\n"
    "the file is an object {\"context\": TEXT, \"choices\": [TEXT, ...], "
    "\"answer\":\n"
    "N}, with N counted from 0 and choices as they follow the context (\" "
    "Paris\").\n"
    "'acc' takes the most probable choice, 'acc_norm' the one most probable "
    "per\n"
    "byte, as lm-evaluation-harness counts them.\n"
    "\n"
    "Example:\n"
    "  lutra eval --data /usr/share/datasets/fashion-mnist --time \\\n"
    "    float.safetensors packed.safetensors:int8 "
    "packed.safetensors:float32 \\\n"
    "    --label float --label 'packed, int8' --label 'packed, float'\n"
    "  lutra eval --data kws01 --scale 0.5847029089927673 --zero-point 83 \\\n"
    "    keywords.safetensors\n"
    "  lutra eval --data ad01 autoencoder.safetensors packed.safetensors\n"
    "  lutra eval --text stories.txt --bytes 65536 float.safetensors "
    "packed.safetensors\n"
    "  lutra eval --text wiki.txt --protocol llama -c 512 \\\n"
    "    --reference float.safetensors packed.safetensors:float32\n"
    "  lutra eval --multiple-choice questions.jsonl float.safetensors "
    "packed.safetensors";

void Run(EvalOptions& options) {
  const int given = (options.data.empty() ? 0 : 1) +
                    (options.text.empty() ? 0 : 1) +
                    (options.choices.empty() ? 0 : 1);
  if (given != 1) {
    throw UsageError("eval",
                     "give one of --data, --text and --multiple-choice");
  }
  if (!options.choices.empty() && !options.reference.empty()) {
    throw UsageError("--reference", "is not for --multiple-choice");
  }
  std::vector<std::string>& labels = options.labels;
  if (labels.size() > options.models.size()) {
    throw UsageError("--label", "there are more labels than models");
  }
  labels.insert(
      labels.end(),
      options.models.begin() + static_cast<std::ptrdiff_t>(labels.size()),
      options.models.end());
  if (!options.data.empty()) {
    qat::IsRecordingFolder(options.data) ? EvalAnomalies(options)
                                         : EvalAccuracy(options);
  } else if (!options.text.empty()) {
    EvalPerplexity(options);
  } else {
    EvalChoices(options);
  }
}

void AddAccuracyOptions(Verb& verb, EvalOptions& options) {
  verb.Add("--data", options.data, "Folder with labelled samples")
      .TypeName("DIR");
  AddByteOptions(verb, options.labelled);
  verb.Add("--limit", options.limit,
           "Use only the first N samples, or questions")
      .TypeName("N");
  verb.AddFlag("--time", options.time, "Also measure the time per sample");
  AddSizesOption(verb, "--batch", options.batches, 1, kMaxBatch,
                 "Samples per call when measuring time");
  AddTimingOptions(verb, options.timing);
}

void AddPerplexityOptions(Verb& verb, EvalOptions& options) {
  verb.Add("--text", options.text, "File with text").TypeName("FILE");
  verb.Add("--bytes", options.bytes, "Use only the first N bytes of it; 0: all")
      .TypeName("N")
      .ShowDefault();
  verb.Add("--protocol", options.protocol, "Which tokens are scored")
      .OneOf({"all", "llama"})
      .ShowDefault();
  verb.Add("--chunks", options.chunks, "Score only the first N chunks; 0: all")
      .TypeName("N")
      .ShowDefault();
  AddContextOption(verb, options.language.session.context,
                   "256, or what the model is made for if that is less");
  AddLanguageOptions(verb, options.language);
  verb.Add("--sequences", options.sequences,
           "Chunks of the text that are scored at once (with --reference "
           "one)")
      .TypeName("N")
      .Range(size_t{1}, kMaxSequences)
      .ShowDefault();
}

}  // namespace

void AddEvalVerb(CommandLine& line) {
  auto options = std::make_shared<EvalOptions>();
  Verb eval = line.AddVerb(
      "eval",
      "Measure accuracy on samples or questions, or perplexity on a text");
  eval.Footer(kEvalExample);
  eval.Add("MODEL", options->models,
           "Models; ':int8', ':float32' or another activation type "
           "after a name chooses its activations")
      .Required();
  eval.Add("--label", options->labels,
           "What the table calls the models, in their order")
      .TypeName("TEXT")
      .OneAtATime();
  eval.Add("--reference", options->reference,
           "Label of the model that 'differs' compares with, the first "
           "model if not given; for a text a label or a model to measure the "
           "divergence from")
      .TypeName("LABEL|MODEL");
  eval.Add("--multiple-choice", options->choices,
           "File of questions with several answers")
      .TypeName("FILE.jsonl");
  AddAccuracyOptions(eval, *options);
  AddPerplexityOptions(eval, *options);
  AddActivationsOption(eval, options->language.session.activations);
  AddThreadsOption(eval, options->language.session.threads);
  AddLoadOptions(eval, options->load);
  AddFormatOptions(eval, options->format);
  eval.OnRun([options] { Run(*options); });
}

}  // namespace lutra::tools
