#include "lutra/packer/tune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/packer/pack.h"
#include "lutra/packer/verify.h"
#include "tests/kernels/random_matrix.h"
#include "tests/packer/texts.h"
#include "tests/packer/two_layers.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

class TuneTest : public ::testing::Test {
 protected:
  TuneTest() {
    TinyLanguage{}.Build().Write(dir_ / "float");
    float_ = Model::Load(dir_ / "float");
    PackOptions pack;
    pack.rules = qat::SchemeRules(
        qat::QuantScheme{"kmeans-row", 2, 16, qat::ScaleType::kFloat16});
    pack.rules.AddRule("op:embedding=bits:8,quantizer:absmax");
    PackModel(*float_, dir_ / "packed", pack);
    packed_ = Model::Load(dir_ / "packed");
    options_.steps = 40;
    options_.batch_size = 4;
    options_.learning_rate = 0.02;
  }

  const TempDir dir_;
  std::shared_ptr<const Model> float_;
  std::shared_ptr<const Model> packed_;
  const qat::TextSamples texts_ = Texts(0, 16);
  qat::ScaleTunerOptions options_;
};

TEST_F(TuneTest, ComesNearerAndChangesScalesAndGainsOnly) {
  int64_t last = 0;
  const TuneReport report =
      TuneModel(*packed_, *float_, texts_, options_, dir_ / "tuned",
                [&](int64_t step, double loss) {
                  EXPECT_EQ(step, ++last);
                  EXPECT_GT(loss, 0);
                });
  EXPECT_EQ(last, options_.steps);
  EXPECT_LT(report.last_loss, 0.9 * report.first_loss);
  EXPECT_EQ(report.gains, 32u);
  EXPECT_GT(report.scales, 100u);
  EXPECT_GT(report.memory, 0u);

  const auto tuned = Model::Load(dir_ / "tuned");
  EXPECT_EQ(report.file_bytes, tuned->file().byte_size());
  size_t changed = 0;
  for (const TensorView& tensor : packed_->file().tensors()) {
    const kernels::LutMatrix* before = packed_->packed(tensor.name);
    if (before == nullptr) continue;
    const kernels::LutMatrix* after = tuned->packed(tensor.name);
    ASSERT_NE(after, nullptr);
    const size_t n = before->format.n;
    const size_t entries =
        before->format.HasTable() ? n * before->format.TableEntries() : 1;
    std::vector<uint8_t> indices[2];
    std::vector<float> scales[2];
    std::vector<int8_t> tables[2];
    for (int i = 0; i < 2; ++i) {
      indices[i].resize(n * before->format.k);
      scales[i].resize(n * before->format.GroupsPerRow());
      tables[i].resize(entries);
      kernels::UnpackLutMatrix(i == 0 ? *before : *after, indices[i].data(),
                               scales[i].data(), nullptr, tables[i].data());
    }
    EXPECT_EQ(indices[0], indices[1]);
    EXPECT_EQ(tables[0], tables[1]);
    if (scales[0] != scales[1]) ++changed;
  }
  EXPECT_GT(changed, 5u);
  EXPECT_EQ(VerifyModel(*tuned, {}).problem_count, 0u);

  const auto team = StartThreadTeam(3);
  options_.executor = team.get();
  TuneModel(*packed_, *float_, texts_, options_, dir_ / "threads");
  EXPECT_EQ(ReadBytes(dir_ / "tuned"), ReadBytes(dir_ / "threads"));
}

