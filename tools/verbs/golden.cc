#include "lutra/qat/golden.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "lutra/runtime/error.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kExample =
    "A golden file records what the original PARQ and torchao code computed.\n"
    "Every case is computed again and compared; if one misses, the exit code\n"
    "is 1.\n"
    "\n"
    "Example:\n"
    "  lutra golden shared/golden/parq\n"
    "  lutra golden shared/golden/parq --json > report.json";

// The cases of one file, added up.
struct FileSummary {
  std::string file;
  size_t cases = 0;
  size_t passed = 0;
  size_t values = 0;
  size_t mismatches = 0;
  double worst = 0.0;

  void Add(const qat::GoldenResult& result) {
    ++cases;
    passed += result.passed ? 1 : 0;
    values += result.values;
    mismatches += result.mismatches;
    worst = std::max(worst, result.worst);
  }
  const char* Verdict() const { return passed == cases ? "pass" : "MISS"; }
};

// In the order of the results, whose cases of one file are neighbours.
std::vector<FileSummary> Summarise(
    const std::vector<qat::GoldenResult>& results) {
  std::vector<FileSummary> files;
  for (const qat::GoldenResult& result : results) {
    if (files.empty() || files.back().file != result.file) {
      files.push_back({.file = result.file});
    }
    files.back().Add(result);
  }
  return files;
}

FileSummary Total(const std::vector<qat::GoldenResult>& results) {
  FileSummary total{.file = "all"};
  for (const qat::GoldenResult& result : results) total.Add(result);
  return total;
}

Json ToJson(const FileSummary& summary) {
  return {{"file", summary.file},
          {"cases", summary.cases},
          {"passed", summary.passed},
          {"values", summary.values},
          {"mismatches", summary.mismatches},
          {"worst", summary.worst}};
}

Json ToJson(const std::vector<qat::GoldenResult>& results) {
  const FileSummary total = Total(results);
  Json json;
  json["passed"] = total.passed == total.cases;
  json["total"] = ToJson(total);
  json["files"] = Json::Array();
  for (const FileSummary& summary : Summarise(results)) {
    json["files"].PushBack(ToJson(summary));
  }
  json["cases"] = Json::Array();
  for (const qat::GoldenResult& result : results) {
    json["cases"].PushBack({{"file", result.file},
                            {"case", result.name},
                            {"values", result.values},
                            {"mismatches", result.mismatches},
                            {"worst", result.worst},
                            {"passed", result.passed},
                            {"note", result.note}});
  }
  return json;
}

Table CaseTable(const std::vector<qat::GoldenResult>& results) {
  Table table({{"file", Table::Align::kLeft},
               {"case", Table::Align::kLeft},
               {"values"},
               {"worst deviation"},
               {"verdict", Table::Align::kLeft},
               {"note", Table::Align::kLeft}});
  for (const qat::GoldenResult& result : results) {
    table.AddRow({result.file, result.name, WithCommas(result.values),
                  Short(result.worst), result.passed ? "pass" : "MISS",
                  result.note});
  }
  return table;
}

Table FileTable(const std::vector<qat::GoldenResult>& results) {
  Table table({{"file", Table::Align::kLeft},
               {"cases"},
               {"passed"},
               {"values"},
               {"worst deviation"},
               {"verdict", Table::Align::kLeft}});
  std::vector<FileSummary> rows = Summarise(results);
  rows.push_back(Total(results));
  for (const FileSummary& row : rows) {
    table.AddRow({row.file, WithCommas(row.cases), WithCommas(row.passed),
                  WithCommas(row.values), Short(row.worst), row.Verdict()});
  }
  return table;
}

struct GoldenVerb {
  std::string folder;
  OutputFormat format = OutputFormat::kTable;

  void Run() const {
    const std::vector<qat::GoldenResult> results = qat::ReplayGolden(folder);
    if (format == OutputFormat::kJson) {
      // A file's names may hold bytes that are not UTF-8.
      std::cout << ToJson(results).Dump(2, Json::BadText::kReplace) << "\n";
    } else {
      const bool text = format == OutputFormat::kTable;
      for (const Table& table : {CaseTable(results), FileTable(results)}) {
        std::cout << (text ? table.Text() : table.Markdown()) << "\n";
      }
    }
    const FileSummary total = Total(results);
    if (total.passed == total.cases) return;
    std::cout.flush();
    throw Error::InFile(folder, std::to_string(total.cases - total.passed) +
                                    " of " + std::to_string(total.cases) +
                                    " cases miss");
  }
};

}  // namespace

void AddGoldenVerb(CommandLine& line) {
  auto verb = std::make_shared<GoldenVerb>();
  Verb golden = line.AddVerb(
      "golden", "Check the numerics of training against recorded ones");
  golden.Footer(kExample);
  golden.Add("DIR", verb->folder, "Folder with golden files (.safetensors)")
      .Required();
  AddFormatOptions(golden, verb->format);
  golden.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
