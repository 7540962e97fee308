#include "lutra/runtime/language_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

class LanguageModelTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Model> Write(const TinyLanguage& tiny) {
    tiny.Build().Write(dir_ / "m.safetensors");
    return Model::Load(dir_ / "m.safetensors");
  }

  static std::vector<int32_t> Ids(size_t count) {
    std::vector<int32_t> ids;
    for (size_t i = 0; i < count; ++i) {
      ids.push_back(static_cast<int32_t>(i * 7 % TinyLanguage::kVocabulary));
    }
    return ids;
  }

  static std::vector<float> Copy(std::span<const float> logits) {
    return {logits.begin(), logits.end()};
  }

  TempDir dir_;
};

LanguageModelOptions WithChunk(size_t chunk) {
  LanguageModelOptions options;
  options.chunk = chunk;
  options.session.threads = 1;
  return options;
}

// However a sequence is cut into calls and chunks: the same bits.
TEST_F(LanguageModelTest, CutsDoNotMatter) {
  const auto model = Write({.packed = true});
  const std::vector<int32_t> ids = Ids(45);
  LanguageModel one_by_one(model, WithChunk(1));
  std::vector<float> expected;
  for (const int32_t id : ids) expected = Copy(one_by_one.Feed({&id, 1}));
  for (const size_t chunk : {size_t{1}, size_t{4}, size_t{13}, size_t{128}}) {
    LanguageModel whole(model, WithChunk(chunk));
    EXPECT_EQ(Copy(whole.Feed(ids)), expected) << chunk;
    EXPECT_EQ(whole.position(), 45u);
    whole.Reset();
    EXPECT_EQ(whole.position(), 0u);
    whole.Feed(std::span(ids).first(13));
    EXPECT_EQ(Copy(whole.Feed(std::span(ids).subspan(13))), expected) << chunk;
  }
}

TEST_F(LanguageModelTest, ScoreGivesTheLogitsAfterEveryToken) {
  const auto model = Write({.packed = true});
  const std::vector<int32_t> ids = Ids(21);
  LanguageModel feed(model, WithChunk(1));
  std::vector<std::vector<float>> expected;
  for (const int32_t id : ids) {
    expected.push_back(Copy(feed.Feed({&id, 1})));
  }
  LanguageModel score(model, WithChunk(8));
  std::vector<std::vector<float>> actual;
  score.Score(ids, [&](size_t i, std::span<const float> logits) {
    EXPECT_EQ(i, actual.size());
    actual.push_back(Copy(logits));
  });
  EXPECT_EQ(actual, expected);
  EXPECT_EQ(score.position(), ids.size());
}

TEST_F(LanguageModelTest, RewindForgets) {
  LanguageModel model(Write({}), WithChunk(16));
  const std::vector<int32_t> ids = Ids(20);
  model.Feed(std::span(ids).first(10));
  const std::vector<float> expected =
      Copy(model.Feed(std::span(ids).subspan(10, 1)));
  model.Feed(std::span(ids).subspan(15));
  model.Rewind(10);
  EXPECT_EQ(model.position(), 10u);
  EXPECT_EQ(Copy(model.Feed(std::span(ids).subspan(10, 1))), expected);
  EXPECT_THAT(ErrorMessage([&] { model.Rewind(12); }), HasSubstr("12"));
}

TEST_F(LanguageModelTest, TheContextIsALimit) {
  LanguageModel model(Write({.context = 32}), WithChunk(8));
  EXPECT_EQ(model.context(), 32u);
  model.Feed(Ids(30));
  const std::string error = ErrorMessage([&] { model.Feed(Ids(3)); });
  EXPECT_THAT(error, HasSubstr("the context of 32 tokens is too short"));
  EXPECT_THAT(error, HasSubstr("30 are fed and 3 more were given"));
  EXPECT_EQ(model.position(), 30u);
  EXPECT_NO_THROW(model.Feed(Ids(2)));
  EXPECT_THROW(model.Score(Ids(1), [](size_t, std::span<const float>) {}),
               Error);

  LanguageModelOptions options = WithChunk(8);
  options.session.context = 5;
  LanguageModel shorter(Write({.context = 32}), options);
  EXPECT_EQ(shorter.context(), 5u);
  EXPECT_THROW(shorter.Feed(Ids(6)), Error);
}

