// Conversations with a model: what is kept of the sequence, and where answers
// end.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "lutra.h"
#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/chat_session.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

// Letters and points, as the tiny tokenizer has no others.
constexpr const char* kTemplate =
    "{% for m in messages %}{% if m.role == 'bad' %}{{ raise_exception('no bad "
    "ones') }}{% endif %}{{ m.role }}. {{ m.content }}\n{% endfor %}{% if "
    "add_generation_prompt %}assistant. {% endif %}";

class ChatSessionTest : public ::testing::Test {
 protected:
  ChatSessionTest() {
    ChatData data;
    data.templates = {{"default", kTemplate}, {"other", "other."}};
    auto builder = TinyLanguage{.context = 300, .packed = true}.Build();
    builder.Metadata(kChatKey, ChatDataToJson(data));
    builder.Write(path_);
    model_ = Model::Load(path_);
    tokenizer_ = Tokenizer::FromModel(*model_);
    chat_ = LoadChatTemplate(*model_);
    options_.max_tokens = 20;
    options_.sampler.temperature = 0;
    options_.ignore_end = true;
  }

  std::string Answer(ChatSession& session, const std::string& messages) {
    std::string text;
    session.Answer(messages, {},
                   [&](std::string_view piece) { text += piece; });
    return text;
  }
  // By a model that has seen nothing before.
  std::string Cold(const std::string& messages) {
    LanguageModel language(model_);
    ChatSession session(language, *tokenizer_, *chat_, options_);
    return Answer(session, messages);
  }

  TempDir dir_;
  const std::string path_ = (dir_ / "m.safetensors").string();
  std::shared_ptr<const Model> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatTemplate> chat_;
  GenerationOptions options_;
};

constexpr const char* kFirst = R"([{"role":"user","content":"the hen"}])";

TEST_F(ChatSessionTest, WarmAnswersAreThoseOfAFreshModel) {
  LanguageModel language(model_);
  ChatSession session(language, *tokenizer_, *chat_, options_);
  const std::string first = Answer(session, kFirst);
  EXPECT_EQ(first, Cold(kFirst));
  EXPECT_EQ(session.reused_tokens(), 0u);
  const auto second = [&](const std::string& answer) {
    return R"([{"role":"user","content":"the hen"},{"role":"assistant",)"
           R"("content":)" +
           std::string("\"") + answer +
           R"("},{"role":"user","content":"and then"}])";
  };
  // Line ends need an escape in JSON.
  const std::string plain = "he said no";
  EXPECT_EQ(Answer(session, second(plain)), Cold(second(plain)));
  EXPECT_GT(session.reused_tokens(), 10u);
  EXPECT_EQ(
      session.generator().prompt_tokens().size() + session.reused_tokens(),
      session.prompt_tokens());
  // Back to the first question: all but its last token is there.
  EXPECT_EQ(Answer(session, kFirst), first);
  EXPECT_EQ(session.generator().prompt_tokens().size(), 1u);
}

TEST_F(ChatSessionTest, RefusalsLeaveTheSessionUsable) {
  LanguageModel language(model_);
  ChatSession session(language, *tokenizer_, *chat_, options_);
  const std::string first = Answer(session, kFirst);
  EXPECT_THROW(Answer(session, R"([{"role":"bad"}])"), ChatTemplateError);
  const std::string longer =
      R"([{"role":"user","content":")" + std::string(400, 'a') + R"("}])";
  try {
    Answer(session, longer);
    ADD_FAILURE() << "more than the context";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kContextFull);
  }
  EXPECT_EQ(Answer(session, kFirst), first);
}

TEST_F(ChatSessionTest, AnswersEndWithTheTemplatesToken) {
  const auto chat =
      ChatTemplate::Parse("{% for m in messages %}{{ m.content }}.{% endfor %}",
                          {{"eos_token", "x"}, {"bos_token", "y"}});
  const std::vector<int32_t> ends = TurnEnds(*chat, *tokenizer_);
  const std::vector<int32_t> x = tokenizer_->Encode("x", false);
  EXPECT_EQ(ends, x);
  // A text that ends at the first 'e': ends are tokens of the options, too.
  options_.ignore_end = false;
  LanguageModel language(model_);
  ChatSession session(language, *tokenizer_, *chat_, options_);
  const std::string all = Answer(session, kFirst);
  ASSERT_GT(all.size(), 3u);
  const int32_t third = session.generator().tokens()[2];
  options_.ends = {third};
  LanguageModel other(model_);
  ChatSession shorter(other, *tokenizer_, *chat_, options_);
  Answer(shorter, kFirst);
  EXPECT_LE(shorter.generator().tokens().size(), 3u);
  EXPECT_EQ(shorter.generator().tokens().back(), third);
}

