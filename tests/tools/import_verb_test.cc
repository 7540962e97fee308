#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"
#include "tests/tools/command.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ImportVerbTest, ReportsWhatWasImported) {
  const auto data = TestData("data/stories260k/stories260K.bin");
  if (!data) GTEST_SKIP() << "data absent";
  const TempDir dir;
  const std::string model = (dir / "stories.safetensors").string();
  EXPECT_THAT(
      OutputOf({"import", data->string(), "-o", model}),
      AllOf(HasSubstr("Llama (llama2.c), 5 layers"), HasSubstr("context 512"),
            HasSubstr("tokenizer: llama2.c, 512 ids")));
  const json report = json::parse(OutputOf(
      {"import", data->string(), "-o", model, "--context", "64", "--json"}));
  EXPECT_EQ(report["format"], "llama2c");
  EXPECT_EQ(report["context"], 64);
  EXPECT_EQ(report["layers"], 5);
  EXPECT_EQ(report["parameters"], 260032);
  EXPECT_EQ(report["vocabulary"], 512);
  EXPECT_EQ(report["file_bytes"], std::filesystem::file_size(model));
}

TEST(ImportVerbTest, GraphWithSafetensors) {
  const auto data = TestData("data/silero-vad/silero_vad_16k.safetensors");
  if (!data) GTEST_SKIP() << "data absent";
  const TempDir dir;
  const std::string graph = (dir / "graph.json").string();
  std::ofstream(graph) << R"({"inputs": [{"name": "x", "type": "float32",
      "shape": [4]}], "nodes": [{"op": "linear", "inputs": ["x"],
      "output": "y", "weight": "no such tensor"}], "outputs": ["y"]})";
  const std::string model = (dir / "model.safetensors").string();
  const Outcome result =
      RunLutra({"import", data->string(), "--graph", graph, "-o", model});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("tensor 'no such tensor'"));
  EXPECT_FALSE(std::filesystem::exists(model));
}

TEST(ImportVerbTest, RecoveryIsReported) {
  const auto data = TestData("golden/lattice");
  if (!data) GTEST_SKIP() << "data absent";
  const TempDir dir;
  const std::string model = (dir / "model.safetensors").string();
  const std::string folder = (*data / "model-q4_0-bf16").string();
  EXPECT_THAT(
      OutputOf({"import", folder, "--recover", "--require-exact", "-o", model}),
      HasSubstr("15 of BF16 on a grid of 4 bits, groups of 32: 5.12 bits per "
                "weight, every value exact"));
  // Some groups of one layer are not on its grid, and another has none.
  const std::string graph = (dir / "graph.json").string();
  std::ofstream(graph) << R"({"inputs": [{"name": "x", "type": "float32",
      "shape": [256]}], "nodes": [{"op": "linear", "inputs": ["x"],
      "output": "y", "weight": "decoy-part"}, {"op": "linear",
      "inputs": ["x"], "output": "z", "weight": "decoy-normal"}],
      "outputs": ["y", "z"]})";
  const std::string weights = (*data / "bf16.safetensors").string();
  EXPECT_THAT(
      OutputOf({"import", weights, "--graph", graph, "--recover", "-o", model}),
      AllOf(HasSubstr("not exact: decoy-part: 4 of 64 groups are not on its "
                      "grid (93.75 % are), SQNR "),
            HasSubstr("1 left as floats: no grid")));
  const json report =
      json::parse(OutputOf({"import", weights, "--graph", graph, "--recover",
                            "-o", model, "--json"}));
  EXPECT_EQ(report["weights"][0]["exact_groups"], 60);
  EXPECT_EQ(report["weights"][0]["groups"], 64);
  EXPECT_EQ(report["weights"][0]["exact"], false);
  EXPECT_EQ(report["floats"][0]["reason"], "no grid");
  std::filesystem::remove(model);
  const Outcome refused =
      RunLutra({"import", weights, "--graph", graph, "--recover",
                "--require-exact", "-o", model});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err,
              HasSubstr("tensor 'decoy-part': 4 of 64 groups are not on its "
                        "grid of 4 bits, groups of 32"));
  EXPECT_FALSE(std::filesystem::exists(model));
}

TEST(ImportVerbTest, QuantizedWeightsAreReported) {
  const auto data = TestData("golden/checkpoints/gguf-mixed/model.gguf");
  if (!data) GTEST_SKIP() << "data absent";
  const TempDir dir;
  const std::string model = (dir / "model.safetensors").string();
  EXPECT_THAT(
      OutputOf({"import", data->string(), "-o", model}),
      AllOf(HasSubstr("2 of GGUF, Q4_0: 5.25 bits per weight, every value "
                      "exact"),
            HasSubstr("2 of GGUF, Q5_1: 9.75 bits per weight, every value "
                      "exact")));
  // What packing notes of its tensors, importing does, too.
  const json after = json::parse(OutputOf({"inspect", model, "--json"}));
  EXPECT_THAT(after.dump(), HasSubstr("\"imported\""));
  EXPECT_THAT(OutputOf({"import", data->string(), "-o", model, "--dequantize"}),
              HasSubstr("2 of GGUF, Q4_0: 32.00 bits per weight, as float32"));

  const json before =
      json::parse(OutputOf({"inspect", data->string(), "--json"}));
  EXPECT_EQ(before["refusal"], "");
  EXPECT_EQ(before["architecture"], "LlamaForCausalLM");
  // A float16 cache of two layers with one head of 32 for keys and values.
  EXPECT_EQ(before["cache_bytes_per_token"], 2 * 2 * 32 * 2);
  EXPECT_GT(before["tokens_per_second"], 0);
  EXPECT_EQ(before["weights"].size(), 13u);
  EXPECT_EQ(before["weights"][0]["exact"], true);
  EXPECT_THAT(OutputOf({"inspect", data->string()}),
              HasSubstr("2 of GGUF, Q4_0: 5.25 bits per weight"));
}

