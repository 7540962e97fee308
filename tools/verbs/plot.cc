#include <algorithm>
#include <charconv>
#include <cmath>
#include <exception>
#include <iostream>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "lutra/eval/perplexity.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/output_file.h"
#include "tools/cli/json.h"
#include "tools/cli/line_chart.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/eval_results.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kExample =
    "Examples:\n"
    "  lutra train ... --log run.csv\n"
    "  lutra plot run.csv -o run.svg\n"
    "  lutra plot float.jsonl hard.jsonl parq.jsonl -o runs.svg\n"
    "  lutra eval --text wiki.txt --reference float.safetensors --json \\\n"
    "    llm-2.safetensors llm-3.safetensors llm-4.safetensors > gptq.json\n"
    "  lutra plot plain.json gptq.json -o bits.svg";

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct Column {
  const char* key;   // in the log
  const char* name;  // of the axis
};
constexpr Column kColumns[] = {{"loss", "loss (nats)"},
                               {"learning_rate", "learning rate"},
                               {"gradient_norm", "norm of the gradient"},
                               {"inverse_slope", "inverse slope"}};
constexpr size_t kCount = std::size(kColumns);

// What 'lutra train --log' has written.
struct Log {
  std::vector<double> steps;
  std::vector<double> values[kCount];
};

double NumberIn(const std::string& text) {
  double value = kNone;
  const auto result =
      std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size()
             ? value
             : kNone;
}

double NumberOf(const Json& line, const char* key) {
  const Json* value = line.Find(key);
  return value == nullptr ? kNone : value->AsNumber().value_or(kNone);
}

std::vector<std::string> Cells(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream stream(line);
  for (std::string cell; std::getline(stream, cell, ',');) {
    cells.push_back(cell);
  }
  return cells;
}

// Of a line of CSV below `header`.
double NumberOf(const std::vector<std::string>& header,
                const std::vector<std::string>& cells, const char* key) {
  for (size_t i = 0; i < header.size() && i < cells.size(); ++i) {
    if (header[i] == key) return NumberIn(cells[i]);
  }
  return kNone;
}

Log ReadLog(const std::string& path, const std::string& text) {
  Log log;
  std::istringstream stream(text);
  std::vector<std::string> header;  // none: JSON
  size_t number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    if (line.empty()) continue;
    if (number == 1 && line[0] != '{') {
      header = Cells(line);
      continue;
    }
    const auto add = [&](const auto& value) {
      const double step = value("step");
      if (!std::isfinite(step)) {
        throw Error::InFile(path, "line " + std::to_string(number) +
                                      " is none of a training's log: it has "
                                      "no step");
      }
      log.steps.push_back(step);
      for (size_t i = 0; i < kCount; ++i) {
        log.values[i].push_back(value(kColumns[i].key));
      }
    };
    if (header.empty()) {
      Json json;
      try {
        json = Json::Parse(line);
      } catch (const std::exception&) {
        throw Error::InFile(
            path, "line " + std::to_string(number) + " is not valid JSON");
      }
      add([&](const char* key) { return NumberOf(json, key); });
    } else {
      const std::vector<std::string> cells = Cells(line);
      add([&](const char* key) { return NumberOf(header, cells, key); });
    }
  }
  if (log.steps.empty()) throw Error::InFile(path, "has no steps");
  return log;
}

void AddLog(const std::string& path, const std::string& text,
            std::vector<ChartPanel>& panels) {
  Log log = ReadLog(path, text);
  for (size_t i = 0; i < kCount; ++i) {
    panels[i].series.push_back(
        {OneLine(path), log.steps, std::move(log.values[i])});
  }
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

  void Run() const {
    OutputFile file(output);
    std::vector<ChartPanel> panels;
    for (const Column& column : kColumns) panels.push_back({column.name, {}});
    EvalResults results;
    for (const std::string& path : inputs) {
      const std::string text = eval::ReadText(path, 0);
      if (!results.Add(path, text)) AddLog(path, text, panels);
      if (!results.empty() && !panels[0].series.empty()) {
        throw Error::InFile(path,
                            "logs of trainings and results of lutra eval are "
                            "pictures of their own");
      }
    }
    if (!results.empty()) {
      panels = results.Panels();
    } else if (format != OutputFormat::kTable) {
      throw UsageError("--format", "is for results of lutra eval");
    }
    EraseEmpty(panels);
    file.Append(
        LineChartSvg(results.empty() ? "step" : "bits per weight", panels));
    file.Commit();
    if (!results.empty()) return results.Print(format);
    std::cout << OneLine(output) << ": " << panels.size() << " panels of "
              << inputs.size() << (inputs.size() == 1 ? " run\n" : " runs\n");
  }
};

}  // namespace

void AddPlotVerb(CommandLine& line) {
  auto verb = std::make_shared<PlotVerb>();
  Verb plot = line.AddVerb(
      "plot", "Draw logs of trainings, or what models lose at their bits");
  plot.Footer(kExample);
  plot.Add("FILE", verb->inputs,
           "What 'lutra train --log' has written, or 'lutra eval --text ... "
           "--json' prints; each is a line of the picture")
      .Required();
  plot.Add("-o,--output", verb->output, "SVG file to write")
      .TypeName("FILE")
      .Required();
  AddFormatOptions(plot, verb->format);
  plot.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
