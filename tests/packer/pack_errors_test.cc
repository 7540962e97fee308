#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <string>

#include "lutra/packer/pack.h"
#include "tests/packer/two_layers.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Packs `layers` and returns the error; also checks that nothing was written.
std::string PackFailure(const TwoLayers& layers, const PackOptions& options) {
  const TempDir dir;
  const auto model = layers.Load(dir / "float.safetensors");
  const std::string message = ErrorMessage(
      [&] { PackModel(*model, dir / "packed.safetensors", options); });
  const std::filesystem::directory_iterator entries(dir.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1)
      << "something was left behind";
  return message;
}

TEST(PackErrorsTest, ValuesThatAreNotFinite) {
  TwoLayers layers;
  layers.w2[3 * kK2 + 11] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(PackFailure(layers, {}),
              AllOf(HasSubstr("float.safetensors"), HasSubstr("'fc2.weight'"),
                    HasSubstr("row 3, column 11"), HasSubstr("nan")));
  layers.w1[5] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(PackFailure(layers, {}),
              AllOf(HasSubstr("'fc1.weight'"), HasSubstr("row 0, column 5"),
                    HasSubstr("inf")));
  PackOptions options;
  options.rules.AddExclusion("fc");
  const TempDir dir;
  EXPECT_NO_THROW(PackModel(*layers.Load(dir / "m.safetensors"),
                            dir / "p.safetensors", options));
}

TEST(PackErrorsTest, ImpossibleGroupSize) {
  PackOptions options;
  options.rules = qat::SchemeRules({"stretched", 2, 17});
  EXPECT_THAT(PackFailure(TwoLayers(), options),
              AllOf(HasSubstr("'fc1.weight'"), HasSubstr("groups of 17"),
                    HasSubstr("multiple of 16"), HasSubstr("[20, 48]")));
  options.rules =
      qat::SchemeRules({"stretched", 2, std::numeric_limits<int64_t>::max()});
  EXPECT_THAT(PackFailure(TwoLayers(), options), HasSubstr("'fc1.weight'"));
}

TEST(PackErrorsTest, BitsWithoutATable) {
  PackOptions options;
  options.rules = qat::SchemeRules({"stretched", 7, 0});
  EXPECT_THAT(PackFailure(TwoLayers(), options),
              AllOf(HasSubstr("'fc1.weight'"), HasSubstr("7-bit")));
}

TEST(PackErrorsTest, UnknownRecordedScheme) {
  const TempDir dir;
  ModelBuilder builder = TwoLayers().Builder();
  builder.Metadata(kSchemesKey, R"({"fc1.weight": {"quantizer": "strech",
      "bits": 2, "group_size": 0}})");
  builder.Write(dir / "m.safetensors");
  const auto model = Model::Load(dir / "m.safetensors");
  EXPECT_THAT(
      ErrorMessage([&] { PackModel(*model, dir / "p.safetensors", {}); }),
      AllOf(HasSubstr("m.safetensors"), HasSubstr("'fc1.weight'"),
            HasSubstr("unknown quantizer 'strech'")));
}

TEST(PackErrorsTest, AlreadyPackedUnlessExcluded) {
  const TempDir dir;
  const auto model = TwoLayers().Load(dir / "float.safetensors");
  PackOptions options;
  options.rules.AddExclusion("fc2");
  PackModel(*model, dir / "once.safetensors", options);
  const auto once = Model::Load(dir / "once.safetensors");
  // The record says how fc1 was packed; it does not make it float again.
  EXPECT_THAT(
      ErrorMessage([&] { PackModel(*once, dir / "twice.safetensors", {}); }),
      AllOf(HasSubstr("once.safetensors"), HasSubstr("'fc1.weight'"),
            HasSubstr("already packed")));
  EXPECT_FALSE(std::filesystem::exists(dir / "twice.safetensors"));

  PackOptions rest;
  rest.use_trained = false;
  rest.rules.AddExclusion("fc1");
  PackModel(*once, dir / "twice.safetensors", rest);
  const auto twice = Model::Load(dir / "twice.safetensors");
  EXPECT_NE(twice->packed("fc1.weight"), nullptr);
  EXPECT_NE(twice->packed("fc2.weight"), nullptr);
  EXPECT_EQ(Dequantized(*twice->packed("fc1.weight")),
            Dequantized(*once->packed("fc1.weight")));
}

TEST(PackErrorsTest, OutputThatCannotBeWritten) {
  const TempDir dir;
  const auto model = TwoLayers().Load(dir / "float.safetensors");
  EXPECT_THAT(
      ErrorMessage([&] { PackModel(*model, dir / "no/p.safetensors", {}); }),
      HasSubstr("no/p.safetensors"));
}

}  // namespace
}  // namespace lutra::packer
