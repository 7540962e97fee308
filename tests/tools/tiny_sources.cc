#include "tests/tools/tiny_sources.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/runtime/model.h"
#include "lutra/runtime/safetensors.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/raw_file.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

template <typename T>
std::string Bytes(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

std::string FloatBytes(size_t count, uint32_t seed) {
  const std::vector<float> values = RandomFloats(count, seed, 0.3f);
  return {reinterpret_cast<const char*>(values.data()),
          values.size() * sizeof(float)};
}

// Pieces of a Llama tokenizer by id: three special ones, the bytes, and some
// that are made of others.
std::vector<std::string> LlamaPieces(const std::string& space) {
  std::vector<std::string> pieces = {"<unk>", "<s>", "</s>"};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof(text), "<0x%02X>", byte);
    pieces.emplace_back(text);
  }
  for (const std::string& piece : {std::string("ab"), space + "ab", space,
                                   std::string("a"), std::string("b")}) {
    pieces.push_back(piece);
  }
  return pieces;
}

constexpr int32_t kLlamaPieces = 3 + 256 + 5;

void WriteLlama2cModel(const fs::path& folder) {
  constexpr int32_t kDim = 8, kHidden = 12, kLayers = 2, kHeads = 2,
                    kKvHeads = 1, kContext = 16;
  std::string bytes;
  for (const int32_t field :
       {kDim, kHidden, kLayers, kHeads, kKvHeads, kLlamaPieces, kContext}) {
    bytes += Bytes(field);
  }
  constexpr int32_t kKvDim = kDim / kHeads * kKvHeads;
  constexpr int32_t kLayer =
      2 * kDim + 2 * kDim * kDim + 2 * kKvDim * kDim + 3 * kHidden * kDim;
  constexpr int32_t kFloats =
      kLlamaPieces * kDim + kLayers * kLayer + kDim + kContext * kDim / kHeads;
  WriteBytes(folder / "model.bin",
             bytes + FloatBytes(static_cast<size_t>(kFloats), 1));
}

// A field of a protocol buffer message.
std::string Field(int number, std::string_view bytes) {
  std::string field(1, static_cast<char>(number << 3 | 2));
  return field.append(1, static_cast<char>(bytes.size())).append(bytes);
}
std::string Field(int number, int value) {
  return {static_cast<char>(number << 3), static_cast<char>(value)};
}
std::string Field(int number, float value) {
  return std::string(1, static_cast<char>(number << 3 | 5)) + Bytes(value);
}

const json kConfig = json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4,
    "vocab_size": 8, "max_position_embeddings": 32, "hidden_act": "silu",
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "torch_dtype": "float32",
    "tie_word_embeddings": false, "attention_bias": false,
    "bos_token_id": 6, "eos_token_id": 7,
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
                     "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                     "original_max_position_embeddings": 16}})");

const json kTokenizer = json::parse(R"({
    "version": "1.0",
    "added_tokens": [
      {"id": 6, "content": "<s>", "special": true, "normalized": false},
      {"id": 7, "content": "</s>", "special": true, "normalized": false}],
    "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "NFC"},
      {"type": "Replace", "pattern": {"String": "x"}, "content": "a"}]},
    "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581",
                      "prepend_scheme": "first", "split": false},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                 {"Sequence": {"id": "A", "type_id": 0}}],
      "pair": [], "special_tokens":
        {"<s>": {"id": "<s>", "ids": [6], "tokens": ["<s>"]}}},
    "decoder": {"type": "Metaspace", "replacement": "\u2581",
                "prepend_scheme": "first", "split": false},
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true,
      "byte_fallback": false, "dropout": null,
      "vocab": {"<unk>": 0, "\u2581": 1, "a": 2, "b": 3, "ab": 4,
                "\u2581ab": 5},
      "merges": [["a", "b"], ["\u2581", "ab"]]}})");

