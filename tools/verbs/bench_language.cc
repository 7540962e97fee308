#include <algorithm>
#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "lutra/eval/limits.h"
#include "lutra/eval/memory.h"
#include "lutra/eval/packed_weights.h"
#include "lutra/kernels/variants.h"
#include "lutra/packer/weights.h"
#include "lutra/runtime/random.h"
#include "runtime/base/threads.h"
#include "tools/cli/language_options.h"
#include "tools/cli/load_options.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/bench.h"

namespace lutra::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kDefaultRepeat = 5;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A prompt (pp) or a generation (tg) of some tokens in each of some sequences
// that hold `depth` tokens already.
struct Test {
  bool prompt = false;
  size_t tokens = 0;
  size_t depth = 0;
  size_t sequences = 1;

  size_t TotalTokens() const { return tokens * sequences; }
  std::string Name() const {
    std::string name = (prompt ? "pp" : "tg") + std::to_string(tokens);
    if (sequences > 1) name += " x" + std::to_string(sequences);
    if (depth > 0) name += " @" + std::to_string(depth);
    return name;
  }
};

// What a token costs, on average over a test.
struct Cost {
  double bytes = 0;
  double multiply_adds = 0;

  // What the limit of a test counts.
  double Limited(const Test& test) const {
    return test.prompt ? 2 * multiply_adds : bytes;
  }
};

struct LanguageTimes {
  Test test;
  Cost cost;
  // By repetition.
  std::vector<double> tokens_per_second;
  std::vector<double> limits;  // per second
  std::vector<double> shares;  // of the limit
  eval::Timing per_token;

  // Kernels without SIMD have no peak to be a share of.
  bool HasLimit() const { return eval::Median(limits) > 0; }
};

// Everything measured on a session. It does not hold the model: what is mapped
// counts as memory of the measurements that follow.
struct Setting {
  std::string activations;
  size_t threads = 0;
  size_t context = 0;
  double load_seconds = 0;
  uint64_t peak_bytes = 0;
  MemoryReport memory;
  std::vector<LanguageTimes> measurements;
};

std::vector<Test> Tests(const BenchOptions& options) {
  std::vector<Test> tests;
  for (const size_t depth : options.depths) {
    for (const size_t sequences : options.sequences) {
      for (const size_t n : options.prompts) {
        if (n > 0) tests.push_back({true, n, depth, sequences});
      }
      for (const size_t n : options.tokens) {
        if (n > 0) tests.push_back({false, n, depth, sequences});
      }
    }
  }
  return tests;
}

// Sequences that hold the first `depth` of the ids.
class Sequences {
 public:
  Sequences(LanguageModel& model, const Test& test,
            std::span<const int32_t> ids)
      : start_(model.program().NewSequence()), count_(test.sequences) {
    if (test.depth == 0) return;
    const LanguageModel::Tokens tokens = {&start_, ids.first(test.depth)};
    model.FeedAll({&tokens, 1});
  }

  std::vector<Sequence> Make() const {
    std::vector<Sequence> sequences;
    for (size_t i = 0; i < count_; ++i) sequences.push_back(start_.Fork());
    return sequences;
  }

 private:
  Sequence start_;
  size_t count_;
};

// Feeds a test's tokens, pausing after each call; returns the seconds of each.
std::vector<double> Feed(LanguageModel& model, const Test& test,
                         std::span<const int32_t> ids,
                         std::vector<Sequence>& sequences,
                         const std::function<void()>& pause) {
  const size_t step = test.prompt ? test.tokens : 1;
  std::vector<double> seconds;
  seconds.reserve(test.tokens / step);
  std::vector<LanguageModel::Tokens> tokens;
  for (size_t done = 0; done < test.tokens; done += step) {
    tokens.clear();
    for (Sequence& sequence : sequences) {
      tokens.push_back({&sequence, ids.subspan(test.depth + done, step)});
    }
    const Clock::time_point start = Clock::now();
    model.FeedAll(tokens);
    seconds.push_back(SecondsSince(start));
    pause();
  }
  return seconds;
}

// Also the warm-up. `state_bytes`: of the sequences in the end.
Cost MeasureCost(LanguageModel& model, const Test& test,
                 std::span<const int32_t> ids, size_t& state_bytes) {
  std::vector<Sequence> sequences = Sequences(model, test, ids).Make();
  model.session().EnableProfiling(true);
  Feed(model, test, ids, sequences, [] {});
  state_bytes = 0;
  for (const Sequence& sequence : sequences) {
    state_bytes += sequence.ByteCount();
  }
  Cost cost;
  for (const NodeProfile& node : model.session().Profile()) {
    cost.bytes += static_cast<double>(node.bytes);
    cost.multiply_adds += static_cast<double>(node.multiply_adds);
  }
  model.session().EnableProfiling(false);
  cost.bytes /= static_cast<double>(test.TotalTokens());
  cost.multiply_adds /= static_cast<double>(test.TotalTokens());
  return cost;
}

