// Sessions of models that remember: a small Llama and an LSTM.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <random>
#include <thread>
#include <utility>

#include "lutra/kernels/attention.h"
#include "lutra/runtime/program.h"
#include "lutra/runtime/session.h"
#include "tests/kernels/each_variant.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_llama.h"
#include "tests/runtime/tiny_lstm.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

constexpr size_t kSequenceTokens = 45;

// Feeds ids in calls of the given sizes; the logits of every token.
std::vector<float> Feed(Session& session, std::span<const int32_t> ids,
                        const std::vector<size_t>& calls) {
  const size_t width = session.model().outputs()[0].ElementCount();
  std::vector<float> logits;
  size_t fed = 0;
  for (const size_t m : calls) {
    std::vector<float> y(m * width);
    const void* inputs[] = {&ids[fed]};
    float* outputs[] = {y.data()};
    session.Run(m, inputs, outputs);
    logits.insert(logits.end(), y.begin(), y.end());
    fed += m;
  }
  EXPECT_EQ(fed, ids.size());
  return logits;
}

class SequenceTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Model> Write(const ModelBuilder& builder) {
    // One that is mapped cannot be replaced everywhere.
    const auto path = dir_ / ("m" + std::to_string(++files_) + ".safetensors");
    builder.Write(path);
    return Model::Load(path);
  }

  std::shared_ptr<const Model> Packed() {
    return Write(TinyLlama{.bits = 4}.Build());
  }

  TempDir dir_;
  int files_ = 0;
  const std::vector<int32_t> ids_ = RandomIds(kSequenceTokens, 50, 1);
};

TEST_F(SequenceTest, LlamaIsTheFormula) {
  for (const uint32_t bits : {0u, 4u}) {
    for (const TinyLlama& llama :
         {TinyLlama{.bits = bits},
          TinyLlama{.rotary_dim = 12,
          .window = 10,
          .pairing = "adjacent",
          .bits = bits},
          TinyLlama{.heads = 3, .kv_heads = 3, .bits = bits}}) {
      const auto model = Write(llama.Build());
      const auto expected = llama.Run(ids_);
      for (const auto& [cache, tolerance] :
           {std::pair{CacheType::kFloat32, 2e-4},
            std::pair{CacheType::kFloat16, 2e-2},
            std::pair{CacheType::kInt8, 2e-1}}) {
        // The packed weights give scores so large that the last bits of a key
        // decide which token wins.
        if (bits != 0 && cache != CacheType::kFloat32) continue;
        Session session(model,
                        {.activations = kernels::ActivationType::kFloat32,
                         .threads = 2,
                         .cache = cache});
        const auto y = Feed(session, ids_, {40, 1, 4});
        double largest = 1;
        for (const double e : expected)
          largest = std::max(largest, std::abs(e));
        for (size_t i = 0; i < y.size(); ++i) {
          ASSERT_NEAR(y[i], expected[i], tolerance * largest)
              << "bits " << bits << " token " << i / 50;
        }
      }
    }
  }
}

