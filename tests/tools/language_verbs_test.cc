// The verbs eval, bench and profile on language models.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numbers>
#include <sstream>
#include <string>
#include <vector>

#include "lutra/kernels/variants.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/tokenizer.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"
#include "tests/tools/command.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

class LanguageVerbsTest : public ::testing::Test {
 protected:
  LanguageVerbsTest() {
    TinyLanguage{}.Build().Write(float_);
    TinyLanguage{.packed = true}.Build().Write(packed_);
    std::string text;
    for (int i = 0; i < 30; ++i) text += "the quick brown fox he said. ";
    WriteBytes(text_, text);
  }

  TempDir dir_;
  const std::string float_ = (dir_ / "float.safetensors").string();
  const std::string packed_ = (dir_ / "packed.safetensors").string();
  const std::string text_ = (dir_ / "t.txt").string();
};

TEST_F(LanguageVerbsTest, KeysBeyondFloat16AreAnErrorThatNamesTheWayOut) {
  const std::string large = (dir_ / "large.safetensors").string();
  TinyLanguage{}
      .Build()
      .Floats("k", {16, 32}, RandomFloats(16 * 32, 3, 1e6f))
      .Write(large);
  for (std::vector<std::string> call :
       {std::vector<std::string>{"generate", large, "-p", "the"},
        {"eval", large, "--text", text_, "--bytes", "50"},
        {"bench", large, "-p", "4", "-n", "4", "-r", "1"}}) {
    SCOPED_TRACE(call[0]);
    const Outcome outcome = RunLutra(call);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.err,
                AllOf(HasSubstr("large.safetensors"), HasSubstr("keys"),
                      HasSubstr("--cache float32")));
    call.insert(call.end(), {"--cache", "float32"});
    EXPECT_EQ(RunLutra(call).exit_code, 0);
  }
}

// What a model and its tokenizer give for the first bytes of a text, token by
// token: chunks of `context` - 1 tokens, each after BOS.
double ExpectedNats(const std::string& path, kernels::ActivationType type,
                    const std::string& text, size_t context) {
  LanguageModelOptions options;
  options.session.activations = type;
  options.session.context = context;
  options.session.threads = 1;
  const auto loaded = Model::Load(path);
  LanguageModel model(loaded, options);
  const std::vector<int32_t> ids =
      Tokenizer::FromModel(*loaded)->Encode(text, false);
  double nats = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const bool starts = i % (context - 1) == 0;
    if (starts) model.Reset();
    const int32_t before = starts ? TinyLanguage::kBos : ids[i - 1];
    const auto logits = model.Feed({&before, 1});
    double sum = 0;
    for (const float logit : logits) sum += std::exp(double{logit});
    nats += std::log(sum) - double{logits[static_cast<size_t>(ids[i])]};
  }
  return nats / static_cast<double>(ids.size());
}

TEST_F(LanguageVerbsTest, EvalText) {
  const json report = json::parse(
      OutputOf({"eval", "--text", text_, "--bytes", "500", "--context", "30",
                "--json", float_, packed_, packed_ + ":float32"}));
  EXPECT_EQ(report["bytes"], 500);
  ASSERT_EQ(report["models"].size(), 3u);
  const std::vector<std::string> activations = {"float32", "int8-per-group",
                                                "float32"};
  const std::string start = ReadBytes(text_).substr(0, 500);
  using kernels::ActivationType;
  const std::vector<double> expected = {
      ExpectedNats(float_, ActivationType::kFloat32, start, 30),
      ExpectedNats(packed_, ActivationType::kInt8PerGroup, start, 30),
      ExpectedNats(packed_, ActivationType::kFloat32, start, 30)};
  for (size_t i = 0; i < 3; ++i) {
    const json& row = report["models"][i];
    EXPECT_EQ(row["activations"], activations[i]);
    EXPECT_EQ(row["context"], 30);
    const auto nats = row["nats_per_token"].get<double>();
    EXPECT_NEAR(nats, expected[i], 1e-5);
    EXPECT_NEAR(row["perplexity"].get<double>(), std::exp(nats), 1e-9);
    EXPECT_EQ(row["tokens"], row["scored_tokens"]);  // thanks to BOS
    EXPECT_NEAR(row["bits_per_byte"].get<double>(),
                nats * row["tokens"].get<double>() / std::numbers::ln2 / 500,
                1e-9);
    EXPECT_GT(row["tokens_per_second"].get<double>(), 0.0);
  }
  // The same weights, other activations: nearly the same.
  EXPECT_NEAR(report["models"][1]["nats_per_token"].get<double>(),
              report["models"][2]["nats_per_token"].get<double>(), 0.2);
  EXPECT_NE(report["models"][1]["nats_per_token"],
            report["models"][2]["nats_per_token"]);
  EXPECT_EQ(report["models"][0]["bits_per_weight"], 32.0);
  EXPECT_LT(report["models"][1]["bits_per_weight"], 16.0);
}

