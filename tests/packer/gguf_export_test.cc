// GGUF files made of imported models: what comes back is what went out, in the
// types that hold it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <string_view>

#include "kernels/base/half.h"
#include "lutra/packer/export.h"
#include "lutra/packer/pack.h"
#include "lutra/runtime/chat_data.h"
#include "packer/architectures/architecture.h"
#include "packer/import/gguf/gguf_architectures.h"
#include "tests/packer/export_data.h"
#include "tests/packer/import_data.h"
#include "tests/packer/logits.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

class GgufExportTest : public ExportFixture {
 protected:
  std::string Refusal(const Model& model, const GgufOptions& options = {}) {
    return ErrorMessage(
        [&] { ExportGguf(model, dir_ / "refused.gguf", options); });
  }

  // Of a folder: 4 bits in groups of 32, with scales that blocks hold.
  std::shared_ptr<const Model> Packed(std::string_view folder) {
    PackOptions options;
    qat::QuantScheme scheme;
    scheme.bits = 4;
    scheme.group_size = 32;
    scheme.scale_type = qat::ScaleType::kFloat16;
    options.rules = qat::SchemeRules(scheme);
    PackModel(*Import(dir_ / folder), dir_ / "packed", options);
    return Model::Load(dir_ / "packed");
  }
};

struct Exported {
  const char* source;
  std::map<std::string, size_t> types;
  size_t floats;  // packed weights that no type holds
};

TEST_F(GgufExportTest, WhatComesBackIsWhatWentOut) {
  const Exported cases[] = {
      {"gguf-bf16/model.gguf", {{"BF16", 8}, {"F32", 5}}, 0},
      {"gguf-mixed/model.gguf",
       {{"BF16", 2},
        {"F16", 1},
        {"F32", 5},
        {"IQ4_NL", 2},
        {"MXFP4", 2},
        {"Q4_0", 2},
        {"Q4_1", 2},
        {"Q5_1", 2},
        {"Q8_0", 3}},
       0},
      {"gguf-q1_0/model.gguf", {{"F32", 5}, {"Q1_0", 8}}, 0},
      {"gguf-q2_0-g128/model.gguf", {{"F32", 5}, {"Q2_0", 8}}, 0},
      {"gguf-q2_k/model.gguf", {{"F32", 3}, {"IQ4_NL", 1}, {"Q2_K", 7}}, 0},
      {"gguf-q3_k/model.gguf", {{"F32", 3}, {"IQ4_NL", 1}, {"Q3_K", 7}}, 0},
      {"gguf-q4_k/model.gguf",
       {{"F32", 3}, {"Q2_K", 1}, {"Q4_K", 6}, {"Q5_0", 1}},
       0},
      {"gguf-q5_k/model.gguf",
       {{"F32", 3}, {"Q2_K", 2}, {"Q5_1", 1}, {"Q5_K", 5}},
       0},
      {"gguf-q6_k/model.gguf",
       {{"F32", 3}, {"Q3_K", 2}, {"Q6_K", 5}, {"Q8_0", 1}},
       0},
      {"gguf-iq4_xs/model.gguf", {{"F32", 3}, {"IQ4_NL", 1}, {"IQ4_XS", 7}}, 0},
      {"gguf-nvfp4/model.gguf", {{"F32", 5}, {"NVFP4", 15}}, 0},
      {"gguf-tq1_0/model.gguf", {{"F32", 3}, {"Q4_0", 1}, {"TQ1_0", 7}}, 0},
      // The smaller of two that hold it.
      {"gguf-tq2_0/model.gguf", {{"F32", 3}, {"Q4_0", 1}, {"TQ1_0", 7}}, 0},
      // A scale of the whole tensor stands beside each; where the source
      // divides by one, its quotients are rarely such products.
      {"ct-nvfp4", {{"BF16", 1}, {"F32", 15}, {"NVFP4", 4}}, 10},
      // Odd levels, and biases that levels of both signs make up for.
      {"torchao-parq-3w-row", {{"F32", 5}, {"Q4_0", 15}}, 0},
      {"prism-1bit-g128", {{"F32", 5}, {"Q1_0", 8}}, 0},
      // Offsets of more bits than float16 has.
      {"gptq-v1-3bit-g32-asym", {{"F16", 1}, {"F32", 10}}, 7},
  };
  for (const Exported& c : cases) {
    SCOPED_TRACE(c.source);
    LUTRA_REQUIRE_DATA(found, "golden/checkpoints/" + std::string(c.source));
    const auto model = Import(found);
    const auto path = dir_ / "model.gguf";
    const GgufReport report = ExportGguf(*model, path);
    EXPECT_EQ(report.types, c.types);
    EXPECT_EQ(report.floats, c.floats);
    EXPECT_EQ(report.file_bytes, std::filesystem::file_size(path));
    const auto back = Import(path);
    ExpectSame(*model, *back);
    if (model->file().Find(kTokenizerTensor) != nullptr) {
      ExpectSameTokens(*model, *back);
    }
    if (c.floats == 0) continue;
    GgufOptions options;
    options.require_packed = true;
    EXPECT_THAT(Refusal(*model, options), HasSubstr("it would become F32"));
  }
}

