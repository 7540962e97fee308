// Neither feeding nor sampling a token allocates, through C++ and through C.

#include <gtest/gtest.h>

#include <algorithm>
#include <exception>
#include <vector>

#include "lutra.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/sampler.h"
#include "lutra/runtime/text_generator.h"
#include "tests/runtime/allocation_counter.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

SamplerOptions EveryFilter() {
  SamplerOptions options;
  options.repetition_penalty = 1.1f;
  options.repetition_window = 8;  // less than are generated
  options.top_k = 0;
  return options;
}

TEST(GenerationAllocationTest, ATokenAllocatesNothing) {
  const TempDir dir;
  for (const bool packed : {false, true}) {
    const TinyLanguage tiny{.packed = packed};
    tiny.Build().Write(dir / "m.safetensors");
    for (const size_t threads : {size_t{1}, size_t{2}}) {
      LanguageModelOptions options;
      options.session.threads = threads;
      LanguageModel model(Model::Load(dir / "m.safetensors"), options);
      Sampler sampler(EveryFilter(), model.vocabulary());
      int32_t id = 3;
      const size_t before = AllocationCount();
      for (int i = 0; i < 30; ++i) {
        id = sampler.Sample(model.Feed({&id, 1}));
        sampler.Accept(id);
      }
      EXPECT_EQ(AllocationCount() - before, 0u)
          << "packed " << packed << " threads " << threads;
    }
  }
}

// Nor does a prompt of a size that was fed before.
TEST(GenerationAllocationTest, APreparedPromptAllocatesNothing) {
  const TempDir dir;
  const TinyLanguage tiny{.packed = true};
  tiny.Build().Write(dir / "m.safetensors");
  LanguageModelOptions options;
  options.chunk = 16;
  LanguageModel model(Model::Load(dir / "m.safetensors"), options);
  const std::vector<int32_t> prompt(23, 4);
  model.Feed(prompt);
  const size_t before = AllocationCount();
  model.Reset();
  model.Feed(prompt);
  EXPECT_EQ(AllocationCount() - before, 0u);
}

// Whichever allocation fails, a generator can be used on as its header says.
TEST(GenerationAllocationTest, AGeneratorOutlivesEveryFailure) {
  if (!FailAllocation(0)) GTEST_SKIP() << "allocations cannot fail";
  const TempDir dir;
  TinyLanguage{.packed = true}.Build().Write(dir / "m.safetensors");
  const auto model = Model::Load(dir / "m.safetensors");
  const auto tokenizer = Tokenizer::FromModel(*model);
  LanguageModelOptions options;
  options.chunk = 4;
  options.session.threads = 1;
  constexpr const char* kPrompt = "he said to the fox";
  const auto generate = [](TextGenerator& generator, const char* prompt) {
    generator.Generate(prompt, [](std::string_view) {});
    return generator.tokens();
  };
  GenerationOptions six;
  six.max_tokens = 6;
  six.ignore_end = true;
  GenerationOptions twelve = six;
  twelve.max_tokens = 12;
  LanguageModel reference(model, options);
  TextGenerator expected(reference, *tokenizer, twelve);
  const std::vector<int32_t> whole = generate(expected, kPrompt);

  size_t failures = 0;
  for (bool failed = true; failed;) {
    LanguageModel language(model, options);
    TextGenerator generator(language, *tokenizer, six);
    FailAllocation(failures + 1);
    try {
      generate(generator, kPrompt);
      failed = false;
    } catch (const std::exception&) {
      ++failures;
    }
    FailAllocation(0);
    SCOPED_TRACE(failures);
    std::vector<int32_t> tokens = generator.tokens();
    if (tokens.empty()) {
      // No more than a part of the prompt is fed.
      if (language.position() > 0) generator.Reset();
      tokens = generate(generator, kPrompt);
    } else {
      const std::vector<int32_t> more = generate(generator, "");
      tokens.insert(tokens.end(), more.begin(), more.end());
    }
    ASSERT_LE(tokens.size(), whole.size());
    EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), whole.begin()));
  }
  EXPECT_GT(failures, 50u);
}

TEST(GenerationAllocationTest, TheCApiAllocatesNothing) {
  const TempDir dir;
  const TinyLanguage tiny{.packed = true};
  tiny.Build().Write(dir / "m.safetensors");
  lutra_model* model = nullptr;
  lutra_session* session = nullptr;
  lutra_sampler* sampler = nullptr;
  ASSERT_EQ(lutra_model_load((dir / "m.safetensors").c_str(), &model),
            LUTRA_OK);
  ASSERT_EQ(lutra_session_create(model, nullptr, &session), LUTRA_OK);
  const size_t vocabulary = lutra_model_vocabulary(model);
  ASSERT_EQ(lutra_sampler_create(nullptr, vocabulary, &sampler), LUTRA_OK);
  int32_t id = 3;
  const float* logits = nullptr;
  const size_t before = AllocationCount();
  for (int i = 0; i < 30; ++i) {
    ASSERT_EQ(lutra_session_feed(session, &id, 1, &logits), LUTRA_OK);
    ASSERT_EQ(lutra_sampler_sample(sampler, logits, vocabulary, &id), LUTRA_OK);
    ASSERT_EQ(lutra_sampler_accept(sampler, id), LUTRA_OK);
  }
  EXPECT_EQ(AllocationCount() - before, 0u);
  lutra_sampler_free(sampler);
  lutra_session_free(session);
  lutra_model_free(model);
}

}  // namespace
}  // namespace lutra
