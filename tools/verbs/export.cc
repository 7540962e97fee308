#include "lutra/packer/export.h"

#include <iostream>
#include <memory>
#include <string>

#include "lutra/packer/adapter_folder.h"
#include "lutra/runtime/model.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kExportExample =
    "Writes a folder as the transformers library has them, or a GGUF file if\n"
    "OUTPUT ends in .gguf, with the tokenizer and chat templates. Every value\n"
    "is that of the model. --format peft writes the adapters of a model alone, "
    "as\n"
    "the PEFT library and --adapter of lutra's commands read them.\n"
    "\n"
    "Examples:\n"
    "  lutra export model.safetensors -o folder\n"
    "  lutra export model.safetensors -o folder --layout compressed-tensors\n"
    "  lutra export model.safetensors -o folder --layout mlx --require-packed\n"
    "  lutra export model.safetensors -o model.gguf\n"
    "  lutra export model.safetensors -o model.gguf --layout float\n"
    "  lutra export adapted.safetensors -o adapter --format peft";

struct ExportVerb {
  std::string model;
  std::string output;
  std::string format;
  std::string layout;
  bool require_packed = false;
  bool no_tokenizer = false;
  bool json = false;

  void Run() const {
    if (format == "peft") return RunAdapters();
    if (!format.empty() && format != "huggingface" && format != "gguf") {
      throw UsageError("--format: '" + format +
                       "' is none of huggingface, gguf and peft");
    }
    const bool gguf =
        format.empty() ? output.ends_with(".gguf") : format == "gguf";
    gguf ? RunGguf() : RunFolder();
  }

  // Runs export(progress).
  template <typename Export>
  static auto WithProgress(const Export& export_it) {
    Progress progress;
    const EndOnInterrupt interrupt;
    auto report =
        export_it([&](std::string_view tensor, size_t index, size_t count) {
          interrupt.Check();
          progress.Show("exporting " + std::string(tensor), index, count);
        });
    progress.Clear();
    return report;
  }

  void RunFolder() const {
    packer::ExportOptions options;
    options.tokenizer = !no_tokenizer;
    options.require_packed = require_packed;
    if (!layout.empty()) {
      AsUsage("--layout",
              [&] { options.layout = packer::ParseExportLayout(layout); });
    }
    const auto source = Model::Load(model);
    const auto report =
        WithProgress([&](const packer::ExportProgress& progress) {
          return packer::ExportModel(*source, output, options, progress);
        });
    if (json) {
      Json out;
      out["folder"] = output;
      out["tensors"] = report.tensors;
      out["packed"] = report.packed;
      out["floats"] = report.floats;
      out["notes"] = report.notes;
      out["file_bytes"] = report.file_bytes;
      std::cout << out.Dump(2) << "\n";
      return;
    }
    std::cout << OneLine(output) << ": " << report.tensors << " tensors, "
              << report.packed << " packed, " << report.floats
              << " that were packed as float32; model.safetensors "
              << WithCommas(report.file_bytes) << " bytes\n";
    PrintNotes(report.notes);
  }

  static void PrintNotes(const std::vector<std::string>& notes) {
    for (const std::string& note : notes) {
      std::cout << "  note: " << OneLine(note) << "\n";
    }
  }

  void RunAdapters() const {
    if (!layout.empty() || require_packed || no_tokenizer) {
      throw UsageError(
          "--format peft writes adapters alone: --layout, "
          "--require-packed and --no-tokenizer mean nothing");
    }
    const auto report = packer::WriteAdapterFolder(*Model::Load(model), output);
    if (json) {
      Json out;
      out["folder"] = output;
      out["adapters"] = report.adapters;
      out["rank"] = report.rank;
      out["alpha"] = report.alpha;
      out["bytes"] = report.bytes;
      std::cout << out.Dump(2) << "\n";
      return;
    }
    std::cout << OneLine(output) << ": " << report.adapters
              << " adapters of rank " << report.rank << ", alpha "
              << report.alpha << "; " << WithCommas(report.bytes)
              << " bytes of weights\n";
  }

  void RunGguf() const {
    if (!layout.empty() && layout != "float") {
      throw UsageError("--layout: a GGUF file has none but 'float'");
    }
    packer::GgufOptions options;
    options.packed = layout.empty();
    options.tokenizer = !no_tokenizer;
    options.require_packed = require_packed;
    const auto source = Model::Load(model);
    const auto report =
        WithProgress([&](const packer::ExportProgress& progress) {
          return packer::ExportGguf(*source, output, options, progress);
        });
    if (json) {
      Json out;
      out["file"] = output;
      out["tensors"] = report.tensors;
      out["packed"] = report.packed;
      out["floats"] = report.floats;
      Json& types = out["types"] = Json::Object();
      for (const auto& [type, count] : report.types) types[type] = count;
      out["notes"] = report.notes;
      out["file_bytes"] = report.file_bytes;
      std::cout << out.Dump(2) << "\n";
      return;
    }
    std::cout << OneLine(output) << ": " << report.tensors << " tensors,";
    for (const auto& [type, count] : report.types) {
      std::cout << " " << count << " " << type;
    }
    std::cout << "; " << WithCommas(report.file_bytes) << " bytes\n";
    if (report.floats > 0) {
      std::cout << "  " << report.floats
                << " packed weights fit no type of few bits and became "
                   "floats\n";
    }
    PrintNotes(report.notes);
  }
};

}  // namespace

void AddExportVerb(CommandLine& line) {
  auto verb = std::make_shared<ExportVerb>();
  Verb command = line.AddVerb(
      "export", "Write an imported model for other programs to read");
  command.Footer(kExportExample);
  command.Add("MODEL", verb->model, "A model file").Required();
  command
      .Add("-o,--output", verb->output,
           "Folder to write, or a file if its name ends in .gguf")
      .TypeName("OUTPUT")
      .Required();
  command
      .Add("--format", verb->format,
           "huggingface or gguf, whatever OUTPUT is called, or peft: the "
           "adapters alone")
      .TypeName("NAME");
  command
      .Add("--layout", verb->layout,
           "Of folders: float (the default), packed weights become float32; "
           "compressed-tensors, torchao, mlx: those that the layout holds "
           "exactly stay packed. Of GGUF files: by default each weight takes "
           "the smallest "
           "type that holds it exactly; float: one of floats")
      .TypeName("NAME");
  command.AddFlag("--require-packed", verb->require_packed,
                  "Refuse packed weights that would become floats");
  command.AddFlag("--no-tokenizer", verb->no_tokenizer,
                  "Leave tokenizer and chat templates out");
  command.AddFlag("--json", verb->json, "Print JSON");
  command.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
