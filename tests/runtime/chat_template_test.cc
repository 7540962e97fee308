// Chat templates. What transformers renders is replayed by
// tests/golden_replay; here is what the interface promises beside that.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/chat_template.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

constexpr const char* kChatml =
    "{%- for m in messages %}{{ '<|' + m.role + '|>' + m.content + eos_token "
    "}}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

std::string Render(std::string_view source,
                   std::string_view messages = R"([{"role": "user"}])",
                   const ChatOptions& options = {}) {
  return ChatTemplate::Parse(source)->Render(messages, options).text;
}

// What a rendering is refused for.
struct Refusal {
  std::optional<ChatTemplateFault> fault;
  std::string cause;
};

Refusal RefusalOf(std::string_view source,
                  std::string_view messages = R"([{"role": "user"}])",
                  const ChatOptions& options = {}) {
  try {
    Render(source, messages, options);
  } catch (const ChatTemplateError& error) {
    return {error.fault(), error.what()};
  }
  return {};
}

TEST(ChatTemplateTest, RolesAndTexts) {
  const auto chat = ChatTemplate::Parse(kChatml, {{"eos_token", "</s>"}});
  const std::vector<ChatMessage> messages = {{"system", "\"S\"\n"},
                                             {"user", "<&>"}};
  ChatOptions options;
  EXPECT_EQ(chat->Render(messages, options),
            "<|system|>\"S\"\n</s><|user|><&></s>");
  options.add_generation_prompt = true;
  EXPECT_EQ(chat->Render(messages, options),
            "<|system|>\"S\"\n</s><|user|><&></s><|assistant|>");
  EXPECT_EQ(chat->source(), kChatml);
}

TEST(ChatTemplateTest, VariablesWinOverTokens) {
  ChatOptions options;
  options.variables = R"({"eos_token": "!", "big": 170141183460469231731687})";
  const auto chat =
      ChatTemplate::Parse("{{ eos_token }}{{ big + 1 }}", {{"eos_token", "."}});
  EXPECT_EQ(chat->Render(R"([{"role": "user"}])", options).text,
            "!170141183460469231731688");
}

TEST(ChatTemplateTest, KeysKeepTheirOrderAndNumbersTheirSort) {
  EXPECT_EQ(Render("{{ messages[0].x|tojson }}",
                   R"([{"role":"user","x":{"b":1,"a":2.0,"c":[null,true]}}])"),
            R"({"b": 1, "a": 2.0, "c": [null, true]})");
}

TEST(ChatTemplateTest, ContinuesTheLastMessage) {
  ChatOptions options;
  options.continue_final_message = true;
  const auto chat = ChatTemplate::Parse(kChatml, {{"eos_token", "</s>"}});
  EXPECT_EQ(chat->Render(R"([{"role":"user","content":"Hi"},
                            {"role":"assistant","content":"Hello "}])",
                         options)
                .text,
            "<|user|>Hi</s><|assistant|>Hello ");
  options.add_generation_prompt = true;
  EXPECT_THAT(
      RefusalOf("x", R"([{"role":"user","content":"Hi"}])", options).fault,
      ChatTemplateFault::kCaller);
}

TEST(ChatTemplateTest, FaultsAndTheirCauses) {
  EXPECT_EQ(RefusalOf("{% if %}").fault, ChatTemplateFault::kParse);
  EXPECT_THAT(RefusalOf("\n\n{{ 'a'|nosuch }}").cause,
              HasSubstr("line 3: No filter named 'nosuch'"));
  EXPECT_THAT(RefusalOf("{% include 'x' %}").cause,
              HasSubstr("'include' is not supported"));
  const Refusal run = RefusalOf("a\n{{ missing.x }}");
  EXPECT_EQ(run.fault, ChatTemplateFault::kRuntime);
  EXPECT_EQ(run.cause, "chat template: line 2: 'missing' is undefined");
  const Refusal raised = RefusalOf("{{ raise_exception('Roles\nalternate') }}");
  EXPECT_EQ(raised.fault, ChatTemplateFault::kRaised);
  EXPECT_EQ(raised.cause, "Roles\nalternate");
  for (const char* messages : {"", "[]", "{}", "[1]", "[{}", R"([{"a":1,}])",
                               R"(["\ud800"])", "[01]", "[{\"a\":\"\xFF\"}]"}) {
    EXPECT_EQ(RefusalOf("x", messages).fault, ChatTemplateFault::kCaller)
        << messages;
  }
  EXPECT_EQ(RefusalOf("\xFF").fault, ChatTemplateFault::kParse);
  EXPECT_EQ(RefusalOf(std::string(1 << 20, 'a')).fault,
            ChatTemplateFault::kLimit);
}

