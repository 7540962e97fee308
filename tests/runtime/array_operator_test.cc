// Operators on whole arrays: products of two values, dimensions in another
// order, constants, powers, rounding by the range of a call.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/runtime/program.h"
#include "lutra/runtime/session.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

using Shape = std::vector<int64_t>;

size_t Count(const Shape& shape) {
  size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<size_t>(size);
  return count;
}

// Rows of a call and threads.
class ArrayOperatorTest
    : public ::testing::TestWithParam<std::tuple<size_t, size_t>> {
 protected:
  size_t m() const { return std::get<0>(GetParam()); }

  std::vector<float> Run(const ModelBuilder& builder,
                         const std::vector<const void*>& inputs) {
    builder.Write(path_);
    const auto model = Model::Load(path_);
    const auto executor = StartThreadTeam(std::get<1>(GetParam()));
    Session session(model, {.executor = executor.get(), .threads = 1});
    std::vector<float> y(m() * model->outputs()[0].ElementCount(), -1.0f);
    float* const out = y.data();
    session.Run(m(), inputs, {&out, 1});
    return y;
  }

  TempDir dir_;
  const std::filesystem::path path_ = dir_ / "m.safetensors";
};

// Bit for bit the sum in the order of k.
TEST_P(ArrayOperatorTest, Matmul) {
  for (const auto& [matrices, rows, depth, columns] :
       {std::tuple<int64_t, int64_t, int64_t, int64_t>{6, 9, 7, 37},
        {1, 1, 1, 1},
        {2, 4, 33, 16},
        {1, 70, 130, 65}}) {
    const Shape a_shape = {2, matrices, rows, depth};
    const Shape b_shape = {2, matrices, depth, columns};
    const auto a = RandomFloats(m() * Count(a_shape), 1);
    const auto b = RandomFloats(m() * Count(b_shape), 2);
    ModelBuilder builder;
    builder.Input("a", a_shape)
        .Input("b", b_shape)
        .Add(OpType::kMatmul, {"a", "b"}, "y")
        .Output("y");
    const auto y = Run(builder, {a.data(), b.data()});
    ASSERT_EQ(y.size(),
              m() * 2 * static_cast<size_t>(matrices * rows * columns));
    for (size_t i = 0; i < y.size(); ++i) {
      const auto n = static_cast<size_t>(columns);
      const auto k = static_cast<size_t>(depth);
      const size_t row = i / n;  // of all matrices
      const size_t matrix = row / static_cast<size_t>(rows);
      float sum = 0;
      for (size_t t = 0; t < k; ++t) {
        sum += a[row * k + t] * b[(matrix * k + t) * n + i % n];
      }
      ASSERT_EQ(y[i], sum) << i;
    }
  }
}

TEST_P(ArrayOperatorTest, Transpose) {
  const Shape shape = {3, 4, 5, 6};
  const auto x = RandomFloats(m() * Count(shape), 1);
  for (const Shape& order :
       {Shape{0, 1, 2, 3}, Shape{3, 2, 1, 0}, Shape{0, 2, 1, 3},
        Shape{1, 2, 0, 3}, Shape{2, 3, 0, 1}, Shape{0, 3, 1, 2}}) {
    ModelBuilder builder;
    builder.Input("x", shape)
        .Add(OpType::kTranspose, {"x"}, "y")
        .Set("order", order)
        .Output("y");
    const auto y = Run(builder, {x.data()});
    EXPECT_EQ(Model::Load(path_)->outputs()[0].shape[0],
              shape[static_cast<size_t>(order[0])]);
    for (size_t i = 0; i < y.size(); ++i) {
      size_t rest = i % Count(shape);
      size_t at[4];
      for (size_t d = 4; d-- > 0;) {
        const auto dim = static_cast<size_t>(order[d]);
        at[dim] = rest % static_cast<size_t>(shape[dim]);
        rest /= static_cast<size_t>(shape[dim]);
      }
      const size_t place = ((at[0] * 4 + at[1]) * 5 + at[2]) * 6 + at[3];
      ASSERT_EQ(y[i], x[i / Count(shape) * Count(shape) + place]) << i;
    }
  }
}

