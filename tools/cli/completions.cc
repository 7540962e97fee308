#include "tools/cli/completions.h"

#include <string_view>

namespace lutra::tools {
namespace {

std::string Join(const std::vector<std::string>& words,
                 std::string_view between) {
  std::string joined;
  for (const std::string& word : words) {
    if (!joined.empty()) joined += between;
    joined += word;
  }
  return joined;
}

// With a backslash before each of `characters`.
std::string Escape(const std::string& text, std::string_view characters) {
  std::string escaped;
  for (const char c : text) {
    if (characters.find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

// As one word of a shell.
std::string Quote(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c == '\'' ? "'\\''" : std::string(1, c);
  }
  return quoted + "'";
}

std::string BashCase(const VerbDescription& verb) {
  std::string values;
  std::vector<std::string> names;
  std::vector<std::string> with_file;
  std::string in_place;
  for (const OptionDescription& option : verb.options) {
    const std::string words = Join(option.words, " ");
    names.insert(names.end(), option.names.begin(), option.names.end());
    if (option.names.empty()) {
      in_place += words;
    } else if (!words.empty()) {
      values +=
          "        " + Join(option.names, "|") + ") words='" + words + "' ;;\n";
    } else if (!option.value.empty()) {
      with_file.insert(with_file.end(), option.names.begin(),
                       option.names.end());
    }
  }
  if (!with_file.empty()) {
    values += "        " + Join(with_file, "|") + ") return ;;\n";
  }
  return "    " + verb.name + ")\n      case $before in\n" + values +
         "        *) options='" + Join(names, " ") + "' in_place='" + in_place +
         "' ;;\n      esac ;;\n";
}

std::string ZshArguments(const std::vector<OptionDescription>& options) {
  std::string text;
  for (const OptionDescription& option : options) {
    const std::string value =
        option.words.empty() ? "_files" : "(" + Join(option.words, " ") + ")";
    const std::string star = option.repeated ? "*" : "";
    const auto add = [&text](const std::string& argument) {
      text += " \\\n  " + Quote(argument);
    };
    if (option.names.empty()) {
      add(star + ":" + option.positional + ":" + value);
    }
    for (const std::string& name : option.names) {
      // Of several names one is given.
      const std::string once =
          option.repeated ? star : "(" + Join(option.names, " ") + ")";
      add(once + name + "[" + Escape(option.text, "[]:\\") + "]" +
          (option.value.empty() ? "" : ":value:" + value));
    }
  }
  return text;
}

}  // namespace

std::string BashCompletions(const CommandDescription& description) {
  const std::string& name = description.command.name;
  std::vector<std::string> first;
  for (const VerbDescription& verb : description.verbs) {
    first.push_back(verb.name);
  }
  for (const OptionDescription& option : description.command.options) {
    first.insert(first.end(), option.names.begin(), option.names.end());
  }
  std::string text = "# Completions of " + name + " for bash.\n_" + name +
                     "() {\n"
                     "  local word=${COMP_WORDS[COMP_CWORD]}\n"
                     "  local before=${COMP_WORDS[COMP_CWORD - 1]}\n"
                     "  local words= options= in_place=\n"
                     "  COMPREPLY=()\n"
                     "  # Bash takes --name=value for three words.\n"
                     "  if [[ $word == = ]]; then\n"
                     "    word=\n"
                     "  elif [[ $before == = ]]; then\n"
                     "    before=${COMP_WORDS[COMP_CWORD - 2]}\n"
                     "  fi\n"
                     "  if ((COMP_CWORD == 1)); then\n"
                     "    words='" +
                     Join(first, " ") +
                     "'\n"
                     "  else case ${COMP_WORDS[1]} in\n";
  for (const VerbDescription& verb : description.verbs) text += BashCase(verb);
  return text +
         "  esac; fi\n"
         "  if [[ -z $words && $word == -* ]]; then\n"
         "    words=$options\n"
         "  elif [[ -z $words ]]; then\n"
         "    words=$in_place\n"
         "  fi\n"
         "  [[ -n $words ]] && COMPREPLY=($(compgen -W \"$words\" -- "
         "\"$word\"))\n"
         "}\n"
         "complete -o bashdefault -o default -F _" +
         name + " " + name + "\n";
}

std::string ZshCompletions(const CommandDescription& description) {
  const std::string& name = description.command.name;
  std::string text = "#compdef " + name +
                     "\n"
                     "if (( CURRENT == 2 )); then\n"
                     "  local -a verbs=(\n";
  for (const VerbDescription& verb : description.verbs) {
    text += "    " + Quote(verb.name + ":" + verb.text) + "\n";
  }
  text += "  )\n  _describe verb verbs\n  _arguments" +
          ZshArguments(description.command.options) +
          "\n  return\nfi\nshift words\n(( CURRENT-- ))\ncase $words[1] in\n";
  for (const VerbDescription& verb : description.verbs) {
    text += verb.name + ") _arguments" + ZshArguments(verb.options) + " ;;\n";
  }
  return text + "esac\n";
}

std::string FishCompletions(const CommandDescription& description) {
  const std::string& name = description.command.name;
  const auto option_line = [&](const std::string& condition,
                               const OptionDescription& option) {
    std::string line = "complete -c " + name + " -n " + condition;
    for (const std::string& option_name : option.names) {
      line += option_name.starts_with("--") ? " -l " + option_name.substr(2)
                                            : " -s " + option_name.substr(1);
    }
    if (!option.words.empty()) {
      line += " -x -a '" + Join(option.words, " ") + "'";
    } else if (!option.value.empty()) {
      line += " -r -F";
    }
    return line + " -d " + Quote(Escape(option.text, "\\")) + "\n";
  };
  std::string text = "# Completions of " + name + " for fish.\n";
  for (const OptionDescription& option : description.command.options) {
    text += option_line("__fish_use_subcommand", option);
  }
  for (const VerbDescription& verb : description.verbs) {
    text += "complete -c " + name + " -n __fish_use_subcommand -f -a " +
            verb.name + " -d " + Quote(Escape(verb.text, "\\")) + "\n";
  }
  for (const VerbDescription& verb : description.verbs) {
    for (const OptionDescription& option : verb.options) {
      if (option.names.empty()) continue;
      text += option_line("'__fish_seen_subcommand_from " + verb.name + "'",
                          option);
    }
  }
  return text;
}

}  // namespace lutra::tools
