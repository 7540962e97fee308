// What the metadata of GGUF files says of networks and tokenizers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <utility>

#include "lutra/packer/export.h"
#include "lutra/packer/import.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/tokenizer.h"
#include "packer/import/gguf/block_types.h"
#include "packer/import/gguf/gguf_file.h"
#include "packer/import/gguf/gguf_network.h"
#include "packer/import/gguf/gguf_tokenizer.h"
#include "tests/packer/gguf_bytes.h"
#include "tests/packer/import_data.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

std::optional<std::string> NameIn(std::string_view architecture,
                                  std::string_view name) {
  return HuggingFaceName(*FindGgufArchitecture(architecture, false, false),
                         name);
}

TEST_F(GgufTest, NamesOfTensors) {
  EXPECT_EQ(NameIn("llama", "blk.12.ffn_up.weight"),
            "model.layers.12.mlp.up_proj.weight");
  EXPECT_EQ(NameIn("phi3", "blk.0.ffn_up.weight"),
            "model.layers.0.mlp.gate_up_proj.weight");
  EXPECT_EQ(NameIn("qwen2", "blk.0.attn_q.bias"),
            "model.layers.0.self_attn.q_proj.bias");
  EXPECT_EQ(NameIn("llama", "output.weight"), "lm_head.weight");
  EXPECT_EQ(NameIn("llama", "blk.0.other.weight"), std::nullopt);
  EXPECT_EQ(NameIn("llama", "weight"), std::nullopt);
}

TEST_F(GgufTest, NetworksThatAreNotKnown) {
  GgufBytes bytes;
  bytes.Head(1, 1).Value("general.architecture", std::string("rwkv7"));
  bytes.Tensor("t", {4}, 0, 0).Data(64);
  ImportOptions options;
  options.source = Write(bytes);
  options.output = dir_ / "out.safetensors";
  EXPECT_THAT(ErrorMessage([&] { ImportModel(options); }),
              HasSubstr("architecture 'rwkv7' is not supported; supported: "));
}

// What the metadata of an architecture, with `more` of it, is as config.json.
nlohmann::json ConfigOf(const std::filesystem::path& path,
                        const std::string& architecture, uint64_t values,
                        const std::function<void(GgufBytes&)>& more) {
  GgufBytes bytes;
  bytes.Head(1, 7 + values).Value("general.architecture", architecture);
  const std::pair<const char*, uint32_t> sizes[] = {
      {"context_length", 64},      {"embedding_length", 64},
      {"block_count", 1},          {"feed_forward_length", 96},
      {"attention.head_count", 2}, {"attention.key_length", 80}};
  for (const auto& [key, size] : sizes) {
    bytes.Value(architecture + "." + key, size);
  }
  more(bytes);
  bytes.Tensor("token_embd.weight", {64, 8}, 0, 0).Data(64 * 8 * 4);
  WriteText(path, bytes.bytes());
  const GgufFile file(path);
  return ReadGgufNetwork(file, {&file.tensors()[0]}).config;
}

TEST_F(GgufTest, ActivationsAndPartsOfHeads) {
  const auto path = dir_ / "model.gguf";
  const auto none = [](GgufBytes&) {};
  // BitNet's first models have silu, and say nothing.
  EXPECT_EQ(ConfigOf(path, "bitnet", 0, none)["hidden_act"], "silu");
  EXPECT_EQ(ConfigOf(path, "bitnet", 1,
                     [](GgufBytes& f) {
                       f.Value("bitnet.hidden_activation",
                               std::string("relu2"));
                     })["hidden_act"],
            "relu2");
  EXPECT_FALSE(
      ConfigOf(path, "phi3", 0, none).contains("partial_rotary_factor"));
  // Every even part of a head of 80 comes out whole.
  for (uint32_t turned = 2; turned <= 80; turned += 2) {
    const auto config = ConfigOf(path, "phi3", 1, [&](GgufBytes& f) {
      f.Value("phi3.rope.dimension_count", turned);
    });
    const auto share = config["partial_rotary_factor"].get<double>();
    EXPECT_EQ(static_cast<uint32_t>(80 * share), turned);
  }
  const auto refusal = [&](const std::string& architecture, uint32_t turned) {
    return ErrorMessage([&] {
      (void)ConfigOf(path, architecture, 1, [&](GgufBytes& f) {
        f.Value(architecture + ".rope.dimension_count", turned);
      });
    });
  };
  EXPECT_THAT(refusal("phi3", 82), HasSubstr("is 82 of 80"));
  EXPECT_THAT(refusal("phi3", 0), HasSubstr("is 0 of 80"));
  // Rows of heads lie in the order of pairs, which is known for whole heads.
  EXPECT_THAT(refusal("llama", 40), HasSubstr("is 40 of 80"));
}

