#ifndef LUTRA_TOOLS_CLI_OPTIONS_H_
#define LUTRA_TOOLS_CLI_OPTIONS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/eval/timing.h"
#include "lutra/kernels/executor.h"
#include "lutra/runtime/program.h"
#include "tools/cli/command_line.h"
#include "tools/cli/table.h"

// Options that several verbs share, so that one spelling means one thing.

namespace lutra::tools {

// Runs `parse`; what it throws as lutra::Error becomes a usage error (exit code
// 2) about `option`.
void AsUsage(std::string_view option, const std::function<void()>& parse);

// --threads N or, with a vector, N,...; 0 (the default) for what lutra chooses.
// Warns of more than will be used.
void AddThreadsOption(Verb& verb, size_t& threads);
void AddThreadsOption(Verb& verb, std::vector<size_t>& threads);

// "int8", "int8-symmetric", "int8-per-group", "float32", "bfloat16".
// Throws lutra::Error.
ActivationChoice ParseActivations(std::string_view text);

// --activations TYPE, or with a vector TYPE,... . The value before the call is
// the default.
void AddActivationsOption(Verb& verb, ActivationChoice& type);
void AddActivationsOption(Verb& verb, std::vector<ActivationChoice>& types);

// Limits of what options accept; more would only be a typing mistake.
inline constexpr size_t kMaxSequences = 1024;
inline constexpr size_t kMaxBatch = size_t{1} << 20;

// NAME N,...: numbers from `minimum` to `maximum`. The value before the call is
// the default.
Option AddSizesOption(Verb& verb, std::string_view name,
                      std::vector<size_t>& sizes, size_t minimum,
                      size_t maximum, std::string_view description);

// --repeat N and --seconds T.
void AddTimingOptions(Verb& verb, eval::TimingOptions& options);

// An option and how it is spelled.
struct NamedOption {
  const char* name;
  Option option;
};
// Nothing that is asked for is ignored in silence: throws UsageError with the
// reason if one of them was given.
void Refuse(const std::vector<NamedOption>& options, const char* reason);

enum class OutputFormat { kTable, kMarkdown, kJson, kCsv };

// --format table|markdown|json, and --json for short. With csv only where a
// verb says so.
enum class Csv { kNo, kYes };
void AddFormatOptions(Verb& verb, OutputFormat& format, Csv csv = Csv::kNo);
// The table as Markdown if that is the format, else as text.
std::string Rendered(const Table& table, OutputFormat format);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_OPTIONS_H_
