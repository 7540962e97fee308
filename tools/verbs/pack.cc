#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lutra/eval/perplexity.h"
#include "lutra/packer/calibrate.h"
#include "lutra/packer/pack.h"
#include "lutra/packer/statistics.h"
#include "lutra/qat/adapters.h"
#include "lutra/runtime/error.h"
#include "runtime/base/threads.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/cli/language_options.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/eval.h"
#include "tools/verbs/pack.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kPackExample =
    "Packs the weights of linear, embedding, conv2d, lstm_cell and gru_cell\n"
    "nodes; one that several nodes share, once. Norms, biases and the like "
    "stay float. A\n"
    "weight that was trained on a grid is packed without loss, one that was "
    "not\n"
    "is quantized now (post-training). Any of --bits, --group-size, "
    "--quantizer,\n"
    "--preset and --spec makes all weights post-training; --rule those it\n"
    "matches.\n"
    "\n"
    "Quantizers (docs/packing.md), b bits:\n"
    "  absmax         2^b - 1 levels up to the largest value\n"
    "  stretched      2^b levels, none is zero; the scale from mean and "
    "maximum\n"
    "  mse            2^b levels; the scale with the smallest squared error\n"
    "  mse-stretched  the levels of stretched with that scale\n"
    "  mse-asymmetric 2^b equal steps that begin anywhere: an offset for each "
    "group\n"
    "  fp4            the values of 4-bit floats, with the best scale\n"
    "  lsbq           sums of +-v; a table per row (--group-size row)\n"
    "  kmeans         a table learned for each tensor; kmeans-row: for each "
    "row\n"
    "\n"
    "Examples:\n"
    "  lutra pack llm.safetensors -o llm-4bit.safetensors --bits 4 \\\n"
    "    --group-size 32 --quantizer mse --scale-type bfloat16 \\\n"
    "    --rule 'op:embedding=bits:8'\n"
    "  lutra pack llm.safetensors -o llm-3bit.safetensors --bits 3 \\\n"
    "    --group-size 64 --quantizer mse-stretched --scale-type float16 \\\n"
    "    --calibration llm.statistics --rule 'op:embedding=bits:8'\n"
    "  lutra pack llm.safetensors -o llm-3bit.safetensors --target-bpw 3 \\\n"
    "    --quantizer mse-stretched --scale-type float16 --data wiki.txt \\\n"
    "    --calibration llm.statistics --rule 'op:embedding=bits:8'\n"
    "  lutra pack model.safetensors -o packed.safetensors --bits 2 "
    "--group-size 64 \\\n"
    "    --rule 'fc3=bits:4,group-size:32' --exclude 'embedding'";

Json ToJson(const packer::TensorReport& tensor) {
  Json json;
  json["name"] = tensor.name;
  json["shape"] = Json::Array({tensor.n, tensor.k});
  json["method"] = packer::Name(tensor.method);
  if (tensor.scheme.has_value()) {
    json["quantizer"] = tensor.scheme->quantizer;
    json["bits"] = tensor.scheme->bits;
    json["group_size"] = tensor.scheme->group_size;
    json["scale_type"] = qat::Name(tensor.scheme->scale_type);
  }
  json["bytes"] = tensor.bytes;
  json["bits_per_weight"] = tensor.bits_per_weight;
  json["lossless"] = tensor.max_error == 0;
  // JSON has no infinity; an infinite ratio is null, and lossless says why.
  json["sqnr_db"] = tensor.sqnr_db;
  json["max_error"] = tensor.max_error;
  json["table_utilisation"] = tensor.table_utilisation;
  if (tensor.output_sqnr_db) {
    json["output_sqnr_db"] = *tensor.output_sqnr_db;
    json["start_output_sqnr_db"] = *tensor.start_output_sqnr_db;
  }
  return json;
}

Json ToJson(const packer::PackReport& report, const std::string& output) {
  Json json;
  json["file"] = output;
  json["file_bytes"] = report.file_bytes;
  json["weights"] = report.weight_count;
  json["weight_bytes"] = report.weight_bytes;
  json["source_weight_bytes"] = report.source_weight_bytes;
  json["bits_per_weight"] = report.BitsPerWeight();
  json["unused_rules"] = report.unused_rules;
  json["other_tensors"] = report.others;
  json["tensors"] = Json::Array();
  for (const packer::TensorReport& tensor : report.weights) {
    json["tensors"].PushBack(ToJson(tensor));
  }
  return json;
}

