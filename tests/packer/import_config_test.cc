// Folders of Hugging Face's kind: spellings, options, and what is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>

#include "lutra/packer/import.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/tokenizer.h"
#include "packer/architectures/architecture.h"
#include "packer/import/huggingface/network_tensor.h"
#include "packer/import/import_plan.h"
#include "tests/packer/import_data.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

json LlamaJson() {
  return json::parse(R"({
      "architectures": ["LlamaForCausalLM"], "model_type": "llama",
      "hidden_size": 96, "intermediate_size": 200, "num_hidden_layers": 3,
      "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16,
      "hidden_act": "silu", "max_position_embeddings": 512,
      "rms_norm_eps": 1e-6, "vocab_size": 384, "rope_theta": 500000.0,
      "rope_scaling": null, "torch_dtype": "float32"})");
}

Network Read(json config, const char* patch = "{}") {
  config.merge_patch(json::parse(patch));
  return BuildNetwork(JsonObject(config, "config.json", "config"));
}

// An attribute of each attention node; -1 where it is left out.
std::vector<double> OfAttention(const Network& network, const char* name) {
  std::vector<double> values;
  for (const Node& node : network.graph.nodes) {
    if (node.op != OpType::kAttention) continue;
    values.push_back(node.attributes.contains(name)
                         ? std::get<double>(node.attributes.at(name))
                         : -1);
  }
  return values;
}

bool HasTensor(const Network& network, const std::string& name) {
  return std::any_of(network.tensors.begin(), network.tensors.end(),
                     [&](const auto& tensor) { return tensor.name == name; });
}

std::vector<float> Frequencies(const Network& network) {
  for (const NetworkTensor& tensor : network.tensors) {
    if (tensor.role == NetworkTensor::Role::kRope) return tensor.values;
  }
  return {};
}

TEST(ImportConfigTest, DefaultsOfTheArchitectures) {
  constexpr const char* kQueryBias = "model.layers.0.self_attn.q_proj.bias";
  constexpr const char* kOutputBias = "model.layers.0.self_attn.o_proj.bias";
  const Network llama = Read(LlamaJson());
  EXPECT_EQ(llama.architecture, "LlamaForCausalLM");
  EXPECT_THAT(OfAttention(llama, "kv_heads"), ElementsAre(2, 2, 2));
  EXPECT_FALSE(HasTensor(llama, kQueryBias));
  EXPECT_FALSE(llama.tied);
  EXPECT_EQ(llama.context, 512);
  EXPECT_FLOAT_EQ(Frequencies(llama)[1],
                  static_cast<float>(std::pow(500000, -1.0 / 8)));

  const Network qwen =
      Read(LlamaJson(), R"({"architectures": ["Qwen2ForCausalLM"],
          "num_key_value_heads": null, "sliding_window": 100,
          "use_sliding_window": false, "tie_word_embeddings": true})");
  EXPECT_TRUE(HasTensor(qwen, kQueryBias));
  EXPECT_FALSE(HasTensor(qwen, kOutputBias));
  EXPECT_THAT(OfAttention(qwen, "kv_heads"), ElementsAre(6, 6, 6));
  EXPECT_THAT(OfAttention(qwen, "window"), ElementsAre(-1, -1, -1));
  EXPECT_TRUE(qwen.tied);

  EXPECT_THAT(OfAttention(Read(LlamaJson(),
                               R"({"architectures": ["MistralForCausalLM"],
          "sliding_window": 100})"),
                          "window"),
              ElementsAre(100, 100, 100));
  // A window that is never full is none.
  EXPECT_THAT(OfAttention(Read(LlamaJson(),
                               R"({"architectures": ["MistralForCausalLM"],
                "sliding_window": 4096})"),
                          "window"),
              ElementsAre(-1, -1, -1));
  // Without architectures the model's type says it.
  EXPECT_EQ(Read(LlamaJson(), R"({"architectures": null,
                "model_type": "mistral"})")
                .architecture,
            "MistralForCausalLM");
}