TEST_F(GgufExportTest, FloatsOnRequest) {
  LUTRA_REQUIRE_DATA(source, "golden/checkpoints/gguf-q4_0/model.gguf");
  const auto model = Import(source);
  GgufOptions options;
  options.packed = false;
  options.tokenizer = false;
  const auto path = dir_ / "model.gguf";
  const GgufReport report = ExportGguf(*model, path, options);
  EXPECT_EQ(report.types.count("Q4_0"), 0u);
  EXPECT_EQ(report.floats, 15u);
  const auto back = Import(path);
  ExpectSame(*model, *back);
  EXPECT_EQ(back->file().Find(kTokenizerTensor), nullptr);
}

// Names, orders of rows, and what the metadata says, in networks of folders;
// chat templates and tokens.
TEST_F(GgufExportTest, Networks) {
  for (const char* source :
       {"cohere2", "gemma4-nested", "gemma4_moe", "gemma4_text", "glm4", "gpt2",
        "granite", "lfm2", "llama3", "ministral3", "olmo2", "olmo3", "olmoe",
        "qwen3", "qwen3-yarn", "qwen3_5", "qwen3_5-nested", "smollm3",
        "stablelm"}) {
    SCOPED_TRACE(source);
    LUTRA_REQUIRE_DATA(found, "golden/arch/" + std::string(source));
    const auto model = Import(found);
    const auto path = dir_ / "model.gguf";
    ExportGguf(*model, path);
    const auto back = Import(path);
    ExpectSame(*model, *back);
    ExpectNear(Logits(model->path()), Logits(back->path()));
    ExpectSameTokens(*model, *back);
    const auto chat = ReadChatData(*model);
    const auto other = ReadChatData(*back);
    ASSERT_EQ(chat.has_value(), other.has_value());
    if (chat) {
      EXPECT_EQ(chat->templates, other->templates);
    }
  }
}

constexpr const char* kGraniteMoe = R"({
    "architectures": ["GraniteMoeForCausalLM"], "hidden_size": 64,
    "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": 64,
    "num_attention_heads": 2, "num_key_value_heads": 1,
    "num_local_experts": 4, "num_experts_per_tok": 2,
    "embedding_multiplier": 12.0, "attention_multiplier": 0.2,
    "residual_multiplier": 0.22, "logits_scaling": 6.0,
    "max_position_embeddings": 64, "tie_word_embeddings": true})";

// With experts of floats, whose outputs are columns in folders.
constexpr const char* kGptOss = R"({
    "architectures": ["GptOssForCausalLM"], "hidden_size": 64,
    "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": 64,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
    "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8,
    "max_position_embeddings": 64, "rope_theta": 150000.0,
    "rope_scaling": {"rope_type": "yarn", "factor": 2.0, "truncate": false,
                     "original_max_position_embeddings": 32}})";

