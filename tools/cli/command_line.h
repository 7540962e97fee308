#ifndef LUTRA_TOOLS_CLI_COMMAND_LINE_H_
#define LUTRA_TOOLS_CLI_COMMAND_LINE_H_

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/cli/command_description.h"

// What a command understands: verbs, each with options and a help text. The
// parser behind it (CLI11) takes longer to compile than all of a verb, so that
// only command_line.cc sees it.

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace lutra::tools {

// An option of a verb: a handle, to be copied, valid as long as the command
// line. The settings return it again, so that they can be chained; those that
// speak of values are for options with one.
class Option {
 public:
  Option() = default;  // of no verb; may only be assigned to
  explicit Option(CLI::Option* option) : option_(option) {}

  // What the help text calls the value, e.g. "FILE".
  Option TypeName(std::string_view name) const;
  Option Required() const;
  // The help text shows the value that the variable has now, or `text`.
  Option ShowDefault() const;
  Option ShowDefault(std::string_view text) const;

  // What values are accepted. The type is that of the variable, and of a
  // vector's elements: it is part of the messages.
  template <typename T>
  Option Range(T minimum, T maximum) const;
  Option Positive() const;
  Option NotNegative() const;
  Option OneOf(std::initializer_list<std::string_view> words) const;
  // `check` gets the text of a value; it returns what is wrong, or "".
  Option Check(
      const std::function<std::string(const std::string&)>& check) const;

  // For vectors, which otherwise take all words up to the next option: one
  // value at a time, or several that commas separate.
  Option OneAtATime() const;
  Option CommaList() const;

  // The option may come without its value, which then is "".
  Option OptionalValue() const;

  // Not together with, or only together with another option.
  Option Excludes(const Option& other) const;
  Option Needs(const Option& other) const;

  // After parsing: whether it was on the command line.
  bool Given() const;

 private:
  CLI::Option* option_ = nullptr;
};

// A verb of a command: a handle, to be copied, valid as long as the command
// line.
class Verb {
 public:
  explicit Verb(CLI::App* app) : app_(app) {}

  // An option that sets `value`, which must outlive the command line. `names`
  // as in "-t,--threads", or "MODEL" for a word in its place. T is a number
  // (not bool), std::string, std::filesystem::path, std::optional<double>, or a
  // vector of std::string or of size_t.
  template <typename T>
  Option Add(std::string_view names, T& value, std::string_view description);
  // Options whose text, or texts, `parse` is called with; it throws UsageError
  // for what it does not take.
  Option AddParsed(std::string_view names,
                   const std::function<void(const std::string&)>& parse,
                   std::string_view description);
  Option AddParsedList(
      std::string_view names,
      const std::function<void(const std::vector<std::string>&)>& parse,
      std::string_view description);
  // Options without a value: `value` becomes true, `given` is called.
  Option AddFlag(std::string_view names, bool& value,
                 std::string_view description);
  Option AddFlag(std::string_view names, const std::function<void()>& given,
                 std::string_view description);

  // Stands at the end of the help text.
  void Footer(std::string_view text);
  // What the verb does, once all of the command line is understood.
  void OnRun(const std::function<void()>& run);

 private:
  CLI::App* app_;
};

// A command that is called with one of its verbs.
class CommandLine {
 public:
  CommandLine(std::string_view name, std::string_view description);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  Verb AddVerb(std::string_view name, std::string_view description);
  // What --version prints.
  void Version(std::string_view text);
  // Stands at the end of the help text.
  void Footer(std::string_view text);
  // What --help says of all of it.
  CommandDescription Describe() const;
  // Is called before the verb runs.
  void OnParsed(const std::function<void()>& check);

  // Runs the verb that the words ask for, or prints to standard output what
  // --help and --version do. Throws UsageError for a wrong command line, which
  // suggests the nearest verb or option for one that does not exist, and what
  // the verb throws.
  void Parse(int argc, const char* const* argv);

 private:
  // Of a command line that is wrong because of `message`.
  std::string Explain(const std::string& message) const;

  std::unique_ptr<CLI::App> app_;
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_COMMAND_LINE_H_