TEST_F(ChatSessionTest, TemplatesByName) {
  EXPECT_EQ(LoadChatTemplate(*model_, "other")->source(), "other.");
  try {
    LoadChatTemplate(*model_, "third");
    ADD_FAILURE() << "there is none";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("'default', 'other'"));
  }
  const std::string bare = (dir_ / "bare.safetensors").string();
  TinyLanguage{}.Build().Write(bare);
  EXPECT_FALSE(ReadChatData(*Model::Load(bare)));
  EXPECT_THROW(LoadChatTemplate(*Model::Load(bare)), Error);
}

class ChatCApiTest : public ChatSessionTest {
 protected:
  ChatCApiTest() {
    EXPECT_EQ(lutra_model_load(path_.c_str(), &c_model_), LUTRA_OK);
  }
  ~ChatCApiTest() override { lutra_model_free(c_model_); }

  lutra_model* c_model_ = nullptr;
};

TEST_F(ChatCApiTest, AppliesTheTemplate) {
  char text[200];
  size_t bytes = 0;
  EXPECT_EQ(lutra_model_apply_chat_template(c_model_, kFirst, nullptr, text,
                                            sizeof(text), &bytes),
            LUTRA_OK)
      << lutra_last_error();
  EXPECT_EQ(std::string(text, bytes), "user. the hen\nassistant. ");
  // How many bytes, without a place for them.
  size_t needed = 0;
  const lutra_chat_message messages[] = {{"user", "the hen"}};
  lutra_chat_options options;
  lutra_chat_options_init(&options);
  EXPECT_EQ(options.add_generation_prompt, 1);
  EXPECT_EQ(lutra_model_apply_chat_template_to(c_model_, messages, 1, &options,
                                               nullptr, 0, &needed),
            LUTRA_OK);
  EXPECT_EQ(needed, bytes);
  options.add_generation_prompt = 0;
  options.continue_final_message = 1;
  EXPECT_EQ(lutra_model_apply_chat_template_to(c_model_, messages, 1, &options,
                                               text, 4, &bytes),
            LUTRA_OK);
  EXPECT_EQ(std::string(text, 4), "user");
  EXPECT_EQ(bytes, std::strlen("user. the hen"));
}

TEST_F(ChatCApiTest, ErrorsHaveCauses) {
  size_t bytes = 7;
  EXPECT_EQ(lutra_model_apply_chat_template(c_model_, R"([{"role":"bad"}])",
                                            nullptr, nullptr, 0, &bytes),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_STREQ(lutra_last_error(), "no bad ones");
  EXPECT_EQ(bytes, 0u);
  lutra_chat_options options;
  lutra_chat_options_init(&options);
  options.template_name = "third";
  EXPECT_EQ(lutra_model_apply_chat_template(c_model_, kFirst, &options, nullptr,
                                            0, &bytes),
            LUTRA_NOT_FOUND);
  options.template_name = nullptr;
  options.tools = "{";
  EXPECT_EQ(lutra_model_apply_chat_template(c_model_, kFirst, &options, nullptr,
                                            0, &bytes),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("the tools"));
  EXPECT_EQ(lutra_model_apply_chat_template(nullptr, kFirst, nullptr, nullptr,
                                            0, &bytes),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_model_apply_chat_template(c_model_, nullptr, nullptr, nullptr,
                                            0, &bytes),
            LUTRA_INVALID_ARGUMENT);
  const lutra_chat_message none[] = {{"user", nullptr}};
  EXPECT_EQ(lutra_model_apply_chat_template_to(c_model_, none, 1, nullptr,
                                               nullptr, 0, &bytes),
            LUTRA_INVALID_ARGUMENT);
  size_t count = 7;
  EXPECT_EQ(lutra_model_chat_ends(c_model_, nullptr, 0, &count), LUTRA_OK);
  EXPECT_EQ(count, 0u);
}

}  // namespace
}  // namespace lutra
