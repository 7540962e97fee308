// Quantized weights of checkpoints: how a LUT matrix holds them, and what is
// refused. tests/golden_replay replays files of the original libraries.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "lutra/packer/export.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/input_quantization.h"
#include "packer/import/checkpoint.h"
#include "packer/import/stored/holding.h"
#include "tests/packer/import_data.h"
#include "tests/packer/logits.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Groups {
  std::vector<float> scales;
  std::vector<float> zeros;
};

// Codes count up; every row has the same groups.
StoredWeight Weight(size_t rows, size_t columns, size_t group_size,
                    std::vector<float> levels, ZeroRule rule, Groups groups) {
  StoredWeight weight;
  weight.rows = rows;
  weight.columns = columns;
  weight.group_size = group_size;
  weight.levels = std::move(levels);
  weight.zero = rule;
  weight.read = [columns, groups, levels = weight.levels.size()](
                    size_t first, size_t count, StoredRows& out) {
    out.scales.clear();
    out.zeros.clear();
    out.codes.clear();
    for (size_t r = 0; r < count; ++r) {
      out.scales.insert(out.scales.end(), groups.scales.begin(),
                        groups.scales.end());
      out.zeros.insert(out.zeros.end(), groups.zeros.begin(),
                       groups.zeros.end());
      for (size_t c = 0; out.want_codes && c < columns; ++c) {
        out.codes.push_back(static_cast<uint8_t>((first + r + c) % levels));
      }
    }
  };
  return weight;
}

struct alignas(kernels::kBlobAlignment) Line {
  std::byte bytes[kernels::kBlobAlignment];
};

std::vector<Line> Blob(const StoredWeight& weight, const Holding& holding,
                       Fidelity* fidelity = nullptr) {
  std::vector<Line> blob(kernels::BlobBytes(holding.format) / sizeof(Line));
  const Fidelity result = WriteBlob(
      weight, holding, [&](size_t offset, std::span<const std::byte> part) {
        std::copy(part.begin(), part.end(), blob.data()->bytes + offset);
      });
  if (fidelity != nullptr) *fidelity = result;
  return blob;
}

struct HoldCase {
  const char* name;
  std::vector<float> levels;
  ZeroRule rule;
  Groups groups;
  uint32_t bits;
  kernels::OffsetType offsets;
  std::vector<int8_t> table;  // empty: not compared
  bool exact;
};

// The mantissa of a float32 in full, so that a product with it is rounded.
constexpr float kFull = 0x1.fffffep-3f;

