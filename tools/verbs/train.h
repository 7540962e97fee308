#ifndef LUTRA_TOOLS_VERBS_TRAIN_H_
#define LUTRA_TOOLS_VERBS_TRAIN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lutra/qat/adapters.h"
#include "lutra/qat/augmented_samples.h"
#include "lutra/qat/trainable_model.h"
#include "lutra/qat/trainer.h"
#include "lutra/runtime/program.h"
#include "tools/cli/command_line.h"
#include "tools/cli/options.h"
#include "tools/cli/scheme_options.h"
#include "tools/verbs/train_data.h"
#include "tools/verbs/train_processes.h"

// The verb train: its options, which train.cc defines, and the run that they
// describe, in train_run.cc.

namespace lutra::tools {

// Defaults that suit an MLP on Fashion-MNIST, and small language models.
struct TrainDefaults {
  double float_rate;
  double quantized_rate;
  int64_t epochs;
  size_t batch;
  double beta2;
  double clip;
  double rate_floor;
};
inline constexpr TrainDefaults kImageDefaults = {3e-3,  2e-3, 10, 128,
                                                 0.999, 0.0,  0.0};
inline constexpr TrainDefaults kTextDefaults = {5e-4, 1e-3, 1,   16,
                                                0.95, 1.0,  0.02};
inline constexpr double kTextWarmup = 0.05;   // of all steps
inline constexpr double kAnnealEnd = 0.8;     // likewise
inline constexpr double kDistillation = 0.5;  // where there is a teacher

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
  qat::Augmentation augmentation;
  std::vector<size_t> shift = {};
  // What depends on the kind of data unless it is given.
  int64_t epochs = 0;
  size_t batch = 0;
  size_t shards = 0;  // 0: as many as there are processes
  std::optional<double> distillation, learning_rate, warmup, beta2, clip,
      rate_floor;
  std::vector<std::string> param_rules;
  SchemeOptions schemes;
  qat::QuantizedTraining quantization;
  std::optional<double> anneal_end;
  size_t threads = 0;
  bool resume = false;
  bool dry_run = false;
  bool keep_best = false;
  std::optional<CacheType> cache;
  qat::AdapterOptions adapters;
  size_t rank = 0;  // of adapters; 0: none
  double alpha = 0;
  std::vector<std::string> adapter_targets;
  // Options that mean something in some runs only.
  std::vector<NamedOption> of_texts, of_labels, of_new, of_bits, of_adam,
      of_decay, of_moving;

  void Run();

 private:
  // Of processes that train together the first one prints and writes.
  bool IsFirst() const {
    return processes_ == nullptr || processes_->Rank() == 0;
  }
  void CheckOptions(bool is_text, bool quantized) const;
  void LoadData(bool is_text);
  void Augment(const Graph& graph);
  void Resolve(bool is_text, size_t samples);
  void Quantize(const qat::TrainableModel& start,
                const qat::SchemeRules& rules);
  void QuantizeActivations(qat::TrainableModel& start, Executor* executor);
  void AddAdapters(qat::TrainableModel& start);
  void SetParameters(const qat::TrainableModel& start);
  void SetCache(Graph& graph) const;
  void CacheTeacher(qat::Trainer& trainer) const;
  void Train(qat::Trainer& trainer);
  bool Judges() const { return !validation.empty() || labelled.held_out > 0; }
  double JudgeEpoch(qat::Trainer& trainer, const qat::TrainProgress& state);
  void JudgeOutput(Executor* executor);
  void KeepCheckpoint(qat::Trainer& trainer, int64_t step) const;
  void Finish(qat::Trainer& trainer) const;
  void Pack() const;
  double Epochs() const;  // also with --steps

  std::unique_ptr<MpiProcesses> processes_;
  double steps_per_epoch_ = 1;
  LabelledData images_;
  std::unique_ptr<qat::Samples> augmented_;
  std::unique_ptr<qat::Samples> text_;
  std::unique_ptr<qat::Samples> text_test_;
  const qat::Samples* train_ = nullptr;  // one of them
  const qat::Samples* test_ = nullptr;   // likewise; nullptr: none
  // Of --keep-best: what `output` holds.
  std::optional<qat::Judgement> best_;
  std::optional<qat::Judgement> last_;  // after the last step
  int64_t best_epoch_ = 0;
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_TRAIN_H_
