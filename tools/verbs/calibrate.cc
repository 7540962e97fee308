#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "lutra/packer/calibrate.h"
#include "lutra/packer/ranges.h"
#include "lutra/packer/statistics.h"
#include "lutra/qat/range_statistics.h"
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

constexpr const char* kCalibrateExample =
    "Runs a model with float weights over data and writes what is to be known "
    "of\n"
    "the inputs of its layers (sums of x x^T), so that 'lutra pack\n"
    "--calibration' rounds weights with small errors of the outputs. A few "
    "ten\n"
    "thousand tokens of text like what the model will see are enough.\n"
    "\n"
    "DATA is a text file, or a folder of them (*.txt), for models that take "
    "ids;\n"
    "for others a folder of labelled samples as 'lutra train' reads it, or "
    "for\n"
    "models that remember earlier steps arrays of NumPy (a file .npy or a "
    "folder\n"
    "of them): [steps, ...] or [sequences, steps, ...].\n"
    "With --ranges it writes a copy of the model, packed or not, in which "
    "layers "
    "have\n"
    "fixed ranges for int8 activations, in place of one for each token.\n"
    "\n"
    "Files made from several texts, or by several processes, add up: --merge. "
    "For\n"
    "fixed ranges, --extremes writes such files, and --ranges mean-max uses "
    "one.\n"
    "\n"
    "Examples:\n"
    "  lutra calibrate llm.safetensors --data wiki.txt -o llm.statistics\n"
    "  lutra calibrate kws.safetensors --data kws01 --scale 0.5847 \\\n"
    "    --zero-point 83 -o kws.statistics\n"
    "  lutra calibrate kws.safetensors --data kws01 --scale 0.5847 \\\n"
    "    --zero-point 83 --ranges percentile -o kws-static.safetensors\n"
    "  lutra calibrate --merge a.statistics b.statistics -o ab.statistics\n"
    "  lutra calibrate llm.safetensors --data wiki.txt --extremes -o a.ranges\n"
    "  lutra calibrate llm.safetensors --ranges mean-max --extremes-of "
    "a.ranges "
    "\\\n"
    "    -o static.safetensors";

constexpr size_t kMiB = size_t{1} << 20;

struct CalibrateVerb {
  std::string model;
  std::string data;
  std::string output;
  std::vector<std::string> merge;
  DataOptions data_options;
  size_t memory = 1024;  // MiB
  size_t threads = 0;
  bool gradients = false;
  bool json = false;
  std::string ranges;  // a rule; "": statistics
  bool extremes = false;
  std::string extremes_of;  // a file of them
  packer::RangeOptions range_options;

  void Run();
  void Merge() const;
  void WriteRanges(const ModelData& samples);
  void WriteExtremes(const ModelData& samples) const;
  void Print(const packer::RangeReport& report, const std::string& seen) const;
};

void CalibrateVerb::Merge() const {
  if (qat::RangeStatistics::Is(merge[0])) {
    qat::RangeStatistics sum;
    for (const std::string& path : merge) {
      sum.Merge(qat::RangeStatistics::Load(path));
    }
    sum.Save(output);
    std::cout << OneLine(output) << ": the sum of " << merge.size()
              << " files\n";
    return;
  }
  std::vector<packer::Statistics> parts;
  for (const std::string& path : merge) {
    parts.push_back(packer::Statistics::Open(path));
  }
  packer::MergeStatistics(parts, output);
  std::cout << OneLine(output) << ": the sum of " << merge.size() << " files\n";
}

void CalibrateVerb::WriteRanges(const ModelData& samples) {
  packer::RangeOptions options = range_options;
  options.rule = packer::ParseRangeRule(ranges);
  if (options.rule == packer::RangeRule::kFixed &&
      options.least == options.most) {
    throw UsageError("--ranges", "fixed needs --range-min, --range-max");
  }
  const std::unique_ptr<Executor> executor = StartThreads(threads);
  options.executor = executor.get();
  Progress progress;
  const EndOnInterrupt interrupt;
  const packer::RangeReport report = packer::FixRanges(
      Model::Load(model), samples.All(),
      packer::SpreadSamples(samples.All().Count(),
                            EnoughSamples(samples, data_options)),
      options, output, [&](size_t rows, size_t total) {
        interrupt.Check();
        progress.ShowRate("calibrating", rows, total,
                          samples.All().RowName() + "s");
      });
  progress.Clear();
  Print(report, " over " + WithCommas(report.rows) + " " +
                    samples.All().RowName() + "s");
}

void CalibrateVerb::WriteExtremes(const ModelData& samples) const {
  const std::unique_ptr<Executor> executor = StartThreads(threads);
  const std::shared_ptr<const Model> source = Model::Load(model);
  Progress progress;
  const EndOnInterrupt interrupt;
  const qat::RangeStatistics found = packer::CollectExtremes(
      *source, samples.All(),
      packer::SpreadSamples(samples.All().Count(),
                            EnoughSamples(samples, data_options)),
      executor.get(), [&](size_t rows, size_t total) {
        interrupt.Check();
        progress.ShowRate("calibrating", rows, total,
                          samples.All().RowName() + "s");
      });
  progress.Clear();
  found.Save(output);
  if (json) {
    const Json report = {{"file", output}, {"values", found.entries().size()}};
    std::cout << report.Dump(2) << "\n";
    return;
  }
  std::cout << OneLine(output) << ": extremes of " << found.entries().size()
            << " values\n";
}

