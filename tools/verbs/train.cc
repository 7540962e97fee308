#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lutra/packer/calibrate.h"
#include "lutra/packer/pack.h"
#include "lutra/packer/ranges.h"
#include "lutra/qat/activations.h"
#include "lutra/qat/adapters.h"
#include "lutra/qat/dataset.h"
#include "lutra/qat/int8_folder.h"
#include "lutra/qat/trainable_model.h"
#include "lutra/qat/trainer.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/output_file.h"
#include "runtime/base/threads.h"
#include "tools/cli/exit_status.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/scheme_options.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/train_data.h"
#include "tools/verbs/train_log.h"
#include "tools/verbs/train_plan.h"
#include "tools/verbs/train_progress.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kExample =
    "A model with float weights (from 'lutra import', or of an earlier run) "
    "is\n"
    "trained on; without one a new network for images is made. Models that\n"
    "take ids learn the next token of texts: --data is a text file or a\n"
    "folder of .txt files. All others learn labels: --data is a folder with\n"
    "idx files of images, or with a file of signed bytes for each sample and\n"
    "y_labels.csv.\n"
    "\n"
    "Without --bits, --preset or --spec the weights stay float. With one of\n"
    "them they finish on a grid, ready for 'lutra pack' (--pack does both);\n"
    "start such a run from float weights.\n"
    "\n"
    "Examples:\n"
    "  lutra train --data /usr/share/datasets/fashion-mnist \\\n"
    "    --hidden 256,128 -o float.safetensors\n"
    "  lutra train float.safetensors --data /usr/share/datasets/fashion-mnist"
    " \\\n"
    "    --bits 2 --group-size row --rule 'fc3=bits:4' -o qat.safetensors\n"
    "  lutra train stories.safetensors --data texts/ --validate val.txt \\\n"
    "    --steps 1000 --bits 2 --group-size 32 --exclude embed \\\n"
    "    -o qat.safetensors --pack packed.safetensors\n"
    "  lutra train run.json --steps 2000   # other options from a file\n"
    "  lutra train ... --checkpoint run/   # stopped\n"
    "  lutra train ... --checkpoint run/ --resume   # goes on";

// Defaults that suit an MLP on Fashion-MNIST, and small language models.
struct Defaults {
  double float_rate;
  double quantized_rate;
  int64_t epochs;
  size_t batch;
  double beta2;
  double clip;
  double rate_floor;
};
constexpr Defaults kImages = {3e-3, 2e-3, 10, 128, 0.999, 0.0, 0.0};
constexpr Defaults kTexts = {5e-4, 1e-3, 1, 16, 0.95, 1.0, 0.02};
constexpr double kTextWarmup = 0.05;   // of all steps
constexpr double kAnnealEnd = 0.8;     // likewise
constexpr double kDistillation = 0.5;  // where there is a teacher
constexpr size_t kRangeSamples = 64;   // that fixed ranges are found on

std::string Both(double images, double texts) {
  return Short(images) + ", for texts " + Short(texts);
}

// An option and how it is spelled.
struct NamedOption {
  const char* name;
  Option option;
};

// Nothing that is asked for is ignored in silence.
void Refuse(const std::vector<NamedOption>& options, const char* reason) {
  for (const NamedOption& option : options) {
    if (option.option.Given()) throw UsageError(option.name, reason);
  }
}

struct TrainVerb {
  std::string model;
  std::string init;
  std::string data;
  std::string validation;
  std::string output;
  std::string packed;
  std::string log;
  std::string teacher;
  std::vector<size_t> hidden = {256, 128};
  qat::TrainOptions options;
  std::string optimizer = "adamw";
  std::string decay = "cosine";
  TextDataOptions text;
  LabelledDataOptions labelled;
  // What depends on the kind of data unless it is given.
  int64_t epochs = 0;
  size_t batch = 0;
  std::optional<double> distillation, learning_rate, warmup, beta2, clip,
      rate_floor;
  SchemeOptions schemes;
  qat::QuantizedTraining quantization;
  std::optional<double> anneal_end;
  size_t threads = 0;
  bool resume = false;
  bool dry_run = false;
  bool keep_best = false;
  qat::AdapterOptions adapters;
  size_t rank = 0;  // of adapters; 0: none
  double alpha = 0;
  std::vector<std::string> adapter_targets;
  // Options that mean something in some runs only.
  std::vector<NamedOption> of_texts, of_labels, of_bytes, of_new, of_bits,
      of_adam, of_decay;

