#include "lutra/packer/diff.h"

#include <iostream>
#include <memory>
#include <string>

#include "lutra/runtime/error.h"
#include "runtime/base/threads.h"
#include "tools/cli/exit_status.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

using packer::TensorDifference;

constexpr int kDifferent = 1;
constexpr int kTrouble = 2;

constexpr const char* kDiffExample =
    "Takes any two safetensors files. Tensors are compared by name; packed "
    "and\n"
    "float ones of one shape by their values. Exit code: 0 if nothing differs, "
    "1 if\n"
    "something does, 2 if a file cannot be read.\n"
    "\n"
    "Examples:\n"
    "  lutra diff float.safetensors packed.safetensors\n"
    "  lutra diff old.safetensors new.safetensors --json | jq .metadata";

struct DiffVerb {
  std::string before;
  std::string after;
  size_t threads = 0;
  OutputFormat format = OutputFormat::kTable;

  void Run() const;
};

const char* Name(TensorDifference::Kind kind) {
  switch (kind) {
    case TensorDifference::Kind::kAdded:
      return "added";
    case TensorDifference::Kind::kRemoved:
      return "removed";
    case TensorDifference::Kind::kChanged:
      break;
  }
  return "changed";
}

Json ToJson(const packer::FileDifferences& differences) {
  Json json;
  json["same"] = !differences.Any();
  json["same_tensors"] = differences.same_tensors;
  json["tensors"] = Json::Array();
  for (const TensorDifference& tensor : differences.tensors) {
    Json entry = {{"name", tensor.name},
                  {"kind", Name(tensor.kind)},
                  {"before", tensor.before},
                  {"after", tensor.after}};
    if (tensor.sqnr_db) {
      // Null if infinite.
      entry["sqnr_db"] = *tensor.sqnr_db;
      entry["max_error"] = *tensor.max_error;
    }
    json["tensors"].PushBack(std::move(entry));
  }
  json["metadata"] = differences.metadata;
  json["graph"] = differences.graph;
  return json;
}

void PrintLines(const char* title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  std::cout << title << ":\n";
  for (const std::string& line : lines) {
    std::cout << "  " << OneLine(line) << "\n";
  }
}

void Print(const packer::FileDifferences& differences, OutputFormat format) {
  if (format == OutputFormat::kJson) {
    std::cout << ToJson(differences).Dump(2) << "\n";
    return;
  }
  if (!differences.tensors.empty()) {
    Table table({{"tensor", Table::Align::kLeft},
                 {"", Table::Align::kLeft},
                 {"before", Table::Align::kLeft},
                 {"after", Table::Align::kLeft},
                 {"SQNR dB"},
                 {"max error"}});
    for (const TensorDifference& tensor : differences.tensors) {
      table.AddRow({tensor.name, Name(tensor.kind), tensor.before, tensor.after,
                    tensor.sqnr_db ? Fixed(*tensor.sqnr_db, 2) : "",
                    tensor.max_error ? Short(*tensor.max_error) : ""});
    }
    std::cout << Rendered(table, format);
  }
  PrintLines("metadata", differences.metadata);
  PrintLines("graph", differences.graph);
  std::cout << differences.same_tensors << " tensors are the same, "
            << differences.tensors.size() << " differ\n";
}

void DiffVerb::Run() const {
  packer::FileDifferences differences;
  try {
    const SafetensorsFile a = SafetensorsFile::Open(before);
    const SafetensorsFile b = SafetensorsFile::Open(after);
    const std::unique_ptr<Executor> executor = StartThreads(threads);
    differences = packer::Diff(a, b, executor.get());
  } catch (const Error& error) {
    throw ExitStatus(kTrouble, error.what());
  }
  Print(differences, format);
  if (differences.Any()) throw ExitStatus(kDifferent);
}

}  // namespace

void AddDiffVerb(CommandLine& line) {
  auto verb = std::make_shared<DiffVerb>();
  Verb diff = line.AddVerb("diff", "Show what differs between two model files");
  diff.Footer(kDiffExample);
  diff.Add("BEFORE", verb->before, "A safetensors file").Required();
  diff.Add("AFTER", verb->after, "Another one").Required();
  AddThreadsOption(diff, verb->threads);
  AddFormatOptions(diff, verb->format);
  diff.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