// They would become infinities. A call that fails leaves the sequence as it
// was.
TEST_F(SequenceTest, KeysAndValuesThatTheCacheCannotHold) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  ModelBuilder builder;
  builder.Input("q", {4})
      .Input("k", {4})
      .Input("v", {4})
      .Add(OpType::kAttention, {"q", "k", "v"}, "y")
      .Set("heads", 1.0)
      .Set("kv_heads", 1.0)
      .Output("y");
  const auto model = Write(builder);
  const auto run = [&](CacheType cache, float key, float value) {
    Session session(model, {.threads = 1, .context = 8, .cache = cache});
    const std::vector<float> q(8);
    std::vector<float> k(8);
    std::vector<float> v(8);
    std::vector<float> y(8);
    k[6] = key;  // of the second token
    v[6] = value;
    const void* inputs[] = {q.data(), k.data(), v.data()};
    float* outputs[] = {y.data()};
    try {
      session.Run(2, inputs, outputs);
    } catch (const Error&) {
      EXPECT_EQ(session.position(), 0u);
      throw;
    }
  };
  for (const float large : {65520.0f, -1e30f}) {
    for (const CacheType cache : {CacheType::kFloat32, CacheType::kInt8}) {
      run(cache, large, large);
    }
    const auto message = [&](float key, float value) {
      return ErrorMessage([&] { run(CacheType::kFloat16, key, value); });
    };
    EXPECT_THAT(message(large, 0),
                HasSubstr("attention node 'y': keys beyond"));
    EXPECT_THAT(message(0, large), HasSubstr("values beyond 65504"));
    EXPECT_THAT(message(large, 0), HasSubstr("CacheType::kFloat32"));
    EXPECT_THAT(message(large, 0), HasSubstr("LUTRA_CACHE_FLOAT32"));
  }
  // The largest that fits, and what is no number in any cache.
  for (const float other : {65519.0f, kInfinity, std::nanf("")}) {
    run(CacheType::kFloat16, other, other);
  }
}

TEST_F(SequenceTest, BitsDoNotDependOnCallsNorThreads) {
  const auto model = Packed();
  for (const CacheType cache :
       {CacheType::kFloat32, CacheType::kFloat16, CacheType::kInt8}) {
    std::vector<float> first;
    for (const size_t threads : std::vector<size_t>{1, 3}) {
      for (const std::vector<size_t>& calls :
           {std::vector<size_t>{kSequenceTokens},
            std::vector<size_t>(kSequenceTokens, 1),
            std::vector<size_t>{1, 16, 7, 21}}) {
        Session session(model, {.threads = threads, .cache = cache});
        const auto y = Feed(session, ids_, calls);
        if (first.empty()) first = y;
        EXPECT_EQ(y, first);
      }
    }
  }
}

TEST_F(SequenceTest, BitsAreTheSameOnEveryVariant) {
  const auto model = Packed();
  std::vector<float> first;
  kernels::ForEachVariant([&](const char* variant) {
    Session session(model, {.threads = 1});
    const auto y = Feed(session, ids_, {30, 1, 14});
    if (first.empty()) first = y;
    EXPECT_EQ(y, first) << variant;
  });
}

TEST_F(SequenceTest, RunLastIsTheLastRow) {
  for (const uint32_t bits : {0u, 4u}) {
    const auto model = Write(TinyLlama{.bits = bits}.Build());
    Session session(model, {.threads = 2});
    const auto all = Feed(session, ids_, {20, 1, 24});
    session.Reset();
    size_t fed = 0;
    for (const size_t m : std::vector<size_t>{20, 1, 24}) {
      std::vector<float> y(50);
      const void* inputs[] = {&ids_[fed]};
      float* outputs[] = {y.data()};
      session.RunLast(m, inputs, outputs);
      fed += m;
      for (size_t i = 0; i < y.size(); ++i) {
        const float expected = all[(fed - 1) * 50 + i];
        if (bits == 0) {  // float rows may run on other kernels
          ASSERT_NEAR(y[i], expected, 1e-4);
        } else {
          ASSERT_EQ(y[i], expected);
        }
      }
    }
    EXPECT_EQ(session.position(), kSequenceTokens);
  }
}

TEST_F(SequenceTest, ResetAndRewind) {
  Session session(Packed(), {.threads = 1});
  EXPECT_EQ(session.context(), 64u);
  const auto all = Feed(session, ids_, {kSequenceTokens});
  EXPECT_EQ(session.position(), kSequenceTokens);
  session.Rewind(10);
  EXPECT_EQ(session.position(), 10u);
  EXPECT_EQ(
      Feed(session, std::span(ids_).subspan(10), {5, kSequenceTokens - 15}),
      std::vector<float>(all.begin() + 10 * 50, all.end()));
  EXPECT_THAT(ErrorMessage([&] { session.Rewind(kSequenceTokens + 1); }),
              HasSubstr("cannot go back to position 46 of a sequence of 45"));
  session.Reset();
  EXPECT_EQ(session.position(), 0u);
  EXPECT_EQ(Feed(session, ids_, {kSequenceTokens}), all);
}

