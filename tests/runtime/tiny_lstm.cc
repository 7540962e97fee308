#include "tests/runtime/tiny_lstm.h"

#include <random>
#include <string>

#include "tests/kernels/random_matrix.h"

namespace lutra {

ModelBuilder TinyLstm() {
  constexpr uint32_t kUnits = 24;
  std::mt19937 rng(3);
  const auto packed = kernels::MakeRandomMatrix(
      {.n = 4 * kUnits, .k = kUnits, .bits = 4, .group_size = 24},
      kernels::TableKind::kSmall, rng);
  ModelBuilder builder;
  builder.Input("x", {5})
      .Add(OpType::kLinear, {"x"}, "gates", "w0")
      .Add(OpType::kLstmCell, {"gates"}, "h", "w1")
      .Set("gates", std::string("ifgo"))
      .Add(OpType::kLinear, {"h"}, "y", "w2")
      .Output("y")
      .Floats("w0", {4 * kUnits, 5}, RandomFloats(4 * kUnits * 5, 1))
      .Packed("w1", {packed.blob.get(), packed.blob_bytes})
      .Floats("w2", {3, kUnits}, RandomFloats(3 * kUnits, 2));
  return builder;
}

}  // namespace lutra
