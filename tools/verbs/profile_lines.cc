#include "tools/verbs/profile_lines.h"

#include <algorithm>
#include <map>
#include <utility>

namespace lutra::tools {

double ProfileLimits::Share(const ProfileLine& line) const {
  if (line.microseconds <= 0) return 0;
  return 1e6 *
         std::max(line.bytes / bandwidth,
                  operations > 0 ? 2 * line.multiply_adds / operations : 0) /
         line.microseconds;
}

size_t BytesOfCall(const ProfileResult& result) {
  double bytes = 0;
  for (const NodeProfile& node : result.nodes) {
    if (node.calls == 0) continue;
    bytes += static_cast<double>(node.bytes) / static_cast<double>(node.calls);
  }
  return static_cast<size_t>(bytes);
}

std::vector<ProfileLine> NodeLines(const ProfileResult& result) {
  const auto tokens = static_cast<double>(result.tokens);
  std::vector<ProfileLine> lines;
  for (const NodeProfile& node : result.nodes) {
    if (node.calls == 0) continue;
    lines.push_back({node.name, std::string(Name(node.op)), 1,
                     static_cast<double>(node.nanoseconds) / 1e3 / tokens,
                     static_cast<double>(node.bytes) / tokens,
                     static_cast<double>(node.multiply_adds) / tokens});
  }
  return lines;
}

std::vector<ProfileLine> OperatorLines(const std::vector<ProfileLine>& nodes) {
  std::map<std::string, ProfileLine> by_op;
  for (const ProfileLine& node : nodes) {
    ProfileLine& line =
        by_op.try_emplace(node.op, ProfileLine{"", node.op, 0}).first->second;
    ++line.nodes;
    line.microseconds += node.microseconds;
    line.bytes += node.bytes;
    line.multiply_adds += node.multiply_adds;
  }
  std::vector<ProfileLine> lines;
  for (auto& [op, line] : by_op) lines.push_back(std::move(line));
  std::stable_sort(lines.begin(), lines.end(),
                   [](const ProfileLine& a, const ProfileLine& b) {
                     return a.microseconds > b.microseconds;
                   });
  return lines;
}

Json ToJson(const ProfileLine& line, const ProfileResult& result,
            const ProfileLimits& limits) {
  Json json;
  if (!line.name.empty()) json["name"] = line.name;
  json["op"] = line.op;
  json["nodes"] = line.nodes;
  json["us_per_token"] = line.microseconds;
  json["share_of_time"] = line.microseconds / result.microseconds;
  json["bytes_per_token"] = line.bytes;
  json["multiply_adds_per_token"] = line.multiply_adds;
  json["share_of_limit"] = limits.Share(line);
  return json;
}

Table ToTable(const std::vector<ProfileLine>& lines, bool nodes,
              const ProfileResult& result, const ProfileLimits& limits) {
  std::vector<Table::Column> columns = {{"operator", Table::Align::kLeft}};
  if (nodes) {
    columns.push_back({"node", Table::Align::kLeft});
  } else {
    columns.push_back({"nodes"});
  }
  for (const char* header :
       {"us/token", "time", "bytes/token", "GB/s", "GOPS", "of limit"}) {
    columns.push_back({header});
  }
  Table table(std::move(columns));
  double sum = 0;
  const auto percent = [](double share) {
    return Fixed(100 * share, 1) + " %";
  };
  for (const ProfileLine& line : lines) {
    sum += line.microseconds;
    table.AddRow({line.op, nodes ? line.name : std::to_string(line.nodes),
                  Short(line.microseconds),
                  percent(line.microseconds / result.microseconds),
                  WithCommas(static_cast<uint64_t>(line.bytes)),
                  Short(line.bytes / line.microseconds / 1e3),
                  Short(2 * line.multiply_adds / line.microseconds / 1e3),
                  percent(limits.Share(line))});
  }
  const double rest = std::max(0.0, result.microseconds - sum);
  table.AddRow(
      {"between nodes", "", Short(rest), percent(rest / result.microseconds)});
  return table;
}

}  // namespace lutra::tools