TEST(HoldTest, TheSmallestExactForm) {
  using kernels::OffsetType;
  const HoldCase cases[] = {
      {"symmetric",
       IntegerLevels(-2, 4),
       ZeroRule::kNone,
       {{.5f, 3}, {}},
       2,
       OffsetType::kNone,
       {-2, -1, 0, 1},
       true},
      {"one zero point for all",
       IntegerLevels(0, 4),
       ZeroRule::kSubtract,
       {{kFull, 3}, {2, 2}},
       2,
       OffsetType::kNone,
       {-2, -1, 0, 1},
       true},
      {"half zero points: odd levels",
       IntegerLevels(-2, 4),
       ZeroRule::kSubtract,
       {{kFull, 3}, {-.5f, -.5f}},
       2,
       OffsetType::kNone,
       {-3, -1, 1, 3},
       true},
      {"zero points of groups",
       IntegerLevels(0, 4),
       ZeroRule::kSubtract,
       {{.5f, 3}, {1, 2}},
       2,
       OffsetType::kBFloat16,
       {0, 1, 2, 3},
       true},
      // 3 * s and 1 * s are rounded, so that their difference is not 2 * s.
      {"zero points of groups, long scales",
       IntegerLevels(0, 8),
       ZeroRule::kSubtract,
       {{kFull, 0x1.7ffffep0f}, {5, 3}},
       8,
       OffsetType::kNone,
       {},
       true},
      {"offsets as they are",
       IntegerLevels(0, 16),
       ZeroRule::kAdd,
       {{kFull, 3}, {kFull, -1}},
       4,
       OffsetType::kFloat32,
       {},
       true},
      {"offsets of 8 bits",
       IntegerLevels(0, 256),
       ZeroRule::kAdd,
       {{.25f, 3}, {-32, -1}},
       8,
       OffsetType::kFloat16,
       {},
       true},
      {"no offsets if all are 0",
       IntegerLevels(0, 16),
       ZeroRule::kAdd,
       {{kFull, 3}, {0, 0}},
       4,
       OffsetType::kNone,
       {},
       true},
      {"halves",
       Float4Levels(),
       ZeroRule::kNone,
       {{.5f, kFull}, {}},
       4,
       OffsetType::kNone,
       {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12},
       true},
      {"three levels",
       IntegerLevels(-1, 3),
       ZeroRule::kNone,
       {{.5f, kFull}, {}},
       2,
       OffsetType::kNone,
       {-1, 0, 1, 1},
       true},
      {"float levels",
       {-1, -.6961928f, .3379152f, 1},
       ZeroRule::kNone,
       {{.5f, kFull}, {}},
       2,
       OffsetType::kNone,
       {},
       false},
      {"float zero points",
       IntegerLevels(0, 16),
       ZeroRule::kSubtract,
       {{kFull, 3}, {7.3f, 8.1f}},
       4,
       OffsetType::kFloat32,
       {},
       false},
  };
  for (const HoldCase& c : cases) {
    SCOPED_TRACE(c.name);
    const StoredWeight weight = Weight(5, 64, 32, c.levels, c.rule, c.groups);
    const Holding holding = Hold(weight);
    EXPECT_EQ(holding.exact, c.exact);
    EXPECT_EQ(holding.format.bits, c.bits);
    EXPECT_EQ(holding.format.group_size, 32u);
    EXPECT_EQ(holding.format.offset_type, c.offsets);
    if (!c.table.empty()) {
      EXPECT_EQ(holding.Table(), c.table);
    }
    Fidelity fidelity;
    Blob(weight, holding, &fidelity);  // throws if it is not exact
    EXPECT_EQ(fidelity.noise == 0, c.exact);
    EXPECT_GT(fidelity.SqnrDb(), 40);
  }
}

TEST(HoldTest, PiecesMakeTheBlobOfTheWhole) {
  // Two pieces of 16 rows and one of 5.
  constexpr size_t kRows = 37;
  constexpr size_t kColumns = 65536;
  const StoredWeight weight =
      Weight(kRows, kColumns, 32768, IntegerLevels(0, 8), ZeroRule::kAdd,
             {{.5f, .25f}, {-1, 2}});
  const Holding holding = Hold(weight);
  StoredRows rows;
  weight.read(0, kRows, rows);
  std::vector<Line> whole(kernels::BlobBytes(holding.format) / sizeof(Line));
  kernels::PackLutMatrix(holding.format,
                         {.indices = rows.codes.data(),
                          .scales = rows.scales.data(),
                          .offsets = rows.zeros.data(),
                          .tables = holding.Table().data()},
                         reinterpret_cast<uint8_t*>(whole.data()));
  const std::vector<Line> pieces = Blob(weight, holding);
  EXPECT_EQ(
      std::memcmp(whole.data(), pieces.data(), whole.size() * sizeof(Line)), 0);
}

TEST(HoldTest, RefusesWithTheReason) {
  const auto refusal = [](StoredWeight weight) {
    return ErrorMessage([&] { Blob(weight, Hold(weight)); });
  };
  const std::vector<float> levels = IntegerLevels(-8, 16);
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(
      refusal(Weight(2, 64, 32, levels, ZeroRule::kNone, {{1, kNan}, {}})),
      HasSubstr("a scale of row 0 is not finite"));
  EXPECT_THAT(refusal(Weight(2, 64, 32, levels, ZeroRule::kAdd,
                             {{1, 1}, {0, INFINITY}})),
              HasSubstr("a zero point of row 0 is not finite"));
  EXPECT_THAT(
      refusal(Weight(2, 32, 8, levels, ZeroRule::kNone, {{1, 1, 1, 1}, {}})),
      HasSubstr("multiple of 16"));
  StoredWeight ordered =
      Weight(2, 64, 32, levels, ZeroRule::kNone, {{1, 1}, {}});
  ordered.group_of_column.assign(64, 1);
  EXPECT_THAT(refusal(ordered), HasSubstr("activation order"));
  StoredWeight wrong = Weight(2, 64, 32, levels, ZeroRule::kNone, {{1, 1}, {}});
  wrong.levels.resize(12);
  EXPECT_THAT(refusal(wrong), HasSubstr("a code is 12, above 11"));
}

