#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/python/src/data.h"
#include "bindings/python/src/long_work.h"
#include "bindings/python/src/model.h"
#include "bindings/python/src/module.h"
#include "lutra/packer/calibrate.h"
#include "lutra/packer/import.h"
#include "lutra/packer/pack.h"
#include "lutra/packer/statistics.h"
#include "lutra/runtime/error.h"
#include "runtime/base/threads.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra::python {
namespace {

namespace fs = std::filesystem;

packer::ImportReport Import(const fs::path& source, const fs::path& output,
                            const std::string& format,
                            const std::optional<fs::path>& tokenizer,
                            const std::optional<fs::path>& graph,
                            size_t context, bool float32, bool dequantize,
                            bool recover, bool require_exact, size_t threads,
                            nb::handle progress) {
  packer::ImportOptions options;
  options.source = source;
  options.output = output;
  options.format = packer::ParseImportFormat(format);
  options.tokenizer = tokenizer.value_or(fs::path());
  options.graph = graph.value_or(fs::path());
  options.context = context;
  options.float32 = float32;
  options.dequantize = dequantize;
  options.recover = recover;
  options.require_exact = require_exact;
  packer::ImportReport report;
  DoLongWork(progress, [&](Progress& told) {
    const std::unique_ptr<Executor> executor = StartThreads(threads);
    options.executor = executor.get();
    options.looking = [&](std::string_view tensor) { told.Tell(tensor, 0, 0); };
    report = packer::ImportModel(
        options, [&](std::string_view tensor, size_t index, size_t count) {
          told.Tell(tensor, index, count);
        });
  });
  return report;
}

// Columns of a group, "1/N" of a row, or "row".
void SetGroupSize(nb::handle value, qat::QuantScheme& scheme) {
  if (nb::isinstance<nb::str>(value)) {
    return qat::SetGroupSize(nb::cast<std::string>(value), scheme);
  }
  scheme.group_size = nb::cast<int64_t>(value);
  if (scheme.group_size < 1) {
    throw Error("group_size is a positive number of columns, '1/N' or 'row'");
  }
}

qat::QuantizationSpec SpecOf(const std::optional<std::string>& preset,
                             nb::handle spec) {
  if (preset) return qat::QuantizationSpec(qat::PresetLayer(*preset));
  if (nb::isinstance<nb::dict>(spec)) {
    const nb::object json = nb::module_::import_("json").attr("dumps")(spec);
    return qat::QuantizationSpec::Parse(nb::cast<std::string>(json), "spec");
  }
  return qat::QuantizationSpec::Load(nb::cast<fs::path>(spec));
}

struct SchemeArguments {
  std::optional<int> bits;
  nb::object group_size;
  std::optional<std::string> quantizer;
  std::optional<std::string> scale_type;
  std::optional<std::string> preset;
  nb::object spec;
  std::vector<std::string> rules;
  std::vector<std::string> exclude;

