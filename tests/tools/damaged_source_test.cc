// Everything the command reads, damaged by a seeded mutator or on purpose: one
// line and exit code 1, or a result; no crash, no large allocation, no partial
// output. The sources are small, so that thousands of runs take seconds.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lutra/runtime/model.h"
#include "lutra/runtime/tokenizer.h"
#include "tests/mutator.h"
#include "tests/rounds.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"
#include "tests/tools/command.h"
#include "tests/tools/tiny_sources.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;
using Words = std::vector<std::string>;

constexpr int kRounds = 110;
// A hundred times what the sources need; sanitizers have their own share.
constexpr size_t kMostMemory = size_t{256} << 20;

using Damage = std::function<std::string(Mutator&, const std::string&)>;

std::string Json(Mutator& mutator, const std::string& text) {
  return mutator.DamageJson(text);
}

Damage Head(size_t bytes) {
  return [bytes](Mutator& mutator, const std::string& good) {
    return mutator.Damage(good, bytes);
  };
}

// Safetensors: the header as JSON, or header and data as bytes.
std::string Container(Mutator& mutator, const std::string& good) {
  RawFile file = RawFile::Parse(good);
  if (mutator.Below(2) == 0)
    return mutator.Damage(good, 8 + file.header.size());
  file.header = mutator.DamageJson(file.header);
  return file.Bytes();
}

// Safetensors: the graph in its metadata, as JSON.
std::string Graph(Mutator& mutator, const std::string& good) {
  RawFile file = RawFile::Parse(good);
  json header = json::parse(file.header);
  json& graph = header["__metadata__"][std::string(kGraphKey)];
  graph = mutator.DamageJson(graph.get<std::string>());
  file.header = header.dump(-1, ' ', false, json::error_handler_t::replace);
  return file.Bytes();
}

// Safetensors: the bytes of the tokenizer.
std::string TokenizerBytes(Mutator& mutator, const std::string& good) {
  const RawFile file = RawFile::Parse(good);
  const json offsets =
      json::parse(file.header)[std::string(kTokenizerTensor)]["data_offsets"];
  const size_t begin =
      good.size() - file.data.size() + offsets[0].get<size_t>();
  const size_t size = offsets[1].get<size_t>() - offsets[0].get<size_t>();
  std::string bytes = mutator.Damage(good.substr(begin, size), size);
  bytes.resize(size);
  return std::string(good).replace(begin, size, bytes);
}

void WriteModel(const fs::path& folder) {
  TinyLanguage().Build().Write(folder / "model.safetensors");
}

void WritePackedModel(const fs::path& folder) {
  TinyLanguage{.packed = true}.Build().Write(folder / "model.safetensors");
}

void WriteSpecification(const fs::path& folder) {
  WriteModel(folder);
  WriteBytes(folder / "spec.json", R"({"preset": "int8da-stretched2-g32",
      "rules": [{"name": "embed", "weights": {"dtype": "int4",
                 "granularity": "channel", "quantizer": "intx"}},
                {"op": "linear", "weights": {"dtype": "int3",
                 "group_size": 16, "scale_type": "bfloat16"}}],
      "exclude": ["norm"]})");
}

struct Source {
  const char* name;
  void (*write)(const fs::path& folder);
  const char* damaged;  // the file
  Damage damage;
  // The command; "@" stands for the source's folder, "OUT" for the output.
  Words command;
  int least;  // how many of 100 must at least be refused
};

void PrintTo(const Source& source, std::ostream* stream) {
  *stream << source.name;
}

Words Import(const std::string& what, const Words& options = {}) {
  Words words = {"import", what, "-o", "OUT"};
  words.insert(words.end(), options.begin(), options.end());
  return words;
}

// With --json there is no text before all is well.
const Words kGenerate = {
    "generate", "@/model.safetensors", "--json", "-n", "2", "-t", "1", "-p",
    "the end"};

class SourceFolder {
 public:
  explicit SourceFolder(const Source& source) : source_(source) {
    fs::create_directories(folder_);
    fs::create_directories(dir_ / "out");
    source.write(folder_);
  }

  fs::path damaged() const { return folder_ / source_.damaged; }
  bool HasOutput() const { return !fs::is_empty(dir_ / "out"); }
  void RemoveOutput() const { fs::remove(output_); }

  Outcome Run() const {
    Words words = source_.command;
    for (std::string& word : words) {
      if (word == "OUT") word = output_.string();
      if (word.starts_with('@')) word.replace(0, 1, folder_.string());
    }
    return RunLutra(words);
  }