TEST(ImportConfigTest, TextModelsOfNestedConfigurations) {
  json whole = {{"architectures", {"Mistral3ForConditionalGeneration"}},
                {"model_type", "mistral3"},
                {"tie_word_embeddings", true}};
  whole["text_config"] = LlamaJson();
  whole["text_config"].erase("architectures");
  whole["text_config"]["model_type"] = "mistral";
  const Network network = Read(whole);
  EXPECT_EQ(network.architecture, "MistralForCausalLM");
  EXPECT_TRUE(network.tied);
  whole["text_config"]["model_type"] = "other";
  EXPECT_THAT(ErrorMessage([&] { Read(whole); }),
              HasSubstr("'Mistral3ForConditionalGeneration'"));
}

// Each has a name of its own and is found by its class and by its type.
TEST(ImportConfigTest, RegistryOfArchitectures) {
  std::set<std::string_view> names;
  for (const Architecture* entry : Architectures()) {
    EXPECT_TRUE(names.insert(entry->name).second) << entry->name;
    EXPECT_TRUE(names.insert(entry->type).second) << entry->type;
    EXPECT_FALSE(entry->models.empty()) << entry->name;
  }
}

// The table in docs/import.md is made from the registry.
TEST(ImportConfigTest, DocumentedArchitectures) {
  std::ifstream stream(LUTRA_SOURCE_DIR "/docs/import.md");
  const std::string page{std::istreambuf_iterator<char>(stream), {}};
  std::string table = "| class | models |\n|---|---|\n";
  for (const Architecture* entry : Architectures()) {
    table += "| `" + std::string(entry->name) + "` | " +
             std::string(entry->models) + " |\n";
  }
  EXPECT_THAT(page, HasSubstr(table));
}

TEST(ImportConfigTest, SlidingWindows) {
  const auto windows = [](const char* architecture, const char* patch) {
    json config = LlamaJson();
    config["max_position_embeddings"] = 8192;
    config["architectures"] = {architecture};
    // Not by a merge, which would take null for a removal.
    config.update(json::parse(patch));
    return OfAttention(Read(config), "window");
  };
  const auto none = ElementsAre(-1, -1, -1);
  // An absent window is the default's, null is none.
  constexpr const char* kMistral = "MistralForCausalLM";
  EXPECT_THAT(windows(kMistral, "{}"), ElementsAre(4096, 4096, 4096));
  EXPECT_THAT(windows(kMistral, R"({"sliding_window": null})"), none);
  EXPECT_THAT(windows(kMistral, R"({"sliding_window": 8192})"), none);
  constexpr const char* kQwen2 = "Qwen2ForCausalLM";
  EXPECT_THAT(windows(kQwen2, R"({"sliding_window": 64})"), none);
  EXPECT_THAT(windows(kQwen2, R"({"use_sliding_window": true,
                "sliding_window": 64, "max_window_layers": 1})"),
              ElementsAre(-1, 64, 64));
  EXPECT_THAT(windows(kQwen2, R"({"use_sliding_window": true,
                "sliding_window": 64, "max_window_layers": 3})"),
              none);
  EXPECT_THAT(windows(kQwen2, R"({"use_sliding_window": true,
                "sliding_window": 64})"),
              none);  // the first 28 layers have none
  // A list of the layers outranks the number.
  EXPECT_THAT(windows(kQwen2, R"({"use_sliding_window": true,
                "sliding_window": 64, "layer_types": ["sliding_attention",
                "full_attention", "sliding_attention"]})"),
              ElementsAre(64, -1, 64));
  EXPECT_THAT(windows("LlamaForCausalLM", R"({"sliding_window": 64})"), none);
  // Every second and every sixth layer.
  EXPECT_THAT(windows("Gemma2ForCausalLM", R"({"sliding_window": 64})"),
              ElementsAre(64, -1, 64));
  EXPECT_THAT(windows("Gemma3ForCausalLM", R"({"sliding_window": 64,
                "sliding_window_pattern": 3})"),
              ElementsAre(64, 64, -1));
}