TEST(HoldTest, CodesThatStandForNothingAreRefusedAsFloatsToo) {
  StoredWeight weight =
      Weight(16, 16, 16, {-1, 0, 1}, ZeroRule::kNone, {{1}, {}});
  weight.tensor = "w";
  weight.read = [read = weight.read](size_t first, size_t count,
                                     StoredRows& out) {
    read(first, count, out);
    if (out.want_codes) out.codes[5] = 200;
  };
  for (const bool dequantize : {false, true}) {
    const ImportTensor tensor = HeldTensor("w", weight, dequantize);
    ImportedWeight result;
    EXPECT_THAT(ErrorMessage([&] {
                  tensor.write([](size_t, std::span<const std::byte>) {},
                               result);
                }),
                HasSubstr("a code is 200, above 2"));
  }
}

TEST(HoldTest, RowsInAnotherOrder) {
  const StoredWeight weight =
      Weight(5, 32, 32, IntegerLevels(0, 32), ZeroRule::kNone, {{1}, {}});
  const StoredWeight other = Reordered(weight, {3, 0});
  StoredRows rows;
  other.read(0, 2, rows);
  EXPECT_EQ(other.rows, 2u);
  EXPECT_EQ(rows.codes[0], 3);
  EXPECT_EQ(rows.codes[32], 0);
  RowsOf(weight, 2, 3).read(1, 1, rows);
  EXPECT_EQ(rows.codes[0], 3);
  const StoredWeight stacked = Stacked({other, RowsOf(weight, 4, 1)});
  stacked.read(1, 2, rows);
  EXPECT_EQ(stacked.rows, 3u);
  EXPECT_EQ(rows.codes[0], 0);
  EXPECT_EQ(rows.codes[32], 4);
  EXPECT_EQ(rows.scales.size(), 2u);
}

// A folder of tensors of zeros.
class StoredFolderTest : public ::testing::Test {
 protected:
  void Write(const std::vector<TensorInfo>& tensors,
             const std::map<std::string, std::string>& metadata = {}) {
    SafetensorsWriter writer(dir_ / "model.safetensors", metadata, tensors);
    for (const TensorInfo& tensor : tensors) {
      writer.Write(tensor.name, std::vector<std::byte>(tensor.ByteCount()));
    }
    writer.Commit();
  }
  Checkpoint Open(const std::string& config) {
    const auto document = nlohmann::json::parse(config);
    return Checkpoint(dir_.path(), JsonObject(document, "c.json", "config"));
  }
  std::string Refusal(const std::string& config) {
    return ErrorMessage([&] { (void)Open(config); });
  }

  TempDir dir_;
};

struct BadParts {
  const char* config;
  std::vector<TensorInfo> tensors;
  const char* expected;
};

constexpr const char* kGptq =
    R"({"quantization_config": {"quant_method": "gptq", "bits": 4,
        "group_size": 32}})";
constexpr const char* kPacked =
    R"({"quantization_config": {"quant_method": "compressed-tensors",
        "format": "pack-quantized", "config_groups": {"g": {"weights":
        {"num_bits": 4, "strategy": "group", "group_size": 32}}}}})";