TEST(ImportVerbTest, WhatCannotBeImportedIsInspected) {
  const auto data = TestData("golden/checkpoints/ct-w4a16-sym-g32");
  if (!data) GTEST_SKIP() << "data absent";
  const TempDir dir;
  const std::filesystem::path copy = dir / "copy";
  std::filesystem::copy(*data, copy);
  std::string config = ReadBytes(copy / "config.json");
  const std::string known = "LlamaForCausalLM";
  config.replace(config.find(known), known.size(), "OtherForCausalLM");
  WriteBytes(copy / "config.json", config);
  ExpectError(RunLutra({"import", copy.string(), "-o", (dir / "m").string()}));
  // Whatever becomes of the network, its weights are told of.
  EXPECT_THAT(OutputOf({"inspect", copy.string()}),
              HasSubstr("bits per weight, every value exact"));
}

TEST(ImportVerbTest, TheSourceIsNotReplaced) {
  const auto file = TestData("golden/checkpoints/gguf-mixed/model.gguf");
  const auto folder = TestData("golden/checkpoints/ct-w4a16-sym-g32");
  if (!file || !folder) GTEST_SKIP() << "data absent";
  const TempDir dir;
  const std::filesystem::path gguf = dir / "model.gguf";
  std::filesystem::copy(*file, gguf);
  const std::filesystem::path copy = dir / "copy";
  std::filesystem::copy(*folder, copy);
  const std::filesystem::path weights = copy / "model.safetensors";
  for (const auto& [source, output] :
       {std::pair(gguf, gguf), std::pair(copy, weights),
        std::pair(copy, copy / "config.json")}) {
    const std::string before = ReadBytes(output);
    const Outcome result =
        RunLutra({"import", source.string(), "-o", output.string()});
    ExpectError(result);
    EXPECT_THAT(result.err, HasSubstr("is a part of the source"));
    EXPECT_EQ(ReadBytes(output), before);
  }
  // A model beside the source's files may be made again.
  const std::string model = (copy / "lutra.safetensors").string();
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(OutputOf({"import", copy.string(), "-o", model}),
                HasSubstr("every value exact"));
  }
}

TEST(ImportVerbTest, WhatIsNoSource) {
  const TempDir dir;
  WriteBytes(dir / "text.gguf", "not a model");
  WriteBytes(dir / "none.gguf", "");
  for (const char* verb : {"import", "inspect"}) {
    const auto error = [&](const std::filesystem::path& source) {
      std::vector<std::string> words = {verb, source.string()};
      if (words[0] == "import") {
        words.insert(words.end(), {"-o", (dir / "m.safetensors").string()});
      }
      const Outcome result = RunLutra(words);
      ExpectError(result);
      return result.err;
    };
    EXPECT_THAT(error(dir / "text.gguf"), HasSubstr("is not a GGUF file"));
    EXPECT_THAT(error(dir / "none.gguf"),
                HasSubstr("the header runs past the end of the file"));
    EXPECT_THAT(error(dir.path()), HasSubstr("is a folder of no known kind"));
  }
}

TEST(ImportVerbTest, WrongUse) {
  const TempDir dir;
  const std::string model = (dir / "model.safetensors").string();
  const Outcome missing =
      RunLutra({"import", (dir / "none").string(), "-o", model});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("none: does not exist"));
  const Outcome format = RunLutra(
      {"import", (dir / "none").string(), "-o", model, "--format", "caffe"});
  EXPECT_EQ(format.exit_code, 2);
  EXPECT_THAT(format.err, HasSubstr("unknown format 'caffe'"));
}

TEST(ExportVerbTest, FoldersAndGgufFiles) {
  const auto data = TestData("golden/checkpoints/gguf-q4_0/model.gguf");
  if (!data) GTEST_SKIP() << "data absent";
  const TempDir dir;
  const std::string model = (dir / "model.safetensors").string();
  OutputOf({"import", data->string(), "-o", model});
  const std::string file = (dir / "again.gguf").string();
  EXPECT_THAT(OutputOf({"export", model, "-o", file}),
              HasSubstr("20 tensors, 5 F32 15 Q4_0; "));
  const json report = json::parse(
      OutputOf({"export", model, "-o", file, "--layout", "float", "--json"}));
  EXPECT_EQ(report["types"], json({{"F32", 20}}));
  const std::string folder = (dir / "folder").string();
  EXPECT_THAT(
      OutputOf({"export", model, "-o", folder, "--layout", "mlx",
                "--require-packed", "--no-tokenizer"}),
      HasSubstr("20 tensors, 15 packed, 0 that were packed as float32"));
  EXPECT_FALSE(std::filesystem::exists(dir / "folder" / "tokenizer.json"));
  OutputOf({"export", model, "-o", folder});
  EXPECT_TRUE(std::filesystem::exists(dir / "folder" / "tokenizer.json"));
  const std::pair<std::vector<std::string>, const char*> mistakes[] = {
      {{"--format", "onnx"}, "'onnx' is none of huggingface, gguf and peft"},
      {{"--format", "gguf", "--layout", "mlx"}, "has none but 'float'"},
      {{"--layout", "gptq"}, "unknown layout 'gptq'"}};
  for (const auto& [options, expected] : mistakes) {
    std::vector<std::string> words = {"export", model, "-o", folder};
    words.insert(words.end(), options.begin(), options.end());
    const Outcome result = RunLutra(words);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr(expected));
  }
}

}  // namespace
}  // namespace lutra::tools
