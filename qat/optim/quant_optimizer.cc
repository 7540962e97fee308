#include "lutra/qat/quant_optimizer.h"

#include <algorithm>
#include <utility>

#include "kernels/base/parallel.h"
#include "lutra/runtime/error.h"

namespace lutra::qat {
namespace {

constexpr int kFirstFloatBits = 16;
// Elements per piece of work; its values and their quantized counterparts stay
// in the L2 cache.
constexpr size_t kTile = 8192;

constexpr const char* kLatent = "latent";
constexpr const char* kQuants = "quants";

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

// Lets parameters point to other values until it goes out of scope.
class ValueSwap {
 public:
  ~ValueSwap() {
    for (auto& [parameter, value] : saved_) parameter->value = value;
  }
  void Set(Parameter& parameter, float* value) {
    saved_.emplace_back(&parameter, parameter.value);
    parameter.value = value;
  }

 private:
  std::vector<std::pair<Parameter*, float*>> saved_;
};

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
  }
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
  ValueSwap swap;
  ForQuantized(groups(), [&](Parameter& parameter) {
    std::vector<float>& latent = state()[parameter.name][kLatent];
    if (first_step || latent.empty()) {
      latent.assign(parameter.value, parameter.value + parameter.size());
    }
    swap.Set(parameter, latent.data());
  });
  base_->Step(executor);
}

void QuantOptimizer::ProjectGroup(ParamGroup& group, const Quantizer& quantizer,
                                  int64_t step, Executor* executor) {
  group.cumu_lr = group.cumu_lr.value_or(0.0) + group.lr;
  const double gamma = options_.shrink ? std::max(1.0, *group.cumu_lr) : 1.0;
  const bool refresh =
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
}

}  // namespace lutra::qat
