#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <limits>
#include <utility>

#include "lutra/packer/calibrate.h"
#include "lutra/packer/pack.h"
#include "lutra/packer/ranges.h"
#include "lutra/qat/activations.h"
#include "lutra/qat/int8_folder.h"
#include "lutra/qat/recording_folder.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/input_quantization.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/output_file.h"
#include "runtime/base/threads.h"
#include "tools/cli/exit_status.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/train.h"
#include "tools/verbs/train_log.h"
#include "tools/verbs/train_plan.h"
#include "tools/verbs/train_progress.h"

namespace lutra::tools {
namespace {

constexpr size_t kRangeSamples = 64;  // that fixed ranges are found on
// Times that a log tells distances from grids, which takes a look at all
// weights.
constexpr int64_t kGridDistances = 200;

void WarnOfUnused(const Graph& graph, const qat::SchemeRules& rules) {
  for (const std::string& unused : rules.Unused(qat::RuleTargets(graph))) {
    std::cerr << "lutra: warning: '" << OneLine(unused)
              << "' matches no weight\n";
  }
}

}  // namespace

void TrainVerb::CheckOptions(bool is_text, bool quantized) const {
  if (is_text) {
    Refuse(of_labels, "the model takes texts, which this is not for");
    Refuse(labelled.of_bytes, "the model takes texts, which this is not for");
  } else {
    Refuse(of_texts, "is for texts, which the model does not take");
    if (qat::IsRecordingFolder(data)) {
      throw UsageError("--data",
                       "has recordings to give out again, not labels to learn");
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
    if (!validation.empty()) {
      images_.test = LoadTestData(validation, labelled);
    } else if (images_.test == nullptr && !qat::IsInt8Folder(data)) {
      images_.test = LoadTestData(data, labelled);
    }
    test_ = images_.test.get();
    return;
  }
  text_ = LoadTextSamples(init, data, text);
  train_ = text_.get();
  if (validation.empty()) return;
  TextDataOptions of_validation = text;
  of_validation.cache.clear();
  text_test_ = LoadTextSamples(init, validation, of_validation);
  test_ = text_test_.get();
}

// Images of one dimension have those of the graph's input.
void TrainVerb::Augment(const Graph& graph) {
  if (shift.size() > augmentation.shift.size()) {
    throw UsageError("--shift", "takes one number or two");
  }
  std::copy(shift.begin(), shift.end(), augmentation.shift.begin());
  augmentation.seed = options.seed;
  if (augmentation.IsNone()) return;
  train_->CheckGraph(graph, std::numeric_limits<size_t>::max());
  std::vector<size_t> shape = images_.all->image_shape;
  if (shape.size() == 1) {
    const auto& of_input = graph.inputs[0].shape;
    shape.assign(of_input.begin(), of_input.end());
  }
  AsUsage("--shift", [&] {
    augmented_ = std::make_unique<qat::AugmentedSamples>(
        *train_, std::move(shape), augmentation);
  });
  train_ = augmented_.get();
}

double TrainVerb::Epochs() const {
  return options.steps > 0
             ? static_cast<double>(options.steps) / steps_per_epoch_
             : static_cast<double>(options.epochs);
}

// Gives options that were not given what suits the data.
void TrainVerb::Resolve(bool is_text, size_t samples) {
  const TrainDefaults& usual = is_text ? kTextDefaults : kImageDefaults;
  const bool quantized = schemes.HasDefault();
  options.processes = processes_.get();
  options.shards = shards != 0 ? shards
                   : processes_ == nullptr
                       ? 1
                       : static_cast<size_t>(processes_->Count());
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

// Which weights finish on which grid; refuses what could not be packed.
void TrainVerb::Quantize(const qat::TrainableModel& start,
                         const qat::SchemeRules& rules) {
  const Graph& graph = start.graph;
  const auto shapes = qat::ModelOf(graph, start.parameters);
  quantization.anneal_end = anneal_end.value_or(kAnnealEnd * Epochs());
  quantization.schemes = qat::ResolveSchemes(start, rules);
  if (quantization.schemes.empty()) {
    // A specification may be about activations alone.
    const std::vector<Node>& nodes = graph.nodes;
    if (packed.empty() &&
        std::any_of(nodes.begin(), nodes.end(), [](const Node& node) {
          return node.op == OpType::kFakeQuantize ||
                 (QuantizesInput(node.op) && InputQuantizationOf(node).type);
        })) {
      Refuse(of_bits, "no weight is quantized");
      return;
    }
    throw Error("no weight is left to quantize");
  }
  packer::CheckSchemes(*shapes, quantization.schemes);
  options.quantization = quantization;
}

// They alone are trained.
void TrainVerb::AddAdapters(qat::TrainableModel& start) {
  const std::vector<Adapter> known = FindAdapters(start.graph);
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

void TrainVerb::SetParameters(const qat::TrainableModel& start) {
  qat::ParamRules rules;
  for (const std::string& rule : param_rules) {
    AsUsage("--param-rule", [&] { rules.Add(rule); });
  }
  std::vector<std::string> names;
  for (const auto& [name, tensor] : start.parameters) {
    if (!options.frozen.contains(name)) names.push_back(name);
  }
  options.parameters = rules.Resolve(names);
  if (!IsFirst()) return;
  for (const std::string& unused : rules.Unused(names)) {
    std::cerr << "lutra: warning: '" << OneLine(unused)
              << "' matches no parameter\n";
  }
}

void TrainVerb::SetCache(Graph& graph) const {
  const bool attends = std::any_of(
      graph.nodes.begin(), graph.nodes.end(),
      [](const Node& node) { return node.op == OpType::kAttention; });
  if (!attends)
    throw Error::InFile(init, "has no attention, which --cache is for");
  graph.cache = cache;
}

// Fixed ranges are those of the model before training, on its data, from where
// some go on to follow the training.
void TrainVerb::QuantizeActivations(qat::TrainableModel& start,
                                    Executor* executor) {
  const qat::QuantizationSpec spec = schemes.Activations();
  std::vector<qat::StaticInput> wanted = qat::QuantizeInputs(spec, start.graph);
  std::copy_if(
      wanted.begin(), wanted.end(), std::back_inserter(options.moving_ranges),
      [](const auto& input) {
        return input.activations.observer == qat::RangeMethod::kMeanMax;
      });
  if (options.moving_ranges.empty()) {
    Refuse(of_moving, "no range of activations follows the training");
  }
  const std::vector<qat::StaticInput> outputs =
      qat::OutputsToRound(spec, start.graph);
  wanted.insert(wanted.end(), outputs.begin(), outputs.end());
  if (wanted.empty()) return;
  const std::vector<packer::ObservedValue> values =
      packer::ObservedValues(wanted);
  Progress progress;
  const EndOnInterrupt interrupt;
  const auto before = qat::ModelOf(start.graph, start.parameters);
  const std::vector<packer::ValueRange> ranges = packer::ObserveRanges(
      *before, values, *train_,
      packer::SpreadSamples(train_->Count(), kRangeSamples), executor,
      [&](size_t done, size_t total) {
        interrupt.Check();
        progress.ShowRate("finding ranges", done, total, "rows");
      });
  packer::SetRanges(ranges, start.graph);
  for (const qat::StaticInput& rounded : outputs) {
    const auto range =
        std::find_if(ranges.begin(), ranges.end(),
                     [&](const auto& r) { return r.value == rounded.value; });
    qat::RoundOutput(rounded, range->min, range->max, start.graph);
  }
  progress.Clear();
}

void TrainVerb::CacheTeacher(qat::Trainer& trainer) const {
  Progress progress;
  const EndOnInterrupt interrupt;
  trainer.CacheTeacher([&](int64_t done, int64_t total) {
    interrupt.Check();
    progress.ShowRate("running the teacher", static_cast<size_t>(done),
                      static_cast<size_t>(total), "steps");
  });
  progress.Clear();
}

void TrainVerb::Train(qat::Trainer& trainer) {
  std::optional<TrainLog> log_file;
  if (!log.empty() && IsFirst()) {
    std::vector<std::string> quantized;
    for (const auto& [name, scheme] : quantization.schemes) {
      quantized.push_back(name);
    }
    log_file.emplace(log, resume, std::move(quantized));
  }
  Progress progress;
  const EndOnInterrupt interrupt;
  int64_t step = 0;
  const auto observe = [&](const qat::TrainProgress& state) {
    step = state.step;
    TrainLog::Line line{state, std::nullopt, {}};
    if (EndOnInterrupt::IsWanted()) {
      progress.Clear();
      if (log_file) log_file->Add(line);
      return false;
    }
    const bool is_last = state.step == state.total_steps;
    if (!IsFirst()) return true;
    if (state.epoch_done || is_last) {
      progress.Clear();
      std::cout << ProgressLine(state) << std::endl;
      if (Judges()) line.validation_loss = JudgeEpoch(trainer, state);
    } else {
      progress.Show(ProgressLine(state));
    }
    if (log_file) {
      const int64_t every =
          std::max<int64_t>(1, state.total_steps / kGridDistances);
      if (state.step % every == 0 || is_last) {
        line.grid_distances = trainer.GridDistances();
      }
      log_file->Add(line);
    }
    return true;
  };
  bool done = false;
  try {
    done = trainer.Run(observe);
  } catch (const Error&) {
    // Another process has ended; the first two keep what there is, since it may
    // have been one of them.
    if (processes_ == nullptr || !EndOnInterrupt::IsWanted()) throw;
    if (processes_->Rank() < 2) KeepCheckpoint(trainer, step);
    throw;
  }
  progress.Clear();
  if (done) return;
  if (IsFirst()) KeepCheckpoint(trainer, step);
  if (processes_ != nullptr) processes_->Leave();
  interrupt.Check();
  throw ExitStatus(128 + SIGTERM);  // another process got the signal
}

void TrainVerb::KeepCheckpoint(qat::Trainer& trainer, int64_t step) const {
  if (options.checkpoint.empty()) return;
  trainer.SaveCheckpoint();
  std::cerr << "lutra: stopped at step "
            << WithCommas(static_cast<uint64_t>(step)) << "; "
            << OneLine(options.checkpoint.string())
            << " has a checkpoint for --resume\n";
}

// Returns the loss. The last step is told of in Finish.
double TrainVerb::JudgeEpoch(qat::Trainer& trainer,
                             const qat::TrainProgress& state) {
  const qat::Judgement judgement = trainer.Judge(*test_);
  if (state.step == state.total_steps) {
    last_ = judgement;
    return judgement.loss;
  }
  std::cout << "  " << JudgementLine(judgement, *test_) << std::endl;
  if (keep_best && state.on_grid && (!best_ || judgement.loss < best_->loss)) {
    trainer.WriteModel(output);
    best_ = judgement;
    best_epoch_ = state.epoch;
  }
  return judgement.loss;
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
  // A resumed run may have had nothing left to do.
  const qat::Judgement last = last_ ? *last_ : trainer.Judge(*test_);
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
  if (!quantized && !schemes.rules.empty()) {
    throw UsageError("--rule requires --bits, --preset or --spec");
  }
  if (!quantized && !schemes.exclusions.empty() &&
      schemes.activations.empty()) {
    throw UsageError(
        "--exclude requires --bits, --preset, --spec or --activations");
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
  if (!dry_run) processes_ = JoinProcesses(&EndOnInterrupt::IsWanted);
  // What can be wrong with the output shows before the long work.
  if (!dry_run && IsFirst()) const OutputFile probe(output);
  if (!packed.empty() && IsFirst()) const OutputFile probe(packed);
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
  Augment(start->graph);
  if (rank > 0) AddAdapters(*start);
  if (cache) SetCache(start->graph);
  SetParameters(*start);
  if (IsFirst()) WarnOfUnused(start->graph, rules);
  const std::unique_ptr<Executor> executor = StartThreads(threads);
  if (dry_run) {
    std::cout << TrainingPlan(
        start->graph,
        quantized ? rules : qat::SchemeRules(std::optional<qat::QuantScheme>()),
        schemes.Activations());
    if (!options.parameters.empty()) {
      std::cout << "\n" << SettingsTable(options.parameters);
    }
    return;
  }
  QuantizeActivations(*start, executor.get());
  if (quantized) Quantize(*start, rules);
  qat::Trainer trainer(*std::move(start), *train_, options, executor.get());
  const qat::TrainMemory memory = trainer.Reserve();
  if (IsFirst()) {
    std::cout << "memory: weights " << Bytes(memory.weights) << ", gradients "
              << Bytes(memory.gradients) << ", optimizer "
              << Bytes(memory.optimizer) << ", step " << Bytes(memory.step)
              << std::endl;
  }
  if (!options.teacher_cache.empty()) CacheTeacher(trainer);
  if (resume) trainer.Resume();
  if (IsFirst()) JudgeOutput(executor.get());
  Train(trainer);
  if (IsFirst()) {
    Finish(trainer);
    if (!packed.empty()) Pack();
  }
  if (processes_ != nullptr) processes_->Leave();
}

}  // namespace lutra::tools