  bool HasScheme() const { return bits || !group_size.is_none() || quantizer; }
};

// As the options of the command, docs/packing.md.
void SetSchemes(const SchemeArguments& arguments,
                packer::PackOptions& options) {
  const bool has_spec = arguments.preset || !arguments.spec.is_none();
  if (has_spec && (arguments.HasScheme() || arguments.scale_type ||
                   (arguments.preset && !arguments.spec.is_none()))) {
    throw Error("give bits and the like, or a preset, or a spec");
  }
  options.use_trained = !arguments.HasScheme() && !has_spec;
  std::optional<qat::QuantScheme> scheme;
  if (has_spec) {
    options.activations = SpecOf(arguments.preset, arguments.spec);
    scheme = options.activations.DefaultScheme();
  } else {
    scheme.emplace();
    scheme->bits = arguments.bits.value_or(scheme->bits);
    if (!arguments.group_size.is_none()) {
      SetGroupSize(arguments.group_size, *scheme);
    }
    scheme->quantizer = arguments.quantizer.value_or(
        std::string(qat::DefaultQuantizer(scheme->bits)));
    if (arguments.scale_type) {
      scheme->scale_type = qat::ParseScaleType(*arguments.scale_type);
    }
  }
  options.rules = qat::SchemeRules(scheme);
  for (const std::string& rule : arguments.rules) options.rules.AddRule(rule);
  for (const std::string& pattern : arguments.exclude) {
    options.rules.AddExclusion(pattern);
    options.activations.AddExclusion(pattern);
  }
  if (has_spec) options.activations.AppendTo(options.rules);
}

packer::PackReport Pack(const ModelOrPath& model, const fs::path& output,
                        const SchemeArguments& schemes,
                        const std::optional<fs::path>& calibration,
                        nb::handle data, size_t length, size_t samples,
                        const std::string& rounding, double damping, int turns,
                        size_t threads, nb::handle progress) {
  packer::PackOptions options;
  SetSchemes(schemes, options);
  if (rounding != "gptq" && rounding != "clip") {
    throw Error("rounding is 'gptq' or 'clip', not '" + rounding + "'");
  }
  using Method = packer::DataRounding::Method;
  options.rounding = {damping, turns,
                      rounding == "clip" ? Method::kClip : Method::kGptq};
  const std::shared_ptr<const Model> source = ModelOf(model);
  Data given;
  if (!data.is_none()) {
    given = ReadData(*source, data, length, samples);
    options.samples = given.samples.get();
    options.which = given.Which();
  }
  std::optional<packer::Statistics> statistics;
  if (calibration) {
    if (!data.is_none()) throw Error("give data or a calibration, not both");
    statistics = packer::Statistics::Open(*calibration);
    options.statistics = &*statistics;
  }
  packer::PackReport report;
  DoLongWork(progress, [&](Progress& told) {
    const std::unique_ptr<Executor> executor = StartThreads(threads);
    options.executor = executor.get();
    report = packer::PackModel(
        *source, output, options, [&](const packer::PackStatus& status) {
          told.Tell(status.tensor, status.done, status.total);
        });
  });
  return report;
}

packer::CalibrationPlan Calibrate(const ModelOrPath& model,
                                  const fs::path& output, nb::handle data,
                                  size_t length, size_t samples, bool gradients,
                                  size_t threads, nb::handle progress) {
  const std::shared_ptr<const Model> source = ModelOf(model);
  const Data given = ReadData(*source, data, length, samples);
  packer::CalibrateOptions options;
  options.samples = given.most;
  options.gradients = gradients;
  packer::CalibrationPlan plan;
  DoLongWork(progress, [&](Progress& told) {
    const std::unique_ptr<Executor> executor = StartThreads(threads);
    options.executor = executor.get();
    plan = packer::Calibrate(source, *given.samples, options, output,
                             [&](size_t rows, size_t total) {
                               told.Tell("calibrating", rows, total);
                             });
  });
  return plan;
}

std::string ReprOf(const packer::TensorReport& tensor) {
  return "PackedTensor('" + tensor.name + "', " +
         std::string(packer::Name(tensor.method)) + ", " +
         std::to_string(tensor.bits_per_weight) + " bits per weight)";
}

void BindReports(nb::module_& module) {
  nb::class_<packer::TensorReport>(module, "PackedTensor",
                                   "What packing made of a weight.")
      .def_ro("name", &packer::TensorReport::name)
      .def_ro("rows", &packer::TensorReport::n)
      .def_ro("columns", &packer::TensorReport::k)
      .def_prop_ro(
          "method",
          [](const packer::TensorReport& tensor) {
            return std::string(packer::Name(tensor.method));
          },
          "'trained', 'trained, rounded', 'post-training', 'imported' or "
          "'kept'.")
      .def_prop_ro(
          "scheme",
          [](const packer::TensorReport& tensor) -> std::optional<std::string> {
            if (!tensor.scheme) return std::nullopt;
            return qat::ToString(*tensor.scheme);
          },
          "In words; None for one that was kept.")
      .def_ro("nbytes", &packer::TensorReport::bytes)
      .def_ro("bits_per_weight", &packer::TensorReport::bits_per_weight)
      .def_ro("sqnr_db", &packer::TensorReport::sqnr_db,
              "Infinite without loss.")
      .def_ro("max_error", &packer::TensorReport::max_error)
      .def_ro("output_sqnr_db", &packer::TensorReport::output_sqnr_db,
              "Of the layer's outputs, where there was data.")
      .def("__repr__", &ReprOf);

  nb::class_<packer::PackReport>(module, "PackReport", "What pack did.")
      .def_ro("weights", &packer::PackReport::weights)
      .def_ro("weight_count", &packer::PackReport::weight_count)
      .def_ro("weight_bytes", &packer::PackReport::weight_bytes)
      .def_ro("source_weight_bytes", &packer::PackReport::source_weight_bytes)
      .def_ro("file_bytes", &packer::PackReport::file_bytes)
      .def_ro("unused_rules", &packer::PackReport::unused_rules,
              "Rules and exclusions that matched no weight.")
      .def_prop_ro("bits_per_weight", &packer::PackReport::BitsPerWeight,
                   "With scales, tables and padding.")
      .def("__repr__", [](const packer::PackReport& report) {
        return nb::str("PackReport({} weights, {:.3f} bits each, {} bytes)")
            .format(report.weight_count, report.BitsPerWeight(),
                    report.file_bytes);
      });

  nb::class_<packer::ImportReport>(module, "ImportReport",
                                   "What import_model made.")
      .def_prop_ro(
          "format",
          [](const packer::ImportReport& report) {
            return std::string(packer::Name(report.format));
          },
          "'huggingface', 'gguf' ...")
      .def_ro("architecture", &packer::ImportReport::architecture)
      .def_ro("layers", &packer::ImportReport::layers)
      .def_ro("parameters", &packer::ImportReport::parameters)
      .def_ro("context", &packer::ImportReport::context)
      .def_ro("tokenizer", &packer::ImportReport::tokenizer)
      .def_ro("vocabulary", &packer::ImportReport::vocabulary)
      .def_ro("chat_templates", &packer::ImportReport::chat_templates)
      .def_ro("file_bytes", &packer::ImportReport::file_bytes)
      .def_ro("notes", &packer::ImportReport::notes,
              "What the graph does otherwise than the source.")
      .def("__repr__", [](const packer::ImportReport& report) {
        return nb::str("ImportReport({}, {} layers, {} parameters, {} bytes)")
            .format(report.architecture, report.layers, report.parameters,
                    report.file_bytes);
      });

  nb::class_<packer::CalibrationPlan>(module, "CalibrationReport",
                                      "What calibrate did.")
      .def_ro("values", &packer::CalibrationPlan::values, "Inputs of layers.")
      .def_ro("samples", &packer::CalibrationPlan::samples)
      .def_ro("rows", &packer::CalibrationPlan::rows)
      .def("__repr__", [](const packer::CalibrationPlan& plan) {
        return nb::str("CalibrationReport({} inputs of layers, {} samples)")
            .format(plan.values, plan.samples);
      });
}

}  // namespace

