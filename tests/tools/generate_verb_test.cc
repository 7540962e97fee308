#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "lutra/runtime/language_model.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"
#include "tests/tools/command.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class GenerateVerbTest : public ::testing::Test {
 protected:
  explicit GenerateVerbTest(TinyLanguage tiny = {.context = 200}) {
    tiny.Build().Write(model_);
  }

  // A call with arguments that most tests share: any token may come.
  std::vector<std::string> Call(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {
        "generate", model_,    "--quiet", "--temperature",
        "1.5",      "--top-k", "0",       "--top-p",
        "1",        "--min-p", "0",       "--ignore-eos"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  TempDir dir_;
  const std::string model_ = (dir_ / "m.safetensors").string();
};

TEST_F(GenerateVerbTest, PromptAndContinuation) {
  const std::string text = OutputOf(Call({"-p", "the he", "-n", "20"}));
  EXPECT_THAT(text, StartsWith("the he"));
  EXPECT_EQ(text.back(), '\n');
  EXPECT_GT(text.size(), 20u);
  EXPECT_EQ(OutputOf(Call({"-p", "the he", "-n", "20", "--no-echo"})),
            text.substr(6));
  WriteBytes(dir_ / "prompt", "the he");
  EXPECT_EQ(OutputOf(Call({"-f", (dir_ / "prompt").string(), "-n", "20"})),
            text);
  const Outcome piped =
      RunLutra(Call({"-f", "-", "-n", "20"}), RunSettings{.input = "the he"});
  EXPECT_EQ(piped.out, text);
}

TEST_F(GenerateVerbTest, SeedsAndThreads) {
  const std::vector<std::string> call =
      Call({"-p", "the", "-n", "40", "--seed", "5"});
  const std::string text = OutputOf(call);
  EXPECT_EQ(OutputOf(call), text);
  for (const char* threads : {"1", "2"}) {
    std::vector<std::string> with_threads = call;
    with_threads.insert(with_threads.end(), {"--threads", threads});
    EXPECT_EQ(OutputOf(with_threads), text) << threads;
  }
  EXPECT_NE(OutputOf(Call({"-p", "the", "-n", "40", "--seed", "6"})), text);
}

TEST_F(GenerateVerbTest, StopStringSpansTokens) {
  const std::string text = OutputOf(Call({"-p", "the", "-n", "60"}));
  const std::string stop = text.substr(20, 4);
  const std::string expected =
      text.substr(0, 3 + text.substr(3).find(stop)) + "\n";
  EXPECT_EQ(OutputOf(Call({"-p", "the", "-n", "60", "--stop", "never there",
                           "--stop", stop})),
            expected);
}

TEST_F(GenerateVerbTest, JsonLines) {
  const std::string text = OutputOf(Call({"-p", "the ", "-n", "30"}));
  std::istringstream lines(OutputOf(
      Call({"-p", "the ", "-n", "30", "--json-lines", "--logprobs", "3"})));
  std::string shown;
  std::vector<int32_t> ids;
  json last;
  for (std::string line; std::getline(lines, line);) {
    last = json::parse(line);
    if (last["type"] == "text") shown += last["text"].get<std::string>();
    if (last["type"] != "token") continue;
    ids.push_back(last["id"]);
    ASSERT_EQ(last["top"].size(), 3u);
    const double most = last["top"][0]["logprob"];
    EXPECT_GE(most, last["top"][1]["logprob"].get<double>());
    EXPECT_GE(most, last["logprob"].get<double>());
    EXPECT_LT(most, 0);
  }
  EXPECT_EQ(last["type"], "end");
  EXPECT_EQ("the " + shown + "\n", text);
  EXPECT_EQ(last["text"], shown);
  EXPECT_EQ(last["tokens"], ids);
  const json report = json::parse(
      OutputOf(Call({"-p", "the ", "-n", "5", "--json", "--logprobs", "1"})));
  ASSERT_EQ(report["logprobs"].size(), 5u);
  EXPECT_EQ(report["logprobs"][4]["id"], report["tokens"][4]);
  EXPECT_EQ(RunLutra(Call({"-p", "a", "-p", "b", "--json-lines"})).exit_code,
            2);
}

TEST_F(GenerateVerbTest, PromptCache) {
  const std::string file = (dir_ / "cache").string();
  const auto run = [&](const std::string& prompt, bool cached) {
    std::vector<std::string> call = Call(
        {"-p", prompt, "-n", "20", "--json", "--repetition-penalty", "1.5"});
    if (cached) call.insert(call.end(), {"--prompt-cache", file});
    return json::parse(OutputOf(call));
  };
  const std::string prompt = "the hen said no and the fox";
  const json cold = run(prompt, false);
  EXPECT_EQ(run(prompt, true)["tokens"], cold["tokens"]);
  const json warm = run(prompt, true);
  EXPECT_EQ(warm["tokens"], cold["tokens"]);
  EXPECT_EQ(warm["prompt_tokens"].size(), 1u);
  // A longer one, one that only begins alike, and the first one again.
  for (const char* other : {" went on", " was"}) {
    EXPECT_EQ(run(prompt + other, true)["tokens"],
              run(prompt + other, false)["tokens"]);
  }
  EXPECT_EQ(run(prompt, true)["tokens"], cold["tokens"]);
  EXPECT_EQ(run("zoo", true)["tokens"], run("zoo", false)["tokens"]);
}

TEST_F(GenerateVerbTest, GrammarsAndSchemas) {
  WriteBytes(dir_ / "g.gbnf", "root ::= \" \"? (\"he\" | \"the\"){2} \".\"");
  const std::string grammar = (dir_ / "g.gbnf").string();
  EXPECT_THAT(OutputOf(Call({"-p", "fox ", "--grammar", grammar})),
              MatchesRegex("fox  ?(he|the)(he|the)\\.\n"));
  EXPECT_THAT(OutputOf(Call({"--grammar", grammar})),
              MatchesRegex(" ?(he|the)(he|the)\\.\n"));
  const json report = json::parse(
      OutputOf(Call({"-p", "fox ", "--grammar", grammar, "--json"})));
  EXPECT_EQ(report["end"], "grammar");
  // Several at once, each as alone.
  const json batch = json::parse(OutputOf(
      Call({"-p", "fox ", "-p", "a", "--grammar", grammar, "--json"})));
  EXPECT_EQ(batch["results"][0]["tokens"], report["tokens"]);
  EXPECT_EQ(batch["results"][1]["end"], "grammar");

  WriteBytes(dir_ / "s.json", R"({"type": "text"})");
  const std::string schema = (dir_ / "s.json").string();
  for (const auto& [option, value, cause] :
       std::vector<std::array<std::string, 3>>{
           {"--grammar", schema, "s.json: grammar: line 1"},
           {"--json-schema", schema, "s.json: JSON schema: 'type' is none of"},
           {"--json-schema", R"({"not": {}})", "'not' is not supported"},
           {"--grammar", "nowhere", "nowhere"}}) {
    const Outcome outcome = RunLutra(Call({"-p", "the", option, value}));
    ExpectError(outcome);
    EXPECT_THAT(outcome.err, HasSubstr(cause));
  }
  // The model has letters, and no token for a digit.
  const Outcome outcome =
      RunLutra(Call({"-p", "the", "--json-schema", R"({"type": "null"})"}));
  EXPECT_EQ(outcome.out, "thenull\n");
  const Outcome none =
      RunLutra(Call({"-p", "the", "--json-schema", R"({"type": "integer"})"}));
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.err, HasSubstr("no token of the model can come next"));
}

