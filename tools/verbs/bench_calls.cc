#include <string>
#include <vector>

#include "lutra/eval/buffers.h"
#include "lutra/eval/packed_weights.h"
#include "lutra/runtime/session.h"
#include "tools/cli/load_options.h"
#include "tools/cli/table.h"
#include "tools/verbs/bench.h"
#include "tools/verbs/timing_json.h"

namespace lutra::tools {
namespace {

struct CallTimes {
  std::string path;
  std::string activations;
  size_t threads = 0;
  size_t batch = 0;
  size_t arena_bytes = 0;
  eval::Timing timing;

  double MicrosecondsPerToken() const {
    return timing.median / static_cast<double>(batch);
  }
  double TokensPerSecond() const { return 1e6 / MicrosecondsPerToken(); }
};

// All combinations for one model.
std::vector<CallTimes> Measure(const BenchOptions& options,
                               const std::shared_ptr<const Model>& model,
                               Progress& progress) {
  // The activation type of a model without packed weights changes nothing.
  std::vector<ActivationChoice> activations = options.activations;
  if (!eval::HasPackedWeights(*model)) activations = {std::nullopt};
  const size_t total =
      activations.size() * options.threads.size() * options.batches.size();
  std::vector<CallTimes> results;
  for (const ActivationChoice type : activations) {
    for (const size_t threads : options.threads) {
      ProgramOptions session_options;
      session_options.activations = type;
      session_options.threads = threads;
      Session session(model, session_options);
      for (const size_t batch : options.batches) {
        progress.Show("measuring " + model->path(), results.size(), total);
        eval::Buffers buffers(*model, batch);
        eval::FillRandomly(*model, options.seed, buffers);
        session.Prepare(batch);
        CallTimes result;
        result.path = model->path();
        result.activations = eval::ActivationsName(*model, type);
        result.threads = session.threads();
        result.batch = batch;
        result.arena_bytes = session.ArenaBytes();
        result.timing = eval::TimeCalls([&] { buffers.Run(session, batch); },
                                        options.timing);
        results.push_back(std::move(result));
      }
    }
  }
  return results;
}

Json ToJson(const BenchOptions& options, const CallTimes& result) {
  Json json = {{"model", result.path},
               {"activations", result.activations},
               {"threads", result.threads},
               {"beside", options.beside},
               {"load", LoadName(options.load)},
               {"batch", result.batch},
               {"arena_bytes", result.arena_bytes}};
  json.Update(TimingToJson(result.timing));
  json["us_per_token"] = result.MicrosecondsPerToken();
  json["tokens_per_second"] = result.TokensPerSecond();
  return json;
}

Table ToTable(const std::vector<CallTimes>& results) {
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
  for (const CallTimes& result : results) {
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

}  // namespace

BenchResults BenchCalls(const BenchOptions& options,
                        const std::vector<std::shared_ptr<const Model>>& models,
                        Progress& progress) {
  std::vector<CallTimes> measurements;
  for (const std::shared_ptr<const Model>& model : models) {
    for (CallTimes& result : Measure(options, model, progress)) {
      measurements.push_back(std::move(result));
    }
  }
  BenchResults results{Json::Array(), ToTable(measurements)};
  for (const CallTimes& measurement : measurements) {
    results.records.PushBack(ToJson(options, measurement));
  }
  return results;
}

}  // namespace lutra::tools
