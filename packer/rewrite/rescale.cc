#include "lutra/packer/rescale.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "lutra/packer/pack.h"
#include "lutra/packer/ranges.h"
#include "lutra/qat/name_pattern.h"
#include "lutra/runtime/error.h"
#include "packer/assign/plan.h"
#include "packer/rewrite/column_scales.h"
#include "packer/rewrite/scaling_groups.h"
#include "packer/weights/row_source.h"

namespace lutra::packer {
namespace {

constexpr int kAlphaSteps = 20;

// What the numbers of a tensor [n, k] are multiplied by; empty: 1.
struct Factors {
  std::vector<float> columns;
  std::vector<float> rows;
};

std::vector<double> Alphas(const RescaleOptions& options) {
  if (options.alpha) return {*options.alpha};
  std::vector<double> alphas;
  for (int i = 0; i <= kAlphaSteps; ++i) {
    alphas.push_back(static_cast<double>(i) / kAlphaSteps);
  }
  return alphas;
}

class Rescaler {
 public:
  Rescaler(const Model& model, Statistics& statistics,
           const RescaleOptions& options)
      : model_(model),
        statistics_(statistics),
        options_(options),
        groups_(ChooseScalingGroups(model, options.layers)) {
    if (groups_.empty()) {
      throw Error::InFile(model.path(),
                          "has no layers that a norm or another layer before "
                          "them can scale");
    }
    PackOptions packing;
    packing.rules = options.rules;
    packing.use_trained = false;
    plans_ = MakePlan(model, {}, packing);
  }

  void Search(const RescaleProgress& progress) {
    for (size_t i = 0; i < groups_.size(); ++i) {
      if (progress) progress(groups_[i].value, i, groups_.size());
      Scale(groups_[i]);
    }
  }

  RescaleReport Write(const std::filesystem::path& path) {
    const SafetensorsFile& file = model_.file();
    std::map<std::string, std::string> metadata = file.metadata();
    metadata[std::string(kGraphKey)] =
        GraphToJson(WithoutRanges(model_.graph()));
    metadata.erase(std::string(kSchemesKey));  // no weight is on its grid now
    std::vector<TensorInfo> tensors;
    for (const TensorView& tensor : file.tensors()) {
      TensorInfo info = tensor;
      if (factors_.contains(tensor.name)) info.dtype = DType::kFloat32;
      tensors.push_back(info);
    }
    SafetensorsWriter writer(path, metadata, tensors);
    for (const TensorView& tensor : file.tensors()) {
      const auto factors = factors_.find(tensor.name);
      if (factors == factors_.end()) {
        writer.Write(tensor.name, tensor.data);
        continue;
      }
      const std::vector<float> values = Multiplied(tensor, factors->second);
      writer.Write(tensor.name, std::as_bytes(std::span(values)));
    }
    writer.Commit();
    report_.file_bytes = static_cast<size_t>(std::filesystem::file_size(path));
    return report_;
  }

 private:
  const Node& NodeAt(size_t i) const { return model_.graph().nodes[i]; }

  std::vector<float> Values(const std::string& tensor) const {
    const RowSource source(model_.file().Get(tensor), model_.path());
    std::vector<float> scratch;
    const auto values = source.Rows(0, source.rows(), scratch);
    return {values.begin(), values.end()};
  }

  const WeightPlan* PlanOf(const std::string& weight) const {
    for (const WeightPlan& plan : plans_) {
      if (plan.weight.name != weight) continue;
      return plan.method == PackMethod::kKept ? nullptr : &plan;
    }
    return nullptr;
  }

