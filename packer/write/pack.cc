#include "lutra/packer/pack.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/assign/plan.h"
#include "packer/calibrate/sequential.h"
#include "packer/encode/moment_rounding.h"
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

// What is known before the work.
TensorReport ReportFor(const WeightPlan& plan) {
  TensorReport report;
  report.name = plan.weight.name;
  report.dtype = plan.weight.dtype;
  report.n = plan.weight.n;
  report.k = plan.weight.k;
  report.method = plan.method;
  report.bytes = plan.weight.bytes;
  if (plan.method != PackMethod::kKept) {
    report.scheme = plan.scheme;
    report.bytes = kernels::BlobBytes(plan.format);
  }
  report.bits_per_weight =
      WeightTotals{plan.weight.ElementCount(), report.bytes}.BitsPerWeight();
  report.sqnr_db = std::numeric_limits<double>::infinity();
  return report;
}

// What rounds weights with data. Weights in a row often have the same inputs
// (query, key and value), so that the last one stays.
class Roundings {
 public:
  Roundings(const Model& model, const PackOptions& options, Meter& meter)
      : model_(model), options_(options), meter_(meter) {
    if (options.samples != nullptr) {
      sequential_.emplace(model, *options.samples, options.which,
                          options.executor);
    }
  }

  // nullptr if nothing is known about the inputs. Throws Error.
  const MomentRounding* For(const WeightPlan& plan) {
    if (plan.method != PackMethod::kPostTraining) return nullptr;
    std::vector<std::string> values = ValuesOf(plan);
    if (values.empty()) return nullptr;
    if (last_ == nullptr || values != values_) {
      last_.reset();
      const auto k = static_cast<size_t>(plan.weight.k);
      InputMoments moments = MomentsOf(values);
      last_ = std::make_unique<MomentRounding>(
          std::move(moments.moments), k, options_.rounding, moments.cross);
      values_ = std::move(values);
    }
    return last_.get();
  }

  // The weight has been packed.
  void Replace(const std::string& weight, PackedWeight packed) {
    if (!sequential_) return;
    PackedWeight& kept = packed_[weight] = std::move(packed);
    sequential_->Replace(weight, kept.Bytes());
  }

 private:
  std::vector<std::string> ValuesOf(const WeightPlan& plan) const {
    const std::string& weight = plan.weight.name;
    if (options_.statistics != nullptr) {
      return options_.statistics->ValuesOf(model_, weight);
    }
    // What an embedding gives is needed before what an output matrix takes.
    if (!sequential_ || plan.weight.op != OpType::kLinear) return {};
    for (const Node& node : model_.graph().nodes) {
      if (node.op == OpType::kLinear && node.weight == weight) {
        return {node.inputs[0]};
      }
    }
    return {};
  }

  InputMoments MomentsOf(const std::vector<std::string>& values) {
    if (sequential_) {
      return sequential_->Next(values[0], [this](size_t) { meter_.Add(0); });
    }
    const Statistics& statistics = *options_.statistics;
    InputMoments sum{statistics.Moments(values[0]), {}};
    for (size_t i = 1; i < values.size(); ++i) {
      const std::vector<float> more = statistics.Moments(values[i]);
      for (size_t j = 0; j < more.size(); ++j) sum.moments[j] += more[j];
    }
    return sum;
  }

  const Model& model_;
  const PackOptions& options_;
  Meter& meter_;
  std::optional<SequentialMoments> sequential_;
  std::map<std::string, PackedWeight> packed_;  // that sequential_ reads
  std::vector<std::string> values_;
  std::unique_ptr<MomentRounding> last_;
};

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
  SafetensorsWriter writer(path, metadata, PackedTensors(file, packed));
  for (const TensorView& tensor : file.tensors()) {
    if (!packed.contains(tensor.name)) writer.Write(tensor.name, tensor.data);
    if (!weights.contains(tensor.name)) report.others.push_back(tensor.name);
  }
  Meter meter(progress, report.weight_count);
  Roundings roundings(model, options, meter);
  for (size_t i = 0; i < plans.size(); ++i) {
    const WeightPlan& plan = plans[i];
    TensorReport& tensor = report.weights[i];
    meter.Begin(tensor.name);
    if (plan.method == PackMethod::kKept) {
      meter.Add(plan.weight.ElementCount());
      continue;
    }
    const RowSource w(file.Get(tensor.name), file.path());
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
