#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/eval/perplexity.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/output_file.h"
#include "tools/cli/line_chart.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/eval_results.h"
#include "tools/verbs/train_log.h"
#include "tools/verbs/train_log_reader.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kPlotExample =
    "Examples:\n"
    "  lutra train ... --log run.csv\n"
    "  lutra plot run.csv -o run.svg\n"
    "  lutra plot float.jsonl hard.jsonl parq.jsonl -o runs.svg\n"
    "  lutra plot parq.jsonl --layers -o layers.png\n"
    "  lutra eval --text wiki.txt --reference float.safetensors --json \\\n"
    "    llm-2.safetensors llm-3.safetensors llm-4.safetensors > gptq.json\n"
    "  lutra plot plain.json gptq.json -o bits.svg";

struct Column {
  const char* key;   // in the log
  const char* name;  // of the axis
};
constexpr Column kColumns[] = {{"loss", "loss (nats)"},
                               {"validation_loss", "validation (nats)"},
                               {"learning_rate", "learning rate"},
                               {"gradient_norm", "norm of the gradient"},
                               {"inverse_slope", "inverse slope"}};
constexpr const char* kDistanceName = "distance to the grid";

bool IsDistance(const std::string& key) {
  return key.starts_with(kGridDistance);
}

// The mean over all weights.
std::vector<double> MeanDistance(const TrainLogColumns& log) {
  std::vector<double> mean(log.steps.size());
  size_t weights = 0;
  for (const auto& [key, values] : log.columns) {
    if (!IsDistance(key)) continue;
    ++weights;
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += values[i];
  }
  for (double& value : mean) value /= static_cast<double>(weights);
  return mean;
}

// What fits beside a panel, of a weight's name.
std::string AxisName(std::string name) {
  constexpr size_t kLetters = 26;
  constexpr std::string_view kModel = "model.";
  constexpr std::string_view kWeight = ".weight";
  if (name.starts_with(kModel)) name.erase(0, kModel.size());
  if (name.ends_with(kWeight)) name.resize(name.size() - kWeight.size());
  if (name.size() > kLetters) {
    name = "..." + name.substr(name.size() - kLetters + 3);
  }
  return OneLine(name);
}

// A line in every panel.
void AddLog(const std::string& path, const TrainLogColumns& log,
            std::vector<ChartPanel>& panels) {
  for (size_t i = 0; i < std::size(kColumns); ++i) {
    const auto values = log.columns.find(kColumns[i].key);
    panels[i].series.push_back(
        {OneLine(path), log.steps,
         values == log.columns.end() ? std::vector<double>() : values->second});
  }
  panels.back().series.push_back({OneLine(path), log.steps, MeanDistance(log)});
}

// A panel for each kind of weight, whose names differ in their first number,
// and in it a line for each such number.
std::vector<ChartPanel> LayersOf(const std::string& path,
                                 const TrainLogColumns& log) {
  constexpr std::string_view kDigits = "0123456789";
  std::map<std::string, std::map<std::string, std::vector<double>>> kinds;
  // Numbers by their size: a longer one is larger.
  std::set<std::pair<size_t, std::string>> layers;
  for (const auto& [key, values] : log.columns) {
    if (!IsDistance(key)) continue;
    std::string name = key.substr(kGridDistance.size());
    std::string number;
    const size_t begin = name.find_first_of(kDigits);
    if (begin != std::string::npos) {
      const size_t end = name.find_first_not_of(kDigits, begin);
      number = name.substr(begin, end - begin);
      name.replace(begin, number.size(), "*");
    }
    kinds[name][number] = values;
    layers.emplace(number.size(), number);
  }
  if (kinds.empty()) throw Error::InFile(path, "has no distances from grids");
  std::vector<ChartPanel> panels;
  for (const auto& [name, of_kind] : kinds) {
    ChartPanel& panel = panels.emplace_back();
    panel.y_name = AxisName(name);
    for (const auto& [size, number] : layers) {
      const auto values = of_kind.find(number);
      panel.series.push_back(
          {number.empty() ? "no number" : "* = " + number, log.steps,
           values == of_kind.end() ? std::vector<double>() : values->second});
    }
  }
  return panels;
}

bool HasPoints(const ChartPanel& panel) {
  for (const ChartSeries& series : panel.series) {
    for (const double y : series.y) {
      if (std::isfinite(y)) return true;
    }
  }
  return false;
}

void EraseEmpty(std::vector<ChartPanel>& panels) {
  panels.erase(
      std::remove_if(panels.begin(), panels.end(),
                     [](const ChartPanel& panel) { return !HasPoints(panel); }),
      panels.end());
}

struct PlotVerb {
  std::vector<std::string> inputs;
  std::string output;
  OutputFormat format = OutputFormat::kTable;
  bool layers = false;

  bool IsPng() const {
    const std::string ending = std::filesystem::path(output).extension();
    return ending == ".png" || ending == ".PNG";
  }

  void Run() const {
    OutputFile file(output);
    std::vector<ChartPanel> panels;
    for (const Column& column : kColumns) panels.push_back({column.name, {}});
    panels.push_back({kDistanceName, {}});
    EvalResults results;
    if (layers && inputs.size() != 1) {
      throw UsageError("--layers", "is for one log");
    }
    for (const std::string& path : inputs) {
      const std::string text = eval::ReadText(path, 0);
      if (!results.Add(path, text)) {
        const TrainLogColumns log = ReadTrainLog(path, text);
        AddLog(path, log, panels);
        if (layers) panels = LayersOf(path, log);
      }
      if (!results.empty() && !panels[0].series.empty()) {
        throw Error::InFile(path,
                            "logs of trainings and results of lutra eval are "
                            "pictures of their own");
      }
    }
    if (!results.empty()) {
      if (layers) throw UsageError("--layers", "is for logs of trainings");
      panels = results.Panels();
    } else if (format != OutputFormat::kTable) {
      throw UsageError("--format", "is for results of lutra eval");
    }
    EraseEmpty(panels);
    const char* const x_name = results.empty() ? "step" : "bits per weight";
    const Drawing chart = LineChart(
        layers ? "step (distance of weights from their grids)" : x_name,
        panels);
    file.Append(IsPng() ? DrawingPng(chart) : DrawingSvg(chart));
    file.Commit();
    if (!results.empty()) return results.Print(format);
    std::cout << OneLine(output) << ": " << panels.size()
              << (panels.size() == 1 ? " panel of " : " panels of ")
              << inputs.size() << (inputs.size() == 1 ? " run\n" : " runs\n");
  }
};

}  // namespace

void AddPlotVerb(CommandLine& line) {
  auto verb = std::make_shared<PlotVerb>();
  Verb plot = line.AddVerb(
      "plot", "Draw logs of trainings, or what models lose at their bits");
  plot.Footer(kPlotExample);
  plot.Add("FILE", verb->inputs,
           "What 'lutra train --log' has written, or 'lutra eval --text ... "
           "--json' prints; each is a line of the picture")
      .Required();
  plot.Add("-o,--output", verb->output,
           "Picture to write: PNG for .png, else SVG")
      .TypeName("FILE")
      .Required();
  plot.AddFlag("--layers", verb->layers,
               "Of one log, the distance to the grid of each weight");
  AddFormatOptions(plot, verb->format);
  plot.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