TEST_F(LanguageVerbsTest, EvalTable) {
  const std::string table =
      OutputOf({"eval", "--text", text_, "--label", "the first", float_,
                packed_, "--format", "markdown"});
  EXPECT_THAT(table, AllOf(HasSubstr("| the first"), HasSubstr(packed_),
                           HasSubstr("perplexity"), HasSubstr("nats/token"),
                           HasSubstr("bits/byte"), HasSubstr("bits/weight"),
                           HasSubstr("tokens/s")));
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 4);
}

TEST_F(LanguageVerbsTest, EvalBesideAReference) {
  const json report = json::parse(OutputOf(
      {"eval", "--text", text_, "--bytes", "500", "--context", "30",
       "--protocol", "llama", "--chunks", "3", "--json", "--label", "float",
       "--reference", "float", float_, packed_ + ":float32"}));
  EXPECT_EQ(report["protocol"], "llama");
  for (const json& row : report["models"]) {
    EXPECT_EQ(row["scored_tokens"], 3 * 14);
  }
  EXPECT_EQ(report["models"][0]["kl_divergence"], 0.0);
  EXPECT_EQ(report["models"][0]["same_top"], 1.0);
  EXPECT_GT(report["models"][1]["kl_divergence"], 0.0);
  EXPECT_LT(report["models"][1]["same_top"], 1.0);
  // A model that is in no row.
  const std::string table =
      OutputOf({"eval", "--text", text_, "--reference", float_, packed_});
  EXPECT_THAT(table, AllOf(HasSubstr("KL div."), HasSubstr("same top")));
  EXPECT_EQ(RunLutra({"eval", "--text", text_, "--reference", "none", packed_})
                .exit_code,
            1);
  EXPECT_EQ(
      RunLutra({"eval", "--text", text_, "--protocol", "x", float_}).exit_code,
      2);
}

TEST_F(LanguageVerbsTest, MultipleChoice) {
  const std::string questions = (dir_ / "q.jsonl").string();
  WriteBytes(questions,
             "{\"context\": \"the\", \"choices\": [\" a\", \" fox\"], "
             "\"answer\": 1}\n\n{\"choices\": [\"he\"], \"answer\": 0}\n");
  const json report = json::parse(OutputOf(
      {"eval", "--multiple-choice", questions, "--json", float_, packed_}));
  EXPECT_EQ(report["questions"], 2);
  ASSERT_EQ(report["models"].size(), 2u);
  // One has no other choice.
  EXPECT_GE(report["models"][1]["acc"], 0.5);
  EXPECT_EQ(
      json::parse(OutputOf({"eval", "--multiple-choice", questions, "--limit",
                            "1", "--json", float_}))["questions"],
      1);
  EXPECT_THAT(OutputOf({"eval", "--multiple-choice", questions, float_}),
              AllOf(HasSubstr("acc_norm"), HasSubstr("of 2")));
  WriteBytes(questions,
             "{\"choices\": [\"he\"], \"answer\": 0}\n{\"choices\": 3}");
  const Outcome outcome =
      RunLutra({"eval", "--multiple-choice", questions, float_});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, AllOf(MatchesRegex("lutra: error: [^\n]+\n"),
                                 HasSubstr("line 2 is no question")));
}

