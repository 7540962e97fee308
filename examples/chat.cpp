// Talks to a language model: chat_cpp MODEL. Each line of standard input is a
// message; the sequence stays warm from one to the next.
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/chat_session.h"

namespace {

// For JSON; a program will have a library for it.
std::string Quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    char escape[8];
    if (static_cast<unsigned char>(c) < 0x20) {
      std::snprintf(escape, sizeof(escape), "\\u%04x", c);
      result += escape;
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
  }
  return result + "\"";
}

std::string Message(const std::string& role, const std::string& content) {
  return "{\"role\": " + Quoted(role) + ", \"content\": " + Quoted(content) +
         "}";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: " << argv[0] << " MODEL\n";
    return 2;
  }
  try {
    const auto model = lutra::Model::Load(argv[1]);
    const auto tokenizer = lutra::Tokenizer::FromModel(*model);
    if (tokenizer == nullptr) throw lutra::Error("the model has no tokenizer");
    const auto chat = lutra::LoadChatTemplate(*model);
    lutra::LanguageModel language(model);
    lutra::GenerationOptions options;
    options.max_tokens = 256;
    lutra::ChatSession session(language, *tokenizer, *chat, options);
    std::string messages;
    for (std::string line; std::getline(std::cin, line);) {
      messages += (messages.empty() ? "" : ", ") + Message("user", line);
      std::string answer;
      session.Answer("[" + messages + "]", {}, [&](std::string_view text) {
        answer += text;
        std::cout << text << std::flush;
      });
      std::cout << "\n";
      messages += ", " + Message("assistant", answer);
    }
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