TEST(ImportConfigTest, BothSpellingsOfRope) {
  const Network old = Read(LlamaJson(), R"({"rope_scaling": {
      "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
      "high_freq_factor": 4.0, "original_max_position_embeddings": 64}})");
  const Network current =
      Read(LlamaJson(), R"({"rope_theta": null, "rope_parameters": {
      "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
      "rope_theta": 500000.0,
      "high_freq_factor": 4.0, "original_max_position_embeddings": 64}})");
  EXPECT_EQ(Frequencies(old), Frequencies(current));
  EXPECT_NE(Frequencies(old), Frequencies(Read(LlamaJson())));
}

// As transformers has it: the older spelling replaces the other one whole.
TEST(ImportConfigTest, OfTwoSpellingsOfRopeTheOlderCounts) {
  const auto both = Frequencies(Read(LlamaJson(), R"({"rope_theta": null,
      "rope_scaling": {"type": "linear", "factor": 2.0},
      "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}})"));
  EXPECT_EQ(both[0], 0.5f);
  EXPECT_FLOAT_EQ(both[4], 0.5f / 100);  // of 10000
  const auto empty = Frequencies(Read(LlamaJson(), R"({"rope_scaling": {},
      "rope_parameters": {"rope_type": "linear", "factor": 4.0}})"));
  EXPECT_EQ(empty[0], 0.25f);
}

TEST(ImportConfigTest, LinearScalingSlowsAllPairs) {
  const auto plain = Frequencies(Read(LlamaJson()));
  const auto scaled =
      Frequencies(Read(LlamaJson(), R"({"rope_scaling": {"type": "linear",
          "factor": 4.0}})"));
  ASSERT_EQ(plain.size(), 8u);
  EXPECT_EQ(plain[0], 1.0f);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_FLOAT_EQ(scaled[i], plain[i] / 4);
  }
}

TEST(ImportConfigTest, LongRopeGoesByTheContext) {
  const Network network =
      Read(LlamaJson(), R"({"architectures": ["Phi3ForCausalLM"],
      "rope_theta": 1e4, "head_dim": 4,
      "original_max_position_embeddings": 32, "rope_scaling": {"type": "su",
      "short_factor": [1, 2], "long_factor": [4, 8]}})");
  const auto rope = std::find_if(
      network.tensors.begin(), network.tensors.end(), [](const auto& tensor) {
        return tensor.role == NetworkTensor::Role::kRope;
      });
  ASSERT_NE(rope, network.tensors.end());
  EXPECT_EQ(rope->long_from, 32);
  const auto at = [&](int64_t context) {
    std::vector<std::byte> buffer;
    const auto bytes = TakeFrequencies(*rope, context, RopePrecision::kFloat32,
                                       DType::kFloat32)
                           .read(buffer);
    std::vector<float> values(2);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  };
  EXPECT_THAT(at(32), ElementsAre(1.0f, 0.005f));
  EXPECT_THAT(at(33), ElementsAre(0.25f, 0.00125f));
}

TEST(ImportConfigTest, RopePrecision) {
  NetworkTensor tensor;
  tensor.shape = {4};
  tensor.values = {1, 0.1f, 0.01f, 0.001f};
  const auto read = [&](RopePrecision precision, DType dtype) {
    std::vector<std::byte> buffer;
    const auto bytes =
        TakeFrequencies(tensor, 64, precision, dtype).read(buffer);
    std::vector<float> values(4);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  };
  const std::vector<float> rounded = {1, 0x1.9ap-4f, 0x1.48p-7f, 0x1.06p-10f};
  using enum RopePrecision;
  EXPECT_EQ(read(kFloat32, DType::kBFloat16), tensor.values);
  EXPECT_EQ(read(kCheckpoint, DType::kBFloat16), rounded);
  EXPECT_EQ(read(kCheckpoint, DType::kFloat32), tensor.values);
  EXPECT_EQ(read(kCheckpoint, DType::kFloat16)[1], 0x1.998p-4f);
  EXPECT_EQ(ImportOptions().rope, kFloat32);
}