void BindPacking(nb::module_& module) {
  BindReports(module);
  module.def(
      "import_model", &Import, "source"_a, "output"_a, nb::kw_only(),
      "format"_a = "auto", "tokenizer"_a = nb::none(), "graph"_a = nb::none(),
      "context"_a = 0, "float32"_a = false, "dequantize"_a = false,
      "recover"_a = false, "require_exact"_a = false, "threads"_a = 0,
      "progress"_a = nb::none(),
      nb::sig("def import_model(source: str | os.PathLike, output: str | "
              "os.PathLike, *, format: str = 'auto', tokenizer: str | "
              "os.PathLike | None = None, graph: str | os.PathLike | None = "
              "None, context: int = 0, float32: bool = False, dequantize: "
              "bool = False, recover: bool = False, require_exact: bool = "
              "False, threads: int = 0, progress: typing.Callable[[str, int, "
              "int], object] | None = None) -> ImportReport"),
      "Makes a model file of a checkpoint: a Hugging Face folder, GGUF, ONNX "
      "and others\n(docs/import.md).\n\n"
      "context: the longest sequence; 0: what the checkpoint says.\n"
      "float32: makes all weights float32.\n"
      "dequantize: makes float32 of quantized weights.\n"
      "recover: packs float weights that lie on a grid; require_exact: all "
      "groups must.\n"
      "progress: called with the tensor, its number and how many there are.");
  module.def(
      "pack",
      [](const ModelOrPath& model, const fs::path& output,
         std::optional<int> bits, nb::object group_size,
         std::optional<std::string> quantizer,
         std::optional<std::string> scale_type, std::vector<std::string> rules,
         std::vector<std::string> exclude, std::optional<std::string> preset,
         nb::object spec, const std::optional<fs::path>& calibration,
         nb::handle data, size_t length, size_t samples,
         const std::string& rounding, double damping, int turns, size_t threads,
         nb::handle progress) {
        return Pack(model, output,
                    {bits, std::move(group_size), std::move(quantizer),
                     std::move(scale_type), std::move(preset), std::move(spec),
                     std::move(rules), std::move(exclude)},
                    calibration, data, length, samples, rounding, damping,
                    turns, threads, progress);
      },
      "model"_a, "output"_a, nb::kw_only(), "bits"_a = nb::none(),
      "group_size"_a = nb::none(), "quantizer"_a = nb::none(),
      "scale_type"_a = nb::none(), "rules"_a = nb::list(),
      "exclude"_a = nb::list(), "preset"_a = nb::none(), "spec"_a = nb::none(),
      "calibration"_a = nb::none(), "data"_a = nb::none(), "length"_a = 256,
      "samples"_a = 0, "rounding"_a = "gptq",
      "damping"_a = packer::DataRounding().damping,
      "turns"_a = packer::DataRounding().turns, "threads"_a = 0,
      "progress"_a = nb::none(),
      nb::sig("def pack(model: Model | str | os.PathLike, output: str | "
              "os.PathLike, *, bits: int | None = None, group_size: int | str "
              "| None = None, quantizer: str | None = None, scale_type: str | "
              "None = None, rules: typing.Sequence[str] = (), exclude: "
              "typing.Sequence[str] = (), preset: str | None = None, spec: "
              "dict | str | os.PathLike | None = None, calibration: str | "
              "os.PathLike | None = None, data: typing.Any = None, length: "
              "int = 256, samples: int = 0, rounding: str = 'gptq', damping: "
              "float = 0.01, turns: int = 6, threads: int = 0, progress: "
              "typing.Callable[[str, int, int], object] | None = None) -> "
              "PackReport"),
      "Replaces float weights by packed ones (docs/packing.md).\n\n"
      "Weights that were trained on a grid, as the file says, are packed "
      "without loss; with\nbits, group_size, quantizer, a preset or a spec "
      "all are quantized now.\n\n"
      "bits: 0 (ternary) to 4, or 8. group_size: columns that share a scale, "
      "or 'row'.\n"
      "rules: 'PATTERN=bits:4,group-size:32', tried in order; exclude: "
      "patterns of weights\n  that stay as they are.\n"
      "data: what the model is run over while it is packed, so that outputs "
      "lose least: the\n  path of a text, a list of texts, or ids, for models "
      "of tokens; else an array\n  [samples, ...]. length: tokens of a "
      "window; samples: the most that count.\n"
      "calibration: a file of calibrate, in place of data.\n"
      "progress: called with the tensor, and the weights done and in all.");
  module.def(
      "calibrate", &Calibrate, "model"_a, "output"_a, "data"_a, nb::kw_only(),
      "length"_a = 256, "samples"_a = 0, "gradients"_a = false, "threads"_a = 0,
      "progress"_a = nb::none(),
      nb::sig("def calibrate(model: Model | str | os.PathLike, output: str | "
              "os.PathLike, data: typing.Any, *, length: int = 256, samples: "
              "int = 0, gradients: bool = False, threads: int = 0, progress: "
              "typing.Callable[[str, int, int], object] | None = None) -> "
              "CalibrationReport"),
      "Runs a model over data and writes what pack wants to know of the "
      "inputs of layers.\n\ndata, length, samples: as of pack.");
}

}  // namespace lutra::python
