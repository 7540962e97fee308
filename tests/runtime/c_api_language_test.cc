// The part of the C API for language models.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lutra.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/sampler.h"
#include "lutra/runtime/tokenizer.h"
#include "lutra/runtime/tokenizer_data.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CApiLanguageTest : public ::testing::Test {
 protected:
  CApiLanguageTest() {
    TinyLanguage{.context = 100}.Build().Write(path_);
    EXPECT_EQ(lutra_model_load(path_.c_str(), &model_), LUTRA_OK)
        << lutra_last_error();
    EXPECT_EQ(lutra_session_create(model_, nullptr, &session_), LUTRA_OK)
        << lutra_last_error();
  }
  ~CApiLanguageTest() override {
    lutra_session_free(session_);
    lutra_model_free(model_);
  }

  std::vector<int32_t> Encode(const std::string& text) {
    std::vector<int32_t> ids(100);
    size_t count = 0;
    EXPECT_EQ(lutra_model_encode(model_, text.data(), text.size(), 1,
                                 ids.data(), ids.size(), &count),
              LUTRA_OK)
        << lutra_last_error();
    ids.resize(count);
    return ids;
  }

  TempDir dir_;
  const std::filesystem::path path_ = dir_ / "m.safetensors";
  lutra_model* model_ = nullptr;
  lutra_session* session_ = nullptr;
};

// The loop that a program writes, compared with the C++ API.
TEST_F(CApiLanguageTest, Generates) {
  lutra_sampler_options options;
  lutra_sampler_options_init(&options);
  options.temperature = 1.5f;
  options.repetition_penalty = 1.1f;
  options.seed = 11;
  const size_t vocabulary = lutra_model_vocabulary(model_);
  ASSERT_EQ(vocabulary, TinyLanguage::kVocabulary);
  lutra_sampler* sampler = nullptr;
  ASSERT_EQ(lutra_sampler_create(&options, vocabulary, &sampler), LUTRA_OK);
  lutra_text_stream* stream = nullptr;
  ASSERT_EQ(lutra_text_stream_create(model_, 1, &stream), LUTRA_OK);

  const auto model = Model::Load(path_);
  const auto tokenizer = Tokenizer::FromModel(*model);
  LanguageModel expected(model);
  Sampler expected_sampler(
      {.temperature = 1.5f, .repetition_penalty = 1.1f, .seed = 11},
      vocabulary);
  TextStream expected_stream(*tokenizer, true);

  const std::vector<int32_t> prompt = Encode("the he");
  EXPECT_EQ(prompt, tokenizer->Encode("the he", true));
  const float* logits = nullptr;
  ASSERT_EQ(lutra_session_feed(session_, prompt.data(), prompt.size(), &logits),
            LUTRA_OK);
  std::span<const float> expected_logits = expected.Feed(prompt);
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(
        std::vector<float>(logits, logits + vocabulary),
        std::vector<float>(expected_logits.begin(), expected_logits.end()));
    int32_t id = -1;
    ASSERT_EQ(lutra_sampler_sample(sampler, logits, vocabulary, &id), LUTRA_OK);
    ASSERT_EQ(id, expected_sampler.Sample(expected_logits));
    ASSERT_EQ(lutra_sampler_accept(sampler, id), LUTRA_OK);
    expected_sampler.Accept(id);
    const char* text = nullptr;
    size_t bytes = 0;
    ASSERT_EQ(lutra_text_stream_add(stream, id, &text, &bytes), LUTRA_OK);
    EXPECT_EQ(std::string_view(text, bytes), expected_stream.Add(id));
    EXPECT_EQ(text[bytes], '\0');
    ASSERT_EQ(lutra_session_feed(session_, &id, 1, &logits), LUTRA_OK);
    expected_logits = expected.Feed({&id, 1});
  }
  const char* text = nullptr;
  EXPECT_EQ(lutra_text_stream_flush(stream, &text, nullptr), LUTRA_OK);
  EXPECT_EQ(text, expected_stream.Flush());
  EXPECT_EQ(lutra_session_position(session_), prompt.size() + 20);
  EXPECT_EQ(lutra_session_context(session_), 100u);
  EXPECT_EQ(lutra_sampler_reset(sampler), LUTRA_OK);
  lutra_text_stream_free(stream);
  lutra_sampler_free(sampler);
}