// A file of one layer with a sentencepiece tokenizer, in words of the metadata.
TEST_F(GgufTest, ATokenizerOfScores) {
  GgufBytes bytes;
  std::vector<std::string> pieces = {"<unk>",  "<s>", "</s>", "\u2581a",
                                     "\u2581", "a",   "b",    "\u2581\u2581"};
  std::vector<int32_t> types = {2, 3, 3, 1, 1, 1, 1, 4};
  for (int byte = 0; byte < 256; ++byte) {
    char piece[8];
    std::snprintf(piece, sizeof(piece), "<0x%02X>", byte);
    pieces.emplace_back(piece);
    types.push_back(6);
  }
  bytes.Head(12, 14).Value("general.architecture", std::string("llama"));
  for (const auto& [key, value] :
       {std::pair("llama.context_length", 64u),
        std::pair("llama.embedding_length", 32u),
        std::pair("llama.block_count", 1u),
        std::pair("llama.feed_forward_length", 32u),
        std::pair("llama.attention.head_count", 1u),
        std::pair("tokenizer.ggml.bos_token_id", 1u),
        std::pair("tokenizer.ggml.eos_token_id", 2u)}) {
    bytes.Value(key, value);
  }
  bytes.Value("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  bytes.Value("llama.rope.freq_base", 1e4f);
  bytes.Value("tokenizer.ggml.model", std::string("llama"));
  bytes.Text("tokenizer.ggml.tokens").Put<uint32_t>(9).Put<uint32_t>(8);
  bytes.Put<uint64_t>(pieces.size());
  for (const std::string& piece : pieces) bytes.Text(piece);
  bytes.Text("tokenizer.ggml.token_type").Put<uint32_t>(9).Put<uint32_t>(5);
  bytes.Put<uint64_t>(types.size());
  for (const int32_t type : types) bytes.Put(type);
  bytes.Text("tokenizer.ggml.scores").Put<uint32_t>(9).Put<uint32_t>(6);
  bytes.Put<uint64_t>(pieces.size());
  for (size_t i = 0; i < pieces.size(); ++i) {
    bytes.Put(-static_cast<float>(i));
  }
  uint64_t offset = 0;
  const auto tensor = [&](const std::string& name,
                          std::vector<uint64_t> shape) {
    bytes.Tensor(name, shape, 0, offset);
    uint64_t elements = 1;
    for (const uint64_t dimension : shape) elements *= dimension;
    offset += elements * sizeof(float);
  };
  tensor("token_embd.weight", {32, pieces.size()});
  tensor("output_norm.weight", {32});
  for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output",
                           "ffn_gate", "ffn_up", "ffn_down"}) {
    tensor("blk.0." + std::string(name) + ".weight", {32, 32});
  }
  for (const char* name : {"attn_norm", "ffn_norm"}) {
    tensor("blk.0." + std::string(name) + ".weight", {32});
  }
  // Llama 3's factors of the frequencies.
  tensor("rope_freqs.weight", {16});
  bytes.Data(offset);
  std::string text = bytes.bytes();
  for (size_t i = 0; i < 16; ++i) {
    const float factor = i < 8 ? 1.0f : 4.0f;
    std::memcpy(text.data() + text.size() - 64 + 4 * i, &factor, 4);
  }
  WriteText(dir_ / "model.gguf", text);
  ImportOptions options;
  options.source = dir_ / "model.gguf";
  options.output = dir_ / "out.safetensors";
  const ImportReport report = ImportModel(options);
  EXPECT_EQ(report.format, ImportFormat::kGguf);
  const auto model = Model::Load(options.output);
  const auto tokenizer = Tokenizer::FromModel(*model);
  EXPECT_THAT(tokenizer->Encode("ab a", true),
              ::testing::ElementsAre(1, 3, 6, 3));
  // Two spaces are a token that the file defines; the first is that which is
  // put in front.
  EXPECT_THAT(tokenizer->Encode(" b", true), ::testing::ElementsAre(1, 7, 6));
  EXPECT_THAT(tokenizer->ends(), ::testing::ElementsAre(2));
  const auto& file = model->file();
  const TensorView* rope = nullptr;
  for (const TensorView& view : file.tensors()) {
    if (view.name.starts_with("lutra.rope")) rope = &view;
  }
  ASSERT_NE(rope, nullptr);
  const auto frequencies = rope->Floats(file.path());
  EXPECT_FLOAT_EQ(frequencies[7], std::pow(1e4f, -14.0f / 32));
  EXPECT_FLOAT_EQ(frequencies[8], std::pow(1e4f, -16.0f / 32) / 4);
  // All of it goes back into a file, and comes out again.
  ExportGguf(*model, dir_ / "again.gguf");
  options.source = dir_ / "again.gguf";
  options.output = dir_ / "again.safetensors";
  ImportModel(options);
  const auto back = Model::Load(options.output);
  const auto other = Tokenizer::FromModel(*back);
  for (const char* said : {"ab a", "", "  b", "\xC3\xA9<s>a"}) {
    EXPECT_EQ(other->Encode(said, true), tokenizer->Encode(said, true));
  }
  const auto again = back->file().Get(rope->name).Floats(back->path());
  for (size_t i = 0; i < frequencies.size(); ++i) {
    EXPECT_FLOAT_EQ(again[i], frequencies[i]);
  }
}

