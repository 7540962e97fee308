#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lutra/kernels/variants.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/random.h"
#include "tools/cli/language_options.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/eval/limits.h"
#include "tools/eval/model_data.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

using nlohmann::ordered_json;

constexpr const char* kExample =
    "A language model generates N tokens after an empty context, or with\n"
    "--prompt reads a prompt; another model runs calls of --batch tokens. "
    "Times\n"
    "are per token. 'of limit' is the larger of two shares: the read "
    "bandwidth\n"
    "by the bytes of weights and state, and the multiply-add peak; both "
    "limits\n"
    "are measured in the same run. 'between nodes' is what a call spends\n"
    "outside of operators, the profile's own clock readings included. Packed\n"
    "linear nodes with the same input are computed together, along with the\n"
    "activation functions and sums after them; the first has the time of all.\n"
    "\n"
    "Example:\n"
    "  lutra profile stories.safetensors -n 64 --threads 1\n"
    "  lutra profile stories.safetensors -p 128 --nodes --json";

struct ProfileVerb {
  std::string model;
  size_t prompt = 0;
  size_t tokens = 32;
  size_t batch = 1;
  size_t repeat = 5;
  bool nodes = false;
  uint32_t seed = 1;
  LanguageModelOptions language;
  OutputFormat format = OutputFormat::kTable;

  void Run() const;
};

// Of a node, or of all nodes of an operator.
struct Line {
  std::string name;
  std::string op;
  uint64_t nodes = 1;
  double microseconds = 0;  // these per token
  double bytes = 0;
  double multiply_adds = 0;
};

struct Result {
  size_t tokens = 0;
  double microseconds = 0;  // per token, all in all
  std::vector<NodeProfile> nodes;
};

// Calls run(), which runs `tokens` tokens, once to warm up and then `repeat`
// times with the profile on.
Result Profile(Session& session, size_t tokens, size_t repeat,
               const std::function<void()>& run) {
  run();
  session.EnableProfiling(true);
  const auto start = std::chrono::steady_clock::now();
  for (size_t r = 0; r < repeat; ++r) run();
  const std::chrono::duration<double, std::micro> total =
      std::chrono::steady_clock::now() - start;
  Result result;
  result.tokens = tokens * repeat;
  result.microseconds = total.count() / static_cast<double>(result.tokens);
  result.nodes = session.Profile();
  return result;
}

Result ProfileLanguage(LanguageModel& model, const ProfileVerb& verb) {
  const size_t count = verb.prompt > 0 ? verb.prompt : verb.tokens;
  const size_t step = verb.prompt > 0 ? verb.prompt : 1;
  Random random(verb.seed);
  std::vector<int32_t> ids(count);
  for (int32_t& id : ids) {
    id = static_cast<int32_t>(random.Below(model.vocabulary()));
  }
  return Profile(model.session(), count, verb.repeat, [&] {
    model.Reset();
    for (size_t i = 0; i < count; i += step) {
      model.Feed(std::span(ids).subspan(i, step));
    }
  });
}

Result ProfileCalls(Session& session, const ProfileVerb& verb) {
  Buffers buffers(session.model(), verb.batch);
  FillRandomly(session.model(), verb.seed, buffers);
  return Profile(session, verb.batch, verb.repeat, [&] {
    session.Reset();
    buffers.Run(session, verb.batch);
  });
}

// Of all nodes but those that were computed along with an earlier one.
std::vector<Line> NodeLines(const Result& result) {
  const auto tokens = static_cast<double>(result.tokens);
  std::vector<Line> lines;
  for (const NodeProfile& node : result.nodes) {
    if (node.calls == 0) continue;
    lines.push_back({node.name, std::string(Name(node.op)), 1,
                     static_cast<double>(node.nanoseconds) / 1e3 / tokens,
                     static_cast<double>(node.bytes) / tokens,
                     static_cast<double>(node.multiply_adds) / tokens});
  }
  return lines;
}

// The slowest first.
std::vector<Line> OperatorLines(const std::vector<Line>& nodes) {
  std::map<std::string, Line> by_op;
  for (const Line& node : nodes) {
    Line& line = by_op.try_emplace(node.op, Line{"", node.op, 0}).first->second;
    ++line.nodes;
    line.microseconds += node.microseconds;
    line.bytes += node.bytes;
    line.multiply_adds += node.multiply_adds;
  }
  std::vector<Line> lines;
  for (auto& [op, line] : by_op) lines.push_back(std::move(line));
  std::stable_sort(lines.begin(), lines.end(),
                   [](const Line& a, const Line& b) {
                     return a.microseconds > b.microseconds;
                   });
  return lines;
}

// What the machine can do at best.
struct Limits {
  double bandwidth = 0;   // bytes per second
  double operations = 0;  // per second

  double Share(const Line& line) const {
    if (line.microseconds <= 0) return 0;
    return 1e6 *
           std::max(line.bytes / bandwidth,
                    operations > 0 ? 2 * line.multiply_adds / operations : 0) /
           line.microseconds;
  }
};

ordered_json ToJson(const Line& line, const Result& result,
                    const Limits& limits) {
  ordered_json json;
  if (!line.name.empty()) json["name"] = line.name;
  json["op"] = line.op;
  json["nodes"] = line.nodes;
  json["us_per_token"] = line.microseconds;
  json["share_of_time"] = line.microseconds / result.microseconds;
  json["bytes_per_token"] = line.bytes;
  json["multiply_adds_per_token"] = line.multiply_adds;
  json["share_of_limit"] = limits.Share(line);
  return json;
}

