#include "lutra/packer/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "lutra/packer/diff.h"
#include "lutra/packer/pack.h"
#include "lutra/runtime/error.h"
#include "tests/packer/two_layers.h"
#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// float.safetensors and packed.safetensors of it, with fc2 left float.
class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() {
    source_ = layers_.Load(dir_ / "float.safetensors");
    PackOptions options;
    options.rules = qat::SchemeRules({"stretched", 2, 16});
    options.rules.AddExclusion("fc2");
    PackModel(*source_, Packed(), options);
  }

  std::filesystem::path Packed() const { return dir_ / "packed.safetensors"; }

  // Replaces bytes of tensor `name` in the packed file.
  void Overwrite(std::string_view name, size_t offset, std::string_view with) {
    std::string bytes = ReadBytes(Packed());
    const SafetensorsFile file = SafetensorsFile::Open(Packed());
    const auto data = file.Get(name).data;
    const std::string part(reinterpret_cast<const char*>(data.data()),
                           data.size());
    const size_t at = bytes.find(part);
    ASSERT_NE(at, std::string::npos);
    bytes.replace(at + offset, with.size(), with);
    WriteBytes(Packed(), bytes);
  }

  VerifyReport Verify(const VerifyOptions& options = {}) const {
    return VerifyModel(*Model::Load(Packed()), options);
  }
  VerifyReport VerifyAgainst(const Model& model) const {
    VerifyOptions options;
    options.against = &model;
    return Verify(options);
  }
  // Of fc1.weight.
  static const TensorVerdict& Verdict(const VerifyReport& report) {
    for (const TensorVerdict& tensor : report.tensors) {
      if (tensor.name == "fc1.weight") return tensor;
    }
    throw std::logic_error("no fc1.weight");
  }

  const TempDir dir_;
  TwoLayers layers_;
  std::shared_ptr<const Model> source_;
};

