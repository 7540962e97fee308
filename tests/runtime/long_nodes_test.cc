// Nodes that compute for long: how much they may, and how they are stopped.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "lutra/runtime/session.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using List = std::vector<int64_t>;

std::shared_ptr<const Model> Load(const ModelBuilder& builder) {
  const TempDir dir;
  builder.Write(dir / "model.safetensors");
  return Model::Load(dir / "model.safetensors");
}

ModelBuilder Pooling(OpType op, const List& image, int64_t kernel,
                     const List& padding) {
  ModelBuilder builder;
  builder.Input("x", image)
      .Add(op, {"x"}, "y")
      .Set("kernel", List{kernel, kernel})
      .Set("padding", padding)
      .Output("y");
  return builder;
}

// 2^40 taps, of which at most four lie on the image.
TEST(LongNodesTest, PoolingLooksAtTheImageOnly) {
  constexpr int64_t kKernel = 1 << 20;
  const List padding = {kKernel - 1, 0, kKernel - 2, 0};
  const std::vector<float> x = {1, 2, 3, 7};
  for (const bool average : {true, false}) {
    Session session(
        Load(Pooling(average ? OpType::kAvgPool2d : OpType::kMaxPool2d,
                     {2, 2, 1}, kKernel, padding)),
        {.threads = 1});
    std::vector<float> y(2);
    const void* const inputs[] = {x.data()};
    float* const outputs[] = {y.data()};
    session.Run(1, inputs, outputs);
    if (average) {
      EXPECT_THAT(y, ElementsAre(1.5f, 3.25f));
    } else {
      EXPECT_THAT(y, ElementsAre(2, 7));
    }
  }
}

TEST(LongNodesTest, PoolingWithoutAnEndIsRefused) {
  const List padding(4, 1023);
  EXPECT_THAT(
      ErrorMessage([&] {
        Load(Pooling(OpType::kMaxPool2d, {2048, 2048, 1}, 2047, padding));
      }),
      HasSubstr("max_pool2d node 'y': needs more than 2^40"));
}

// Runs a model of one node that takes a second, and cancels it when the inputs
// are copied: if the node does not look, the call comes to its end.
void ExpectCancelled(const ModelBuilder& builder, size_t m) {
  Session session(Load(builder), {.threads = 2, .context = m});
  session.Prepare(m);
  std::vector<std::vector<float>> x;
  std::vector<const void*> inputs;
  for (const ValueInfo& input : session.model().inputs()) {
    x.emplace_back(m * input.ElementCount());
    inputs.push_back(x.back().data());
  }
  std::vector<float> y(m * session.model().outputs()[0].ElementCount());
  float* const outputs[] = {y.data()};
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    session.Cancel();
  });
  EXPECT_THROW(session.Run(m, inputs, outputs), Cancelled);
  other.join();
  EXPECT_EQ(session.position(), 0u);
}

TEST(LongNodesTest, PoolingIsCancelled) {
  ExpectCancelled(Pooling(OpType::kAvgPool2d, {1024, 1024, 1}, 63, List(4, 31)),
                  1);
}

TEST(LongNodesTest, ConvolutionsAreCancelled) {
  constexpr int64_t kKernel = 31, kChannels = 8;
  constexpr int64_t kTaps = kKernel * kKernel;
  const auto convolution = [&](OpType op, const List& shape) {
    ModelBuilder builder;
    const auto size = static_cast<size_t>(shape[0] * shape[1]);
    builder.Input("x", {512, 512, kChannels})
        .Add(op, {"x"}, "y", "w")
        .Set("kernel", List{kKernel, kKernel})
        .Floats("w", shape, RandomFloats(size, 1))
        .Output("y");
    return builder;
  };
  ExpectCancelled(convolution(OpType::kDepthwiseConv2d, {kTaps, kChannels}), 1);
  ExpectCancelled(convolution(OpType::kConv2d, {8, kTaps * kChannels}), 1);
}

TEST(LongNodesTest, LinearIsCancelled) {
  ModelBuilder builder;
  builder.Input("x", {1024})
      .Add(OpType::kLinear, {"x"}, "y", "w")
      .Floats("w", {1024, 1024}, RandomFloats(1024 * 1024, 1))
      .Output("y");
  ExpectCancelled(builder, 1 << 14);
}

TEST(LongNodesTest, LstmIsCancelled) {
  ModelBuilder builder;
  builder.Input("x", {1024})
      .Add(OpType::kLstmCell, {"x"}, "y", "w")
      .Set("gates", std::string("ifgo"))
      .Floats("w", {1024, 256}, RandomFloats(1024 * 256, 1))
      .Output("y");
  ExpectCancelled(builder, 1 << 15);
}

TEST(LongNodesTest, AttentionIsCancelled) {
  ModelBuilder builder;
  for (const char* name : {"q", "k", "v"}) builder.Input(name, {512});
  builder.Add(OpType::kAttention, {"q", "k", "v"}, "y")
      .Set("heads", 8.0)
      .Set("kv_heads", 8.0)
      .Output("y");
  ExpectCancelled(builder, 1 << 15);
}

}  // namespace
}  // namespace lutra
