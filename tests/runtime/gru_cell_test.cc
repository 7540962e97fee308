// The GRU cell against plain mathematics, in calls of any length, with float
// and with packed weights.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "lutra/kernels/gemm.h"
#include "lutra/kernels/thread_team.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/program.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

constexpr size_t kGruTokens = 13;

struct Gru {
  size_t units = 0;
  std::string gates = "zrn";
  std::string reset = "after";
  std::vector<float> weight;  // [3 * units, units]
  std::vector<float> bias = {};
};

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Cho et al., and cuDNN's variant.
std::vector<double> Expected(const Gru& gru, const std::vector<float>& x) {
  const size_t n = gru.units;
  std::vector<double> h(n, 0.0);
  std::vector<double> all;
  for (size_t t = 0; t < x.size() / (3 * n); ++t) {
    const auto product = [&](size_t row, const std::vector<double>& of) {
      double sum = gru.bias.empty() ? 0.0 : double{gru.bias[row]};
      for (size_t j = 0; j < n; ++j) {
        sum += double{gru.weight[row * n + j]} * of[j];
      }
      return sum;
    };
    const auto gate = [&](char name, size_t i) {
      const size_t row = gru.gates.find(name) * n + i;
      return Sigmoid(double{x[t * 3 * n + row]} + product(row, h));
    };
    std::vector<double> reset_h(n);
    for (size_t i = 0; i < n; ++i) reset_h[i] = gate('r', i) * h[i];
    std::vector<double> next(n);
    for (size_t i = 0; i < n; ++i) {
      const size_t row = 2 * n + i;
      const double kept = gru.reset == "before"
                              ? product(row, reset_h)
                              : gate('r', i) * product(row, h);
      const double candidate = std::tanh(double{x[t * 3 * n + row]} + kept);
      const double z = gate('z', i);
      next[i] = (1 - z) * candidate + z * h[i];
    }
    h = next;
    all.insert(all.end(), h.begin(), h.end());
  }
  return all;
}

ModelBuilder Build(const Gru& gru) {
  ModelBuilder builder;
  const auto n = static_cast<int64_t>(gru.units);
  builder.Input("x", {3 * n})
      .Add(OpType::kGruCell, {"x"}, "y", "w", gru.bias.empty() ? "" : "b")
      .Set("gates", gru.gates)
      .Set("reset", gru.reset)
      .Output("y");
  if (!gru.bias.empty()) builder.Floats("b", {3 * n}, gru.bias);
  return builder;
}

// All tokens of two sequences, the second one shorter, `chunk` at a time.
std::vector<std::vector<float>> RunBoth(
    const ModelBuilder& builder, const std::vector<std::vector<float>>& x,
    size_t width, size_t chunk, size_t threads,
    kernels::ActivationType activations) {
  const TempDir dir;
  const auto path = dir / "m.safetensors";
  builder.Write(path);
  const auto executor = StartThreadTeam(threads);
  Program program(Model::Load(path), {.activations = activations,
                                      .executor = executor.get(),
                                      .threads = 1,
                                      .context = kGruTokens});
  std::vector<Sequence> sequences;
  sequences.push_back(program.NewSequence());
  sequences.push_back(program.NewSequence());
  std::vector<std::vector<float>> y(2);
  for (size_t t = 0; t < kGruTokens; t += chunk) {
    std::vector<Program::Rows> calls;
    std::vector<float> in;
    std::vector<size_t> counts;
    for (size_t s = 0; s < 2; ++s) {
      const size_t length = x[s].size() / (3 * width);
      const size_t count = t >= length ? 0 : std::min(chunk, length - t);
      counts.push_back(count);
      if (count == 0) continue;
      calls.push_back({&sequences[s], count});
      const auto from =
          x[s].begin() + static_cast<std::ptrdiff_t>(t * 3 * width);
      in.insert(in.end(), from,
                from + static_cast<std::ptrdiff_t>(count * 3 * width));
    }
    std::vector<float> out(in.size() / 3);
    const void* const inputs = in.data();
    float* const outputs = out.data();
    program.Run(calls, {&inputs, 1}, {&outputs, 1});
    auto next = out.begin();
    for (size_t s = 0; s < 2; ++s) {
      const auto end = next + static_cast<std::ptrdiff_t>(counts[s] * width);
      y[s].insert(y[s].end(), next, end);
      next = end;
    }
  }
  return y;
}

// The first `steps` of each sequence are near what is expected, and all have
// the same bits however they are cut into calls: rounding to int8 adds up over
// steps.
void Check(const Gru& gru, const ModelBuilder& builder,
           kernels::ActivationType activations, double tolerance,
           size_t steps = kGruTokens) {
  const size_t n = gru.units;
  const std::vector<std::vector<float>> x = {
      RandomFloats(kGruTokens * 3 * n, 1), RandomFloats(4 * 3 * n, 2)};
  const auto y = RunBoth(builder, x, n, kGruTokens, 1, activations);
  for (size_t s = 0; s < 2; ++s) {
    const auto expected = Expected(gru, x[s]);
    ASSERT_EQ(y[s].size(), expected.size());
    const size_t count = std::min(expected.size(), steps * n);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_NEAR(y[s][i], expected[i], tolerance) << s << ", element " << i;
    }
  }
  for (const size_t chunk : {1u, 2u, 5u}) {
    EXPECT_EQ(RunBoth(builder, x, n, chunk, 3, activations), y)
        << chunk << " at a time";
  }
}

TEST(GruCellTest, FloatWeights) {
  for (const char* gates : {"zrn", "rzn"}) {
    for (const char* reset : {"before", "after"}) {
      for (const bool biased : {false, true}) {
        constexpr size_t kUnits = 21;
        Gru gru{kUnits, gates, reset,
                RandomFloats(3 * kUnits * kUnits, 3, 0.2f)};
        if (biased) gru.bias = RandomFloats(3 * kUnits, 4);
        SCOPED_TRACE(std::string(gates) + " " + reset);
        ModelBuilder builder = Build(gru);
        builder.Floats("w", {3 * kUnits, kUnits}, gru.weight);
        Check(gru, builder, kernels::ActivationType::kFloat32, 1e-5);
      }
    }
  }
}

// Units that are a multiple of a packed block and units that are not, as then
// rows are multiplied apart or together.
TEST(GruCellTest, PackedWeights) {
  std::mt19937 rng(3);
  for (const uint32_t units : {32u, 24u}) {
    for (uint8_t bits = 1; bits <= 4; ++bits) {
      const auto packed =
          kernels::MakeRandomMatrix({.n = 3 * units,
                                     .k = units,
                                     .bits = bits,
                                     .group_size = units == 32 ? 16 : units},
                                    kernels::TableKind::kSmall, rng);
      for (const char* reset : {"before", "after"}) {
        SCOPED_TRACE(std::to_string(units) + " units, " + std::to_string(bits) +
                     " bits, " + reset);
        Gru gru{units, "zrn", reset, {}, RandomFloats(3 * units, 4)};
        gru.weight.resize(size_t{3} * units * units);
        for (uint32_t row = 0; row < 3 * units; ++row) {
          kernels::DequantizeRow(packed.matrix, row, &gru.weight[row * units]);
        }
        ModelBuilder builder = Build(gru);
        builder.Packed("w", {packed.blob.get(), packed.blob_bytes});
        // Weights of the size of these make more of every rounding.
        Check(gru, builder, kernels::ActivationType::kFloat32, 1e-4, 6);
        Check(gru, builder, kernels::ActivationType::kInt8Asymmetric, 0.1, 2);
      }
    }
  }
}

}  // namespace
}  // namespace lutra
