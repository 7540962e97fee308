// Sources of `lutra import` with one thing wrong: the message names the file
// and the cause, and nothing is written.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"
#include "tests/tools/command.h"
#include "tests/tools/tiny_sources.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

struct BadSource {
  const char* name;
  void (*write)(const fs::path& folder);
  const char* file;  // the one that is changed, and named
  std::function<void(std::string&)> change;
  std::vector<std::string> message = {};  // what the error must contain
  const char* source = "";                // in the folder; else the folder
};

void PrintTo(const BadSource& bad, std::ostream* stream) {
  *stream << bad.name;
}

using SourceChange = std::function<void(std::string&)>;

// JSON merged into the file's (RFC 7386: null removes a member).
SourceChange Patch(const std::string& patch) {
  return [patch](std::string& text) {
    json root = json::parse(text);
    root.merge_patch(json::parse(patch));
    text = root.dump();
  };
}

// A first member of the JSON file's object, which need not be JSON.
SourceChange Member(const std::string& member) {
  return [member](std::string& text) {
    text.insert(text.find('{') + 1, member + ",");
  };
}

// A 32-bit number at a position.
SourceChange Word(size_t at, int64_t value) {
  return [at, value](std::string& bytes) {
    const auto word = static_cast<int32_t>(value);
    std::memcpy(bytes.data() + at, &word, sizeof(word));
  };
}

SourceChange Cut(size_t left) {
  return [left](std::string& bytes) { bytes.resize(left); };
}

// In the header of safetensors.
SourceChange Header(const std::string& from, const std::string& to) {
  return [from, to](std::string& bytes) {
    bytes = RawFile::Parse(bytes).Replace(from, to).Bytes();
  };
}

// Other nodes of the graph.
SourceChange Nodes(const std::string& nodes) {
  return Patch(R"({"outputs": ["y"], "nodes": )" + nodes + "}");
}

class BadSourceTest : public ::testing::TestWithParam<BadSource> {};

TEST_P(BadSourceTest, IsNamed) {
  const BadSource& bad = GetParam();
  const TempDir dir;
  const fs::path folder = dir / "source";
  fs::create_directories(folder);
  fs::create_directories(dir / "out");
  bad.write(folder);
  std::string bytes = ReadBytes(folder / bad.file);
  bad.change(bytes);
  WriteBytes(folder / bad.file, bytes);

  const Outcome outcome =
      RunLutra({"import", (folder / bad.source).string(), "-o",
                (dir / "out" / "model.safetensors").string()});

  ExpectError(outcome);
  for (const std::string& part : bad.message) {
    EXPECT_THAT(outcome.err, HasSubstr(part));
  }
  EXPECT_THAT(outcome.err, HasSubstr(folder.string()));
  EXPECT_TRUE(fs::is_empty(dir / "out"));
  EXPECT_LT(outcome.peak_bytes, size_t{256} << 20);
}

std::string SourceCaseName(const ::testing::TestParamInfo<BadSource>& info) {
  return info.param.name;
}

// Fields of the header of llama2.c, in order.
constexpr size_t kDim = 0, kLayers = 8, kHeads = 12, kVocabulary = 20;

INSTANTIATE_TEST_SUITE_P(
    Llama2c, BadSourceTest,
    ::testing::Values(BadSource{"CutInTheHeader",
                                WriteLlama2c,
                                "model.bin",
                                Cut(20),
                                {"model.bin", "too short"},
                                "model.bin"},
                      BadSource{"CutInTheWeights",
                                WriteLlama2c,
                                "model.bin",
                                Cut(5000),
                                {"model.bin", "past the end"},
                                "model.bin"},
                      BadSource{"NoWidth",
                                WriteLlama2c,
                                "model.bin",
                                Word(kDim, 0),
                                {"model.bin", "dim is 0"},
                                "model.bin"},
                      BadSource{"SizesOverflow",
                                WriteLlama2c,
                                "model.bin",
                                Word(kDim, INT32_MAX),
                                {"model.bin", "dim is 2147483647"},
                                "model.bin"},
                      BadSource{"ManyLayers",
                                WriteLlama2c,
                                "model.bin",
                                Word(kLayers, 1 << 30),
                                {"model.bin", "n_layers is 1073741824"},
                                "model.bin"},
                      BadSource{"HeadsThatDoNotDivide",
                                WriteLlama2c,
                                "model.bin",
                                Word(kHeads, 3),
                                {"model.bin", "n_heads 3"},
                                "model.bin"},
                      BadSource{"SmallestVocabulary",
                                WriteLlama2c,
                                "model.bin",
                                Word(kVocabulary, INT32_MIN),
                                {"model.bin", "vocab_size is -2147483648"},
                                "model.bin"},
                      BadSource{"HugePiece",
                                WriteLlama2c,
                                "tokenizer.bin",
                                Word(8, INT32_MAX),
                                {"tokenizer.bin", "2147483647"},
                                "model.bin"},
                      BadSource{"PiecesMissing",
                                WriteLlama2c,
                                "tokenizer.bin",
                                Cut(1000),
                                {"tokenizer.bin", "truncated"},
                                "model.bin"}),
    SourceCaseName);