void WriteHuggingFaceTexts(const fs::path& folder) {
  WriteBytes(folder / "config.json", kConfig.dump());
  WriteBytes(folder / "generation_config.json",
             R"({"bos_token_id": 6, "eos_token_id": [7]})");
  WriteBytes(folder / "tokenizer.json", kTokenizer.dump());
}

// Tensors of the model that kConfig describes: of a layer, or the others.
std::vector<TensorInfo> LayerTensors(int layer) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const std::pair<const char*, std::vector<int64_t>> rows[] = {
      {"input_layernorm", {8}},     {"self_attn.q_proj", {8, 8}},
      {"self_attn.k_proj", {4, 8}}, {"self_attn.v_proj", {4, 8}},
      {"self_attn.o_proj", {8, 8}}, {"post_attention_layernorm", {8}},
      {"mlp.gate_proj", {12, 8}},   {"mlp.up_proj", {12, 8}},
      {"mlp.down_proj", {8, 12}}};
  std::vector<TensorInfo> tensors;
  for (const auto& [name, shape] : rows) {
    tensors.push_back({prefix + name + ".weight", DType::kFloat32, shape});
  }
  return tensors;
}

std::vector<TensorInfo> OtherTensors() {
  return {{"model.embed_tokens.weight", DType::kFloat32, {8, 8}},
          {"model.norm.weight", DType::kFloat32, {8}},
          {"lm_head.weight", DType::kFloat32, {8, 8}}};
}

void WriteTensors(const fs::path& path,
                  const std::vector<TensorInfo>& tensors) {
  SafetensorsWriter writer(path, {{"format", "pt"}}, tensors);
  for (const TensorInfo& tensor : tensors) {
    const std::string bytes = FloatBytes(tensor.ElementCount(), 2);
    writer.Write(tensor.name, std::as_bytes(std::span(bytes)));
  }
  writer.Commit();
}

}  // namespace

void WriteLlama2c(const fs::path& folder) {
  WriteLlama2cModel(folder);
  std::string bytes = Bytes(int32_t{6});
  float score = 0;
  for (const std::string& piece : LlamaPieces(" ")) {
    bytes += Bytes(score--) + Bytes(static_cast<int32_t>(piece.size())) + piece;
  }
  WriteBytes(folder / "tokenizer.bin", bytes);
}

void WriteSentencePiece(const fs::path& folder) {
  WriteLlama2cModel(folder);
  constexpr int kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6;
  std::string model;
  float score = 0;
  int id = 0;
  for (const std::string& piece : LlamaPieces("\xE2\x96\x81")) {
    const int type = id == 0                    ? kUnknown
                     : id < 3                   ? kControl
                     : piece.starts_with("<0x") ? kByte
                                                : kNormal;
    model += Field(1, Field(1, piece) + Field(2, score--) + Field(3, type));
    ++id;
  }
  constexpr int kBpe = 2;
  const std::string byte_fallback = {'\x98', '\x02', '\x01'};  // field 35
  model += Field(2, Field(3, kBpe) + byte_fallback);
  model += Field(3, Field(1, "identity"));
  WriteBytes(folder / "tokenizer.model", model);
}

void WriteHuggingFace(const fs::path& folder) {
  WriteHuggingFaceTexts(folder);
  std::vector<TensorInfo> tensors = OtherTensors();
  for (int layer = 0; layer < 2; ++layer) {
    for (TensorInfo& tensor : LayerTensors(layer)) {
      tensors.push_back(std::move(tensor));
    }
  }
  WriteTensors(folder / "model.safetensors", tensors);
}

void WriteShards(const fs::path& folder) {
  WriteHuggingFaceTexts(folder);
  json index = {{"metadata", {{"total_size", 1}}}};
  const auto shard = [&](const std::string& file,
                         std::vector<TensorInfo> tensors) {
    for (TensorInfo& tensor : LayerTensors(file.front() - 'a')) {
      tensors.push_back(std::move(tensor));
    }
    for (const TensorInfo& tensor : tensors) {
      index["weight_map"][tensor.name] = file;
    }
    WriteTensors(folder / file, tensors);
  };
  shard("a.safetensors", OtherTensors());
  shard("b.safetensors", {});
  WriteBytes(folder / "model.safetensors.index.json", index.dump());
}

