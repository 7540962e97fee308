#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "lutra.h"
#include "tests/tools/command.h"
#include "tests/tools/workshop.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(BenchVerbTest, AllCombinations) {
  const Workshop shop;
  const std::string packed = shop / "packed.safetensors";
  OutputOf({"pack", shop / "float.safetensors", "-o", packed});
  const auto start = std::chrono::steady_clock::now();
  const json report = json::parse(OutputOf(
      {"bench", packed, "--batch", "1,5", "--threads", "1,2", "--activations",
       "int8,int8-symmetric,float32", "--repeat", "4", "--json"}));
  const std::chrono::duration<double, std::micro> elapsed =
      std::chrono::steady_clock::now() - start;
  EXPECT_EQ(report["version"], lutra_version());
  ASSERT_EQ(report["results"].size(), 12u);
  double measured = 0;  // us
  size_t index = 0;
  for (const char* activations : {"int8", "int8-symmetric", "float32"}) {
    for (const int threads : {1, 2}) {
      for (const int batch : {1, 5}) {
        const json& result = report["results"][index++];
        SCOPED_TRACE(result.dump());
        EXPECT_EQ(result["model"], packed);
        EXPECT_EQ(result["activations"], activations);
        EXPECT_EQ(result["threads"], threads);
        EXPECT_EQ(result["batch"], batch);
        EXPECT_EQ(result["calls"], 4);
        EXPECT_GT(result["min_us"], 0.0);
        EXPECT_LE(result["min_us"], result["median_us"]);
        EXPECT_LE(result["median_us"], result["p99_us"]);
        EXPECT_LE(result["min_us"], result["mean_us"]);
        EXPECT_LE(result["mean_us"], result["p99_us"]);
        // Each token of a call has its part of the time.
        const auto median = result["median_us"].get<double>();
        EXPECT_NEAR(result["us_per_token"].get<double>(), median / batch,
                    1e-9 * median);
        EXPECT_NEAR(result["tokens_per_second"].get<double>() * median,
                    1e6 * batch, 1e-3);
        measured += 4 * result["mean_us"].get<double>();
      }
    }
  }
  // The calls were made while the command ran.
  EXPECT_LT(measured, elapsed.count());
}

// Activations only matter to packed weights.
TEST(BenchVerbTest, FloatModelIsMeasuredOnce) {
  const Workshop shop;
  const json report = json::parse(OutputOf(
      {"bench", shop / "float.safetensors", "--batch", "1", "--threads", "1",
       "--activations", "int8,float32", "--repeat", "1", "--json"}));
  ASSERT_EQ(report["results"].size(), 1u);
  EXPECT_EQ(report["results"][0]["activations"], "float32");
}

// Random ids must stay inside the embedding.
TEST(BenchVerbTest, ModelWithIdsAndTable) {
  const Workshop shop;
  EXPECT_THAT(OutputOf({"bench", shop / "ids.safetensors", "--batch", "64",
                        "--threads", "1", "--repeat", "2"}),
              AllOf(HasSubstr("us/token"), HasSubstr("512 weights"),
                    HasSubstr("kernels: ")));
}

TEST(BenchVerbTest, BesideBusyThreads) {
  const Workshop shop;
  std::vector<std::string> call = {"bench",     shop / "float.safetensors",
                                   "--batch",   "1",
                                   "--repeat",  "1",
                                   "--threads", "1",
                                   "--beside",  "2"};
  EXPECT_THAT(OutputOf(call), HasSubstr("beside: 2 busy threads"));
  call.emplace_back("--json");
  EXPECT_EQ(json::parse(OutputOf(call))["results"][0]["beside"], 2);
}

TEST(BenchVerbTest, TooManyThreadsAreAWarning) {
  const Workshop shop;
  const Outcome outcome =
      RunLutra({"bench", shop / "float.safetensors", "--batch", "1", "--repeat",
                "1", "--threads", "1024"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("warning: --threads 1024: "));
}

}  // namespace
}  // namespace lutra::tools
