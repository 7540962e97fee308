#include "lutra/packer/pack.h"

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>

#include "lutra.h"
#include "lutra/runtime/error.h"
#include "packer/plan.h"
#include "packer/weight_packer.h"

namespace lutra::packer {
namespace {

qat::SchemeMap TrainedSchemes(const SafetensorsFile& file) {
  const auto entry = file.metadata().find(std::string(kSchemesKey));
  if (entry == file.metadata().end()) return {};
  return qat::ParseSchemes(entry->second, file.path());
}

// The source's metadata, with the schemes of what is packed and a note of how
// that was done. Deterministic: no times, no host, no paths.
std::map<std::string, std::string> PackedMetadata(
    const SafetensorsFile& file, qat::SchemeMap schemes,
    const std::vector<WeightPlan>& plans) {
  nlohmann::json methods = nlohmann::json::object();
  for (const WeightPlan& plan : plans) {
    if (plan.method == PackMethod::kKept) continue;
    schemes[plan.weight.name] = plan.scheme;
    methods[plan.weight.name] = Name(plan.method);
  }
  const nlohmann::json note = {
      {"tool", std::string("lutra ") + lutra_version()}, {"methods", methods}};
  std::map<std::string, std::string> metadata = file.metadata();
  metadata[std::string(kSchemesKey)] = qat::SchemesToJson(schemes);
  metadata[std::string(kPackKey)] = note.dump();
  return metadata;
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
    TensorInfo info;
    info.name = tensor.name;
    info.dtype = DType::kUInt8;
    info.shape = {
        static_cast<int64_t>(kernels::BlobBytes(entry->second->format))};
    tensors.push_back(info);
  }
  return tensors;
}

TensorReport ReportFor(const WeightPlan& plan) {
  TensorReport report;
  report.name = plan.weight.name;
  report.n = plan.weight.n;
  report.k = plan.weight.k;
  report.method = plan.method;
  report.bytes = plan.weight.bytes;
  report.sqnr_db = std::numeric_limits<double>::infinity();
  return report;
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
  for (const WeightPlan& plan : plans) {
    targets.emplace_back(plan.weight.name, plan.weight.op);
    if (plan.method != PackMethod::kKept) packed[plan.weight.name] = &plan;
    report.weight_count += plan.weight.ElementCount();
    report.source_weight_bytes += plan.weight.bytes;
  }
  report.unused_rules = options.rules.Unused(targets);

  SafetensorsWriter writer(path, PackedMetadata(file, trained, plans),
                           PackedTensors(file, packed));
  for (const TensorView& tensor : file.tensors()) {
    if (!packed.contains(tensor.name)) writer.Write(tensor.name, tensor.data);
  }
  for (size_t i = 0; i < plans.size(); ++i) {
    const WeightPlan& plan = plans[i];
    const std::string& name = plan.weight.name;
    if (progress) progress(name, i, plans.size());
    TensorReport tensor = ReportFor(plan);
    if (plan.method != PackMethod::kKept) {
      const std::span<const float> w = file.Get(name).Floats(file.path());
      PackedWeight result;
      try {
        result = PackWeight(w.data(), plan, options.pool);
      } catch (const Error& error) {
        throw Error::InTensor(file.path(), name, error.what());
      }
      writer.Write(name, result.Bytes());
      tensor.scheme = plan.scheme;
      tensor.bytes = result.Bytes().size();
      tensor.sqnr_db = result.sqnr_db;
      tensor.max_error = result.max_error;
      tensor.table_utilisation = result.table_utilisation;
    }
    tensor.bits_per_weight =
        WeightTotals{plan.weight.ElementCount(), tensor.bytes}.BitsPerWeight();
    report.weight_bytes += tensor.bytes;
    report.weights.push_back(std::move(tensor));
  }
  writer.Commit();
  std::error_code error;
  report.file_bytes = std::filesystem::file_size(path, error);
  if (error) {
    throw Error::InFile(path.string(), "cannot be read: " + error.message());
  }
  return report;
}

}  // namespace lutra::packer
