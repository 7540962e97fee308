#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/runtime/raw_file.h"
#include "tests/tools/command.h"
#include "tests/tools/workshop.h"

// --spec and --preset of the verbs that train and pack.

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json PackReport(const Workshop& shop, const std::string& model,
                const std::vector<std::string>& options) {
  std::vector<std::string> arguments = {"pack", shop / model, "-o",
                                        shop / "packed.safetensors", "--json"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  return json::parse(OutputOf(arguments));
}

TEST(SpecOptionsTest, Preset) {
  const Workshop shop;
  const json report =
      PackReport(shop, "trained.safetensors", {"--preset", "int8da-int4w-g16"});
  ASSERT_EQ(report["tensors"].size(), 2u);
  for (const json& tensor : report["tensors"]) {
    EXPECT_EQ(tensor["method"], "post-training");
    EXPECT_EQ(tensor["quantizer"], "intx");
    EXPECT_EQ(tensor["bits"], 4);
  }
  EXPECT_EQ(report["tensors"][0]["group_size"], 16);
}

TEST(SpecOptionsTest, FileAndFlags) {
  const Workshop shop;
  WriteBytes(shop.dir() / "spec.json", R"({
    "preset": "int8da-stretched2",
    "rules": [{"name": "fc1", "weights": {"dtype": "int3"}},
              {"name": "fc2", "weights": {"dtype": "int4",
                                          "quantizer": "intx"}}]})");
  const std::string spec = shop / "spec.json";
  json tensors =
      PackReport(shop, "float.safetensors", {"--spec", spec})["tensors"];
  EXPECT_EQ(tensors[0]["bits"], 3);
  EXPECT_EQ(tensors[1]["quantizer"], "intx");
  // Flags come before the file.
  tensors = PackReport(
      shop, "float.safetensors",
      {"--spec", spec, "--rule", "fc1=bits:1", "--exclude", "fc2"})["tensors"];
  EXPECT_EQ(tensors[0]["bits"], 1);
  EXPECT_EQ(tensors[1]["method"], "kept");
}

TEST(SpecOptionsTest, RulesByOperator) {
  const Workshop shop;
  WriteBytes(shop.dir() / "spec.json", R"({"exclude": ["op:linear"],
    "weights": {"dtype": "int2"}})");
  const json tensors = PackReport(shop, "float.safetensors",
                                  {"--spec", shop / "spec.json"})["tensors"];
  ASSERT_EQ(tensors.size(), 2u);
  for (const json& tensor : tensors) EXPECT_EQ(tensor["method"], "kept");
}

TEST(SpecOptionsTest, Mistakes) {
  const Workshop shop;
  const auto expect = [&](const std::vector<std::string>& options, int code,
                          const std::string& cause) {
    for (const char* verb : {"pack", "train"}) {
      const bool pack = verb == std::string("pack");
      std::vector<std::string> arguments = {verb};
      if (pack) {
        arguments.push_back(shop / "float.safetensors");
      } else {
        arguments.insert(arguments.end(), {"--data", shop.data()});
      }
      arguments.insert(arguments.end(), {"-o", shop / "out.safetensors"});
      arguments.insert(arguments.end(), options.begin(), options.end());
      const Outcome outcome = RunLutra(arguments);
      EXPECT_EQ(outcome.exit_code, code) << outcome.err;
      EXPECT_THAT(outcome.err, HasSubstr(cause));
    }
  };
  expect({"--preset", "int8da-int4"}, 2, "did you mean 'int4w'?");
  expect({"--preset", "int4w", "--bits", "2"}, 2, "excludes");
  expect({"--spec", shop / "none.json"}, 1, "none.json");
  WriteBytes(shop.dir() / "bad.json", R"({"weigths": {}})");
  expect({"--spec", shop / "bad.json"}, 1, "did you mean 'weights'?");
  const Outcome train =
      RunLutra({"train", "--data", shop.data(), "-o", shop / "out.safetensors",
                "--rule", "fc1=bits:2"});
  EXPECT_EQ(train.exit_code, 2);
  EXPECT_THAT(train.err, HasSubstr("--preset"));
}

}  // namespace
}  // namespace lutra::tools
