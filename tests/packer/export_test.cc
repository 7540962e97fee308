// Folders made of imported models: what comes back is what went out.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lutra/packer/export.h"
#include "lutra/packer/import.h"
#include "lutra/packer/pack.h"
#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/safetensors.h"
#include "lutra/runtime/text_encoder.h"
#include "packer/export/tokenizer_json_writer.h"
#include "packer/import/tokenizers/tokenizers.h"
#include "tests/packer/export_data.h"
#include "tests/packer/import_data.h"
#include "tests/runtime/throws.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

class ExportTest : public ExportFixture {
 protected:
  // A copy of a model with another configuration.
  std::shared_ptr<const Model> With(const Model& model,
                                    const std::string& config) {
    auto metadata = model.file().metadata();
    metadata[std::string(kConfigKey)] = config;
    if (config.empty()) metadata.erase(std::string(kConfigKey));
    const auto& tensors = model.file().tensors();
    const auto path = dir_ / ("model" + std::to_string(++models_));
    SafetensorsWriter writer(path, metadata, {tensors.begin(), tensors.end()});
    for (const TensorView& tensor : tensors) {
      writer.Write(tensor.name, tensor.data);
    }
    writer.Commit();
    return Model::Load(path);
  }

  static std::vector<float> Vector(const Model& model) {
    TextEncoder encoder(Model::Load(model.path()),
                        {.threads = 1, .cache = CacheType::kFloat32});
    return encoder.Encode(std::vector<int32_t>{0, 3, 5, 1});
  }

  std::string Refusal(const Model& model) {
    return ErrorMessage(
        [&] { ExportModel(model, dir_ / "folder", {ExportLayout::kFloat}); });
  }
};

struct RoundTrip {
  const char* source;
  size_t packed;  // weights in the model
  // Those that stay so.
  size_t compressed_tensors;
  size_t torchao;
  size_t mlx;
};

TEST_F(ExportTest, WhatComesBackIsWhatWentOut) {
  const RoundTrip cases[] = {
      {"ct-w4a16-sym-g32", 14, 14, 14, 14},      // symmetric groups
      {"ct-w3a16-sym-g64", 14, 14, 14, 14},      // fields that straddle words
      {"ct-w8a16-sym-row", 14, 14, 14, 14},      // eight bits, scales of rows
      {"gptq-v1-3bit-g32-asym", 7, 0, 7, 7},     // whole zero points
      {"torchao-parq-3w-row", 15, 0, 14, 15},    // odd levels
      {"mlx-6bit-g64", 8, 0, 0, 8},              // free offsets
      {"mlx-4bit-g128-mixed", 8, 0, 0, 8},       // several forms
      {"gguf-q4_0/model.gguf", 15, 14, 14, 15},  // an embedding
      {"gguf-q6_k/model.gguf", 8, 5, 7, 1},      // groups of 16
      {"bnb-nf4", 7, 0, 7, 0},                   // any levels
  };
  for (const RoundTrip& c : cases) {
    SCOPED_TRACE(c.source);
    LUTRA_REQUIRE_DATA(found, "golden/checkpoints/" + std::string(c.source));
    const auto model = Import(found);
    const std::pair<ExportLayout, size_t> layouts[] = {
        {ExportLayout::kFloat, 0},
        {ExportLayout::kCompressedTensors, c.compressed_tensors},
        {ExportLayout::kTorchao, c.torchao},
        {ExportLayout::kMlx, c.mlx}};
    for (const auto& [layout, packed] : layouts) {
      SCOPED_TRACE(Name(layout));
      const auto folder = dir_ / std::string(Name(layout));
      ExportOptions options;
      options.layout = layout;
      const ExportReport report = ExportModel(*model, folder, options);
      EXPECT_EQ(report.packed, packed);
      EXPECT_EQ(report.floats, c.packed - packed);
      EXPECT_EQ(report.file_bytes,
                std::filesystem::file_size(folder / "model.safetensors"));
      ExpectSame(*model, *Import(folder));
      options.require_packed = true;
      if (packed == c.packed) continue;
      EXPECT_THAT(ErrorMessage([&] { ExportModel(*model, folder, options); }),
                  HasSubstr("is not held by the layout"));
    }
  }
}