TEST(ImportConfigTest, RefusesByName) {
  struct Case {
    const char* patch;
    const char* expected;
  };
  const Case cases[] = {
      {R"({"architectures": ["MambaForCausalLM"]})",
       "architecture 'MambaForCausalLM' is not supported; supported: "
       "BertModel, BitNetForCausalLM"},
      {R"({"architectures": [], "model_type": "mamba"})", "'mamba'"},
      {R"({"num_local_experts": 8})", "'num_local_experts'"},
      {R"({"clip_qkv": 8.0})", "'clip_qkv'"},
      {R"({"architectures": ["StableLmForCausalLM"], "qk_layernorm": true})",
       "'qk_layernorm'"},
      // What would take much memory before a checkpoint is looked at.
      {R"({"architectures": ["Qwen3MoeForCausalLM"], "num_experts": 50000})",
       "num_experts 50000 in 3 layers are more than 131072"},
      {R"({"architectures": ["Gemma4ForCausalLM"], "enable_moe_block": true,
           "num_experts": 50000})",
       "num_experts 50000 in 3 layers"},
      {R"({"architectures": ["Qwen3_5ForCausalLM"],
           "num_attention_heads": 50000, "num_key_value_heads": 2})",
       "num_attention_heads 50000 in 3 layers"},
      {R"({"architectures": ["Ministral3ForCausalLM"],
           "max_position_embeddings": 2000000000, "rope_parameters": {
           "llama_4_scaling_beta": 0.1,
           "original_max_position_embeddings": 1}})",
       "original_max_position_embeddings is too small"},
      // Layers that nothing would turn.
      {R"({"rope_parameters": {"sliding_attention": {"rope_theta": 1e4}}})",
       "rope_parameters have none for layers of full_attention"},
      {R"({"architectures": ["Ministral3ForCausalLM"], "sliding_window": 64,
           "rope_parameters": {"full_attention": {},
           "llama_4_scaling_beta": 0.1}})",
       "rope_parameters have none for layers of sliding_attention"},
      {R"({"hidden_act": "quick_gelu"})",
       "hidden_act 'quick_gelu' is not supported"},
      {R"({"rope_scaling": {"type": "dynamic", "factor": 2.0}})",
       "rope type 'dynamic'"},
      {R"({"rope_parameters": {"rope_type": "longrope"}})",
       "has no 'short_factor'"},
      {R"({"rope_parameters": {"rope_type": "longrope", "short_factor": [1],
           "long_factor": [1]}})",
       "must have 8 numbers each"},
      {R"({"rope_parameters": {"rope_type": "longrope", "short_factor": [0],
           "long_factor": [1]}})",
       "short_factor has 0"},
      {R"({"rope_scaling": {"type": "dynamic", "factor": 2.0},
           "rope_parameters": {"rope_type": "default"}})",
       "rope type 'dynamic'"},
      {R"({"rope_scaling": {"type": "linear"}})", "has no 'factor'"},
      {R"({"rope_scaling": {"type": "linear", "factor": 0}})", "'factor' is 0"},
      {R"({"rope_scaling": {"rope_type": "llama3", "factor": 8,
           "low_freq_factor": 4, "high_freq_factor": 1}})",
       "high_freq_factor must be above"},
      {R"({"partial_rotary_factor": 0.2})", "turns 3 elements of a head"},
      {R"({"architectures": ["Qwen3ForCausalLM"],
           "layer_types": ["full_attention", "chunked_attention",
                           "full_attention"]})",
       "layer type \"chunked_attention\" is not supported"},
      {R"({"architectures": ["Qwen3ForCausalLM"],
           "layer_types": ["full_attention", "sliding_attention"]})",
       "layer_types are 2"},
      {R"({"num_key_value_heads": 4})", "no multiple"},
      {R"({"num_attention_heads": 7, "num_key_value_heads": 7,
           "head_dim": null})",
       "no multiple of num_attention_heads"},
      {R"({"head_dim": 15})", "odd"},
      {R"({"hidden_size": 0})", "'hidden_size' is 0"},
      {R"({"hidden_size": 1e30})", "'hidden_size' is 1e+30"},
      {R"({"num_hidden_layers": 4000000000})", "'num_hidden_layers'"},
      {R"({"vocab_size": "many"})", "'vocab_size' is \"many\""},
      {R"({"rms_norm_eps": -1})", "'rms_norm_eps' is -1"},
      {R"({"vocab_size": null})", "has no 'vocab_size'"},
      {R"({"tie_word_embeddings": 1})", "not true or false"},
  };
  for (const Case& test : cases) {
    EXPECT_THAT(ErrorMessage([&] { Read(LlamaJson(), test.patch); }),
                HasSubstr(test.expected))
        << test.patch;
  }
}

class ImportFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto folder = TestData("golden/hf/llama3-scaled");
    if (!folder) GTEST_SKIP() << "data absent";
    fs::create_directories(source_);
    for (const char* name :
         {"config.json", "model.safetensors", "tokenizer.json"}) {
      fs::copy(*folder / name, source_ / name);
    }
  }

  // The logits after a few tokens.
  std::vector<float> Logits(const ImportOptions& from = {}) {
    ImportOptions options = from;
    options.source = source_;
    options.output = dir_ / "model.safetensors";
    report_ = ImportModel(options);
    LanguageModelOptions settings;
    settings.session.cache = CacheType::kFloat32;
    settings.session.threads = 1;
    LanguageModel language(Model::Load(options.output), settings);
    const std::vector<int32_t> ids = {5, 80, 200, 383, 7, 7};
    const auto logits = language.Feed(ids);
    return {logits.begin(), logits.end()};
  }

  std::string Refusal() {
    return ErrorMessage([&] { Logits(); });
  }

  void PatchConfig(const char* patch) {
    json config = ReadJsonFile(source_ / "config.json");
    config.merge_patch(json::parse(patch));
    WriteText(source_ / "config.json", config.dump());
  }

  // Writes the checkpoint again, each tensor changed by `change` (which may
  // empty its name to leave it out), `shards` files of it.
  using Change = std::function<void(TensorInfo&, std::vector<std::byte>&)>;
  void Rewrite(const Change& change, size_t shards = 1) {
    const fs::path single = source_ / "model.safetensors";
    const auto file = SafetensorsFile::Open(single);
    json index;
    std::vector<std::vector<TensorInfo>> infos(shards);
    std::vector<std::map<std::string, std::vector<std::byte>>> data(shards);
    size_t next = 0;
    for (const TensorView& view : file.tensors()) {
      TensorInfo info = view;
      std::vector<std::byte> bytes(view.data.begin(), view.data.end());
      change(info, bytes);
      if (info.name.empty()) continue;
      const size_t shard = next++ % shards;
      index["weight_map"][info.name] = Shard(shard);
      data[shard][info.name] = std::move(bytes);
      infos[shard].push_back(std::move(info));
    }
    for (size_t i = 0; i < shards; ++i) {
      SafetensorsWriter writer(shards == 1 ? single : source_ / Shard(i), {},
                               infos[i]);
      for (const auto& [name, bytes] : data[i]) writer.Write(name, bytes);
      writer.Commit();
    }
    if (shards == 1) return;
    fs::remove(single);
    WriteText(source_ / "model.safetensors.index.json", index.dump());
  }

  static std::string Shard(size_t i) {
    return std::string("model-") + std::to_string(i) + ".safetensors";
  }

  const TempDir dir_;
  const fs::path source_ = dir_ / "source";
  ImportReport report_;
};

TEST_F(ImportFolderTest, ShardsAreOneCheckpoint) {
  const auto expected = Logits();
  Rewrite([](TensorInfo&, std::vector<std::byte>&) {}, 3);
  EXPECT_EQ(Logits(), expected);
}

TEST_F(ImportFolderTest, OlderSpellingGivesTheSame) {
  const auto expected = Logits();
  PatchConfig(R"({"rope_parameters": null, "rope_theta": 500000.0,
      "dtype": null, "torch_dtype": "float32",
      "rope_scaling": {"type": "llama3", "factor": 8.0,
        "high_freq_factor": 4.0, "low_freq_factor": 1.0,
        "original_max_position_embeddings": 64}})");
  EXPECT_EQ(Logits(), expected);
}