TEST_F(GenerateVerbTest, GuessesChangeNothing) {
  const std::string other = (dir_ / "other.safetensors").string();
  TinyLanguage{.context = 50, .seed = 9}.Build().Write(other);
  const std::vector<std::string> call =
      Call({"-p", "the he the he", "-n", "90", "--json"});
  const json expected = json::parse(OutputOf(call));
  for (const std::vector<std::string>& guesses :
       std::vector<std::vector<std::string>>{
           {"--draft", model_},
           {"--draft", other},
           {"--prompt-lookup"},
           {"--draft", model_, "--draft-tokens", "1"}}) {
    std::vector<std::string> guessing = call;
    guessing.insert(guessing.end(), guesses.begin(), guesses.end());
    const json report = json::parse(OutputOf(guessing));
    EXPECT_EQ(report["tokens"], expected["tokens"]);
    EXPECT_GE(report["guessed_tokens"], report["accepted_tokens"]);
    if (guesses[0] == "--draft" && guesses[1] == model_) {
      EXPECT_GT(report["accepted_tokens"], 0);
    }
  }
  EXPECT_FALSE(expected.contains("guessed_tokens"));
  EXPECT_EQ(RunLutra(Call({"-p", "a", "-p", "b", "--prompt-lookup"})).exit_code,
            2);
  EXPECT_EQ(RunLutra(Call({"-p", "a", "--draft-tokens", "4"})).exit_code, 2);
  TinyLanguage{.tokenizer = false}.Build().Write(other);
  const Outcome outcome = RunLutra(Call({"-p", "a", "--draft", other}));
  ExpectError(outcome);
  EXPECT_THAT(outcome.err, HasSubstr("has no tokenizer"));
}