// Norms that are more by one, logarithms, scales, and matrices whose columns
// are rows.
TEST_F(ExportTest, WhatImportingChangedIsUndone) {
  for (const char* source : {"gemma2", "gemma4-nested", "gemma4_moe", "gpt2",
                             "gpt_oss", "lfm2", "qwen3_5"}) {
    SCOPED_TRACE(source);
    LUTRA_REQUIRE_DATA(found, "golden/arch/" + std::string(source));
    const auto model = Import(found);
    ExportModel(*model, dir_ / "folder");
    const auto back = Import(dir_ / "folder");
    ExpectSame(*model, *back);
    ExpectSameTokens(*model, *back);
    const auto chat = ReadChatData(*model);
    const auto other = ReadChatData(*back);
    ASSERT_EQ(chat.has_value(), other.has_value());
    if (chat) {
      EXPECT_EQ(chat->templates, other->templates);
      EXPECT_EQ(chat->tokens, other->tokens);
    }
    std::filesystem::remove_all(dir_ / "folder");
  }
}

// Packed, too: matrices whose columns are rows in a folder become floats.
TEST_F(ExportTest, PackedMatricesThatAreTransposed) {
  PackOptions pack;
  pack.rules = qat::SchemeRules(qat::QuantScheme());
  for (const char* source : {"gpt2", "gpt_oss"}) {
    SCOPED_TRACE(source);
    LUTRA_REQUIRE_DATA(found, "golden/arch/" + std::string(source));
    PackModel(*Import(found), dir_ / source, pack);
    const auto model = Model::Load(dir_ / source);
    const auto folder = dir_ / (std::string(source) + " folder");
    const ExportReport report = ExportModel(*model, folder);
    EXPECT_EQ(report.packed, 0u);
    EXPECT_GE(report.floats, 9u);
    ExpectSame(*model, *Import(folder));
  }
}

// Of texts: how their vectors are made goes along, as a folder and as GGUF.
TEST_F(ExportTest, Encoders) {
  const auto source = dir_ / "source";
  WriteRandomFolder(source, R"({
      "architectures": ["BertModel"], "model_type": "bert", "hidden_size": 32,
      "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 12,
      "num_attention_heads": 2, "max_position_embeddings": 32})");
  WriteText(source / "tokenizer.json", R"({"version": "1.0",
      "added_tokens": [{"id": 0, "content": "[CLS]", "special": true},
                       {"id": 1, "content": "[SEP]", "special": true},
                       {"id": 2, "content": "[UNK]", "special": true}],
      "normalizer": {"type": "BertNormalizer", "lowercase": true,
                     "strip_accents": true, "clean_text": true,
                     "handle_chinese_chars": true},
      "pre_tokenizer": {"type": "BertPreTokenizer"},
      "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 1],
                         "cls": ["[CLS]", 0]},
      "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
      "model": {"type": "WordPiece", "unk_token": "[UNK]",
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": {"[CLS]": 0, "[SEP]": 1, "[UNK]": 2, "hello": 3,
                          "a": 4, "##b": 5, ",": 6, "!": 7, "world": 8,
                          "b": 9, "c": 10, "it": 11}}})");
  WriteText(source / "modules.json", R"([
      {"path": "", "type": "sentence_transformers.models.Transformer"},
      {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
      {"path": "2_Norm", "type": "sentence_transformers.models.Normalize"}])");
  std::filesystem::create_directories(source / "1_Pooling");
  WriteText(source / "1_Pooling" / "config.json",
            R"({"pooling_mode_cls_token": true})");
  const auto model = Import(source);
  ExportModel(*model, dir_ / "folder");
  const auto folder = Import(dir_ / "folder");
  ExpectSameTokens(*model, *folder);
  EXPECT_EQ(Vector(*folder), Vector(*model));
  ExportGguf(*model, dir_ / "model.gguf");
  const auto gguf = Import(dir_ / "model.gguf");
  ExpectSameTokens(*model, *gguf);
  // Programs that read it make vectors of length 1 of these.
  const std::vector<float> unit = Vector(*model);
  const std::vector<float> free = Vector(*gguf);
  double square = 0;
  for (const float x : free) square += double{x} * x;
  for (size_t i = 0; i < free.size(); ++i) {
    EXPECT_NEAR(free[i] / std::sqrt(square), unit[i], 1e-5);
  }
}