void WriteGraph(const fs::path& folder) {
  const auto integers = [](std::vector<int64_t> values) { return values; };
  const fs::path weights = folder / "weights.safetensors";
  ModelBuilder builder;
  builder.Input("x", {6, 6, 2})
      .Add(OpType::kConv2d, {"x"}, "c", "conv", "conv.bias")
      .Set("kernel", integers({3, 3}))
      .Set("padding", integers({1, 1, 1, 1}))
      .Add(OpType::kRelu, {"c"}, "r")
      .Add(OpType::kDepthwiseConv2d, {"r"}, "d", "depth")
      .Set("kernel", integers({3, 3}))
      .Set("stride", integers({2, 2}))
      .Add(OpType::kAvgPool2d, {"d"}, "p")
      .Set("kernel", integers({2, 2}))
      .Add(OpType::kReshape, {"p"}, "f")
      .Set("shape", integers({4}))
      .Add(OpType::kLinear, {"f"}, "l", "dense", "dense.bias")
      .Add(OpType::kAdd, {"l", "f"}, "y")
      .Output("y")
      .Floats("conv", {4, 18}, RandomFloats(72, 1))
      .Floats("conv.bias", {4}, RandomFloats(4, 2))
      .Floats("depth", {9, 4}, RandomFloats(36, 3))
      .Floats("dense", {4, 4}, RandomFloats(16, 4))
      .Floats("dense.bias", {4}, RandomFloats(4, 5));
  builder.Floats("mean", {4}, RandomFloats(4, 6))
      .Floats("variance", {4}, std::vector<float>(4, 2.0f))
      .Write(weights);
  json graph = json::parse(
      SafetensorsFile::Open(weights).metadata().at(std::string(kGraphKey)));
  graph["nodes"][0]["output"] = "raw";
  graph["nodes"].push_back(
      {{"op", "batch_norm"},
       {"inputs", {"raw"}},
       {"output", "c"},
       {"attributes",
        {{"mean", "mean"}, {"variance", "variance"}, {"eps", 1e-3}}}});
  WriteBytes(folder / "graph.json", graph.dump());
}

void WriteKeywordSpotter(const fs::path& folder) {
  constexpr size_t kFloats = 99632 / sizeof(float);
  std::vector<float> values = RandomFloats(kFloats, 1);
  for (float& value : values) value = value * value;  // there are variances
  WriteBytes(folder / "variables.data-00000-of-00001",
             {reinterpret_cast<const char*>(values.data()),
              values.size() * sizeof(float)});
}

void WriteCharacterLstm(const fs::path& folder) {
  constexpr size_t kVocabulary = 3, kSize = 4;
  json manifest = {
      {"Variable", {{"filename", "Variable"}, {"shape", json::array()}}}};
  const auto tensor = [&](const std::string& name, std::vector<size_t> shape) {
    size_t count = 1;
    for (const size_t extent : shape) count *= extent;
    const std::string file = "tensor" + std::to_string(manifest.size());
    manifest[name] = {{"filename", file}, {"shape", shape}};
    WriteBytes(folder / file, FloatBytes(count, 1));
  };
  tensor("embedding", {kVocabulary, kSize});
  for (const char* cell : {"0", "1"}) {
    const std::string prefix =
        std::string("rnnlm/multi_rnn_cell/cell_") + cell + "/basic_lstm_cell/";
    tensor(prefix + "kernel", {2 * kSize, 4 * kSize});
    tensor(prefix + "bias", {4 * kSize});
  }
  tensor("rnnlm/softmax_w", {kSize, kVocabulary});
  tensor("rnnlm/softmax_b", {kVocabulary});
  WriteBytes(folder / "manifest.json", manifest.dump());
  WriteBytes(folder / "vocab.json", R"({"a": 0, "b": 1, "\n": 2})");
}

}  // namespace lutra::tools