TEST_F(CApiLanguageTest, Tokens) {
  const std::vector<int32_t> ids = Encode("the cafe");
  int32_t few[2] = {-1, -1};
  size_t count = 0;
  EXPECT_EQ(lutra_model_encode(model_, "the cafe", 8, 1, few, 2, &count),
            LUTRA_OK);
  EXPECT_EQ(count, ids.size());
  EXPECT_EQ(few[1], ids[1]);
  EXPECT_EQ(lutra_model_encode(model_, nullptr, 0, 0, nullptr, 0, &count),
            LUTRA_OK);
  EXPECT_EQ(count, 0u);

  char text[20] = "";
  size_t bytes = 0;
  EXPECT_EQ(lutra_model_decode(model_, ids.data(), ids.size(), text,
                               sizeof(text), &bytes),
            LUTRA_OK);
  EXPECT_EQ(std::string(text, bytes), "the cafe");
  std::memset(text, 'x', sizeof(text));
  EXPECT_EQ(lutra_model_decode(model_, ids.data(), ids.size(), text, 3, &bytes),
            LUTRA_OK);
  EXPECT_EQ(bytes, 8u);
  EXPECT_EQ(std::string(text, 4), "thex");
  const int32_t wrong = 1000;
  EXPECT_EQ(lutra_model_decode(model_, &wrong, 1, text, 3, &bytes),
            LUTRA_INVALID_ARGUMENT);

  int is_end = -1;
  EXPECT_EQ(lutra_model_is_end(model_, TinyLanguage::kEos, &is_end), LUTRA_OK);
  EXPECT_EQ(is_end, 1);
  EXPECT_EQ(lutra_model_is_end(model_, TinyLanguage::kBos, &is_end), LUTRA_OK);
  EXPECT_EQ(is_end, 0);
}

TEST_F(CApiLanguageTest, SpecialTokens) {
  TokenizerData data = ParseTokenizer(
      Model::Load(path_)->file().Get(kTokenizerTensor).data, "test");
  data.recipe.after = {TinyLanguage::kEos};
  const std::vector<std::byte> bytes = SerializeTokenizer(data);
  TinyLanguage{}
      .Build()
      .Tensor(std::string(kTokenizerTensor), DType::kUInt8,
              {static_cast<int64_t>(bytes.size())}, bytes)
      .Write(path_);
  lutra_model* model = nullptr;
  ASSERT_EQ(lutra_model_load(path_.c_str(), &model), LUTRA_OK);
  const auto encode = [&](int add_special) {
    std::vector<int32_t> ids(4);
    size_t count = 0;
    EXPECT_EQ(lutra_model_encode(model, "a", 1, add_special, ids.data(),
                                 ids.size(), &count),
              LUTRA_OK);
    ids.resize(count);
    return ids;
  };
  const int32_t a = TinyLanguage::kFirstLetter;
  EXPECT_THAT(encode(LUTRA_SPECIAL_NONE), ElementsAre(a));
  EXPECT_THAT(encode(LUTRA_SPECIAL_TEXT),
              ElementsAre(TinyLanguage::kBos, a, TinyLanguage::kEos));
  EXPECT_THAT(encode(LUTRA_SPECIAL_PROMPT), ElementsAre(TinyLanguage::kBos, a));
  int is_unused = -1;
  EXPECT_EQ(lutra_model_is_unused(model, 0, &is_unused), LUTRA_OK);
  EXPECT_EQ(is_unused, 1);
  EXPECT_EQ(lutra_model_is_unused(model, a, &is_unused), LUTRA_OK);
  EXPECT_EQ(is_unused, 0);
  EXPECT_EQ(lutra_model_is_unused(model, 1000, &is_unused),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_model_is_unused(nullptr, 0, &is_unused),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_model_is_unused(model, 0, nullptr), LUTRA_INVALID_ARGUMENT);
  lutra_model_free(model);
}

