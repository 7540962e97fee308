#include "tests/golden_replay/report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tools/cli/table.h"

namespace lutra::golden {
namespace {

using nlohmann::ordered_json;

// JSON has no infinity: a deviation that is infinite is null.
ordered_json Deviation(double worst) {
  if (!std::isfinite(worst)) return nullptr;
  return worst;
}

ordered_json ToJson(const Summary& summary) {
  return {{"cases", summary.cases},
          {"passed", summary.passed},
          {"values", summary.values},
          {"mismatches", summary.mismatches},
          {"worst", Deviation(summary.worst)}};
}

ordered_json ToJson(const CaseResult& result) {
  return {{"case", result.name},
          {"passed", result.passed},
          {"values", result.values},
          {"mismatches", result.mismatches},
          {"worst", Deviation(result.worst)},
          {"tolerance", result.tolerance},
          {"note", result.note}};
}

}  // namespace

void Summary::Add(const CaseResult& result) {
  ++cases;
  passed += result.passed ? 1 : 0;
  values += result.values;
  mismatches += result.mismatches;
  worst = std::max(worst, result.worst);
}

void Summary::Add(const FolderResult& result) {
  for (const CaseResult& one : result.cases) Add(one);
}

std::string Line(const CaseResult& result) {
  std::string line = (result.passed ? "pass  " : "FAIL  ") + result.name;
  // What broke off before it compared anything has only its reason.
  if (result.values > 0 || result.mismatches > 0) {
    line += ": " + tools::WithCommas(result.mismatches) + " of " +
            tools::WithCommas(result.values) + " values miss, worst " +
            tools::Short(result.worst) + " (" + result.tolerance + ")";
  }
  if (!result.note.empty()) line += ": " + result.note;
  return tools::OneLine(std::move(line));
}

std::string Line(const Summary& summary) {
  return tools::WithCommas(summary.passed) + " of " +
         tools::WithCommas(summary.cases) + " cases pass, " +
         tools::WithCommas(summary.mismatches) + " of " +
         tools::WithCommas(summary.values) + " values miss, worst " +
         tools::Short(summary.worst);
}

std::string Json(const std::vector<FolderResult>& folders) {
  Summary total;
  ordered_json list = ordered_json::array();
  for (const FolderResult& folder : folders) {
    Summary summary;
    summary.Add(folder);
    total.Add(folder);
    ordered_json cases = ordered_json::array();
    for (const CaseResult& result : folder.cases) {
      cases.push_back(ToJson(result));
    }
    list.push_back({{"folder", folder.folder.string()},
                    {"kind", folder.kind},
                    {"summary", ToJson(summary)},
                    {"cases", std::move(cases)}});
  }
  ordered_json json;
  json["passed"] = total.cases > 0 && total.failed() == 0;
  json["total"] = ToJson(total);
  json["folders"] = std::move(list);
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace lutra::golden
