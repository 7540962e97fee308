#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lutra/qat/dataset.h"
#include "lutra/qat/trainable_model.h"
#include "lutra/qat/trainer.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/output_file.h"
#include "runtime/base/threads.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/scheme_options.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/train_progress.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kExample =
    "Without --bits, --preset or --spec the weights stay float. With one of\n"
    "them they finish on a grid, ready for 'lutra pack'; start such a run\n"
    "from float weights (--init).\n"
    "\n"
    "Examples:\n"
    "  lutra train --data /usr/share/datasets/fashion-mnist --hidden 256,128 "
    "\\\n"
    "    -o float.safetensors\n"
    "  lutra train --data /usr/share/datasets/fashion-mnist \\\n"
    "    --init float.safetensors --bits 2 --group-size row \\\n"
    "    --rule 'fc3=bits:4' -o qat.safetensors\n"
    "  lutra train ... --checkpoint run/ -o model.safetensors           # "
    "stopped\n"
    "  lutra train ... --checkpoint run/ -o model.safetensors --resume  # goes "
    "on";

// Defaults that suit an MLP on Fashion-MNIST.
constexpr double kFloatLearningRate = 3e-3;
constexpr double kQuantizedLearningRate = 2e-3;
constexpr double kAnnealEnd = 0.8;  // of the epochs

struct TrainVerb {
  std::string data;
  std::string output;
  std::string init;
  std::vector<size_t> hidden = {256, 128};
  qat::TrainOptions options;
  std::optional<double> learning_rate;
  SchemeOptions schemes;
  qat::QuantizedTraining quantization;
  std::optional<double> anneal_end;
  size_t threads = 0;
  bool resume = false;

  void Run();

 private:
  void Quantize(const Graph& graph, const qat::SchemeRules& rules);
};

void TrainVerb::Quantize(const Graph& graph, const qat::SchemeRules& rules) {
  quantization.anneal_end =
      anneal_end.value_or(kAnnealEnd * static_cast<double>(options.epochs));
  quantization.schemes = qat::ResolveSchemes(graph, rules);
  if (quantization.schemes.empty()) {
    throw Error("no weight is left to quantize");
  }
  for (const std::string& unused : rules.Unused(qat::RuleTargets(graph))) {
    std::cerr << "lutra: warning: '" << OneLine(unused)
              << "' matches no weight\n";
  }
  options.quantization = quantization;
}

void TrainVerb::Run() {
  const bool quantized = schemes.HasDefault();
  if (!quantized && !(schemes.rules.empty() && schemes.exclusions.empty())) {
    throw UsageError(
        "--rule and --exclude requires --bits, --preset or --spec");
  }
  const qat::SchemeRules rules = schemes.Rules();
  options.learning_rate = learning_rate.value_or(
      quantized ? kQuantizedLearningRate : kFloatLearningRate);
  // What can be wrong with the output shows before the long work.
  { const OutputFile probe(output); }
  std::optional<qat::TrainableModel> model;
  if (!init.empty()) model = qat::LoadTrainableModel(init);
  const qat::LabelledImages train =
      qat::LoadImageFolder(data, qat::DatasetPart::kTrain);
  const qat::LabelledImages test =
      qat::LoadImageFolder(data, qat::DatasetPart::kTest);
  if (!model) {
    model =
        qat::MakeMlp(train.Features(), hidden, train.Classes(), options.seed);
  }
  if (quantized) Quantize(model->graph, rules);

  const std::unique_ptr<Executor> executor = StartThreads(threads);
  qat::Trainer trainer(*std::move(model), train, options, executor.get());
  if (resume) trainer.Resume();
  Progress progress;
  const EndOnInterrupt interrupt;
  trainer.Run([&](const qat::TrainProgress& state) {
    interrupt.Check();
    if (state.epoch_done) {
      progress.Clear();
      std::cout << ProgressLine(state) << std::endl;
    } else {
      progress.Show(ProgressLine(state));
    }
    return true;
  });
  progress.Clear();
  const double accuracy = trainer.Judge(test).accuracy;
  trainer.WriteModel(output);
  std::cout << OneLine(output) << ": accuracy " << Fixed(100 * accuracy, 2)
            << " % on " << WithCommas(test.count) << " test images\n";
}

}  // namespace