TEST_F(SequenceTest, TheContextIsALimit) {
  Session session(Packed(), {.threads = 1, .context = 50});
  EXPECT_EQ(session.context(), 50u);
  Feed(session, ids_, {kSequenceTokens});
  const std::string message =
      ErrorMessage([&] { Feed(session, std::span(ids_).first(6), {6}); });
  EXPECT_THAT(message,
              HasSubstr("6 tokens after 45 run past the context of 50"));
  EXPECT_EQ(session.position(), kSequenceTokens);
  Feed(session, std::span(ids_).first(5), {5});
  EXPECT_EQ(session.position(), 50u);
}

TEST_F(SequenceTest, AFailedCallChangesNothing) {
  Session session(Packed(), {.threads = 1});
  const auto all = Feed(session, ids_, {kSequenceTokens});
  session.Rewind(20);
  const std::vector<int32_t> bad = {1, 2, 50};
  EXPECT_THAT(ErrorMessage([&] { Feed(session, bad, {3}); }),
              HasSubstr("id 50 of token 2"));
  EXPECT_EQ(session.position(), 20u);
  EXPECT_EQ(Feed(session, std::span(ids_).subspan(20), {25}),
            std::vector<float>(all.begin() + 20 * 50, all.end()));
}

TEST_F(SequenceTest, Cancel) {
  Session session(Packed(), {.threads = 1});
  const auto all = Feed(session, ids_, {kSequenceTokens});
  session.Reset();
  session.Cancel();
  EXPECT_THROW(Feed(session, ids_, {kSequenceTokens}), Cancelled);
  EXPECT_EQ(session.position(), 0u);
  EXPECT_EQ(Feed(session, ids_, {kSequenceTokens}), all);
}

TEST_F(SequenceTest, CancelFromAnotherThread) {
  Session session(Packed(), {.threads = 1});
  session.Prepare(1);
  std::thread other([&] { session.Cancel(); });
  // The call may come first or last; one of them is cancelled.
  EXPECT_THROW(
      while (true) {
        Feed(session, std::span(ids_).first(1), {1});
        session.Reset();
      },
      Cancelled);
  other.join();
}

