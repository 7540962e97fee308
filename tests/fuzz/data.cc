// Arrays, data sets, statistics, states of trainings.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lutra/packer/statistics.h"
#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/dataset.h"
#include "lutra/qat/int8_folder.h"
#include "lutra/qat/npy.h"
#include "lutra/qat/optimizer_state.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quant_optimizer.h"
#include "lutra/qat/quantizers.h"
#include "lutra/qat/recording_folder.h"
#include "tests/fuzz/damage.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/use_model.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"

namespace lutra::fuzz {
namespace {

namespace fs = std::filesystem;
using Path = const fs::path&;

Inputs NpySeeds() {
  const TempDir dir;
  const size_t shape[] = {2, 3};
  qat::WriteNpy(dir / "a.npy", shape, RandomFloats(6, 1));
  return {ReadBytes(dir / "a.npy")};
}

Inputs IdxSeeds() {
  using namespace std::string_literals;
  return {
      "\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02"s + "abcdefgh",
      // The same, as gzip has it without compression.
      "\x1F\x8B\x08\0\0\0\0\0\0\xFF\x01\x09\0\xF6\xFF\0\0\x08\x01\0\0\0\x01"s
      "x\x23\x41\x7F\x59\x09\0\0\0"s};
}

// A QuantOptimizer over a weight and a bias, after a step.
class Training {
 public:
  Training() {
    qat::ParamGroup weights;
    weights.quant_bits = 2;
    weights.quant_block_size = 8;
    weights.parameters.push_back(
        {"w", {4, 16}, w_.data(), gradient_.data(), true});
    qat::ParamGroup others;
    others.parameters.push_back({"b", {4}, b_.data(), gradient_.data(), true});
    qat::QuantOptimizerOptions options;
    options.per_channel = true;
    optimizer_ = std::make_unique<qat::QuantOptimizer>(
        qat::MakeAdamW({weights, others}, {}), qat::MakeStretchedQuantizer(),
        qat::MakeProxParq({2, 8, 10.0, 0.5}), options);
    optimizer_->Step(nullptr);
  }

  qat::Optimizer& optimizer() { return *optimizer_; }

 private:
  std::vector<float> w_ = RandomFloats(64, 1);
  std::vector<float> b_ = RandomFloats(4, 2);
  std::vector<float> gradient_ = RandomFloats(64, 3);
  std::unique_ptr<qat::QuantOptimizer> optimizer_;
};

Inputs OptimizerSeeds() {
  const TempDir dir;
  qat::SaveState(dir / "state", Training().optimizer(), {{"epoch", "3"}});
  return {ReadBytes(dir / "state")};
}

void ReadOptimizerState(Path path) {
  Training training;
  qat::LoadState(path, training.optimizer());
  training.optimizer().Step(nullptr);
}

Inputs StatisticsSeeds() {
  return {BytesOf(ModelBuilder()
                      .NoMetadata("lutra.version")
                      .NoMetadata("lutra.graph")
                      .Metadata("lutra.statistics", "1")
                      .Floats("moments.x", {6}, std::vector<float>(6, 1.0f))
                      .Floats("peaks.x", {3}, std::vector<float>(3, 1.0f))
                      .Tensor("rows.x", DType::kUInt64, {1},
                              std::vector<std::byte>(8, std::byte{1})))};
}

void ReadStatistics(Path path) {
  const auto statistics = packer::Statistics::Open(path);
  for (const auto& [value, columns] : statistics.columns()) {
    (void)statistics.Rows(value);
    (void)statistics.Moments(value);
    (void)statistics.Peaks(value);
  }
  packer::MergeStatistics({statistics, statistics}, path.string() + ".sum");
}

// One of the two kinds of folders with a list of labels.
void ReadSamples(Path folder) {
  if (qat::IsRecordingFolder(folder)) {
    (void)qat::LoadRecordingFolder(folder);
  } else {
    (void)qat::LoadInt8Folder(folder, 0.5, 3);
  }
}

Inputs SamplesSeeds() {
  return {JoinFiles({{"a.bin", std::string(28, '\x01')},
                     {"b.bin", std::string(8, '\x02')},
                     {"y_labels.csv", "b.bin,2,1,8,4\r\na.bin,2,0,8,12\n"}}),
          JoinFiles({{"a.bin", "abcd"},
                     {"b.bin", "efgh"},
                     {"y_labels.csv", "a.bin,12,3\nb.bin,12,11\n"}})};
}

}  // namespace

std::vector<FuzzTarget> DataTargets() {
  return {
      FileTarget("npy", "input", qat::ReadNpy, NpySeeds, DamageBytes),
      FileTarget("idx", "input", qat::ReadIdx, IdxSeeds, DamageBytes),
      FileTarget("optimizer_state", "input", ReadOptimizerState, OptimizerSeeds,
                 DamageContainer),
      FileTarget("statistics", "input", ReadStatistics, StatisticsSeeds,
                 DamageContainer),
      FolderTarget("samples", "", ReadSamples, SamplesSeeds),
  };
}

}  // namespace lutra::fuzz