// Dense layers behind the pooling, and the last token's vector of length 1.
TEST_F(ExportTest, HeadsOfEncoders) {
  for (const char* source : {"embeddinggemma", "qwen3-embedding"}) {
    SCOPED_TRACE(source);
    LUTRA_REQUIRE_DATA(found, "golden/arch/" + std::string(source));
    const auto model = Import(found);
    const auto folder = dir_ / source;
    ExportModel(*model, folder);
    const auto back = Import(folder);
    ExpectSame(*model, *back);
    EXPECT_EQ(model->graph().nodes.size(), back->graph().nodes.size());
    // Which sentence-transformers wants.
    EXPECT_TRUE(
        ReadJsonFile(folder / "tokenizer_config.json").contains("pad_token"));
    EXPECT_EQ(ReadJsonFile(folder / "modules.json")[1]["name"], "1");
    EXPECT_EQ(Vector(*back), Vector(*model));
    EXPECT_THAT(ErrorMessage([&] { ExportGguf(*model, dir_ / "model.gguf"); }),
                HasSubstr("makes vectors of texts, which GGUF files"));
  }
}

// Experts whose rows are columns in float checkpoints stay MXFP4.
TEST_F(ExportTest, ExpertsOfGptOss) {
  LUTRA_REQUIRE_DATA(found, "golden/checkpoints/gptoss-mxfp4");
  const auto model = Import(found);
  const ExportReport report = ExportModel(*model, dir_ / "folder");
  EXPECT_EQ(report.packed, 2u);
  EXPECT_EQ(report.floats, 0u);
  ExpectSame(*model, *Import(dir_ / "folder"));
  const auto own = SafetensorsFile::Open(found / "model.safetensors");
  const auto other =
      SafetensorsFile::Open(dir_ / "folder" / "model.safetensors");
  for (const TensorView& tensor : own.tensors()) {
    const TensorView* there = other.Find(tensor.name);
    ASSERT_NE(there, nullptr) << tensor.name;
    EXPECT_EQ(there->shape, tensor.shape) << tensor.name;
  }
  EXPECT_THAT(ErrorMessage([&] {
                ExportModel(*model, dir_ / "mlx", {ExportLayout::kMlx});
              }),
              HasSubstr("have a layout of their own"));
}

TEST(TokenizerJsonTest, WhatIsWrittenIsReadAgain) {
  LUTRA_REQUIRE_DATA(folder, "golden/tokenizers");
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto path = entry.path() / "tokenizer.json";
    if (!std::filesystem::exists(path)) continue;
    SCOPED_TRACE(path);
    ++count;
    const TokenizerData data = ReadTokenizerJson(path);
    const auto root =
        nlohmann::json::parse(WriteTokenizerJson(data, path).json);
    const auto tokenizer = Tokenizer::Parse(SerializeTokenizer(data), "a");
    const auto other =
        Tokenizer::Parse(SerializeTokenizer(ReadTokenizerJson(root, "b")), "b");
    const auto samples = ReadJsonFile(entry.path() / "samples.json");
    for (const auto& sample : samples.at("samples")) {
      const auto text = sample.at("text").get<std::string>();
      const auto ids = tokenizer->Encode(text, /*add_special=*/true);
      EXPECT_EQ(other->Encode(text, /*add_special=*/true), ids) << text;
      EXPECT_EQ(other->Decode(ids), tokenizer->Decode(ids)) << text;
    }
  }
  EXPECT_GE(count, 10u);
}

