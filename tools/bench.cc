#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lutra.h"
#include "lutra/kernels/variants.h"
#include "lutra/packer/weights.h"
#include "lutra/runtime/session.h"
#include "tools/model_data.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "tools/table.h"
#include "tools/timing.h"
#include "tools/verbs.h"

namespace lutra::tools {
namespace {

using nlohmann::ordered_json;

constexpr const char* kExample =
    "Inputs are random (the same for the same --seed). Times are of whole\n"
    "calls, in microseconds; the deviation is the median distance from the\n"
    "median.\n"
    "\n"
    "Example:\n"
    "  lutra bench packed.safetensors --batch 1,64 --threads 1,2 \\\n"
    "    --activations int8,float32";

struct BenchVerb {
  std::vector<std::string> models;
  std::vector<size_t> batches = {1, 64};
  std::vector<size_t> threads = {0};
  std::vector<kernels::ActivationType> activations = {
      kernels::ActivationType::kInt8Asymmetric};
  TimingOptions timing;
  uint32_t seed = 1;
  OutputFormat format = OutputFormat::kTable;

  void Run() const;
};

struct Measurement {
  std::string path;
  std::string activations;
  size_t threads = 0;
  size_t batch = 0;
  size_t arena_bytes = 0;
  Timing timing;

  double MicrosecondsPerToken() const {
    return timing.median / static_cast<double>(batch);
  }
  double TokensPerSecond() const { return 1e6 / MicrosecondsPerToken(); }
};

// All combinations for one model.
std::vector<Measurement> Measure(const BenchVerb& verb,
                                 const std::shared_ptr<const Model>& model,
                                 Progress& progress) {
  // The activation type of a model without packed weights changes nothing.
  std::vector<kernels::ActivationType> activations = verb.activations;
  const bool packed = HasPackedWeights(*model);
  if (!packed) activations = {kernels::ActivationType::kFloat32};
  const size_t total =
      activations.size() * verb.threads.size() * verb.batches.size();
  std::vector<Measurement> results;
  for (const kernels::ActivationType type : activations) {
    for (const size_t threads : verb.threads) {
      SessionOptions options;
      options.activations = type;
      options.threads = threads;
      Session session(model, options);
      for (const size_t batch : verb.batches) {
        progress.Show("measuring " + model->path(), results.size(), total);
        Buffers buffers(*model, batch);
        FillRandomly(*model, verb.seed, buffers);
        session.Prepare(batch);
        Measurement result;
        result.path = model->path();
        result.activations = Name(type);
        result.threads = session.threads();
        result.batch = batch;
        result.arena_bytes = session.ArenaBytes();
        result.timing =
            TimeCalls([&] { buffers.Run(session, batch); }, verb.timing);
        results.push_back(std::move(result));
      }
    }
  }
  return results;
}

ordered_json ToJson(const Measurement& result) {
  ordered_json json = {{"model", result.path},
                       {"activations", result.activations},
                       {"threads", result.threads},
                       {"batch", result.batch},
                       {"arena_bytes", result.arena_bytes}};
  json.update(ToJson(result.timing));
  json["us_per_token"] = result.MicrosecondsPerToken();
  json["tokens_per_second"] = result.TokensPerSecond();
  return json;
}

Table ToTable(const std::vector<Measurement>& results) {
  Table table({{"model", Table::Align::kLeft},
               {"activations", Table::Align::kLeft},
               {"threads"},
               {"batch"},
               {"us/call"},
               {"deviation"},
               {"p99"},
               {"us/token"},
               {"tokens/s"},
               {"calls"}});
  for (const Measurement& result : results) {
    table.AddRow({result.path, result.activations,
                  std::to_string(result.threads), std::to_string(result.batch),
                  Short(result.timing.median), Short(result.timing.deviation),
                  Short(result.timing.p99),
                  Short(result.MicrosecondsPerToken()),
                  WithCommas(static_cast<uint64_t>(result.TokensPerSecond())),
                  WithCommas(result.timing.calls)});
  }
  return table;
}

void BenchVerb::Run() const {
  std::vector<std::shared_ptr<const Model>> loaded;
  for (const std::string& path : models) loaded.push_back(Model::Load(path));
  Progress progress;
  std::vector<Measurement> results;
  for (const std::shared_ptr<const Model>& model : loaded) {
    for (Measurement& result : Measure(*this, model, progress)) {
      results.push_back(std::move(result));
    }
  }
  progress.Clear();
  if (format == OutputFormat::kJson) {
    ordered_json json = {{"version", lutra_version()},
                         {"variant", kernels::ActiveVariant()},
                         {"seed", seed},
                         {"results", ordered_json::array()}};
    for (const Measurement& result : results) {
      json["results"].push_back(ToJson(result));
    }
    std::cout << json.dump(2) << "\n";
    return;
  }
  const Table table = ToTable(results);
  std::cout << (format == OutputFormat::kTable ? table.Text()
                                               : table.Markdown());
  for (const std::shared_ptr<const Model>& model : loaded) {
    const packer::WeightTotals totals = packer::Total(packer::Weights(*model));
    std::cout << "\n"
              << OneLine(model->path()) << ": " << WithCommas(totals.elements)
              << " weights in " << WithCommas(totals.bytes) << " bytes ("
              << Fixed(totals.BitsPerWeight(), 2) << " bits per weight)";
  }
  std::cout << "\nkernels: " << kernels::ActiveVariant() << "\n";
}

}  // namespace

void AddBenchVerb(CLI::App& app) {
  auto verb = std::make_shared<BenchVerb>();
  CLI::App* bench = app.add_subcommand("bench", "Measure a model's speed");
  bench->footer(kExample);
  bench->add_option("MODEL", verb->models, "Models")->required();
  AddSizesOption(*bench, "--batch", verb->batches, 1, kMaxBatch,
                 "Tokens (or images) per call");
  AddSizesOption(*bench, "--threads", verb->threads, 0, kMaxThreads,
                 "Threads to use; 0: one per core");
  AddActivationsOption(*bench, verb->activations);
  AddTimingOptions(*bench, verb->timing);
  bench->add_option("--seed", verb->seed, "Seed of the random inputs")
      ->type_name("N")
      ->capture_default_str();
  AddFormatOptions(*bench, verb->format);
  bench->callback([verb] { verb->Run(); });
}

}  // namespace lutra::tools
