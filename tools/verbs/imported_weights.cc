#include "tools/verbs/imported_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "lutra/packer/weights.h"
#include "tools/cli/table.h"

namespace lutra::tools {

std::string WeightLines(const packer::ImportReport& report) {
  struct Sum {
    size_t count = 0;
    size_t elements = 0;
    size_t bytes = 0;
    size_t near = 0;
    size_t refused = 0;
    double worst = std::numeric_limits<double>::infinity();
    bool dequantized = false;
  };
  std::map<std::string, Sum> sums;
  for (const packer::ImportedWeight& weight : report.weights) {
    Sum& sum = sums[weight.format];
    ++sum.count;
    sum.elements += weight.rows * weight.columns;
    sum.bytes += weight.bytes;
    sum.near += weight.exact ? size_t{0} : size_t{1};
    sum.refused += weight.refusal.empty() ? size_t{0} : size_t{1};
    sum.worst = std::min(sum.worst, weight.sqnr_db);
    sum.dequantized = weight.dequantized;
  }
  std::string text;
  for (const auto& [format, sum] : sums) {
    text +=
        "\n  " + std::to_string(sum.count) + " of " + OneLine(format) + ": ";
    if (sum.refused > 0) {
      text += std::to_string(sum.refused) + " cannot be held";
      continue;
    }
    const double bits =
        packer::WeightTotals{sum.elements, sum.bytes}.BitsPerWeight();
    text += Fixed(bits, 2) + " bits per weight, ";
    if (sum.dequantized) {
      text += "as float32";
    } else if (sum.near == 0) {
      text += "every value exact";
    } else {
      text += std::to_string(sum.near) + " near";
      if (std::isfinite(sum.worst)) {
        text += ", SQNR at least " + Fixed(sum.worst, 1) + " dB";
      }
    }
  }
  return text;
}

std::string FloatLines(const packer::ImportReport& report) {
  std::string text;
  for (const packer::ImportedWeight& weight : report.weights) {
    if (!weight.recovered || weight.exact_groups == weight.groups) continue;
    const double share = static_cast<double>(weight.exact_groups) /
                         static_cast<double>(weight.groups);
    text += "\n  not exact: " + OneLine(weight.name) + ": " +
            std::to_string(weight.groups - weight.exact_groups) + " of " +
            std::to_string(weight.groups) + " groups are not on its grid (" +
            Fixed(100 * share, 2) + " % are), SQNR " +
            Fixed(weight.sqnr_db, 1) + " dB";
  }
  std::map<std::string, size_t> reasons;
  for (const packer::FloatWeight& weight : report.floats) {
    ++reasons[weight.reason];
  }
  for (const auto& [reason, count] : reasons) {
    text += "\n  " + std::to_string(count) + " left as floats: " + reason;
  }
  return text;
}

Json FloatsJson(const packer::ImportReport& report) {
  Json floats = Json::Array();
  for (const packer::FloatWeight& weight : report.floats) {
    floats.PushBack({{"name", weight.name},
                     {"origin", weight.origin},
                     {"reason", weight.reason}});
  }
  return floats;
}

Json WeightsJson(const packer::ImportReport& report) {
  Json weights = Json::Array();
  for (const packer::ImportedWeight& weight : report.weights) {
    Json entry;
    entry["name"] = weight.name;
    entry["origin"] = weight.origin;
    entry["format"] = weight.format;
    entry["rows"] = weight.rows;
    entry["columns"] = weight.columns;
    entry["bytes"] = weight.bytes;
    entry["bits_per_weight"] = weight.BitsPerWeight();
    entry["dequantized"] = weight.dequantized;
    entry["exact"] = weight.exact;
    if (weight.recovered) {
      entry["groups"] = weight.groups;
      entry["exact_groups"] = weight.exact_groups;
    }
    entry["sqnr_db"] = weight.sqnr_db;
    entry["max_error"] = weight.max_error;
    if (!weight.refusal.empty()) entry["refusal"] = weight.refusal;
    weights.PushBack(std::move(entry));
  }
  return weights;
}

std::string NetworkLine(const packer::ImportReport& report) {
  std::string text = OneLine(report.architecture);
  if (report.layers > 0) {
    text += ", " + std::to_string(report.layers) + " layers";
  }
  text += ", " + WithCommas(report.parameters) + " parameters";
  if (report.context > 0) {
    text += ", context " + std::to_string(report.context);
  }
  text += report.tokenizer.empty() ? std::string(", no tokenizer")
                                   : ", tokenizer: " + report.tokenizer + ", " +
                                         WithCommas(report.vocabulary) + " ids";
  if (!report.chat_templates.empty()) text += ", chat template";
  return text;
}

}  // namespace lutra::tools
