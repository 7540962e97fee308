#include <array>
#include <iostream>
#include <string>

#include "lutra/runtime/error.h"
#include "runtime/base/unknown_word.h"
#include "tools/verbs/chat.h"
#include "tools/verbs/generate.h"

namespace lutra::tools {
namespace {

constexpr const char* kHelp =
    "/help            this list\n"
    "/system [TEXT]   shows the system text, or sets it; '/system -' takes it\n"
    "                 away. The conversation so far stays\n"
    "/undo            takes back the last question and its answer\n"
    "/retry           answers the last question again\n"
    "/say ROLE TEXT   adds a message without an answer, e.g. '/say assistant "
    "Hi!'\n"
    "/tool TEXT       gives the result of a tool that the model asked for\n"
    "/history         shows the messages\n"
    "/reset           begins anew; the system text stays\n"
    "/save FILE       writes the messages as JSON\n"
    "/load FILE       goes on with messages that were saved\n"
    "/stats           tokens, speeds and memory so far\n"
    "/exit            ends the chat, as the end of input does\n"
    "A line that ends with '\\' goes on in the next one; a message that "
    "begins\n"
    "with '/' is written with two.\n";

constexpr std::array<std::string_view, 14> kCommands = {
    "/exit", "/help", "/history", "/load",   "/quit", "/reset", "/retry",
    "/save", "/say",  "/stats",   "/system", "/tool", "/undo",  "/clear"};

// A word and what follows it.
struct Words {
  std::string first;
  std::string rest;
};

Words Split(std::string_view line) {
  constexpr std::string_view kSpace = " \t";
  const size_t end = std::min(line.find_first_of(kSpace), line.size());
  const size_t rest = line.find_first_not_of(kSpace, end);
  return {std::string(line.substr(0, end)),
          rest == std::string_view::npos ? "" : std::string(line.substr(rest))};
}

std::string Required(const Words& words, const char* what) {
  if (words.rest.empty()) throw Error(words.first + " needs " + what);
  return words.rest;
}

void ShowHistory(const ChatHistory& history) {
  for (const Json& message : history.messages().items()) {
    std::string text = ContentOf(message);
    // Parts and tool calls as they are.
    if (message.Find("tool_calls") != nullptr || text.empty()) {
      text = message.Dump(-1, Json::BadText::kReplace);
    }
    Write("[" + RoleOf(message) + "] " + text + "\n");
  }
}

void System(const std::string& text, ChatHistory& history) {
  if (text.empty()) {
    const std::string system = history.System();
    Write(system.empty() ? "(no system text)\n" : system + "\n");
  } else {
    history.SetSystem(text == "-" ? "" : text);
  }
}

}  // namespace

bool RunChatCommand(std::string_view line, Chat& chat) {
  const Words words = Split(line);
  const std::string& command = words.first;
  ChatHistory& history = chat.history();
  if (command == "/exit" || command == "/quit") return false;
  if (command == "/help") {
    Write(kHelp);
  } else if (command == "/system") {
    System(words.rest, history);
  } else if (command == "/undo") {
    if (!history.DropExchange()) throw Error("there is nothing to take back");
  } else if (command == "/retry") {
    if (!history.DropAnswer()) throw Error("there is no question to answer");
    chat.Answer();
  } else if (command == "/say") {
    const Words message = Split(Required(words, "a role and a text"));
    history.Add(message.first, Required(message, "a text"));
  } else if (command == "/tool") {
    chat.Say("tool", Required(words, "a text"));
  } else if (command == "/history") {
    ShowHistory(history);
  } else if (command == "/reset" || command == "/clear") {
    history.Clear();
  } else if (command == "/save") {
    history.Save(Required(words, "a file"));
  } else if (command == "/load") {
    history.Load(Required(words, "a file"));
  } else if (command == "/stats") {
    Write(chat.Stats() + "\n");
  } else {
    throw Error(UnknownWord("command", command, kCommands) + "; see /help");
  }
  return true;
}

}  // namespace lutra::tools