TEST_P(ArrayOperatorTest, Power) {
  std::vector<float> x = RandomFloats(m() * 21, 1);
  for (float& value : x) value = std::abs(value);
  for (const double exponent : {-2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 3.0}) {
    ModelBuilder builder;
    builder.Input("x", {3, 7})
        .Add(OpType::kPower, {"x"}, "y")
        .Set("exponent", exponent)
        .Output("y");
    const auto y = Run(builder, {x.data()});
    for (size_t i = 0; i < x.size(); ++i) {
      const double expected = std::pow(double{x[i]}, exponent);
      ASSERT_NEAR(y[i], expected, 4e-7 * expected) << x[i] << "^" << exponent;
    }
  }
}

// Each operation is one that is rounded once: these bits are the same
// everywhere.
TEST_P(ArrayOperatorTest, PowersOfTwoThreeAndAHalf) {
  const std::vector<float> x(m(), 3.3f);
  for (const auto& [exponent, expected] :
       {std::pair(-1.0, 1.0f / 3.3f), std::pair(-0.5, 1.0f / std::sqrt(3.3f)),
        std::pair(3.0, 3.3f * 3.3f * 3.3f)}) {
    ModelBuilder builder;
    builder.Input("x", {1})
        .Add(OpType::kPower, {"x"}, "y")
        .Set("exponent", exponent)
        .Output("y");
    EXPECT_EQ(Run(builder, {x.data()})[0], expected);
  }
}

TEST_P(ArrayOperatorTest, Exp) {
  const auto x = RandomFloats(m() * 21, 1, 4.0f);
  ModelBuilder builder;
  builder.Input("x", {3, 7}).Add(OpType::kExp, {"x"}, "y").Output("y");
  const auto y = Run(builder, {x.data()});
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = std::exp(double{x[i]});
    ASSERT_NEAR(y[i], expected, 5e-7 * expected) << x[i];
  }
}

TEST_P(ArrayOperatorTest, SoftmaxOfNothing) {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  std::vector<float> x(m() * 6, kNothing);
  for (size_t i = 0; i < x.size(); i += 6) x[i + 1] = 2;
  for (const std::string empty : {"nan", "zero"}) {
    ModelBuilder builder;
    builder.Input("x", {2, 3})
        .Add(OpType::kSoftmax, {"x"}, "y")
        .Set("empty", empty)
        .Output("y");
    const auto y = Run(builder, {x.data()});
    for (size_t i = 0; i < y.size(); ++i) {
      if (i % 6 < 3) {
        ASSERT_EQ(y[i], i % 6 == 1 ? 1.0f : 0.0f) << i;
      } else if (empty == "nan") {
        ASSERT_TRUE(std::isnan(y[i])) << i;
      } else {
        ASSERT_EQ(y[i], 0.0f) << i;
      }
    }
  }
}

TEST_P(ArrayOperatorTest, Constant) {
  const auto x = RandomFloats(m() * 6, 1);
  const auto c = RandomFloats(6, 2);
  ModelBuilder builder;
  builder.Input("x", {2, 3})
      .Add(OpType::kConstant, {}, "c", "table")
      .Add(OpType::kAdd, {"x", "c"}, "y")
      .Output("y")
      .Floats("table", {2, 3}, c);
  const auto y = Run(builder, {x.data()});
  for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], x[i] + c[i % 6]);
}

TEST_P(ArrayOperatorTest, EmbeddingOfSeveralIds) {
  std::vector<int32_t> ids(m() * 6);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i % 5);
  const auto w = RandomFloats(5 * 4, 1);
  ModelBuilder builder;
  builder.Input("ids", {2, 3}, ValueType::kInt32)
      .Add(OpType::kEmbedding, {"ids"}, "y", "w")
      .Output("y")
      .Floats("w", {5, 4}, w);
  const auto y = Run(builder, {ids.data()});
  EXPECT_EQ(Model::Load(path_)->outputs()[0].shape, (Shape{2, 3, 4}));
  ASSERT_EQ(y.size(), ids.size() * 4);
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_EQ(y[i], w[static_cast<size_t>(ids[i / 4]) * 4 + i % 4]);
  }
  // The last id of the last token counts, too.
  ids.back() = 5;
  EXPECT_THAT(ErrorMessage([&] { Run(builder, {ids.data()}); }),
              HasSubstr("id 5 of token " + std::to_string(m() - 1) + " "));
}