TEST_F(LanguageVerbsTest, EvalWrongUse) {
  EXPECT_EQ(RunLutra({"eval", float_}).exit_code, 2);
  EXPECT_EQ(
      RunLutra({"eval", float_, "--text", text_, "--multiple-choice", text_})
          .exit_code,
      2);
  EXPECT_EQ(
      RunLutra({"eval", float_, "--text", text_, "--data", "x"}).exit_code, 2);
  const Outcome outcome =
      RunLutra({"eval", float_, "--text", text_, "--context", "1"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, AllOf(MatchesRegex("lutra: error: [^\n]+\n"),
                                 HasSubstr("less than 2 tokens")));
}

// Memory of a cache is taken as tokens fill it, and that of a call does not
// depend on the context.
TEST_F(LanguageVerbsTest, ContextCostsNothingUntilItIsUsed) {
  constexpr size_t kMost = size_t{16} << 20;
  const auto peak = [&](const std::string& context) {
    // A warning says that the model is not made for so much.
    const json report =
        json::parse(RunLutra({"bench", float_, "-p", "1", "-n", "0",
                              "--context", context, "--threads", "1", "--json"})
                        .out);
    return report["results"][0]["peak_bytes"].get<size_t>();
  };
  EXPECT_LT(peak("16777216"), peak("64") + kMost);
}

// One line, however many settings are measured.
TEST_F(LanguageVerbsTest, ContextBeyondTheModelIsAWarning) {
  const std::vector<std::vector<std::string>> calls = {
      {"generate", float_, "-p", "the", "-n", "2", "-q"},
      {"eval", float_, "--text", text_},
      {"bench", float_, "-p", "4", "-n", "2", "-t", "1,2", "-r", "1"},
      {"profile", float_, "-n", "2", "--repeat", "1"}};
  for (std::vector<std::string> call : calls) {
    call.insert(call.end(), {"--context", "65"});
    const Outcome outcome = RunLutra(call);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.err,
                MatchesRegex("lutra: warning: [^\n]+ 64 tokens[^\n]+ 65: "
                             "[^\n]+\n"))
        << call[0];
    call.back() = "64";
    EXPECT_EQ(RunLutra(call).err, "") << call[0];
  }
}

TEST_F(LanguageVerbsTest, HowWeightsAreLoadedChangesNothing) {
  const std::vector<std::string> call = {"generate", packed_, "-p", "the",
                                         "-n",       "8",     "-q", "--load"};
  const auto with = [&](const char* how) {
    std::vector<std::string> all = call;
    all.emplace_back(how);
    return all;
  };
  const std::string expected = OutputOf(with("map"));
  EXPECT_EQ(OutputOf(with("copy")), expected);
  EXPECT_EQ(OutputOf(with("huge")), expected);
  const Outcome outcome = RunLutra(with("hug"));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("'huge'"));
  OutputOf(
      {"bench", packed_, "-p", "4", "-n", "2", "-r", "1", "--load", "copy"});
  OutputOf({"profile", packed_, "-n", "2", "--repeat", "1", "--load", "huge"});
}

