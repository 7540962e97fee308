// Constraints and speculation of the C API.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "lutra.h"
#include "lutra/runtime/text_generator.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

class CApiGenerateTest : public ::testing::Test {
 protected:
  CApiGenerateTest() {
    TinyLanguage{.context = 100, .packed = true}.Build().Write(path_);
    EXPECT_EQ(lutra_model_load(path_.c_str(), &model_), LUTRA_OK);
    EXPECT_EQ(lutra_session_create(model_, nullptr, &session_), LUTRA_OK);
    EXPECT_EQ(lutra_session_create(model_, nullptr, &draft_), LUTRA_OK);
  }
  ~CApiGenerateTest() override {
    lutra_session_free(draft_);
    lutra_session_free(session_);
    lutra_model_free(model_);
  }

  // The greedy continuation of a prompt by the grammar.
  std::vector<int32_t> Generate(const char* grammar,
                                lutra_speculation* speculation) {
    lutra_constraint_options options;
    lutra_constraint_options_init(&options);
    options.grammar = grammar;
    lutra_constraint* constraint = nullptr;
    EXPECT_EQ(lutra_constraint_create(model_, &options, &constraint), LUTRA_OK)
        << lutra_last_error();
    lutra_sampler_options greedy;
    lutra_sampler_options_init(&greedy);
    greedy.temperature = 0;
    lutra_sampler* sampler = nullptr;
    const size_t vocabulary = lutra_model_vocabulary(model_);
    EXPECT_EQ(lutra_sampler_create(&greedy, vocabulary, &sampler), LUTRA_OK);
    const auto feed = [&](const std::vector<int32_t>& ids) {
      const float* logits = nullptr;
      EXPECT_EQ(
          speculation == nullptr
              ? lutra_session_feed(session_, ids.data(), ids.size(), &logits)
              : lutra_speculation_feed(speculation, ids.data(), ids.size(),
                                       &logits),
          LUTRA_OK)
          << lutra_last_error();
      return logits;
    };
    lutra_session_reset(session_);
    const float* logits = feed({1, 5, 6, 5, 6});
    std::vector<int32_t> tokens;
    while (tokens.size() < 60 && !lutra_constraint_is_finished(constraint)) {
      const uint32_t* allowed = nullptr;
      EXPECT_EQ(lutra_constraint_allowed(constraint, &allowed), LUTRA_OK);
      int32_t id = 0;
      EXPECT_EQ(lutra_sampler_sample_allowed(sampler, logits, vocabulary,
                                             allowed, &id),
                LUTRA_OK)
          << lutra_last_error();
      if (id == TinyLanguage::kEos) break;
      EXPECT_EQ(lutra_constraint_accept(constraint, id), LUTRA_OK);
      tokens.push_back(id);
      logits = feed({id});
    }
    EXPECT_EQ(lutra_constraint_accept(constraint, -1), LUTRA_INVALID_ARGUMENT);
    EXPECT_EQ(lutra_constraint_reset(constraint, 1), LUTRA_OK);
    EXPECT_EQ(lutra_constraint_is_complete(constraint), 0);
    lutra_sampler_free(sampler);
    lutra_constraint_free(constraint);
    return tokens;
  }

  TempDir dir_;
  const std::string path_ = (dir_ / "m.safetensors").string();
  lutra_model* model_ = nullptr;
  lutra_session* session_ = nullptr;
  lutra_session* draft_ = nullptr;
};

TEST_F(CApiGenerateTest, TokensAreTheSameWithGuesses) {
  const char* grammar = "root ::= ([a-h]{1,3} \" \"){15} \".\"";
  const std::vector<int32_t> expected = Generate(grammar, nullptr);
  EXPECT_GT(expected.size(), 20u);
  for (lutra_session* draft : {draft_, static_cast<lutra_session*>(nullptr)}) {
    lutra_speculation_options options;
    lutra_speculation_options_init(&options);
    EXPECT_EQ(options.tokens, 8u);
    options.draft = draft;
    options.least_probability = 0;
    lutra_speculation* speculation = nullptr;
    ASSERT_EQ(lutra_speculation_create(session_, &options, &speculation),
              LUTRA_OK)
        << lutra_last_error();
    EXPECT_EQ(Generate(grammar, speculation), expected);
    size_t guessed = 0;
    size_t accepted = 0;
    EXPECT_EQ(lutra_speculation_counts(speculation, &guessed, &accepted),
              LUTRA_OK);
    EXPECT_GT(guessed, 0u);
    EXPECT_LE(accepted, guessed);
    EXPECT_EQ(lutra_speculation_position(speculation), 5 + expected.size());
    EXPECT_EQ(lutra_speculation_settle(speculation), LUTRA_OK);
    EXPECT_EQ(lutra_session_position(session_), 5 + expected.size());
    lutra_speculation_free(speculation);
  }
}

TEST_F(CApiGenerateTest, Errors) {
  lutra_constraint* constraint = nullptr;
  lutra_constraint_options options;
  lutra_constraint_options_init(&options);
  EXPECT_EQ(lutra_constraint_create(model_, &options, &constraint),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("either of a grammar"));
  options.grammar = "root ::= (";
  EXPECT_EQ(lutra_constraint_create(model_, &options, &constraint),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("grammar: line 1"));
  options.grammar = nullptr;
  options.json_schema = R"({"not": {}})";
  EXPECT_EQ(lutra_constraint_create(model_, &options, &constraint),
            LUTRA_UNSUPPORTED);
  EXPECT_THAT(lutra_last_error(), HasSubstr("'not' is not supported"));
  EXPECT_EQ(constraint, nullptr);

  lutra_speculation* speculation = nullptr;
  lutra_speculation_options speculative;
  lutra_speculation_options_init(&speculative);
  speculative.tokens = 0;
  EXPECT_EQ(lutra_speculation_create(session_, &speculative, &speculation),
            LUTRA_INVALID_ARGUMENT);
  speculative.tokens = 8;
  speculative.draft = session_;
  EXPECT_EQ(lutra_speculation_create(session_, &speculative, &speculation),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("its own draft"));
  EXPECT_EQ(speculation, nullptr);
  lutra_speculation_free(nullptr);
  lutra_constraint_free(nullptr);
}

}  // namespace
}  // namespace lutra
