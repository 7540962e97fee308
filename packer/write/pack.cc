#include "lutra/packer/pack.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "lutra/qat/activations.h"
#include "lutra/runtime/error.h"
#include "packer/assign/plan.h"
#include "packer/encode/float_store.h"
#include "packer/encode/roundings.h"
#include "packer/encode/weight_packer.h"
#include "packer/weights/row_source.h"
#include "packer/write/meter.h"
#include "packer/write/pack_note.h"

namespace lutra::packer {
namespace {

qat::SchemeMap TrainedSchemes(const SafetensorsFile& file) {
  const auto entry = file.metadata().find(std::string(kSchemesKey));
  if (entry == file.metadata().end()) return {};
  return qat::ParseSchemes(entry->second, file.path());
}

// The source's metadata, with the schemes of what is packed.
std::map<std::string, std::string> PackedMetadata(
    const SafetensorsFile& file, qat::SchemeMap schemes,
    const std::vector<WeightPlan>& plans) {
  for (const WeightPlan& plan : plans) {
    if (plan.method != PackMethod::kKept) {
      schemes[plan.weight.name] = plan.scheme;
    }
  }
  std::map<std::string, std::string> metadata = file.metadata();
  metadata[std::string(kSchemesKey)] = qat::SchemesToJson(schemes);
  return metadata;
}

// The model's, whose nodes take their inputs as the options say. Throws Error
// where a packed weight could not.
Graph PackedGraph(const Model& model, const PackOptions& options,
                  const std::vector<WeightPlan>& plans) {
  Graph graph = model.graph();
  const std::vector<qat::StaticInput> missing =
      qat::QuantizeInputs(options.activations, graph);
  if (!missing.empty()) {
    throw Error::InFile(model.path(),
                        "the value '" + missing[0].value +
                            "' is to have a fixed range, which needs data: run "
                            "'lutra calibrate --ranges' first");
  }
  const std::vector<qat::StaticInput> outputs =
      qat::OutputsToRound(options.activations, graph);
  if (!outputs.empty()) {
    throw Error::InFile(model.path(),
                        "the output '" + outputs[0].value +
                            "' is to be rounded in a fixed range, which 'lutra "
                            "train' finds and teaches the model");
  }
  CheckInputs(model.path(), graph, plans);
  return graph;
}

std::vector<TensorInfo> PackedTensors(
    const SafetensorsFile& file,
    const std::map<std::string, const WeightPlan*>& packed) {
  std::vector<TensorInfo> tensors;
  for (const TensorView& tensor : file.tensors()) {
    const auto entry = packed.find(tensor.name);
    if (entry == packed.end()) {
      tensors.push_back(tensor);
      continue;
    }
    const WeightPlan& plan = *entry->second;
    if (plan.floats) {
      tensors.push_back({tensor.name, *plan.floats, tensor.shape});
      tensors.push_back({Float8ScalesName(tensor.name),
                         ScaleDType(plan),
                         {tensor.shape[0], plan.format.GroupsPerRow()}});
      continue;
    }
    TensorInfo info;
    info.name = tensor.name;
    info.dtype = DType::kUInt8;
    info.shape = {static_cast<int64_t>(kernels::BlobBytes(plan.format))};
    tensors.push_back(info);
  }
  return tensors;
}

// What is known before the work.
TensorReport ReportFor(const WeightPlan& plan) {
  TensorReport report;
  report.name = plan.weight.name;
  report.dtype = plan.weight.dtype;
  report.n = plan.weight.n;
  report.k = plan.weight.k;
  report.method = plan.method;
  report.bytes = plan.Bytes();
  if (plan.method != PackMethod::kKept) report.scheme = plan.scheme;
  report.bits_per_weight =
      WeightTotals{plan.weight.ElementCount(), report.bytes}.BitsPerWeight();
  report.sqnr_db = std::numeric_limits<double>::infinity();
  return report;
}

void WriteFloats(const RowSource& w, const WeightPlan& plan, Executor* executor,
                 Meter& meter, SafetensorsWriter& writer,
                 TensorReport& report) {
  const StoredFloats result = StoreFloats(
      w, plan, executor, [&](size_t rows) { meter.Add(rows * w.columns()); });
  writer.Write(report.name, std::as_bytes(std::span(result.codes)));
  writer.Write(Float8ScalesName(report.name), result.scales);
  report.sqnr_db = result.sqnr_db;
  report.max_error = result.max_error;
  report.table_utilisation = result.utilisation;
}

double Decibels(double energy, double error) {
  return error > 0 ? 10 * std::log10(energy / error)
                   : std::numeric_limits<double>::infinity();
}

}  // namespace

std::string_view Name(PackMethod method) {
  switch (method) {
    case PackMethod::kTrained:
      return "trained";
    case PackMethod::kRounded:
      return "trained, rounded";
    case PackMethod::kPostTraining:
      return "post-training";
    case PackMethod::kImported:
      return "imported";
    case PackMethod::kKept:
      break;
  }
  return "kept";
}

double PackReport::BitsPerWeight() const {
  return WeightTotals{weight_count, weight_bytes}.BitsPerWeight();
}

PackReport PackModel(const Model& model, const std::filesystem::path& path,
                     const PackOptions& options, const PackProgress& progress) {
  const SafetensorsFile& file = model.file();
  const qat::SchemeMap trained = TrainedSchemes(file);
  const std::vector<WeightPlan> plans = MakePlan(model, trained, options);

  PackReport report;
  std::vector<qat::RuleTarget> targets;
  std::map<std::string, const WeightPlan*> packed;
  std::set<std::string_view> weights;
  for (const WeightPlan& plan : plans) {
    targets.emplace_back(plan.weight.name, plan.weight.op);
    weights.insert(plan.weight.name);
    if (plan.method != PackMethod::kKept) packed[plan.weight.name] = &plan;
    report.weights.push_back(ReportFor(plan));
    report.weight_count += plan.weight.ElementCount();
    report.weight_bytes += report.weights.back().bytes;
    report.source_weight_bytes += plan.weight.bytes;
  }
  report.unused_rules = options.rules.Unused(targets);

  const std::string note_key(kPackKey);
  std::map<std::string, std::string> metadata =
      PackedMetadata(file, trained, plans);
  metadata[note_key] = PackNoteSpace(report.weights);
  const std::string graph = GraphToJson(PackedGraph(model, options, plans));
  if (graph != GraphToJson(model.graph())) {
    metadata[std::string(kGraphKey)] = graph;
  }
  SafetensorsWriter writer(path, metadata, PackedTensors(file, packed));
  for (const TensorView& tensor : file.tensors()) {
    if (!packed.contains(tensor.name)) writer.Write(tensor.name, tensor.data);
    if (!weights.contains(tensor.name)) report.others.push_back(tensor.name);
  }
  Meter meter(progress, report.weight_count);
  Roundings roundings(model, options, [&meter] { meter.Add(0); });
  for (size_t i = 0; i < plans.size(); ++i) {
    const WeightPlan& plan = plans[i];
    TensorReport& tensor = report.weights[i];
    meter.Begin(tensor.name);
    if (plan.method == PackMethod::kKept) {
      meter.Add(plan.weight.ElementCount());
      continue;
    }
    const RowSource w(file.Get(tensor.name), file.path());
    if (plan.floats) {
      try {
        WriteFloats(w, plan, options.executor, meter, writer, tensor);
      } catch (const Error& error) {
        throw Error::InTensor(file.path(), tensor.name, error.what());
      }
      continue;
    }
    const MomentRounding* rounding = roundings.For(plan);
    if (rounding == nullptr && options.statistics != nullptr &&
        plan.method == PackMethod::kPostTraining &&
        plan.weight.op == OpType::kLinear) {
      report.without_statistics.push_back(tensor.name);
    }
    PackedWeight result;
    try {
      result = PackWeight(w, plan, rounding, options.executor,
                          [&](size_t rows) { meter.Add(rows * w.columns()); });
    } catch (const Error& error) {
      throw Error::InTensor(file.path(), tensor.name, error.what());
    }
    writer.Write(tensor.name, result.Bytes());
    tensor.sqnr_db = result.sqnr_db;
    tensor.max_error = result.max_error;
    tensor.table_utilisation = result.table_utilisation;
    if (result.losses) {
      tensor.output_sqnr_db =
          Decibels(result.losses->energy, result.losses->result);
      tensor.start_output_sqnr_db =
          Decibels(result.losses->energy, result.losses->start);
    }
    roundings.Replace(tensor.name, std::move(result));
  }
  metadata[note_key] = PackNote(report.weights);
  writer.ReplaceMetadata(metadata);
  writer.Commit();
  std::error_code error;
  report.file_bytes = std::filesystem::file_size(path, error);
  if (error) {
    throw Error::InFile(path.string(), "cannot be read: " + error.message());
  }
  return report;
}

}  // namespace lutra::packer
