#include "lutra/runtime/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <random>
#include <thread>

#include "lutra/kernels/thread_team.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kInputs = 48;
constexpr int64_t kOutputs = 10;

class SessionTest : public ::testing::Test {
 protected:
  // x [48] -> packed linear -> relu -> float linear -> y [10]
  std::shared_ptr<const Model> MixedModel() {
    std::mt19937 rng(3);
    constexpr uint32_t kHidden = 70;
    const auto packed = kernels::MakeRandomMatrix(
        {.n = kHidden, .k = kInputs, .bits = 2, .group_size = 16},
        kernels::TableKind::kSmall, rng);
    ModelBuilder builder;
    builder.Input("x", {kInputs})
        .Add(OpType::kLinear, {"x"}, "h0", "w0", "b0")
        .Add(OpType::kRelu, {"h0"}, "h1")
        .Add(OpType::kLinear, {"h1"}, "y", "w1", "b1")
        .Output("y")
        .Packed("w0", {packed.blob.get(), packed.blob_bytes})
        .Floats("b0", {kHidden}, RandomFloats(kHidden, 1))
        .Floats("w1", {kOutputs, kHidden}, RandomFloats(kOutputs * kHidden, 2))
        .Floats("b1", {kOutputs}, RandomFloats(kOutputs, 3));
    return Load(builder);
  }

  std::shared_ptr<const Model> Load(const ModelBuilder& builder) {
    builder.Write(path_);
    return Model::Load(path_);
  }

  static std::vector<float> Run(Session& session, size_t m,
                                const std::vector<float>& x) {
    std::vector<float> y(m * session.model().outputs()[0].ElementCount());
    const void* const inputs[] = {x.data()};
    float* const outputs[] = {y.data()};
    session.Run(m, inputs, outputs);
    return y;
  }

  TempDir dir_;
  const std::filesystem::path path_ = dir_ / "m.safetensors";
};

TEST_F(SessionTest, SizesMayAlternate) {
  const auto model = MixedModel();
  Session session(model, {.threads = 1});
  const auto x = RandomFloats(64 * kInputs, 9);
  std::map<size_t, std::vector<float>> first;
  for (const size_t m : std::vector<size_t>{1, 64, 3, 1, 64, 2, 3, 1}) {
    const auto y = Run(session, m, x);
    const auto [it, is_new] = first.emplace(m, y);
    EXPECT_EQ(it->second, y) << m;
  }
  EXPECT_EQ(first.size(), 4u);
}

// The value of a token does not depend on the others of the call.
TEST_F(SessionTest, BatchesAgreeWithSingleTokens) {
  const auto model = MixedModel();
  Session session(model, {.threads = 2});
  constexpr size_t kTokens = 13;
  const auto x = RandomFloats(kTokens * kInputs, 9);
  const auto batch = Run(session, kTokens, x);
  for (size_t t = 0; t < kTokens; ++t) {
    const auto at = x.begin() + static_cast<ptrdiff_t>(t) * kInputs;
    const auto single = Run(session, 1, {at, at + kInputs});
    for (size_t i = 0; i < kOutputs; ++i) {
      // XNNPACK sums in another order for other sizes.
      EXPECT_NEAR(single[i], batch[t * kOutputs + i], 1e-4);
    }
  }
}

TEST_F(SessionTest, ThreadsOfAnyNumberGiveTheSameBits) {
  const auto model = MixedModel();
  constexpr size_t kTokens = 9;
  const auto x = RandomFloats(kTokens * kInputs, 9);
  Session one(model, {.threads = 1});
  const auto expected = Run(one, kTokens, x);
  for (const size_t threads : std::vector<size_t>{2, 3, 5}) {
    // More than the machine has, as the case may be.
    const auto executor = StartThreadTeam(threads);
    Session session(model, {.executor = executor.get()});
    EXPECT_EQ(session.threads(), threads);
    EXPECT_EQ(Run(session, kTokens, x), expected) << threads;
  }
}

#if defined(__linux__)
// As many as the process may run on, of which a thread may be one.
TEST_F(SessionTest, DefaultThreads) {
  const auto model = MixedModel();
  size_t threads = 0;
  std::thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<size_t>(sched_getcpu()), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    threads = Session(model, {}).threads();
  }).join();
  EXPECT_EQ(threads, 1u);
  cpu_set_t all;
  CPU_ZERO(&all);
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  const auto processors = static_cast<size_t>(CPU_COUNT(&all));
  EXPECT_LE(Session(model, {}).threads(), processors);
  EXPECT_GE(Session(model, {}).threads(), (processors + 1) / 2);
}
#endif