TEST_F(LanguageVerbsTest, BenchAllTests) {
  const auto start = std::chrono::steady_clock::now();
  const json report =
      json::parse(OutputOf({"bench", packed_, float_, "-p", "16,40", "-n", "8",
                            "-t", "1,2", "-r", "3", "--json"}));
  const std::chrono::duration<double, std::micro> elapsed =
      std::chrono::steady_clock::now() - start;
  const json& results = report["results"];
  ASSERT_EQ(results.size(), 12u);
  double measured = 0;  // us
  EXPECT_EQ(results[0]["test"], "pp16");
  EXPECT_EQ(results[2]["test"], "tg8");
  EXPECT_EQ(results[3]["threads"], 2);
  EXPECT_EQ(results[0]["activations"], "int8-per-group");
  EXPECT_EQ(results[6]["activations"], "float32");
  EXPECT_EQ(report["variant"], kernels::ActiveVariant());
  for (const json& result : results) {
    EXPECT_EQ(result["repeat"], 3);
    EXPECT_EQ(result["context"], 40);
    EXPECT_LE(result["p50_us_per_token"], result["p99_us_per_token"]);
    // A mean of speeds is at least the speed of the mean time.
    EXPECT_GE(result["tokens_per_second"].get<double>() *
                  result["mean_us_per_token"].get<double>() / 1e6,
              1 - 1e-9);
    measured += result["mean_us_per_token"].get<double>() *
                result["tokens"].get<double>() * 3;
    const std::string path = result["model"];
    EXPECT_EQ(result["file_bytes"], std::filesystem::file_size(path));
    EXPECT_EQ(result["weight_bytes"],
              LanguageModel(Model::Load(path)).Memory().weights);
    // 0 where the system does not say.
    if (result["peak_bytes"] != 0) {
      EXPECT_GT(result["peak_bytes"], result["weight_bytes"]);
    }
    EXPECT_GT(result["load_ms"].get<double>(), 0.0);
    EXPECT_LT(result["load_ms"].get<double>() * 1e3, elapsed.count());
    // Each kind of test has a limit of its own.
    // q, k, v, and scores and sums of attention for every token; o, gate, up,
    // down and the output for the last token of each call.
    const std::string test = result["test"];
    const std::map<std::string, double> calls = {
        {"pp16", 1}, {"pp40", 1}, {"tg8", 8}};
    const auto tokens = result["tokens"].get<double>();
    EXPECT_NEAR(result["multiply_adds_per_token"].get<double>(),
                32 * 32 + 2 * 16 * 32 + 2 * 32 * (tokens + 1) / 2 +
                    (32 * 32 + 3 * 48 * 32 + 37 * 32) * calls.at(test) / tokens,
                1e-6)
        << test;
  }
  // Everything was measured while the command ran.
  EXPECT_LT(measured, elapsed.count());
  // A token of a packed model touches fewer bytes; of a prompt, fewer still.
  EXPECT_LT(results[2]["bytes_per_token"].get<double>(),
            results[8]["bytes_per_token"].get<double>());
  EXPECT_LT(results[0]["bytes_per_token"].get<double>(),
            results[2]["bytes_per_token"].get<double>());
}

TEST_F(LanguageVerbsTest, BenchShareOfLimit) {
  const std::vector<std::string> call = {
      "bench", packed_, float_, "-p", "16", "-n", "8", "-t", "1,2", "-r", "1"};
  std::vector<std::string> with_json = call;
  with_json.push_back("--json");
  const json report = json::parse(OutputOf(with_json));
  ASSERT_EQ(report["results"].size(), 8u);
  for (const json& result : report["results"]) {
    const double speed = result["tokens_per_second"];
    const bool prompt = result["test"] == "pp16";
    const double limit = prompt ? result["peak_operations_per_second"]
                                : result["read_bandwidth"];
    const double cost =
        prompt ? 2 * result["multiply_adds_per_token"].get<double>()
               : result["bytes_per_token"].get<double>();
    const bool scalar = kernels::ActiveVariant() == std::string("SCALAR");
    ASSERT_EQ(limit == 0, prompt && scalar);  // kernels without SIMD
    if (limit == 0) {
      EXPECT_TRUE(result["share_of_limit"].is_null());
    } else {
      EXPECT_NEAR(result["share_of_limit"].get<double>(), cost * speed / limit,
                  1e-6 * cost * speed / limit);
    }
  }
  EXPECT_THAT(OutputOf(call), Not(HasSubstr("inf")));
}