// What a damaged file says is checked before rows are counted by it.
TEST_F(GgufExportTest, NumbersOfExpertsThatAreNot) {
  WriteRandomFolder(dir_ / "granitemoe", kGraniteMoe);
  GgufOptions options;
  options.tokenizer = false;
  const auto path = dir_ / "model.gguf";
  ExportGguf(*Import(dir_ / "granitemoe"), path, options);
  std::string bytes = ReadBytes(path);
  constexpr std::string_view kKey = "granitemoe.expert_count";
  const size_t at = bytes.find(kKey) + kKey.size() + sizeof(uint32_t);
  for (const uint32_t experts : {3u, 256u, 0xFFFFFFFFu}) {
    std::memcpy(&bytes[at], &experts, sizeof(experts));
    WriteBytes(path, bytes);
    EXPECT_THAT(ErrorMessage([&] { Import(path); }),
                HasSubstr("128 rows for " + std::to_string(experts) +
                          " experts, which do not divide them"));
  }
}

// Rows of gate and up are one tensor there and two here, as floats and packed.
TEST_F(GgufExportTest, ExpertsWhoseGateAndUpAreOne) {
  WriteRandomFolder(dir_ / "granitemoe", kGraniteMoe);
  WriteRandomFolder(dir_ / "gpt-oss", kGptOss);
  LUTRA_REQUIRE_DATA(mxfp4, "golden/checkpoints/gptoss-mxfp4");
  for (const std::filesystem::path& source :
       {dir_ / "granitemoe", dir_ / "gpt-oss", mxfp4}) {
    SCOPED_TRACE(source);
    const auto model = Import(source);
    GgufOptions options;
    options.tokenizer = model->file().Find(kTokenizerTensor) != nullptr;
    const auto path = dir_ / "model.gguf";
    const GgufReport report = ExportGguf(*model, path, options);
    EXPECT_EQ(report.floats, 0u);
    const auto back = Import(path);
    ExpectSame(*model, *back);
    ExpectNear(Logits(model->path()), Logits(back->path()));
  }
}

// The same as floats on a grid, which is found in both tensors.
TEST_F(GgufExportTest, GridsOfExpertsInTwoTensors) {
  for (const char* config : {kGraniteMoe, kGptOss}) {
    WriteRandomFolder(dir_ / "folder", config);
    const auto model = Packed("folder");
    GgufOptions options;
    options.tokenizer = false;
    options.packed = false;
    ExportGguf(*model, dir_ / "model.gguf", options);
    ImportOptions recover;
    recover.source = dir_ / "model.gguf";
    recover.output = dir_ / "recovered";
    recover.recover = true;
    const ImportReport report = ImportModel(recover);
    size_t experts = 0;
    for (const ImportedWeight& weight : report.weights) {
      EXPECT_TRUE(weight.exact) << weight.name;
      experts += weight.name.ends_with(".gate_proj.weight") ||
                 weight.name.ends_with(".up_proj.weight");
    }
    EXPECT_EQ(experts, 4u);
    ExpectSame(*model, *Model::Load(recover.output));
  }
}

// Rows of Qwen 3.5's heads of values have another order in the file. Columns
// that are packed stay in it, and a node puts their inputs there.
TEST_F(GgufExportTest, HeadsOfValues) {
  WriteRandomFolder(dir_ / "qwen", R"({
      "architectures": ["Qwen3_5ForCausalLM"], "hidden_size": 64,
      "intermediate_size": 32, "num_hidden_layers": 4, "vocab_size": 64,
      "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
      "linear_num_key_heads": 2, "linear_num_value_heads": 6,
      "linear_key_head_dim": 32, "linear_value_head_dim": 32,
      "max_position_embeddings": 64, "tie_word_embeddings": true})");
  const auto model = Packed("qwen");
  GgufOptions options;
  options.tokenizer = false;
  options.require_packed = true;
  const GgufReport report = ExportGguf(*model, dir_ / "a.gguf", options);
  std::map<std::string, size_t> types = report.types;
  types.erase("F32");
  EXPECT_EQ(types, (std::map<std::string, size_t>{{"Q5_0", report.packed}}));
  const auto back = Import(dir_ / "a.gguf");
  EXPECT_NE(back->file().Find("lutra.order0"), nullptr);
  ExpectNear(Logits(model->path()), Logits(back->path()));
  ExportGguf(*back, dir_ / "b.gguf", options);
  EXPECT_EQ(ReadBytes(dir_ / "b.gguf"), ReadBytes(dir_ / "a.gguf"));
  // In a folder, as floats, they are in Hugging Face's order.
  ExportModel(*model, dir_ / "one");
  ExportModel(*back, dir_ / "other");
  ExpectSame(*Import(dir_ / "one"), *Import(dir_ / "other"));
}

