#include "lutra/packer/ranges.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "lutra/qat/range_observer.h"
#include "lutra/qat/range_statistics.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/input_quantization.h"
#include "packer/calibrate/sample_runner.h"
#include "packer/calibrate/taps.h"

namespace lutra::packer {
namespace {

// Rows of a call, of which all values are held.
constexpr size_t kRangeRows = 64;

constexpr std::array<std::string_view, 7> kNames = {
    "min-max", "absmax", "rms", "percentile", "mse", "fixed", "mean-max"};

std::vector<std::string> RangedValues(const Graph& graph) {
  std::vector<std::string> values;
  std::set<std::string_view> seen;
  for (const Node& node : graph.nodes) {
    const std::string* value = QuantizedValue(node);
    if (value != nullptr && seen.insert(*value).second) {
      values.push_back(*value);
    }
  }
  return values;
}

// Of one value.
class Observation {
 public:
  explicit Observation(const RangeOptions& options)
      : options_(options), bounds_(qat::SignedBounds(options.bits)) {
    qat::ObserverOptions observer;
    observer.percentile = options.percentile;
    observer.scheme.mapping = options.symmetric
                                  ? qat::AffineMapping::kSymmetric
                                  : qat::AffineMapping::kAsymmetric;
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
    if (options_.rule == RangeRule::kMeanMax) {
      statistics_.Add("", values.data(), values.size());
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
      if (options_.symmetric) {
        // Kernels leave out the lowest code.
        const float end = static_cast<float>(bounds_.hi) * p.scale;
        return {-end, end};
      }
      return {(static_cast<float>(bounds_.lo) - p.zero_point) * p.scale,
              (static_cast<float>(bounds_.hi) - p.zero_point) * p.scale};
    }
    if (options_.rule == RangeRule::kMeanMax) {
      return statistics_.Range("", options_.symmetric);
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
  const qat::AffineBounds bounds_;
  std::optional<qat::RangeObserver> observer_;
  qat::RangeStatistics statistics_;
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

// Throws Error where there are none.
std::vector<std::string> LayersValues(const Model& model) {
  std::vector<std::string> values = RangedValues(model.graph());
  if (values.empty()) {
    throw Error::InFile(model.path(), "has no layers to calibrate");
  }
  return values;
}

// Runs samples and calls see(i, rows) with the values `names[i]` of some rows
// at a time. Throws Error for values that are not finite.
template <typename See>
void LookAt(const Model& model, const std::vector<std::string>& names,
            const qat::Samples& samples, const std::vector<uint32_t>& which,
            Executor* executor, const CalibrationProgress& progress,
            const See& see) {
  CheckSamples(model, samples);
  SampleRunner runner(TapModel(model, names), model.graph(), samples,
                      kRangeRows, executor);
  const size_t total = which.size() * samples.RowsOfSample();
  size_t seen = 0;
  runner.Run(which, [&](size_t count, Span<const int32_t>) {
    for (size_t i = 0; i < names.size(); ++i) {
      const std::vector<float>& rows = runner.outputs()[i];
      const Span<const float> valid(rows.data(),
                                    rows.size() / kRangeRows * count);
      if (!std::all_of(valid.begin(), valid.end(),
                       [](float x) { return std::isfinite(x); })) {
        throw Error::InFile(model.path(),
                            "the value '" + names[i] + "' is not finite");
      }
      see(i, valid);
    }
    seen += count;
    if (progress) progress(seen, total);
  });
}

RangeReport WriteWithRanges(const Model& model, std::vector<ValueRange> ranges,
                            const std::filesystem::path& path) {
  Graph graph = WithoutRanges(model.graph());
  SetRanges(ranges, graph);
  WriteWithGraph(model.file(), graph, path);
  RangeReport report;
  report.values = std::move(ranges);
  report.file_bytes = static_cast<size_t>(std::filesystem::file_size(path));
  return report;
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
    if (!QuantizesInput(node.op)) continue;
    InputQuantization input = InputQuantizationOf(node);
    input.range_min = input.range_max = 0;
    SetInputQuantization(input, node);
  }
  return graph;
}

std::vector<ObservedValue> ObservedValues(
    const std::vector<qat::StaticInput>& inputs) {
  std::vector<ObservedValue> values;
  std::set<std::string_view> seen;
  for (const qat::StaticInput& input : inputs) {
    if (!seen.insert(input.value).second) continue;
    RangeOptions options;
    switch (input.activations.observer) {
      case qat::RangeMethod::kMinMax:
      case qat::RangeMethod::kMx:
        options.rule = RangeRule::kMinMax;
        break;
      case qat::RangeMethod::kMeanMax:
        options.rule = RangeRule::kMeanMax;
        break;
      case qat::RangeMethod::kPercentile:
        options.rule = RangeRule::kPercentile;
        break;
      case qat::RangeMethod::kMse:
        options.rule = RangeRule::kMse;
        break;
    }
    options.percentile = input.activations.percentile;
    options.bits = input.activations.bits;
    options.symmetric = input.activations.symmetric;
    values.push_back({input.value, options});
  }
  return values;
}

std::vector<ValueRange> ObserveRanges(const Model& model,
                                      const std::vector<ObservedValue>& values,
                                      const qat::Samples& samples,
                                      const std::vector<uint32_t>& which,
                                      Executor* executor,
                                      const CalibrationProgress& progress) {
  std::vector<Observation> observations;
  std::vector<std::string> names;
  for (const ObservedValue& value : values) {
    observations.emplace_back(value.options);
    names.push_back(value.name);
  }
  LookAt(model, names, samples, which, executor, progress,
         [&](size_t i, Span<const float> rows) { observations[i].Add(rows); });
  std::vector<ValueRange> ranges;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto [least, most] = observations[i].Range();
    ranges.push_back({names[i], least, most});
  }
  return ranges;
}

qat::RangeStatistics CollectExtremes(const Model& model,
                                     const qat::Samples& samples,
                                     const std::vector<uint32_t>& which,
                                     Executor* executor,
                                     const CalibrationProgress& progress) {
  const std::vector<std::string> names = LayersValues(model);
  qat::RangeStatistics extremes;
  LookAt(model, names, samples, which, executor, progress,
         [&](size_t i, Span<const float> rows) {
           extremes.Add(names[i], rows.data(), rows.size());
         });
  return extremes;
}

void SetRanges(const std::vector<ValueRange>& ranges, Graph& graph) {
  for (const ValueRange& range : ranges) {
    SetInputRange(range.value, range.min, range.max, graph);
  }
}

RangeReport FixRanges(const std::shared_ptr<const Model>& model,
                      const qat::Samples& samples,
                      const std::vector<uint32_t>& which,
                      const RangeOptions& options,
                      const std::filesystem::path& path,
                      const CalibrationProgress& progress) {
  std::vector<ValueRange> ranges;
  std::vector<ObservedValue> observed;
  for (const std::string& value : LayersValues(*model)) {
    observed.push_back({value, options});
    ranges.push_back({value, static_cast<float>(options.least),
                      static_cast<float>(options.most)});
  }
  if (options.rule == RangeRule::kFixed) {
    return WriteWithRanges(*model, std::move(ranges), path);
  }
  RangeReport report =
      WriteWithRanges(*model,
                      ObserveRanges(*model, observed, samples, which,
                                    options.executor, progress),
                      path);
  report.rows = which.size() * samples.RowsOfSample();
  return report;
}

RangeReport FixRanges(const Model& model, const qat::RangeStatistics& extremes,
                      bool symmetric, const std::filesystem::path& path) {
  std::vector<ValueRange> ranges;
  for (const std::string& value : LayersValues(model)) {
    const auto [least, most] = extremes.Range(value, symmetric);
    ranges.push_back({value, least, most});
  }
  return WriteWithRanges(model, std::move(ranges), path);
}

}  // namespace lutra::packer