  void Run();

 private:
  void CheckOptions(bool is_text, bool quantized) const;
  void LoadData(bool is_text);
  void Resolve(bool is_text, size_t samples);
  void Quantize(const qat::TrainableModel& start,
                const qat::SchemeRules& rules);
  void QuantizeActivations(qat::TrainableModel& start, Executor* executor);
  void AddAdapters(qat::TrainableModel& start);
  void Train(qat::Trainer& trainer);
  bool OnGrid(const qat::TrainProgress& state) const;
  bool Judges() const { return !validation.empty() || labelled.held_out > 0; }
  void JudgeOutput(Executor* executor);
  void Finish(qat::Trainer& trainer) const;
  void Pack() const;
  double Epochs() const;  // also with --steps

  double steps_per_epoch_ = 1;
  LabelledData images_;
  std::unique_ptr<qat::Samples> text_;
  std::unique_ptr<qat::Samples> text_test_;
  const qat::Samples* train_ = nullptr;  // one of them
  const qat::Samples* test_ = nullptr;   // likewise; nullptr: none
  // Of --keep-best: what `output` holds.
  std::optional<qat::Judgement> best_;
  int64_t best_epoch_ = 0;
};

void TrainVerb::CheckOptions(bool is_text, bool quantized) const {
  if (is_text) {
    Refuse(of_labels, "the model takes texts, which this is not for");
    Refuse(of_bytes, "the model takes texts, which this is not for");
  } else {
    Refuse(of_texts, "is for texts, which the model does not take");
    if (!qat::IsInt8Folder(data)) {
      Refuse(of_bytes, "is for samples of signed bytes, which --data has not");
    }
  }
  if (!init.empty()) Refuse(of_new, "is for a new model");
  if (!quantized) Refuse(of_bits, "requires --bits, --preset or --spec");
  if (optimizer == "sgd") Refuse(of_adam, "is of adamw and adam");
  if (decay == "constant") Refuse(of_decay, "the rate does not fall");
}

void TrainVerb::LoadData(bool is_text) {
  if (!is_text) {
    images_ = LoadLabelledData(data, labelled);
    train_ = images_.train.get();
    if (!validation.empty()) images_.test = LoadTestData(validation, labelled);
    test_ = images_.test.get();
    return;
  }
  text_ = LoadTextSamples(init, data, text);
  train_ = text_.get();
  if (validation.empty()) return;
  text_test_ = LoadTextSamples(init, validation, text);
  test_ = text_test_.get();
}

double TrainVerb::Epochs() const {
  return options.steps > 0
             ? static_cast<double>(options.steps) / steps_per_epoch_
             : static_cast<double>(options.epochs);
}

// Gives options that were not given what suits the data.
void TrainVerb::Resolve(bool is_text, size_t samples) {
  const Defaults& usual = is_text ? kTexts : kImages;
  const bool quantized = schemes.HasDefault();
  options.epochs = epochs != 0 ? epochs : usual.epochs;
  options.batch_size = batch != 0 ? batch : usual.batch;
  options.learning_rate = learning_rate.value_or(
      quantized ? usual.quantized_rate : usual.float_rate);
  options.beta2 = beta2.value_or(usual.beta2);
  options.clip = clip.value_or(usual.clip);
  options.rate_floor = rate_floor.value_or(usual.rate_floor);
  options.optimizer = qat::ParseOptimizerKind(optimizer);
  options.rate_decay = qat::ParseDecay(decay);
  options.distillation =
      distillation.value_or(teacher.empty() ? 0.0 : kDistillation);
  steps_per_epoch_ =
      static_cast<double>((samples - 1) / options.batch_size + 1);
  if (warmup) {
    options.warmup_epochs = *warmup;
  } else if (is_text || options.steps > 0) {
    options.warmup_epochs = kTextWarmup * Epochs();
  }
}