// WordPiece marks what begins a word, not what goes on in one.
TEST_F(GgufTest, ATokenizerOfWordPieces) {
  const std::vector<std::string> pieces = {"[PAD]", "[UNK]",     "[CLS]",
                                           "[SEP]", "\u2581caf", "\u2581play",
                                           "e",     "ing",       "\u2581,"};
  GgufBytes bytes;
  bytes.Head(1, 5).Value("tokenizer.ggml.model", std::string("bert"));
  bytes.Value("tokenizer.ggml.unknown_token_id", 1u);
  bytes.Value("tokenizer.ggml.bos_token_id", 2u);
  bytes.Value("tokenizer.ggml.seperator_token_id", 3u);
  bytes.Text("tokenizer.ggml.tokens").Put<uint32_t>(9).Put<uint32_t>(8);
  bytes.Put<uint64_t>(pieces.size());
  for (const std::string& piece : pieces) bytes.Text(piece);
  bytes.Tensor("t", {4}, 0, 0).Data(16);
  const GgufFile file(Write(bytes));
  const auto data = ReadGgufTokenizer(file);
  ASSERT_TRUE(data.has_value());
  EXPECT_EQ(data->recipe.kind, "GGUF, WordPiece");
  const auto tokenizer = Tokenizer::Parse(SerializeTokenizer(*data), "t");
  EXPECT_THAT(tokenizer->Encode("Caf\xC3\xA9, PLAYing x", true),
              ::testing::ElementsAre(2, 4, 6, 8, 5, 7, 1, 3));
  EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{5, 7, 8}), "playing,");
}

