#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "lutra/packer/assign.h"
#include "lutra/packer/calibrate.h"
#include "lutra/packer/pack.h"
#include "lutra/packer/statistics.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/output_file.h"
#include "runtime/base/threads.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/scheme_options.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/train_data.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kExample =
    "Packs the weights of linear, embedding, conv2d and lstm_cell nodes; one\n"
    "that several nodes share, once. Norms, biases and the like stay float. A\n"
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

struct PackVerb {
  std::string model;
  std::string output;
  std::string calibration;  // a statistics file; "": none
  std::string data;         // or what layers are run over one by one
  TextDataOptions text{.length = 512};
  LabelledDataOptions labelled;
  size_t samples = 0;
  packer::DataRounding rounding;
  SchemeOptions schemes;
  double target_bits = 0;  // 0: none
  std::vector<std::string> candidates = {"2:64", "2:32", "3:64",
                                         "3:32", "4:64", "4:32"};
  std::string plan_file;
  bool dry_run = false;
  size_t threads = 0;
  OutputFormat format = OutputFormat::kTable;

  void Run();
  void CheckUse() const;
  void Assign(const Model& source, packer::PackOptions& options,
              Progress& progress) const;
  std::vector<qat::QuantScheme> Candidates() const;
};

// Turns of rounding, and windows of text, that tell candidates apart.
constexpr int kTurnsOfTrials = 1;
constexpr size_t kWindowsOfTrials = 4;

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

Json ToJson(const packer::AssignReport& report) {
  Json json = {{"bits_per_weight", report.bits_per_weight},
               {"expected_divergence", report.cost},
               {"weights", Json::Array()}};
  for (const packer::Assignment& weight : report.weights) {
    json["weights"].PushBack(Json{{"name", weight.name},
                                  {"bits", weight.scheme.bits},
                                  {"group_size", weight.scheme.group_size},
                                  {"quantizer", weight.scheme.quantizer},
                                  {"fixed", weight.is_fixed},
                                  {"bytes", weight.bytes},
                                  {"trial_divergence", weight.divergence},
                                  {"expected_divergence", weight.cost}});
  }
  return json;
}

Table ToTable(const packer::AssignReport& report) {
  Table table({{"tensor", Table::Align::kLeft},
               {"scheme", Table::Align::kLeft},
               {"bytes"},
               {"trial"},
               {"expected"}});
  for (const packer::Assignment& weight : report.weights) {
    table.AddRow({weight.name, qat::ToString(weight.scheme),
                  WithCommas(weight.bytes),
                  weight.is_fixed ? "by rule" : Short(weight.divergence),
                  weight.is_fixed ? "" : Short(weight.cost)});
  }
  return table;
}

std::vector<qat::QuantScheme> PackVerb::Candidates() const {
  std::vector<qat::QuantScheme> result;
  for (const std::string& candidate : candidates) {
    AsUsage("--candidates", [&] {
      const size_t colon = candidate.find(':');
      qat::QuantScheme scheme = schemes.scheme;
      const std::from_chars_result end = std::from_chars(
          candidate.data(), candidate.data() + candidate.size(), scheme.bits);
      if (colon == std::string::npos || end.ec != std::errc() ||
          end.ptr != candidate.data() + colon) {
        throw Error("'" + OneLine(candidate) +
                    "' is not BITS:GROUP, e.g. 4:32");
      }
      scheme.group_size = qat::ParseGroupSize(candidate.substr(colon + 1));
      if (!schemes.quantizer_option.Given()) {
        scheme.quantizer = qat::DefaultQuantizer(scheme.bits);
      }
      qat::CheckScheme(scheme);
      result.push_back(scheme);
    });
  }
  return result;
}

void PackVerb::CheckUse() const {
  const bool has_target = target_bits > 0;
  if (has_target && (data.empty() || calibration.empty())) {
    throw UsageError("--target-bpw",
                     "needs --calibration, for errors, and --data, for trials");
  }
  if (!has_target && !data.empty() && !calibration.empty()) {
    throw UsageError("--data",
                     "takes the place of --calibration (both are for "
                     "--target-bpw only)");
  }
  if (!has_target && (dry_run || !plan_file.empty())) {
    throw UsageError("--dry-run, --plan", "are about --target-bpw");
  }
  if (output.empty() && !dry_run) {
    throw UsageError("--output", "is required");
  }
}

