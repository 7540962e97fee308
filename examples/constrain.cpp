// Writes a text that follows a grammar, and guesses ahead from the prompt:
// constrain_cpp MODEL "Is it red?" 'root ::= "yes" | "no"'
#include <lutra/runtime/error.h>
#include <lutra/runtime/grammar.h>
#include <lutra/runtime/speculation.h>
#include <lutra/runtime/text_generator.h>

#include <iostream>
#include <string_view>

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: " << argv[0] << " MODEL PROMPT GRAMMAR\n";
    return 2;
  }
  try {
    const auto model = lutra::Model::Load(argv[1]);
    const auto tokenizer = lutra::Tokenizer::FromModel(*model);
    if (tokenizer == nullptr) throw lutra::Error("the model has no tokenizer");
    lutra::LanguageModel language(model);
    lutra::GenerationOptions options;
    options.sampler.temperature = 0;
    options.grammar = lutra::Grammar::Parse(argv[3]);  // or FromJsonSchema
    lutra::TextGenerator generator(language, *tokenizer, options);
    lutra::PromptLookup lookup;  // or DraftModel, with a smaller model
    generator.SetDrafter(&lookup, 8);
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
