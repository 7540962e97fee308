#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "lutra/runtime/chat_data.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"
#include "tests/tools/command.h"
#include "tools/verbs/tool_calls.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ChatVerbTest : public ::testing::Test {
 protected:
  ChatVerbTest() {
    ChatData data;
    data.templates = {
        {"default",
         "{% for m in messages %}{% if m.role == 'bad' %}{{ "
         "raise_exception('no bad ones') }}{% endif %}{{ m.role }}. {{ "
         "m.content }}\n{% endfor %}assistant. "},
        {"tool_use", "{{ tools|length }}"}};
    auto builder = TinyLanguage{.context = 400}.Build();
    builder.Metadata(kChatKey, ChatDataToJson(data));
    builder.Write(model_);
  }

  std::vector<std::string> Call(std::vector<std::string> more = {}) const {
    std::vector<std::string> call = {"chat", model_, "--quiet", "--temperature",
                                     "0",    "-n",   "12"};
    call.insert(call.end(), more.begin(), more.end());
    return call;
  }
  Outcome Run(const std::string& input,
              std::vector<std::string> more = {}) const {
    return RunLutra(Call(std::move(more)), RunSettings{.input = input});
  }
  std::string Text(const std::string& input,
                   std::vector<std::string> more = {}) const {
    const Outcome outcome = Run(input, std::move(more));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out;
  }

  TempDir dir_;
  const std::string model_ = (dir_ / "m.safetensors").string();
};

TEST_F(ChatVerbTest, PromptCache) {
  const std::string file = (dir_ / "cache").string();
  const std::string saved = (dir_ / "saved.json").string();
  const auto answer = [&](std::vector<std::string> more) {
    more.push_back("--json");
    std::string last;
    std::istringstream lines(Text("and the fox\n", more));
    for (std::string line; std::getline(lines, line);) last = line;
    return json::parse(last);
  };
  Text("the hen\n/save " + saved + "\n", {"--prompt-cache", file});
  const json cold = answer({"--history", saved});
  const json warm = answer({"--history", saved, "--prompt-cache", file});
  EXPECT_EQ(warm["message"], cold["message"]);
  EXPECT_EQ(cold["reused_tokens"], 0);
  EXPECT_GT(warm["reused_tokens"], 20);

  // A single message, again.
  const auto generate = [&](bool cached) {
    std::vector<std::string> call = {"generate", model_, "--chat", "-p",
                                     "the hen",  "-n",   "12",     "--json"};
    if (cached) call.insert(call.end(), {"--prompt-cache", file + "2"});
    return json::parse(OutputOf(call));
  };
  const json alone = generate(false);
  EXPECT_EQ(generate(true)["tokens"], alone["tokens"]);
  const json again = generate(true);
  EXPECT_EQ(again["tokens"], alone["tokens"]);
  EXPECT_EQ(again["prompt_tokens"].size(), 1u);
}

TEST_F(ChatVerbTest, SeveralMessagesAtOnce) {
  const auto answer = [&](std::vector<std::string> more) {
    std::vector<std::string> call = {"generate", model_,  "--chat",
                                     "-n",       "12",    "--system",
                                     "be good",  "--json"};
    call.insert(call.end(), more.begin(), more.end());
    return json::parse(OutputOf(call));
  };
  const json both = answer({"-p", "the hen", "-p", "fox"});
  ASSERT_EQ(both["results"].size(), 2u);
  EXPECT_EQ(both["results"][0]["tokens"], answer({"-p", "the hen"})["tokens"]);
  EXPECT_EQ(both["results"][0]["text"], answer({"-p", "the hen"})["text"]);
  EXPECT_EQ(both["results"][1]["tokens"], answer({"-p", "fox"})["tokens"]);
}

TEST_F(ChatVerbTest, AnswersByAGrammarAndWithGuesses) {
  EXPECT_EQ(Text("the hen\n", {"--json-schema", R"({"const": null})"}),
            "null\n");
  const std::string text = Text("the hen\nfox\n");
  EXPECT_EQ(Text("the hen\nfox\n", {"--draft", model_}), text);
  EXPECT_EQ(Text("the hen\nfox\n", {"--prompt-lookup"}), text);
}

TEST_F(ChatVerbTest, AnswersEachLine) {
  const std::string one = Text("the hen\n");
  EXPECT_THAT(one, Not(IsEmpty()));
  EXPECT_EQ(one.back(), '\n');
  const std::string two = Text("the hen\nand then\n");
  EXPECT_EQ(two.substr(0, one.size()), one);
  EXPECT_GT(two.size(), one.size());
  EXPECT_EQ(Text(""), "");
  // The second answer knows of the first question.
  EXPECT_NE(two.substr(one.size()), Text("and then\n"));
  EXPECT_EQ(Text("the\\\nhen\n"), Text("/say user the\\\nhen\n/retry\n"));
}

TEST_F(ChatVerbTest, SystemTextAndCommands) {
  const std::string with = Text("the hen\n", {"--system", "be good"});
  EXPECT_NE(with, Text("the hen\n"));
  EXPECT_EQ(Text("/system be good\nthe hen\n"), with);
  EXPECT_EQ(Text("/system be good\n/system\n"), "be good\n");
  EXPECT_EQ(Text("/system be good\n/system -\nthe hen\n"), Text("the hen\n"));
  const std::string undone = Text("the hen\n/undo\nthe hen\n");
  EXPECT_EQ(undone, Text("the hen\n") + Text("the hen\n"));
  EXPECT_EQ(Text("the hen\n/reset\nthe hen\n"), undone);
  EXPECT_EQ(Text("the hen\n/retry\n"), undone);
  EXPECT_EQ(Text("/exit\nthe hen\n"), "");
  EXPECT_EQ(Text("/say user a\n/say assistant b\n/history\n"),
            "[user] a\n[assistant] b\n");
  EXPECT_THAT(Text("/help\n"), HasSubstr("/undo"));
  EXPECT_THAT(Text("the hen\n/stats\n"), HasSubstr("1 answer;"));
}