// 256 levels from the smallest to the largest, of which 0 is one, as
// DynamicQuantizeLinear of ONNX has it.
std::vector<float> Rounded(const std::vector<float>& x, size_t first,
                           size_t count) {
  float low = 0;
  float high = 0;
  for (size_t i = first; i < first + count; ++i) {
    if (!std::isfinite(x[i])) continue;
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  const float scale = high == low ? 1 : (high - low) / 255;
  const float zero = std::nearbyint(std::clamp(-low / scale, 0.0f, 255.0f));
  std::vector<float> y;
  for (size_t i = first; i < first + count; ++i) {
    const float level =
        std::clamp(std::nearbyint(x[i] / scale) + zero, 0.0f, 255.0f);
    y.push_back((level - zero) * scale);
  }
  return y;
}

TEST_P(ArrayOperatorTest, DynamicQuantize) {
  constexpr size_t kWidth = 10007;
  for (const std::string over : {"call", "row"}) {
    std::vector<float> x = RandomFloats(m() * kWidth, 1);
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] *= static_cast<float>(1 + i / kWidth);  // rows of other ranges
    }
    x[1] = std::numeric_limits<float>::infinity();
    x[2] = std::numeric_limits<float>::quiet_NaN();
    ModelBuilder builder;
    builder.Input("x", {kWidth})
        .Add(OpType::kDynamicQuantize, {"x"}, "y")
        .Set("over", over)
        .Output("y");
    const auto y = Run(builder, {x.data()});
    EXPECT_TRUE(std::isnan(y[1]));
    EXPECT_TRUE(std::isnan(y[2]));
    const size_t count = over == "call" ? x.size() : kWidth;
    for (size_t first = 0; first < x.size(); first += count) {
      const std::vector<float> expected = Rounded(x, first, count);
      for (size_t i = 0; i < count; ++i) {
        if (first == 0 && (i == 1 || i == 2)) continue;
        ASSERT_EQ(y[first + i], expected[i]) << first + i;
      }
    }
    const std::vector<float> zeros(m() * kWidth, 0.0f);
    EXPECT_EQ(Run(builder, {zeros.data()}), zeros);
    const std::vector<float> above(m() * kWidth, 2.0f);
    EXPECT_EQ(Run(builder, {above.data()}), above);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, ArrayOperatorTest,
                         ::testing::Combine(::testing::Values(1, 5),
                                            ::testing::Values(1, 3)));

// What depends on the other rows of a call is computed of all of them, even if
// only the last one is wanted.
TEST(DynamicQuantizeTest, LastRowsAreRoundedAsAllAre) {
  const TempDir dir;
  const auto path = dir / "m.safetensors";
  ModelBuilder builder;
  builder.Input("x", {4})
      .Add(OpType::kDynamicQuantize, {"x"}, "q")
      .Set("over", std::string("call"))
      .Add(OpType::kRelu, {"q"}, "y")
      .Output("y")
      .Write(path);
  const auto model = Model::Load(path);
  Session session(model, {.threads = 1});
  const std::vector<float> x = {90, -3, 0.1f, 7, 0.3f, 1.7f, 0.2f, 0.01f};
  std::vector<float> all(8);
  std::vector<float> last(4);
  const void* const in = x.data();
  float* out = all.data();
  session.Run(2, {&in, 1}, {&out, 1});
  out = last.data();
  session.RunLast(2, {&in, 1}, {&out, 1});
  EXPECT_TRUE(std::equal(last.begin(), last.end(), all.begin() + 4));
  // Alone the row has a range of its own.
  const void* const row = x.data() + 4;
  session.RunLast(1, {&row, 1}, {&out, 1});
  EXPECT_FALSE(std::equal(last.begin(), last.end(), all.begin() + 4));
}

}  // namespace
}  // namespace lutra
