#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  const json report = json::parse(OutputOf(
      {"bench", packed, "--batch", "1,5", "--threads", "1,2", "--activations",
       "int8,int8-symmetric,float32", "--repeat", "4", "--json"}));
  EXPECT_EQ(report["version"], lutra_version());
  ASSERT_EQ(report["results"].size(), 12u);
  const json& last = report["results"][11];
  EXPECT_EQ(last["activations"], "float32");
  EXPECT_EQ(last["threads"], 2);
  EXPECT_EQ(last["batch"], 5);
  for (const json& result : report["results"]) {
    EXPECT_EQ(result["calls"], 4);
    EXPECT_GT(result["median_us"], 0.0);
    EXPECT_LE(result["min_us"], result["median_us"]);
    EXPECT_LE(result["median_us"], result["p99_us"]);
    EXPECT_NEAR(result["us_per_token"].get<double>() *
                    result["tokens_per_second"].get<double>(),
                1e6, 1);
  }
}

// Activations only matter to packed weights.
TEST(BenchVerbTest, FloatModelIsMeasuredOnce) {
  const Workshop shop;
  const json report = json::parse(OutputOf(
      {"bench", shop / "float.safetensors", "--batch", "1", "--threads", "1",
       "--activations", "int8,float32", "--repeat", "1", "--json"}));
  EXPECT_EQ(report["results"].size(), 1u);
}

// Random ids must stay inside the embedding.
TEST(BenchVerbTest, ModelWithIdsAndTable) {
  const Workshop shop;
  EXPECT_THAT(OutputOf({"bench", shop / "ids.safetensors", "--batch", "64",
                        "--threads", "1", "--repeat", "2"}),
              AllOf(HasSubstr("us/token"), HasSubstr("512 weights"),
                    HasSubstr("kernels: ")));
}

}  // namespace
}  // namespace lutra::tools
