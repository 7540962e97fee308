#include "tests/runtime/bad_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "lutra/runtime/model.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {

kernels::RandomMatrix RandomPacked(uint32_t n, uint32_t k) {
  std::mt19937 rng(7);
  return kernels::MakeRandomMatrix(
      {.n = n, .k = k, .bits = 2, .group_size = 16}, kernels::TableKind::kSmall,
      rng);
}

ModelBuilder GoodModel() {
  const auto packed = RandomPacked(24, 32);
  ModelBuilder builder;
  builder.Input("x", {32})
      .Add(OpType::kLinear, {"x"}, "h0", "fc1.weight", "fc1.bias")
      .Add(OpType::kRelu, {"h0"}, "h1")
      .Add(OpType::kLinear, {"h1"}, "y", "fc2.weight", "fc2.bias")
      .Output("y")
      .Packed("fc1.weight", {packed.blob.get(), packed.blob_bytes})
      .Floats("fc1.bias", {24}, RandomFloats(24, 1))
      .Floats("fc2.weight", {8, 24}, RandomFloats(8 * 24, 2))
      .Floats("fc2.bias", {8}, RandomFloats(8, 3));
  return builder;
}

void PrintTo(const BadModel& bad, std::ostream* out) { *out << bad.name; }

void ExpectRefused(const BadModel& bad) {
  const TempDir dir;
  const auto path = dir / "bad.safetensors";
  ModelBuilder builder = GoodModel();
  if (bad.build) bad.build(builder);
  builder.Write(path);
  std::string bytes = ReadBytes(path);
  if (bad.edit) {
    RawFile raw = RawFile::Parse(bytes);
    bad.edit(raw);
    bytes = raw.Bytes();
  }
  if (bad.damage) bad.damage(bytes);
  WriteBytes(path, bytes);

  const std::string message = ErrorMessage([&] { Model::Load(path); });
  EXPECT_EQ(message.rfind(path.string() + ": ", 0), 0u) << message;
  EXPECT_THAT(message, ::testing::Not(::testing::HasSubstr("\n")));
  for (const std::string& expected : bad.expected) {
    EXPECT_THAT(message, ::testing::HasSubstr(expected));
  }
}

}  // namespace lutra