TEST_F(ChatVerbTest, Errors) {
  const Outcome unknown = Run("/rest\n");
  ExpectError(unknown);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean '/reset'?"));
  ExpectError(Run("/undo\n"));
  ExpectError(Run("/say user\n"));
  EXPECT_THAT(Run("/say bad x\n/retry\n").err, HasSubstr("no question"));
  EXPECT_THAT(Run("/say bad x\nthe\n").err, HasSubstr("error: no bad ones"));
  ExpectError(Run("the\n", {"--variables", "[]"}));
  ExpectError(Run("the\n", {"--template-name", "third"}));
  ExpectError(Run("/load " + (dir_ / "none").string() + "\n"));
  WriteBytes(dir_ / "bad", "{\"messages\": [{}]}");
  EXPECT_THAT(Run("", {"--history", (dir_ / "bad").string()}).err,
              HasSubstr("a message has no role"));
  const std::string bare = (dir_ / "bare.safetensors").string();
  TinyLanguage{}.Build().Write(bare);
  EXPECT_THAT(RunLutra({"chat", bare}).err, HasSubstr("has no chat template"));
}

TEST_F(ChatVerbTest, SavedConversationsGoOn) {
  const std::string file = (dir_ / "saved.json").string();
  const std::string all = Text("the hen\nand then\n");
  const std::string first = Text("the hen\n/save " + file + "\n");
  EXPECT_EQ(first + Text("and then\n", {"--history", file}), all);
  EXPECT_EQ(first + Text("/load " + file + "\nand then\n"), all);
  const json saved = json::parse(ReadBytes(file));
  ASSERT_EQ(saved.size(), 2u);
  EXPECT_EQ(saved[0], json({{"role", "user"}, {"content", "the hen"}}));
  EXPECT_EQ(saved[1]["role"], "assistant");
}

TEST_F(ChatVerbTest, JsonEvents) {
  std::istringstream lines(Text("the hen\nand then\n", {"--json"}));
  std::string text;
  std::vector<json> answers;
  for (std::string line; std::getline(lines, line);) {
    const json event = json::parse(line);
    if (event["type"] == "text") {
      text += event["text"].get<std::string>();
    } else {
      EXPECT_EQ(event["type"], "answer");
      EXPECT_EQ(event["message"]["content"], text);
      text.clear();
      answers.push_back(event);
    }
  }
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0]["end"], "length");
  EXPECT_EQ(answers[0]["tokens"], 12);
  EXPECT_EQ(answers[0]["reused_tokens"], 0);
  EXPECT_GT(answers[1]["reused_tokens"], 10);
}

TEST_F(ChatVerbTest, GenerateAnswersOneMessage) {
  const std::vector<std::string> call = {
      "generate", model_,   "--quiet", "--temperature", "0", "-n",
      "12",       "--chat", "-p",      "the hen"};
  EXPECT_EQ(OutputOf(call), Text("the hen\n"));
  std::vector<std::string> more = call;
  more.insert(more.end(), {"--system", "be good"});
  EXPECT_EQ(OutputOf(more), Text("the hen\n", {"--system", "be good"}));
}

TEST_F(ChatVerbTest, InspectTellsOfTheTemplate) {
  EXPECT_THAT(OutputOf({"inspect", model_}),
              HasSubstr("chat template: default ("));
  const json report = json::parse(OutputOf({"inspect", model_, "--json"}));
  EXPECT_EQ(report["chat"]["templates"][1]["name"], "tool_use");
}

TEST_F(ChatVerbTest, PackingKeepsTheTemplate) {
  const std::string packed = (dir_ / "packed.safetensors").string();
  OutputOf({"pack", model_, "-o", packed, "--bits", "4", "--group-size", "16"});
  EXPECT_THAT(OutputOf({"inspect", packed}),
              HasSubstr("chat template: default ("));
}

TEST(ToolCallsTest, Notations) {
  const auto hermes = FindToolCalls(
      "I look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n"
      "</tool_call>\n<tool_call>{\"name\": \"g\", \"arguments\": {}}");
  EXPECT_EQ(hermes.text, "I look.");
  ASSERT_EQ(hermes.calls.size(), 2u);
  EXPECT_EQ(ToText(hermes.calls[0]), "f({\"a\":1})");
  EXPECT_EQ(hermes.calls[1].name, "g");
  const auto mistral =
      FindToolCalls("[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {}}]");
  EXPECT_EQ(mistral.calls.size(), 1u);
  const auto llama = FindToolCalls(" {\"name\": \"f\", \"parameters\": {}}\n");
  ASSERT_EQ(llama.calls.size(), 1u);
  EXPECT_EQ(ToMessage(llama).Dump(),
            "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{"
            "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
            "{}}}]}");
  for (const char* text :
       {"", "text", "{\"name\": 1}", "[1]", "<tool_call>no</tool_call>",
        "{\"name\": \"f\", \"arguments\": 1}", "[]"}) {
    const auto none = FindToolCalls(text);
    EXPECT_TRUE(none.calls.empty()) << text;
    EXPECT_EQ(none.text, text);
  }
}

}  // namespace
}  // namespace lutra::tools
