#include "tools/verbs/bench.h"

#include <iostream>
#include <utility>

#include "lutra.h"
#include "lutra/kernels/variants.h"
#include "lutra/packer/weights.h"
#include "tools/cli/csv.h"
#include "tools/cli/language_options.h"
#include "tools/cli/load_options.h"
#include "tools/verbs/busy_threads.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kBenchExample =
    "Language models: each test is repeated, 5 times unless --repeat says\n"
    "otherwise, from an empty context. pp128 is a prompt of 128 tokens, tg32\n"
    "the generation of 32, one by one, without sampling; tg32 x8 is that of\n"
    "32 in each of eight texts at once, and tg32 @512 what follows 512 tokens\n"
    "that are not timed. Tokens per second, of all texts together,\n"
    "are the mean and the standard deviation of the repetitions, p50 and p99\n"
    "are of the time per token. 'of limit' is the share of what the machine\n"
    "can do at best: for tg of the read bandwidth, by the bytes that a token\n"
    "touches (weights and state), for pp of the multiply-add peak of the\n"
    "active kernels; above 100 % for models that fit into the CPU's caches.\n"
    "The limit is measured in the pauses of the test, on its threads, by\n"
    "slices of about a millisecond outside of its time: four before and four\n"
    "after each repetition, and one after each token that touches more than\n"
    "256 MiB. Of a repetition the limit is the median slice, and of a test "
    "the\n"
    "share is the median over its repetitions. A slice empties the caches:\n"
    "each repetition follows an untimed token. Load time is that of a file in\n"
    "the page cache, up to readiness for a token; peak memory is that of\n"
    "loading and of each test once.\n"
    "\n"
    "Other models: times are of whole calls, in microseconds; the deviation "
    "is\n"
    "the median distance from the median.\n"
    "\n"
    "Inputs are random (the same for the same --seed). With --beside, threads\n"
    "that only compute compete for the CPUs, as other programs may.\n"
    "\n"
    "Example:\n"
    "  lutra bench stories.safetensors -p 128,512 -n 32 -t 1,2 -r 5\n"
    "  lutra bench stories.safetensors -p 0 --sequences 1,2,4,8 -d 256\n"
    "  lutra bench packed.safetensors --batch 1,64 --threads 1,2 \\\n"
    "    --activations int8,float32";

constexpr size_t kMaxBeside = 1024;

// Weights of the models, the kernels that ran and what ran beside them, below
// the tables.
void PrintModels(const std::vector<std::shared_ptr<const Model>>& models,
                 size_t beside) {
  for (const std::shared_ptr<const Model>& model : models) {
    const packer::WeightTotals totals = packer::Total(packer::Weights(*model));
    std::cout << "\n"
              << OneLine(model->path()) << ": " << WithCommas(totals.elements)
              << " weights in " << WithCommas(totals.bytes) << " bytes ("
              << Fixed(totals.BitsPerWeight(), 2) << " bits per weight)";
  }
  std::cout << "\nkernels: " << kernels::ActiveVariant() << "\n";
  if (beside > 0)
    std::cout << "beside: " << beside
              << (beside == 1 ? " busy thread\n" : " busy threads\n");
}

void Run(const BenchOptions& options) {
  std::vector<std::shared_ptr<const Model>> loaded;
  std::vector<std::shared_ptr<const Model>> language;
  std::vector<std::shared_ptr<const Model>> others;
  for (const std::string& path : options.models) {
    loaded.push_back(Model::Load(path, options.load));
    (LanguageModel::Accepts(*loaded.back()) ? language : others)
        .push_back(loaded.back());
  }
  Progress progress;
  const BusyThreads busy(options.beside);
  std::vector<BenchResults> results;
  if (!language.empty()) {
    results.push_back(BenchLanguage(options, language, progress));
  }
  if (!others.empty()) results.push_back(BenchCalls(options, others, progress));
  progress.Clear();

  if (options.format == OutputFormat::kTable ||
      options.format == OutputFormat::kMarkdown) {
    for (const BenchResults& part : results) {
      if (&part != &results.front()) std::cout << "\n";
      std::cout << Rendered(part.table, options.format);
    }
    PrintModels(loaded, options.beside);
    return;
  }
  Json records = Json::Array();
  for (const BenchResults& part : results) {
    for (const Json& record : part.records.items()) records.PushBack(record);
  }
  if (options.format == OutputFormat::kCsv) {
    std::cout << ToCsv(records);
    return;
  }
  const Json json = {{"version", lutra_version()},
                     {"variant", kernels::ActiveVariant()},
                     {"seed", options.seed},
                     {"results", std::move(records)}};
  std::cout << json.Dump(2) << "\n";
}

}  // namespace

void AddBenchVerb(CommandLine& line) {
  auto options = std::make_shared<BenchOptions>();
  Verb bench = line.AddVerb("bench", "Measure a model's speed");
  bench.Footer(kBenchExample);
  bench.Add("MODEL", options->models, "Models").Required();
  AddSizesOption(bench, "-p,--prompt", options->prompts, 0, kMaxBatch,
                 "Language models: tokens of a prompt; 0: no such test");
  AddSizesOption(bench, "-n,--tokens", options->tokens, 0, kMaxBatch,
                 "Language models: tokens to generate; 0: no such test");
  AddSizesOption(bench, "-d,--depth", options->depths, 0, kMaxBatch,
                 "Language models: tokens that are in the context already");
  AddSizesOption(bench, "--sequences", options->sequences, 1, kMaxSequences,
                 "Language models: texts at once");
  AddContextOption(bench, options->language.session.context,
                   "as many as the longest test");
  AddLanguageOptions(bench, options->language);
  AddSizesOption(bench, "--batch", options->batches, 1, kMaxBatch,
                 "Other models: tokens (or images) per call");
  AddThreadsOption(bench, options->threads);
  bench
      .Add("--beside", options->beside,
           "Busy threads beside what is measured, as of other programs")
      .TypeName("N")
      .Range(size_t{0}, kMaxBeside)
      .ShowDefault();
  AddActivationsOption(bench, options->activations);
  AddLoadOptions(bench, options->load);
  AddTimingOptions(bench, options->timing);
  bench.Add("--seed", options->seed, "Seed of the random inputs")
      .TypeName("N")
      .ShowDefault();
  AddFormatOptions(bench, options->format, Csv::kYes);
  bench.OnRun([options] { Run(*options); });
}

}  // namespace lutra::tools
