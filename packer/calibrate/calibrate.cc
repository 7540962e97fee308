#include "lutra/packer/calibrate.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lutra/packer/statistics.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/program.h"
#include "packer/calibrate/moments.h"
#include "packer/calibrate/row_size.h"
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
       size_t rows_of_sample, Executor* executor)
      : values_(values),
        taps_(Taps(values)),
        executor_(executor),
        program_(TapModel(model, taps_), Options(rows_of_sample, executor)) {
    program_.Reserve(kRows, kRows);
    for (const Value& value : values) moments_.emplace_back(value.columns);
    for (const ValueInfo& tap : program_.model().outputs()) {
      outputs_.emplace_back(kRows * tap.ElementCount());
    }
    row_elements_ = program_.model().inputs().at(0).ElementCount();
  }

  // All rows of a batch, which holds whole samples.
  void Run(const qat::SampleBatch& batch,
           const std::function<void(size_t)>& done) {
    const auto* input = static_cast<const char*>(batch.Input());
    for (const qat::TrainingSequence& rows : batch.sequences) {
      Sequence sequence = program_.NewSequence();
      for (size_t begin = 0; begin < rows.rows; begin += kRows) {
        const size_t count = std::min(kRows, rows.rows - begin);
        RunRows(sequence, input, count);
        input += count * row_elements_ * sizeof(float);
        done(count);
      }
    }
  }

  const std::vector<Moments>& moments() const { return moments_; }

  size_t Bytes() const {
    size_t bytes = program_.ArenaBytes();
    for (const Value& value : values_) bytes += Moments::Bytes(value.columns);
    for (const auto& output : outputs_) bytes += output.size() * sizeof(float);
    return bytes;
  }

 private:
  // The values, then the sums.
  static std::vector<std::string> Taps(const std::vector<Value>& values) {
    std::vector<std::string> names;
    for (const Value& value : values) names.push_back(value.name);
    for (const Value& value : values) {
      if (value.sum) names.push_back(*value.sum);
    }
    return names;
  }
  static ProgramOptions Options(size_t rows_of_sample, Executor* executor) {
    ProgramOptions options;
    options.executor = executor;
    options.threads = 1;
    options.context = rows_of_sample;
    options.cache = CacheType::kFloat32;
    return options;
  }

  void RunRows(Sequence& sequence, const void* input, size_t count) {
    std::vector<float*> outputs;
    for (std::vector<float>& output : outputs_) {
      outputs.push_back(output.data());
    }
    const Program::Rows call{&sequence, count};
    program_.Run({&call, 1}, {&input, 1}, outputs);
    size_t next_sum = values_.size();
    for (size_t i = 0; i < values_.size(); ++i) {
      CheckFinite(i, count);
      const bool has_sum = values_[i].sum.has_value();
      Weigh(outputs_[has_sum ? next_sum : i], outputs_[i], values_[i].columns,
            count);
      if (has_sum) ++next_sum;
      moments_[i].Add(outputs[i], count, executor_, multiply_);
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

  void CheckFinite(size_t i, size_t count) const {
    const auto end = outputs_[i].begin() +
                     static_cast<ptrdiff_t>(count * values_[i].columns);
    if (std::all_of(outputs_[i].begin(), end,
                    [](float x) { return std::isfinite(x); })) {
      return;
    }
    throw Error::InFile(program_.model().path(),
                        "the value '" + values_[i].name + "' is not finite");
  }

  const std::vector<Value>& values_;
  std::vector<std::string> taps_;
  Executor* executor_;
  Program program_;
  size_t row_elements_ = 0;
  std::vector<Moments> moments_;
  std::vector<std::vector<float>> outputs_;  // of the taps
  MatrixProduct multiply_;
};

// Samples at a time: rows that are independent of each other come as one
// sequence, so that a call has many.
qat::SampleBatch LoadBatch(const qat::Samples& samples, bool stateful,
                           const std::vector<uint32_t>& chosen, size_t begin,
                           size_t count) {
  qat::SampleBatch batch;
  samples.Load({chosen.data() + begin, count}, 0, batch);
  if (stateful) return batch;
  qat::TrainingSequence all;
  for (const qat::TrainingSequence& sequence : batch.sequences) {
    all.rows += sequence.rows;
  }
  batch.sequences = {all};
  return batch;
}

bool HasState(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [](const Node& node) { return IsStateful(node.op); });
}

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
    const Pass pass(*model, values, samples.RowsOfSample(), options.executor);
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
  const bool stateful = HasState(model->graph());
  const size_t rows_of_sample = samples.RowsOfSample();
  const size_t at_once =
      stateful ? 1 : std::max<size_t>(1, kRows / rows_of_sample);

  CalibrationPlan plan;
  plan.passes = passes.size();
  plan.samples = chosen.size();
  plan.rows = chosen.size() * rows_of_sample;
  std::vector<std::pair<std::string, size_t>> all;
  for (const std::vector<Value>& values : passes) {
    for (const Value& value : values)
      all.emplace_back(value.name, value.columns);
  }
  plan.values = all.size();

  SafetensorsWriter writer(path, StatisticsMetadata(), StatisticsTensors(all));
  size_t done = 0;
  for (const std::vector<Value>& values : passes) {
    Pass pass(*model, values, stateful ? rows_of_sample : 0, options.executor);
    for (size_t i = 0; i < chosen.size(); i += at_once) {
      const qat::SampleBatch batch = LoadBatch(
          samples, stateful, chosen, i, std::min(at_once, chosen.size() - i));
      pass.Run(batch, [&](size_t rows) {
        done += rows;
        if (progress) progress(done, plan.rows * plan.passes);
      });
    }
    plan.memory = std::max(plan.memory, pass.Bytes());
    for (size_t i = 0; i < values.size(); ++i) {
      WriteStatistics(writer, values[i].name, pass.moments()[i].rows(),
                      pass.moments()[i].UpperHalf());
    }
  }
  writer.Commit();
  return plan;
}

}  // namespace lutra::packer