// Scales of two levels may grow beyond the largest number of the old ones.
TEST_F(TuneTest, SuperScalesGrow) {
  constexpr uint32_t kRows = 48;
  constexpr uint32_t kColumns = 32;
  const kernels::LutFormat format{.n = kRows,
                                  .k = kColumns,
                                  .bits = 2,
                                  .group_size = 16,
                                  .scale_type = kernels::ScaleType::kInt8,
                                  .super_span = kernels::SuperSpan::kRow,
                                  .super_type = kernels::ScaleType::kFloat16};
  std::vector<uint8_t> indices(kRows * kColumns);
  for (size_t i = 0; i < indices.size(); ++i) {
    indices[i] = static_cast<uint8_t>(i * 7 / 3 % 4);
  }
  const std::vector<float> scales(kRows * 2, 127 * 0x1p-10f);
  const std::vector<float> supers(kRows, 0x1p-10f);
  const std::vector<int8_t> table = {-3, -1, 1, 3};
  const kernels::AlignedBytes blob =
      kernels::AllocateAligned(kernels::BlobBytes(format));
  kernels::PackLutMatrix(format,
                         {.indices = indices.data(),
                          .scales = scales.data(),
                          .super_scales = supers.data(),
                          .tables = table.data()},
                         blob.get());
  TinyLanguage{}
      .Build()
      .Packed("up", {blob.get(), kernels::BlobBytes(format)})
      .Write(dir_ / "two levels");
  std::vector<float> larger(indices.size());
  for (size_t i = 0; i < larger.size(); ++i) {
    larger[i] = 2 * scales[0] * static_cast<float>(table[indices[i]]);
  }
  TinyLanguage{}
      .Build()
      .Floats("up", {kRows, kColumns}, larger)
      .Write(dir_ / "larger");
  TuneModel(*Model::Load(dir_ / "two levels"), *Model::Load(dir_ / "larger"),
            texts_, options_, dir_ / "tuned");
  const auto tuned = Model::Load(dir_ / "tuned");
  std::vector<float> after(scales.size());
  kernels::UnpackLutMatrix(*tuned->packed("up"), nullptr, after.data(), nullptr,
                           nullptr);
  EXPECT_GT(*std::max_element(after.begin(), after.end()), 1.2f * scales[0]);
}

// Each option matters.
TEST_F(TuneTest, Options) {
  std::map<std::string, std::string> files;
  const auto tune = [&](const std::string& name,
                        qat::ScaleTunerOptions options) {
    TuneModel(*packed_, *float_, texts_, options, dir_ / "t");
    const auto bytes = ReadBytes(dir_ / "t");
    for (const auto& [other, file] : files) {
      EXPECT_NE(bytes, file) << name << " as " << other;
    }
    files[name] = bytes;
  };
  options_.steps = 5;
  tune("all", options_);
  auto other = options_;
  other.steps = 6;
  tune("steps", other);
  other = options_;
  other.batch_size = 3;
  tune("batch", other);
  other = options_;
  other.learning_rate = 0.01;
  tune("rate", other);
  other = options_;
  other.clip = 1e-9;
  tune("clip", other);
  other = options_;
  other.seed = 2;
  tune("seed", other);
}

TEST_F(TuneTest, Refusals) {
  const auto refusal = [&](const Model& packed, const Model& reference) {
    return ErrorMessage(
        [&] { TuneModel(packed, reference, texts_, options_, dir_ / "out"); });
  };
  EXPECT_THAT(refusal(*float_, *float_), HasSubstr("no packed weights"));
  EXPECT_THAT(refusal(*packed_, *packed_), HasSubstr("must be float"));
  ModelBuilder()
      .Input("x", {16})
      .Add(OpType::kLinear, {"x"}, "y", "w")
      .Output("y")
      .Floats("w", {1, 16}, RandomFloats(16, 1))
      .Write(dir_ / "one");
  const auto one = Model::Load(dir_ / "one");
  PackOptions pack;
  pack.rules = qat::SchemeRules(qat::QuantScheme{"mse", 2, 16});
  PackModel(*one, dir_ / "one.packed", pack);
  EXPECT_THAT(refusal(*Model::Load(dir_ / "one.packed"), *one),
              HasSubstr("one: has one output, of which there are no"));
  const TwoLayers layers;
  EXPECT_THAT(refusal(*packed_, *layers.Load(dir_ / "two")),
              HasSubstr("has outputs of 5 values"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "out"));
}

}  // namespace
}  // namespace lutra::packer
