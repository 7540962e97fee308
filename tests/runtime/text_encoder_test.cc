// Vectors of texts, in C++ and in C.

#include "lutra/runtime/text_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "lutra.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/tokenizer.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

class TextEncoderTest : public ::testing::Test {
 protected:
  TextEncoderTest() {
    TinyLanguage{.packed = true, .encodes = true}.Build().Write(path_);
    model_ = Model::Load(path_);
    const auto tokenizer = Tokenizer::FromModel(*model_);
    for (const char* text : {"the quick fox", "a", "he said the word"}) {
      texts_.push_back(tokenizer->Encode(text, true));
    }
  }

  TempDir dir_;
  const std::filesystem::path path_ = dir_ / "m.safetensors";
  std::shared_ptr<const Model> model_;
  std::vector<std::vector<int32_t>> texts_;
};

// The mean of the states of all tokens, each of which sees all others.
TEST_F(TextEncoderTest, TextsTogetherAreAsAlone) {
  TextEncoder encoder(model_, {.threads = 1});
  const size_t width = encoder.dimension();
  const auto all = encoder.EncodeAll(texts_);
  ASSERT_EQ(all.size(), texts_.size() * width);
  for (size_t i = 0; i < texts_.size(); ++i) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(i * width);
    EXPECT_EQ(
        encoder.Encode(texts_[i]),
        std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(width)))
        << i;
  }
  EXPECT_TRUE(encoder.EncodeAll({}).empty());
  // The order counts: what comes later is seen by what comes before.
  std::vector<int32_t> turned(texts_[0].rbegin(), texts_[0].rend());
  EXPECT_NE(encoder.Encode(turned), encoder.Encode(texts_[0]));
}

TEST_F(TextEncoderTest, WhatIsRefused) {
  TextEncoder encoder(model_, {.threads = 1});
  EXPECT_THAT(ErrorMessage([&] { encoder.Encode({}); }),
              HasSubstr("a text has no tokens"));
  const std::vector<int32_t> longer(65, 5);
  EXPECT_THAT(ErrorMessage([&] { encoder.Encode(longer); }),
              HasSubstr("run past the context of 64"));
  EXPECT_FALSE(LanguageModel::Accepts(*model_));
  EXPECT_THAT(ErrorMessage([&] { LanguageModel language(model_); }),
              HasSubstr("is not a language model"));

  TinyLanguage{}.Build().Write(dir_ / "language.safetensors");
  const auto language = Model::Load(dir_ / "language.safetensors");
  EXPECT_FALSE(TextEncoder::Accepts(*language));
  EXPECT_THAT(ErrorMessage([&] { TextEncoder other(language); }),
              HasSubstr("makes no vectors of texts"));
}

// Attention in both directions cannot go on with a text.
TEST_F(TextEncoderTest, ATextComesInOneCall) {
  Program program(model_, {.threads = 1});
  Sequence sequence = program.NewSequence();
  std::vector<float> y(model_->outputs()[0].ElementCount());
  const auto feed = [&] {
    const Program::Rows rows = {&sequence, texts_[0].size()};
    const void* const in = texts_[0].data();
    float* const out = y.data();
    program.RunLast({&rows, 1}, {&in, 1}, {&out, 1});
  };
  feed();
  EXPECT_THAT(ErrorMessage(feed), HasSubstr("a text comes in one call"));
  EXPECT_EQ(sequence.position(), texts_[0].size());
}

TEST_F(TextEncoderTest, FromC) {
  lutra_model* model = nullptr;
  lutra_session* session = nullptr;
  ASSERT_EQ(lutra_model_load(path_.c_str(), &model), LUTRA_OK);
  ASSERT_EQ(lutra_session_create(model, nullptr, &session), LUTRA_OK)
      << lutra_last_error();
  TextEncoder encoder(model_, {});
  std::vector<float> vector(encoder.dimension());
  for (const auto& text : texts_) {
    ASSERT_EQ(
        lutra_session_embed(session, text.data(), text.size(), vector.data()),
        LUTRA_OK)
        << lutra_last_error();
    EXPECT_EQ(vector, encoder.Encode(text));
  }
  EXPECT_EQ(lutra_session_embed(session, texts_[0].data(), 0, vector.data()),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_session_embed(session, nullptr, 1, vector.data()),
            LUTRA_INVALID_ARGUMENT);
  lutra_session_free(session);
  lutra_model_free(model);
}

}  // namespace
}  // namespace lutra
