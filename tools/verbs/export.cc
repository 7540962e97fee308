#include "lutra/packer/export.h"

#include <iostream>
#include <memory>
#include <string>

#include "lutra/runtime/model.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kExample =
    "Writes config.json and model.safetensors as the transformers library has\n"
    "them; tokenizers are not written. Every value is that of the model.\n"
    "\n"
    "Examples:\n"
    "  lutra export model.safetensors -o folder\n"
    "  lutra export model.safetensors -o folder --layout compressed-tensors";

struct ExportVerb {
  std::string model;
  std::string folder;
  std::string layout = "float";
  bool json = false;

  void Run() const {
    packer::ExportLayout chosen = packer::ExportLayout::kFloat;
    AsUsage("--layout", [&] { chosen = packer::ParseExportLayout(layout); });
    const auto source = Model::Load(model);
    Progress progress;
    const EndOnInterrupt interrupt;
    const packer::ExportReport report = packer::ExportModel(
        *source, folder, chosen,
        [&](std::string_view tensor, size_t index, size_t count) {
          interrupt.Check();
          progress.Show("exporting " + std::string(tensor), index, count);
        });
    progress.Clear();
    if (json) {
      Json out;
      out["folder"] = folder;
      out["tensors"] = report.tensors;
      out["packed"] = report.packed;
      out["floats"] = report.floats;
      out["file_bytes"] = report.file_bytes;
      std::cout << out.Dump(2) << "\n";
      return;
    }
    std::cout << OneLine(folder) << ": " << report.tensors << " tensors, "
              << report.packed << " packed, " << report.floats
              << " that were packed as float32; model.safetensors "
              << WithCommas(report.file_bytes) << " bytes\n";
  }
};

}  // namespace

void AddExportVerb(CommandLine& line) {
  auto verb = std::make_shared<ExportVerb>();
  Verb command = line.AddVerb(
      "export", "Write an imported model as a folder that others read");
  command.Footer(kExample);
  command.Add("MODEL", verb->model, "A model file").Required();
  command.Add("-o,--output", verb->folder, "Folder to write")
      .TypeName("FOLDER")
      .Required();
  command
      .Add("--layout", verb->layout,
           "float: packed weights become float32; compressed-tensors: those "
           "that its layout holds exactly stay packed")
      .TypeName("NAME")
      .ShowDefault();
  command.AddFlag("--json", verb->json, "Print JSON");
  command.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