INSTANTIATE_TEST_SUITE_P(
    HuggingFace, BadSourceTest,
    ::testing::Values(
        BadSource{"UnknownArchitecture",
                  WriteHuggingFace,
                  "config.json",
                  Patch(R"({"architectures": ["MambaForCausalLM"]})"),
                  {"config.json", "MambaForCausalLM"}},
        BadSource{"HugeWidth",
                  WriteHuggingFace,
                  "config.json",
                  Patch(R"({"hidden_size": 1099511627776})"),
                  {"config.json", "hidden_size"}},
        BadSource{"ManyLayersOfNothing",
                  WriteHuggingFace,
                  "config.json",
                  Patch(R"({"num_hidden_layers": 1000000000})"),
                  {"num_hidden_layers"}},
        BadSource{"NegativeHeads",
                  WriteHuggingFace,
                  "config.json",
                  Patch(R"({"num_attention_heads": -2})"),
                  {"config.json", "num_attention_heads"}},
        BadSource{"WidthAsText",
                  WriteHuggingFace,
                  "config.json",
                  Patch(R"({"hidden_size": "8"})"),
                  {"config.json", "hidden_size"}},
        BadSource{"OddHeads",
                  WriteHuggingFace,
                  "config.json",
                  Patch(R"({"head_dim": 5})"),
                  {"config.json", "odd"}},
        BadSource{"NoEpsilon",
                  WriteHuggingFace,
                  "config.json",
                  Patch(R"({"rms_norm_eps": -1})"),
                  {"config.json", "rms_norm_eps"}},
        BadSource{"NotANumber",
                  WriteHuggingFace,
                  "config.json",
                  Member(R"("initializer_range": NaN)"),
                  {"config.json", "'initializer_range' is NaN"}},
        BadSource{"InfiniteTemperature",
                  WriteHuggingFace,
                  "generation_config.json",
                  Member(R"("temperature": Infinity)"),
                  {"generation_config.json", "'temperature' is Infinity"}},
        BadSource{"InfiniteLength",
                  WriteHuggingFace,
                  "tokenizer.json",
                  Member(R"("truncation": {"max_length": -Infinity})"),
                  {"tokenizer.json", "'truncation.max_length' is -Infinity"}},
        BadSource{"EndIsNoNumber",
                  WriteHuggingFace,
                  "generation_config.json",
                  Patch(R"({"eos_token_id": "</s>"})"),
                  {"eos_token_id"}},
        BadSource{"MissingTensor",
                  WriteShards,
                  "model.safetensors.index.json",
                  Patch(R"({"weight_map": {"model.norm.weight": null}})"),
                  {"model.norm.weight"}},
        BadSource{"TensorWithoutAPlace",
                  WriteHuggingFace,
                  "model.safetensors",
                  Header("model.norm.weight", "model.norm.other"),
                  {"model.safetensors", "model.norm.other"}},
        BadSource{
            "DuplicateTensor",
            WriteHuggingFace,
            "model.safetensors",
            Header("layers.1.self_attn.q_proj", "layers.0.self_attn.q_proj"),
            {"model.safetensors", "layers.0.self_attn.q_proj", "twice"}},
        BadSource{"TensorOfAnotherShape",
                  WriteHuggingFace,
                  "model.safetensors",
                  Header(R"("lm_head.weight":{"dtype":"F32","shape":[8,8])",
                         R"("lm_head.weight":{"dtype":"F32","shape":[4,16])"),
                  {"model.safetensors", "lm_head.weight", "[4, 16]"}},
        BadSource{
            "TensorNotInItsShard",
            WriteShards,
            "b.safetensors",
            Header("layers.1.self_attn.q_proj", "layers.0.self_attn.q_proj"),
            {"b.safetensors", "layers.1.self_attn.q_proj"}},
        BadSource{
            "ShardThatIsNotThere",
            WriteShards,
            "model.safetensors.index.json",
            Patch(R"({"weight_map": {"lm_head.weight": "c.safetensors"}})"),
            {"c.safetensors"}},
        BadSource{
            "ShardElsewhere",
            WriteShards,
            "model.safetensors.index.json",
            Patch(R"({"weight_map": {"lm_head.weight": "../c.safetensors"}})"),
            {"index.json", "../c.safetensors"}},
        BadSource{"PieceOutsideTheVocabulary",
                  WriteHuggingFace,
                  "tokenizer.json",
                  Patch(R"({"model": {"vocab": {"ab": 4000000000}}})"),
                  {"tokenizer.json"}},
        BadSource{"TwoPiecesOfOneId",
                  WriteHuggingFace,
                  "tokenizer.json",
                  Patch(R"({"model": {"vocab": {"ab": 3}}})"),
                  {"tokenizer.json"}},
        BadSource{"MergeOfUnknownPieces",
                  WriteHuggingFace,
                  "tokenizer.json",
                  Patch(R"({"model": {"merges": [["q", "r"]]}})"),
                  {"tokenizer.json", "q"}},
        BadSource{"UnknownNormalizer",
                  WriteHuggingFace,
                  "tokenizer.json",
                  Patch(R"({"normalizer": {"type": "Shuffle"}})"),
                  {"tokenizer.json", "Shuffle"}}),
    SourceCaseName);