// gpt-oss has a tensor of all gates and one of all ups, which Hugging Face's
// network takes as rows in turns.
TEST_F(GgufTest, GatesAndUpsOfExperts) {
  constexpr uint64_t kDim = 32;
  constexpr uint64_t kExperts = 2;
  struct Entry {
    std::string name;
    std::vector<uint64_t> shape;  // innermost first
    std::string data;
    uint32_t type = 0;
  };
  std::vector<Entry> entries;
  const auto floats = [&](const std::string& name, std::vector<uint64_t> shape,
                          float value) {
    size_t count = 1;
    for (const uint64_t dimension : shape) count *= dimension;
    const std::vector<float> values(count, value);
    entries.push_back({name, std::move(shape),
                       std::string(reinterpret_cast<const char*>(values.data()),
                                   count * sizeof(float))});
  };
  // Blocks of a value of one in a power of two.
  const auto experts = [&](const std::string& part, int exponent, float bias) {
    std::string data;
    for (uint64_t row = 0; row < kExperts * kDim; ++row) {
      data += static_cast<char>(127 + exponent);
      data += std::string(16, '\x22');
    }
    constexpr uint32_t kMxfp4 = 39;
    const std::string stem = "blk.0." + part + "_exps.";
    entries.push_back({stem + "weight", {kDim, kDim, kExperts}, data, kMxfp4});
    floats(stem + "bias", {kDim, kExperts}, bias);
  };
  floats("token_embd.weight", {kDim, 8}, 0);
  floats("output.weight", {kDim, 8}, 0);
  for (const char* norm :
       {"output_norm", "blk.0.attn_norm", "blk.0.post_attention_norm"}) {
    floats(std::string(norm) + ".weight", {kDim}, 1);
  }
  for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
    floats("blk.0." + std::string(name) + ".weight", {kDim, kDim}, 0);
    floats("blk.0." + std::string(name) + ".bias", {kDim}, 0);
  }
  floats("blk.0.attn_sinks.weight", {1}, 0);
  floats("blk.0.ffn_gate_inp.weight", {kDim, kExperts}, 0);
  floats("blk.0.ffn_gate_inp.bias", {kExperts}, 0);
  experts("ffn_gate", 1, 3);
  experts("ffn_up", 2, 4);
  experts("ffn_down", 3, 5);
  GgufBytes bytes;
  bytes.Head(entries.size(), 10);
  bytes.Value("general.architecture", std::string("gpt-oss"));
  for (const auto& [key, value] :
       {std::pair("context_length", 64u), std::pair("embedding_length", 32u),
        std::pair("block_count", 1u), std::pair("feed_forward_length", 32u),
        std::pair("attention.head_count", 1u), std::pair("expert_count", 2u),
        std::pair("expert_used_count", 1u),
        std::pair("attention.key_length", 32u),
        std::pair("attention.sliding_window", 64u)}) {
    bytes.Value("gpt-oss." + std::string(key), value);
  }
  std::string data;
  for (const Entry& entry : entries) {
    bytes.Tensor(entry.name, entry.shape, entry.type, data.size());
    data += entry.data;
    data.resize((data.size() + 31) / 32 * 32);
  }
  bytes.Data(0);
  ImportOptions options;
  options.source = dir_ / "model.gguf";
  options.output = dir_ / "out.safetensors";
  WriteText(options.source, bytes.bytes() + data);
  ImportModel(options);
  const auto model = Model::Load(options.output);
  const std::tuple<const char*, float, float> parts[] = {
      {"gate_proj", 2.0f, 3.0f},
      {"up_proj", 4.0f, 4.0f},
      {"down_proj", 8.0f, 5.0f}};
  for (const auto& [part, value, bias] : parts) {
    const std::string stem = "model.layers.0.mlp.experts." + std::string(part);
    const kernels::LutMatrix* weight = model->packed(stem + ".weight");
    ASSERT_NE(weight, nullptr) << part;
    std::vector<float> row(kDim);
    for (uint32_t r = 0; r < kExperts * kDim; ++r) {
      kernels::DequantizeRow(*weight, r, row.data());
      EXPECT_THAT(row, ::testing::Each(value)) << part << ", row " << r;
    }
    const auto biases = model->file().Get(stem + ".bias").Floats(model->path());
    EXPECT_THAT(std::vector<float>(biases.begin(), biases.end()),
                ::testing::Each(bias));
  }
}