// In the middle of a prompt, the same in both interfaces.
TEST_F(CApiLanguageTest, WhatWasFedBeforeAFailureStays) {
  lutra_session_options options;
  lutra_session_options_init(&options);
  options.chunk = 4;
  lutra_session* session = nullptr;
  ASSERT_EQ(lutra_session_create(model_, &options, &session), LUTRA_OK);
  LanguageModelOptions four;
  four.chunk = 4;
  LanguageModel language(Model::Load(path_), four);
  std::vector<int32_t> ids = {1, 3, 4, 5,  6,
                              7, 8, 9, 10, 99};  // the last is bad
  EXPECT_EQ(lutra_session_feed(session, ids.data(), ids.size(), nullptr),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_THROW(language.Feed(ids), Error);
  EXPECT_EQ(lutra_session_position(session), 8u);
  EXPECT_EQ(language.position(), 8u);
  // What is fed goes on from there.
  const float* logits = nullptr;
  ASSERT_EQ(lutra_session_feed(session, &ids[8], 1, &logits), LUTRA_OK);
  const std::vector<float> result(logits, logits + TinyLanguage::kVocabulary);
  const auto expected = language.Feed({&ids[8], 1});
  EXPECT_TRUE(std::equal(result.begin(), result.end(), expected.begin()));
  ids.pop_back();
  language.Reset();
  const auto whole = language.Feed(ids);
  EXPECT_TRUE(std::equal(result.begin(), result.end(), whole.begin()));
  // More than the context holds: nothing is fed.
  const std::vector<int32_t> long_text(200, 3);
  EXPECT_EQ(
      lutra_session_feed(session, long_text.data(), long_text.size(), nullptr),
      LUTRA_CONTEXT_FULL);
  EXPECT_THROW(language.Feed(long_text), Error);
  EXPECT_EQ(lutra_session_position(session), 9u);
  EXPECT_EQ(language.position(), 9u);
  lutra_session_free(session);
}

TEST_F(CApiLanguageTest, SequenceAndMemory) {
  const std::vector<int32_t> ids = Encode("the he the");
  const float* logits = nullptr;
  ASSERT_EQ(lutra_session_feed(session_, ids.data(), ids.size(), &logits),
            LUTRA_OK);
  const std::vector<float> first(logits, logits + TinyLanguage::kVocabulary);
  EXPECT_EQ(lutra_session_rewind(session_, 2), LUTRA_OK);
  EXPECT_EQ(lutra_session_position(session_), 2u);
  EXPECT_EQ(lutra_session_rewind(session_, 3), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_session_feed(session_, ids.data(), 1, nullptr), LUTRA_OK);
  EXPECT_EQ(lutra_session_reset(session_), LUTRA_OK);
  EXPECT_EQ(lutra_session_position(session_), 0u);
  ASSERT_EQ(lutra_session_feed(session_, ids.data(), ids.size(), &logits),
            LUTRA_OK);
  EXPECT_EQ(std::vector<float>(logits, logits + first.size()), first);

  lutra_memory_report report;
  lutra_memory_report_init(&report);
  ASSERT_EQ(lutra_session_memory(session_, &report), LUTRA_OK);
  LanguageModel language(Model::Load(path_));
  language.Feed(ids);
  const MemoryReport expected = language.Memory();
  EXPECT_EQ(report.weights, expected.weights);
  EXPECT_EQ(report.arena, expected.arena);
  EXPECT_EQ(report.state, expected.state);

  lutra_session_options options;
  lutra_session_options_init(&options);
  options.context = 10;
  options.cache = LUTRA_CACHE_INT8;
  options.chunk = 4;
  lutra_session* small = nullptr;
  ASSERT_EQ(lutra_session_create(model_, &options, &small), LUTRA_OK)
      << lutra_last_error();
  EXPECT_EQ(lutra_session_context(small), 10u);
  lutra_memory_report less;
  lutra_memory_report_init(&less);
  EXPECT_EQ(lutra_session_memory(small, &less), LUTRA_OK);
  EXPECT_LT(less.state, report.state);
  const std::vector<int32_t> many(11, 3);
  EXPECT_EQ(lutra_session_feed(small, many.data(), many.size(), nullptr),
            LUTRA_CONTEXT_FULL);
  EXPECT_THAT(lutra_last_error(), HasSubstr("context of 10 tokens"));
  lutra_session_free(small);
}

// What a session takes for keys and values with options as they are.
TEST_F(CApiLanguageTest, TheCacheIsTheModelsUnlessItIsChosen) {
  const auto state = [&](std::optional<lutra_cache> cache) {
    lutra_session_options options;
    lutra_session_options_init(&options);
    EXPECT_EQ(options.cache, LUTRA_CACHE_MODEL);
    if (cache) options.cache = *cache;
    lutra_model* model = nullptr;
    lutra_session* session = nullptr;
    EXPECT_EQ(lutra_model_load(path_.c_str(), &model), LUTRA_OK);
    EXPECT_EQ(lutra_session_create(model, &options, &session), LUTRA_OK);
    const int32_t id = 3;
    EXPECT_EQ(lutra_session_feed(session, &id, 1, nullptr), LUTRA_OK);
    lutra_memory_report report;
    lutra_memory_report_init(&report);
    EXPECT_EQ(lutra_session_memory(session, &report), LUTRA_OK);
    lutra_session_free(session);
    lutra_model_free(model);
    return report.state;
  };
  EXPECT_EQ(state({}), state(LUTRA_CACHE_FLOAT16));
  TinyLanguage{.cache = CacheType::kInt8}.Build().Write(path_);
  EXPECT_EQ(state({}), state(LUTRA_CACHE_INT8));
  EXPECT_LT(state({}), state(LUTRA_CACHE_FLOAT16));
  TinyLanguage{.cache = CacheType::kFloat32}.Build().Write(path_);
  EXPECT_EQ(state({}), state(LUTRA_CACHE_FLOAT32));
  EXPECT_GT(state({}), state(LUTRA_CACHE_FLOAT16));
}

TEST_F(CApiLanguageTest, CancelFromAnotherThread) {
  const std::vector<int32_t> ids(90, 5);
  std::atomic<bool> running{false};
  std::thread other([&] {
    while (!running) std::this_thread::yield();
    lutra_session_cancel(session_);
  });
  lutra_status status = LUTRA_OK;
  while (status == LUTRA_OK) {
    ASSERT_EQ(lutra_session_reset(session_), LUTRA_OK);
    status = lutra_session_feed(session_, ids.data(), ids.size(), nullptr);
    running = true;
  }
  other.join();
  EXPECT_EQ(status, LUTRA_CANCELLED);
  EXPECT_THAT(lutra_last_error(), HasSubstr("cancel"));
  EXPECT_EQ(lutra_session_reset(session_), LUTRA_OK);
  EXPECT_EQ(lutra_session_feed(session_, ids.data(), 1, nullptr), LUTRA_OK);
}

TEST_F(CApiLanguageTest, WrongOptions) {
  lutra_session* session = nullptr;
  lutra_session_options options;
  lutra_session_options_init(&options);
  std::memset(&options.cache, 0x7f, 1);
  EXPECT_EQ(lutra_session_create(model_, &options, &session),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("unknown cache"));
  EXPECT_EQ(session, nullptr);
  // A program that knows nothing of contexts and caches.
  std::memset(&options, 0xff, sizeof(options));
  lutra_session_options_init_sized(&options,
                                   offsetof(lutra_session_options, context));
  EXPECT_EQ(lutra_session_create(model_, &options, &session), LUTRA_OK);
  EXPECT_EQ(lutra_session_context(session), 100u);
  lutra_session_free(session);

  lutra_sampler* sampler = nullptr;
  lutra_sampler_options sampling;
  lutra_sampler_options_init(&sampling);
  EXPECT_EQ(sampling.top_k, SamplerOptions().top_k);
  sampling.top_p = 2;
  EXPECT_EQ(lutra_sampler_create(&sampling, 10, &sampler),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(sampler, nullptr);
  EXPECT_THAT(lutra_last_error(), HasSubstr("top-p"));
  sampling.struct_size = 0;
  EXPECT_EQ(lutra_sampler_create(&sampling, 10, &sampler),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_sampler_create(nullptr, 0, &sampler), LUTRA_INVALID_ARGUMENT);
  lutra_memory_report report = {};
  EXPECT_EQ(lutra_session_memory(session_, &report), LUTRA_INVALID_ARGUMENT);
  // An older report ends before `state`; what follows is not the library's.
  report.state = 77;
  report.struct_size = offsetof(lutra_memory_report, state);
  EXPECT_EQ(lutra_session_memory(session_, &report), LUTRA_OK);
  EXPECT_EQ(report.arena, LanguageModel(Model::Load(path_)).Memory().arena);
  EXPECT_EQ(report.state, 77u);
}

TEST_F(CApiLanguageTest, ModelsWithoutTokensOrTokenizer) {
  lutra_model* model = nullptr;
  lutra_session* session = nullptr;
  TinyLanguage tiny;
  tiny.tokenizer = false;
  tiny.Build().Write(dir_ / "mute.safetensors");
  ASSERT_EQ(lutra_model_load((dir_ / "mute.safetensors").c_str(), &model),
            LUTRA_OK);
  size_t count = 0;
  EXPECT_EQ(lutra_model_encode(model, "a", 1, 1, nullptr, 0, &count),
            LUTRA_NOT_FOUND);
  EXPECT_THAT(lutra_last_error(), HasSubstr("has no tokenizer"));
  lutra_text_stream* stream = nullptr;
  EXPECT_EQ(lutra_text_stream_create(model, 0, &stream), LUTRA_NOT_FOUND);
  EXPECT_EQ(stream, nullptr);
  lutra_model_free(model);

  ModelBuilder images;
  images.Input("x", {4})
      .Add(OpType::kLinear, {"x"}, "y", "w")
      .Output("y")
      .Floats("w", {3, 4}, RandomFloats(12, 1));
  images.Write(dir_ / "images.safetensors");
  ASSERT_EQ(lutra_model_load((dir_ / "images.safetensors").c_str(), &model),
            LUTRA_OK);
  EXPECT_EQ(lutra_model_vocabulary(model), 0u);
  ASSERT_EQ(lutra_session_create(model, nullptr, &session), LUTRA_OK);
  const int32_t id = 0;
  EXPECT_EQ(lutra_session_feed(session, &id, 1, nullptr),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("no language model"));
  lutra_session_free(session);
  lutra_model_free(model);
}

TEST_F(CApiLanguageTest, Misuse) {
  const int32_t ids[] = {3, -1};
  const float logits[] = {1, std::numeric_limits<float>::quiet_NaN()};
  int32_t id = 0;
  int is_end = 0;
  size_t count = 0;
  const char* text = nullptr;
  lutra_sampler* sampler = nullptr;
  lutra_text_stream* stream = nullptr;
  lutra_text_stream* none = nullptr;
  lutra_memory_report report;
  lutra_memory_report_init(&report);
  ASSERT_EQ(lutra_sampler_create(nullptr, 2, &sampler), LUTRA_OK);
  ASSERT_EQ(lutra_text_stream_create(model_, 0, &stream), LUTRA_OK);

  const lutra_status refused[] = {
      lutra_session_feed(nullptr, ids, 1, nullptr),
      lutra_session_feed(session_, nullptr, 1, nullptr),
      lutra_session_feed(session_, ids, 0, nullptr),
      lutra_session_feed(session_, ids + 1, 1, nullptr),
      lutra_session_reset(nullptr),
      lutra_session_rewind(nullptr, 0),
      lutra_session_rewind(session_, 1),
      lutra_session_memory(nullptr, &report),
      lutra_session_memory(session_, nullptr),
      lutra_model_encode(nullptr, "a", 1, 0, &id, 1, &count),
      lutra_model_encode(model_, nullptr, 1, 0, &id, 1, &count),
      lutra_model_encode(model_, "a", 1, 0, nullptr, 1, &count),
      lutra_model_encode(model_, "a", 1, 0, &id, 1, nullptr),
      lutra_model_decode(nullptr, ids, 1, nullptr, 0, &count),
      lutra_model_decode(model_, nullptr, 1, nullptr, 0, &count),
      lutra_model_decode(model_, ids, 1, nullptr, 1, &count),
      lutra_model_decode(model_, ids, 1, nullptr, 0, nullptr),
      lutra_model_decode(model_, ids, 2, nullptr, 0, &count),
      lutra_model_is_end(nullptr, 0, &is_end),
      lutra_model_is_end(model_, 0, nullptr),
      lutra_text_stream_create(nullptr, 0, &none),
      lutra_text_stream_create(model_, 0, nullptr),
      lutra_text_stream_add(nullptr, 0, &text, nullptr),
      lutra_text_stream_flush(nullptr, &text, nullptr),
      lutra_sampler_create(nullptr, 2, nullptr),
      lutra_sampler_sample(nullptr, logits, 2, &id),
      lutra_sampler_sample(sampler, nullptr, 2, &id),
      lutra_sampler_sample(sampler, logits, 2, nullptr),
      lutra_sampler_sample(sampler, logits, 1, &id),
      lutra_sampler_sample(sampler, logits, 2, &id),
      lutra_sampler_accept(nullptr, 0),
      lutra_sampler_accept(sampler, 2),
      lutra_sampler_reset(nullptr)};
  size_t i = 0;
  for (const lutra_status status : refused) {
    EXPECT_EQ(status, LUTRA_INVALID_ARGUMENT) << i;
    ++i;
  }
  EXPECT_EQ(none, nullptr);
  EXPECT_EQ(lutra_session_position(nullptr), 0u);
  EXPECT_EQ(lutra_session_context(nullptr), 0u);
  EXPECT_EQ(lutra_model_vocabulary(nullptr), 0u);
  lutra_session_cancel(nullptr);
  lutra_sampler_free(nullptr);
  lutra_text_stream_free(nullptr);
  lutra_memory_report_init(nullptr);
  lutra_sampler_options_init(nullptr);
  lutra_text_stream_free(stream);
  lutra_sampler_free(sampler);
}

// Rows of the vocabulary that the tokenizer does not know.
TEST_F(CApiLanguageTest, PaddingIsUnused) {
  constexpr int64_t kRows = int64_t{TinyLanguage::kVocabulary} + 3;
  TinyLanguage{}
      .Build()
      .Floats("embedding", {kRows, 32}, RandomFloats(kRows * 32, 1))
      .Write(dir_ / "padded");
  lutra_model* model = nullptr;
  ASSERT_EQ(lutra_model_load((dir_ / "padded").c_str(), &model), LUTRA_OK);
  ASSERT_EQ(lutra_model_vocabulary(model), static_cast<size_t>(kRows));
  int is_unused = -1;
  EXPECT_EQ(lutra_model_is_unused(model, kRows - 4, &is_unused), LUTRA_OK);
  EXPECT_EQ(is_unused, 0);
  EXPECT_EQ(lutra_model_is_unused(model, kRows - 1, &is_unused), LUTRA_OK);
  EXPECT_EQ(is_unused, 1);
  EXPECT_EQ(lutra_model_is_unused(model, kRows, &is_unused),
            LUTRA_INVALID_ARGUMENT);
  lutra_model_free(model);
}

TEST_F(CApiLanguageTest, AllowedTokens) {
  const std::vector<float> logits = {5, 4, 3, 2};
  lutra_sampler* sampler = nullptr;
  ASSERT_EQ(lutra_sampler_create(nullptr, logits.size(), &sampler), LUTRA_OK);
  int32_t id = -1;
  const auto sample = [&](const uint32_t* allowed) {
    return lutra_sampler_sample_allowed(sampler, logits.data(), logits.size(),
                                        allowed, &id);
  };
  uint32_t mask = 1u << 2;
  EXPECT_EQ(sample(&mask), LUTRA_OK);
  EXPECT_EQ(id, 2);
  mask = ~0xfu;
  EXPECT_EQ(sample(&mask), LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("every token is excluded"));
  EXPECT_EQ(sample(nullptr), LUTRA_INVALID_ARGUMENT);
  lutra_sampler_free(sampler);
}

TEST_F(CApiLanguageTest, LogProbabilities) {
  const std::vector<float> logits = {0, 2, 1, 2};
  int32_t ids[3] = {};
  float values[3] = {};
  EXPECT_EQ(lutra_top_log_probabilities(logits.data(), 4, 3, ids, values),
            LUTRA_OK);
  EXPECT_THAT(ids, ElementsAre(1, 3, 2));
  EXPECT_EQ(values[0], values[1]);
  EXPECT_NEAR(values[0] - values[2], 1, 1e-6);
  float one = 0;
  EXPECT_EQ(lutra_log_probability(logits.data(), 4, 2, &one), LUTRA_OK);
  EXPECT_EQ(one, values[2]);
  EXPECT_EQ(lutra_top_log_probabilities(logits.data(), 2, 3, ids, values),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_log_probability(logits.data(), 4, 4, &one),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_log_probability(nullptr, 4, 0, &one), LUTRA_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace lutra
