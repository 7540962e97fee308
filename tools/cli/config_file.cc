#include "tools/cli/config_file.h"

#include <algorithm>
#include <exception>

#include "lutra/eval/perplexity.h"
#include "lutra/runtime/error.h"
#include "tools/cli/json.h"

namespace lutra::tools {
namespace {

constexpr std::string_view kModel = "model";

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() &&
         text.substr(text.size() - end.size()) == end;
}

// Whether a word of the command line is this option; short ones are those of
// all verbs.
bool IsOption(const std::string& word, const std::string& key) {
  const std::string option = "--" + key;
  return word == option || word.starts_with(option + "=") ||
         (key == "output" && word == "-o") ||
         (key == "threads" && word == "-t");
}

Json ParseConfig(const std::string& path) {
  try {
    return Json::Parse(eval::ReadText(path, 0));
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    throw Error::InFile(path, "is not valid JSON");
  }
}

// A number or a text as a word.
std::string WordOf(const std::string& path, const std::string& key,
                   const Json& value) {
  if (const std::string* text = value.AsString()) return *text;
  const std::string dump = value.Dump();
  if (dump.empty() || dump[0] == '{' || dump[0] == '[' || dump == "null" ||
      dump == "true" || dump == "false") {
    throw Error::InFile(path, "option '" + key + "': " + dump +
                                  " is neither a number nor a text");
  }
  return dump;
}

void AddOption(const std::string& path, const std::string& key,
               const Json& value, std::vector<std::string>& words) {
  const std::string option = "--" + key;
  const std::string dump = value.Dump();
  if (dump == "true") {
    words.push_back(option);
  } else if (dump == "false") {
    return;
  } else if (dump[0] != '[') {
    words.push_back(option);
    words.push_back(WordOf(path, key, value));
  } else {
    // Numbers in one list, texts one at a time.
    std::string list;
    for (const Json& item : value.items()) {
      const std::string word = WordOf(path, key, item);
      if (item.AsString() != nullptr) {
        words.push_back(option);
        words.push_back(word);
      } else {
        list += (list.empty() ? "" : ",") + word;
      }
    }
    if (list.empty()) return;
    words.push_back(option);
    words.push_back(list);
  }
}

}  // namespace

std::vector<std::string> ExpandConfig(int argc, const char* const* argv,
                                      std::string_view verb) {
  std::vector<std::string> words(argv, argv + argc);
  constexpr size_t kFile = 2;
  if (words.size() <= kFile || words[1] != verb ||
      !EndsWith(words[kFile], ".json")) {
    return words;
  }
  const std::string path = words[kFile];
  const Json config = ParseConfig(path);
  if (const std::string dump = config.Dump(); dump[0] != '{') {
    throw Error::InFile(path, "is no JSON object with options");
  }
  const std::vector<std::string> rest(words.begin() + kFile + 1, words.end());
  words.resize(kFile);
  for (const Json::Member& member : config.members()) {
    if (member.key == kModel) {
      words.push_back(WordOf(path, member.key, member.value));
      continue;
    }
    const bool again = std::any_of(
        rest.begin(), rest.end(),
        [&](const std::string& word) { return IsOption(word, member.key); });
    if (!again) AddOption(path, member.key, member.value, words);
  }
  words.insert(words.end(), rest.begin(), rest.end());
  return words;
}

}  // namespace lutra::tools