 private:
  const Source& source_;
  const TempDir dir_;
  const fs::path folder_ = dir_ / "source";
  const fs::path output_ = dir_ / "out" / "model.safetensors";
};

class DamagedSourceTest : public ::testing::TestWithParam<Source> {};

TEST_P(DamagedSourceTest, OneLineAndNoOutput) {
  const Source& source = GetParam();
  const SourceFolder folder(source);
  const Outcome sound = folder.Run();
  if (sound.err.find("built without") != std::string::npos) {
    GTEST_SKIP() << sound.err;
  }
  ASSERT_EQ(sound.exit_code, 0) << sound.err;
  const bool writes = folder.HasOutput();
  folder.RemoveOutput();

  const std::string good = ReadBytes(folder.damaged());
  Mutator mutator(5);
  const int rounds = Rounds(kRounds);
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(round);
    WriteBytes(folder.damaged(), source.damage(mutator, good));
    const Outcome outcome = folder.Run();
    EXPECT_LT(outcome.peak_bytes, kMostMemory);
    if (outcome.exit_code == 0) {
      EXPECT_EQ(folder.HasOutput(), writes);
    } else {
      ++refused;
      ExpectError(outcome);
      EXPECT_FALSE(folder.HasOutput());
    }
    folder.RemoveOutput();
  }
  EXPECT_GE(refused * 100, source.least * rounds);
}

std::string CaseName(const ::testing::TestParamInfo<Source>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(
    Imports, DamagedSourceTest,
    ::testing::Values(
        Source{"Llama2c", WriteLlama2c, "model.bin", Head(28),
               Import("@/model.bin"), 40},
        Source{"Llama2cTokenizer", WriteLlama2c, "tokenizer.bin", Head(4000),
               Import("@/model.bin"), 40},
        Source{"SentencePiece", WriteSentencePiece, "tokenizer.model",
               Head(6000),
               Import("@/model.bin", {"--tokenizer", "@/tokenizer.model"}), 40},
        Source{"HuggingFaceConfig", WriteHuggingFace, "config.json", Json,
               Import("@"), 40},
        Source{"HuggingFaceGeneration", WriteHuggingFace,
               "generation_config.json", Json, Import("@"), 20},
        Source{"HuggingFaceTokenizer", WriteHuggingFace, "tokenizer.json", Json,
               Import("@"), 40},
        Source{"HuggingFaceWeights", WriteHuggingFace, "model.safetensors",
               Container, Import("@"), 60},
        Source{"HuggingFaceShard", WriteShards, "b.safetensors", Container,
               Import("@"), 60},
        Source{"HuggingFaceIndex", WriteShards, "model.safetensors.index.json",
               Json, Import("@"), 60},
        Source{"Graph", WriteGraph, "graph.json", Json, Import("@"), 60},
        Source{"GraphWeights", WriteGraph, "weights.safetensors", Container,
               Import("@"), 40},
        Source{"KeywordSpotter", WriteKeywordSpotter,
               "variables.data-00000-of-00001", Head(99632), Import("@"), 30},
        Source{"CharacterLstm", WriteCharacterLstm, "manifest.json", Json,
               Import("@"), 50},
        Source{"CharacterLstmVocabulary", WriteCharacterLstm, "vocab.json",
               Json, Import("@"), 50},
        Source{"CharacterLstmTensor", WriteCharacterLstm, "tensor1", Head(64),
               Import("@"), 20}),
    CaseName);

INSTANTIATE_TEST_SUITE_P(
    Models, DamagedSourceTest,
    ::testing::Values(Source{"ModelFile", WriteModel, "model.safetensors",
                             Container, kGenerate, 50},
                      Source{"PackedModelFile", WritePackedModel,
                             "model.safetensors", Container, kGenerate, 50},
                      Source{"ModelGraph", WritePackedModel,
                             "model.safetensors", Graph, kGenerate, 50},
                      Source{"ModelTokenizer", WriteModel, "model.safetensors",
                             TokenizerBytes, kGenerate, 30},
                      Source{"PackSource",
                             WriteModel,
                             "model.safetensors",
                             Container,
                             {"pack", "@/model.safetensors", "-o", "OUT", "-t",
                              "1"},
                             50},
                      Source{"PackSpecification",
                             WriteSpecification,
                             "spec.json",
                             Json,
                             {"pack", "@/model.safetensors", "-o", "OUT", "-t",
                              "1", "--spec", "@/spec.json"},
                             40},
                      Source{"InspectedModel",
                             WritePackedModel,
                             "model.safetensors",
                             Container,
                             {"inspect", "@/model.safetensors", "--graph"},
                             40}),
    CaseName);

}  // namespace
}  // namespace lutra::tools
