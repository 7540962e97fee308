#include "tools/verbs/train_log_reader.h"

#include <charconv>
#include <cmath>
#include <exception>
#include <limits>
#include <optional>
#include <sstream>
#include <utility>

#include "lutra/runtime/error.h"
#include "tools/cli/json.h"

namespace lutra::tools {
namespace {

constexpr const char* kStep = "step";

using Line = std::vector<std::pair<std::string, double>>;

std::optional<double> NumberIn(const std::string& text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

// Of a line of CSV; in quotes there may be commas.
std::vector<std::string> Cells(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  return cells;
}

// Throws std::exception for what is no JSON object.
Line JsonLine(const std::string& text) {
  Line line;
  const Json json = Json::Parse(text);
  for (const Json::Member& member : json.members()) {
    if (const auto number = member.value.AsNumber()) {
      line.emplace_back(member.key, *number);
    }
  }
  return line;
}

Line CsvLine(const std::vector<std::string>& header, const std::string& text) {
  Line line;
  const std::vector<std::string> cells = Cells(text);
  for (size_t i = 0; i < header.size() && i < cells.size(); ++i) {
    if (const auto number = NumberIn(cells[i])) {
      line.emplace_back(header[i], *number);
    }
  }
  return line;
}

// Throws unless the line has a step.
void Add(const Line& line, const std::string& path, size_t number,
         TrainLogColumns& log) {
  double step = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [key, value] : line) {
    if (key == kStep) step = value;
  }
  if (!std::isfinite(step)) {
    throw Error::InFile(path, "line " + std::to_string(number) +
                                  " is none of a training's log: it has no "
                                  "step");
  }
  log.steps.push_back(step);
  for (const auto& [key, value] : line) {
    std::vector<double>& column = log.columns[key];
    column.resize(log.steps.size(), std::numeric_limits<double>::quiet_NaN());
    column.back() = value;
  }
}

}  // namespace

TrainLogColumns ReadTrainLog(const std::string& path, const std::string& text) {
  TrainLogColumns log;
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
    if (!header.empty()) {
      Add(CsvLine(header, line), path, number, log);
      continue;
    }
    Line values;
    try {
      values = JsonLine(line);
    } catch (const std::exception&) {
      throw Error::InFile(
          path, "line " + std::to_string(number) + " is not valid JSON");
    }
    Add(values, path, number, log);
  }
  if (log.steps.empty()) throw Error::InFile(path, "has no steps");
  for (auto& [key, column] : log.columns) {
    column.resize(log.steps.size(), std::numeric_limits<double>::quiet_NaN());
  }
  return log;
}

}  // namespace lutra::tools
