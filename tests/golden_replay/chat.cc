#include <chrono>
#include <exception>
#include <string>

#include "lutra/runtime/chat_template.h"
#include "runtime/base/mapped_file.h"
#include "tests/golden_replay/kind.h"

// Keys keep their order: templates print them.

namespace lutra::golden {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* kCases = "cases.json";
constexpr const char* kTemplate = "template.jinja";

// How much slower an unoptimised build, or one with sanitizers, may be.
#if defined(NDEBUG) && !defined(LUTRA_TEST_SANITIZED)
constexpr double kSlower = 1;
#else
constexpr double kSlower = 20;
#endif

Json ReadCases(const fs::path& folder) {
  const MappedFile file(folder / kCases);
  return Json::parse(file.text());
}

std::string Bytes(const fs::path& path) {
  return std::string(MappedFile(path).text());
}

ChatTime Time(const Json& cases) {
  ChatTime time;
  const std::string text = cases.value("now", "2025-07-04T09:05:07");
  const auto number = [&text](size_t at, size_t digits) {
    return std::stoi(text.substr(at, digits));
  };
  time.year = number(0, 4);
  time.month = number(5, 2);
  time.day = number(8, 2);
  time.hour = number(11, 2);
  time.minute = number(14, 2);
  time.second = number(17, 2);
  return time;
}

std::string TextOf(const Json& value) {
  return value.is_null() ? "" : value.dump();
}

// What a rendering gave: a text, or why there is none.
struct Outcome {
  std::string text;
  std::vector<ChatSpan> spans;
  std::string error;
  std::optional<ChatTemplateFault> fault;
};

Outcome Render(const std::string& source, const ChatTemplate::Tokens& tokens,
               const std::string& messages, const ChatOptions& options) {
  Outcome outcome;
  try {
    RenderedChat chat =
        ChatTemplate::Parse(source, tokens)->Render(messages, options);
    outcome.text = std::move(chat.text);
    outcome.spans = std::move(chat.generated);
  } catch (const ChatTemplateError& error) {
    outcome.error = error.what();
    outcome.fault = error.fault();
  }
  return outcome;
}

std::string Shown(const Outcome& outcome) {
  return outcome.fault ? "refused: " + outcome.error : outcome.text;
}

// Cases with "expected" or "error".
void CompareOutcome(const Json& c, const Outcome& outcome,
                    Comparison& comparison) {
  if (!c.contains("error") || c.at("error").is_null()) {
    comparison.ExactText("text", Shown(outcome),
                         c.at("expected").get<std::string>());
    return;
  }
  const Json& error = c.at("error");
  const std::string kind = error.at("kind");
  if (kind == "raise_exception") {
    const bool raised = outcome.fault == ChatTemplateFault::kRaised;
    comparison.ExactText("refusal", raised ? outcome.error : Shown(outcome),
                         error.at("message").get<std::string>());
  } else {
    comparison.ExactText("refusal", outcome.fault ? "refused" : outcome.text,
                         "refused");
  }
}

void ReplayConversation(const std::string& source,
                        const ChatTemplate::Tokens& tokens, const ChatTime& now,
                        const Json& c, Comparison& comparison) {
  ChatOptions options;
  options.now = now;
  options.add_generation_prompt = c.value("add_generation_prompt", false);
  options.continue_final_message = c.value("continue_final_message", false);
  if (c.contains("tools")) options.tools = TextOf(c.at("tools"));
  if (c.contains("documents")) options.documents = TextOf(c.at("documents"));
  if (c.contains("kwargs")) options.variables = TextOf(c.at("kwargs"));
  const Outcome outcome =
      Render(source, tokens, c.at("messages").dump(), options);
  CompareOutcome(c, outcome, comparison);
  if (!c.contains("generation_spans") || outcome.fault) return;
  std::vector<int32_t> got;
  std::vector<int32_t> expected;
  for (const ChatSpan& span : outcome.spans) {
    got.push_back(static_cast<int32_t>(span.begin));
    got.push_back(static_cast<int32_t>(span.end));
  }
  for (const Json& span : c.at("generation_spans")) {
    expected.push_back(span.at(0));
    expected.push_back(span.at(1));
  }
  comparison.Exact("generation spans", got, expected);
}

void ReplayFamily(const fs::path& folder, const Json& cases, Sink& sink) {
  const std::string source = Bytes(folder / kTemplate);
  ChatTemplate::Tokens tokens;
  if (cases.contains("special_tokens")) {
    for (const auto& [name, text] : cases.at("special_tokens").items()) {
      tokens.emplace_back(name, text.get<std::string>());
    }
  }
  const ChatTime now = Time(cases);
  for (const Json& c : cases.at("cases")) {
    RunCase(sink, c.at("name").get<std::string>(), [&](Comparison& comparison) {
      ReplayConversation(source, tokens, now, c, comparison);
    });
  }
}

void ReplaySyntax(const Json& cases, Sink& sink) {
  ChatOptions options;
  options.now = Time(cases);
  options.variables = cases.at("context").dump();
  size_t index = 0;
  for (const Json& c : cases.at("cases")) {
    RunCase(sink, "case " + std::to_string(index++),
            [&](Comparison& comparison) {
              const std::string source = c.at("template");
              const Outcome outcome =
                  Render(source, {}, R"([{"role":"user"}])", options);
              // A template may have what lutra lacks, if it says so at once.
              if (outcome.fault == ChatTemplateFault::kParse) {
                comparison.Note(outcome.error);
                return;
              }
              CompareOutcome(c, outcome, comparison);
            });
  }
}

bool Accepts(const std::string& expect, const Outcome& outcome) {
  const auto rest = [&](std::string_view prefix) -> std::optional<std::string> {
    if (!expect.starts_with(prefix)) return std::nullopt;
    return expect.substr(prefix.size());
  };
  if (expect == "no_crash") return true;
  if (const auto text = rest("text:")) {
    return !outcome.fault && outcome.text == *text;
  }
  if (const auto text = rest("error_or:")) {
    return outcome.fault || outcome.text == *text;
  }
  if (const auto text = rest("raise_exception:")) {
    return outcome.fault == ChatTemplateFault::kRaised &&
           outcome.error == *text;
  }
  return outcome.fault.has_value();
}

void ReplayHostile(const fs::path& folder, const std::string& messages,
                   const Json& c, Comparison& comparison) {
  std::string source;
  if (c.contains("file")) {
    source = Bytes(folder / c.at("file").get<std::string>());
  } else {
    for (const Json& piece : c.at("pieces")) {
      const std::string text = piece.at(0);
      const size_t count = piece.at(1);
      for (size_t i = 0; i < count; ++i) source += text;
    }
  }
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = Render(source, {}, messages, {});
  const double milliseconds = std::chrono::duration<double, std::milli>(
                                  std::chrono::steady_clock::now() - start)
                                  .count();
  const std::string expect = c.at("expect");
  comparison.ExactText(
      "outcome", Accepts(expect, outcome) ? expect : Shown(outcome), expect);
  const double limit = c.value("limit_ms", 100.0) * kSlower;
  comparison.ExactText(
      "time",
      milliseconds <= limit ? "in time" : std::to_string(milliseconds) + " ms",
      "in time");
}

bool Recognise(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / kCases, ignored)) return false;
  if (fs::exists(folder / kTemplate, ignored)) return true;
  try {
    const Json cases = ReadCases(folder);
    return cases.contains("cases") &&
           (cases.contains("context") || cases.contains("messages"));
  } catch (const std::exception&) {
    return false;
  }
}

void Replay(const fs::path& folder, Sink& sink) {
  const Json cases = ReadCases(folder);
  if (cases.contains("context")) {
    ReplaySyntax(cases, sink);
  } else if (cases.contains("messages")) {
    const std::string messages = cases.at("messages").dump();
    for (const Json& c : cases.at("cases")) {
      RunCase(sink, c.at("name").get<std::string>(),
              [&](Comparison& comparison) {
                ReplayHostile(folder, messages, c, comparison);
              });
    }
  } else {
    ReplayFamily(folder, cases, sink);
  }
}

}  // namespace

const Kind kChat = {"chat", Recognise, Replay};

}  // namespace lutra::golden