void WarnOfUnused(const Graph& graph, const qat::SchemeRules& rules) {
  for (const std::string& unused : rules.Unused(qat::RuleTargets(graph))) {
    std::cerr << "lutra: warning: '" << OneLine(unused)
              << "' matches no weight\n";
  }
}

// Which weights finish on which grid; refuses what could not be packed.
void TrainVerb::Quantize(const qat::TrainableModel& start,
                         const qat::SchemeRules& rules) {
  const Graph& graph = start.graph;
  const auto shapes = qat::ModelOf(graph, start.parameters);
  quantization.anneal_end = anneal_end.value_or(kAnnealEnd * Epochs());
  quantization.schemes = qat::ResolveSchemes(graph, rules);
  if (quantization.schemes.empty()) {
    throw Error("no weight is left to quantize");
  }
  packer::CheckSchemes(*shapes, quantization.schemes);
  options.quantization = quantization;
}

// They alone are trained.
void TrainVerb::AddAdapters(qat::TrainableModel& start) {
  const std::vector<qat::Adapter> known = qat::FindAdapters(start.graph);
  if (!known.empty()) {
    const auto own =
        static_cast<size_t>(start.parameters.find(known[0].a)->second.shape[0]);
    if (own != rank || alpha > 0 || !adapter_targets.empty()) {
      throw Error::InFile(init, "has adapters of rank " + std::to_string(own) +
                                    ", which --lora " + std::to_string(own) +
                                    " alone goes on training");
    }
    options.frozen = qat::AllButAdapters(start);
    return;
  }
  adapters.rank = rank;
  adapters.factor = alpha > 0 ? alpha / static_cast<double>(rank) : 2.0;
  adapters.seed = options.seed;
  for (const std::string& target : adapter_targets) {
    AsUsage("--lora-target", [&] { adapters.targets.emplace_back(target); });
  }
  qat::AddAdapters(adapters, start);
  options.frozen = qat::AllButAdapters(start);
}

// Fixed ranges are those of the model before training, on its data.
void TrainVerb::QuantizeActivations(qat::TrainableModel& start,
                                    Executor* executor) {
  const std::vector<qat::StaticInput> wanted =
      qat::QuantizeInputs(schemes.Activations(), start.graph);
  if (wanted.empty()) return;
  const std::vector<packer::ObservedValue> values =
      packer::ObservedValues(wanted);
  Progress progress;
  const EndOnInterrupt interrupt;
  const auto before = qat::ModelOf(start.graph, start.parameters);
  packer::SetRanges(
      packer::ObserveRanges(
          *before, values, *train_,
          packer::SpreadSamples(train_->Count(), kRangeSamples), executor,
          [&](size_t done, size_t total) {
            interrupt.Check();
            progress.ShowRate("finding ranges", done, total, "rows");
          }),
      start.graph);
  progress.Clear();
}

// Whether packing would find the weights on their grid after this step.
bool TrainVerb::OnGrid(const qat::TrainProgress& state) const {
  if (!options.quantization || quantization.prox_map == "hard") return true;
  return static_cast<double>(state.step) >
         quantization.anneal_end * steps_per_epoch_;
}