TEST_F(GenerateVerbTest, PromptCachesThatAreNone) {
  const std::string file = (dir_ / "cache").string();
  const std::vector<std::string> call =
      Call({"-p", "the", "-n", "2", "--prompt-cache", file});
  OutputOf(call);
  const std::string good = ReadBytes(file);
  const auto expect = [&](const std::string& bytes, const char* cause) {
    WriteBytes(file, bytes);
    const Outcome outcome = RunLutra(call);
    ExpectError(outcome);
    EXPECT_THAT(outcome.err, HasSubstr(cause));
  };
  expect("", "is no prompt cache");
  expect("lutrapc1", "is no prompt cache");
  expect(good.substr(0, 12) + "\xFF" + good.substr(13), "cut off");
  expect(good.substr(0, good.size() - 5), "the prompt cache");
  expect(good.substr(0, 8) + "\1" + good.substr(9), "the prompt cache");
  WriteBytes(file, good);
  OutputOf(call);
}

TEST_F(GenerateVerbTest, Json) {
  const std::string text = OutputOf(Call({"-p", "the ", "-n", "30"}));
  const auto start = std::chrono::steady_clock::now();
  const json report =
      json::parse(OutputOf(Call({"-p", "the ", "-n", "30", "--json"})));
  const std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - start;
  EXPECT_EQ(report["prompt"], "the ");
  EXPECT_EQ(report["prompt"].get<std::string>() +
                report["text"].get<std::string>() + "\n",
            text);
  EXPECT_EQ(report["prompt_tokens"][0], TinyLanguage::kBos);
  EXPECT_EQ(report["tokens"].size(), 30u);
  EXPECT_EQ(report["end"], "length");
  EXPECT_EQ(report["context"], 200);
  // Times are parts of the command's, speeds are tokens in those times.
  double times = 0;
  for (const char* key : {"load_seconds", "seconds", "prompt_seconds"}) {
    EXPECT_GT(report[key].get<double>(), 0.0) << key;
    times += report[key].get<double>();
  }
  EXPECT_LT(times, elapsed.count());
  EXPECT_NEAR(report["tokens_per_second"].get<double>() *
                  report["seconds"].get<double>(),
              30, 1e-9);
  EXPECT_NEAR(report["prompt_tokens_per_second"].get<double>() *
                  report["prompt_seconds"].get<double>(),
              static_cast<double>(report["prompt_tokens"].size()), 1e-9);
  const LanguageModel model(Model::Load(model_));
  EXPECT_EQ(report["weight_bytes"], model.Memory().weights);
  EXPECT_EQ(report["state_bytes"], model.Memory().state);
  EXPECT_GT(report["arena_bytes"], 0);
  if (report["peak_bytes"] != 0) {  // where the system says it
    EXPECT_GT(report["peak_bytes"], report["weight_bytes"]);
  }
  EXPECT_EQ(json::parse(OutputOf(Call({"-p", "the ", "--json"})))["end"],
            "context");
}

TEST_F(GenerateVerbTest, SpeedsGoToStandardError) {
  const Outcome outcome =
      RunLutra({"generate", model_, "-p", "the", "-n", "5", "--ignore-eos"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("prompt 3 tokens"),
                    HasSubstr("generated 5 tokens"), HasSubstr("tokens/s"),
                    HasSubstr("memory: "), HasSubstr("of 200 tokens used")));
}