TEST_F(StoredFolderTest, PartsThatDoNotFitAreNamed) {
  constexpr DType kInt = DType::kInt32;
  constexpr DType kHalf = DType::kFloat16;
  const BadParts cases[] = {
      {R"({"quantization_config": {"quant_method": "eetq"}})",
       {{"a.weight", DType::kInt8, {4, 4}}},
       "quantization method 'eetq' is not supported; supported: auto-round"},
      {R"({"quantization_config": {"quant_method": "gptq", "bits": 5}})",
       {{"a.qweight", kInt, {4, 4}}},
       "5 bits of GPTQ are not supported"},
      {R"({"quantization_config": {"quant_method": "gptq", "bits": 4,
           "checkpoint_format": "marlin"}})",
       {{"a.qweight", kInt, {4, 4}}},
       "checkpoint_format 'marlin' is not supported"},
      {kGptq, {{"a.qweight", kInt, {4, 16}}}, "'a.scales': is missing"},
      {kGptq,
       {{"a.qweight", kInt, {4, 16}}, {"a.scales", kInt, {1, 16}}},
       "'a.scales': is of type I32"},
      {kGptq,
       {{"a.qweight", kInt, {4, 16}}, {"a.scales", kHalf, {2, 16}}},
       "'a.scales': has 2 groups, expected 1"},
      {kGptq,
       {{"a.qweight", kInt, {4, 16}}, {"a.scales", kHalf, {1, 15}}},
       "'a.scales': has the shape [1, 15], expected [1, 16]"},
      {kGptq,
       {{"a.qweight", kInt, {4, 16}},
        {"a.scales", kHalf, {1, 16}},
        {"a.qzeros", kInt, {1, 1}}},
       "'a.qzeros': has the shape [1, 1], expected [1, 2]"},
      {kGptq,
       {{"a.qweight", kInt, {4, 16}},
        {"a.scales", kHalf, {1, 16}},
        {"a.qzeros", kInt, {1, 2}},
        {"a.g_idx", kInt, {31}}},
       "'a.g_idx': has the shape [31], expected [1, 32]"},
      {kGptq,
       {{"a.qweight", kInt, {0, 16}},
        {"a.scales", kHalf, {0, 16}},
        {"a.qzeros", kInt, {0, 2}}},
       "'a.qweight': is empty"},
      {kPacked,
       {{"a.weight_packed", kInt, {4, 4}},
        {"a.weight_shape", DType::kInt64, {3}}},
       "'a.weight_shape': has not two dimensions"},
      {kPacked,
       {{"a.weight_packed", kInt, {4, 4}},
        {"a.weight_shape", DType::kInt64, {2}}},
       "'a.weight_shape': has a dimension that is not possible"},
      {R"({"quantization_config": {"quant_method": "awq", "version": "gemv"}})",
       {{"a.qweight", kInt, {4, 4}}},
       "version 'gemv' of AWQ is not supported"},
      {R"({"quantization_config": {"quant_method": "bitnet"}})",
       {{"a.weight", DType::kUInt8, {4, 4}}, {"a.weight_scale", kHalf, {2}}},
       "'a.weight_scale': is not one number"},
      {R"({"quantization_config": {"quant_method": "torchao"}})",
       {{"a.weight", kHalf, {4, 4}}},
       "no list of torchao's tensors"},
      {R"({"quantization": {"bits": 4, "group_size": 64}})",
       {{"a.weight", DType::kUInt32, {4, 8}}, {"a.scales", kHalf, {4, 1}}},
       "'a.biases': is missing"},
      {R"({"quantization": {"bits": 4, "group_size": 64, "mode": "mxfp8"}})",
       {{"a.weight", DType::kUInt32, {4, 8}}},
       "mode 'mxfp8' is not supported"},
      {R"({"quantization_config": {"quant_method": "gemma",
           "module_quant_configs": {"(": {"num_bits": 4}}}})",
       {{"a.weight", kHalf, {4, 4}}},
       "is not a regular expression"},
      {R"({"w_bits": 5})", {{"a.weight", kHalf, {4, 4}}}, "w_bits above 4"},
  };
  for (const BadParts& c : cases) {
    Write(c.tensors);
    EXPECT_THAT(Refusal(c.config), HasSubstr(c.expected)) << c.config;
  }
}

