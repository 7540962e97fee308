#include "tools/cli/options.h"

#include <algorithm>
#include <array>
#include <iostream>

#include "lutra/runtime/error.h"
#include "lutra/runtime/program.h"
#include "runtime/base/thread_count.h"
#include "runtime/base/threads.h"
#include "runtime/base/unknown_word.h"
#include "tools/cli/usage_error.h"

namespace lutra::tools {
namespace {

constexpr std::array<std::string_view, 4> kFormatNames = {"table", "markdown",
                                                          "json", "csv"};

size_t IndexOf(std::string_view what, std::string_view word,
               std::span<const std::string_view> known) {
  const auto found = std::find(known.begin(), known.end(), word);
  if (found == known.end()) throw Error(UnknownWord(what, word, known));
  return static_cast<size_t>(found - known.begin());
}

// What the model says, else int8.
constexpr std::string_view kOfModel = "model";

std::string ActivationsHelp() {
  std::string help =
      "How packed layers take their activations: model (the default: as the "
      "model was trained or packed for; where it does not say, int8-per-group "
      "if a weight has groups, else int8)";
  for (const kernels::ActivationTraits& traits : kernels::kActivationTypes) {
    help.append(", ").append(traits.name);
  }
  return help;
}

constexpr const char* kThreadsHelp =
    "Threads to use; 0: as many as 'lutra cpu' says";

// Checks nothing: the text is a number in its range.
std::string WarnOfThreads(const std::string& text) {
  const size_t most = ChooseThreads().most;
  if (std::stoul(text) > most) {
    std::cerr << "lutra: warning: --threads " << text
              << ": more than this process may run at once; " << most
              << " will be used\n";
  }
  return "";
}

}  // namespace

void AsUsage(std::string_view option, const std::function<void()>& parse) {
  try {
    parse();
  } catch (const Error& error) {
    throw UsageError(std::string(option), error.what());
  }
}

void AddThreadsOption(Verb& verb, size_t& threads) {
  verb.Add("-t,--threads", threads, kThreadsHelp)
      .TypeName("N")
      .Range(size_t{0}, kMaxThreads)
      .Check(&WarnOfThreads)
      .ShowDefault();
}

void AddThreadsOption(Verb& verb, std::vector<size_t>& threads) {
  AddSizesOption(verb, "-t,--threads", threads, 0, kMaxThreads, kThreadsHelp)
      .Check(&WarnOfThreads);
}

ActivationChoice ParseActivations(std::string_view text) {
  if (text == kOfModel) return std::nullopt;
  std::vector<std::string_view> names = {kOfModel};
  for (const kernels::ActivationTraits& traits : kernels::kActivationTypes) {
    if (traits.name == text) return traits.type;
    names.push_back(traits.name);
  }
  throw Error(UnknownWord("activation type", text, names));
}

void AddActivationsOption(Verb& verb, ActivationChoice& type) {
  verb.AddParsed(
          "--activations",
          [&type](const std::string& text) {
            AsUsage("--activations", [&] { type = ParseActivations(text); });
          },
          ActivationsHelp())
      .TypeName("TYPE");
}

void AddActivationsOption(Verb& verb, std::vector<ActivationChoice>& types) {
  verb.AddParsedList(
          "--activations",
          [&types](const std::vector<std::string>& texts) {
            types.clear();
            AsUsage("--activations", [&] {
              for (const std::string& text : texts) {
                types.push_back(ParseActivations(text));
              }
            });
          },
          ActivationsHelp())
      .TypeName("TYPE,...")
      .CommaList();
}

Option AddSizesOption(Verb& verb, std::string_view name,
                      std::vector<size_t>& sizes, size_t minimum,
                      size_t maximum, std::string_view description) {
  return verb.Add(name, sizes, description)
      .TypeName("N,...")
      .CommaList()
      .Range(minimum, maximum)
      .ShowDefault();
}

void AddTimingOptions(Verb& verb, eval::TimingOptions& options) {
  verb.Add("-r,--repeat", options.repeat,
           "Timed calls; 0: as many as fit --seconds")
      .TypeName("N")
      .Range(size_t{0}, size_t{1} << 24)
      .ShowDefault();
  verb.Add("--seconds", options.seconds, "Time for each measurement")
      .TypeName("T")
      .Range(0.0, 3600.0)
      .ShowDefault();
}

void AddFormatOptions(Verb& verb, OutputFormat& format, Csv csv) {
  const std::span<const std::string_view> names =
      std::span(kFormatNames).first(csv == Csv::kYes ? 4 : 3);
  const Option option =
      verb.AddParsed(
              "--format",
              [&format, names](const std::string& text) {
                AsUsage("--format", [&] {
                  format =
                      static_cast<OutputFormat>(IndexOf("format", text, names));
                });
              },
              std::string("Form of the output: table (the default), markdown") +
                  (csv == Csv::kYes ? ", json or csv" : " or json"))
          .TypeName("FORM");
  verb.AddFlag(
          "--json", [&format] { format = OutputFormat::kJson; },
          "Short for --format json")
      .Excludes(option);
}

void Refuse(const std::vector<NamedOption>& options, const char* reason) {
  for (const NamedOption& option : options) {
    if (option.option.Given()) throw UsageError(option.name, reason);
  }
}

std::string Rendered(const Table& table, OutputFormat format) {
  return format == OutputFormat::kMarkdown ? table.Markdown() : table.Text();
}

}  // namespace lutra::tools