void TrainVerb::Train(qat::Trainer& trainer) {
  std::optional<TrainLog> lines;
  if (!log.empty()) lines.emplace(log, resume);
  Progress progress;
  const EndOnInterrupt interrupt;
  const bool judges = Judges();
  trainer.Run([&](const qat::TrainProgress& state) {
    if (lines) lines->Add(state);
    try {
      interrupt.Check();
    } catch (const ExitStatus&) {
      progress.Clear();
      if (!options.checkpoint.empty()) {
        trainer.SaveCheckpoint();
        std::cerr << "lutra: stopped at step "
                  << WithCommas(static_cast<uint64_t>(state.step)) << "; "
                  << OneLine(options.checkpoint.string())
                  << " has a checkpoint for --resume\n";
      }
      throw;
    }
    if (!state.epoch_done && state.step != state.total_steps) {
      progress.Show(ProgressLine(state));
      return true;
    }
    progress.Clear();
    std::cout << ProgressLine(state) << std::endl;
    if (judges && state.step != state.total_steps) {
      const qat::Judgement judgement = trainer.Judge(*test_);
      std::cout << "  " << JudgementLine(judgement, *test_) << std::endl;
      if (keep_best && OnGrid(state) &&
          (!best_ || judgement.loss < best_->loss)) {
        trainer.WriteModel(output);
        best_ = judgement;
        best_epoch_ = state.epoch;
      }
    }
    return true;
  });
  progress.Clear();
}

// What an earlier part of a run that is resumed has kept.
void TrainVerb::JudgeOutput(Executor* executor) {
  if (!keep_best || !resume || !std::filesystem::exists(output)) return;
  qat::Trainer kept(
      qat::LoadTrainableModel(output, rank > 0 ? qat::PackedWeights::kUnpack
                                               : qat::PackedWeights::kRefuse),
      *train_, options, executor);
  best_ = kept.Judge(*test_);
}

void TrainVerb::Finish(qat::Trainer& trainer) const {
  if (test_ == nullptr) {
    trainer.WriteModel(output);
    std::cout << OneLine(output) << ": written\n";
    return;
  }
  const qat::Judgement last = trainer.Judge(*test_);
  const bool is_best = !best_ || last.loss <= best_->loss;
  if (is_best) trainer.WriteModel(output);
  std::cout << OneLine(output) << ": "
            << JudgementLine(is_best ? last : *best_, *test_);
  if (!is_best && best_epoch_ > 0) {
    std::cout << ", after epoch " << best_epoch_;
  } else if (!is_best) {
    std::cout << ", before it was resumed";
  }
  std::cout << "\n";
}

void TrainVerb::Pack() const {
  const std::unique_ptr<Executor> executor = StartThreads(threads);
  packer::PackOptions pack;
  pack.executor = executor.get();
  const auto trained = Model::Load(output);
  const packer::PackReport report = packer::PackModel(*trained, packed, pack);
  std::cout << OneLine(packed) << ": " << WithCommas(report.weight_count)
            << " weights in " << WithCommas(report.weight_bytes) << " bytes ("
            << Fixed(report.BitsPerWeight(), 2) << " bits per weight)\n";
}

