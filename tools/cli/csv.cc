#include "tools/cli/csv.h"

#include <algorithm>
#include <vector>

namespace lutra::tools {
namespace {

std::string Quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

std::string Cell(const nlohmann::ordered_json& record, const std::string& key) {
  const auto found = record.find(key);
  if (found == record.end() || found->is_null()) return "";
  return Quoted(found->is_string() ? found->get<std::string>() : found->dump());
}

}  // namespace

std::string ToCsv(const nlohmann::ordered_json& records) {
  std::vector<std::string> keys;
  for (const auto& record : records) {
    for (const auto& item : record.items()) {
      if (std::find(keys.begin(), keys.end(), item.key()) == keys.end()) {
        keys.push_back(item.key());
      }
    }
  }
  std::string text;
  const auto add_line = [&](const auto& cell) {
    for (const std::string& key : keys) {
      if (&key != &keys.front()) text += ',';
      text += cell(key);
    }
    text += '\n';
  };
  add_line(Quoted);
  for (const auto& record : records) {
    add_line([&](const std::string& key) { return Cell(record, key); });
  }
  return text;
}

}  // namespace lutra::tools