std::string FloatBytes(float value) {
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

TEST_F(VerifyTest, SoundModel) {
  const VerifyReport report = Verify();
  EXPECT_EQ(report.problem_count, 0u);
  EXPECT_EQ(report.tensors.size(), 3u);
  EXPECT_TRUE(Verdict(report).packed);
  EXPECT_EQ(Verdict(report).table_utilisation, 1.0);
  EXPECT_EQ(report.Worst(), nullptr);

  const VerifyReport against = VerifyAgainst(*source_);
  EXPECT_EQ(against.problem_count, 0u);
  ASSERT_NE(against.Worst(), nullptr);
  EXPECT_EQ(against.Worst()->name, "fc1.weight");
  EXPECT_NEAR(*against.Worst()->sqnr_db, *against.Worst()->recorded_sqnr_db,
              1e-3);
}

TEST_F(VerifyTest, FlippedIndex) {
  // After header, table, row sums and the scales of the first group.
  Overwrite("fc1.weight", 64 + 64 + 64 + 64, "\x7F");
  EXPECT_THAT(Verdict(Verify()).problems,
              ElementsAre(HasSubstr("checksum"), HasSubstr("row sums")));
}

TEST_F(VerifyTest, ScaleThatIsNotFinite) {
  // After header, table and row sums.
  Overwrite("fc1.weight", 64 + 64 + 64 + 4 * 3,
            FloatBytes(std::numeric_limits<float>::infinity()));
  EXPECT_THAT(Verdict(Verify()).problems,
              ElementsAre(HasSubstr("checksum"),
                          HasSubstr("scale of row 3 is not finite")));
}

TEST_F(VerifyTest, FloatThatIsNotFinite) {
  Overwrite("fc2.weight", 4 * (2 * kK2 + 5), FloatBytes(std::nanf("")));
  const VerifyReport report = Verify();
  EXPECT_EQ(report.problem_count, 1u);
  for (const TensorVerdict& tensor : report.tensors) {
    if (tensor.name != "fc2.weight") continue;
    EXPECT_THAT(tensor.problems,
                ElementsAre("the value at row 2, column 5 is not finite"));
  }
}

TEST_F(VerifyTest, AnotherSource) {
  TwoLayers other = layers_;
  other.w1[5] += 0.5f;
  other.bias[1] += 1.0f;
  const auto model = other.Load(dir_ / "other.safetensors");
  const VerifyReport report = VerifyAgainst(*model);
  EXPECT_EQ(report.problem_count, 2u);
  EXPECT_THAT(Verdict(report).problems,
              ElementsAre(HasSubstr("as the file says")));
}

TEST_F(VerifyTest, SourceWithoutTheTensor) {
  ModelBuilder builder;
  builder.Input("x", {kK1})
      .Add(OpType::kLinear, {"x"}, "y", "fc1.weight")
      .Output("y")
      .Floats("fc1.weight", {kN1 + 1, kK1}, RandomFloats((kN1 + 1) * kK1, 1))
      .Write(dir_ / "other.safetensors");
  const auto model = Model::Load(dir_ / "other.safetensors");
  const VerifyReport report = VerifyAgainst(*model);
  EXPECT_EQ(report.problem_count, 4u);
  EXPECT_THAT(report.problems, ElementsAre(HasSubstr("graph differs")));
  EXPECT_THAT(Verdict(report).problems, ElementsAre(HasSubstr("shape")));
}

TEST_F(VerifyTest, TensorsThatWereLost) {
  ModelBuilder builder = layers_.Builder();
  builder.Floats("extra", {2}, std::vector<float>{1, 2})
      .Write(dir_ / "other.safetensors");
  const VerifyReport report =
      VerifyAgainst(*Model::Load(dir_ / "other.safetensors"));
  EXPECT_EQ(report.problem_count, 1u);
  EXPECT_THAT(report.problems, ElementsAre(HasSubstr("no tensor 'extra'")));
}

// A short file can claim any number of rows that hold nothing.
TEST_F(VerifyTest, EmptyRows) {
  ModelBuilder builder = layers_.Builder();
  builder.Floats("empty", {int64_t{1} << 60, 0}, {})
      .Write(dir_ / "other.safetensors");
  const auto model = Model::Load(dir_ / "other.safetensors");
  EXPECT_EQ(VerifyModel(*model, {}).problem_count, 0u);
}

TEST_F(VerifyTest, LimitOfTheError) {
  VerifyOptions options;
  options.against = source_.get();
  options.min_sqnr_db = 3;
  EXPECT_THAT(Verdict(Verify(options)).problems, IsEmpty());
  options.min_sqnr_db = 30;
  EXPECT_THAT(Verdict(Verify(options)).problems,
              ElementsAre(HasSubstr("below the limit")));
}

// Whatever is wrong with a file, verifying and comparing it end with a result
// or one line.
TEST_F(VerifyTest, DamagedFiles) {
  const std::string good = ReadBytes(Packed());
  const SafetensorsFile source = source_->file();
  const std::filesystem::path path = dir_ / "damaged.safetensors";
  std::mt19937 random(7);
  size_t noticed = 0;
  constexpr size_t kFiles = 300;
  for (size_t i = 0; i < kFiles; ++i) {
    std::string bytes = good;
    if (i % 10 == 0) {
      bytes.resize(random() % bytes.size());
    } else {
      for (size_t flips = 1 + random() % 4; flips > 0; --flips) {
        bytes[random() % bytes.size()] = static_cast<char>(random());
      }
    }
    if (bytes == good) continue;
    WriteBytes(path, bytes);
    try {
      VerifyOptions options;
      options.against = source_.get();
      const VerifyReport report = VerifyModel(*Model::Load(path), options);
      noticed += report.problem_count > 0;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      ++noticed;
    }
    try {
      EXPECT_TRUE(Diff(source, SafetensorsFile::Open(path)).Any());
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("damaged.safetensors"));
    }
  }
  // Not those in names and notes of the metadata.
  EXPECT_GT(noticed, kFiles * 3 / 4);
}

}  // namespace
}  // namespace lutra::packer
