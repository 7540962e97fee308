#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/python/src/long_work.h"
#include "bindings/python/src/model.h"
#include "bindings/python/src/module.h"
#include "lutra/packer/adapter_folder.h"
#include "lutra/packer/export.h"
#include "lutra/runtime/error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra::python {
namespace {

namespace fs = std::filesystem;

// What folders and GGUF files have in common.
struct PyExportReport {
  std::string format;
  size_t tensors = 0;
  size_t packed = 0;
  size_t floats = 0;
  std::map<std::string, size_t> types;  // of GGUF
  std::vector<std::string> notes;
  size_t file_bytes = 0;
};

packer::ExportOptions FolderOptions(const std::optional<std::string>& layout,
                                    bool require_packed, bool tokenizer) {
  packer::ExportOptions options;
  if (layout) options.layout = packer::ParseExportLayout(*layout);
  options.require_packed = require_packed;
  options.tokenizer = tokenizer;
  return options;
}

packer::GgufOptions GgufOptionsOf(const std::optional<std::string>& layout,
                                  bool require_packed, bool tokenizer) {
  if (layout && *layout != "float") {
    throw Error("a GGUF file has no layout but 'float', not '" + *layout + "'");
  }
  packer::GgufOptions options;
  options.packed = !layout;
  options.require_packed = require_packed;
  options.tokenizer = tokenizer;
  return options;
}

PyExportReport Export(const ModelOrPath& model, const fs::path& output,
                      const std::optional<std::string>& format,
                      const std::optional<std::string>& layout,
                      bool require_packed, bool tokenizer,
                      nb::handle progress) {
  PyExportReport result;
  result.format =
      format.value_or(output.extension() == ".gguf" ? "gguf" : "huggingface");
  if (result.format != "gguf" && result.format != "huggingface") {
    throw Error("format is 'huggingface' or 'gguf', not '" + result.format +
                "'");
  }
  const std::shared_ptr<const Model> source = ModelOf(model);
  const auto take = [&](auto report) {
    result.tensors = report.tensors;
    result.packed = report.packed;
    result.floats = report.floats;
    result.notes = std::move(report.notes);
    result.file_bytes = report.file_bytes;
  };
  DoLongWork(progress, [&](Progress& told) {
    const packer::ExportProgress tell = [&](std::string_view tensor,
                                            size_t index, size_t count) {
      told.Tell(tensor, index, count);
    };
    if (result.format == "gguf") {
      packer::GgufReport report = packer::ExportGguf(
          *source, output, GgufOptionsOf(layout, require_packed, tokenizer),
          tell);
      result.types = std::move(report.types);
      take(std::move(report));
    } else {
      take(packer::ExportModel(*source, output,
                               FolderOptions(layout, require_packed, tokenizer),
                               tell));
    }
  });
  return result;
}

packer::AdapterReport ExportAdapters(const ModelOrPath& model,
                                     const fs::path& folder) {
  const std::shared_ptr<const Model> source = ModelOf(model);
  const nb::gil_scoped_release release;
  return packer::WriteAdapterFolder(*source, folder);
}

}  // namespace

void BindExporting(nb::module_& module) {
  nb::class_<PyExportReport>(module, "ExportReport", "What export_model wrote.")
      .def_ro("format", &PyExportReport::format, "'huggingface' or 'gguf'.")
      .def_ro("tensors", &PyExportReport::tensors)
      .def_ro("packed", &PyExportReport::packed, "Weights that stay packed.")
      .def_ro("floats", &PyExportReport::floats,
              "Weights that were packed and became floats.")
      .def_ro("types", &PyExportReport::types,
              "Of a GGUF file: how many tensors have each type, 'Q4_0' ...")
      .def_ro("notes", &PyExportReport::notes, "On what the format cannot say.")
      .def_ro("file_bytes", &PyExportReport::file_bytes,
              "Of the weights' file.")
      .def("__repr__", [](const PyExportReport& report) {
        return nb::str("ExportReport({}, {} tensors, {} bytes)")
            .format(report.format, report.tensors, report.file_bytes);
      });
  nb::class_<packer::AdapterReport>(module, "AdapterReport",
                                    "What export_adapters wrote.")
      .def_ro("adapters", &packer::AdapterReport::adapters)
      .def_ro("rank", &packer::AdapterReport::rank)
      .def_ro("alpha", &packer::AdapterReport::alpha)
      .def_ro("nbytes", &packer::AdapterReport::bytes, "Of their matrices.")
      .def("__repr__", [](const packer::AdapterReport& report) {
        return nb::str("AdapterReport({} adapters of rank {})")
            .format(report.adapters, report.rank);
      });
  module.def(
      "export_model", &Export, "model"_a, "output"_a, nb::kw_only(),
      "format"_a = nb::none(), "layout"_a = nb::none(),
      "require_packed"_a = false, "tokenizer"_a = true,
      "progress"_a = nb::none(),
      nb::sig(
          "def export_model(model: Model | str | os.PathLike, output: str | "
          "os.PathLike, *, format: str | None = None, layout: str | None = "
          "None, require_packed: bool = False, tokenizer: bool = True, "
          "progress: typing.Callable[[str, int, int], object] | None = "
          "None) -> ExportReport"),
      "Writes an imported model for other programs: a folder as transformers "
      "has them, or a\nGGUF file (docs/import.md). Every value is that of the "
      "model.\n\n"
      "format: 'huggingface' or 'gguf'; None: 'gguf' if output ends in .gguf.\n"
      "layout: what becomes of packed weights in a folder: 'float', "
      "'compressed-tensors',\n  'torchao' or 'mlx'; of GGUF files: 'float', or "
      "None for the smallest type that\n  holds a weight exactly.\n"
      "require_packed: refuses packed weights that would become floats.\n"
      "tokenizer: is written, with chat templates.\n"
      "progress: called with the tensor, its number and how many there are.");
  module.def(
      "export_adapters", &ExportAdapters, "model"_a, "folder"_a,
      nb::sig("def export_adapters(model: Model | str | os.PathLike, folder: "
              "str | os.PathLike) -> AdapterReport"),
      "Writes the adapters of a model alone, as the PEFT library has them "
      "and Model(adapter=)\nreads them.");
}

}  // namespace lutra::python
