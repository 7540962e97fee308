// Routed experts against plain mathematics and against linear nodes.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/session.h"
#include "runtime/ops/experts.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

constexpr size_t kRows = 37;

// The only output of `builder`'s model, kRows rows at once.
std::vector<float> RunRows(const ModelBuilder& builder,
                           const std::vector<const void*>& inputs,
                           size_t threads = 1) {
  const TempDir dir;
  builder.Write(dir / "m.safetensors");
  const auto executor = StartThreadTeam(threads);
  Session session(Model::Load(dir / "m.safetensors"),
                  {.executor = executor.get()});
  std::vector<float> y(kRows * session.model().outputs()[0].ElementCount());
  float* const out = y.data();
  session.Run(kRows, inputs, {&out, 1});
  return y;
}

TEST(ExpertsTest, Route) {
  constexpr size_t kExperts = 9;
  constexpr size_t kCount = 3;
  auto logits = RandomFloats(kRows * kExperts, 1);
  for (size_t i = 0; i < kExperts; ++i) logits[i] = 1.0f;  // ties
  const auto scales = RandomFloats(kExperts, 2);
  for (const bool all : {true, false}) {
    for (const bool scaled : {true, false}) {
      ModelBuilder builder;
      builder.Input("x", {kExperts})
          .Add(OpType::kRoute, {"x"}, "y", scaled ? "scales" : "")
          .Set("count", double{kCount})
          .Set("over", std::string(all ? "all" : "chosen"))
          .Output("y")
          .Floats("scales", {kExperts}, scales);
      const auto y = RunRows(builder, {logits.data()});
      for (size_t row = 0; row < kRows; ++row) {
        const float* x = &logits[row * kExperts];
        const float* routes = &y[row * 2 * kCount];
        std::vector<float> reference(2 * kCount);
        ReferenceRoute({x, kExperts}, kCount, all,
                       scaled ? scales.data() : nullptr, reference.data());
        ASSERT_EQ(std::vector<float>(routes, routes + 2 * kCount), reference);
        std::vector<size_t> order(kExperts);
        for (size_t i = 0; i < kExperts; ++i) order[i] = i;
        std::stable_sort(order.begin(), order.end(),
                         [&](size_t a, size_t b) { return x[a] > x[b]; });
        double sum = 0;
        for (size_t i = 0; i < (all ? kExperts : kCount); ++i) {
          sum += std::exp(double{x[order[i]]});
        }
        for (size_t i = 0; i < kCount; ++i) {
          ASSERT_EQ(routes[i], static_cast<float>(order[i])) << row;
          const double scale = scaled ? scales[order[i]] : 1.0;
          ASSERT_NEAR(routes[kCount + i],
                      std::exp(double{x[order[i]]}) / sum * scale, 1e-6);
        }
      }
    }
  }
}

// Numbers of experts of each row and choice.
std::vector<float> Routes(size_t experts, size_t count) {
  std::vector<float> routes(kRows * 2 * count, 0.5f);
  std::mt19937 rng(3);
  for (size_t row = 0; row < kRows; ++row) {
    for (size_t i = 0; i < count; ++i) {
      routes[row * 2 * count + i] = static_cast<float>(rng() % experts);
    }
  }
  return routes;
}