void CalibrateVerb::Print(const packer::RangeReport& report,
                          const std::string& seen) const {
  if (json) {
    Json values = Json::Array();
    for (const packer::ValueRange& value : report.values) {
      values.PushBack(Json{{"value", value.value},
                           {"min", static_cast<double>(value.min)},
                           {"max", static_cast<double>(value.max)}});
    }
    const Json result = {{"file", output},
                         {"file_bytes", report.file_bytes},
                         {"rows", report.rows},
                         {"values", values}};
    std::cout << result.Dump(2) << "\n";
    return;
  }
  Table table({{"value", Table::Align::kLeft}, {"min"}, {"max"}});
  for (const packer::ValueRange& value : report.values) {
    table.AddRow({value.value, Short(value.min), Short(value.max)});
  }
  std::cout << table.Text() << "\n"
            << OneLine(output) << ": ranges of " << report.values.size()
            << " values" << seen << "; file " << WithCommas(report.file_bytes)
            << " bytes\n";
}

void CalibrateVerb::Run() {
  if (!merge.empty()) {
    if (!model.empty() || !data.empty()) {
      throw UsageError("--merge", "takes neither a model nor --data");
    }
    Merge();
    return;
  }
  if (!extremes_of.empty()) {
    if (model.empty() || !data.empty() || ranges != "mean-max") {
      throw UsageError("--extremes-of",
                       "takes a model and --ranges mean-max, and no --data");
    }
    Print(packer::FixRanges(*Model::Load(model),
                            qat::RangeStatistics::Load(extremes_of),
                            /*symmetric=*/false, output),
          "");
    return;
  }
  if (model.empty() || data.empty()) {
    throw UsageError("calibrate", "give a model and --data, or --merge");
  }
  const ModelData samples = LoadModelData(model, data, data_options);
  if (!ranges.empty()) return WriteRanges(samples);
  if (extremes) return WriteExtremes(samples);
  const qat::Samples& all = samples.All();
  packer::CalibrateOptions options;
  options.samples = EnoughSamples(samples, data_options);
  options.memory = memory * kMiB;
  options.gradients = gradients;
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
  calibrate.Footer(kCalibrateExample);
  calibrate.Add("MODEL", verb->model, "Model with float weights");
  calibrate.Add("--data", verb->data, "Text file or folder; folder of samples")
      .TypeName("PATH");
  calibrate.Add("-o,--output", verb->output, "File to write")
      .TypeName("FILE")
      .Required();
  const Option merge = calibrate
                           .Add("--merge", verb->merge,
                                "Write the sum of these statistics files")
                           .TypeName("FILE");
  const Option ranges =
      calibrate
          .Add(
              "--ranges", verb->ranges,
              "Write the model with fixed ranges of activations: of all values "
              "(min-max), symmetric (absmax), a multiple of the root mean "
              "square, "
              "without outliers, of least error, as given, or the mean of the "
              "extremes of 64 rows at a time (mean-max)")
          .OneOf({"min-max", "absmax", "rms", "percentile", "mse", "fixed",
                  "mean-max"});
  calibrate
      .AddFlag("--extremes", verb->extremes,
               "Write the sums of what these means are of, a file that "
               "--merge adds to others")
      .Excludes(ranges)
      .Excludes(merge);
  calibrate
      .Add("--extremes-of", verb->extremes_of,
           "Such a file, in place of --data: for --ranges mean-max")
      .TypeName("FILE")
      .Needs(ranges)
      .Excludes(merge);
  calibrate
      .Add("--percentile", verb->range_options.percentile,
           "Percent of the values that are inside")
      .Range(50.0, 100.0)
      .ShowDefault();
  calibrate
      .Add("--rms-factor", verb->range_options.factor,
           "How many root mean squares a range reaches from 0")
      .Range(0.1, 1000.0)
      .ShowDefault();
  calibrate.Add("--range-min", verb->range_options.least, "Of fixed ranges")
      .Range(-1e38, 0.0);
  calibrate.Add("--range-max", verb->range_options.most, "Of fixed ranges")
      .Range(0.0, 1e38);
  AddDataOptions(calibrate, verb->data_options, kEnoughSamples);
  calibrate
      .Add("--memory", verb->memory,
           "MiB of sums at a time; where more is needed, the data is run "
           "several times")
      .TypeName("MIB")
      .Range(size_t{1}, size_t{1} << 20)
      .ShowDefault();
  calibrate.AddFlag("--gradients", verb->gradients,
                    "Weigh rows by the gradients of the loss, which needs the "
                    "memory of training");
  AddThreadsOption(calibrate, verb->threads);
  calibrate.AddFlag("--json", verb->json, "Print JSON");
  calibrate.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
