#include "lutra/packer/rotate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/runtime/language_model.h"
#include "packer/rewrite/orthogonal.h"
#include "tests/packer/logits.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kVocabulary = 11;
constexpr int64_t kTurnedWidth = 24;
constexpr int64_t kTurnedHidden = 40;

// A block with biases and gains of its own, whose output matrix is not the
// embedding.
ModelBuilder Untied(OpType norm = OpType::kRmsNorm) {
  ModelBuilder builder;
  uint32_t seed = 1;
  const auto weight = [&](const std::string& name, std::vector<int64_t> shape) {
    size_t count = 1;
    for (const int64_t d : shape) count *= static_cast<size_t>(d);
    std::vector<float> values = RandomFloats(count, ++seed);
    for (float& value : values) {
      value = shape.size() == 1 ? 1 + value / 2 : value / 4;
    }
    builder.Floats(name, shape, values);
  };
  const auto linear = [&](const std::string& in, const std::string& out,
                          const std::string& name, int64_t n, int64_t k) {
    builder.Add(OpType::kLinear, {in}, out, name, name + ".bias");
    weight(name, {n, k});
    weight(name + ".bias", {n});
  };
  const auto add_norm = [&](const std::string& in, const std::string& out) {
    builder.Add(norm, {in}, out, out + ".gain").Set("eps", 1e-5);
    weight(out + ".gain", {kTurnedWidth});
  };
  builder.Input("ids", {}, ValueType::kInt32)
      .Add(OpType::kEmbedding, {"ids"}, "x", "embedding");
  weight("embedding", {kVocabulary, kTurnedWidth});
  add_norm("x", "n0");
  linear("n0", "q", "wq", kTurnedWidth, kTurnedWidth);
  linear("n0", "k", "wk", kTurnedWidth / 3, kTurnedWidth);
  linear("n0", "v", "wv", kTurnedWidth / 3, kTurnedWidth);
  builder.Add(OpType::kAttention, {"q", "k", "v"}, "a")
      .Set("heads", 3.0)
      .Set("kv_heads", 1.0);
  linear("a", "o", "wo", kTurnedWidth, kTurnedWidth);
  builder.Add(OpType::kAdd, {"x", "o"}, "h");
  add_norm("h", "n1");
  linear("n1", "u", "wu", kTurnedHidden, kTurnedWidth);
  builder.Add(OpType::kSilu, {"u"}, "s");
  linear("s", "d", "wd", kTurnedWidth, kTurnedHidden);
  builder.Add(OpType::kAdd, {"h", "d"}, "y");
  add_norm("y", "n2");
  linear("n2", "logits", "head", kVocabulary, kTurnedWidth);
  builder.Output("logits").Metadata(kContextLengthKey, "32");
  return builder;
}

void ExpectSameFunction(const std::filesystem::path& a,
                        const std::filesystem::path& b) {
  const std::vector<float> expected = Logits(a);
  const std::vector<float> found = Logits(b);
  ASSERT_EQ(expected.size(), found.size());
  double largest = 0;
  for (const float value : expected) {
    largest = std::max(largest, std::abs(double{value}));
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], 2e-5 * largest);
  }
}

TEST(RotateTest, RotationsAreOrthogonal) {
  for (const size_t n : {1u, 2u, 3u, 8u, 24u, 45u}) {
    const std::vector<float> q = RandomRotation(n, 7);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        double product = 0;
        for (size_t k = 0; k < n; ++k) {
          product += double{q[i * n + k]} * q[j * n + k];
        }
        EXPECT_NEAR(product, i == j ? 1 : 0, 1e-6);
      }
    }
    EXPECT_EQ(q, RandomRotation(n, 7));
    EXPECT_EQ(q == RandomRotation(n, 8), n == 1);
  }
  // Hadamard's: no entry is larger than others.
  for (const float value : RandomRotation(16, 1)) {
    EXPECT_FLOAT_EQ(std::abs(value), 0.25f);
  }
}