void TrainVerb::Run() {
  const bool quantized = schemes.HasDefault();
  if (!quantized && !(schemes.rules.empty() && schemes.exclusions.empty())) {
    throw UsageError(
        "--rule and --exclude requires --bits, --preset or --spec");
  }
  if (!packed.empty() && !quantized) {
    throw UsageError("--pack requires --bits, --preset or --spec");
  }
  if (rank > 0 && quantized) {
    throw UsageError("--lora",
                     "leaves the weights as they are: pack the model first, "
                     "and train adapters beside packed weights");
  }
  if (keep_best && !Judges()) {
    throw UsageError("--keep-best", "needs --validate or --holdout");
  }
  if (rank > 0 && model.empty() && init.empty()) {
    throw UsageError("--lora", "needs a model to adapt");
  }
  if (!model.empty() && !init.empty()) {
    throw UsageError("MODEL and --init are the same; give one");
  }
  if (init.empty()) init = model;
  const qat::SchemeRules rules = schemes.Rules();
  if (output.empty() && !dry_run) throw UsageError("--output", "is required");
  // What can be wrong with the output shows before the long work.
  if (!dry_run) const OutputFile probe(output);
  if (!packed.empty()) const OutputFile probe(packed);
  const bool is_text = !init.empty() && TakesText(init);
  CheckOptions(is_text, quantized);
  std::optional<qat::TrainableModel> start;
  if (!init.empty()) {
    start =
        qat::LoadTrainableModel(init, rank > 0 ? qat::PackedWeights::kUnpack
                                               : qat::PackedWeights::kRefuse);
  }
  if (!teacher.empty()) {
    options.teacher = std::make_shared<const qat::TrainableModel>(
        qat::LoadTrainableModel(teacher));
  }
  text.seed = labelled.seed = options.seed;
  LoadData(is_text);
  Resolve(is_text, train_->Count());
  if (!start) {
    start = qat::MakeMlp(images_.all->Features(), hidden,
                         images_.all->Classes(), options.seed);
  }
  if (rank > 0) AddAdapters(*start);
  WarnOfUnused(start->graph, rules);
  const std::unique_ptr<Executor> executor = StartThreads(threads);
  if (dry_run) {
    std::cout << TrainingPlan(
        start->graph,
        quantized ? rules : qat::SchemeRules(std::optional<qat::QuantScheme>()),
        schemes.Activations());
    return;
  }
  QuantizeActivations(*start, executor.get());
  if (quantized) Quantize(*start, rules);
  qat::Trainer trainer(*std::move(start), *train_, options, executor.get());
  const qat::TrainMemory memory = trainer.Reserve();
  std::cout << "memory: weights " << Bytes(memory.weights) << ", gradients "
            << Bytes(memory.gradients) << ", optimizer "
            << Bytes(memory.optimizer) << ", step " << Bytes(memory.step)
            << std::endl;
  if (resume) trainer.Resume();
  JudgeOutput(executor.get());
  Train(trainer);
  Finish(trainer);
  if (!packed.empty()) Pack();
}

}  // namespace

