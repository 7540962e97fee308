#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/npy_bytes.h"
#include "tests/runtime/raw_file.h"
#include "tests/tools/command.h"
#include "tests/tools/workshop.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr size_t kWidth = Workshop::kClasses;

std::string NpyOf(const std::string& descr, const std::string& shape,
                  const void* data, size_t bytes) {
  return NpyBytes(descr, shape,
                  std::string(static_cast<const char*>(data), bytes));
}

// The floats at the end of a .npy file.
std::vector<float> Values(const std::string& path, size_t count) {
  const std::string bytes = ReadBytes(path);
  std::vector<float> values(count);
  const size_t size = count * sizeof(float);
  EXPECT_GE(bytes.size(), size);
  std::memcpy(values.data(), bytes.data() + bytes.size() - size, size);
  return values;
}

TEST(RunVerbTest, ImagesInNpyOut) {
  const Workshop shop;
  const std::string model = shop / "float.safetensors";
  const std::string output = shop / "y.npy";
  // A batch that does not divide the images.
  EXPECT_EQ(
      OutputOf({"run", model, "-i", shop.data() + "/t10k-images-idx3-ubyte",
                "-o", output, "--batch", "7", "--threads", "1"}),
      "");
  EXPECT_THAT(ReadBytes(output), HasSubstr("(30, 3, )"));
  const std::vector<float> expected =
      shop.Scores(model, kernels::ActivationType::kFloat32);
  const std::vector<float> actual = Values(output, expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], 1e-4f);
  }
}

TEST(RunVerbTest, PackedModelGivesTheSessionsBits) {
  const Workshop shop;
  const std::string packed = shop / "packed.safetensors";
  const std::string output = shop / "y.npy";
  OutputOf({"pack", shop / "float.safetensors", "-o", packed});
  OutputOf({"run", packed, "-i", shop.data() + "/t10k-images-idx3-ubyte", "-o",
            "y=" + output, "--activations", "int8-symmetric"});
  const std::vector<float> expected =
      shop.Scores(packed, kernels::ActivationType::kInt8Symmetric);
  EXPECT_EQ(Values(output, expected.size()), expected);
}

TEST(RunVerbTest, FloatsAndBytesAreTheSamePixels) {
  const Workshop shop;
  std::vector<float> x;
  for (const uint8_t pixel : shop.pixels) {
    x.push_back(static_cast<float>(pixel) / 255.0f);
  }
  WriteBytes(shop / "f.npy",
             NpyOf("<f4", "(30, 16)", x.data(), x.size() * sizeof(float)));
  WriteBytes(shop / "b.npy", NpyOf("|u1", "(30, 4, 4)", shop.pixels.data(),
                                   shop.pixels.size()));
  const std::string model = shop / "float.safetensors";
  const json a = json::parse(
      OutputOf({"run", model, "-i", "x=" + (shop / "f.npy"), "--json"}));
  const json b = json::parse(
      OutputOf({"run", model, "-i", "x=" + (shop / "b.npy"), "--json"}));
  EXPECT_EQ(a, b);
  EXPECT_EQ(a["tokens"], 30);
  const json& values = a["outputs"]["y"]["values"];
  ASSERT_EQ(values.size(), Workshop::kImages);
  ASSERT_EQ(values[0].size(), kWidth);
  const std::vector<float> expected =
      shop.Scores(model, kernels::ActivationType::kFloat32);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(values[i / kWidth][i % kWidth].get<float>(), expected[i],
                1e-4f);
  }
}

TEST(RunVerbTest, OneTokenWithoutItsDimension) {
  const Workshop shop;
  // The first image.
  std::vector<float> x;
  for (size_t i = 0; i < Workshop::kFeatures; ++i) {
    x.push_back(static_cast<float>(shop.pixels[i]) / 255.0f);
  }
  WriteBytes(shop / "x.npy",
             NpyOf("<f4", "(16,)", x.data(), x.size() * sizeof(float)));
  const std::string model = shop / "float.safetensors";
  const json result =
      json::parse(OutputOf({"run", model, "-i", shop / "x.npy", "--json"}));
  EXPECT_EQ(result["tokens"], 1);
  const json& values = result["outputs"]["y"]["values"];
  ASSERT_EQ(values.size(), 1u);
  ASSERT_EQ(values[0].size(), kWidth);
  const std::vector<float> expected =
      shop.Scores(model, kernels::ActivationType::kFloat32);
  for (size_t i = 0; i < kWidth; ++i) {
    EXPECT_NEAR(values[0][i].get<float>(), expected[i], 1e-4f);
  }
}

TEST(RunVerbTest, IdsAndLimitAndTable) {
  const Workshop shop;
  const std::vector<int32_t> ids = {3, 0, 31, 7};
  WriteBytes(shop / "ids.npy",
             NpyOf("<i4", "(4,)", ids.data(), ids.size() * sizeof(int32_t)));
  const std::string model = shop / "ids.safetensors";
  const json result = json::parse(OutputOf(
      {"run", model, "-i", shop / "ids.npy", "--limit", "3", "--json"}));
  EXPECT_EQ(result["tokens"], 3);
  // The table gives the embedding and the output: y[j] is the product of the
  // rows of the id and of j.
  const std::vector<float> table = RandomFloats(32 * 16, 4);
  const json& values = result["outputs"]["y"]["values"];
  ASSERT_EQ(values.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(values[i].size(), 32u);
    for (size_t j = 0; j < 32; ++j) {
      float sum = 0;
      for (size_t k = 0; k < 16; ++k) {
        sum += table[static_cast<size_t>(ids[i]) * 16 + k] * table[j * 16 + k];
      }
      EXPECT_NEAR(values[i][j].get<float>(), sum, 1e-4f) << i << " " << j;
    }
  }
  const std::string text =
      OutputOf({"run", model, "-i", "ids=" + (shop / "ids.npy")});
  EXPECT_THAT(text, AllOf(HasSubstr("largest of y"), HasSubstr(" ...")));
  // Header, rule and a line for each token.
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6);
  // NumPy's own whole numbers.
  const std::vector<int64_t> wide(ids.begin(), ids.end());
  WriteBytes(shop / "wide.npy",
             NpyOf("<i8", "(4,)", wide.data(), wide.size() * sizeof(int64_t)));
  EXPECT_EQ(OutputOf({"run", model, "-i", "ids=" + (shop / "wide.npy")}), text);
  const int64_t far = int64_t{1} << 32;
  WriteBytes(shop / "far.npy", NpyOf("<i8", "(1,)", &far, sizeof(far)));
  EXPECT_THAT(RunLutra({"run", model, "-i", shop / "far.npy"}).err,
              HasSubstr("far.npy: holds 4294967296, which is no id"));
}

TEST(RunVerbTest, IdOutOfRangeIsAnError) {
  const Workshop shop;
  const int32_t id = 32;
  WriteBytes(shop / "ids.npy", NpyOf("<i4", "(1,)", &id, sizeof(id)));
  const Outcome outcome =
      RunLutra({"run", shop / "ids.safetensors", "-i", shop / "ids.npy"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err,
              AllOf(StartsWith("lutra: error: "), HasSubstr("32")));
}

}  // namespace
}  // namespace lutra::tools