TEST_F(GgufTest, HowTextsBecomeVectors) {
  const auto head = [&](uint32_t pooling) {
    GgufBytes bytes;
    bytes.Head(1, 7).Value("general.architecture", std::string("bert"));
    for (const auto& [key, value] : {std::pair("bert.context_length", 64u),
                                     std::pair("bert.embedding_length", 8u),
                                     std::pair("bert.block_count", 1u),
                                     std::pair("bert.feed_forward_length", 8u),
                                     std::pair("bert.attention.head_count", 2u),
                                     std::pair("bert.pooling_type", pooling)}) {
      bytes.Value(key, value);
    }
    bytes.Tensor("token_embd.weight", {8, 8}, 0, 0).Data(8 * 8 * 4);
    const GgufFile file(Write(bytes));
    return ReadGgufNetwork(file, {&file.tensors()[0]}).head;
  };
  EXPECT_EQ(head(1)->pool, EncoderHead::Pool::kMean);
  EXPECT_EQ(head(2)->pool, EncoderHead::Pool::kFirst);
  EXPECT_THAT(ErrorMessage([&] { (void)head(4); }),
              HasSubstr("'bert.pooling_type' is 4, which is not supported"));
}

// A real chat model, where somebody has fetched it (docs/import.md). Ids are
// llama.cpp's.
TEST(GgufModelTest, SmolLm2) {
  LUTRA_REQUIRE_DATA(source, "data/SmolLM2-135M-Instruct.Q4_1.gguf");
  LUTRA_REQUIRE_DATA(text, "data/wikitext2/test.txt");
  const TempDir dir;
  ImportOptions options;
  options.source = source;
  options.output = dir / "model.safetensors";
  const ImportReport report = ImportModel(options);
  EXPECT_EQ(report.parameters, 134515008u);
  EXPECT_EQ(report.weights.size(), 211u);
  for (const ImportedWeight& weight : report.weights) {
    EXPECT_TRUE(weight.exact) << weight.name;
  }
  const auto model = Model::Load(options.output);
  const auto tokenizer = Tokenizer::FromModel(*model);
  const auto ids = tokenizer->Encode(ReadText(text).substr(0, 65536), true);
  ASSERT_EQ(ids.size(), 17175u);
  EXPECT_THAT(
      std::vector<int32_t>(ids.begin(), ids.begin() + 8),
      ::testing::ElementsAre(3717, 446, 6356, 2067, 5131, 46, 446, 3717));
  LanguageModel language(model, {});
  std::vector<int32_t> said =
      tokenizer->Encode("The capital of France is", true);
  std::span<const float> logits = language.Feed(said);
  for (int i = 0; i < 2; ++i) {
    const auto best = std::max_element(logits.begin(), logits.end());
    said.push_back(static_cast<int32_t>(best - logits.begin()));
    logits = language.Feed({&said.back(), 1});
  }
  EXPECT_EQ(tokenizer->Decode(said), "The capital of France is Paris.");
  // Exported, every tensor has the bytes of the file that it came from.
  ExportGguf(*model, dir / "again.gguf");
  const GgufFile before(source);
  const GgufFile after(dir / "again.gguf");
  ASSERT_EQ(after.tensors().size(), before.tensors().size());
  for (const GgufTensor& tensor : before.tensors()) {
    const auto same = std::find_if(
        after.tensors().begin(), after.tensors().end(),
        [&](const GgufTensor& other) { return other.name == tensor.name; });
    ASSERT_NE(same, after.tensors().end()) << tensor.name;
    EXPECT_EQ(same->type, tensor.type) << tensor.name;
    // Rooms end in what fills them up.
    const size_t bytes = std::min(same->room.size(), tensor.room.size());
    EXPECT_EQ(std::memcmp(tensor.room.data(), same->room.data(), bytes), 0)
        << tensor.name;
  }
}

}  // namespace
}  // namespace lutra::packer
