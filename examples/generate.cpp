// Continues a text: generate_cpp MODEL "Once upon a time" [TOKENS]
#include <lutra/runtime/error.h>
#include <lutra/runtime/text_generator.h>

#include <cstdlib>
#include <iostream>
#include <string_view>

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: " << argv[0] << " MODEL PROMPT [TOKENS]\n";
    return 2;
  }
  try {
    const auto model = lutra::Model::Load(argv[1]);
    const auto tokenizer = lutra::Tokenizer::FromModel(*model);
    if (tokenizer == nullptr) throw lutra::Error("the model has no tokenizer");
    lutra::LanguageModel language(model);
    lutra::GenerationOptions options;
    options.sampler.temperature = 0;  // always the most probable token
    options.max_tokens = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 64;
    lutra::TextGenerator generator(language, *tokenizer, options);

    std::cout << argv[2];
    generator.Generate(argv[2], [](std::string_view text) {
      std::cout << text << std::flush;
    });
    std::cout << "\n";
  } catch (const lutra::Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