// What is said in several lines is one sequence.
TEST_F(GenerateVerbTest, Interactive) {
  const Outcome outcome =
      RunLutra(Call({"-p", "the", "-n", "10", "--interactive"}),
               RunSettings{.input = "\n\n"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  std::string joined = OutputOf(Call({"-p", "the", "-n", "30"}));
  // Three parts of ten tokens, each ended by a newline.
  std::string text = outcome.out;
  std::erase(text, '\n');
  std::erase(joined, '\n');
  EXPECT_EQ(text, joined);
  // The first line may be the prompt.
  const Outcome from_line =
      RunLutra(Call({"-n", "10", "-i"}), RunSettings{.input = "the\n"});
  const std::string once = OutputOf(Call({"-p", "the", "-n", "10"}));
  EXPECT_EQ("the" + from_line.out, once);
  // Or a file.
  WriteBytes(dir_ / "prompt", "the");
  const Outcome from_file =
      RunLutra(Call({"-f", (dir_ / "prompt").string(), "-n", "10", "-i"}),
               RunSettings{.input = ""});
  EXPECT_EQ(from_file.out, once);
}

TEST_F(GenerateVerbTest, ContextAndCache) {
  std::vector<size_t> state_bytes;
  for (const char* cache : {"float32", "float16", "int8"}) {
    const json report = json::parse(
        OutputOf(Call({"-p", "the", "--context", "50", "--cache", cache,
                       "--json", "--chunk", "4", "--threads", "1"})));
    EXPECT_EQ(report["context"], 50);
    EXPECT_EQ(report["tokens"].size(), 50 - 3 + 1);
    state_bytes.push_back(report["state_bytes"]);
  }
  EXPECT_EQ(state_bytes[0], 2 * state_bytes[1]);
  EXPECT_LT(state_bytes[2], state_bytes[1]);
  const Outcome full =
      RunLutra(Call({"-p", "the he the he", "--context", "5"}));
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_THAT(full.err, HasSubstr("the context of 5 tokens is too short"));
  EXPECT_EQ(full.out, "the he the he\n");
}

TEST_F(GenerateVerbTest, CtrlCStopsCleanly) {
  TinyLanguage{.context = 1000000}.Build().Write(model_);
  const Outcome outcome =
      RunLutra({"generate", model_, "-p", "the", "--ignore-eos"},
               RunSettings{.interrupt = true});
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_THAT(outcome.out, StartsWith("the"));
  EXPECT_EQ(outcome.out.back(), '\n');
  EXPECT_THAT(outcome.err, HasSubstr("tokens/s"));
}

// Where no text is being written Ctrl-C ends the command.
TEST_F(GenerateVerbTest, CtrlCEndsTheWait) {
  const Outcome outcome =
      RunLutra({"generate", model_, "-p", "the", "-n", "3", "-i"},
               RunSettings{.silent_input = true, .interrupt = true});
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_THAT(outcome.out, StartsWith("the"));
  EXPECT_THAT(outcome.err, HasSubstr("tokens/s"));
}

// Each prompt gets the text that it gets alone, however many run at a time.
TEST_F(GenerateVerbTest, SeveralPromptsAtOnce) {
  const std::vector<std::string> prompts = {"the he", "said", "a fox"};
  const std::vector<std::string> options = {"-n", "12", "--seed", "4"};
  std::vector<std::string> several = options;
  std::string lines;
  std::string expected;
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::vector<std::string> one = options;
    one.insert(one.end(), {"-p", prompts[i]});
    several.insert(several.end(), {"-p", prompts[i]});
    lines += prompts[i] + "\n\n";
    expected += "[" + std::to_string(i + 1) + "/3]\n" + OutputOf(Call(one));
  }
  for (const char* parallel : {"1", "2", "8"}) {
    std::vector<std::string> call = several;
    call.insert(call.end(), {"--parallel", parallel});
    EXPECT_EQ(OutputOf(Call(call)), expected) << parallel;
  }
  std::vector<std::string> piped = options;
  piped.insert(piped.end(), {"--prompts", "-"});
  EXPECT_EQ(RunLutra(Call(piped), RunSettings{.input = lines}).out, expected);

  several.push_back("--json");
  const json report = json::parse(OutputOf(Call(several)));
  ASSERT_EQ(report["results"].size(), 3u);
  std::string shown;
  for (size_t i = 0; i < 3; ++i) {
    const json& result = report["results"][i];
    EXPECT_EQ(result["tokens"].size(), 12u);
    EXPECT_EQ(result["end"], "length");
    shown += "[" + std::to_string(i + 1) + "/3]\n" +
             result["prompt"].get<std::string>() +
             result["text"].get<std::string>() + "\n";
  }
  EXPECT_EQ(shown, expected);
}

// A model without a tokenizer speaks in ids.
TEST_F(GenerateVerbTest, IdsWithoutATokenizer) {
  TinyLanguage mute{.context = 200, .tokenizer = false};
  const std::string path = (dir_ / "mute.safetensors").string();
  mute.Build().Write(path);
  const json report =
      json::parse(OutputOf({"generate", path, "-p", "1 4,9", "-n", "6",
                            "--temperature", "0", "--json"}));
  const json& result = report["results"][0];
  EXPECT_EQ(result["prompt_tokens"], json({1, 4, 9}));

  LanguageModel model(Model::Load(path));
  const std::vector<int32_t> prompt = {1, 4, 9};
  Span<const float> logits = model.Feed(prompt);
  std::string ids;
  for (int i = 0; i < 6; ++i) {
    const auto id = static_cast<int32_t>(
        std::max_element(logits.begin(), logits.end()) - logits.begin());
    EXPECT_EQ(result["tokens"][static_cast<size_t>(i)], id);
    ids += " " + std::to_string(id);
    logits = model.Feed({&id, 1});
  }
  EXPECT_EQ(OutputOf({"generate", path, "-p", "1 4,9", "-n", "6",
                      "--temperature", "0", "-q"}),
            "1 4,9" + ids + "\n");
  for (const auto& [arguments, cause] :
       std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"-p", "1 x"}, "'x' is not a token's id"},
           {{"-p", "99999999999"}, "'99999999999' is not a token's id"},
           {{"-p", "1", "-i"}, "the model has no tokenizer"},
           {{"-p", "1", "--stop", "a"}, "the model has no tokenizer"}}) {
    std::vector<std::string> call = {"generate", path};
    call.insert(call.end(), arguments.begin(), arguments.end());
    const Outcome outcome = RunLutra(call);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err, HasSubstr(cause));
  }
  const Outcome outside = RunLutra({"generate", path, "-p", "1 37"});
  EXPECT_EQ(outside.exit_code, 1);
  EXPECT_THAT(outside.err, HasSubstr("prompt 1 has the id 37"));
}

