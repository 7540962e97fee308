#include "tools/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string_view>

#include "runtime/base/unknown_word.h"
#include "tools/cli/usage_error.h"

namespace lutra::tools {

Option Option::TypeName(std::string_view name) const {
  return Option(option_->type_name(std::string(name)));
}

Option Option::Required() const { return Option(option_->required()); }

Option Option::ShowDefault() const {
  return Option(option_->capture_default_str());
}

Option Option::ShowDefault(std::string_view text) const {
  return Option(option_->default_str(std::string(text)));
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

// CLI11's own name the largest double, in 309 digits.
static CLI::Validator Above(double least, bool or_equal, const char* name,
                            const char* wanted) {
  return CLI::Validator(
      [=](std::string& text) {
        double value = 0;
        const bool is_number = CLI::detail::lexical_cast(text, value);
        if (is_number && (or_equal ? value >= least : value > least)) {
          return std::string();
        }
        return "'" + text + "' is not a number " + wanted;
      },
      name);
}

Option Option::Positive() const {
  return Option(option_->check(Above(0, false, "POSITIVE", "above 0")));
}

Option Option::NotNegative() const {
  return Option(
      option_->check(Above(0, true, "NONNEGATIVE", "that is not negative")));
}

Option Option::OneOf(std::initializer_list<std::string_view> words) const {
  return Option(option_->check(
      CLI::IsMember(std::vector<std::string>(words.begin(), words.end()))));
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

Option Option::OptionalValue() const {
  option_->expected(0, 1)->default_str("");
  return *this;
}

Option Option::Excludes(const Option& other) const {
  return Option(option_->excludes(other.option_));
}

Option Option::Needs(const Option& other) const {
  return Option(option_->needs(other.option_));
}

bool Option::Given() const { return option_->count() > 0; }

template <typename T>
Option Verb::Add(std::string_view names, T& value,
                 std::string_view description) {
  return Option(
      app_->add_option(std::string(names), value, std::string(description)));
}
// By the names of the language, as the others' differ between systems.
template Option Verb::Add(std::string_view, int&, std::string_view);
template Option Verb::Add(std::string_view, unsigned&, std::string_view);
template Option Verb::Add(std::string_view, long&, std::string_view);
template Option Verb::Add(std::string_view, unsigned long&, std::string_view);
template Option Verb::Add(std::string_view, long long&, std::string_view);
template Option Verb::Add(std::string_view, unsigned long long&,
                          std::string_view);
template Option Verb::Add(std::string_view, float&, std::string_view);
template Option Verb::Add(std::string_view, double&, std::string_view);
template Option Verb::Add(std::string_view, std::optional<double>&,
                          std::string_view);
template Option Verb::Add(std::string_view, std::string&, std::string_view);
template Option Verb::Add(std::string_view, std::filesystem::path&,
                          std::string_view);
template Option Verb::Add(std::string_view, std::vector<std::string>&,
                          std::string_view);
template Option Verb::Add(std::string_view, std::vector<size_t>&,
                          std::string_view);

Option Verb::AddParsed(std::string_view names,
                       const std::function<void(const std::string&)>& parse,
                       std::string_view description) {
  return Option(app_->add_option_function<std::string>(
      std::string(names), parse, std::string(description)));
}

Option Verb::AddParsedList(
    std::string_view names,
    const std::function<void(const std::vector<std::string>&)>& parse,
    std::string_view description) {
  return Option(app_->add_option_function<std::vector<std::string>>(
      std::string(names), parse, std::string(description)));
}

Option Verb::AddFlag(std::string_view names, bool& value,
                     std::string_view description) {
  return Option(
      app_->add_flag(std::string(names), value, std::string(description)));
}

Option Verb::AddFlag(std::string_view names, const std::function<void()>& given,
                     std::string_view description) {
  return Option(app_->add_flag_callback(std::string(names), given,
                                        std::string(description)));
}

void Verb::Footer(std::string_view text) { app_->footer(std::string(text)); }

void Verb::OnRun(const std::function<void()>& run) { app_->callback(run); }

CommandLine::CommandLine(std::string_view name, std::string_view description)
    : app_(std::make_unique<CLI::App>(std::string(description),
                                      std::string(name))) {
  app_->require_subcommand(1);
}

CommandLine::~CommandLine() = default;

Verb CommandLine::AddVerb(std::string_view name, std::string_view description) {
  return Verb(
      app_->add_subcommand(std::string(name), std::string(description)));
}

void CommandLine::Version(std::string_view text) {
  app_->set_version_flag("--version", std::string(text));
}

void CommandLine::Footer(std::string_view text) {
  app_->footer(std::string(text));
}

void CommandLine::OnParsed(const std::function<void()>& check) {
  app_->parse_complete_callback(check);
}

// "TEXT:{a,b}" allows a and b only.
static std::vector<std::string> WordsOf(const std::string& value) {
  std::vector<std::string> words;
  const size_t start = value.find(":{");
  if (start == std::string::npos || !value.ends_with('}')) return words;
  return CLI::detail::split(value.substr(start + 2, value.size() - start - 3),
                            ',');
}

static VerbDescription DescribeApp(const CLI::App& app) {
  VerbDescription verb;
  verb.name = app.get_name();
  verb.text = app.get_description();
  verb.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    OptionDescription described;
    for (const std::string& name : option->get_snames()) {
      described.names.push_back("-" + name);
    }
    for (const std::string& name : option->get_lnames()) {
      described.names.push_back("--" + name);
    }
    if (described.names.empty()) {
      described.positional = option->get_name(/*positional=*/true);
    }
    if (option->get_items_expected_max() > 0) {  // else a flag
      described.value = option->get_type_name();
    }
    described.words = WordsOf(described.value);
    described.default_value = option->get_default_str();
    described.text = option->get_description();
    described.required = option->get_required();
    described.repeated = option->get_items_expected_max() > 1;
    verb.options.push_back(described);
  }
  return verb;
}

CommandDescription CommandLine::Describe() const {
  CommandDescription description;
  description.command = DescribeApp(*app_);
  for (const CLI::App* verb : app_->get_subcommands({})) {
    description.verbs.push_back(DescribeApp(*verb));
  }
  return description;
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