// Two codes of bitsandbytes share a byte, whatever the block.
TEST_F(StoredFolderTest, OddRowsOfNibblesAreRefused) {
  const std::string state = R"({"shape": [3, 3], "blocksize": 1})";
  const std::vector<TensorInfo> tensors = {
      {"a.weight", DType::kUInt8, {4, 1}},
      {"a.weight.absmax", DType::kFloat32, {9}},
      {"a.weight.quant_map", DType::kFloat32, {16}},
      {"a.weight.quant_state.bitsandbytes__nf4",
       DType::kUInt8,
       {static_cast<int64_t>(state.size())}}};
  SafetensorsWriter writer(dir_ / "model.safetensors", {}, tensors);
  for (const TensorInfo& tensor : tensors) {
    std::vector<std::byte> bytes(tensor.ByteCount());
    if (bytes.size() == state.size()) {
      std::memcpy(bytes.data(), state.data(), state.size());
    }
    writer.Write(tensor.name, bytes);
  }
  writer.Commit();
  EXPECT_THAT(
      Refusal(R"({"quantization_config": {"quant_method": "bitsandbytes"}})"),
      HasSubstr("'a.weight': has an odd number of columns"));
}

TEST_F(StoredFolderTest, TorchaoClassesThatHoldOnlyKernelsBytes) {
  Write({{"a._weight_qdata", DType::kInt8, {4, 4}}},
        {{"tensor_names", R"(["a.weight"])"},
         {"a.weight", R"({"_type": "Int8LutTensor", "_data": {}})"}});
  EXPECT_THAT(
      Refusal(R"({"quantization_config": {"quant_method": "torchao"}})"),
      HasSubstr("tensors of class Int8LutTensor are not supported"));
}

TEST_F(StoredFolderTest, WhatIsTakenOver) {
  Write({{"a.qweight", DType::kInt32, {4, 16}},
         {"a.scales", DType::kFloat16, {1, 16}},
         {"a.qzeros", DType::kInt32, {1, 2}},
         {"norm.weight", DType::kFloat16, {32}}});
  const Checkpoint checkpoint = Open(kGptq);
  EXPECT_THAT(checkpoint.Names(),
              ::testing::ElementsAre("a.weight", "norm.weight"));
  EXPECT_TRUE(checkpoint.Has("a.weight"));
  EXPECT_EQ(checkpoint.Find("a.weight"), nullptr);
  const StoredWeight* weight = checkpoint.FindStored("a.weight");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(weight->rows, 16u);
  EXPECT_EQ(weight->columns, 32u);
  const auto tensor = HeldTensor("w", *weight, false);
  EXPECT_EQ(tensor.info.name, "w");
  EXPECT_EQ(tensor.info.dtype, DType::kUInt8);
  EXPECT_TRUE(tensor.stored->exact);
  EXPECT_EQ(HeldTensor("w", *weight, true).info.dtype, DType::kFloat32);
  EXPECT_THAT(ErrorMessage([&] { (void)checkpoint.Get("a.weight"); }),
              HasSubstr("is missing"));
}