// `limit` measures what the machine can do, per second: a few times before and
// after each repetition, and once between two tokens that find nothing of the
// model in the caches anyway. An untimed token before each repetition brings
// back what the measurements took from the caches.
LanguageTimes Measure(LanguageModel& model, const Test& test, const Cost& cost,
                      size_t repeat, std::span<const int32_t> ids,
                      const std::function<double()>& limit) {
  constexpr size_t kTimes = 4;
  const bool between_tokens =
      !test.prompt && cost.bytes > double{eval::UncachedMemory::kBytes};
  LanguageTimes result;
  result.test = test;
  result.cost = cost;
  std::vector<double> microseconds;
  const Sequences start(model, test, ids);
  for (size_t r = 0; r < repeat; ++r) {
    std::vector<double> limits;
    const auto measure_limit = [&](size_t times) {
      for (size_t i = 0; i < times; ++i) limits.push_back(limit());
    };
    measure_limit(kTimes);
    model.Reset();
    model.Feed(ids.first(1));
    std::vector<Sequence> sequences = start.Make();
    const std::vector<double> calls = Feed(model, test, ids, sequences, [&] {
      measure_limit(between_tokens ? 1 : 0);
    });
    measure_limit(kTimes);
    double total = 0;
    for (const double seconds : calls) {
      total += seconds;
      const auto per_call = static_cast<double>(test.TotalTokens()) /
                            static_cast<double>(calls.size());
      microseconds.push_back(1e6 * seconds / per_call);
    }
    const double speed = static_cast<double>(test.TotalTokens()) / total;
    result.tokens_per_second.push_back(speed);
    result.limits.push_back(eval::Median(limits));
    result.shares.push_back(cost.Limited(test) * speed / result.limits.back());
  }
  result.per_token = eval::Summarise(std::move(microseconds));
  return result;
}

Setting MeasureSetting(const BenchOptions& options, const std::string& path,
                       LanguageModelOptions session,
                       const std::vector<Test>& tests, Progress& progress) {
  eval::ResetPeakMemory();
  const Clock::time_point start = Clock::now();
  Setting setting;
  // One executor, as the idle threads of a second one would spin for a while.
  const std::unique_ptr<Executor> executor =
      StartThreads(session.session.threads);
  session.session.executor = executor.get();
  if (executor == nullptr) session.session.threads = 1;
  LanguageModel model =
      OpenLanguageModel(Model::Load(path, options.load), session);
  setting.load_seconds = SecondsSince(start);
  setting.threads = model.session().threads();
  setting.context = model.context();

  size_t longest = 0;
  for (const Test& test : tests) {
    longest = std::max(longest, test.depth + test.tokens);
  }
  Random random(options.seed);
  std::vector<int32_t> ids(longest);
  for (int32_t& id : ids) {
    id = static_cast<int32_t>(random.Below(model.vocabulary()));
  }
  const size_t repeat =
      options.timing.repeat > 0 ? options.timing.repeat : kDefaultRepeat;
  const auto show = [&](const Test& test) {
    progress.Show("measuring " + path + ", " + test.Name() + ", " +
                  std::to_string(setting.threads) + " threads");
  };
  std::vector<Cost> costs;
  size_t state_bytes = 0;
  for (const Test& test : tests) {
    show(test);
    size_t bytes = 0;
    costs.push_back(MeasureCost(model, test, ids, bytes));
    state_bytes = std::max(state_bytes, bytes);
  }
  setting.memory = model.Memory();
  setting.memory.state = state_bytes;
  setting.peak_bytes =
      eval::PeakMemoryBytes();  // without the memory made below
  const ActivationChoice type = session.session.activations;
  setting.activations = eval::ActivationsName(model.model(), type);

  eval::UncachedMemory memory;
  const auto read = [&] { return memory.ReadRate(executor.get()); };
  const bool int8 = eval::MultipliesInt8(model.model(), type);
  const auto peak = [&] {
    return int8 ? eval::Int8Rate(executor.get())
                : eval::FloatRate(executor.get());
  };
  for (size_t i = 0; i < tests.size(); ++i) {
    const Test& test = tests[i];
    show(test);
    std::function<double()> limit = read;
    if (test.prompt) limit = peak;
    setting.measurements.push_back(
        Measure(model, test, costs[i], repeat, ids, limit));
  }
  return setting;
}

