#include "tools/cli/man_page.h"

#include <string_view>

namespace lutra::tools {
namespace {

// Text that troff shows as it is. Lines must not begin with what it takes for a
// request; words keep their minus signs, which it would make hyphens.
std::string Escape(std::string_view text) {
  std::string escaped;
  bool starts_line = true;
  for (const char c : text) {
    if (starts_line && (c == '.' || c == '\'')) escaped += "\\&";
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
    starts_line = c == '\n';
  }
  return escaped;
}

// Lines as they are.
std::string Verbatim(const std::string& text) {
  std::string lines = Escape(text);
  // Troff reads an empty line as another space between paragraphs.
  for (size_t at = lines.find("\n\n"); at != std::string::npos;
       at = lines.find("\n\n", at + 1)) {
    lines.insert(at + 1, "\\&");
  }
  return ".PP\n.nf\n" + lines + "\n.fi\n";
}

std::string Options(const std::vector<OptionDescription>& options) {
  std::string page;
  for (const OptionDescription& option : options) {
    page += ".TP\n";
    std::string names = option.positional;
    for (const std::string& name : option.names) {
      names.append(names.empty() ? "" : ", ").append(name);
    }
    page += "\\fB" + Escape(names) + "\\fR";
    if (!option.names.empty() && !option.value.empty()) {
      page += " \\fI" + Escape(option.value) + "\\fR";
    }
    if (option.repeated) page += " ...";
    if (!option.default_value.empty()) {
      page += " (default " + Escape(option.default_value) + ")";
    }
    page += "\n" + Escape(option.text) + (option.required ? "; required" : "") +
            "\n";
  }
  return page;
}

std::string Usage(const std::string& command, const VerbDescription& verb) {
  std::string usage = command + " " + verb.name + " [OPTIONS]";
  for (const OptionDescription& option : verb.options) {
    if (option.positional.empty()) continue;
    std::string word = option.positional + (option.repeated ? "..." : "");
    usage += option.required ? " " + word : " [" + word + "]";
  }
  return usage;
}

}  // namespace

std::string ManPage(const CommandDescription& description,
                    const std::string& version) {
  const VerbDescription& command = description.command;
  std::string page = ".TH " + command.name + " 1 \"\" \"" + Escape(version) +
                     "\" \"User Commands\"\n";
  std::string text = command.text;  // a line of lists, without its point
  if (text.ends_with('.')) text.pop_back();
  page += ".SH NAME\n" + command.name + " \\- " + Escape(text) + "\n";
  page += ".SH SYNOPSIS\n.B " + command.name + "\n\\fIVERB\\fR [OPTIONS] ...\n";
  page += ".SH DESCRIPTION\n";
  for (const VerbDescription& verb : description.verbs) {
    page += ".TP\n.B " + Escape(verb.name) + "\n" + Escape(verb.text) + "\n";
  }
  page += Verbatim(command.footer);
  page += ".SH OPTIONS\n" + Options(command.options);
  for (const VerbDescription& verb : description.verbs) {
    page += ".SH \"" + Escape(command.name + " " + verb.name) + "\"\n.B " +
            Escape(Usage(command.name, verb)) + "\n.PP\n" + Escape(verb.text) +
            "\n" + Options(verb.options) + Verbatim(verb.footer);
  }
  page +=
      ".SH \"EXIT STATUS\"\n"
      "0; 1 if the work failed, or if the files that are compared differ; 2 "
      "if\n"
      "the command line is wrong; 128 plus the signal that ended it.\n";
  return page;
}

}  // namespace lutra::tools
