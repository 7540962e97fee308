#ifndef LUTRA_TOOLS_VERBS_TOOL_CALLS_H_
#define LUTRA_TOOLS_VERBS_TOOL_CALLS_H_

#include <string>
#include <string_view>
#include <vector>

#include "tools/cli/json.h"

namespace lutra::tools {

struct ToolCall {
  std::string name;
  Json arguments;  // an object
};

// An answer that asks for tools.
struct ToolAnswer {
  std::string text;  // without the calls
  std::vector<ToolCall> calls;
};

// Finds the calls in an answer, in the notations
//   <tool_call>{"name": "f", "arguments": {...}}</tool_call>   (Hermes, Qwen)
//   [TOOL_CALLS][{"name": "f", "arguments": {...}}]            (Mistral)
//   {"name": "f", "parameters": {...}}                         (Llama 3)
// the last two where nothing else is in the answer. What is no JSON is text.
ToolAnswer FindToolCalls(std::string_view answer);

// The answer as a message for a chat template.
Json ToMessage(const ToolAnswer& answer);

// "f({"city": "Paris"})".
std::string ToText(const ToolCall& call);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_TOOL_CALLS_H_