Table ToTable(const std::vector<Line>& lines, bool nodes, const Result& result,
              const Limits& limits) {
  std::vector<Table::Column> columns = {{"operator", Table::Align::kLeft}};
  if (nodes) {
    columns.push_back({"node", Table::Align::kLeft});
  } else {
    columns.push_back({"nodes"});
  }
  for (const char* header :
       {"us/token", "time", "bytes/token", "GB/s", "GOPS", "of limit"}) {
    columns.push_back({header});
  }
  Table table(std::move(columns));
  double sum = 0;
  const auto percent = [](double share) {
    return Fixed(100 * share, 1) + " %";
  };
  for (const Line& line : lines) {
    sum += line.microseconds;
    table.AddRow({line.op, nodes ? line.name : std::to_string(line.nodes),
                  Short(line.microseconds),
                  percent(line.microseconds / result.microseconds),
                  WithCommas(static_cast<uint64_t>(line.bytes)),
                  Short(line.bytes / line.microseconds / 1e3),
                  Short(2 * line.multiply_adds / line.microseconds / 1e3),
                  percent(limits.Share(line))});
  }
  const double rest = std::max(0.0, result.microseconds - sum);
  table.AddRow(
      {"between nodes", "", Short(rest), percent(rest / result.microseconds)});
  return table;
}

void ProfileVerb::Run() const {
  const std::shared_ptr<const Model> loaded = Model::Load(model);
  const bool is_language = LanguageModel::Accepts(*loaded);
  LanguageModelOptions options = language;
  if (is_language && options.session.context == 0) {
    options.session.context = prompt > 0 ? prompt : tokens;
  }
  Progress progress;
  progress.Show("profiling " + model);
  Result result;
  size_t thread_count = 0;
  if (is_language) {
    LanguageModel language_model(loaded, options);
    thread_count = language_model.session().threads();
    result = ProfileLanguage(language_model, *this);
  } else {
    Session session(loaded, options.session);
    thread_count = session.threads();
    result = ProfileCalls(session, *this);
  }
  const bool int8 = MultipliesInt8(*loaded, options.session.activations);
  const ThreadPool pool = MakeThreadPool(thread_count);
  const Limits limits{ReadBandwidth(pool.get()),
                      int8 ? Int8Peak(pool.get()) : FloatPeak(pool.get())};
  progress.Clear();

  const std::vector<Line> node_lines = NodeLines(result);
  const std::vector<Line> op_lines = OperatorLines(node_lines);
  if (format == OutputFormat::kJson) {
    ordered_json json = {{"model", model},
                         {"variant", kernels::ActiveVariant()},
                         {"threads", thread_count},
                         {"tokens", result.tokens},
                         {"us_per_token", result.microseconds},
                         {"read_bandwidth", limits.bandwidth},
                         {"peak_operations_per_second", limits.operations},
                         {"operators", ordered_json::array()}};
    for (const Line& line : op_lines) {
      json["operators"].push_back(ToJson(line, result, limits));
    }
    for (const Line& line : node_lines) {
      if (nodes) json["nodes"].push_back(ToJson(line, result, limits));
    }
    std::cout << json.dump(2) << "\n";
    return;
  }
  const Table table =
      ToTable(nodes ? node_lines : op_lines, nodes, result, limits);
  std::cout << (format == OutputFormat::kTable ? table.Text()
                                               : table.Markdown())
            << "\n"
            << Short(result.microseconds) << " us per token, " << thread_count
            << (thread_count == 1 ? " thread" : " threads")
            << ", kernels: " << kernels::ActiveVariant() << "\nlimits: read "
            << Short(limits.bandwidth / 1e9) << " GB/s, multiply-add "
            << Short(limits.operations / 1e9) << " GOPS\n";
}

}  // namespace

void AddProfileVerb(CLI::App& app) {
  auto verb = std::make_shared<ProfileVerb>();
  CLI::App* profile = app.add_subcommand(
      "profile", "Show where a model's time goes, by operator");
  profile->footer(kExample);
  profile->add_option("MODEL", verb->model, "A model")->required();
  const auto add_count = [&](const char* name, size_t& count, size_t minimum,
                             const char* description) {
    return profile->add_option(name, count, description)
        ->type_name("N")
        ->check(CLI::Range(minimum, kMaxBatch))
        ->capture_default_str();
  };
  CLI::Option* prompt =
      add_count("-p,--prompt", verb->prompt, 1,
                "Language models: profile a prompt of N tokens");
  add_count("-n,--tokens", verb->tokens, 1,
            "Language models: profile the generation of N tokens")
      ->excludes(prompt);
  add_count("--batch", verb->batch, 1, "Other models: tokens per call");
  add_count("-r,--repeat", verb->repeat, 1, "Repetitions");
  profile->add_flag("--nodes", verb->nodes, "A line for each node");
  AddContextOption(*profile, verb->language.session.context,
                   "as many as are fed");
  AddLanguageOptions(*profile, verb->language);
  AddActivationsOption(*profile, verb->language.session.activations);
  AddThreadsOption(*profile, verb->language.session.threads);
  profile->add_option("--seed", verb->seed, "Seed of the random inputs")
      ->type_name("N")
      ->capture_default_str();
  AddFormatOptions(*profile, verb->format);
  profile->callback([verb] { verb->Run(); });
}

}  // namespace lutra::tools
