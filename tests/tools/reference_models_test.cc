// The real models of the test data, from import to text, by the command alone;
// compared with numbers that do not come from lutra.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/temp_dir.h"
#include "tests/test_data.h"
#include "tests/tools/command.h"

namespace lutra::tools {
namespace {

using nlohmann::json;

class ReferenceModelsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto data = TestData("data");
    if (!data) GTEST_SKIP() << "no test data";
    data_ = data->string();
    reference_ = json::parse(std::ifstream(*data / "reference_values.json"));
  }

  std::string Path(const char* relative) const { return data_ + relative; }

  // The ids after each of the model's prompts.
  void ExpectGreedy(const char* key, const char* ids) {
    ASSERT_FALSE(reference_[key]["prompts"].empty());
    for (const json& prompt : reference_[key]["prompts"]) {
      const auto count = prompt[ids].size();
      const json report = json::parse(OutputOf(
          {"generate", model_, "-p", prompt["text"], "-n",
           std::to_string(count), "--temperature", "0", "--json", "-t", "1"}));
      EXPECT_EQ(report["prompt_tokens"], prompt["ids"]);
      EXPECT_EQ(report["tokens"], prompt[ids]) << report["text"];
    }
  }

  // The first of the model's perplexities.
  void ExpectPerplexity(const char* key) {
    const json& expected = reference_[key]["perplexity"][0];
    const json report = json::parse(
        OutputOf({"eval", model_, "--text",
                  Path("/") + expected["file"].get<std::string>(), "--bytes",
                  expected["first_bytes"].dump(), "--json", "-t", "1"}));
    const json& row = report["models"][0];
    EXPECT_EQ(row["context"], expected["window"].get<int>() + 1);
    EXPECT_EQ(row["tokens"], expected["n_tokens"]);
    EXPECT_NEAR(row["nats_per_token"].get<double>(),
                expected["mean_nll_nats_per_token"].get<double>(), 5e-5);
    EXPECT_NEAR(row["bits_per_byte"].get<double>(),
                expected["bits_per_byte"].get<double>(), 5e-5);
  }

  TempDir dir_;
  const std::string model_ = (dir_ / "m.safetensors").string();
  std::string data_;
  json reference_;
};

TEST_F(ReferenceModelsTest, Stories260k) {
  OutputOf({"import", Path("/stories260k/stories260K.bin"), "--tokenizer",
            Path("/stories260k/tok512.bin"), "-o", model_});
  ExpectGreedy("stories260k", "greedy_next_64");
  ExpectPerplexity("stories260k");
}

TEST_F(ReferenceModelsTest, TinyStories656k) {
  OutputOf({"import", Path("/tinystories-656k"), "-o", model_});
  ExpectGreedy("tinystories_656k", "greedy_next");
  ExpectPerplexity("tinystories_656k");
}

TEST_F(ReferenceModelsTest, KeywordSpotting) {
  OutputOf({"import", Path("/kws-mlperf-tiny"), "-o", model_});
  const json report = json::parse(OutputOf(
      {"eval", model_, "--data", Path("/kws-mlperf-tiny/kws01"), "--scale",
       "0.5847029089927673", "--zero-point", "83", "--json", "-t", "1"}));
  EXPECT_EQ(report["models"][0]["correct"],
            reference_["kws"]["fp32_top1_correct_of_1000"]);
}

}  // namespace
}  // namespace lutra::tools