Table ToTable(const packer::PackReport& report) {
  const bool calibrated = std::any_of(
      report.weights.begin(), report.weights.end(),
      [](const auto& tensor) { return tensor.output_sqnr_db.has_value(); });
  std::vector<Table::Column> columns = {{"tensor", Table::Align::kLeft},
                                        {"shape", Table::Align::kLeft},
                                        {"scheme", Table::Align::kLeft},
                                        {"method", Table::Align::kLeft},
                                        {"bytes"},
                                        {"bits/weight"},
                                        {"SQNR dB"},
                                        {"max error"},
                                        {"table used"}};
  if (calibrated) {
    columns.insert(columns.end(), {{"outputs dB"}, {"without data"}});
  }
  Table table(std::move(columns));
  for (const packer::TensorReport& tensor : report.weights) {
    const bool packed = tensor.scheme.has_value();
    const std::vector<int64_t> shape = {tensor.n, tensor.k};
    std::vector<std::string> cells = {
        tensor.name,
        ShapeToString(shape),
        packed ? qat::ToString(*tensor.scheme)
               : std::string(Name(tensor.dtype)),
        std::string(packer::Name(tensor.method)),
        WithCommas(tensor.bytes),
        Fixed(tensor.bits_per_weight, 2),
        Fixed(tensor.sqnr_db, 2),
        Short(tensor.max_error),
        packed ? Fixed(100 * tensor.table_utilisation, 0) + " %" : ""};
    if (calibrated) {
      for (const auto& decibels :
           {tensor.output_sqnr_db, tensor.start_output_sqnr_db}) {
        cells.push_back(decibels ? Fixed(*decibels, 2) : "");
      }
    }
    table.AddRow(std::move(cells));
  }
  return table;
}

// Of the model before and after.
TextReport MeasureText(const PackVerb& verb) {
  EvalOptions options;
  options.models = {verb.model, verb.output};
  options.labels = {"before", "after"};
  options.reference = "before";
  options.text = verb.eval_text;
  options.bytes = verb.eval_bytes;
  options.language.session.threads = verb.threads;
  return MeasurePerplexity(options);
}