INSTANTIATE_TEST_SUITE_P(
    Others, BadSourceTest,
    ::testing::Values(
        BadSource{"CyclicGraph",
                  WriteGraph,
                  "graph.json",
                  Nodes(R"([{"op": "add", "inputs": ["x", "z"], "output": "y"},
                            {"op": "relu", "inputs": ["y"], "output": "z"}])"),
                  {"graph.json", "cycle"}},
        BadSource{"UnknownOperator",
                  WriteGraph,
                  "graph.json",
                  Nodes(R"([{"op": "rleu", "inputs": ["x"], "output": "y"}])"),
                  {"graph.json", "rleu"}},
        BadSource{"MissingWeight",
                  WriteGraph,
                  "graph.json",
                  Nodes(R"([{"op": "linear", "inputs": ["x"], "output": "y",
                             "weight": "none"}])"),
                  {"tensor 'none'", "missing"}},
        BadSource{"ValueMadeTwice",
                  WriteGraph,
                  "graph.json",
                  Nodes(R"([{"op": "relu", "inputs": ["x"], "output": "y"},
                            {"op": "tanh", "inputs": ["x"], "output": "y"}])"),
                  {"graph.json", "'y'"}},
        BadSource{"HugeKernel",
                  WriteGraph,
                  "graph.json",
                  Nodes(R"([{"op": "avg_pool2d", "inputs": ["x"], "output": "y",
                             "attributes": {"kernel": [4294967296, 1]}}])"),
                  {"graph.json", "kernel"}},
        BadSource{"HugePadding",
                  WriteGraph,
                  "graph.json",
                  Nodes(R"([{"op": "avg_pool2d", "inputs": ["x"], "output": "y",
                             "attributes": {"kernel": [2, 2], "padding":
                             [2147483647, 0, 0, 0]}}])"),
                  {"graph.json", "padding"}},
        BadSource{"HugeInput",
                  WriteGraph,
                  "graph.json",
                  Patch(R"({"inputs": [{"name": "x", "type": "float32",
                            "shape": [4294967296, 4294967296, 2]}]})"),
                  {"4294967296"}},
        BadSource{"FewParameters",
                  WriteKeywordSpotter,
                  "variables.data-00000-of-00001",
                  Cut(99631),
                  {"variables.data-00000-of-00001", "shorter"}},
        BadSource{"ParameterNotFinite",
                  WriteKeywordSpotter,
                  "variables.data-00000-of-00001",
                  Word(4000, 0x7FC00000),
                  {"not finite"}},
        BadSource{
            "ManifestWithoutACell",
            WriteCharacterLstm,
            "manifest.json",
            Patch(R"({"rnnlm/multi_rnn_cell/cell_0/basic_lstm_cell/kernel":
                            null})"),
            {"manifest.json", "no LSTM cell"}},
        BadSource{"HugeTensor",
                  WriteCharacterLstm,
                  "manifest.json",
                  Patch(R"({"embedding": {"shape": [1048576, 1048576]}})"),
                  {"tensor1"}},
        BadSource{"TensorElsewhere",
                  WriteCharacterLstm,
                  "manifest.json",
                  Patch(R"({"embedding": {"filename": "/etc/passwd"}})"),
                  {"manifest.json", "/etc/passwd"}},
        BadSource{"TwoCharactersOfOneId",
                  WriteCharacterLstm,
                  "vocab.json",
                  Patch(R"({"b": 0})"),
                  {"vocab.json", "id 0"}}),
    SourceCaseName);

}  // namespace
}  // namespace lutra::tools