std::vector<Setting> MeasureModel(const BenchOptions& options,
                                  const Model& model, Progress& progress) {
  const std::vector<Test> tests = Tests(options);
  LanguageModelOptions session = options.language;
  if (session.session.context == 0) {
    for (const Test& test : tests) {
      session.session.context =
          std::max(session.session.context, test.depth + test.tokens);
    }
  }
  // The activation type of a model without packed weights changes nothing.
  std::vector<ActivationChoice> activations = options.activations;
  if (!eval::HasPackedWeights(model)) activations.resize(1);
  std::vector<Setting> settings;
  for (const ActivationChoice type : activations) {
    for (const size_t threads : options.threads) {
      session.session.activations = type;
      session.session.threads = threads;
      settings.push_back(
          MeasureSetting(options, model.path(), session, tests, progress));
    }
  }
  return settings;
}

Json ToJson(const BenchOptions& options, const Model& model,
            const Setting& setting, const LanguageTimes& result) {
  const packer::WeightTotals totals = packer::Total(packer::Weights(model));
  const eval::MeanAndDeviation speed = eval::Average(result.tokens_per_second);
  const bool prompt = result.test.prompt;
  const Json none;
  const Json limit = eval::Median(result.limits);
  return {{"model", model.path()},
          {"file_bytes", model.file().byte_size()},
          {"weights", totals.elements},
          {"bits_per_weight", totals.BitsPerWeight()},
          {"variant", kernels::ActiveVariant()},
          {"activations", setting.activations},
          {"cache", Name(ChosenCache(model, options.language.session))},
          {"threads", setting.threads},
          {"beside", options.beside},
          {"load", LoadName(options.load)},
          {"context", setting.context},
          {"chunk", options.language.chunk},
          {"test", result.test.Name()},
          {"tokens", result.test.tokens},
          {"depth", result.test.depth},
          {"sequences", result.test.sequences},
          {"repeat", result.tokens_per_second.size()},
          {"tokens_per_second", speed.mean},
          {"tokens_per_second_deviation", speed.deviation},
          {"mean_us_per_token", result.per_token.mean},
          {"p50_us_per_token", result.per_token.median},
          {"p99_us_per_token", result.per_token.p99},
          {"bytes_per_token", result.cost.bytes},
          {"multiply_adds_per_token", result.cost.multiply_adds},
          {"read_bandwidth", prompt ? none : limit},
          {"peak_operations_per_second", prompt ? limit : none},
          {"share_of_limit",
           result.HasLimit() ? Json(eval::Median(result.shares)) : none},
          {"load_ms", 1e3 * setting.load_seconds},
          {"peak_bytes", setting.peak_bytes},
          {"weight_bytes", setting.memory.weights},
          {"arena_bytes", setting.memory.arena},
          {"state_bytes", setting.memory.state}};
}

void AddRow(const Model& model, const Setting& setting,
            const LanguageTimes& result, Table& table) {
  const eval::MeanAndDeviation speed = eval::Average(result.tokens_per_second);
  const std::string share =
      result.HasLimit() ? Fixed(100 * eval::Median(result.shares), 1) + " %"
                        : "";
  table.AddRow(
      {model.path(), Bytes(model.file().byte_size()), setting.activations,
       std::to_string(setting.threads), result.test.Name(),
       Short(speed.mean) + " ± " + Short(speed.deviation),
       Short(result.per_token.median), Short(result.per_token.p99), share,
       Short(1e3 * setting.load_seconds), Bytes(setting.peak_bytes)});
}

}  // namespace

BenchResults BenchLanguage(
    const BenchOptions& options,
    const std::vector<std::shared_ptr<const Model>>& models,
    Progress& progress) {
  if (Tests(options).empty()) {
    throw UsageError("bench",
                     "--prompt 0 and --tokens 0 leave nothing to measure");
  }
  BenchResults results{Json::Array(),
                       Table({{"model", Table::Align::kLeft},
                              {"size"},
                              {"activations", Table::Align::kLeft},
                              {"threads"},
                              {"test", Table::Align::kLeft},
                              {"tokens/s"},
                              {"p50 us/token"},
                              {"p99 us/token"},
                              {"of limit"},
                              {"load ms"},
                              {"peak memory"}})};
  for (const std::shared_ptr<const Model>& model : models) {
    for (const Setting& setting : MeasureModel(options, *model, progress)) {
      for (const LanguageTimes& result : setting.measurements) {
        results.records.PushBack(ToJson(options, *model, setting, result));
        AddRow(*model, setting, result, results.table);
      }
    }
  }
  return results;
}

}  // namespace lutra::tools
