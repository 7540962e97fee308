// Writes a small language model and prints what examples/ must print for it:
// a prompt, given as the second argument, and its most probable continuation of
// 30 tokens.

#include <iostream>
#include <string_view>

#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/text_generator.h"
#include "tests/runtime/tiny_language.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  // A chat template, for the examples that talk.
  lutra::ChatData chat;
  chat.templates = {
      {"default", "{% for m in messages %}{{ m.content }}. {% endfor %}"}};
  lutra::TinyLanguage{.packed = true}
      .Build()
      .Metadata(lutra::kChatKey, lutra::ChatDataToJson(chat))
      .Write(argv[1]);
  const auto model = lutra::Model::Load(argv[1]);
  const auto tokenizer = lutra::Tokenizer::FromModel(*model);
  lutra::LanguageModel language(model);
  lutra::GenerationOptions options;
  options.sampler.temperature = 0;
  options.max_tokens = 30;
  lutra::TextGenerator generator(language, *tokenizer, options);
  std::cout << argv[2];
  generator.Generate(argv[2], [](std::string_view text) { std::cout << text; });
  std::cout << "\n";
  return 0;
}
