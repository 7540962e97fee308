// Run allocates nothing once a size is prepared, whatever the operators,
// threads and activations, through the C++ and the C API.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <new>
#include <random>

#include "lutra.h"
#include "lutra/runtime/session.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/allocation_counter.h"
#include "tests/runtime/model_builder.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

constexpr int64_t kWidth = 96;

// Every operator, linear and embedding with float and with packed weights.
ModelBuilder EveryOperator() {
  std::mt19937 rng(1);
  const auto matrix = [&](uint32_t n, uint32_t k, uint32_t group_size) {
    return kernels::MakeRandomMatrix(
        {.n = n, .k = k, .bits = 2, .group_size = group_size},
        kernels::TableKind::kSmall, rng);
  };
  const auto packed = matrix(kWidth, kWidth, 32);
  const auto kv = matrix(kWidth / 2, kWidth, 32);
  const auto lstm = matrix(kWidth, kWidth / 4, 24);
  ModelBuilder builder;
  builder.Input("ids", {}, ValueType::kInt32)
      .Input("x", {kWidth})
      .Add(OpType::kEmbedding, {"ids"}, "e0", "float")
      .Add(OpType::kEmbedding, {"ids"}, "e1", "packed")
      .Add(OpType::kAdd, {"e0", "e1"}, "sum")
      .Add(OpType::kMul, {"sum", "x"}, "product")
      .Add(OpType::kLinear, {"product"}, "l0", "packed", "bias")
      .Add(OpType::kRelu, {"l0"}, "a0")
      .Add(OpType::kLinear, {"a0"}, "l1", "float", "bias")
      .Add(OpType::kGelu, {"l1"}, "a1")
      .Add(OpType::kLinear, {"a1"}, "l2", "float")
      .Add(OpType::kSilu, {"l2"}, "a2")
      .Add(OpType::kRmsNorm, {"a2"}, "n0", "norm")
      .Set("eps", 1e-5)
      .Add(OpType::kLayerNorm, {"n0"}, "n1", "norm", "bias")
      .Set("eps", 1e-5)
      .Add(OpType::kRope, {"n1"}, "r", "frequencies")
      .Set("head_dim", 24.0)
      .Set("pairing", std::string("half"))
      .Add(OpType::kLinear, {"n1"}, "kv", "packed.kv")
      .Add(OpType::kAttention, {"r", "kv", "kv"}, "attention")
      .Set("heads", 4.0)
      .Set("kv_heads", 2.0)
      .Add(OpType::kReshape, {"attention"}, "image")
      .Set("shape", std::vector<int64_t>{4, 6, 4})
      .Add(OpType::kConv2d, {"image"}, "c0", "filters")
      .Set("kernel", std::vector<int64_t>{3, 3})
      .Set("padding", std::vector<int64_t>{1, 1, 1, 1})
      .Add(OpType::kDepthwiseConv2d, {"c0"}, "c1", "taps")
      .Set("kernel", std::vector<int64_t>{1, 1})
      .Add(OpType::kMaxPool2d, {"c1"}, "p0")
      .Set("kernel", std::vector<int64_t>{2, 2})
      .Add(OpType::kAvgPool2d, {"p0"}, "p1")
      .Set("kernel", std::vector<int64_t>{1, 1})
      .Set("stride", std::vector<int64_t>{1, 1})
      .Add(OpType::kSigmoid, {"p1"}, "s0")
      .Add(OpType::kTanh, {"s0"}, "s1")
      .Add(OpType::kReshape, {"s1"}, "flat")
      .Set("shape", std::vector<int64_t>{3 * 5 * 4})
      .Add(OpType::kLinear, {"flat"}, "gates", "to_gates")
      .Add(OpType::kLstmCell, {"gates"}, "h", "packed.lstm")
      .Set("gates", std::string("ifgo"))
      .Add(OpType::kExp, {"h"}, "raised")
      .Add(OpType::kPower, {"raised"}, "inverse")
      .Set("exponent", -0.5)
      .Add(OpType::kDynamicQuantize, {"inverse"}, "levels")
      .Set("over", std::string("call"))
      .Add(OpType::kReshape, {"levels"}, "m0")
      .Set("shape", std::vector<int64_t>{4, 6})
      .Add(OpType::kTranspose, {"m0"}, "m1")
      .Set("order", std::vector<int64_t>{1, 0})
      .Add(OpType::kMatmul, {"m0", "m1"}, "m2")
      .Add(OpType::kConstant, {}, "square", "table")
      .Add(OpType::kMul, {"m2", "square"}, "m3")
      .Add(OpType::kReshape, {"m3"}, "m4")
      .Set("shape", std::vector<int64_t>{16})
      .Add(OpType::kSlice, {"m4"}, "m5")
      .Set("length", 15.0)
      .Add(OpType::kGruCell, {"m5"}, "g", "gru")
      .Set("gates", std::string("zrn"))
      .Set("reset", std::string("before"))
      .Floats("table", {4, 4}, RandomFloats(16, 10))
      .Floats("gru", {15, 5}, RandomFloats(75, 11))
      .Add(OpType::kSoftmax, {"h"}, "y")
      .Output("y")
      .Output("l1")
      .Packed("packed", {packed.blob.get(), packed.blob_bytes})
      .Floats("float", {kWidth, kWidth}, RandomFloats(kWidth * kWidth, 2))
      .Floats("bias", {kWidth}, RandomFloats(kWidth, 3))
      .Floats("norm", {kWidth}, RandomFloats(kWidth, 5))
      .Floats("frequencies", {6}, RandomFloats(6, 6))
      .Packed("packed.kv", {kv.blob.get(), kv.blob_bytes})
      .Floats("filters", {4, 36}, RandomFloats(4 * 36, 7))
      .Floats("taps", {1, 4}, RandomFloats(4, 8))
      .Floats("to_gates", {kWidth, 60}, RandomFloats(kWidth * 60, 9))
      .Packed("packed.lstm", {lstm.blob.get(), lstm.blob_bytes})
      .Metadata(kContextLengthKey, "1000");
  return builder;
}

