#include "bench/report/bench_results.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lutra/eval/timing.h"
#include "lutra/runtime/error.h"

namespace lutra::tools {
namespace {

using nlohmann::json;

// Parts that Google Benchmark appends to names.
bool IsAppended(std::string_view part) {
  return part == "manual_time" || part == "real_time" ||
         part == "process_time" || part.starts_with("iterations:") ||
         part.starts_with("repeats:") || part.starts_with("min_time:");
}

std::vector<std::string_view> Parts(std::string_view name) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t slash = name.find('/');
    parts.push_back(name.substr(0, slash));
    if (slash == std::string_view::npos) return parts;
    name.remove_prefix(slash + 1);
  }
}

std::string RegisteredName(std::string_view name) {
  std::string registered;
  for (const std::string_view part : Parts(name)) {
    if (IsAppended(part)) continue;
    if (!registered.empty()) registered += '/';
    registered += part;
  }
  return registered;
}

double SecondsPerUnit(const std::string& unit) {
  if (unit == "ns") return 1e-9;
  if (unit == "us") return 1e-6;
  if (unit == "ms") return 1e-3;
  return 1;
}

// Fields of an entry that are not counters.
bool IsCounter(const std::string& key, const json& value) {
  static constexpr std::string_view kOthers[] = {
      "family_index", "per_family_instance_index",
      "repetitions",  "repetition_index",
      "threads",      "iterations",
      "real_time",    "cpu_time"};
  return value.is_number() && std::find(std::begin(kOthers), std::end(kOthers),
                                        key) == std::end(kOthers);
}

// The counters of all repetitions of a benchmark.
using CounterLists = std::map<std::string, std::vector<double>, std::less<>>;

double Speed(const json& entry) {
  if (entry.contains("G/s")) return entry.at("G/s").get<double>();
  // Counter us is a median over calls.
  const double seconds =
      entry.contains("us")
          ? entry.at("us").get<double>() * 1e-6
          : entry.at("real_time").get<double>() *
                SecondsPerUnit(entry.value("time_unit", std::string("ns")));
  return seconds > 0 ? 1 / seconds : 0;
}

BenchRun Convert(const json& file) {
  BenchRun run;
  for (const auto& [key, value] : file.at("context").items()) {
    run.context[key] =
        value.is_string() ? value.get<std::string>() : value.dump();
  }
  std::vector<CounterLists> counters;
  std::map<std::string, size_t> index;
  for (const json& entry : file.at("benchmarks")) {
    if (entry.value("run_type", std::string()) == "aggregate" ||
        entry.value("error_occurred", false)) {
      continue;
    }
    const std::string name =
        RegisteredName(entry.at("name").get<std::string>());
    const auto [at, is_new] = index.emplace(name, run.results.size());
    if (is_new) {
      run.results.push_back({name, {}, {}});
      counters.emplace_back();
    }
    run.results[at->second].speeds.push_back(Speed(entry));
    for (const auto& [key, value] : entry.items()) {
      if (IsCounter(key, value)) {
        counters[at->second][key].push_back(value.get<double>());
      }
    }
  }
  for (size_t i = 0; i < counters.size(); ++i) {
    for (auto& [key, values] : counters[i]) {
      run.results[i].counters[key] = eval::Median(std::move(values));
    }
  }
  return run;
}

// "12.3 us" or "24.1 G/s", with half the range of the repetitions.
std::string Describe(const BenchResult& result) {
  const double median = eval::Median(result.speeds);
  const bool is_rate = result.counters.contains("G/s");
  std::string text =
      is_rate ? Short(median) + " G/s" : Short(1e6 / median) + " us";
  if (result.speeds.size() > 1) {
    const auto [low, high] =
        std::minmax_element(result.speeds.begin(), result.speeds.end());
    text += " ±" + Fixed(50 * (*high - *low) / median, 1) + "%";
  }
  return text;
}

// "faster", "slower", "" within the noise, "?" where that cannot be told.
std::string Verdict(const BenchResult& a, const BenchResult& b) {
  constexpr size_t kEnough = 3;
  if (a.speeds.size() < kEnough || b.speeds.size() < kEnough) return "?";
  const auto [low_a, high_a] =
      std::minmax_element(a.speeds.begin(), a.speeds.end());
  const auto [low_b, high_b] =
      std::minmax_element(b.speeds.begin(), b.speeds.end());
  if (*low_b > *high_a) return "faster";
  return *high_b < *low_a ? "slower" : "";
}

}  // namespace

std::string BenchResult::Part(size_t index) const {
  const std::vector<std::string_view> parts = Parts(name);
  return index < parts.size() ? std::string(parts[index]) : "";
}

std::string BenchResult::Field(std::string_view key) const {
  for (const std::string_view part : Parts(name)) {
    if (part.size() > key.size() && part.starts_with(key) &&
        part[key.size()] == ':') {
      return std::string(part.substr(key.size() + 1));
    }
  }
  return "";
}

double BenchResult::Counter(std::string_view key) const {
  const auto found = counters.find(key);
  return found == counters.end() ? 0 : found->second;
}

const BenchResult* BenchRun::Find(std::string_view name) const {
  const auto found =
      std::find_if(results.begin(), results.end(),
                   [name](const BenchResult& r) { return r.name == name; });
  return found == results.end() ? nullptr : &*found;
}

BenchRun ReadBenchRun(const std::string& path) {
  std::ifstream stream(path);
  if (!stream) throw Error::InFile(path, "cannot be read");
  try {
    BenchRun run = Convert(json::parse(stream));
    if (run.results.empty()) throw Error::InFile(path, "has no benchmarks");
    return run;
  } catch (const json::exception& e) {
    throw Error::InFile(
        path, std::string("not the JSON of Google Benchmark: ") + e.what());
  }
}

Table CompareBenchRuns(const BenchRun& a, const BenchRun& b) {
  Table table({{"benchmark", Table::Align::kLeft},
               {"A"},
               {"B"},
               {"speed B/A"},
               {"outside the noise", Table::Align::kLeft}});
  double logarithms = 0;
  size_t count = 0;
  for (const BenchResult& of_a : a.results) {
    const BenchResult* of_b = b.Find(of_a.name);
    if (of_b == nullptr) continue;
    const double ratio = eval::Median(of_b->speeds) / eval::Median(of_a.speeds);
    table.AddRow({of_a.name, Describe(of_a), Describe(*of_b), Fixed(ratio, 3),
                  Verdict(of_a, *of_b)});
    if (ratio > 0 && std::isfinite(ratio)) {
      logarithms += std::log(ratio);
      ++count;
    }
  }
  if (count > 0) {
    table.AddRow({"geometric mean", "", "",
                  Fixed(std::exp(logarithms / static_cast<double>(count)), 3),
                  ""});
  }
  return table;
}

}  // namespace lutra::tools
