// Where chat templates and their special tokens are found.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/error.h"
#include "packer/import/chat/chat.h"
#include "packer/import/gguf/gguf_chat.h"
#include "tests/packer/import_data.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

class ChatFolderTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    const auto path = dir_ / name;
    std::filesystem::create_directories(path.parent_path());
    WriteText(path, text);
  }
  std::optional<ChatData> Read() { return ReadChatFolder(dir_.path()); }

  TempDir dir_;
};

TEST_F(ChatFolderTest, NoTemplateIsNoChat) {
  EXPECT_FALSE(Read());
  Write("tokenizer_config.json", R"({"bos_token": "<s>"})");
  EXPECT_FALSE(Read());
}

TEST_F(ChatFolderTest, TextInTheTokenizersConfig) {
  Write("tokenizer_config.json",
        R"({"chat_template": "T", "bos_token": "<s>", "unk_token": null,
            "eos_token": {"content": "</s>", "lstrip": false}})");
  Write("special_tokens_map.json",
        R"({"bos_token": "other", "pad_token": "<pad>"})");
  const auto chat = Read();
  ASSERT_TRUE(chat);
  EXPECT_THAT(chat->templates, ElementsAre(Pair("default", "T")));
  EXPECT_THAT(chat->tokens,
              ElementsAre(Pair("bos_token", "<s>"), Pair("eos_token", "</s>"),
                          Pair("pad_token", "<pad>")));
}

TEST_F(ChatFolderTest, ListOfNames) {
  Write("tokenizer_config.json",
        R"({"chat_template": [{"name": "default", "template": "T"},
                              {"name": "tool_use", "template": "U"}]})");
  EXPECT_THAT(Read()->templates,
              ElementsAre(Pair("default", "T"), Pair("tool_use", "U")));
}

TEST_F(ChatFolderTest, FilesWinOverTheConfig) {
  Write("tokenizer_config.json", R"({"chat_template": "T"})");
  Write("chat_template.json", R"({"chat_template": "J"})");
  EXPECT_THAT(Read()->templates, ElementsAre(Pair("default", "J")));
  Write("chat_template.jinja", "F\n");
  Write("additional_chat_templates/rag.jinja", "R");
  Write("additional_chat_templates/notes.txt", "N");
  EXPECT_THAT(Read()->templates,
              ElementsAre(Pair("default", "F\n"), Pair("rag", "R")));
}

TEST_F(ChatFolderTest, WrongTypesAreRefused) {
  for (const char* bad : {"1", "[1]", R"([{"name": "a"}])", "{}"}) {
    Write("tokenizer_config.json",
          std::string(R"({"chat_template": )") + bad + "}");
    EXPECT_THROW(Read(), Error) << bad;
  }
}

// A GGUF file of metadata alone.
class GgufMetadata {
 public:
  GgufMetadata& Text(const std::string& key, const std::string& text) {
    Key(key, 8);
    String(text);
    return *this;
  }
  GgufMetadata& Texts(const std::string& key,
                      const std::vector<std::string>& texts) {
    Key(key, 9);
    Put<uint32_t>(8);
    Put<uint64_t>(texts.size());
    for (const std::string& text : texts) String(text);
    return *this;
  }
  GgufMetadata& Number(const std::string& key, uint32_t number) {
    Key(key, 4);
    Put(number);
    return *this;
  }
  void Write(const std::filesystem::path& path) const {
    const std::string values = bytes_;
    GgufMetadata head;
    head.bytes_ = "GGUF";
    head.Put<uint32_t>(3);
    head.Put<uint64_t>(0);
    head.Put<uint64_t>(count_);
    WriteText(path, head.bytes_ + values);
  }

 private:
  template <typename T>
  void Put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void String(const std::string& text) {
    Put<uint64_t>(text.size());
    bytes_ += text;
  }
  void Key(const std::string& key, uint32_t type) {
    String(key);
    Put(type);
    ++count_;
  }

  std::string bytes_;
  uint64_t count_ = 0;
};

TEST(GgufChatTest, TemplatesAndTokens) {
  const TempDir dir;
  const auto path = dir / "m.gguf";
  GgufMetadata()
      .Text("tokenizer.chat_template", "T")
      .Texts("tokenizer.chat_templates", {"tool_use", "absent"})
      .Text("tokenizer.chat_template.tool_use", "U")
      .Texts("tokenizer.ggml.tokens", {"<s>", "</s>"})
      .Number("tokenizer.ggml.bos_token_id", 0)
      .Number("tokenizer.ggml.eos_token_id", 1)
      .Number("tokenizer.ggml.padding_token_id", 2)
      .Write(path);
  const auto chat = ReadGgufChat(GgufFile(path));
  ASSERT_TRUE(chat);
  EXPECT_THAT(chat->templates,
              ElementsAre(Pair("default", "T"), Pair("tool_use", "U")));
  EXPECT_THAT(chat->tokens,
              ElementsAre(Pair("bos_token", "<s>"), Pair("eos_token", "</s>")));
  GgufMetadata().Number("tokenizer.ggml.bos_token_id", 0).Write(path);
  EXPECT_FALSE(ReadGgufChat(GgufFile(path)));
}

}  // namespace
}  // namespace lutra::packer