class AllocationTest : public ::testing::Test {
 protected:
  AllocationTest() { EveryOperator().Write(path_); }

  static constexpr size_t kMaxTokens = 70;
  TempDir dir_;
  const std::filesystem::path path_ = dir_ / "m.safetensors";
  const std::vector<int32_t> ids_ = std::vector<int32_t>(kMaxTokens, 3);
  const std::vector<float> x_ = RandomFloats(kMaxTokens * kWidth, 4);
  std::vector<float> y_ = std::vector<float>(kMaxTokens * kWidth);
  std::vector<float> z_ = std::vector<float>(kMaxTokens * kWidth);
  const void* inputs_[2] = {ids_.data(), x_.data()};
  float* outputs_[2] = {y_.data(), z_.data()};
};

TEST_F(AllocationTest, TheCounterCounts) {
  const size_t before = AllocationCount();
  // Volatile, and no new-expression, so that compilers do not leave them out.
  void* volatile memory = ::operator new(10);
  EXPECT_EQ(AllocationCount() - before, 1u);
  ::operator delete(memory);
  memory = std::calloc(10, 10);
  EXPECT_EQ(AllocationCount() - before, 2u);
  std::free(memory);
  memory = std::malloc(10);
  EXPECT_EQ(AllocationCount() - before, 3u);
  memory = std::realloc(memory, 100000);
  EXPECT_EQ(AllocationCount() - before, 4u);
  std::free(memory);
  memory = std::aligned_alloc(64, 640);
  EXPECT_EQ(AllocationCount() - before, 5u);
  std::free(memory);
}

TEST_F(AllocationTest, RunAllocatesNothing) {
  const auto model = Model::Load(path_);
  for (const size_t threads : std::vector<size_t>{1, 2}) {
    for (const auto activations : {kernels::ActivationType::kInt8Asymmetric,
                                   kernels::ActivationType::kInt8Symmetric,
                                   kernels::ActivationType::kFloat32}) {
      Session session(model, {.activations = activations, .threads = threads});
      for (const size_t m : {size_t{1}, size_t{4}, kMaxTokens}) {
        session.Prepare(m);
        session.PrepareLast(m);
        session.sequence().Reserve(4 * m);
        const size_t before = AllocationCount();
        for (int i = 0; i < 3; ++i) session.Run(m, inputs_, outputs_);
        session.RunLast(m, inputs_, outputs_);
        session.Reset();
        EXPECT_EQ(AllocationCount() - before, 0u)
            << "threads " << threads << " m " << m;
      }
      // Sizes that were prepared earlier stay prepared.
      const size_t before = AllocationCount();
      session.Run(1, inputs_, outputs_);
      EXPECT_EQ(AllocationCount() - before, 0u);
    }
  }
}

TEST_F(AllocationTest, TheCApiAllocatesNothing) {
  lutra_model* model = nullptr;
  ASSERT_EQ(lutra_model_load(path_.c_str(), &model), LUTRA_OK)
      << lutra_last_error();
  lutra_session* session = nullptr;
  ASSERT_EQ(lutra_session_create(model, nullptr, &session), LUTRA_OK)
      << lutra_last_error();
  ASSERT_EQ(lutra_session_prepare(session, 5), LUTRA_OK) << lutra_last_error();
  const size_t before = AllocationCount();
  EXPECT_EQ(lutra_session_run(session, 5, inputs_, 2, outputs_, 2), LUTRA_OK);
  // Nor do its queries and its reports of failures.
  lutra_value_info info;
  EXPECT_EQ(lutra_model_input(model, 0, &info), LUTRA_OK);
  EXPECT_EQ(lutra_model_input(model, 9, &info), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(AllocationCount() - before, 0u);
  lutra_session_free(session);
  lutra_model_free(model);
}

}  // namespace
}  // namespace lutra
