#include "tools/verbs/rescale.h"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <utility>

#include "runtime/base/threads.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/scheme_options.h"
#include "tools/cli/table.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kRescaleExample =
    "Rewrites a model with float weights so that it computes the same, but "
    "its\n"
    "layers round better: columns of layers are multiplied by numbers, by "
    "which\n"
    "the norm or layer before them is divided. 'awq' has the errors of "
    "rounded\n"
    "weights in mind, 'smoothquant' int8 activations as well. The numbers are\n"
    "searched for the scheme that the model will be packed with; 'lutra pack\n"
    "--rescale' does it on the way.\n"
    "\n"
    "Examples:\n"
    "  lutra calibrate llm.safetensors --data wiki.txt -o llm.statistics\n"
    "  lutra rescale llm.safetensors -o scaled.safetensors --method awq \\\n"
    "    --calibration llm.statistics --statistics scaled.statistics \\\n"
    "    --bits 3 --group-size 64 --quantizer mse-stretched\n"
    "  lutra rescale llm.safetensors -o scaled.safetensors --method awq \\\n"
    "    --calibration llm.statistics --bits 4 --group-size 32 \\\n"
    "    --scaling-layers "
    "'post_attention_layernorm=gate_proj,up_proj'";

struct RescaleVerb {
  std::string model;
  std::string output;
  std::string calibration;
  std::string statistics;
  RescaleChoice choice{.method = "awq"};
  SchemeOptions schemes;
  size_t threads = 0;
  OutputFormat format = OutputFormat::kTable;

  void Run();
};

double Gain(const packer::RescaledValue& value) {
  return value.result < value.start
             ? 10 * std::log10(value.start / value.result)
             : 0;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : ", ") + word;
  }
  return text;
}

void RescaleVerb::Run() {
  packer::RescaleOptions options = choice.Options();
  options.rules = schemes.Rules();
  const std::unique_ptr<Executor> executor = StartThreads(threads);
  options.executor = executor.get();
  packer::Statistics sums = packer::Statistics::Open(calibration);
  const std::shared_ptr<const Model> source = Model::Load(model);
  Progress progress;
  const EndOnInterrupt interrupt;
  const packer::RescaleReport report = packer::RescaleModel(
      *source, sums, options, output,
      [&](std::string_view value, size_t index, size_t count) {
        interrupt.Check();
        progress.Show("rescaling " + std::string(value), index, count);
      });
  progress.Clear();
  if (!statistics.empty()) packer::MergeStatistics({sums}, statistics);
  if (format == OutputFormat::kJson) {
    Json json = {{"file", output},
                 {"file_bytes", report.file_bytes},
                 {"values", Json::Array()}};
    for (const packer::RescaledValue& value : report.values) {
      Json layers = Json::Array();
      for (const std::string& layer : value.layers) layers.PushBack(layer);
      json["values"].PushBack(Json{{"value", value.value},
                                   {"source", value.source},
                                   {"layers", layers},
                                   {"alpha", value.alpha},
                                   {"error_before", value.start},
                                   {"error", value.result}});
    }
    std::cout << json.Dump(2) << "\n";
    return;
  }
  Table table({{"divided", Table::Align::kLeft},
               {"multiplied", Table::Align::kLeft},
               {"alpha"},
               {"gain dB"}});
  size_t changed = 0;
  for (const packer::RescaledValue& value : report.values) {
    const bool better = value.result < value.start;
    changed += better ? 1 : 0;
    table.AddRow({value.source, Joined(value.layers),
                  better ? Fixed(value.alpha, 2) : "",
                  better ? Fixed(Gain(value), 2) : "left"});
  }
  std::cout << Rendered(table, format) << "\n"
            << OneLine(output) << ": inputs of " << changed << " of "
            << report.values.size() << " groups of layers rescaled; file "
            << WithCommas(report.file_bytes) << " bytes\n";
}

}  // namespace

packer::RescaleOptions RescaleChoice::Options() const {
  packer::RescaleOptions options;
  options.method = packer::ParseRescaleMethod(method);
  options.alpha = alpha;
  options.clamp = clamp;
  for (const std::string& text : layers) {
    AsUsage("--scaling-layers", [&] {
      options.layers.push_back(packer::ParseScalingLayers(text));
    });
  }
  return options;
}

Option AddRescaleOptions(Verb& verb, const char* method,
                         RescaleChoice& choice) {
  const Option option =
      verb.Add(method, choice.method,
               "Numbers for small errors of weights (awq), or of int8 "
               "activations as well (smoothquant)")
          .OneOf({"awq", "smoothquant"});
  verb.Add("--alpha", choice.alpha,
           "How much of the inputs' sizes goes into the numbers, 0 to 1; the "
           "best by itself, for each group of layers")
      .Range(0.0, 1.0);
  verb.Add("--scale-clamp", choice.clamp,
           "The least number of columns; the largest is its inverse")
      .Range(1e-9, 1.0)
      .ShowDefault();
  verb.Add("--scaling-layers", choice.layers,
           "Rescale these alone: SOURCE, a norm or layer, and all LAYERs that "
           "read it, by regular expressions; may be repeated")
      .TypeName("SOURCE=LAYER,...")
      .OneAtATime();
  return option;
}

void AddRescaleVerb(CommandLine& line) {
  auto verb = std::make_shared<RescaleVerb>();
  Verb rescale = line.AddVerb(
      "rescale", "Scale a model's columns so that its weights round better");
  rescale.Footer(kRescaleExample);
  rescale.Add("MODEL", verb->model, "Model with float weights").Required();
  rescale.Add("-o,--output", verb->output, "File to write")
      .TypeName("FILE")
      .Required();
  rescale
      .Add("--calibration", verb->calibration,
           "Statistics of the model (lutra calibrate)")
      .TypeName("FILE")
      .Required();
  rescale
      .Add("--statistics", verb->statistics,
           "Write statistics of the new model")
      .TypeName("FILE");
  AddRescaleOptions(rescale, "--method", verb->choice).ShowDefault();
  AddSchemeOptions(rescale, verb->schemes);
  AddThreadsOption(rescale, verb->threads);
  AddFormatOptions(rescale, verb->format);
  rescale.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
