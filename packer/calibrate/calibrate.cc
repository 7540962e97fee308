#include "lutra/packer/calibrate.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lutra/packer/statistics.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/operator.h"
#include "packer/calibrate/gradient_pass.h"
#include "packer/calibrate/moments.h"
#include "packer/calibrate/row_size.h"
#include "packer/calibrate/sample_runner.h"
#include "packer/calibrate/statistics_file.h"
#include "packer/calibrate/taps.h"

namespace lutra::packer {
namespace {

// Rows of a call, of which all tapped values are held: enough for products of
// matrices to be fast.
constexpr size_t kRows = 128;

struct Value {
  MatrixInput input;
  // What the rows are weighed by (see NormalizedSum), if not by their own size.
  std::optional<std::string> sum = {};
};

// What a pass collects: values in a row whose sums fit.
std::vector<std::vector<Value>> Passes(const Model& model, size_t memory) {
  std::vector<std::vector<Value>> passes;
  size_t bytes = 0;
  for (const MatrixInput& input : MatrixInputs(model)) {
    const size_t more = Moments::Bytes(input.columns);
    if (passes.empty() || bytes + more > memory) {
      passes.emplace_back();
      bytes = 0;
    }
    passes.back().push_back({input, NormalizedSum(model.graph(), input.tap)});
    bytes += more;
  }
  return passes;
}

// One pass over the data.
class Pass {
 public:
  Pass(const Model& model, const std::vector<Value>& values,
       const qat::Samples& samples, Executor* executor)
      : values_(values),
        executor_(executor),
        runner_(TapModel(model, Taps(values)), model.graph(), samples, kRows,
                executor) {
    const std::vector<std::string> taps = Taps(values);
    for (const Value& value : values) {
      moments_.emplace_back(value.input.columns);
      tap_of_.push_back(PlaceOf(value.input.tap, taps));
      size_of_.push_back(PlaceOf(value.sum.value_or(value.input.tap), taps));
    }
  }

  void Run(Span<const uint32_t> which,
           const std::function<void(size_t)>& done) {
    runner_.Run(which, [&](size_t count, Span<const int32_t>) {
      AddRows(count);
      done(count);
    });
  }

  const std::vector<Moments>& moments() const { return moments_; }

  size_t Bytes() const {
    size_t bytes = runner_.Bytes();
    for (const Value& value : values_) {
      bytes += Moments::Bytes(value.input.columns);
    }
    return bytes;
  }

 private:
  // What values are made of, and the sums; each once.
  static std::vector<std::string> Taps(const std::vector<Value>& values) {
    std::vector<std::string> names;
    const auto add = [&](const std::string& name) {
      if (PlaceOf(name, names) == names.size()) names.push_back(name);
    };
    for (const Value& value : values) add(value.input.tap);
    for (const Value& value : values) {
      if (value.sum) add(*value.sum);
    }
    return names;
  }
  static size_t PlaceOf(const std::string& name,
                        const std::vector<std::string>& names) {
    return static_cast<size_t>(std::find(names.begin(), names.end(), name) -
                               names.begin());
  }

  void AddRows(size_t count) {
    for (size_t i = 0; i < values_.size(); ++i) {
      const std::vector<float>& rows = runner_.outputs()[tap_of_[i]];
      const std::vector<float>& sums = runner_.outputs()[size_of_[i]];
      const size_t width = rows.size() / kRows;
      CheckFinite(values_[i], {rows.data(), count * width});
      const bool by_own = size_of_[i] == tap_of_[i];
      const size_t used =
          values_[i].input.window ? width : values_[i].input.columns;
      weighed_.resize(count * used);
      for (size_t row = 0; row < count; ++row) {
        const size_t stride = sums.size() / kRows;
        const double size =
            RowSize({sums.data() + row * stride, by_own ? used : stride});
        for (size_t c = 0; c < used; ++c) {
          weighed_[row * used + c] =
              static_cast<float>(rows[row * width + c] / size);
        }
      }
      if (values_[i].input.window) {
        AddWindows(i, count);
      } else {
        moments_[i].Add(weighed_.data(), count, executor_, multiply_);
      }
    }
  }

  void AddWindows(size_t i, size_t images) {
    const Window2d& window = *values_[i].input.window;
    const size_t columns = values_[i].input.columns;
    const size_t pixels = images * window.OutputPixels();
    gathered_.resize(kRows * columns);
    for (size_t first = 0; first < pixels; first += kRows) {
      const size_t count = std::min(kRows, pixels - first);
      for (size_t p = 0; p < count; ++p) {
        const size_t image = (first + p) / window.OutputPixels();
        GatherWindow(window, weighed_.data() + image * window.InputSize(),
                     (first + p) % window.OutputPixels(),
                     gathered_.data() + p * columns);
      }
      moments_[i].Add(gathered_.data(), count, executor_, multiply_);
    }
  }