TEST(TokenizerJsonTest, RefusesWhatItHasNoWordsFor) {
  LUTRA_REQUIRE_DATA(path, "golden/tokenizers/llama2/tokenizer.json");
  TokenizerData data = ReadTokenizerJson(path);
  TextStep& step = data.recipe.normalizer.emplace_back();
  step.kind = TextStep::Kind::kCollapse;
  step.from = " ";
  EXPECT_THAT(ErrorMessage([&] { WriteTokenizerJson(data, "m"); }),
              HasSubstr("m: the tokenizer prepares texts in a way that "
                        "tokenizer.json has no words for"));
}

// Columns that quantization had put in another order are in their places.
TEST_F(ExportTest, ColumnsInActivationOrder) {
  LUTRA_REQUIRE_DATA(found, "golden/checkpoints/gptq-v2-4bit-g32-descact");
  const auto model = Import(found);
  ImportOptions floats;
  floats.source = found;
  floats.output = dir_ / "floats";
  floats.dequantize = true;
  ImportModel(floats);
  const auto expected = Model::Load(floats.output);
  for (const ExportLayout layout : {ExportLayout::kFloat, ExportLayout::kMlx}) {
    const ExportReport report =
        ExportModel(*model, dir_ / "folder", {.layout = layout});
    EXPECT_EQ(report.packed, 0u);
    EXPECT_EQ(report.floats, 14u);
    ExpectSame(*expected, *Import(dir_ / "folder"));
  }
  const GgufReport report = ExportGguf(*model, dir_ / "model.gguf");
  EXPECT_EQ(report.floats, 14u);
  ExpectSame(*expected, *Import(dir_ / "model.gguf"));
}

TEST_F(ExportTest, RefusesWhatItCannotGiveBack) {
  LUTRA_REQUIRE_DATA(found, "golden/checkpoints/gguf-q4_0/model.gguf");
  const auto model = Import(found);
  // Without the configuration nothing says what the network is.
  EXPECT_THAT(Refusal(*With(*model, "")), HasSubstr("has no configuration"));
  EXPECT_THAT(ErrorMessage([] { (void)ParseExportLayout("gguf"); }),
              HasSubstr("known: float, compressed-tensors, torchao, mlx"));
}

TEST_F(ExportTest, RefusesTheConfigurationOfAnotherNetwork) {
  const auto source = TestData("golden/checkpoints/gguf-q4_0/model.gguf");
  if (!source) GTEST_SKIP() << "golden/checkpoints absent";
  const auto model = Import(*source);
  const std::string config =
      model->file().metadata().at(std::string(kConfigKey));
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = config;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return With(*model, text.replace(at, from.size(), to));
  };
  ExportModel(*With(*model, config), dir_ / "folder", {ExportLayout::kFloat});
  EXPECT_THAT(Refusal(*replaced(R"("vocab_size":272)", R"("vocab_size":9999)")),
              HasSubstr("'model.embed_tokens.weight': has the shape [272, 64], "
                        "its configuration says [9999, 64]"));
  EXPECT_THAT(Refusal(*replaced(R"("hidden_size":64)", R"("hidden_size":32)")),
              HasSubstr("has the shape"));
  EXPECT_THAT(Refusal(*replaced(R"("num_hidden_layers":2)",
                                R"("num_hidden_layers":1)")),
              HasSubstr("'model.layers.1.input_layernorm.weight': has no place "
                        "in the network of its configuration"));
  EXPECT_THAT(
      Refusal(*replaced(R"("rope_theta":10000.0)", R"("rope_theta":20000.0)")),
      HasSubstr("has other values than its configuration says"));
}

TEST_F(ExportTest, DoesNotReplaceTheModelItself) {
  const auto source = TestData("golden/checkpoints/gguf-q4_0/model.gguf");
  if (!source) GTEST_SKIP() << "golden/checkpoints absent";
  ImportOptions options;
  options.source = *source;
  options.output = dir_ / "model.safetensors";
  ImportModel(options);
  const auto model = Model::Load(options.output);
  EXPECT_THAT(ErrorMessage([&] {
                ExportModel(*model, dir_.path(), {ExportLayout::kFloat});
              }),
              HasSubstr("is the model itself"));
}

}  // namespace
}  // namespace lutra::packer