// A network whose layers all round what they read, and the last one what it
// gives.
TEST_F(StoredFolderTest, StaticRangesOfGemma) {
  constexpr float kInput = 0.05f;
  constexpr float kOutput = 0.25f;
  const std::string layer = "model.layers.0.";
  std::map<std::string, std::vector<float>> floats = {
      {layer + "self_attn.k_cache_scale", {0.1f}},
      {layer + "self_attn.v_cache_scale", {0.0f}}};
  std::vector<std::string> modules = {"lm_head"};
  for (const char* name :
       {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
        "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
    modules.push_back(layer + name);
  }
  for (const std::string& module : modules) {
    floats[module + ".weight_scale"].assign(32, 0.002f);
    floats[module + ".input_activation_scale"] = {kInput};
    floats[module + ".output_activation_scale"] = {module == "lm_head" ? kOutput
                                                                       : 0.0f};
  }
  for (const char* norm :
       {"model.norm.weight", "model.layers.0.input_layernorm.weight",
        "model.layers.0.post_attention_layernorm.weight"}) {
    floats[norm].assign(32, 1.0f);
  }
  std::vector<float>& embedding = floats["model.embed_tokens.weight"];
  for (int i = 0; i < 32 * 32; ++i) {
    embedding.push_back(static_cast<float>(i * 37 % 101) / 50 - 1);
  }
  std::vector<TensorInfo> tensors;
  for (const auto& [name, values] : floats) {
    const auto count = static_cast<int64_t>(values.size());
    tensors.push_back({name, DType::kFloat32,
                       count < 32                 ? std::vector<int64_t>()
                       : count > 32               ? std::vector<int64_t>{32, 32}
                       : name.ends_with("_scale") ? std::vector<int64_t>{32, 1}
                                                  : std::vector<int64_t>{32}});
  }
  std::vector<std::byte> codes;
  for (int i = 0; i < 32 * 32; ++i) {
    codes.push_back(static_cast<std::byte>(i * 89 % 251 - 125));
  }
  for (const std::string& module : modules) {
    tensors.push_back({module + ".weight", DType::kInt8, {32, 32}});
  }
  const auto write = [&] {
    SafetensorsWriter writer(dir_ / "model.safetensors", {}, tensors);
    for (const auto& [name, values] : floats) {
      writer.Write(name, std::as_bytes(std::span(values)));
    }
    for (const std::string& module : modules) {
      writer.Write(module + ".weight", codes);
    }
    writer.Commit();
  };
  write();
  WriteText(dir_ / "config.json", R"({
      "architectures": ["LlamaForCausalLM"], "hidden_size": 32,
      "intermediate_size": 32, "num_hidden_layers": 1, "vocab_size": 32,
      "num_attention_heads": 1, "num_key_value_heads": 1,
      "max_position_embeddings": 64, "tie_word_embeddings": false,
      "quantization_config": {"quant_method": "gemma", "num_bits": 8}})");
  const TempDir out;
  ImportOptions options;
  options.source = dir_.path();
  const auto import = [&](const char* name, bool dequantize) {
    options.output = out / name;
    options.dequantize = dequantize;
    const ImportReport report = ImportModel(options);
    EXPECT_THAT(
        report.notes,
        ::testing::ElementsAre(HasSubstr("1 scales of caches (k_cache_scale")));
    return Logits(options.output);
  };
  const std::vector<float> logits = import("packed", false);
  bool any = false;
  for (const float logit : logits) {
    const float steps = logit / kOutput;
    EXPECT_EQ(steps, std::nearbyint(steps));
    EXPECT_LE(std::abs(steps + 0.5f), 127.5f);
    any = any || steps != 0;
  }
  EXPECT_TRUE(any);
  // Float weights read the same whole numbers.
  EXPECT_EQ(logits, import("floats", true));
  const auto model = Model::Load(out / "packed");
  for (const Node& node : model->graph().nodes) {
    if (node.op != OpType::kLinear) continue;
    const InputQuantization input = InputQuantizationOf(node);
    EXPECT_EQ(input.type, kernels::ActivationType::kInt8Asymmetric);
    EXPECT_EQ(input.range_min, -128 * kInput);
    EXPECT_EQ((input.range_max - input.range_min) / 255, kInput);
  }
  EXPECT_THAT(ExportModel(*model, out / "folder").notes,
              ::testing::ElementsAre(HasSubstr("round activations")));
  // Without, the scales are those of each row.
  for (auto& [name, values] : floats) {
    if (name.ends_with("_activation_scale")) values = {0.0f};
  }
  write();
  EXPECT_NE(logits, import("free", false));
  floats["lm_head.input_activation_scale"] = {-1.0f};
  write();
  EXPECT_THAT(ErrorMessage([&] { import("refused", false); }),
              HasSubstr("'lm_head.input_activation_scale': is no scale of "
                        "activations"));
}

}  // namespace
}  // namespace lutra::packer
