#include "lutra/qat/quant_optimizer.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "kernels/base/parallel.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/runtime/error.h"
#include "qat/optim/learned_scales.h"

namespace lutra::qat {
namespace {

constexpr int kFirstFloatBits = 16;
// Elements per piece of work; its values and their quantized counterparts stay
// in the L2 cache.
constexpr size_t kTile = 8192;

constexpr const char* kLatent = "latent";
constexpr const char* kQuants = "quants";
constexpr const char* kLogScale = "log_scale";

// Calls f(parameter) for every parameter that gets latent weights.
template <typename F>
void ForQuantized(std::vector<ParamGroup>& groups, const F& f) {
  for (ParamGroup& group : groups) {
    if (!IsQuantized(group)) continue;
    for (Parameter& parameter : group.parameters) {
      if (parameter.trainable && parameter.size() > 0) f(parameter);
    }
  }
}

// Lets parameters point to other values and gradients until it goes out of
// scope.
class ParameterSwap {
 public:
  ~ParameterSwap() {
    for (const Saved& saved : saved_) {
      saved.parameter->value = saved.value;
      saved.parameter->grad = saved.grad;
    }
  }
  void Set(Parameter& parameter, float* value, const float* grad) {
    saved_.push_back({&parameter, parameter.value, parameter.grad});
    parameter.value = value;
    parameter.grad = grad;
  }