// float16 holds the upper bits of these weights, so that both ways agree.
TEST_F(ImportFolderTest, Float16KeptOrConverted) {
  Rewrite([](TensorInfo& info, std::vector<std::byte>& bytes) {
    std::vector<std::byte> half(bytes.size() / 2);
    for (size_t i = 0; i < half.size() / 2; ++i) {
      uint32_t word;
      std::memcpy(&word, bytes.data() + 4 * i, 4);
      const int exponent = static_cast<int>((word >> 23) & 255) - 127 + 15;
      const uint32_t sign = (word >> 16) & 0x8000u;
      const uint32_t magnitude =
          exponent <= 0
              ? 0
              : static_cast<uint32_t>(exponent) << 10 | ((word >> 13) & 0x3FFu);
      const auto value = static_cast<uint16_t>(sign | magnitude);
      std::memcpy(half.data() + 2 * i, &value, 2);
    }
    info.dtype = DType::kFloat16;
    bytes = std::move(half);
  });
  const auto kept = Logits();
  const auto kept_bytes = report_.file_bytes;
  const auto converted = Logits({.float32 = true});
  EXPECT_GT(report_.file_bytes, kept_bytes * 3 / 2);
  ASSERT_EQ(kept.size(), converted.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    EXPECT_NEAR(kept[i], converted[i], 1e-5);
  }
}

TEST_F(ImportFolderTest, ContextIsOverridden) {
  Logits();
  EXPECT_EQ(report_.context, 512u);
  Logits({.context = 64});
  EXPECT_EQ(report_.context, 64u);
  EXPECT_EQ(Model::Load(dir_ / "model.safetensors")->context_length(), 64u);
}

TEST_F(ImportFolderTest, MissingTensorIsNamed) {
  Rewrite([](TensorInfo& info, std::vector<std::byte>&) {
    if (info.name == "model.layers.1.mlp.up_proj.weight") info.name.clear();
  });
  EXPECT_THAT(Refusal(),
              HasSubstr("tensor 'model.layers.1.mlp.up_proj.weight'"));
}

TEST_F(ImportFolderTest, TensorWithoutPlaceIsNamed) {
  PatchConfig(R"({"num_hidden_layers": 2})");
  EXPECT_THAT(Refusal(),
              HasSubstr("tensor 'model.layers.2.input_layernorm.weight': has "
                        "no place in a LlamaForCausalLM"));
}

TEST_F(ImportFolderTest, WrongShapeIsNamed) {
  PatchConfig(R"({"num_key_value_heads": 3})");
  EXPECT_THAT(Refusal(),
              HasSubstr("has the shape [32, 96], expected [48, 96]"));
}

TEST_F(ImportFolderTest, MissingBiasIsNamed) {
  PatchConfig(R"({"architectures": ["Qwen2ForCausalLM"]})");
  EXPECT_THAT(Refusal(),
              HasSubstr("tensor 'model.layers.0.self_attn.q_proj.bias'"));
}

TEST_F(ImportFolderTest, IntegerWeightsAreRefused) {
  Rewrite([](TensorInfo& info, std::vector<std::byte>& bytes) {
    if (info.name != "lm_head.weight") return;
    info.dtype = DType::kInt8;
    bytes.resize(bytes.size() / 4);
  });
  EXPECT_THAT(Refusal(), HasSubstr("is of type I8, not floating-point"));
}

TEST_F(ImportFolderTest, ShardOutsideTheFolderIsRefused) {
  fs::remove(source_ / "model.safetensors");
  WriteText(source_ / "model.safetensors.index.json",
            R"({"weight_map": {"lm_head.weight": "../secret.safetensors"}})");
  EXPECT_THAT(Refusal(), HasSubstr("is not the name of a file"));
}

TEST_F(ImportFolderTest, WithoutWeights) {
  fs::remove(source_ / "model.safetensors");
  EXPECT_THAT(Refusal(), HasSubstr("has neither model.safetensors nor"));
  WriteText(source_ / "pytorch_model.bin", "x");
  EXPECT_THAT(Refusal(),
              HasSubstr("pytorch_model.bin: zip archive is too short"));
}