TEST(RotateTest, SameFunctionOtherWeights) {
  const TempDir dir;
  Untied().Write(dir / "m");
  const auto model = Model::Load(dir / "m");
  const RotateReport report = RotateModel(*model, dir / "r", {});
  EXPECT_EQ(report.width, static_cast<size_t>(kTurnedWidth));
  EXPECT_EQ(report.layers, 8u);
  EXPECT_EQ(report.heads, 1u);
  EXPECT_FALSE(report.tied);
  ExpectSameFunction(dir / "m", dir / "r");
  const auto rotated = Model::Load(dir / "r");
  for (const char* const name :
       {"embedding", "wq", "wk", "wv", "wo", "wu", "wd", "head", "wv.bias",
        "wo.bias", "wd.bias"}) {
    EXPECT_NE(std::vector<float>(model->file().Get(name).Floats("").begin(),
                                 model->file().Get(name).Floats("").end()),
              std::vector<float>(rotated->file().Get(name).Floats("").begin(),
                                 rotated->file().Get(name).Floats("").end()))
        << name;
  }
  for (const float gain : rotated->file().Get("n1.gain").Floats("")) {
    EXPECT_EQ(gain, 1.0f);
  }
  const auto team = StartThreadTeam(3);
  RotateModel(*model, dir / "threads", {.executor = team.get()});
  EXPECT_EQ(ReadBytes(dir / "r"), ReadBytes(dir / "threads"));
  RotateModel(*model, dir / "seed", {.seed = 2});
  EXPECT_NE(ReadBytes(dir / "r"), ReadBytes(dir / "seed"));
}

TEST(RotateTest, TiedEmbeddingStays) {
  const TempDir dir;
  TinyLanguage{}.Build().Write(dir / "m");
  const auto model = Model::Load(dir / "m");
  const RotateReport report = RotateModel(*model, dir / "r", {});
  EXPECT_TRUE(report.tied);
  ExpectSameFunction(dir / "m", dir / "r");
  const auto rotated = Model::Load(dir / "r");
  const auto bytes = [](const TensorView& tensor) {
    return std::vector<std::byte>(tensor.data.begin(), tensor.data.end());
  };
  EXPECT_EQ(bytes(rotated->file().Get("embedding")),
            bytes(model->file().Get("embedding")));
  EXPECT_NE(rotated->file().Find(kRotationIn), nullptr);
  EXPECT_NE(rotated->file().Find(kRotationOut), nullptr);
}

TEST(RotateTest, Refusals) {
  const TempDir dir;
  const auto refusal = [&](const ModelBuilder& builder) {
    builder.Write(dir / "m");
    return ErrorMessage(
        [&] { RotateModel(*Model::Load(dir / "m"), dir / "r", {}); });
  };
  EXPECT_THAT(refusal(Untied(OpType::kLayerNorm)),
              HasSubstr("only RMS norms may read"));
  EXPECT_THAT(refusal(TinyLanguage{.packed = true}.Build()),
              HasSubstr("its weight is packed"));
  ModelBuilder scaled = Untied();
  scaled.Add(OpType::kMul, {"x", "o"}, "product").Output("product");
  EXPECT_THAT(refusal(scaled), HasSubstr("only RMS norms may read"));
  ModelBuilder read = Untied();
  read.Add(OpType::kSilu, {"n1"}, "extra").Output("extra");
  EXPECT_THAT(refusal(read), HasSubstr("it reads a norm of the stream"));
  ModelBuilder parts = Untied();
  parts.Floats("n1.gain", {8}, RandomFloats(8, 1));
  EXPECT_THAT(refusal(parts), HasSubstr("it is over parts"));
  ModelBuilder output = Untied();
  output.Output("h");
  EXPECT_THAT(refusal(output), HasSubstr("'h' is an output"));
  ModelBuilder no_stream;
  no_stream.Input("x", {16})
      .Add(OpType::kLinear, {"x"}, "y", "w")
      .Output("y")
      .Floats("w", {16, 16}, std::vector<float>(256, 1.0f));
  EXPECT_THAT(refusal(no_stream), HasSubstr("it has no embedding"));
  EXPECT_FALSE(std::filesystem::exists(dir / "r"));
}

}  // namespace
}  // namespace lutra::packer