  void Scale(const ScalingGroup& group) {
    const std::string& first = NodeAt(group.layers.front()).weight;
    if (statistics_.ValuesOf(model_, first).empty()) {
      throw Error::InFile(statistics_.path(),
                          "says nothing of the value '" + group.value + "'");
    }
    ScalingProblem problem;
    problem.method = options_.method;
    problem.clamp = options_.clamp;
    problem.moments = statistics_.Moments(group.value);
    problem.peaks = statistics_.Peaks(group.value);
    problem.rows = static_cast<double>(statistics_.Rows(group.value));
    problem.origin = group.origin;
    problem.origins = group.rows;
    problem.executor = options_.executor;
    std::vector<std::vector<float>> weights;
    RescaledValue report;
    report.value = group.value;
    report.source = NodeAt(group.source).weight;
    for (const size_t layer : group.layers) {
      const std::string& name = NodeAt(layer).weight;
      report.layers.push_back(name);
      weights.push_back(Values(name));
      problem.layers.push_back({weights.back(), PlanOf(name)});
    }
    const ColumnScales found = FindColumnScales(problem, Alphas(options_));
    report.alpha = found.alpha;
    report.start = found.start;
    report.result = found.result;
    report_.values.push_back(report);
    if (found.result < found.start) Take(group, found.scales);
  }

  void Take(const ScalingGroup& group, const std::vector<float>& scales) {
    std::vector<float> columns;
    for (const uint32_t origin : group.origin) {
      columns.push_back(scales[origin]);
    }
    std::vector<float> rows;
    for (const float scale : scales) rows.push_back(1 / scale);
    for (const size_t layer : group.layers) {
      factors_[NodeAt(layer).weight].columns = columns;
    }
    const Node& source = NodeAt(group.source);
    factors_[source.weight].rows = rows;
    if (!source.bias.empty()) factors_[source.bias].rows = rows;
    statistics_.Divide(group.value, std::move(columns));
  }

  // Rows of a tensor without columns are its numbers.
  std::vector<float> Multiplied(const TensorView& tensor,
                                const Factors& factors) const {
    std::vector<float> values = Values(tensor.name);
    const size_t k = tensor.shape.size() == 1
                         ? 1
                         : values.size() / static_cast<size_t>(tensor.shape[0]);
    for (size_t i = 0; i < values.size(); ++i) {
      if (!factors.columns.empty()) values[i] *= factors.columns[i % k];
      if (!factors.rows.empty()) values[i] *= factors.rows[i / k];
    }
    return values;
  }

  const Model& model_;
  Statistics& statistics_;
  const RescaleOptions& options_;
  const std::vector<ScalingGroup> groups_;
  std::vector<WeightPlan> plans_;
  std::map<std::string, Factors, std::less<>> factors_;  // by tensor
  RescaleReport report_;
};

}  // namespace

std::string_view Name(RescaleMethod method) {
  return method == RescaleMethod::kAwq ? "awq" : "smoothquant";
}

RescaleMethod ParseRescaleMethod(std::string_view name) {
  for (const auto method : {RescaleMethod::kAwq, RescaleMethod::kSmoothQuant}) {
    if (name == Name(method)) return method;
  }
  throw Error("'" + std::string(name) + "' is neither awq nor smoothquant");
}

ScalingLayers ParseScalingLayers(std::string_view text) {
  ScalingLayers result;
  const size_t equals = text.find('=');
  result.source = std::string(text.substr(0, equals));
  size_t begin = equals;
  while (begin != std::string_view::npos) {
    const size_t end = text.find(',', begin + 1);
    const std::string_view layer = text.substr(
        begin + 1, end == std::string_view::npos ? end : end - begin - 1);
    if (layer.empty()) break;
    result.layers.emplace_back(layer);
    begin = end;
  }
  if (begin != std::string_view::npos || result.source.empty() ||
      result.layers.empty()) {
    throw Error("'" + std::string(text) + "' is not SOURCE=LAYER,LAYER");
  }
  std::vector<std::string> patterns = result.layers;
  patterns.push_back(result.source);
  for (const std::string& pattern : patterns) {
    const qat::NamePattern check(pattern);
  }
  return result;
}

RescaleReport RescaleModel(const Model& model, Statistics& statistics,
                           const RescaleOptions& options,
                           const std::filesystem::path& path,
                           const RescaleProgress& progress) {
  Rescaler rescaler(model, statistics, options);
  rescaler.Search(progress);
  return rescaler.Write(path);
}

}  // namespace lutra::packer
