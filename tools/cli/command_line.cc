#include "tools/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string_view>

#include "runtime/base/unknown_word.h"
#include "tools/cli/usage_error.h"

namespace lutra::tools {

Option Option::TypeName(const std::string& name) const {
  return Option(option_->type_name(name));
}

Option Option::Required() const { return Option(option_->required()); }

Option Option::ShowDefault() const {
  return Option(option_->capture_default_str());
}

Option Option::ShowDefault(const std::string& text) const {
  return Option(option_->default_str(text));
}

template <typename T>
Option Option::Range(T minimum, T maximum) const {
  return Option(option_->check(CLI::Range(minimum, maximum)));
}
template Option Option::Range(int, int) const;
template Option Option::Range(long, long) const;
template Option Option::Range(unsigned long, unsigned long) const;
template Option Option::Range(long long, long long) const;
template Option Option::Range(unsigned long long, unsigned long long) const;
template Option Option::Range(double, double) const;

Option Option::Positive() const {
  return Option(option_->check(CLI::PositiveNumber));
}

Option Option::NotNegative() const {
  return Option(option_->check(CLI::NonNegativeNumber));
}

Option Option::OneOf(const std::vector<std::string>& words) const {
  return Option(option_->check(CLI::IsMember(words)));
}

Option Option::Check(
    const std::function<std::string(const std::string&)>& check) const {
  return Option(option_->check(check));
}

Option Option::OneAtATime() const {
  return Option(option_->allow_extra_args(false));
}

Option Option::CommaList() const {
  return Option(option_->delimiter(',')->allow_extra_args(false));
}

Option Option::Excludes(const Option& other) const {
  return Option(option_->excludes(other.option_));
}

Option Option::Needs(const Option& other) const {
  return Option(option_->needs(other.option_));
}

bool Option::Given() const { return option_->count() > 0; }

template <typename T>
Option Verb::Add(const std::string& names, T& value,
                 const std::string& description) {
  return Option(app_->add_option(names, value, description));
}
// By the names of the language, as the others' differ between systems.
template Option Verb::Add(const std::string&, int&, const std::string&);
template Option Verb::Add(const std::string&, unsigned&, const std::string&);
template Option Verb::Add(const std::string&, long&, const std::string&);
template Option Verb::Add(const std::string&, unsigned long&,
                          const std::string&);
template Option Verb::Add(const std::string&, long long&, const std::string&);
template Option Verb::Add(const std::string&, unsigned long long&,
                          const std::string&);
template Option Verb::Add(const std::string&, float&, const std::string&);
template Option Verb::Add(const std::string&, double&, const std::string&);
template Option Verb::Add(const std::string&, std::optional<double>&,
                          const std::string&);
template Option Verb::Add(const std::string&, std::string&, const std::string&);
template Option Verb::Add(const std::string&, std::filesystem::path&,
                          const std::string&);
template Option Verb::Add(const std::string&, std::vector<std::string>&,
                          const std::string&);
template Option Verb::Add(const std::string&, std::vector<size_t>&,
                          const std::string&);

Option Verb::AddParsed(const std::string& names,
                       const std::function<void(const std::string&)>& parse,
                       const std::string& description) {
  return Option(
      app_->add_option_function<std::string>(names, parse, description));
}

Option Verb::AddParsedList(
    const std::string& names,
    const std::function<void(const std::vector<std::string>&)>& parse,
    const std::string& description) {
  return Option(app_->add_option_function<std::vector<std::string>>(
      names, parse, description));
}

Option Verb::AddFlag(const std::string& names, bool& value,
                     const std::string& description) {
  return Option(app_->add_flag(names, value, description));
}

Option Verb::AddFlag(const std::string& names,
                     const std::function<void()>& given,
                     const std::string& description) {
  return Option(app_->add_flag_callback(names, given, description));
}

void Verb::Footer(const std::string& text) { app_->footer(text); }

void Verb::OnRun(const std::function<void()>& run) { app_->callback(run); }

CommandLine::CommandLine(const std::string& name,
                         const std::string& description)
    : app_(std::make_unique<CLI::App>(description, name)) {
  app_->require_subcommand(1);
}

CommandLine::~CommandLine() = default;

Verb CommandLine::AddVerb(const std::string& name,
                          const std::string& description) {
  return Verb(app_->add_subcommand(name, description));
}

void CommandLine::Version(const std::string& text) {
  app_->set_version_flag("--version", text);
}

void CommandLine::Footer(const std::string& text) { app_->footer(text); }

void CommandLine::OnParsed(const std::function<void()>& check) {
  app_->parse_complete_callback(check);
}

void CommandLine::Parse(int argc, const char* const* argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    app_->exit(success, std::cout, std::cerr);
  } catch (const CLI::ParseError& error) {
    throw UsageError(Explain(error.what()));
  } catch (const UsageError& error) {
    throw UsageError(Explain(error.what()));
  }
}

std::string CommandLine::Explain(const std::string& message) const {
  const CLI::App* verb = app_.get();
  if (!app_->get_subcommands().empty()) {
    verb = app_->get_subcommands().front();
  }
  const std::vector<std::string> unknown = app_->remaining(/*recurse=*/true);
  if (unknown.empty()) return message;
  const bool is_option = unknown.front().starts_with("--");
  if (!is_option && verb != app_.get()) return message;

  std::vector<std::string> words;
  if (is_option) {
    for (const CLI::Option* option : verb->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        words.push_back("--" + name);
      }
    }
  } else {
    for (const CLI::App* sub : app_->get_subcommands({})) {
      words.push_back(sub->get_name());
    }
  }
  const std::vector<std::string_view> known(words.begin(), words.end());
  const std::string& full = unknown.front();
  return UnknownWord(is_option ? "option" : "verb",
                     full.substr(0, full.find('=')), known);
}

}  // namespace lutra::tools
