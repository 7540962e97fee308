#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "lutra/packer/calibrate.h"
#include "lutra/packer/statistics.h"
#include "runtime/base/threads.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/train_data.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kExample =
    "Runs a model with float weights over data and writes what is to be known "
    "of\n"
    "the inputs of its linear layers (sums of x x^T), so that 'lutra pack\n"
    "--calibration' rounds weights with small errors of the outputs. A few "
    "ten\n"
    "thousand tokens of text like what the model will see are enough.\n"
    "\n"
    "DATA is a text file, or a folder of them (*.txt), for models that take "
    "ids;\n"
    "for others a folder of labelled samples as 'lutra train' reads it.\n"
    "Files made from several texts, or by several processes, add up: --merge.\n"
    "\n"
    "Examples:\n"
    "  lutra calibrate llm.safetensors --data wiki.txt -o llm.statistics\n"
    "  lutra calibrate kws.safetensors --data kws01 --scale 0.5847 \\\n"
    "    --zero-point 83 -o kws.statistics\n"
    "  lutra calibrate --merge a.statistics b.statistics -o ab.statistics";

constexpr size_t kMiB = size_t{1} << 20;

struct CalibrateVerb {
  std::string model;
  std::string data;
  std::string output;
  std::vector<std::string> merge;
  DataOptions data_options;
  size_t memory = 1024;  // MiB
  size_t threads = 0;
  bool json = false;

  void Run();
  void Merge() const;
};

void CalibrateVerb::Merge() const {
  std::vector<packer::Statistics> parts;
  for (const std::string& path : merge) {
    parts.push_back(packer::Statistics::Open(path));
  }
  packer::MergeStatistics(parts, output);
  std::cout << OneLine(output) << ": the sum of " << merge.size() << " files\n";
}

void CalibrateVerb::Run() {
  if (!merge.empty()) {
    if (!model.empty() || !data.empty()) {
      throw UsageError("--merge", "takes neither a model nor --data");
    }
    Merge();
    return;
  }
  if (model.empty() || data.empty()) {
    throw UsageError("calibrate", "give a model and --data, or --merge");
  }
  const ModelData samples = LoadModelData(model, data, data_options);
  const qat::Samples& all = samples.All();
  packer::CalibrateOptions options;
  options.samples = EnoughSamples(samples, data_options);
  options.memory = memory * kMiB;
  const std::unique_ptr<Executor> executor = StartThreads(threads);
  options.executor = executor.get();
  const std::shared_ptr<const Model> source = Model::Load(model);

  const packer::CalibrationPlan plan =
      packer::PlanCalibration(source, all, options);
  const std::string memory_text =
      WithCommas((plan.memory + kMiB - 1) / kMiB) + " MiB";
  const std::string what = "calibrating (" + memory_text + ", " +
                           std::to_string(plan.passes) +
                           (plan.passes == 1 ? " pass)" : " passes)");
  Progress progress;
  progress.Show(what);
  const EndOnInterrupt interrupt;
  packer::Calibrate(source, all, options, output,
                    [&](size_t rows, size_t total) {
                      interrupt.Check();
                      progress.ShowRate(what, rows, total, all.RowName() + "s");
                    });
  progress.Clear();
  const auto bytes = std::filesystem::file_size(output);
  if (json) {
    const Json report = {{"file", output},
                         {"file_bytes", bytes},
                         {"rows", plan.rows},
                         {"samples", plan.samples},
                         {"values", plan.values},
                         {"passes", plan.passes},
                         {"memory_bytes", plan.memory}};
    std::cout << report.Dump(2) << "\n";
    return;
  }
  std::cout << OneLine(output) << ": inputs of " << plan.values
            << " layers over " << WithCommas(plan.rows) << " " << all.RowName()
            << "s; file " << WithCommas(bytes) << " bytes\n";
}

}  // namespace

void AddCalibrateVerb(CommandLine& line) {
  auto verb = std::make_shared<CalibrateVerb>();
  Verb calibrate = line.AddVerb(
      "calibrate", "Collect statistics of layers' inputs, for pack");
  calibrate.Footer(kExample);
  calibrate.Add("MODEL", verb->model, "Model with float weights");
  calibrate.Add("--data", verb->data, "Text file or folder; folder of samples")
      .TypeName("PATH");
  calibrate.Add("-o,--output", verb->output, "File to write")
      .TypeName("FILE")
      .Required();
  calibrate
      .Add("--merge", verb->merge, "Write the sum of these statistics files")
      .TypeName("FILE");
  AddDataOptions(calibrate, verb->data_options, kEnoughSamples);
  calibrate
      .Add("--memory", verb->memory,
           "MiB of sums at a time; where more is needed, the data is run "
           "several times")
      .TypeName("MIB")
      .Range(size_t{1}, size_t{1} << 20)
      .ShowDefault();
  AddThreadsOption(calibrate, verb->threads);
  calibrate.AddFlag("--json", verb->json, "Print JSON");
  calibrate.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