TEST_F(ImportFolderTest, WithoutTokenizer) {
  fs::remove(source_ / "tokenizer.json");
  Logits();
  EXPECT_EQ(report_.tokenizer, "");
}

TEST_F(ImportFolderTest, EndsOfAllConfigurations) {
  WriteText(source_ / "generation_config.json",
            R"({"eos_token_id": [7, 9], "bos_token_id": 3})");
  Logits();
  const auto tokenizer =
      Tokenizer::FromModel(*Model::Load(dir_ / "model.safetensors"));
  EXPECT_THAT(tokenizer->ends(), ::testing::ElementsAre(1, 7, 9));
  EXPECT_EQ(tokenizer->bos(), 3);
}

TEST_F(ImportFolderTest, IdsWithoutARowAreNoEnds) {
  WriteText(source_ / "generation_config.json",
            R"({"eos_token_id": [151645, 7, -1], "bos_token_id": 151643})");
  Logits();
  const auto tokenizer =
      Tokenizer::FromModel(*Model::Load(dir_ / "model.safetensors"));
  EXPECT_THAT(tokenizer->ends(), ::testing::ElementsAre(1, 7));
  EXPECT_EQ(tokenizer->bos(), 0);
}

// As transformers does since version 5.
TEST_F(ImportFolderTest, TiedMatricesThatDifferAreTwo) {
  const auto separate = Logits();
  const auto separate_parameters = report_.parameters;
  PatchConfig(R"({"tie_word_embeddings": true})");
  EXPECT_EQ(Logits(), separate);
  // The same matrix under both names is one.
  std::vector<std::byte> embedding;
  Rewrite([&](TensorInfo& info, std::vector<std::byte>& bytes) {
    if (info.name == "model.embed_tokens.weight") embedding = bytes;
  });
  Rewrite([&](TensorInfo& info, std::vector<std::byte>& bytes) {
    if (info.name == "lm_head.weight") bytes = embedding;
  });
  EXPECT_NE(Logits(), separate);
  EXPECT_EQ(report_.parameters, separate_parameters - 384 * 96);
}

TEST(ImportTest, OptionsOfOtherFormatsAreRefused) {
  const TempDir dir;
  WriteText(dir / "model.bin", "x");
  EXPECT_THAT(ErrorMessage([&] {
                ImportModel({.source = dir / "model.bin",
                             .output = dir / "out.safetensors",
                             .format = ImportFormat::kGraph,
                             .tokenizer = dir / "tokenizer.bin"});
              }),
              HasSubstr("the format 'graph' takes no tokenizer"));
  EXPECT_THAT(ErrorMessage([&] {
                ImportModel({.source = dir / "model.bin",
                             .output = dir / "out.safetensors",
                             .format = ImportFormat::kLlama2c,
                             .graph = dir / "graph.json"});
              }),
              HasSubstr("the format 'llama2c' takes no graph"));
}

TEST(ImportTest, UnknownSourcesAreNamed) {
  const TempDir dir;
  const auto refusal = [&](const fs::path& source) {
    return ErrorMessage([&] {
      ImportModel({.source = source, .output = dir / "out.safetensors"});
    });
  };
  EXPECT_THAT(refusal(dir / "none"), HasSubstr("none: does not exist"));
  EXPECT_THAT(refusal(dir.path()), HasSubstr("is a folder of no known kind"));
  WriteText(dir / "model.pb", "x");
  EXPECT_THAT(refusal(dir / "model.pb"), HasSubstr("of no known kind"));
  WriteText(dir / "model.safetensors", "x");
  EXPECT_THAT(refusal(dir / "model.safetensors"), HasSubstr("give a graph"));
  std::string quantized(300, '\0');
  std::memcpy(quantized.data(), "24ka\2", 5);
  WriteText(dir / "q.bin", quantized);
  EXPECT_THAT(refusal(dir / "q.bin"),
              HasSubstr("llama2.c checkpoint of version 2 (int8)"));
}

}  // namespace
}  // namespace lutra::packer