// Adds a rule for each weight to those of the options.
void PackVerb::Assign(const Model& source, packer::PackOptions& options,
                      Progress& progress) const {
  packer::PackOptions trial = options;
  trial.samples = nullptr;
  trial.rounding.turns = kTurnsOfTrials;
  packer::AssignOptions assign;
  assign.target_bits = target_bits;
  assign.candidates = Candidates();
  assign.pack = &trial;
  assign.samples = options.samples;
  assign.which =
      packer::SpreadSamples(options.samples->Count(), kWindowsOfTrials);
  const EndOnInterrupt interrupt;
  const packer::AssignReport report = packer::AssignSchemes(
      source, assign, [&](const packer::PackStatus& status) {
        interrupt.Check();
        progress.ShowRate("trying " + std::string(status.tensor), status.done,
                          status.total, "weights");
      });
  progress.Clear();
  if (!plan_file.empty()) {
    OutputFile file(plan_file);
    file.Append(packer::SpecOf(report) + "\n");
    file.Commit();
  }
  options.rules = packer::RulesOf(report, options.rules);
  options.use_trained = false;
  options.statistics = nullptr;
  if (!dry_run) return;
  if (format == OutputFormat::kJson) {
    std::cout << ToJson(report).Dump(2) << "\n";
    return;
  }
  const Table table = ToTable(report);
  std::cout << (format == OutputFormat::kTable ? table.Text()
                                               : table.Markdown())
            << "\n"
            << Fixed(report.bits_per_weight, 3)
            << " bits per weight, expected divergence " << Short(report.cost)
            << "\n";
}

void PackVerb::Run() {
  CheckUse();

  packer::PackOptions options;
  options.rules = schemes.Rules();
  options.use_trained = !schemes.HasDefault();
  const std::unique_ptr<Executor> executor = StartThreads(threads);
  options.executor = executor.get();
  const std::shared_ptr<const Model> source = Model::Load(model);
  std::optional<packer::Statistics> statistics;
  if (!calibration.empty()) {
    statistics = packer::Statistics::Open(calibration);
    options.statistics = &*statistics;
  }
  options.rounding = rounding;
  LabelledData images;
  std::unique_ptr<qat::Samples> windows;
  if (!data.empty()) {
    const bool is_text = TakesText(model);
    if (is_text) {
      windows = LoadTextSamples(model, data, text);
    } else {
      images = LoadLabelledData(data, labelled);
    }
    options.samples = is_text ? windows.get() : images.train.get();
    options.which = packer::SpreadSamples(
        options.samples->Count(),
        samples == 0 && is_text ? kDefaultWindows : samples);
  }
  Progress progress;
  if (target_bits > 0) {
    Assign(*source, options, progress);
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
  if (format == OutputFormat::kJson) {
    std::cout << ToJson(report, output).Dump(2) << "\n";
    return;
  }
  const Table table = ToTable(report);
  std::cout << (format == OutputFormat::kTable ? table.Text()
                                               : table.Markdown())
            << "\n"
            << OneLine(output) << ": " << WithCommas(report.weight_count)
            << " weights in " << WithCommas(report.weight_bytes) << " bytes ("
            << Fixed(report.BitsPerWeight(), 2) << " bits per weight; before "
            << WithCommas(report.source_weight_bytes) << "), file "
            << WithCommas(report.file_bytes) << " bytes; "
            << report.others.size() << " other tensors copied\n";
}

}  // namespace

void AddPackVerb(CommandLine& line) {
  auto verb = std::make_shared<PackVerb>();
  Verb pack = line.AddVerb("pack", "Replace float weights by packed ones");
  pack.Footer(kExample);
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
  AddDataOptions(pack, verb->text, verb->labelled, verb->samples,
                 kDefaultSamples);
  pack.Add("--damping", verb->rounding.damping,
           "Share of the mean that is added to the diagonal of the moments")
      .Range(0.0, 100.0)
      .ShowDefault();
  pack.Add("--turns", verb->rounding.turns,
           "How often scales, tables and indices are improved in turns after "
           "GPTQ")
      .Range(0, 1000)
      .ShowDefault();
  pack.Add("--target-bpw", verb->target_bits,
           "Choose bits and groups of each weight by trials, so that all "
           "together take no more bits per weight; those of rules stay. Needs "
           "--calibration and --data")
      .TypeName("BITS")
      .Positive();
  pack.Add("--candidates", verb->candidates, "What --target-bpw chooses from")
      .TypeName("BITS:GROUP,...")
      .CommaList()
      .ShowDefault("2:64,2:32,3:64,3:32,4:64,4:32");
  pack.Add("--plan", verb->plan_file,
           "Write what --target-bpw has chosen as a specification (--spec)")
      .TypeName("FILE.json");
  pack.AddFlag("--dry-run", verb->dry_run,
               "Print what --target-bpw chooses, and stop");
  AddThreadsOption(pack, verb->threads);
  AddFormatOptions(pack, verb->format);
  pack.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
