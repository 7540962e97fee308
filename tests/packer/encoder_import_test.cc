// Folders of sentence-transformers, made here: what becomes of their modules,
// and what is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "lutra/packer/import.h"
#include "lutra/runtime/safetensors.h"
#include "lutra/runtime/text_encoder.h"
#include "packer/architectures/architecture.h"
#include "tests/packer/import_data.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kMean = R"({"pooling_mode_mean_tokens": true})";
constexpr const char* kFirst = R"({"pooling_mode_cls_token": true})";

class EncoderImportTest : public ::testing::Test {
 protected:
  EncoderImportTest() {
    config_ = json::parse(R"({
        "architectures": ["BertModel"], "model_type": "bert",
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 32,
        "vocab_size": 40})");
    const Network network =
        BuildNetwork(JsonObject(config_, "config.json", "config"));
    for (const NetworkTensor& tensor : network.tensors) {
      for (const TensorPart& part : tensor.parts) {
        shapes_[part.name] = part.stored;
      }
      if (!tensor.added.name.empty()) {
        shapes_[tensor.added.name] = tensor.added.stored;
      }
    }
    fs::create_directories(source_ / "1_Pooling");
    WriteText(source_ / "config.json", config_.dump());
    WriteText(source_ / "1_Pooling" / "config.json", kMean);
  }

  // Modules, each with the folder of its number.
  void WriteModules(const std::vector<std::string>& types) {
    json modules = json::array();
    for (const std::string& type : types) {
      const std::string path =
          type == "Transformer"
              ? ""
              : std::to_string(modules.size()).append("_").append(type);
      modules.push_back(
          {{"path", path}, {"type", "sentence_transformers.models." + type}});
    }
    WriteText(source_ / "modules.json", modules.dump());
  }

  std::vector<float> Vector() {
    std::vector<TensorInfo> infos;
    for (const auto& [name, shape] : shapes_) {
      TensorInfo info;
      info.name = name;
      info.dtype = DType::kFloat32;
      info.shape = shape;
      infos.push_back(std::move(info));
    }
    SafetensorsWriter writer(source_ / "model.safetensors", {}, infos);
    std::mt19937 rng(1);
    // Small enough that a token's state is still mostly its own.
    std::uniform_real_distribution<float> uniform(-0.3f, 0.3f);
    for (const TensorInfo& info : infos) {
      std::vector<float> values(info.ElementCount());
      for (float& value : values) value = uniform(rng);
      writer.Write(info.name, std::as_bytes(std::span(values)));
    }
    writer.Commit();
    ImportModel({.source = source_, .output = dir_ / "m.safetensors"});
    TextEncoder encoder(Model::Load(dir_ / "m.safetensors"),
                        {.threads = 1, .cache = CacheType::kFloat32});
    return encoder.Encode(std::vector<int32_t>{3, 17, 39, 5});
  }

  std::string Refusal() {
    return ErrorMessage([&] { Vector(); });
  }

  TempDir dir_;
  const fs::path source_ = dir_ / "source";
  json config_;
  std::map<std::string, std::vector<int64_t>> shapes_;
};

double Length(const std::vector<float>& vector) {
  double squares = 0;
  for (const double value : vector) squares += value * value;
  return std::sqrt(squares);
}

TEST_F(EncoderImportTest, ModulesMakeTheVector) {
  WriteModules({"Transformer", "Pooling"});
  const auto mean = Vector();
  EXPECT_GT(std::abs(Length(mean) - 1), 0.1);
  WriteModules({"Transformer", "Pooling", "Normalize"});
  const auto unit = Vector();
  EXPECT_NEAR(Length(unit), 1, 1e-5);
  for (size_t i = 0; i < mean.size(); ++i) {
    EXPECT_NEAR(unit[i], mean[i] / Length(mean), 1e-5);
  }
  WriteText(source_ / "1_Pooling" / "config.json", kFirst);
  const auto first = Vector();
  double product = 0;
  for (size_t i = 0; i < unit.size(); ++i) product += unit[i] * first[i];
  // Rounding alone would leave 1e-7.
  EXPECT_LT(product, 1 - 1e-5);
  // A folder that does not say is one of means.
  fs::remove(source_ / "modules.json");
  EXPECT_EQ(Vector(), unit);
}

TEST_F(EncoderImportTest, ModulesOfAnotherOrderAreRefused) {
  const char* const kPlace = "is not supported in this place";
  WriteModules({"Transformer", "Pooling", "Normalize", "Dense"});
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("models.Dense'"), HasSubstr(kPlace)));
  WriteModules({"Transformer", "Normalize", "Pooling"});
  EXPECT_THAT(Refusal(), HasSubstr(kPlace));
  WriteModules({"Transformer", "Pooling", "Pooling"});
  EXPECT_THAT(Refusal(), HasSubstr(kPlace));
  WriteModules({"Transformer"});
  EXPECT_THAT(Refusal(), HasSubstr("no module pools"));
  WriteModules({"Transformer", "WordWeights"});
  EXPECT_THAT(Refusal(), HasSubstr("models.WordWeights' is not supported"));
}

TEST_F(EncoderImportTest, RefusalsNameTheModulesFile) {
  WriteModules({"Transformer", "Pooling"});
  WriteText(source_ / "1_Pooling" / "config.json",
            R"({"pooling_mode_max_tokens": true})");
  EXPECT_THAT(Refusal(),
              AllOf(HasSubstr("1_Pooling/config.json"),
                    HasSubstr("'pooling_mode_max_tokens' is not supported")));
  WriteText(source_ / "modules.json",
            R"([{"path": "../1_Pooling", "type": "a.Pooling"}])");
  EXPECT_THAT(Refusal(), HasSubstr("is not the name of a folder"));
}

// A part of the network that would be left out.
TEST_F(EncoderImportTest, TensorWithoutPlaceIsNamed) {
  shapes_["bert.encoder.layer.0.attention.gate.weight"] = {16, 16};
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("attention.gate.weight"),
                               HasSubstr("has no place in a BertModel")));
}

}  // namespace
}  // namespace lutra::packer
