// Writes a model of 100 KB, half packed and half float, and prints its outputs
// for the inputs 0, 1/16, 2/16, ... as the programs of tests/install/app do.

#include <cstdio>
#include <random>
#include <vector>

#include "lutra/runtime/session.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  constexpr uint32_t kInputs = 784;  // what the README's program feeds
  constexpr uint32_t kHidden = 320;
  constexpr uint32_t kOutputs = 10;
  std::mt19937 rng(1);
  const auto packed = lutra::kernels::MakeRandomMatrix(
      {.n = kHidden, .k = kInputs, .bits = 2, .group_size = 32},
      lutra::kernels::TableKind::kSmall, rng);
  lutra::ModelBuilder builder;
  builder.Input("x", {kInputs})
      .Add(lutra::OpType::kLinear, {"x"}, "h0", "fc1.weight", "fc1.bias")
      .Add(lutra::OpType::kRelu, {"h0"}, "h1")
      .Add(lutra::OpType::kLinear, {"h1"}, "y", "fc2.weight")
      .Output("y")
      .Packed("fc1.weight", {packed.blob.get(), packed.blob_bytes})
      .Floats("fc1.bias", {kHidden}, lutra::RandomFloats(kHidden, 2))
      .Floats("fc2.weight", {kOutputs, kHidden},
              lutra::RandomFloats(kOutputs * kHidden, 3));
  builder.Write(argv[1]);

  lutra::Session session(lutra::Model::Load(argv[1]), {});
  std::vector<float> x(kInputs);
  std::vector<float> y(kOutputs);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) / 16.0f;
  const void* const inputs[] = {x.data()};
  float* const outputs[] = {y.data()};
  session.Run(1, inputs, outputs);
  for (const float value : y) std::printf("%.9g\n", static_cast<double>(value));
  return 0;
}