TEST_F(SequenceTest, ManySessionsShareAModel) {
  const auto model = Packed();
  Session reference(model, {.threads = 1});
  const auto expected = Feed(reference, ids_, {kSequenceTokens});
  constexpr size_t kSessions = 4;
  std::vector<std::vector<float>> results(kSessions);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kSessions; ++i) {
    threads.emplace_back([&, i] {
      Session session(model, {.threads = i % 2 + 1});
      results[i] = Feed(session, ids_, {i + 1, kSequenceTokens - i - 1});
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, expected);
}

TEST_F(SequenceTest, MemoryIsReported) {
  const auto model = Packed();
  Session session(model, {.threads = 1});
  session.Prepare(8);
  session.PrepareLast(16);
  const MemoryReport memory = session.Memory();
  size_t weights = 0;
  for (const TensorView& tensor : model->file().tensors()) {
    weights += tensor.data.size();
  }
  EXPECT_EQ(memory.weights, weights);
  EXPECT_EQ(memory.arena, session.ArenaBytes());
  // A page of 64 tokens: keys and values of two layers and two heads; values
  // are padded to 16.
  EXPECT_EQ(memory.state, 2u * 2 * (12 + 16) * 64 * 2);
  Session large(model, {.threads = 1, .cache = CacheType::kFloat32});
  EXPECT_EQ(large.Memory().state, 0u);
  large.Prepare(1);
  EXPECT_EQ(large.Memory().state, 2 * memory.state);
  EXPECT_EQ(large.program().SequenceBytes(1), 2 * memory.state);
  EXPECT_EQ(large.program().SequenceBytes(64), 2 * memory.state);
  EXPECT_EQ(large.program().SequenceBytes(65), 4 * memory.state);
}

TEST_F(SequenceTest, Profile) {
  const auto model = Packed();
  Session session(model, {.threads = 1});
  EXPECT_TRUE(session.Profile().empty());
  session.EnableProfiling(true);
  Feed(session, ids_, {kSequenceTokens - 1, 1});
  session.EnableProfiling(false);
  Feed(session, std::span(ids_).first(1), {1});
  const auto profile = session.Profile();
  ASSERT_EQ(profile.size(), model->graph().nodes.size());
  size_t along = 0;  // computed along with an earlier node
  for (size_t i = 0; i < profile.size(); ++i) {
    EXPECT_EQ(profile[i].name, model->graph().nodes[i].output);
    if (profile[i].calls == 0) {
      ++along;
    } else {
      EXPECT_EQ(profile[i].calls, 2u);
    }
  }
  // In each of two layers keys, values, up, silu and both sums.
  EXPECT_EQ(along, 12u);
  const auto attention = std::find_if(
      profile.begin(), profile.end(),
      [](const NodeProfile& node) { return node.op == OpType::kAttention; });
  ASSERT_NE(attention, profile.end());
  // Token i looks back at i + 1; scores and weighted sums cost the same.
  const size_t width = model->value(attention->name).ElementCount();
  EXPECT_EQ(attention->multiply_adds,
            kSequenceTokens * (kSequenceTokens + 1) * width);
  const NodeProfile& logits = profile.back();
  EXPECT_EQ(logits.op, OpType::kLinear);
  EXPECT_EQ(logits.multiply_adds, kSequenceTokens * 50 * 32);
  EXPECT_EQ(logits.bytes, 2 * model->file().Get("embedding").data.size());
  EXPECT_GT(logits.nanoseconds, 0u);
}

TEST_F(SequenceTest, AttentionNeedsAContext) {
  ModelBuilder builder = TinyLlama{.bits = 4}.Build();
  builder.NoMetadata(kContextLengthKey);
  const auto model = Write(builder);
  EXPECT_EQ(model->context_length(), 0u);
  EXPECT_THAT(ErrorMessage([&] { Session session(model, {.threads = 1}); }),
              HasSubstr("a context must be given"));
  Session session(model, {.threads = 1, .context = 7});
  EXPECT_EQ(session.context(), 7u);
}

// Layers that read the keys and values of another one.
TEST_F(SequenceTest, NodesWithTheSameKeysShareACache) {
  const auto build = [&](const char* keys_of_second) {
    ModelBuilder builder;
    builder.Input("q", {8}).Input("k", {8}).Input("v", {8});
    builder.Add(OpType::kScale, {"k"}, "k2").Set("factor", 1.0);
    for (const auto& [output, keys] :
         {std::pair("a", "k"), std::pair("b", keys_of_second)}) {
      builder.Add(OpType::kAttention, {"q", keys, "v"}, output)
          .Set("heads", 2.0)
          .Set("kv_heads", 2.0)
          .Set("window", std::string(output) == "b" ? 3.0 : 0.0);
    }
    builder.Add(OpType::kAdd, {"a", "b"}, "y").Output("y");
    return Write(builder);
  };
  const auto run = [](Program& program) {
    const auto values = RandomFloats(kSequenceTokens * 8, 1);
    std::vector<float> y(kSequenceTokens * 8);
    Sequence sequence = program.NewSequence();
    const Program::Rows rows = {&sequence, kSequenceTokens};
    const std::vector<const void*> in(3, values.data());
    float* const out = y.data();
    program.Run({&rows, 1}, in, {&out, 1});
    return y;
  };
  Program shared(build("k"), {.threads = 1, .context = 64});
  Program apart(build("k2"), {.threads = 1, .context = 64});
  EXPECT_EQ(run(shared), run(apart));
  EXPECT_EQ(2 * shared.SequenceBytes(64), apart.SequenceBytes(64));
}

TEST_F(SequenceTest, AbsurdContextsAreRefused) {
  const auto model = Packed();
  for (const size_t context : {size_t{1} << 50, ~size_t{0}, ~size_t{0} / 64}) {
    EXPECT_THAT(ErrorMessage([&] {
                  Session session(model, {.threads = 1, .context = context});
                  session.Prepare(1);
                }),
                HasSubstr("memory"));
  }
}

TEST_F(SequenceTest, LstmRemembers) {
  const auto model = Write(TinyLstm());
  const auto x = RandomFloats(12 * 5, 1);
  const auto feed = [&](Session& session, size_t first, size_t m) {
    std::vector<float> y(m * 3);
    const void* inputs[] = {&x[first * 5]};
    float* outputs[] = {y.data()};
    session.Run(m, inputs, outputs);
    return y;
  };
  Session session(model, {.threads = 1});
  EXPECT_EQ(session.context(), 0u);
  const auto all = feed(session, 0, 12);
  session.Reset();
  auto parts = feed(session, 0, 5);
  session.Cancel();
  EXPECT_THROW(feed(session, 5, 7), Cancelled);
  for (size_t i = 5; i < 12; ++i) {
    const auto y = feed(session, i, 1);
    parts.insert(parts.end(), y.begin(), y.end());
  }
  EXPECT_EQ(parts, all);
  EXPECT_THAT(ErrorMessage([&] { session.Rewind(3); }),
              HasSubstr("has recurrent nodes"));
  session.Rewind(12);
  session.Rewind(0);
  EXPECT_EQ(feed(session, 0, 12), all);
}

// The options of attention that the tiny Llama lacks, against the kernels'
// definition, in calls of several sizes.
TEST_F(SequenceTest, AttentionTakesASoftCapAndSinks) {
  constexpr size_t kLength = 150;
  kernels::AttentionShape shape{.heads = 4,
                                .kv_heads = 2,
                                .head_dim = 8,
                                .context = kLength,
                                .scale = 0.5f,
                                .window = 100,
                                .soft_cap = 1.5f};
  const auto sinks = RandomFloats(shape.heads, 1);
  const auto q = RandomFloats(kLength * 32, 2, 3.0f);
  const auto k = RandomFloats(kLength * 16, 3);
  const auto v = RandomFloats(kLength * 16, 4);
  ModelBuilder builder;
  builder.Input("q", {32})
      .Input("k", {16})
      .Input("v", {16})
      .Add(OpType::kAttention, {"q", "k", "v"}, "y", "sinks")
      .Set("heads", 4.0)
      .Set("kv_heads", 2.0)
      .Set("scale", 0.5)
      .Set("window", 100.0)
      .Set("soft_cap", 1.5)
      .Floats("sinks", {4}, sinks)
      .Output("y");
  const auto model = Write(builder);
  for (const auto cache :
       {kernels::CacheType::kFloat32, kernels::CacheType::kFloat16,
        kernels::CacheType::kInt8}) {
    shape.cache = cache;
    std::vector<float> expected(q.size());
    for (size_t t = 0; t < kLength; ++t) {
      kernels::reference::Attend(shape, t, &q[t * 32], sinks.data(), k.data(),
                                 v.data(), &expected[t * 32]);
    }
    for (const size_t threads : {1u, 3u}) {
      Session session(model,
                      {.threads = threads, .context = kLength, .cache = cache});
      std::vector<float> y(q.size());
      size_t fed = 0;
      for (const size_t m : {3u, 1u, 100u, 46u}) {
        const void* inputs[] = {&q[fed * 32], &k[fed * 16], &v[fed * 16]};
        float* outputs[] = {&y[fed * 32]};
        session.Run(m, inputs, outputs);
        fed += m;
      }
      EXPECT_EQ(y, expected) << threads << " threads";
    }
  }
}

}  // namespace
}  // namespace lutra
