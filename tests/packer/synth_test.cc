#include "lutra/packer/synth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/packer/weights.h"
#include "lutra/runtime/session.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

SynthOptions Small() {
  SynthOptions options = FindArchitecture("tinyllama-1.1b");
  options.vocab = 300;
  options.dim = 128;
  options.hidden = 352;
  options.layers = 3;
  options.heads = 4;
  options.kv_heads = 2;
  options.head_dim = 32;
  options.context = 64;
  options.rules = qat::SchemeRules({"stretched", 2, 64});
  return options;
}

std::vector<float> LogitsOf(const std::filesystem::path& path, size_t tokens) {
  const auto model = Model::Load(path);
  ProgramOptions options;
  options.threads = 1;
  Session session(model, options);
  std::vector<int32_t> ids(tokens);
  for (size_t i = 0; i < tokens; ++i)
    ids[i] = static_cast<int32_t>(i * 37 % 300);
  std::vector<float> logits(tokens * 300);
  const void* const inputs[] = {ids.data()};
  float* const outputs[] = {logits.data()};
  session.Run(tokens, inputs, outputs);
  return logits;
}

// The numbers of the models' own pages and index files.
TEST(SynthTest, ArchitecturesHaveTheirParameters) {
  const std::pair<const char*, size_t> kCounts[] = {
      {"stories260k", 260032},      {"smollm-135m", 134515008},
      {"smollm-360m", 361821120},   {"qwen2-0.5b", 494032768},
      {"qwen2-1.5b", 1543714304},   {"tinyllama-1.1b", 1100048384},
      {"llama-3.2-1b", 1235814400}, {"llama-3.2-3b", 3212749824},
      {"llama-2-7b", 6738415616},   {"mistral-7b", 7241732096},
      {"llama-3-8b", 8030261248}};
  for (const auto& [name, count] : kCounts) {
    EXPECT_EQ(ParameterCount(FindArchitecture(name)), count) << name;
  }
  EXPECT_EQ(ArchitectureNames().size(), std::size(kCounts));
  EXPECT_THAT(ErrorMessage([] { FindArchitecture("tinylama-1.1b"); }),
              HasSubstr("did you mean 'tinyllama-1.1b'?"));
}

TEST(SynthTest, RunsWithSaneLogits) {
  for (const qat::QuantScheme& scheme :
       {qat::QuantScheme{"stretched", 2, 64},
        {"ternary", 0, 32},
        {"intx", 8, 0},
        {"kmeans-row", 4, 32},
        {"lsbq", 3, 0},
        {"stretched", 1, 16, qat::ScaleType::kFloat16},
        {"stretched", 2, 64, qat::ScaleType::kTwoLevels},
        {"stretched", 4, 32, qat::ScaleType::kPowerOfTwo},
        {"mse-asymmetric", 4, 32}}) {
    const TempDir dir;
    SynthOptions options = Small();
    options.rules = qat::SchemeRules(scheme);
    const SynthReport report = SynthesizeModel(dir / "m.safetensors", options);
    EXPECT_EQ(report.file_bytes,
              std::filesystem::file_size(dir / "m.safetensors"));
    const std::vector<float> logits = LogitsOf(dir / "m.safetensors", 40);
    double squares = 0;
    for (const float logit : logits) {
      ASSERT_TRUE(std::isfinite(logit)) << qat::ToString(scheme);
      squares += double{logit} * logit;
    }
    const double deviation =
        std::sqrt(squares / static_cast<double>(logits.size()));
    EXPECT_GT(deviation, 0.3) << qat::ToString(scheme);
    EXPECT_LT(deviation, 3.0) << qat::ToString(scheme);
  }
}

TEST(SynthTest, FloatWeightsHaveTheTypeAskedFor) {
  for (const DType dtype :
       {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    const TempDir dir;
    SynthOptions options = Small();
    options.dtype = dtype;
    options.tied = true;
    options.query_key_value_bias = true;
    options.rules.AddExclusion(".");
    SynthesizeModel(dir / "m.safetensors", options);
    const auto model = Model::Load(dir / "m.safetensors");
    for (const Weight& weight : Weights(*model)) {
      EXPECT_EQ(weight.dtype, dtype) << weight.name;
    }
    EXPECT_EQ(model->file().Find("lm_head.weight"), nullptr);
    for (const float logit : LogitsOf(dir / "m.safetensors", 8)) {
      ASSERT_TRUE(std::isfinite(logit));
      ASSERT_LT(std::abs(logit), 30);
    }
  }
}

TEST(SynthTest, BytesDependOnTheSeedAlone) {
  const TempDir dir;
  SynthOptions options = Small();
  SynthesizeModel(dir / "a.safetensors", options);
  const std::unique_ptr<Executor> executor = StartThreadTeam(3);
  options.executor = executor.get();
  SynthesizeModel(dir / "b.safetensors", options);
  options.seed = 1;
  SynthesizeModel(dir / "c.safetensors", options);
  const std::string a = ReadBytes(dir / "a.safetensors");
  EXPECT_TRUE(a == ReadBytes(dir / "b.safetensors"));
  EXPECT_FALSE(a == ReadBytes(dir / "c.safetensors"));
}

TEST(SynthTest, ImpossibleShapesAreRefused) {
  const TempDir dir;
  const auto failure = [&dir](auto change) {
    SynthOptions options = Small();
    change(options);
    return ErrorMessage(
        [&] { SynthesizeModel(dir / "m.safetensors", options); });
  };
  EXPECT_THAT(failure([](SynthOptions& o) { o.kv_heads = 3; }),
              HasSubstr("multiple of the key/value heads"));
  EXPECT_THAT(failure([](SynthOptions& o) { o.head_dim = 31; }),
              HasSubstr("must be even"));
  EXPECT_THAT(failure([](SynthOptions& o) { o.layers = 0; }),
              HasSubstr("layers"));
  EXPECT_THAT(failure([](SynthOptions& o) { o.dim = int64_t{1} << 40; }),
              HasSubstr("2^30"));
  EXPECT_THAT(failure([](SynthOptions& o) {
                o.rules = qat::SchemeRules({"stretched", 2, 17});
              }),
              HasSubstr("multiple of 16"));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace lutra::packer
