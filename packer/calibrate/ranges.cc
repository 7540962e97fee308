#include "lutra/packer/ranges.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "lutra/qat/range_observer.h"
#include "lutra/runtime/error.h"
#include "packer/calibrate/sample_runner.h"
#include "packer/calibrate/taps.h"

namespace lutra::packer {
namespace {

// Rows of a call, of which all values are held.
constexpr size_t kRows = 64;

constexpr const char* kMin = "input_min";
constexpr const char* kMax = "input_max";

constexpr std::array<std::string_view, 6> kNames = {
    "min-max", "absmax", "rms", "percentile", "mse", "fixed"};

// What the range of a node is about; nullptr: it has none.
const std::string* RangedValue(const Node& node) {
  switch (node.op) {
    case OpType::kLinear:
    case OpType::kExpertLinear:
    case OpType::kConv2d:
      return &node.inputs[0];
    case OpType::kLstmCell:
      return &node.output;
    default:
      return nullptr;
  }
}

std::vector<std::string> RangedValues(const Graph& graph) {
  std::vector<std::string> values;
  std::set<std::string_view> seen;
  for (const Node& node : graph.nodes) {
    const std::string* value = RangedValue(node);
    if (value != nullptr && seen.insert(*value).second) {
      values.push_back(*value);
    }
  }
  return values;
}

// Of one value.
class Observation {
 public:
  explicit Observation(const RangeOptions& options) : options_(options) {
    qat::ObserverOptions observer;
    observer.percentile = options.percentile;
    observer.scheme.mapping = qat::AffineMapping::kAsymmetric;
    observer.scheme.bounds = bounds_;
    switch (options.rule) {
      case RangeRule::kPercentile:
        observer.method = qat::RangeMethod::kPercentile;
        break;
      case RangeRule::kMse:
        observer.method = qat::RangeMethod::kMse;
        break;
      default:
        return;
    }
    observer_.emplace(observer);
  }

  void Add(Span<const float> values) {
    if (observer_) {
      observer_->Observe(values.data(), 1, values.size());
      return;
    }
    for (const float x : values) {
      least_ = std::min(least_, x);
      most_ = std::max(most_, x);
      squares_ += static_cast<double>(x) * x;
    }
    count_ += values.size();
  }

  std::pair<float, float> Range() const {
    if (observer_) {
      const qat::AffineParameters p = observer_->Parameters(0);
      return {(static_cast<float>(bounds_.lo) - p.zero_point) * p.scale,
              (static_cast<float>(bounds_.hi) - p.zero_point) * p.scale};
    }
    if (options_.rule == RangeRule::kAbsMax) {
      const float largest = std::max(-least_, most_);
      return {-largest, largest};
    }
    if (options_.rule != RangeRule::kRms) return {least_, most_};
    const auto end = static_cast<float>(
        options_.factor * std::sqrt(squares_ / static_cast<double>(count_)));
    return {std::max(-end, least_), std::min(end, most_)};
  }

 private:
  const RangeOptions& options_;
  const qat::AffineBounds bounds_ = qat::SignedBounds(8);
  std::optional<qat::RangeObserver> observer_;
  float least_ = 0;
  float most_ = 0;
  double squares_ = 0;
  size_t count_ = 0;
};

void WriteWithGraph(const SafetensorsFile& file, const Graph& graph,
                    const std::filesystem::path& path) {
  std::map<std::string, std::string> metadata = file.metadata();
  metadata[std::string(kGraphKey)] = GraphToJson(graph);
  const std::vector<TensorInfo> tensors(file.tensors().begin(),
                                        file.tensors().end());
  SafetensorsWriter writer(path, metadata, tensors);
  for (const TensorView& tensor : file.tensors()) {
    writer.Write(tensor.name, tensor.data);
  }
  writer.Commit();
}

}  // namespace

std::string_view Name(RangeRule rule) {
  return kNames[static_cast<size_t>(rule)];
}

RangeRule ParseRangeRule(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) {
    throw Error("there is no rule '" + std::string(name) + "' for ranges");
  }
  return static_cast<RangeRule>(found - kNames.begin());
}

Graph WithoutRanges(Graph graph) {
  for (Node& node : graph.nodes) {
    if (RangedValue(node) == nullptr) continue;
    node.attributes.erase(kMin);
    node.attributes.erase(kMax);
  }
  return graph;
}

RangeReport FixRanges(const std::shared_ptr<const Model>& model,
                      const qat::Samples& samples,
                      const std::vector<uint32_t>& which,
                      const RangeOptions& options,
                      const std::filesystem::path& path,
                      const CalibrationProgress& progress) {
  const std::vector<std::string> values = RangedValues(model->graph());
  if (values.empty()) {
    throw Error::InFile(model->path(), "has no layers to calibrate");
  }
  RangeReport report;
  std::map<std::string, std::pair<float, float>> ranges;
  if (options.rule == RangeRule::kFixed) {
    for (const std::string& value : values) {
      ranges[value] = {static_cast<float>(options.least),
                       static_cast<float>(options.most)};
    }
  } else {
    CheckSamples(*model, samples);
    std::vector<Observation> observations(values.size(), Observation(options));
    SampleRunner runner(TapModel(*model, values), model->graph(), samples,
                        kRows, options.executor);
    const size_t total = which.size() * samples.RowsOfSample();
    runner.Run(which, [&](size_t count, Span<const int32_t>) {
      for (size_t i = 0; i < values.size(); ++i) {
        const std::vector<float>& rows = runner.outputs()[i];
        const Span<const float> seen(rows.data(), rows.size() / kRows * count);
        if (!std::all_of(seen.begin(), seen.end(),
                         [](float x) { return std::isfinite(x); })) {
          throw Error::InFile(model->path(),
                              "the value '" + values[i] + "' is not finite");
        }
        observations[i].Add(seen);
      }
      report.rows += count;
      if (progress) progress(report.rows, total);
    });
    for (size_t i = 0; i < values.size(); ++i) {
      ranges[values[i]] = observations[i].Range();
    }
  }
  Graph graph = WithoutRanges(model->graph());
  for (Node& node : graph.nodes) {
    const std::string* value = RangedValue(node);
    if (value == nullptr) continue;
    node.attributes[kMin] = static_cast<double>(ranges[*value].first);
    node.attributes[kMax] = static_cast<double>(ranges[*value].second);
  }
  for (const std::string& value : values) {
    report.values.push_back({value, ranges[value].first, ranges[value].second});
  }
  WriteWithGraph(model->file(), graph, path);
  report.file_bytes = static_cast<size_t>(std::filesystem::file_size(path));
  return report;
}

}  // namespace lutra::packer