 private:
  struct Saved {
    Parameter* parameter;
    float* value;
    const float* grad;
  };
  std::vector<Saved> saved_;
};

// The table of which the grids are multiples; throws if there is none.
std::vector<int8_t> TableOf(const Quantizer& quantizer, int bits) {
  std::optional<std::vector<int8_t>> table = quantizer.LutTable(bits);
  if (!table) {
    throw Error("quant optimizer: quantizer '" + std::string(quantizer.name()) +
                "' has no fixed table, so its scales cannot be learned");
  }
  return *std::move(table);
}

}  // namespace

bool IsQuantized(const ParamGroup& group) {
  return group.quant_bits.has_value() && *group.quant_bits < kFirstFloatBits;
}

struct QuantOptimizer::Projection {
  const Quantizer* quantizer;
  int bits;
  int64_t step;
  bool refresh;
  float gamma;  // divisor of the latent weights
  View view;
  size_t levels;
  const float* latent;
  float* value;
  float* grids;
};

QuantOptimizer::QuantOptimizer(std::unique_ptr<Optimizer> base,
                               std::shared_ptr<const Quantizer> quantizer,
                               std::shared_ptr<const ProxMap> prox_map,
                               QuantOptimizerOptions options)
    : base_(std::move(base)),
      quantizer_(std::move(quantizer)),
      prox_map_(std::move(prox_map)),
      options_(std::move(options)) {
  if (base_ == nullptr || quantizer_ == nullptr || prox_map_ == nullptr) {
    throw Error(
        "quant optimizer: needs a base optimizer, a quantizer and a proximal "
        "map");
  }
  if (options_.warmup_steps < 0) {
    throw Error("quant optimizer: warmup_steps must not be negative");
  }
  if (options_.quant_period < 1) {
    throw Error("quant optimizer: quant_period must be at least 1");
  }
  if (!(options_.anneal_wd_frac >= 0.0 && options_.anneal_wd_frac <= 1.0)) {
    throw Error("quant optimizer: anneal_wd_frac must lie in [0, 1]");
  }
  if (!(options_.scale_rate > 0.0)) {
    throw Error("quant optimizer: scale_rate must be above 0");
  }
  CheckGroups();
  for (ParamGroup& group : groups()) {
    if (!IsQuantized(group)) continue;
    if (!group.cumu_lr) group.cumu_lr = 0.0;
    if (options_.anneal_wd_frac > 0.0 && !group.initial_weight_decay) {
      group.initial_weight_decay = group.weight_decay;
    }
  }
  if (ParamGroup* first = FirstQuantizedGroup()) {
    if (!first->num_steps) first->num_steps = 0;
    if (options_.learned_scales) AddScaleGroups();
  }
}

// Values and gradients are set while the base optimizer steps.
void QuantOptimizer::AddScaleGroups() {
  std::vector<ParamGroup> added;
  for (const ParamGroup& group : groups()) {
    if (!IsQuantized(group)) continue;
    const Quantizer& quantizer = QuantizerOf(static_cast<int>(added.size()));
    static_cast<void>(TableOf(quantizer, *group.quant_bits));
    ParamGroup& scales = added.emplace_back();
    for (const Parameter& parameter : group.parameters) {
      Parameter& scale = scales.parameters.emplace_back();
      scale.name = parameter.name + "/" + kLogScale;
      scale.shape = {static_cast<int64_t>(ViewOf(group, parameter).Grids())};
    }
  }
  for (ParamGroup& scales : added) groups().push_back(std::move(scales));
}

void QuantOptimizer::CheckGroups() const {
  int index = 0;
  for (const ParamGroup& group : base_->groups()) {
    if (!IsQuantized(group)) continue;
    static_cast<void>(QuantizerOf(index++).GridSize(*group.quant_bits));
    if (!group.quant_block_size) continue;
    const int64_t block = *group.quant_block_size;
    if (block < 1) {
      throw Error("quant optimizer: a block size of " + std::to_string(block) +
                  " is impossible");
    }
    for (const Parameter& parameter : group.parameters) {
      const std::string who =
          "quant optimizer: parameter '" + parameter.name + "': ";
      if (parameter.shape.empty() || parameter.shape.size() > 2) {
        throw Error(who + "block sizes need one or two dimensions");
      }
      if (parameter.shape.back() % block != 0 &&
          !(options_.short_last_blocks && options_.per_channel)) {
        throw Error(who + "the block size " + std::to_string(block) +
                    " does not divide the last dimension " +
                    std::to_string(parameter.shape.back()));
      }
    }
  }
}

const Quantizer& QuantOptimizer::QuantizerOf(int quantized_index) const {
  const auto it = options_.group_quantizers.find(quantized_index);
  return it == options_.group_quantizers.end() ? *quantizer_ : *it->second;
}

ParamGroup* QuantOptimizer::FirstQuantizedGroup() const {
  for (ParamGroup& group : base_->groups()) {
    if (IsQuantized(group)) return &group;
  }
  return nullptr;
}

int64_t QuantOptimizer::num_steps() const {
  const ParamGroup* first = FirstQuantizedGroup();
  return first == nullptr ? 0 : first->num_steps.value_or(0);
}

Span<const float> QuantOptimizer::Entry(const std::string& parameter,
                                        const char* entry) const {
  const auto& states = base_->state();
  const auto state = states.find(parameter);
  if (state == states.end()) return {};
  const auto it = state->second.find(entry);
  if (it == state->second.end()) return {};
  return it->second;
}

Span<const float> QuantOptimizer::Latent(const std::string& parameter) const {
  return Entry(parameter, kLatent);
}

Span<const float> QuantOptimizer::Grids(const std::string& parameter) const {
  return Entry(parameter, kQuants);
}

// Calls f(i, offset, n, scratch of n floats) for every grid i and its values.
template <typename F>
void QuantOptimizer::ForRuns(const View& view, Executor* executor, const F& f) {
  const size_t tile = std::max<size_t>(1, kTile / view.Longest());
  ParallelFor(executor, view.Grids(), tile, [&](size_t begin, size_t end) {
    const auto scratch =
        std::make_unique_for_overwrite<float[]>(view.Longest());
    for (size_t i = begin; i < end; ++i) {
      const auto [offset, n] = view.RunOf(i);
      f(i, offset, n, scratch.get());
    }
  });
}

std::optional<double> QuantOptimizer::GridDistance(const std::string& parameter,
                                                   Executor* executor) const {
  const Span<const float> grids = Grids(parameter);
  if (grids.empty()) return std::nullopt;
  for (const ParamGroup& group : base_->groups()) {
    for (const Parameter& candidate : group.parameters) {
      if (candidate.name != parameter) continue;
      const View view = ViewOf(group, candidate);
      const size_t levels = grids.size() / view.Grids();
      struct Sums {
        double distance = 0.0;
        double values = 0.0;
      };
      std::vector<Sums> sums(view.Grids());
      const float* const value = candidate.value;
      ForRuns(view, executor, [&](size_t i, size_t offset, size_t n, float* q) {
        NearestLevels({value + offset, n}, {grids.data() + i * levels, levels},
                      q);
        for (size_t j = 0; j < n; ++j) {
          const double v = value[offset + j];
          sums[i].distance += (v - q[j]) * (v - q[j]);
          sums[i].values += v * v;
        }
      });
      Sums all;
      for (const Sums& of_run : sums) {
        all.distance += of_run.distance;
        all.values += of_run.values;
      }
      return all.values > 0.0 ? std::sqrt(all.distance / all.values) : 0.0;
    }
  }
  return std::nullopt;
}

void QuantOptimizer::RestoreLatents() {
  ForQuantized(groups(), [this](Parameter& parameter) {
    const Span<const float> latent = Latent(parameter.name);
    std::copy(latent.begin(), latent.end(), parameter.value);
  });
}

QuantOptimizer::View QuantOptimizer::ViewOf(const ParamGroup& group,
                                            const Parameter& parameter) const {
  const size_t size = parameter.size();
  if (size == 0) return {};
  const bool blocks = group.quant_block_size.has_value();
  if (!options_.per_channel || !(blocks || parameter.shape.size() > 1)) {
    return {1, size, false};
  }
  const size_t columns =
      blocks ? static_cast<size_t>(*group.quant_block_size)
             : size / static_cast<size_t>(parameter.shape.front());
  const auto last = static_cast<size_t>(parameter.shape.back());
  const size_t rest = blocks ? last % columns : 0;
  if (rest == 0) return {size / columns, columns, true};
  const size_t rows = size / last;
  return {rows * (last / columns), columns, true, rest, rows};
}

size_t QuantOptimizer::View::Longest() const {
  if (!per_row) return rows * columns;
  return rows > 0 ? columns : rest;
}

std::pair<size_t, size_t> QuantOptimizer::View::RunOf(size_t i) const {
  if (!per_row) return {0, rows * columns};
  if (rest == 0) return {i * columns, columns};
  const size_t blocks = rows / rest_rows;  // that are whole, of a row
  const size_t stride = blocks * columns + rest;
  if (i < rows) return {i / blocks * stride + i % blocks * columns, columns};
  return {(i - rows) * stride + blocks * columns, rest};
}

void QuantOptimizer::Step(Executor* executor) {
  ParamGroup* first = FirstQuantizedGroup();
  if (first == nullptr) {
    base_->Step(executor);
    return;
  }
  CheckGroups();
  const int64_t step = first->num_steps.value_or(0);
  if (step < options_.warmup_steps) {
    base_->Step(executor);
  } else {
    StepLatents(step == options_.warmup_steps, executor);
    int index = 0;
    for (ParamGroup& group : groups()) {
      if (!IsQuantized(group)) continue;
      ProjectGroup(group, QuantizerOf(index++), step, executor);
    }
  }
  first->num_steps = step + 1;
}

void QuantOptimizer::StepLatents(bool first_step, Executor* executor) {
  ParameterSwap swap;
  ForQuantized(groups(), [&](Parameter& parameter) {
    std::vector<float>& latent = state()[parameter.name][kLatent];
    if (first_step || latent.empty()) {
      latent.assign(parameter.value, parameter.value + parameter.size());
    }
    swap.Set(parameter, latent.data(), parameter.grad);
  });
  // As many as the scales that there are to learn: none before their first
  // grids.
  std::vector<std::vector<float>> gradients;
  if (options_.learned_scales) {
    ForScales([&](const ParamGroup& group, const Quantizer& /*quantizer*/,
                  const Parameter& weight, Parameter& scale) {
      ParameterState& entries = state()[weight.name];
      std::vector<float>& log_scales = entries[kLogScale];
      if (log_scales.empty() || weight.grad == nullptr) return;
      gradients.push_back(ScaleGradients(ViewOf(group, weight), entries,
                                         weight.grad, executor));
      swap.Set(scale, log_scales.data(), gradients.back().data());
    });
  }
  base_->Step(executor);
  if (!options_.learned_scales) return;
  ForScales([&](const ParamGroup& group, const Quantizer& quantizer,
                const Parameter& weight, const Parameter& /*scale*/) {
    ParameterState& entries = state()[weight.name];
    const int bits = *group.quant_bits;
    GridsOf(entries[kLogScale], TableOf(quantizer, bits),
            quantizer.GridSize(bits), entries[kQuants].data());
  });
}

// Calls f(group, quantizer, weight, its scales) for every weight of them that
// is trained.
template <typename F>
void QuantOptimizer::ForScales(const F& f) {
  std::vector<ParamGroup>& all = groups();
  const auto quantized = std::count_if(all.begin(), all.end(), IsQuantized);
  auto scales = all.end() - quantized;
  int index = 0;
  for (ParamGroup& group : all) {
    if (!IsQuantized(group)) continue;
    const Quantizer& quantizer = QuantizerOf(index++);
    scales->lr = group.lr * options_.scale_rate;
    for (size_t i = 0; i < group.parameters.size(); ++i) {
      Parameter& weight = group.parameters[i];
      if (!weight.trainable || weight.size() == 0) continue;
      f(group, quantizer, weight, scales->parameters[i]);
    }
    ++scales;
  }
}

std::vector<float> QuantOptimizer::ScaleGradients(const View& view,
                                                  ParameterState& entries,
                                                  const float* grad,
                                                  Executor* executor) {
  const float* latent = entries[kLatent].data();
  const std::vector<float>& grids = entries[kQuants];
  const size_t levels = grids.size() / view.Grids();
  std::vector<float> gradients(view.Grids());
  ForRuns(view, executor, [&](size_t i, size_t offset, size_t n, float* q) {
    gradients[i] = LogScaleGradient(latent + offset, grad + offset, n,
                                    {grids.data() + i * levels, levels}, q);
  });
  return gradients;
}

void QuantOptimizer::ProjectGroup(ParamGroup& group, const Quantizer& quantizer,
                                  int64_t step, Executor* executor) {
  group.cumu_lr = group.cumu_lr.value_or(0.0) + group.lr;
  const double gamma = options_.shrink ? std::max(1.0, *group.cumu_lr) : 1.0;
  const bool refresh =
      !options_.learned_scales &&
      (step - options_.warmup_steps) % options_.quant_period == 0;
  std::optional<double> inverse_slope;
  for (Parameter& parameter : group.parameters) {
    if (!parameter.trainable || parameter.size() == 0) continue;
    const View view = ViewOf(group, parameter);
    const size_t levels = quantizer.GridSize(*group.quant_bits);
    const size_t grid_size = view.Grids() * levels;
    ParameterState& entries = state()[parameter.name];
    std::vector<float>& grids = entries[kQuants];
    // A parameter that became trainable, or bits that changed, since the last
    // refresh.
    const bool refresh_now = refresh || grids.size() != grid_size;
    grids.resize(grid_size);
    inverse_slope =
        ProjectParts({&quantizer, *group.quant_bits, step, refresh_now,
                      static_cast<float>(gamma), view, levels,
                      entries[kLatent].data(), parameter.value, grids.data()},
                     executor);
    if (options_.learned_scales && refresh_now) {
      std::vector<float>& log_scales = entries[kLogScale];
      log_scales.resize(view.Grids());
      LogScalesOf(grids, TableOf(quantizer, *group.quant_bits), levels,
                  log_scales.data());
    }
  }
  if (inverse_slope && *inverse_slope != 0.0) {
    AnnealWeightDecay(group, *inverse_slope);
  }
}

// Blocks that fill the rows lie one after the other. Where rows end in a
// shorter one, the two kinds are put together each, projected, and put back.
std::optional<double> QuantOptimizer::ProjectParts(const Projection& projection,
                                                   Executor* executor) const {
  const View& view = projection.view;
  if (view.rest == 0) return Project(projection, executor);
  const size_t whole = view.rows / view.rest_rows * view.columns;
  const size_t stride = whole + view.rest;
  std::optional<double> inverse_slope;
  const auto project = [&](size_t begin, size_t n, View part, float* grids) {
    const size_t rows = view.rest_rows;
    std::vector<float> latent(rows * n);
    std::vector<float> value(rows * n);
    for (size_t row = 0; row < rows; ++row) {
      std::copy_n(projection.latent + row * stride + begin, n,
                  latent.data() + row * n);
    }
    Projection of_part = projection;
    of_part.view = part;
    of_part.latent = latent.data();
    of_part.value = value.data();
    of_part.grids = grids;
    inverse_slope = Project(of_part, executor);
    for (size_t row = 0; row < rows; ++row) {
      std::copy_n(value.data() + row * n, n,
                  projection.value + row * stride + begin);
    }
  };
  if (whole > 0) {
    project(0, whole, {view.rows, view.columns, true}, projection.grids);
  }
  project(whole, view.rest, {view.rest_rows, view.rest, true},
          projection.grids + view.rows * projection.levels);
  return inverse_slope;
}

std::optional<double> QuantOptimizer::Project(const Projection& projection,
                                              Executor* executor) const {
  const Projection& a = projection;
  const View& view = a.view;
  const size_t size = view.rows * view.columns;
  const auto load = [&a](size_t begin, size_t end) {
    if (a.gamma == 1.0f) {
      std::copy(a.latent + begin, a.latent + end, a.value + begin);
    } else {
      for (size_t i = begin; i < end; ++i) a.value[i] = a.latent[i] / a.gamma;
    }
  };
  // Rows with grids of their own are quantized piece by piece, all at once
  // otherwise.
  const bool piecewise = view.per_row && a.quantizer->RowsAreIndependent();
  std::vector<float> all;
  if (!piecewise) {
    ParallelFor(executor, size, kTile, load);
    if (a.refresh) {
      all.resize(size);
      a.quantizer->Quantize({a.value, view.rows, view.columns, view.per_row},
                            a.bits, all.data(), a.grids);
    }
  }
  // A piece is some rows, or some columns where all share one grid.
  const size_t unit = view.per_row ? view.columns : 1;
  const size_t tile = std::max<size_t>(1, kTile / unit);
  std::optional<double> inverse_slope;
  ParallelFor(executor, size / unit, tile, [&](size_t begin, size_t end) {
    const size_t offset = begin * unit;
    float* p = a.value + offset;
    float* grid = a.grids + (view.per_row ? begin * a.levels : 0);
    const size_t rows = view.per_row ? end - begin : 1;
    const size_t columns = view.per_row ? view.columns : end - begin;
    const float* q = a.refresh && !piecewise ? all.data() + offset : nullptr;
    std::unique_ptr<float[]> piece;
    if (piecewise) {
      load(offset, end * unit);
      if (a.refresh) {
        piece = std::make_unique_for_overwrite<float[]>(rows * columns);
        a.quantizer->Quantize({p, rows, columns, true}, a.bits, piece.get(),
                              grid);
        q = piece.get();
      }
    }
    const auto slope = prox_map_->Apply(
        {p, q, grid, rows, columns, a.levels, view.per_row}, a.step);
    if (begin == 0) inverse_slope = slope;  // the same for every piece
  });
  return inverse_slope;
}

void QuantOptimizer::AnnealWeightDecay(ParamGroup& group,
                                       double inverse_slope) const {
  group.inv_slope = inverse_slope;
  const double fraction = options_.anneal_wd_frac;
  if (fraction <= 0.0) return;
  const double initial = group.initial_weight_decay.value_or(0.0);
  group.weight_decay =
      inverse_slope * fraction * initial + (1.0 - fraction) * initial;
}

void QuantOptimizer::CheckState(const ParamGroup& group,
                                const Parameter& parameter,
                                const ParameterState& state,
                                std::set<std::string>& unknown) const {
  base_->CheckState(group, parameter, state, unknown);
  if (!IsQuantized(group)) return;
  const auto latent = state.find(kLatent);
  const auto quants = state.find(kQuants);
  unknown.erase(kLatent);
  unknown.erase(kQuants);
  if (options_.learned_scales) unknown.erase(kLogScale);
  if (latent == state.end() && quants == state.end()) return;
  const std::string who = "parameter '" + parameter.name + "': ";
  if (latent == state.end() || latent->second.size() != parameter.size()) {
    throw Error(who + "the latent weights are missing or of the wrong size");
  }
  const View view = ViewOf(group, parameter);
  const size_t grids = view.Grids();
  if (quants == state.end() || quants->second.empty() ||
      quants->second.size() % grids != 0) {
    throw Error(who + "the grids are missing or of the wrong size");
  }
  if (!options_.learned_scales) return;
  const auto scales = state.find(kLogScale);
  if (scales == state.end() || scales->second.size() != grids) {
    throw Error(who + "the learned scales are missing or of the wrong number");
  }
}

}  // namespace lutra::qat
