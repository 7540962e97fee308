#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "lutra/eval/buffers.h"
#include "lutra/eval/limits.h"
#include "lutra/eval/packed_weights.h"
#include "lutra/kernels/variants.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/random.h"
#include "runtime/base/threads.h"
#include "tools/cli/language_options.h"
#include "tools/cli/load_options.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/verbs/profile_lines.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kProfileExample =
    "A language model generates N tokens after an empty context, or with\n"
    "--prompt reads a prompt; another model runs calls of --batch tokens. "
    "Times\n"
    "are per token. 'of limit' is the larger of two shares: the read "
    "bandwidth\n"
    "by the bytes of weights and state, and the multiply-add peak; both "
    "limits\n"
    "are measured in the same run, the bandwidth by reading again and again "
    "as\n"
    "many bytes as a call reads. 'between nodes' is what a call spends\n"
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
  LoadOptions load;
  OutputFormat format = OutputFormat::kTable;

  void Run() const;
};

// Calls run(), which runs `tokens` tokens, once to warm up and then `repeat`
// times with the profile on.
ProfileResult Profile(Session& session, size_t tokens, size_t repeat,
                      const std::function<void()>& run) {
  run();
  session.EnableProfiling(true);
  const auto start = std::chrono::steady_clock::now();
  for (size_t r = 0; r < repeat; ++r) run();
  const std::chrono::duration<double, std::micro> total =
      std::chrono::steady_clock::now() - start;
  ProfileResult result;
  result.tokens = tokens * repeat;
  result.microseconds = total.count() / static_cast<double>(result.tokens);
  result.nodes = session.Profile();
  return result;
}

ProfileResult ProfileLanguage(LanguageModel& model, const ProfileVerb& verb) {
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

ProfileResult ProfileCalls(Session& session, const ProfileVerb& verb) {
  eval::Buffers buffers(session.model(), verb.batch);
  eval::FillRandomly(session.model(), verb.seed, buffers);
  return Profile(session, verb.batch, verb.repeat, [&] {
    session.Reset();
    buffers.Run(session, verb.batch);
  });
}

void ProfileVerb::Run() const {
  const std::shared_ptr<const Model> loaded = Model::Load(model, load);
  const bool is_language = LanguageModel::Accepts(*loaded);
  LanguageModelOptions options = language;
  if (is_language && options.session.context == 0) {
    options.session.context = prompt > 0 ? prompt : tokens;
  }
  Progress progress;
  progress.Show("profiling " + model);
  ProfileResult result;
  size_t thread_count = 0;
  if (is_language) {
    LanguageModel language_model = OpenLanguageModel(loaded, options);
    thread_count = language_model.session().threads();
    result = ProfileLanguage(language_model, *this);
  } else {
    Session session(loaded, options.session);
    thread_count = session.threads();
    result = ProfileCalls(session, *this);
  }
  const bool int8 = eval::MultipliesInt8(*loaded, options.session.activations);
  const std::unique_ptr<Executor> executor = StartThreads(thread_count);
  const ProfileLimits limits{
      eval::ReadBandwidth(executor.get(), BytesOfCall(result)),
      int8 ? eval::Int8Peak(executor.get()) : eval::FloatPeak(executor.get())};
  progress.Clear();

  const std::vector<ProfileLine> node_lines = NodeLines(result);
  const std::vector<ProfileLine> op_lines = OperatorLines(node_lines);
  if (format == OutputFormat::kJson) {
    Json json = {{"model", model},
                 {"variant", kernels::ActiveVariant()},
                 {"threads", thread_count},
                 {"tokens", result.tokens},
                 {"us_per_token", result.microseconds},
                 {"read_bandwidth", limits.bandwidth},
                 {"peak_operations_per_second", limits.operations},
                 {"operators", Json::Array()}};
    for (const ProfileLine& line : op_lines) {
      json["operators"].PushBack(ToJson(line, result, limits));
    }
    for (const ProfileLine& line : node_lines) {
      if (nodes) json["nodes"].PushBack(ToJson(line, result, limits));
    }
    std::cout << json.Dump(2) << "\n";
    return;
  }
  const Table table =
      ToTable(nodes ? node_lines : op_lines, nodes, result, limits);
  std::cout << Rendered(table, format) << "\n"
            << Short(result.microseconds) << " us per token, " << thread_count
            << (thread_count == 1 ? " thread" : " threads")
            << ", kernels: " << kernels::ActiveVariant() << "\nlimits: read "
            << Short(limits.bandwidth / 1e9) << " GB/s, multiply-add "
            << Short(limits.operations / 1e9) << " GOPS\n";
}

}  // namespace

void AddProfileVerb(CommandLine& line) {
  auto verb = std::make_shared<ProfileVerb>();
  Verb profile =
      line.AddVerb("profile", "Show where a model's time goes, by operator");
  profile.Footer(kProfileExample);
  profile.Add("MODEL", verb->model, "A model").Required();
  const auto add_count = [&](const char* name, size_t& count, size_t minimum,
                             const char* description) {
    return profile.Add(name, count, description)
        .TypeName("N")
        .Range(minimum, kMaxBatch)
        .ShowDefault();
  };
  Option prompt = add_count("-p,--prompt", verb->prompt, 1,
                            "Language models: profile a prompt of N tokens");
  add_count("-n,--tokens", verb->tokens, 1,
            "Language models: profile the generation of N tokens")
      .Excludes(prompt);
  add_count("--batch", verb->batch, 1, "Other models: tokens per call");
  add_count("-r,--repeat", verb->repeat, 1, "Repetitions");
  profile.AddFlag("--nodes", verb->nodes, "A line for each node");
  AddContextOption(profile, verb->language.session.context,
                   "as many as are fed");
  AddLanguageOptions(profile, verb->language);
  AddActivationsOption(profile, verb->language.session.activations);
  AddThreadsOption(profile, verb->language.session.threads);
  AddLoadOptions(profile, verb->load);
  profile.Add("--seed", verb->seed, "Seed of the random inputs")
      .TypeName("N")
      .ShowDefault();
  AddFormatOptions(profile, verb->format);
  profile.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