TEST_F(LanguageVerbsTest, BenchSequencesAndDepth) {
  const json report = json::parse(
      OutputOf({"bench", packed_, "-p", "6", "-n", "4", "--sequences", "1,3",
                "-d", "0,10", "-t", "1", "-r", "1", "--json"}));
  const json& results = report["results"];
  std::vector<std::string> names;
  for (const json& result : results) names.push_back(result["test"]);
  EXPECT_THAT(names, ElementsAre("pp6", "tg4", "pp6 x3", "tg4 x3", "pp6 @10",
                                 "tg4 @10", "pp6 x3 @10", "tg4 x3 @10"));
  EXPECT_EQ(results[7]["sequences"], 3);
  EXPECT_EQ(results[7]["depth"], 10);
  EXPECT_EQ(results[7]["tokens"], 4);
  EXPECT_EQ(results[7]["context"], 16);
  const auto bytes = [&](size_t i) {
    return results[i]["bytes_per_token"].get<double>();
  };
  const auto work = [&](size_t i) {
    return results[i]["multiply_adds_per_token"].get<double>();
  };
  // Weights are read once for three texts; each looks back at its own tokens.
  EXPECT_LT(bytes(3), 0.5 * bytes(1));
  EXPECT_EQ(work(3), work(1));
  EXPECT_GT(work(5), work(1));
  EXPECT_GT(bytes(5), bytes(1));
}

TEST_F(LanguageVerbsTest, BenchForms) {
  const std::vector<std::string> call = {"bench", packed_, "-p", "0",  "-n",
                                         "4,5",   "-t",    "1",  "-r", "2"};
  const std::string table = OutputOf(call);
  EXPECT_THAT(table, AllOf(HasSubstr("tg4"), HasSubstr("tg5"), HasSubstr("±"),
                           HasSubstr("of limit"), HasSubstr("kernels: "),
                           HasSubstr("bits per weight"), Not(HasSubstr("pp"))));
  std::vector<std::string> markdown = call;
  markdown.insert(markdown.end(), {"--format", "markdown"});
  EXPECT_THAT(OutputOf(markdown), HasSubstr("| tg4 "));
  std::vector<std::string> csv = call;
  csv.insert(csv.end(), {"--format", "csv"});
  std::istringstream lines(OutputOf(csv));
  std::string header;
  std::string first;
  std::string second;
  std::string rest;
  std::getline(lines, header);
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_THAT(header, AllOf(HasSubstr("model,"), HasSubstr(",test,"),
                            HasSubstr("p99_us_per_token")));
  EXPECT_EQ(std::count(header.begin(), header.end(), ','),
            std::count(first.begin(), first.end(), ','));
  EXPECT_THAT(first, HasSubstr(",tg4,4,0,1,2,"));
  EXPECT_THAT(second, HasSubstr(",tg5,5,0,1,2,"));
  EXPECT_FALSE(std::getline(lines, rest)) << rest;
}

TEST_F(LanguageVerbsTest, Profile) {
  const std::vector<std::string> call = {
      "profile", packed_, "-n", "4", "-r", "2", "-t", "1", "--json", "--nodes"};
  const json report = json::parse(OutputOf(call));
  EXPECT_EQ(report["tokens"], 8);
  // Of 19 nodes, k, v, up, silu and both sums are computed along with others.
  EXPECT_EQ(report["nodes"].size(), 13u);
  const json& operators = report["operators"];
  uint64_t nodes = 0;
  double time = 0;
  for (const json& line : operators) {
    nodes += line["nodes"].get<uint64_t>();
    time += line["us_per_token"].get<double>();
  }
  EXPECT_EQ(nodes, 13u);
  EXPECT_GT(time, 0);
  EXPECT_LE(time, report["us_per_token"].get<double>());
  const auto linear =
      std::find_if(operators.begin(), operators.end(),
                   [](const json& line) { return line["op"] == "linear"; });
  ASSERT_NE(linear, operators.end());
  EXPECT_EQ((*linear)["nodes"], 5);
  // q, k, v, o, gate, up, down and the output.
  EXPECT_EQ((*linear)["multiply_adds_per_token"],
            32 * 32 + 2 * 16 * 32 + 32 * 32 + 3 * 48 * 32 + 37 * 32);

  EXPECT_THAT(OutputOf({"profile", float_, "-p", "20", "-r", "2"}),
              AllOf(HasSubstr("attention"), HasSubstr("between nodes"),
                    HasSubstr("of limit"), HasSubstr("limits: read")));
  EXPECT_THAT(OutputOf({"profile", float_, "--nodes", "--format", "markdown"}),
              HasSubstr("| logits"));
}

}  // namespace
}  // namespace lutra::tools
