// The rotary position embedding against its definition, bit by bit.

#include "runtime/ops/rope.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "lutra/runtime/model.h"
#include "lutra/runtime/rope_angles.h"
#include "lutra/runtime/session.h"
#include "tests/kernels/each_variant.h"
#include "tests/runtime/model_builder.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

constexpr size_t kRopeHeads = 3;
constexpr size_t kRopeHeadDim = 22;
constexpr size_t kRow = kRopeHeads * kRopeHeadDim;
constexpr size_t kRopeTokens = 70;
constexpr float kScale = 1.25f;

class RopeTest : public ::testing::TestWithParam<const char*> {
 protected:
  bool adjacent() const { return GetParam() == std::string("adjacent"); }

  // All tokens, `chunk` at a time.
  std::vector<float> Run(const std::shared_ptr<const Model>& model,
                         const std::vector<float>& x, size_t chunk) const {
    Session session(model, {.context = kRopeTokens});
    std::vector<float> y(x.size());
    for (size_t t = 0; t < kRopeTokens; t += chunk) {
      const size_t m = std::min(chunk, kRopeTokens - t);
      const void* const in = &x[t * kRow];
      float* const out = &y[t * kRow];
      session.Run(m, {&in, 1}, {&out, 1});
    }
    return y;
  }
};
INSTANTIATE_TEST_SUITE_P(Pairings, RopeTest,
                         ::testing::Values("half", "adjacent"));

TEST_P(RopeTest, HasTheBitsOfTheReference) {
  // Fewer pairs than half of a head: the rest stays.
  std::vector<float> frequencies;
  for (size_t i = 0; i < 9; ++i) {
    frequencies.push_back(std::pow(10000.0f, -static_cast<float>(i) / 9.0f));
  }
  const TempDir dir;
  const auto path = dir / "rope.safetensors";
  ModelBuilder()
      .Input("x", {kRow})
      .Add(OpType::kRope, {"x"}, "y", "frequencies")
      .Set("head_dim", double{kRopeHeadDim})
      .Set("pairing", std::string(GetParam()))
      .Set("scale", double{kScale})
      .Output("y")
      .Floats("frequencies", {9}, frequencies)
      .Write(path);
  const auto model = Model::Load(path);
  const std::vector<float> x = RandomFloats(kRopeTokens * kRow, 1);

  std::vector<float> expected(x.size());
  for (size_t t = 0; t < kRopeTokens; ++t) {
    for (size_t h = 0; h < kRopeHeads; ++h) {
      const size_t at = t * kRow + h * kRopeHeadDim;
      ReferenceRope({&x[at], kRopeHeadDim}, t, frequencies, adjacent(), kScale,
                    &expected[at]);
    }
  }
  kernels::ForEachVariant([&](const char* variant) {
    for (const size_t chunk : {size_t{1}, size_t{7}, kRopeTokens}) {
      const std::vector<float> y = Run(model, x, chunk);
      for (size_t i = 0; i < y.size(); ++i) {
        ASSERT_EQ(std::bit_cast<uint32_t>(y[i]),
                  std::bit_cast<uint32_t>(expected[i]))
            << variant << ", " << chunk << " at a time, element " << i;
      }
    }
  });
}

// By mathematics alone, what the reference says.
TEST_P(RopeTest, TurnsPairs) {
  const std::vector<float> x = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f};
  const std::vector<float> frequencies = {1.0f, 0.25f};
  std::vector<float> y(5);
  ReferenceRope(x, 3, frequencies, adjacent(), 2.0f, y.data());
  const auto turned = [&](double a, double b, double angle) {
    return std::pair(2 * (a * std::cos(angle) - b * std::sin(angle)),
                     2 * (b * std::cos(angle) + a * std::sin(angle)));
  };
  const auto [y0, y1] = turned(1, adjacent() ? 2 : 3, 3.0);
  const auto [y2, y3] = turned(adjacent() ? 3 : 2, 4, 0.75);
  EXPECT_NEAR(y[0], y0, 1e-6);
  EXPECT_NEAR(y[adjacent() ? 1 : 2], y1, 1e-6);
  EXPECT_NEAR(y[adjacent() ? 2 : 1], y2, 1e-6);
  EXPECT_NEAR(y[3], y3, 1e-6);
  EXPECT_EQ(y[4], 5.0f);
}

TEST(RopeAnglesTest, DirectionsAreThoseOfMathematics) {
  for (float place = 0; place < 3e5f; place = place * 1.37f + 1) {
    for (const float frequency : {1.0f, 0.1f, 1e-4f}) {
      const double angle = double{place * frequency};
      const Direction d = DirectionOf(place, frequency);
      EXPECT_NEAR(d.cosine, std::cos(angle), 6e-8) << angle;
      EXPECT_NEAR(d.sine, std::sin(angle), 6e-8) << angle;
    }
  }
  EXPECT_TRUE(std::isnan(DirectionOf(1e20f, 1.0f).cosine));
}

}  // namespace
}  // namespace lutra