// Each chosen expert has the bits of a linear node with its rows.
TEST(ExpertsTest, LinearHasTheBitsOfLinearNodes) {
  constexpr size_t kExperts = 5;
  constexpr size_t kCount = 2;
  constexpr uint32_t kN = 48;
  constexpr uint32_t kK = 40;
  std::mt19937 rng(1);
  const auto routes = Routes(kExperts, kCount);
  const auto bias = RandomFloats(kExperts * kN, 4);
  const auto floats = RandomFloats(kExperts * kN * kK, 5);
  for (const bool packed : {false, true}) {
    for (const bool own_inputs : {false, true}) {
      const size_t width = own_inputs ? kCount * kK : kK;
      const auto x = RandomFloats(kRows * width, 2);
      // One matrix of all experts; that of one expert alone is cut out of what
      // it was made of.
      const auto matrix = kernels::MakeRandomMatrix(
          {.n = kExperts * kN, .k = kK, .bits = 3, .group_size = 16},
          kernels::TableKind::kSmall, rng);
      ModelBuilder builder;
      builder
          .Input("x", own_inputs ? std::vector<int64_t>{kCount, kK}
                                 : std::vector<int64_t>{kK})
          .Input("routes", {2 * kCount})
          .Add(OpType::kExpertLinear, {"x", "routes"}, "y", "w", "b")
          .Set("experts", double{kExperts})
          .Output("y")
          .Floats("b", {kExperts * kN}, bias);
      // The same matrix whole, of which rows are looked up.
      ModelBuilder plain;
      plain.Input("x", {kK})
          .Add(OpType::kLinear, {"x"}, "y", "w", "b")
          .Output("y")
          .Floats("b", {kExperts * kN}, bias);
      for (ModelBuilder* b : {&builder, &plain}) {
        if (packed) {
          b->Packed("w", {matrix.blob.get(), matrix.blob_bytes});
        } else {
          b->Floats("w", {kExperts * kN, kK}, floats);
        }
      }
      const auto y = RunRows(builder, {x.data(), routes.data()});
      EXPECT_EQ(RunRows(builder, {x.data(), routes.data()}, 3), y);
      for (size_t i = 0; i < kCount; ++i) {
        std::vector<float> own(kRows * kK);
        for (size_t row = 0; row < kRows; ++row) {
          const float* from = &x[row * width + (own_inputs ? i * kK : 0)];
          std::copy(from, from + kK, &own[row * kK]);
        }
        const auto all = RunRows(plain, {own.data()});
        for (size_t row = 0; row < kRows; ++row) {
          const auto expert = static_cast<size_t>(routes[row * 2 * kCount + i]);
          for (size_t n = 0; n < kN; ++n) {
            ASSERT_EQ(y[(row * kCount + i) * kN + n],
                      all[(row * kExperts + expert) * kN + n])
                << "row " << row << ", choice " << i;
          }
        }
      }
    }
  }
}

TEST(ExpertsTest, Sum) {
  constexpr size_t kCount = 3;
  constexpr size_t kWidth = 7;
  const auto x = RandomFloats(kRows * kCount * kWidth, 1);
  const auto routes = RandomFloats(kRows * 2 * kCount, 2);
  ModelBuilder builder;
  builder.Input("x", {kCount, kWidth})
      .Input("routes", {2 * kCount})
      .Add(OpType::kExpertSum, {"x", "routes"}, "y")
      .Output("y");
  const auto y = RunRows(builder, {x.data(), routes.data()});
  std::vector<float> reference(y.size());
  for (size_t row = 0; row < kRows; ++row) {
    ReferenceExpertSum({&x[row * kCount * kWidth], kCount * kWidth},
                       {&routes[row * 2 * kCount + kCount], kCount},
                       &reference[row * kWidth]);
  }
  EXPECT_EQ(y, reference);
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t row = i / kWidth;
    double sum = 0;
    for (size_t c = 0; c < kCount; ++c) {
      sum += double{routes[row * 2 * kCount + kCount + c]} *
             double{x[(row * kCount + c) * kWidth + i % kWidth]};
    }
    ASSERT_NEAR(y[i], sum, 1e-5);
  }
}

TEST(ExpertsTest, NumbersOfNoExpertAreRefused) {
  const auto w = RandomFloats(6, 1);
  const auto x = RandomFloats(kRows, 2);
  ModelBuilder builder;
  builder.Input("x", {1})
      .Input("routes", {2})
      .Add(OpType::kExpertLinear, {"x", "routes"}, "y", "w")
      .Set("experts", 3.0)
      .Output("y")
      .Floats("w", {6, 1}, w);
  for (const float number : {-1.0f, 3.0f, std::nanf("")}) {
    const std::vector<float> routes(kRows * 2, number);
    EXPECT_THROW(RunRows(builder, {x.data(), routes.data()}), Error) << number;
  }
}

}  // namespace
}  // namespace lutra