TEST_F(LanguageModelTest, WrongUse) {
  LanguageModel model(Write({}), WithChunk(8));
  EXPECT_THAT(ErrorMessage([&] { model.Feed({}); }), HasSubstr("no tokens"));
  const int32_t wrong[] = {3, 37};
  EXPECT_THAT(ErrorMessage([&] { model.Feed(wrong); }), HasSubstr("37"));
  EXPECT_THAT(ErrorMessage([&] { LanguageModel(Write({}), WithChunk(0)); }),
              HasSubstr("at least one token"));
  EXPECT_THAT(ErrorMessage([&] { LanguageModel(nullptr); }),
              HasSubstr("no model"));

  ModelBuilder images;
  images.Input("x", {4})
      .Add(OpType::kLinear, {"x"}, "y", "w")
      .Output("y")
      .Floats("w", {3, 4}, RandomFloats(12, 1));
  images.Write(dir_ / "images.safetensors");
  const auto other = Model::Load(dir_ / "images.safetensors");
  EXPECT_FALSE(LanguageModel::Accepts(*other));
  EXPECT_THAT(ErrorMessage([&] { LanguageModel{other}; }),
              HasSubstr("is not a language model"));
}

TEST_F(LanguageModelTest, CancelFromAnotherThread) {
  LanguageModel model(Write({.context = 64}), WithChunk(8));
  std::atomic<bool> running{false};
  std::thread other([&] {
    while (!running) std::this_thread::yield();
    model.Cancel();
  });
  const std::vector<int32_t> ids = Ids(60);
  EXPECT_THROW(
      {
        // Ends by the cancellation only.
        while (true) {
          model.Reset();
          model.Feed(ids);
          running = true;
        }
      },
      Cancelled);
  other.join();
  // It goes on from what was fed.
  const size_t fed = model.position();
  EXPECT_LE(fed, ids.size());
  const std::vector<float> rest =
      Copy(model.Feed(std::span(ids).subspan(std::min<size_t>(fed, 59))));
  LanguageModel fresh(Write({.context = 64}), WithChunk(8));
  if (fed < ids.size()) {
    EXPECT_EQ(rest, Copy(fresh.Feed(ids)));
  }
}

// A call that does not run yet is the next one.
TEST_F(LanguageModelTest, CancelBeforeACall) {
  LanguageModel model(Write({}), WithChunk(8));
  model.Cancel();
  EXPECT_THROW(model.Feed(Ids(3)), Cancelled);
  EXPECT_EQ(model.position(), 0u);
  EXPECT_NO_THROW(model.Feed(Ids(3)));
}

// One arena serves prompts of any length.
TEST_F(LanguageModelTest, OneArenaForAllSizes) {
  LanguageModel model(Write({.context = 64}), WithChunk(8));
  model.Feed(Ids(15));
  const size_t arena = model.Memory().arena;
  for (const size_t count :
       {size_t{3}, size_t{5}, size_t{6}, size_t{7}, size_t{21}}) {
    model.Reset();
    model.Feed(Ids(count));
    EXPECT_EQ(model.Memory().arena, arena) << count;
  }
}

TEST_F(LanguageModelTest, Memory) {
  LanguageModelOptions options = WithChunk(8);
  options.session.cache = CacheType::kFloat32;
  const auto model = Write({.context = 64});
  LanguageModel language(model, options);
  const MemoryReport report = language.Memory();
  size_t weights = 0;
  for (const TensorView& tensor : model->file().tensors()) {
    weights += tensor.data.size();
  }
  EXPECT_EQ(report.weights, weights);
  EXPECT_GT(report.arena, 0u);
  // Keys and values of two heads of 8, for the tokens of a page.
  EXPECT_GE(report.state, 64u * 2 * 2 * 8 * sizeof(float));
  EXPECT_EQ(report.state, language.program().SequenceBytes(1));
}

}  // namespace
}  // namespace lutra
