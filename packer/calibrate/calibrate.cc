#include "lutra/packer/calibrate.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lutra/packer/statistics.h"
#include "lutra/runtime/error.h"
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
  std::string name;
  size_t columns = 0;
  // What the rows are weighed by (see NormalizedSum), if not by their own size.
  std::optional<std::string> sum = {};
};

// What a pass collects: values in a row whose sums fit.
std::vector<std::vector<Value>> Passes(const Model& model, size_t memory) {
  std::vector<std::vector<Value>> passes;
  size_t bytes = 0;
  for (const std::string& name : LinearInputs(model.graph())) {
    const size_t columns = model.value(name).ElementCount();
    const size_t more = Moments::Bytes(columns);
    if (passes.empty() || bytes + more > memory) {
      passes.emplace_back();
      bytes = 0;
    }
    passes.back().push_back(
        {name, columns, NormalizedSum(model.graph(), name)});
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
      moments_.emplace_back(value.columns);
      size_of_.push_back(PlaceOf(value.sum.value_or(value.name), taps));
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
    for (const Value& value : values_) bytes += Moments::Bytes(value.columns);
    return bytes;
  }

 private:
  // The values, then the sums, some of which values share.
  static std::vector<std::string> Taps(const std::vector<Value>& values) {
    std::vector<std::string> names;
    for (const Value& value : values) names.push_back(value.name);
    for (const Value& value : values) {
      if (value.sum && PlaceOf(*value.sum, names) == names.size()) {
        names.push_back(*value.sum);
      }
    }
    return names;
  }
  static size_t PlaceOf(const std::string& name,
                        const std::vector<std::string>& names) {
    return static_cast<size_t>(std::find(names.begin(), names.end(), name) -
                               names.begin());
  }

  void AddRows(size_t count) {
    std::vector<std::vector<float>>& outputs = runner_.outputs();
    for (size_t i = 0; i < values_.size(); ++i) {
      CheckFinite(i, count);
      Weigh(outputs[size_of_[i]], outputs[i], values_[i].columns, count);
      moments_[i].Add(outputs[i].data(), count, executor_, multiply_);
    }
  }

  // Divides rows by the size of those of `sums`, which has values of kRows and
  // may be the rows themselves.
  static void Weigh(const std::vector<float>& sums, std::vector<float>& rows,
                    size_t columns, size_t count) {
    const size_t width = sums.size() / kRows;
    for (size_t row = 0; row < count; ++row) {
      const double size = RowSize({sums.data() + row * width, width});
      for (size_t i = row * columns; i < (row + 1) * columns; ++i) {
        rows[i] = static_cast<float>(rows[i] / size);
      }
    }
  }

  void CheckFinite(size_t i, size_t count) {
    const std::vector<float>& rows = runner_.outputs()[i];
    const auto end =
        rows.begin() + static_cast<ptrdiff_t>(count * values_[i].columns);
    if (std::all_of(rows.begin(), end,
                    [](float x) { return std::isfinite(x); })) {
      return;
    }
    throw Error::InFile(runner_.model().path(),
                        "the value '" + values_[i].name + "' is not finite");
  }

  const std::vector<Value>& values_;
  Executor* executor_;
  SampleRunner runner_;  // of the taps
  std::vector<Moments> moments_;
  std::vector<size_t> size_of_;  // the output that tells the rows' sizes
  MatrixProduct multiply_;
};

void Check(const Model& model, const qat::Samples& samples) {
  if (LinearInputs(model.graph()).empty()) {
    throw Error::InFile(model.path(), "has no linear layers to calibrate");
  }
  if (model.inputs().size() != 1) {
    throw Error::InFile(model.path(), "takes several inputs");
  }
  try {
    samples.CheckGraph(model.graph(), model.outputs().at(0).ElementCount());
  } catch (const Error& error) {
    throw Error::InFile(model.path(), error.what());
  }
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
  Check(*model, samples);
  const auto passes = Passes(*model, options.memory);
  CalibrationPlan plan;
  plan.passes = passes.size();
  plan.samples = SpreadSamples(samples.Count(), options.samples).size();
  plan.rows = plan.samples * samples.RowsOfSample();
  for (const std::vector<Value>& values : passes) {
    plan.values += values.size();
    const Pass pass(*model, values, samples, options.executor);
    plan.memory = std::max(plan.memory, pass.Bytes());
  }
  return plan;
}

CalibrationPlan Calibrate(const std::shared_ptr<const Model>& model,
                          const qat::Samples& samples,
                          const CalibrateOptions& options,
                          const std::filesystem::path& path,
                          const CalibrationProgress& progress) {
  Check(*model, samples);
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
      all.emplace_back(value.name, value.columns);
    }
  }
  plan.values = all.size();

  SafetensorsWriter writer(path, StatisticsMetadata(), StatisticsTensors(all));
  size_t done = 0;
  for (const std::vector<Value>& values : passes) {
    Pass pass(*model, values, samples, options.executor);
    pass.Run(chosen, [&](size_t rows) {
      done += rows;
      if (progress) progress(done, plan.rows * plan.passes);
    });
    plan.memory = std::max(plan.memory, pass.Bytes());
    for (size_t i = 0; i < values.size(); ++i) {
      WriteStatistics(writer, values[i].name, pass.moments()[i].rows(),
                      pass.moments()[i].UpperHalf(), pass.moments()[i].peaks());
    }
  }
  writer.Commit();
  return plan;
}

}  // namespace lutra::packer
