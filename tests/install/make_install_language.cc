// Writes a small language model and prints what examples/ must print for it:
//
//   make_install_language MODEL PROMPT          the prompt and its most
//   probable
//                                               continuation of 30 tokens
//   make_install_language MODEL PROMPT TEXTS    continuations of 64 tokens that
//                                               the seeds 0, 1, ... draw

#include <cstdlib>
#include <iostream>
#include <string_view>

#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/text_generator.h"
#include "tests/runtime/tiny_language.h"

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) return 2;
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
  const bool draws = argc == 4;
  const uint64_t texts = draws ? std::strtoull(argv[3], nullptr, 10) : 1;
  options.max_tokens = draws ? 64 : 30;
  if (!draws) options.sampler.temperature = 0;
  for (uint64_t seed = 0; seed < texts; ++seed) {
    options.sampler.seed = seed;
    lutra::TextGenerator generator(language, *tokenizer, options);
    std::cout << argv[2];
    generator.Generate(argv[2],
                       [](std::string_view text) { std::cout << text; });
    std::cout << "\n";
    language.session().Reset();
  }
  return 0;
}
