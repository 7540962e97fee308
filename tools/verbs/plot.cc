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
#include "tools/cli/table.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kExample =
    "Examples:\n"
    "  lutra train ... --log run.csv\n"
    "  lutra plot run.csv -o run.svg\n"
    "  lutra plot float.jsonl hard.jsonl parq.jsonl -o runs.svg";

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
  return value == nullptr ? kNone : NumberIn(value->Dump());
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

Log ReadLog(const std::string& path) {
  Log log;
  std::istringstream stream(eval::ReadText(path, 0));
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

struct PlotVerb {
  std::vector<std::string> logs;
  std::string output;

  void Run() const {
    OutputFile file(output);
    ChartPanel panels[kCount];
    for (const std::string& path : logs) {
      Log log = ReadLog(path);
      for (size_t i = 0; i < kCount; ++i) {
        panels[i].y_name = kColumns[i].name;
        panels[i].series.push_back(
            {OneLine(path), log.steps, std::move(log.values[i])});
      }
    }
    std::vector<ChartPanel> shown;
    for (ChartPanel& panel : panels) {
      if (HasPoints(panel)) shown.push_back(std::move(panel));
    }
    file.Append(LineChartSvg("step", shown));
    file.Commit();
    std::cout << OneLine(output) << ": " << shown.size() << " panels of "
              << logs.size() << (logs.size() == 1 ? " run\n" : " runs\n");
  }

 private:
  static bool HasPoints(const ChartPanel& panel) {
    for (const ChartSeries& series : panel.series) {
      for (const double y : series.y) {
        if (std::isfinite(y)) return true;
      }
    }
    return false;
  }
};

}  // namespace

void AddPlotVerb(CommandLine& line) {
  auto verb = std::make_shared<PlotVerb>();
  Verb plot = line.AddVerb("plot", "Draw the logs of trainings");
  plot.Footer(kExample);
  plot.Add("LOG", verb->logs, "Files that 'lutra train --log' has written")
      .Required();
  plot.Add("-o,--output", verb->output, "SVG file to write")
      .TypeName("FILE")
      .Required();
  plot.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