// Work that grows with what a template says, not with what it is given.
TEST(ChatTemplateTest, HostileTemplatesEndSoon) {
  const std::string deep =
      "{% set ns = namespace(x=[]) %}{% for i in "
      "range(99999) %}{% set ns.x = ";
  const std::vector<std::string> sources = {
      deep + "[ns.x] %}{% endfor %}{{ ns.x }}",
      deep + "cycler(ns.x) %}{% endfor %}",
      deep + "{'a': ns.x} %}{% endfor %}{{ ns.x|tojson }}",
      deep + "joiner(ns.x) %}{% endfor %}",
      "{% set ns = namespace() %}{% for i in range(99999) %}{% set ns.x = "
      "namespace(x=ns) %}{% set ns = ns.x %}{% endfor %}{{ ns }}",
      "{% for i in range(99999) %}{{ messages|tojson }}{% endfor %}",
      "{% for i in range(99999) %}{% set x = 'a'|center(1000000) %}{% endfor "
      "%}",
      "{{ range(99999)|map('string')|sort|unique|join|length }}",
      "{% set d = dict(range(9999)|batch(2)) %}{% for i in range(9999) %}{{ i "
      "in d }}{% endfor %}",
      "{{ (('a' * 100000)|list|join('b') * 30).replace('a', '').split('b')|"
      "length }}",
      "{{ '%*d' % (999999999, 1) }}",
      "{{ '{:>{w}}'.format(1, w=99999999999) }}",
      "{{ ('x' * 300000).strip('abcdefgh' * 3000 + 'x') }}",
      "{% macro f(x) %}{{ x }}{{ f(x ~ x) }}{% endmacro %}{{ f('ab') }}",
  };
  for (const std::string& source : sources) {
    const auto start = std::chrono::steady_clock::now();
    RefusalOf(source);  // or a text
    const std::chrono::duration<double> seconds =
        std::chrono::steady_clock::now() - start;
    // Generous, for builds with sanitizers; golden_replay is strict.
    EXPECT_LT(seconds.count(), 2) << source;
  }
}

TEST(ChatTemplateTest, LongConversationsAreNoHostility) {
  std::string messages = "[";
  for (int i = 0; i < 3000; ++i) {
    messages += R"({"role":"user","content":")" + std::string(300, 'a') +
                R"("},{"role":"assistant","content":"b"},)";
  }
  messages += R"({"role":"user","content":"c"}])";
  const auto chat = ChatTemplate::Parse(
      "{% set ns = namespace(n=0) %}{% for m in messages %}{% if m.role == "
      "'user' and loop.index0 % 2 == 0 %}{% set ns.n = ns.n + 1 %}{{ "
      "m.content|trim ~ '\\n' }}{% elif 'x' not in m.content %}{{ m.content "
      "}}{% endif %}{% endfor %}{{ ns.n }}");
  EXPECT_EQ(chat->Render(messages).text.size(), 3000u * 302 + 2 + 4);
}

TEST(ChatTemplateTest, EachMessageMayLookAtAllOthers) {
  std::string messages = R"([{"role":"user"})";
  for (int i = 0; i < 999; ++i) messages += R"(,{"role":"assistant"})";
  EXPECT_EQ(Render("{% set ns = namespace(n=0) %}{% for m in messages %}{% for "
                   "o in messages %}{% if o.role == 'user' %}{% set ns.n = "
                   "ns.n + 1 %}{% endif %}{% endfor %}{% endfor %}{{ ns.n }}",
                   messages + "]"),
            "1000");
}

TEST(ChatTemplateTest, SpansOfWhatTheAssistantWrote) {
  const auto chat = ChatTemplate::Parse(
      "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation "
      "%}{{ m.content }}{% endgeneration %}{% else %}é:{% endif %}{% endfor "
      "%}");
  const RenderedChat result =
      chat->Render(R"([{"role":"user"},{"role":"assistant","content":"éa"}])");
  EXPECT_EQ(result.text, "é:A:éa");
  ASSERT_EQ(result.generated.size(), 1u);
  EXPECT_EQ(result.generated[0].begin, 4u);
  EXPECT_EQ(result.generated[0].end, 6u);
}

TEST(ChatTemplateTest, TimeIsTheCallers) {
  ChatOptions options;
  options.now = ChatTime{2024, 12, 30, 0, 5, 9};
  const char* format = "{{ strftime_now('%a %d %b %Y %j %U %W %V %G %I%p') }}";
  EXPECT_EQ(Render(format, R"([{"role":"user"}])", options),
            "Mon 30 Dec 2024 365 52 53 01 2025 12AM");
  options.now = ChatTime{2023, 2, 29, 0, 0, 0};
  EXPECT_EQ(RefusalOf("x", R"([{"role":"user"}])", options).fault,
            ChatTemplateFault::kCaller);
}

TEST(ChatTemplateTest, SharedByThreads) {
  const auto chat = ChatTemplate::Parse(kChatml, {{"eos_token", "</s>"}});
  std::vector<std::thread> threads;
  std::vector<std::string> texts(4);
  for (std::string& text : texts) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        text = chat->Render(R"([{"role":"user","content":"Hi"}])").text;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_EQ(text, "<|user|>Hi</s>");
}

TEST(ChatDataTest, AsTextAndBack) {
  ChatData data;
  data.templates = {{"default", "{{ 'a\n\"é' }}"}, {"tool_use", "t"}};
  data.tokens = {{"bos_token", "<s>"}};
  const ChatData back = ParseChatData(ChatDataToJson(data), "f");
  EXPECT_EQ(back.templates, data.templates);
  EXPECT_EQ(back.tokens, data.tokens);
  for (const char* bad :
       {"", "[]", "{}", R"({"templates": []})", R"({"templates": [{}]})",
        R"({"templates": [{"name": "a", "template": 1}]})",
        R"({"templates": [{"name": "a", "template": ""}], "x": 1})"}) {
    EXPECT_THROW(ParseChatData(bad, "f"), Error) << bad;
  }
}

}  // namespace
}  // namespace lutra