// Where the model lies as it is before it is packed, until it is.
class FileBefore {
 public:
  FileBefore(const std::string& output, const char* what)
      : path_(output + "." + what) {}
  ~FileBefore() {
    std::error_code none;
    std::filesystem::remove(path_, none);
  }
  FileBefore(const FileBefore&) = delete;
  FileBefore& operator=(const FileBefore&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The model with its adapters in its weights, by way of a file at `path`.
std::shared_ptr<const Model> Merged(const std::string& file,
                                    const std::filesystem::path& path,
                                    Executor* executor) {
  qat::TrainableModel model =
      qat::LoadTrainableModel(file, qat::PackedWeights::kUnpack);
  try {
    qat::MergeAdapters(model, executor);
  } catch (const Error& error) {
    throw Error::InFile(file, error.what());
  }
  qat::WriteModel(path, model, {});
  return Model::Load(path);
}

std::shared_ptr<const Model> Rescaled(const PackVerb& verb, const Model& source,
                                      packer::Statistics& statistics,
                                      const packer::PackOptions& packing,
                                      const std::filesystem::path& path,
                                      Progress& progress) {
  packer::RescaleOptions options = verb.rescale.Options();
  options.rules = packing.rules;
  options.executor = packing.executor;
  const EndOnInterrupt interrupt;
  packer::RescaleModel(source, statistics, options, path,
                       [&](std::string_view value, size_t index, size_t count) {
                         interrupt.Check();
                         progress.Show("rescaling " + std::string(value), index,
                                       count);
                       });
  return Model::Load(path);
}

}  // namespace

void PackVerb::Run() {
  CheckBudgetUse(*this);
  if (!eval_text.empty()) {
    if (dry_run)
      throw UsageError("--eval", "measures what --dry-run leaves out");
    std::error_code no_output_yet;
    if (std::filesystem::equivalent(model, output, no_output_yet)) {
      throw UsageError("--eval", "needs the model before: give another file");
    }
    // So that a bad path is known before long work.
    eval::ReadText(eval_text, eval_bytes);
    RequireTokenizer(*Model::Load(model));
  }
  if (output.empty() && (!dry_run || merge)) {
    throw UsageError("--output", "is required");
  }

  packer::PackOptions options;
  options.rules = schemes.Rules();
  options.activations = schemes.Activations();
  options.use_trained = !schemes.HasDefault();
  const std::unique_ptr<Executor> executor = StartThreads(threads);
  options.executor = executor.get();
  const FileBefore merged(output, "merged");
  std::shared_ptr<const Model> source =
      merge ? Merged(model, merged.path(), executor.get()) : Model::Load(model);
  if (!rescale.method.empty() && options.use_trained &&
      source->file().metadata().contains(std::string(kSchemesKey))) {
    throw UsageError("--rescale",
                     "would take the weights off the grids they were trained "
                     "on; give a scheme to pack them anew");
  }
  std::optional<packer::Statistics> statistics;
  Progress progress;
  const FileBefore rescaled(output, "rescaled");
  if (!calibration.empty()) {
    statistics = packer::Statistics::Open(calibration);
    if (!rescale.method.empty()) {
      source = Rescaled(*this, *source, *statistics, options, rescaled.path(),
                        progress);
    }
    // What is rounded layer by layer needs them for the numbers alone.
    if (data.empty() || target_bits > 0) options.statistics = &*statistics;
  }
  options.rounding = rounding;
  ModelData samples;
  if (!data.empty()) {
    samples = LoadModelData(model, data, data_options);
    options.samples = &samples.All();
    options.which = packer::SpreadSamples(samples.All().Count(),
                                          EnoughSamples(samples, data_options));
  }
  if (target_bits > 0) {
    AssignBits(*this, source, options, progress);
    if (dry_run) return;
  }
  const EndOnInterrupt interrupt;
  const packer::PackReport report = packer::PackModel(
      *source, output, options, [&](const packer::PackStatus& status) {
        interrupt.Check();
        progress.ShowRate("packing " + std::string(status.tensor), status.done,
                          status.total, "weights");
      });
  progress.Clear();
  for (const std::string& rule : report.unused_rules) {
    std::cerr << "lutra: warning: '" << OneLine(rule)
              << "' matches no weight\n";
  }
  if (!report.without_statistics.empty()) {
    std::cerr << "lutra: warning: " << OneLine(calibration)
              << " says nothing of the inputs of "
              << report.without_statistics.size() << " weights, the first '"
              << OneLine(report.without_statistics[0]) << "'\n";
  }
  std::optional<TextReport> measured;
  if (!eval_text.empty()) measured = MeasureText(*this);
  if (format == OutputFormat::kJson) {
    Json json = ToJson(report, output);
    if (measured) json["evaluation"] = measured->json;
    std::cout << json.Dump(2) << "\n";
    return;
  }
  const Table table = ToTable(report);
  std::cout << Rendered(table, format) << "\n"
            << OneLine(output) << ": " << WithCommas(report.weight_count)
            << " weights in " << WithCommas(report.weight_bytes) << " bytes ("
            << Fixed(report.BitsPerWeight(), 2) << " bits per weight; before "
            << WithCommas(report.source_weight_bytes) << "), file "
            << WithCommas(report.file_bytes) << " bytes; "
            << report.others.size() << " other tensors copied\n";
  if (!measured) return;
  std::cout << "\n" << Rendered(measured->table, format);
}

void AddPackVerb(CommandLine& line) {
  auto verb = std::make_shared<PackVerb>();
  Verb pack = line.AddVerb("pack", "Replace float weights by packed ones");
  pack.Footer(kPackExample);
  pack.Add("MODEL", verb->model, "Model with float weights").Required();
  pack.Add("-o,--output", verb->output, "File to write").TypeName("FILE");
  AddSchemeOptions(pack, verb->schemes);
  pack.Add("--calibration", verb->calibration,
           "Statistics of the inputs (lutra calibrate): post-training "
           "weights are rounded so that outputs lose least")
      .TypeName("FILE");
  pack.Add("--data", verb->data,
           "Text file or folder, or folder of samples, that the model is "
           "run over while it is packed, layer by layer, in place of "
           "--calibration: slower, and better")
      .TypeName("PATH");
  AddDataOptions(pack, verb->data_options, kEnoughSamples);
  pack.Add("--damping", verb->rounding.damping,
           "Share of the mean that is added to the diagonal of the moments")
      .Range(0.0, 100.0)
      .ShowDefault();
  pack.Add("--turns", verb->rounding.turns,
           "How often scales, tables and indices are improved in turns after "
           "GPTQ")
      .Range(0, 1000)
      .ShowDefault();
  pack.AddParsed(
          "--rounding",
          [verb](const std::string& text) {
            using Method = packer::DataRounding::Method;
            verb->rounding.method =
                text == "clip" ? Method::kClip : Method::kGptq;
          },
          "With data: gptq, or clip: the nearest levels, with scales searched")
      .OneOf({"gptq", "clip"})
      .ShowDefault("gptq");
  pack.AddFlag("--merge", verb->merge,
               "Put the adapters of 'lutra train --lora' into the weights "
               "first, which must be floats");
  AddRescaleOptions(pack, "--rescale", verb->rescale);
  AddBudgetOptions(pack, *verb);
  pack.Add("--eval", verb->eval_text,
           "Measure a language model's perplexity on this text before and "
           "after, as lutra eval does, and the divergence between the two")
      .TypeName("FILE");
  pack.Add("--eval-bytes", verb->eval_bytes,
           "Use only the first N bytes of it; 0: all")
      .TypeName("N")
      .ShowDefault();
  AddThreadsOption(pack, verb->threads);
  AddFormatOptions(pack, verb->format);
  pack.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