// Phi's factors of the frequencies are tensors, in float32.
TEST_F(GgufExportTest, FactorsOfFrequencies) {
  LUTRA_REQUIRE_DATA(found, "golden/arch/phi3");
  const auto model = Import(found);
  GgufOptions options;
  options.tokenizer = false;
  const auto path = dir_ / "model.gguf";
  ExportGguf(*model, path, options);
  const auto back = Import(path);
  const auto own = model->file().Get("lutra.rope").Floats("own");
  const auto other = back->file().Get("lutra.rope").Floats("other");
  ASSERT_EQ(own.size(), other.size());
  for (size_t i = 0; i < own.size(); ++i) {
    EXPECT_NEAR(own[i], other[i], 1e-6f * own[i]);
  }
}

TEST_F(GgufExportTest, WhatGgufCannotSay) {
  const std::pair<const char*, const char*> cases[] = {
      {"ministral",
       "is a MinistralForCausalLM, which cannot be exported as GGUF"},
      {"starcoder2", "'layer0.attention' would be another"},
      {"mistral",
       "cannot be said in the metadata of GGUF files: "
       "'layer0.attention' would be another"},
      {"phi3", "cuts texts in a way that llama.cpp has no name for"},
      {"gemma2", "'layer0.attention' would be another"}};
  for (const auto& [source, expected] : cases) {
    LUTRA_REQUIRE_DATA(found, "golden/arch/" + std::string(source));
    EXPECT_THAT(Refusal(*Import(found)), HasSubstr(expected));
    EXPECT_FALSE(std::filesystem::exists(dir_ / "refused.gguf"));
  }
}

TEST_F(GgufExportTest, DoesNotReplaceTheModelItself) {
  LUTRA_REQUIRE_DATA(source, "golden/checkpoints/gguf-q4_0/model.gguf");
  const auto model = Import(source);
  EXPECT_THAT(ErrorMessage([&] { ExportGguf(*model, model->path()); }),
              HasSubstr("is the model itself"));
}

TEST(GgufNamesTest, BothWays) {
  for (const GgufArchitecture& architecture : GgufArchitectures()) {
    for (const char* name :
         {"token_embd.weight", "blk.7.attn_q.weight", "blk.7.ffn_down.weight",
          "blk.7.post_ffw_norm.weight", "blk.7.shortconv.conv.weight"}) {
      const auto there = HuggingFaceName(architecture, name);
      if (!there) continue;
      const auto back = FindGgufName(architecture, *there);
      ASSERT_TRUE(back.has_value()) << architecture.network << " " << *there;
      EXPECT_EQ(back->name, name) << architecture.network;
    }
  }
  const GgufArchitecture* mixtral =
      FindGgufArchitectureOf("MixtralForCausalLM");
  const auto expert = FindGgufName(
      *mixtral, "model.layers.3.block_sparse_moe.experts.12.w3.weight");
  ASSERT_TRUE(expert.has_value());
  EXPECT_EQ(expert->name, "blk.3.ffn_up_exps.weight");
  EXPECT_EQ(expert->expert, 12u);
  EXPECT_EQ(FindGgufName(*mixtral, "model.layers.3.other.weight"),
            std::nullopt);
}

TEST(GgufNamesTest, PairedRowsAreUndone) {
  const auto there = PairedRows(24, 3, /*inverse=*/false);
  const auto back = PairedRows(24, 3, /*inverse=*/true);
  for (uint32_t row = 0; row < 24; ++row) EXPECT_EQ(back[there[row]], row);
  // Element 4 of a head of 8 follows element 0.
  EXPECT_EQ(there[1], 4u);
}

}  // namespace
}  // namespace lutra::packer