void AddTrainVerb(CommandLine& line) {
  auto verb = std::make_shared<TrainVerb>();
  Verb train =
      line.AddVerb("train", "Train a model, in float or with few bits");
  train.Footer(kExample);
  train.Add("--data", verb->data, "Folder with the four idx files")
      .TypeName("DIR")
      .Required();
  train.Add("-o,--output", verb->output, "Model file to write")
      .TypeName("FILE")
      .Required();
  const Option init = train
                          .Add("--init", verb->init,
                               "Model file with float weights to start from")
                          .TypeName("FILE");
  AddSizesOption(train, "--hidden", verb->hidden, 1, size_t{1} << 20,
                 "Sizes of the hidden layers of a new model")
      .Excludes(init);

  qat::TrainOptions& options = verb->options;
  train.Add("--epochs", options.epochs, "Passes over the images")
      .TypeName("N")
      .Range(int64_t{1}, int64_t{1} << 20)
      .ShowDefault();
  train.Add("--batch", options.batch_size, "Images per step")
      .TypeName("N")
      .Range(size_t{1}, kMaxBatch)
      .ShowDefault();
  train
      .Add("--lr", verb->learning_rate,
           "Highest learning rate (" + Short(kFloatLearningRate) +
               ", with --bits " + Short(kQuantizedLearningRate) +
               "); it falls as a cosine")
      .TypeName("X")
      .Positive();
  train
      .Add("--warmup", options.warmup_epochs,
           "Epochs in which the learning rate rises")
      .TypeName("X")
      .NotNegative()
      .ShowDefault();
  train
      .Add("--weight-decay", options.weight_decay,
           "AdamW's, on weights but not on biases")
      .TypeName("X")
      .NotNegative()
      .ShowDefault();
  train
      .Add("--seed", options.seed,
           "Of the new model's weights and the order of the images")
      .TypeName("N")
      .ShowDefault();

  AddSchemeOptions(train, verb->schemes);
  const Option bits = verb->schemes.bits_option;
  bits.ShowDefault("");  // without it nothing is quantized
  verb->schemes.group_size_option.Needs(bits);
  verb->schemes.quantizer_option.Needs(bits);
  train
      .Add("--prox,--quant-proxmap", verb->quantization.prox_map,
           "How weights are pulled to the grid: parq, hard, "
           "binaryrelax")
      .TypeName("NAME")
      .OneOf({"parq", "hard", "binaryrelax"})
      .ShowDefault();
  train
      .Add("--anneal-start", verb->quantization.anneal_start,
           "Epoch at which the pull begins")
      .TypeName("X")
      .NotNegative()
      .ShowDefault();
  train
      .Add("--anneal-end", verb->anneal_end,
           "Epoch from which weights are on the grid (" + Short(kAnnealEnd) +
               " of --epochs)")
      .TypeName("X")
      .NotNegative();
  train
      .Add("--anneal-steepness", verb->quantization.anneal_steepness,
           "Of parq's schedule")
      .TypeName("X")
      .Positive()
      .ShowDefault();
  train
      .Add("--quant-period", verb->quantization.period,
           "Steps between two grids")
      .TypeName("N")
      .Range(int64_t{1}, int64_t{1} << 40)
      .ShowDefault();

  const Option checkpoint =
      train
          .Add("--checkpoint", options.checkpoint,
               "Folder to keep a checkpoint in, renewed every epoch")
          .TypeName("DIR");
  train
      .Add("--checkpoint-steps", options.checkpoint_steps,
           "Renew it every N steps as well; 0: do not")
      .TypeName("N")
      .Range(int64_t{0}, int64_t{1} << 40)
      .Needs(checkpoint)
      .ShowDefault();
  train.AddFlag("--resume", verb->resume, "Continue from the checkpoint")
      .Needs(checkpoint);
  AddThreadsOption(train, verb->threads);
  train.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
