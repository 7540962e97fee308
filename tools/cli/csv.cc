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

std::string Cell(const Json& record, const std::string& key) {
  const Json* const found = record.Find(key);
  if (found == nullptr || found->IsNull()) return "";
  const std::string* const text = found->AsString();
  return Quoted(text != nullptr ? *text : found->Dump());
}

}  // namespace

std::string ToCsv(const Json& records) {
  std::vector<std::string> keys;
  for (const Json& record : records.items()) {
    for (const Json::Member& member : record.members()) {
      if (std::find(keys.begin(), keys.end(), member.key) == keys.end()) {
        keys.push_back(member.key);
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
  for (const Json& record : records.items()) {
    add_line([&](const std::string& key) { return Cell(record, key); });
  }
  return text;
}

}  // namespace lutra::tools