TEST_F(GenerateVerbTest, WrongUse) {
  const std::vector<std::vector<std::string>> usage = {
      {"generate", model_, "-p", "a", "-f", "b"},
      {"generate", model_, "--temperature", "-1"},
      {"generate", model_, "--top-p", "1.5"},
      {"generate", model_, "--cache", "int4"},
      {"generate", model_, "--chunk", "0"},
      {"generate", model_, "--tokens", "-1"},
      {"generate", model_, "--top-k", "-1"},
      {"bench", model_, "--prompt", "0", "--tokens", "0"},
      {"generate", model_, "--json", "-i"},
      {"generate", model_, "-p", "a", "-p", "b", "-i"},
      {"generate", model_, "-p", "a", "--prompts", "b"},
      {"generate", model_, "-p", "a", "--parallel", "0"},
      {"generate"}};
  for (const auto& arguments : usage) {
    const Outcome outcome = RunLutra(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, MatchesRegex("lutra: error: [^\n]+\n"));
  }
  TinyLanguage mute;
  mute.tokenizer = false;
  mute.Build().Write(dir_ / "mute.safetensors");
  const std::vector<std::pair<std::vector<std::string>, std::string>> failures =
      {{{"generate", (dir_ / "mute.safetensors").string()}, "has no tokenizer"},
       {{"generate", (dir_ / "none.safetensors").string()}, "cannot open"},
       {{"generate", model_, "-f", (dir_ / "none").string()}, "cannot open"},
       {Call({"--stop", ""}), "stop string is empty"}};
  for (const auto& [arguments, cause] : failures) {
    const Outcome outcome = RunLutra(arguments);
    EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(MatchesRegex("lutra: error: [^\n]+\n"),
                                   HasSubstr(cause)));
  }
  EXPECT_EQ(RunLutra(Call({"-p", "a"}), Stdout::kFullDisk).exit_code, 1);
}

}  // namespace
}  // namespace lutra::tools
