#include <cmath>
#include <cstdint>
#include <cstdio>
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
#include "tools/cli/interrupt.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/scheme_options.h"
#include "tools/cli/table.h"
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

// "1:07:09" or "7:09".
std::string Duration(double seconds) {
  const auto total = std::llround(std::isfinite(seconds) ? seconds : 0.0);
  char text[32];
  if (total >= 3600) {
    std::snprintf(text, sizeof(text), "%lld:%02lld:%02lld", total / 3600,
                  total / 60 % 60, total % 60);
  } else {
    std::snprintf(text, sizeof(text), "%lld:%02lld", total / 60, total % 60);
  }
  return text;
}

std::string ProgressLine(const qat::TrainProgress& progress) {
  std::string line = "epoch " + std::to_string(progress.epoch) + "/" +
                     std::to_string(progress.epochs) + "  step " +
                     WithCommas(static_cast<uint64_t>(progress.step)) + "/" +
                     WithCommas(static_cast<uint64_t>(progress.total_steps)) +
                     "  loss " + Fixed(progress.loss, 4) + "  accuracy " +
                     Fixed(100 * progress.accuracy, 2) + " %";
  if (progress.inverse_slope) {
    line += "  inverse slope " + Fixed(*progress.inverse_slope, 4);
  }
  return line + "  " + Duration(progress.seconds_left) + " left";
}

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
    throw CLI::RequiresError("--rule and --exclude",
                             "--bits, --preset or --spec");
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

  const ThreadPool pool = MakeThreadPool(threads);
  qat::Trainer trainer(*std::move(model), train, options, pool.get());
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
  const double accuracy = trainer.Accuracy(test);
  trainer.WriteModel(output);
  std::cout << OneLine(output) << ": accuracy " << Fixed(100 * accuracy, 2)
            << " % on " << WithCommas(test.count) << " test images\n";
}

}  // namespace

void AddTrainVerb(CLI::App& app) {
  auto verb = std::make_shared<TrainVerb>();
  CLI::App* train =
      app.add_subcommand("train", "Train a model, in float or with few bits");
  train->footer(kExample);
  train->add_option("--data", verb->data, "Folder with the four idx files")
      ->type_name("DIR")
      ->required();
  train->add_option("-o,--output", verb->output, "Model file to write")
      ->type_name("FILE")
      ->required();
  auto* init = train
                   ->add_option("--init", verb->init,
                                "Model file with float weights to start from")
                   ->type_name("FILE");
  AddSizesOption(*train, "--hidden", verb->hidden, 1, size_t{1} << 20,
                 "Sizes of the hidden layers of a new model");
  train->get_option("--hidden")->excludes(init);

  qat::TrainOptions& options = verb->options;
  train->add_option("--epochs", options.epochs, "Passes over the images")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  train->add_option("--batch", options.batch_size, "Images per step")
      ->type_name("N")
      ->check(CLI::Range(size_t{1}, kMaxBatch))
      ->capture_default_str();
  train
      ->add_option("--lr", verb->learning_rate,
                   "Highest learning rate (" + Short(kFloatLearningRate) +
                       ", with --bits " + Short(kQuantizedLearningRate) +
                       "); it falls as a cosine")
      ->type_name("X")
      ->check(CLI::PositiveNumber);
  train
      ->add_option("--warmup", options.warmup_epochs,
                   "Epochs in which the learning rate rises")
      ->type_name("X")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  train
      ->add_option("--weight-decay", options.weight_decay,
                   "AdamW's, on weights but not on biases")
      ->type_name("X")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  train
      ->add_option("--seed", options.seed,
                   "Of the new model's weights and the order of the images")
      ->type_name("N")
      ->capture_default_str();

  AddSchemeOptions(*train, verb->schemes);
  CLI::Option* bits = verb->schemes.bits_option;
  bits->default_str("");  // without it nothing is quantized
  verb->schemes.group_size_option->needs(bits);
  verb->schemes.quantizer_option->needs(bits);
  train
      ->add_option("--prox,--quant-proxmap", verb->quantization.prox_map,
                   "How weights are pulled to the grid: parq, hard, "
                   "binaryrelax")
      ->type_name("NAME")
      ->check(CLI::IsMember({"parq", "hard", "binaryrelax"}))
      ->capture_default_str();
  train
      ->add_option("--anneal-start", verb->quantization.anneal_start,
                   "Epoch at which the pull begins")
      ->type_name("X")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  train
      ->add_option("--anneal-end", verb->anneal_end,
                   "Epoch from which weights are on the grid (" +
                       Short(kAnnealEnd) + " of --epochs)")
      ->type_name("X")
      ->check(CLI::NonNegativeNumber);
  train
      ->add_option("--anneal-steepness", verb->quantization.anneal_steepness,
                   "Of parq's schedule")
      ->type_name("X")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  train
      ->add_option("--quant-period", verb->quantization.period,
                   "Steps between two grids")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->capture_default_str();

  auto* checkpoint =
      train
          ->add_option("--checkpoint", options.checkpoint,
                       "Folder to keep a checkpoint in, renewed every epoch")
          ->type_name("DIR");
  train
      ->add_option("--checkpoint-steps", options.checkpoint_steps,
                   "Renew it every N steps as well; 0: do not")
      ->type_name("N")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->needs(checkpoint)
      ->capture_default_str();
  train->add_flag("--resume", verb->resume, "Continue from the checkpoint")
      ->needs(checkpoint);
  AddThreadsOption(*train, verb->threads);
  train->callback([verb] { verb->Run(); });
}

}  // namespace lutra::tools
