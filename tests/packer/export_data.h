#ifndef LUTRA_TESTS_PACKER_EXPORT_DATA_H_
#define LUTRA_TESTS_PACKER_EXPORT_DATA_H_

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/base/half.h"
#include "lutra/packer/import.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/tokenizer.h"
#include "packer/architectures/architecture.h"
#include "packer/weights/compare.h"
#include "packer/weights/row_source.h"
#include "runtime/base/json_object.h"
#include "tests/packer/import_data.h"
#include "tests/temp_dir.h"

namespace lutra::packer {

// Imports what was exported.
class ExportFixture : public ::testing::Test {
 protected:
  std::shared_ptr<const Model> Import(const std::filesystem::path& source) {
    ImportOptions options;
    options.source = source;
    options.output = dir_ / ("model" + std::to_string(++models_));
    ImportModel(options);
    return Model::Load(options.output);
  }

  // What is computed of metadata, which may be rounded to float32.
  static void ExpectNear(Span<const float> a, Span<const float> b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_NEAR(a[i], b[i], 2e-5f * (1 + std::abs(a[i])));
    }
  }

  // Every tensor of one model is in the other, with the same values.
  static void ExpectSame(const Model& a, const Model& b) {
    for (const TensorView& tensor : a.file().tensors()) {
      if (tensor.name == kTokenizerTensor) continue;
      ASSERT_NE(b.file().Find(tensor.name), nullptr) << tensor.name;
      if (tensor.name.starts_with("lutra.")) {
        ExpectNear(tensor.Floats("a"), b.file().Get(tensor.name).Floats("b"));
        continue;
      }
      const auto difference = Compare(RowSource::Of(a, tensor.name),
                                      RowSource::Of(b, tensor.name), nullptr);
      EXPECT_FALSE(difference.first.has_value()) << tensor.name;
    }
  }

  // Texts become the same tokens.
  static void ExpectSameTokens(const Model& a, const Model& b) {
    const auto tokenizer = Tokenizer::FromModel(a);
    const auto other = Tokenizer::FromModel(b);
    ASSERT_NE(tokenizer, nullptr);
    ASSERT_NE(other, nullptr);
    for (const char* text :
         {"", "Hello, world! It's 2024.", "a  b\n\n\tc  ", "<|endoftext|> <s>x",
          "\xC3\xA9t\xC3\xA9 \xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x98\x80"}) {
      const auto ids = tokenizer->Encode(text, /*add_special=*/true);
      EXPECT_EQ(other->Encode(text, /*add_special=*/true), ids) << text;
      EXPECT_EQ(other->Decode(ids), tokenizer->Decode(ids)) << text;
    }
    EXPECT_EQ(std::vector<int32_t>(tokenizer->ends().begin(),
                                   tokenizer->ends().end()),
              std::vector<int32_t>(other->ends().begin(), other->ends().end()));
  }

  TempDir dir_;
  int models_ = 0;
};

// A folder with random weights of the network that a configuration describes.
inline void WriteRandomFolder(const std::filesystem::path& folder,
                              const std::string& text) {
  std::filesystem::create_directories(folder);
  WriteText(folder / "config.json", text);
  const auto document = nlohmann::json::parse(text);
  std::map<std::string, TensorInfo> infos;
  for (const NetworkTensor& tensor :
       BuildNetwork(JsonObject(document, "test", "config")).tensors) {
    for (const TensorPart& part : tensor.parts) {
      infos[part.name] = {part.name, DType::kBFloat16, part.stored};
    }
    if (tensor.added.name.empty()) continue;
    infos[tensor.added.name] = {tensor.added.name, DType::kBFloat16,
                                tensor.added.stored};
  }
  std::vector<TensorInfo> all;
  for (const auto& [name, info] : infos) all.push_back(info);
  SafetensorsWriter writer(folder / "model.safetensors", {}, all);
  std::mt19937 random(1);
  for (const TensorInfo& info : all) {
    std::vector<uint16_t> values(info.ElementCount());
    for (uint16_t& value : values) {
      value = BFloat16FromFloat(
          std::uniform_real_distribution<float>(-0.3f, 0.3f)(random));
    }
    writer.Write(info.name, std::as_bytes(std::span(values)));
  }
  writer.Commit();
}

}  // namespace lutra::packer

#endif  // LUTRA_TESTS_PACKER_EXPORT_DATA_H_
