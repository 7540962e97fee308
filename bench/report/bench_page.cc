#include "bench/report/bench_page.h"

#include <algorithm>
#include <fstream>
#include <vector>

#include "bench/report/bench_reach.h"
#include "lutra/eval/timing.h"
#include "lutra/runtime/error.h"
#include "tools/cli/table.h"

namespace lutra::tools {
namespace {

using Align = Table::Align;

std::string WithUnit(double value, const std::string& unit) {
  if (unit == "%") return Fixed(value, value < 10 ? 1 : 0) + " %";
  return Fixed(value, 2) + (unit == "x" ? "x" : " " + unit);
}

// One value, or the median and the range.
std::string Measured(const ReachRow& row) {
  if (row.cases.empty()) return "not measured";
  std::vector<double> values;
  for (const ReachRow::Case& c : row.cases) values.push_back(c.value);
  if (values.size() == 1) return WithUnit(values[0], row.unit);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return WithUnit(eval::Median(values), row.unit) + " (" +
         WithUnit(*low, row.unit) + " to " + WithUnit(*high, row.unit) + ", " +
         std::to_string(values.size()) + " cases)";
}

std::string Verdict(const ReachRow& row, const Reasons& reasons) {
  if (row.cases.empty()) return "";
  const auto missed =
      std::count_if(row.cases.begin(), row.cases.end(),
                    [&row](const ReachRow::Case& c) { return !row.Meets(c); });
  if (missed == 0) return "met";
  std::string text = "missed";
  if (row.cases.size() > 1) {
    text += " by " + std::to_string(missed) + " of " +
            std::to_string(row.cases.size());
  }
  const auto reason = reasons.find(row.id);
  return reason == reasons.end() ? text : text + ": " + reason->second;
}

std::string ReachTable(const BenchRun& run, const Reasons& reasons) {
  Table table({{"what", Align::kLeft},
               {"reach"},
               {"measured", Align::kLeft},
               {"", Align::kLeft}});
  for (const ReachRow& row : MeasureReach(run)) {
    table.AddRow({row.what,
                  (row.at_least ? "≥ " : "≤ ") + WithUnit(row.bound, row.unit),
                  Measured(row), Verdict(row, reasons)});
  }
  return table.Markdown();
}

std::string LimitTable(const BenchRun& run) {
  static constexpr struct {
    const char* name;
    const char* what;
    const char* unit;
  } kLimits[] = {{"read_bandwidth", "read bandwidth", " GB/s"},
                 {"int8_dot", "int8 dot product of the variant", " GOPS"},
                 {"float_multiply_add", "float multiply-add", " GFLOPS"}};
  Table table({{"limit", Align::kLeft}, {"1 thread"}, {"2 threads"}});
  for (const auto& limit : kLimits) {
    std::vector<std::string> cells = {limit.what};
    for (const char* threads : {"1", "2"}) {
      const BenchResult* result =
          run.Find(std::string("limit/") + limit.name + "/threads:" + threads);
      cells.push_back(result == nullptr
                          ? ""
                          : Fixed(result->Counter("G/s"), 1) + limit.unit);
    }
    table.AddRow(std::move(cells));
  }
  return table.Markdown();
}

// "" for a counter that a benchmark does not have.
std::string Cell(const BenchResult& result, const char* counter, int digits) {
  return result.counters.contains(counter)
             ? Fixed(result.Counter(counter), digits)
             : "";
}

// The name without its kind, as words.
std::string CaseOf(const BenchResult& result, const std::string& kind) {
  std::string text = result.name.substr(kind.size());
  std::replace(text.begin(), text.end(), '/', ' ');
  std::replace(text.begin(), text.end(), ':', ' ');
  text.erase(0, text.find_first_not_of(' '));
  return text;
}

// One table for each kind: what the name starts with.
std::string ResultTables(const BenchRun& run) {
  static constexpr struct {
    const char* kind;
    const char* title;
  } kKinds[] = {
      {"gemv/int8/cold", "GEMV, weights from memory"},
      {"gemv/int8/warm", "GEMV, weights from a cache"},
      {"gemm/int8/warm", "GEMM"},
      {"gemv/float", "GEMV, float activations"},
      {"gemm/float", "GEMM, float activations"},
      {"quantize", "Activation quantization alone"},
      {"peer", "Other libraries"},
  };
  std::string text;
  for (const auto& [kind, title] : kKinds) {
    Table table({{"case", Align::kLeft},
                 {"us"},
                 {"GB/s"},
                 {"GOPS"},
                 {"% of limit"},
                 {"bits per weight"}});
    bool any = false;
    for (const BenchResult& result : run.results) {
      if (!result.name.starts_with(kind)) continue;
      any = true;
      table.AddRow({CaseOf(result, kind), Short(result.Counter("us")),
                    Cell(result, "GB/s", 1), Cell(result, "GOPS", 0),
                    Cell(result, "limit", 0), Cell(result, "bits/w", 2)});
    }
    if (any) {
      text.append("\n### ").append(title).append("\n\n");
      text += table.Markdown();
    }
  }
  return text;
}

std::string ContextOf(const BenchRun& run, std::string_view key) {
  const auto found = run.context.find(key);
  return found == run.context.end() ? "unknown" : OneLine(found->second);
}

}  // namespace

Reasons ReadReasons(const std::string& path) {
  std::ifstream stream(path);
  if (!stream) throw Error::InFile(path, "cannot be read");
  Reasons reasons;
  std::string line;
  while (std::getline(stream, line)) {
    if (line.empty() || line[0] == '#') continue;
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) {
      throw Error::InFile(path, "a line has no 'id: reason'");
    }
    reasons[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return reasons;
}

std::string BenchPage(const BenchRun& run, const std::string& picture,
                      const Reasons& reasons) {
  std::string page =
      "# Speed of the kernels\n\n"
      "Written by `bench_report`; [kernels.md](kernels.md) explains the "
      "kernels.\n\n";
  Table about({{"", Align::kLeft}, {"", Align::kLeft}});
  about.AddRow({"CPU", ContextOf(run, "cpu") + ", " +
                           ContextOf(run, "num_cpus") + " cores"});
  about.AddRow({"variant", ContextOf(run, "kernel variant")});
  about.AddRow({"compiler", ContextOf(run, "compiler")});
  about.AddRow({"date", ContextOf(run, "date")});
  about.AddRow({"command", "`" + ContextOf(run, "command") + "`"});
  page += about.Markdown();
  page +=
      "\nTimes are medians over calls. A share of a limit is the ratio to the\n"
      "median of measurements of that limit between those calls: of the read\n"
      "bandwidth for a token with weights from memory, else of the int8 dot\n"
      "product (with float activations: multiply-add) of the variant on\n"
      "registers. The limits below are the best that was seen at the "
      "start.\n\n";
  page += LimitTable(run);
  page +=
      "\n## Reach\n\n"
      "A row is met if every case is; the measured value is the median of the\n"
      "cases.\n\n";
  page += ReachTable(run, reasons);
  if (!picture.empty()) {
    page +=
        "\n## Roofline\n\n![Operations per second against operations per "
        "byte of packed weights](" +
        picture + ")\n";
  }
  page += "\n## Results\n" + ResultTables(run);
  return page;
}

}  // namespace lutra::tools
