#include "tools/verbs/tool_calls.h"

#include <exception>
#include <optional>
#include <utility>

namespace lutra::tools {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::optional<ToolCall> ReadCall(const Json& json) {
  try {
    const Json* name = json.Find("name");
    if (name == nullptr || name->AsString() == nullptr) return std::nullopt;
    for (const char* key : {"arguments", "parameters"}) {
      const Json* arguments = json.Find(key);
      if (arguments == nullptr) continue;
      arguments->members();  // throws unless it is an object
      return ToolCall{*name->AsString(), *arguments};
    }
  } catch (const std::exception&) {
    // Another value than an object.
  }
  return std::nullopt;
}

// A call, or a list of them; empty if the text is something else.
std::vector<ToolCall> ReadCalls(std::string_view text) {
  std::vector<ToolCall> calls;
  try {
    const Json json = Json::Parse(Trimmed(text));
    if (auto call = ReadCall(json)) return {std::move(*call)};
    for (const Json& item : json.items()) {
      auto call = ReadCall(item);
      if (!call) return {};
      calls.push_back(std::move(*call));
    }
  } catch (const std::exception&) {
    return {};
  }
  return calls;
}

}  // namespace

ToolAnswer FindToolCalls(std::string_view answer) {
  constexpr std::string_view kOpen = "<tool_call>";
  constexpr std::string_view kClose = "</tool_call>";
  constexpr std::string_view kMistral = "[TOOL_CALLS]";
  ToolAnswer result;
  std::string_view rest = answer;
  for (;;) {
    const size_t open = rest.find(kOpen);
    if (open == std::string_view::npos) break;
    const size_t begin = open + kOpen.size();
    const size_t close = rest.find(kClose, begin);
    // A call at the end may lack its end, which is then a token of its own.
    const std::vector<ToolCall> calls = ReadCalls(rest.substr(
        begin, close == std::string_view::npos ? std::string_view::npos
                                               : close - begin));
    if (calls.empty()) break;
    result.text += rest.substr(0, open);
    result.calls.insert(result.calls.end(), calls.begin(), calls.end());
    rest = close == std::string_view::npos ? std::string_view()
                                           : rest.substr(close + kClose.size());
  }
  if (!result.calls.empty()) {
    result.text = std::string(Trimmed(result.text + std::string(rest)));
    return result;
  }
  std::string_view whole = Trimmed(answer);
  if (whole.substr(0, kMistral.size()) == kMistral) {
    whole.remove_prefix(kMistral.size());
  }
  result.calls = ReadCalls(whole);
  if (result.calls.empty()) result.text = std::string(answer);
  return result;
}

Json ToMessage(const ToolAnswer& answer) {
  Json message = {{"role", "assistant"}, {"content", answer.text}};
  for (const ToolCall& call : answer.calls) {
    message["tool_calls"].PushBack(
        {{"type", "function"},
         {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  return message;
}

std::string ToText(const ToolCall& call) {
  return call.name + "(" + call.arguments.Dump(-1, Json::BadText::kReplace) +
         ")";
}

}  // namespace lutra::tools