void AddTrainVerb(CommandLine& line) {
  auto verb = std::make_shared<TrainVerb>();
  Verb train =
      line.AddVerb("train", "Train a model, in float or with few bits");
  train.Footer(kExample);
  train.Add("MODEL", verb->model, "Model file with float weights to train on");
  train
      .Add("--data", verb->data,
           "Folder with the four idx files, or texts: a file or a folder")
      .TypeName("PATH")
      .Required();
  const Option validate =
      train
          .Add("--validate", verb->validation,
               "Judged after each epoch: texts, or another folder for its test "
               "images")
          .TypeName("PATH");
  verb->of_labels.push_back(
      {"--holdout",
       train
           .Add("--holdout", verb->labelled.held_out,
                "Share of the images that is judged and not trained on")
           .TypeName("X")
           .Range(0.0, 1.0)
           .Excludes(validate)});
  verb->of_bytes.push_back(
      {"--scale", train
                      .Add("--scale", verb->labelled.scale,
                           "What samples of signed bytes are multiplied by")
                      .TypeName("X")
                      .ShowDefault()});
  verb->of_bytes.push_back(
      {"--zero-point", train
                           .Add("--zero-point", verb->labelled.zero_point,
                                "What is subtracted from signed bytes before")
                           .TypeName("N")
                           .Range(-128, 127)
                           .ShowDefault()});
  train.Add("-o,--output", verb->output, "Model file to write")
      .TypeName("FILE");
  train.AddFlag("--dry-run", verb->dry_run,
                "Show which rule gives which weight and input what, and stop");
  train.AddFlag("--keep-best", verb->keep_best,
                "Write the model of the epoch that was judged best, among "
                "those whose weights are on their grid");
  train
      .Add("--pack", verb->packed,
           "Also pack the result into this file, without loss")
      .TypeName("FILE");
  train
      .Add("--log", verb->log,
           "File for a line about each step: CSV for .csv, else JSON")
      .TypeName("FILE");
  const Option init =
      train.Add("--init", verb->init, "Another way to say MODEL")
          .TypeName("FILE");
  verb->of_new.push_back(
      {"--hidden",
       AddSizesOption(train, "--hidden", verb->hidden, 1, size_t{1} << 20,
                      "Sizes of the hidden layers of a new model")
           .Excludes(init)});

  qat::TrainOptions& options = verb->options;
  const Option epochs = train
                            .Add("--epochs", verb->epochs,
                                 "Passes over the data (" +
                                     Both(static_cast<double>(kImages.epochs),
                                          static_cast<double>(kTexts.epochs)) +
                                     ")")
                            .TypeName("N")
                            .Range(int64_t{1}, int64_t{1} << 20);
  train.Add("--steps", options.steps, "End after that many steps instead")
      .TypeName("N")
      .Range(int64_t{0}, int64_t{1} << 40)
      .Excludes(epochs);
  train
      .Add("--batch", verb->batch,
           "Images or windows of text per step (" +
               Both(static_cast<double>(kImages.batch),
                    static_cast<double>(kTexts.batch)) +
               ")")
      .TypeName("N")
      .Range(size_t{1}, kMaxBatch);
  train
      .Add("--micro-batch", options.micro_batch,
           "Compute so many of them at a time, which bounds the memory; 0: all")
      .TypeName("N")
      .Range(size_t{0}, kMaxBatch)
      .ShowDefault();
  verb->of_texts.push_back(
      {"--length",
       train.Add("--length", verb->text.length, "Tokens of a window of text")
           .TypeName("N")
           .Range(size_t{1}, size_t{1} << 24)
           .ShowDefault()});
  verb->of_texts.push_back(
      {"--separator", train
                          .Add("--separator", verb->text.separator,
                               "What stands between documents of a text file")
                          .TypeName("TEXT")
                          .ShowDefault()});
  train.Add("--optimizer", verb->optimizer, "adamw, adam or sgd (Nesterov's)")
      .TypeName("NAME")
      .OneOf({"adamw", "adam", "sgd"})
      .ShowDefault();
  train
      .Add("--lr", verb->learning_rate,
           "Highest learning rate (" +
               Both(kImages.float_rate, kTexts.float_rate) + "; with --bits " +
               Both(kImages.quantized_rate, kTexts.quantized_rate) + ")")
      .TypeName("X")
      .Positive();
  train
      .Add("--lr-decay", verb->decay,
           "How it falls at the end: cosine, linear, sqrt or constant")
      .TypeName("NAME")
      .OneOf({"cosine", "linear", "sqrt", "constant"})
      .ShowDefault();
  verb->of_decay.push_back(
      {"--lr-decay-share", train
                               .Add("--lr-decay-share", options.decay_share,
                                    "Share of all steps in which it falls")
                               .TypeName("X")
                               .Positive()
                               .ShowDefault()});
  verb->of_decay.push_back(
      {"--lr-floor",
       train
           .Add("--lr-floor", verb->rate_floor,
                "Where it ends, as a share of the highest (" +
                    Both(kImages.rate_floor, kTexts.rate_floor) + ")")
           .TypeName("X")
           .NotNegative()});
  train
      .Add("--warmup", verb->warmup,
           "Epochs in which the learning rate rises (0.5; for texts and with "
           "--steps 5 % of all)")
      .TypeName("X")
      .NotNegative();
  train
      .Add("--weight-decay", options.weight_decay,
           "Of the optimizer, on weights but not on biases and norms")
      .TypeName("X")
      .NotNegative()
      .ShowDefault();
  train
      .Add("--average", options.average,
           "Write an average of the weights that decays so (0: the last ones)")
      .TypeName("X")
      .Range(0.0, 1.0)
      .ShowDefault();
  verb->of_adam.push_back(
      {"--beta1", train.Add("--beta1", options.beta1, "Of adamw and adam")
                      .TypeName("X")
                      .NotNegative()
                      .ShowDefault()});
  verb->of_adam.push_back(
      {"--beta2",
       train
           .Add("--beta2", verb->beta2,
                "Of adamw and adam (" + Both(kImages.beta2, kTexts.beta2) + ")")
           .TypeName("X")
           .NotNegative()});
  train
      .Add("--clip", verb->clip,
           "Largest norm of the gradients, 0: any (" +
               Both(kImages.clip, kTexts.clip) + ")")
      .TypeName("X")
      .NotNegative();
  train
      .Add("--label-smoothing", options.label_smoothing,
           "Share of the target that all classes get")
      .TypeName("X")
      .NotNegative()
      .ShowDefault();
  const Option teacher =
      train
          .Add("--teacher", verb->teacher,
               "Model with float weights whose outputs are learned from")
          .TypeName("FILE");
  train
      .Add("--distillation", verb->distillation,
           "Share of the loss that is the distance to the teacher (" +
               Short(kDistillation) + ")")
      .TypeName("X")
      .NotNegative()
      .Needs(teacher);
  train
      .Add("--temperature", options.temperature,
           "At which the two are compared")
      .TypeName("X")
      .Positive()
      .Needs(teacher)
      .ShowDefault();
  const Option lora =
      train
          .Add("--lora", verb->rank,
               "Train adapters of this rank beside the linear layers, whose "
               "weights stay as they are and may be packed")
          .TypeName("RANK")
          .Range(size_t{1}, size_t{1} << 16);
  train
      .Add("--lora-alpha", verb->alpha,
           "Adapters count alpha / rank (twice the rank)")
      .TypeName("X")
      .Positive()
      .Needs(lora);
  train
      .Add("--lora-target", verb->adapter_targets,
           "Layers with an adapter, by a regular expression on the weight's "
           "name (all but the last); may be repeated")
      .TypeName("PATTERN")
      .OneAtATime()
      .Needs(lora);
  train
      .Add("--seed", options.seed,
           "Of the new model's weights and the order of the data")
      .TypeName("N")
      .ShowDefault();

  AddSchemeOptions(train, verb->schemes);
  const Option bits = verb->schemes.bits_option;
  bits.ShowDefault("");  // without it nothing is quantized
  verb->schemes.group_size_option.Needs(bits);
  verb->schemes.quantizer_option.Needs(bits);
  verb->schemes.scale_type_option.Needs(bits);
  verb->of_bits.push_back(
      {"--prox", train
                     .Add("--prox,--quant-proxmap", verb->quantization.prox_map,
                          "How weights are pulled to the grid: parq, hard, "
                          "binaryrelax")
                     .TypeName("NAME")
                     .OneOf({"parq", "hard", "binaryrelax"})
                     .ShowDefault()});
  verb->of_bits.push_back(
      {"--anneal-start",
       train
           .Add("--anneal-start", verb->quantization.anneal_start,
                "Epoch at which the pull begins")
           .TypeName("X")
           .NotNegative()
           .ShowDefault()});
  verb->of_bits.push_back(
      {"--anneal-end", train
                           .Add("--anneal-end", verb->anneal_end,
                                "Epoch from which weights are on the grid (" +
                                    Short(kAnnealEnd) + " of --epochs)")
                           .TypeName("X")
                           .NotNegative()});
  verb->of_bits.push_back(
      {"--anneal-steepness",
       train
           .Add("--anneal-steepness", verb->quantization.anneal_steepness,
                "Of parq's schedule, 1 to 100")
           .TypeName("X")
           .Positive()
           .ShowDefault()});
  verb->of_bits.push_back(
      {"--quant-period", train
                             .Add("--quant-period", verb->quantization.period,
                                  "Steps between two grids")
                             .TypeName("N")
                             .Range(int64_t{1}, int64_t{1} << 40)
                             .ShowDefault()});

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