TEST_F(SessionTest, UsesThePoolOfTheApp) {
  const std::unique_ptr<Executor> executor = StartThreadTeam(3);
  const auto model = MixedModel();
  const auto x = RandomFloats(kInputs, 9);
  Session own(model, {.threads = 1});
  Session session(model, {.executor = executor.get(), .threads = 1});
  EXPECT_EQ(session.threads(), 3u);
  EXPECT_EQ(Run(session, 1, x), Run(own, 1, x));
}

TEST_F(SessionTest, ManyThreadsShareAModel) {
  auto model = MixedModel();
  constexpr size_t kTokens = 4;
  const auto x = RandomFloats(kTokens * kInputs, 9);
  Session reference(model, {.threads = 1});
  const auto expected = Run(reference, kTokens, x);
  std::vector<int> matches(4, 0);
  std::vector<std::thread> threads;
  for (int& count : matches) {
    threads.emplace_back([&expected, &x, &count, model] {
      Session session(model, {.threads = 2});
      for (int i = 0; i < 20; ++i) {
        count += Run(session, kTokens, x) == expected ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(matches, std::vector<int>(4, 20));
}

TEST_F(SessionTest, KeepsTheModelAlive) {
  Session session(MixedModel(), {.threads = 1});
  std::filesystem::remove(path_);
  const auto x = RandomFloats(kInputs, 9);
  const auto y = Run(session, 1, x);
  Session moved = std::move(session);
  EXPECT_EQ(Run(moved, 1, x), y);
}

TEST_F(SessionTest, ArenaBytes) {
  Session session(MixedModel(), {.threads = 1});
  EXPECT_EQ(session.ArenaBytes(), 0u);
  session.Prepare(1);
  const size_t small = session.ArenaBytes();
  EXPECT_GE(small, kInputs * sizeof(float));
  session.Prepare(100);
  const size_t large = session.ArenaBytes();
  EXPECT_GT(large, 50 * kInputs * sizeof(float));
  session.Prepare(1);
  EXPECT_EQ(session.ArenaBytes(), large);
}

TEST_F(SessionTest, ArenaOfADeepGraphIsReused) {
  ModelBuilder builder;
  builder.Input("0", {1000});
  for (int i = 0; i < 50; ++i) {
    builder.Add(OpType::kRelu, {std::to_string(i)}, std::to_string(i + 1));
  }
  builder.Output("50");
  Session session(Load(builder), {.threads = 1});
  session.Prepare(1);
  EXPECT_LE(session.ArenaBytes(), 2 * (1000 * sizeof(float) + 128));
}

TEST_F(SessionTest, RefusesWrongUse) {
  const auto model = MixedModel();
  EXPECT_THAT(ErrorMessage([] { Session(nullptr, {}); }),
              HasSubstr("no model"));
  EXPECT_THAT(ErrorMessage([&] { Session(model, {.threads = 1025}); }),
              HasSubstr("threads: 1025 are more than the limit of 1024"));
  Session session(model, {.threads = 1});
  EXPECT_THAT(ErrorMessage([&] { session.Prepare(0); }),
              HasSubstr("at least one token"));
  const auto x = RandomFloats(kInputs, 9);
  std::vector<float> y(kOutputs);
  const void* const inputs[] = {x.data(), x.data()};
  float* const outputs[] = {y.data(), y.data()};
  EXPECT_THAT(ErrorMessage([&] {
                session.Run(1, inputs, {outputs, 1});
              }),
              HasSubstr("2 inputs given, but the model has 1"));
  EXPECT_THAT(ErrorMessage([&] {
                session.Run(1, {inputs, 1}, {});
              }),
              HasSubstr("0 outputs given, but the model has 1"));
  EXPECT_THAT(ErrorMessage([&] {
                session.Run(0, {inputs, 1}, {outputs, 1});
              }),
              HasSubstr("at least one token"));
  // Still usable.
  session.Run(1, {inputs, 1}, {outputs, 1});
  EXPECT_EQ(y, Run(session, 1, x));
}

TEST_F(SessionTest, RefusesMoreTokensThanMemoryHolds) {
  Session session(MixedModel(), {.threads = 1});
  constexpr size_t kMost = std::numeric_limits<size_t>::max();
  EXPECT_THAT(ErrorMessage([&] { session.Prepare(kMost); }),
              HasSubstr("overflow"));
  EXPECT_THAT(ErrorMessage([&] { session.Prepare(kMost / 4 / 70 + 1); }),
              HasSubstr("overflow"));
  EXPECT_THAT(ErrorMessage([&] { session.Prepare(size_t{1} << 50); }),
              HasSubstr("memory"));
  EXPECT_EQ(session.ArenaBytes(), 0u);
}

TEST_F(SessionTest, MemoryOfTheContextIsNamed) {
  ModelBuilder builder;
  builder.Input("x", {64})
      .Add(OpType::kAttention, {"x", "x", "x"}, "y")
      .Set("heads", 1.0)
      .Set("kv_heads", 1.0)
      .Output("y");
  const auto model = Load(builder);
  for (const int shift : {45, 62}) {  // a cache of more than 63 bits, and 64
    const size_t context = size_t{1} << shift;
    EXPECT_THAT(ErrorMessage([&] {
                  Session(model, {.threads = 1, .context = context}).Prepare(1);
                }),
                AllOf(HasSubstr("m.safetensors: "),
                      HasSubstr("with a context of " + std::to_string(context) +
                                " tokens (the option 'context')")));
  }
}

TEST_F(SessionTest, RefusesIdsOutOfRange) {
  ModelBuilder builder;
  builder.Input("ids", {}, ValueType::kInt32)
      .Add(OpType::kEmbedding, {"ids"}, "y", "w")
      .Output("y")
      .Floats("w", {5, 1}, RandomFloats(5, 1));
  Session session(Load(builder), {.threads = 1});
  std::vector<float> y(3);
  float* const outputs[] = {y.data()};
  for (const int32_t wrong : {-1, 5, std::numeric_limits<int32_t>::min(),
                              std::numeric_limits<int32_t>::max()}) {
    const std::vector<int32_t> ids = {0, wrong, 4};
    const void* const inputs[] = {ids.data()};
    const std::string message =
        ErrorMessage([&] { session.Run(3, inputs, outputs); });
    EXPECT_THAT(message, HasSubstr("id " + std::to_string(wrong) +
                                   " of token 1 is outside 0..4"));
    EXPECT_THAT(message, HasSubstr("m.safetensors"));
  }
}

TEST_F(SessionTest, InputsMayBeOutputs) {
  ModelBuilder builder;
  builder.Input("x", {3})
      .Add(OpType::kRelu, {"x"}, "r")
      .Add(OpType::kAdd, {"x", "r"}, "s")
      .Output("x")
      .Output("r")
      .Output("s");
  Session session(Load(builder), {.threads = 1});
  const std::vector<float> x = {1, -2, 3};
  std::vector<float> copy(3), relu(3), sum(3);
  const void* const inputs[] = {x.data()};
  float* const outputs[] = {copy.data(), relu.data(), sum.data()};
  session.Run(1, inputs, outputs);
  EXPECT_EQ(copy, x);
  EXPECT_EQ(relu, (std::vector<float>{1, 0, 3}));
  EXPECT_EQ(sum, (std::vector<float>{2, -2, 6}));
}

// Random graphs against an evaluation that shares no memory: a value that the
// memory plan let another overwrite would be found.
TEST_F(SessionTest, RandomGraphs) {
  std::mt19937 rng(17);
  for (int round = 0; round < 40; ++round) {
    constexpr size_t kTokens = 3;
    constexpr size_t kElements = 37 * kTokens;
    ModelBuilder builder;
    std::map<std::string, std::vector<float>> values;
    std::vector<std::string> names;
    std::vector<const void*> inputs;
    for (int i = 0; i < 2; ++i) {
      names.push_back(std::string("x") + std::to_string(i));
      builder.Input(names.back(), {37});
      auto& value = values[names.back()];
      value = RandomFloats(kElements, static_cast<uint32_t>(rng()), 0.5f);
      inputs.push_back(value.data());
    }
    const size_t nodes = 1 + rng() % 25;
    for (size_t i = 0; i < nodes; ++i) {
      const std::string a = names[rng() % names.size()];
      const std::string b = names[rng() % names.size()];
      const std::string output = std::string("v") + std::to_string(i);
      std::vector<float> value(kElements);
      const bool add = rng() % 2 == 0;
      for (size_t e = 0; e < kElements; ++e) {
        value[e] =
            add ? values[a][e] + values[b][e] : values[a][e] * values[b][e];
      }
      builder.Add(add ? OpType::kAdd : OpType::kMul, {a, b}, output);
      values[output] = std::move(value);
      names.push_back(output);
    }
    std::vector<std::string> results;
    for (const std::string& name : names) {
      if (rng() % 6 == 0 || name == names.back()) results.push_back(name);
    }
    std::vector<std::vector<float>> y(results.size());
    std::vector<float*> outputs;
    for (size_t i = 0; i < results.size(); ++i) {
      builder.Output(results[i]);
      y[i].resize(kElements);
      outputs.push_back(y[i].data());
    }
    Session session(Load(builder), {.threads = 1});
    session.Run(kTokens, inputs, outputs);
    for (size_t i = 0; i < results.size(); ++i) {
      ASSERT_THAT(y[i], ::testing::Pointwise(::testing::NanSensitiveFloatEq(),
                                             values[results[i]]))
          << "round " << round << " value " << results[i];
    }
  }
}

}  // namespace
}  // namespace lutra
