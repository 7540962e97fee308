#include <chrono>
#include <iostream>
#include <memory>
#include <string>

#include "lutra/packer/calibrate.h"
#include "lutra/packer/tune.h"
#include "runtime/base/threads.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/verbs/train_data.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kTuneExample =
    "Trains the scales of a packed model, and the gains of its norms, to give "
    "the\n"
    "probabilities of the float model that it was packed from, on a text (or "
    "a\n"
    "folder of samples) like what it will see. Indices and tables stay, so "
    "size\n"
    "and speed do too. Worth most below 4 bits.\n"
    "\n"
    "Example:\n"
    "  lutra tune packed.safetensors --reference float.safetensors \\\n"
    "    --data wiki.txt --steps 200 -o tuned.safetensors";

struct TuneVerb {
  std::string model;
  std::string reference;
  std::string data;
  std::string output;
  DataOptions data_options{
      .text = {.length = 256}, .labelled = {}, .samples = 0};
  qat::ScaleTunerOptions options;
  size_t threads = 0;
  bool json = false;

  void Run();
};

void TuneVerb::Run() {
  data_options.text.seed = options.seed;
  const ModelData samples = LoadModelData(model, data, data_options);
  const qat::Samples& all = samples.All();
  const qat::SampleSubset chosen(
      all, packer::SpreadSamples(all.Count(), data_options.samples));
  const std::unique_ptr<Executor> executor = StartThreads(threads);
  options.executor = executor.get();
  const auto packed = Model::Load(model);
  const auto expected = Model::Load(reference);
  Progress progress;
  const EndOnInterrupt interrupt;
  const auto start = std::chrono::steady_clock::now();
  const packer::TuneReport report = packer::TuneModel(
      *packed, *expected, chosen, options, output,
      [&](int64_t step, double loss) {
        interrupt.Check();
        progress.ShowRate("tuning, divergence " + Fixed(loss, 4),
                          static_cast<size_t>(step),
                          static_cast<size_t>(options.steps), "steps");
      });
  progress.Clear();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  if (json) {
    const Json result = {{"file", output},
                         {"file_bytes", report.file_bytes},
                         {"steps", options.steps},
                         {"scales", report.scales},
                         {"gains", report.gains},
                         {"first_divergence", report.first_loss},
                         {"last_divergence", report.last_loss},
                         {"memory_bytes", report.memory},
                         {"seconds", seconds}};
    std::cout << result.Dump(2) << "\n";
    return;
  }
  std::cout << OneLine(output) << ": " << WithCommas(report.scales)
            << " scales and " << WithCommas(report.gains) << " gains tuned in "
            << options.steps << " steps, " << Fixed(seconds, 1)
            << " s; divergence from " << Fixed(report.first_loss, 4) << " to "
            << Fixed(report.last_loss, 4) << " per " << all.RowName()
            << " (first and last tenth of the steps); file "
            << WithCommas(report.file_bytes) << " bytes\n";
}

}  // namespace

void AddTuneVerb(CommandLine& line) {
  auto verb = std::make_shared<TuneVerb>();
  Verb tune =
      line.AddVerb("tune", "Train the scales of a packed model, no index");
  tune.Footer(kTuneExample);
  tune.Add("MODEL", verb->model, "Packed model").Required();
  tune.Add("--reference", verb->reference,
           "The float model whose outputs are wanted")
      .TypeName("MODEL")
      .Required();
  tune.Add("--data", verb->data, "Text file or folder; folder of samples")
      .TypeName("PATH")
      .Required();
  tune.Add("-o,--output", verb->output, "File to write")
      .TypeName("FILE")
      .Required();
  tune.Add("--steps", verb->options.steps, "Steps of training")
      .TypeName("N")
      .Positive()
      .ShowDefault();
  tune.Add("--batch", verb->options.batch_size, "Windows or samples of a step")
      .TypeName("N")
      .Positive()
      .ShowDefault();
  AddDataOptions(tune, verb->data_options, "all");
  tune.Add("--lr", verb->options.learning_rate,
           "Highest learning rate, of factors that scales are multiplied by")
      .Positive()
      .ShowDefault();
  tune.Add("--clip", verb->options.clip, "Norm that gradients are clipped to")
      .Positive()
      .ShowDefault();
  tune.Add("--seed", verb->options.seed, "Of the order of the data")
      .TypeName("N")
      .ShowDefault();
  AddThreadsOption(tune, verb->threads);
  tune.AddFlag("--json", verb->json, "Print JSON");
  tune.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