  void CheckFinite(const Value& value, Span<const float> rows) const {
    if (std::all_of(rows.begin(), rows.end(),
                    [](float x) { return std::isfinite(x); })) {
      return;
    }
    throw Error::InFile(runner_.model().path(),
                        "the value '" + value.input.tap + "' is not finite");
  }

  const std::vector<Value>& values_;
  Executor* executor_;
  SampleRunner runner_;  // of the taps
  std::vector<Moments> moments_;
  std::vector<size_t> tap_of_;   // the output that a value is made of
  std::vector<size_t> size_of_;  // the one that tells the rows' sizes
  std::vector<float> weighed_;
  std::vector<float> gathered_;  // windows
  MatrixProduct multiply_;
};

void CheckLayers(const Model& model, const CalibrateOptions& options) {
  const std::vector<MatrixInput> inputs = MatrixInputs(model);
  if (inputs.empty()) {
    throw Error::InFile(model.path(), "has no layers to calibrate");
  }
  for (const Node& node : model.graph().nodes) {
    if (!options.gradients) break;
    const bool other =
        node.op != OpType::kLinear && FindMatrixInput(model, node).has_value();
    if (other || model.packed(node.weight) != nullptr) {
      throw NodeError(model, node,
                      "gradients are collected of linear nodes with float "
                      "weights only");
    }
  }
}

std::vector<std::string> NamesOf(const std::vector<Value>& values) {
  std::vector<std::string> names;
  for (const Value& value : values) names.push_back(value.input.name);
  return names;
}

}  // namespace

std::vector<uint32_t> SpreadSamples(size_t all, size_t most) {
  const size_t count = most == 0 ? all : std::min(most, all);
  std::vector<uint32_t> chosen;
  for (size_t i = 0; i < count; ++i) {
    chosen.push_back(static_cast<uint32_t>(i * all / count));
  }
  return chosen;
}

CalibrationPlan PlanCalibration(const std::shared_ptr<const Model>& model,
                                const qat::Samples& samples,
                                const CalibrateOptions& options) {
  CheckLayers(*model, options);
  CheckSamples(*model, samples);
  const auto passes = Passes(*model, options.memory);
  CalibrationPlan plan;
  plan.passes = passes.size();
  plan.samples = SpreadSamples(samples.Count(), options.samples).size();
  plan.rows = plan.samples * samples.RowsOfSample();
  for (const std::vector<Value>& values : passes) {
    plan.values += values.size();
    const size_t bytes =
        options.gradients
            ? GradientPass(*model, NamesOf(values), samples, options.executor)
                  .Bytes()
            : Pass(*model, values, samples, options.executor).Bytes();
    plan.memory = std::max(plan.memory, bytes);
  }
  return plan;
}

CalibrationPlan Calibrate(const std::shared_ptr<const Model>& model,
                          const qat::Samples& samples,
                          const CalibrateOptions& options,
                          const std::filesystem::path& path,
                          const CalibrationProgress& progress) {
  CheckLayers(*model, options);
  CheckSamples(*model, samples);
  const auto passes = Passes(*model, options.memory);
  const std::vector<uint32_t> chosen =
      SpreadSamples(samples.Count(), options.samples);
  CalibrationPlan plan;
  plan.passes = passes.size();
  plan.samples = chosen.size();
  plan.rows = chosen.size() * samples.RowsOfSample();
  std::vector<std::pair<std::string, size_t>> all;
  for (const std::vector<Value>& values : passes) {
    for (const Value& value : values) {
      all.emplace_back(value.input.name, value.input.columns);
    }
  }
  plan.values = all.size();

  SafetensorsWriter writer(path, StatisticsMetadata(), StatisticsTensors(all));
  size_t done = 0;
  for (const std::vector<Value>& values : passes) {
    const auto run = [&](auto pass) {
      pass.Run(chosen, [&](size_t rows) {
        done += rows;
        if (progress) progress(done, plan.rows * plan.passes);
      });
      plan.memory = std::max(plan.memory, pass.Bytes());
      for (size_t i = 0; i < values.size(); ++i) {
        WriteStatistics(writer, values[i].input.name, pass.moments()[i].rows(),
                        pass.moments()[i].UpperHalf(),
                        pass.moments()[i].peaks());
      }
    };
    if (options.gradients) {
      run(GradientPass(*model, NamesOf(values), samples, options.executor));
    } else {
      run(Pass(*model, values, samples, options.executor));
    }
  }
  writer.Commit();
  return plan;
}

}  // namespace lutra::packer
