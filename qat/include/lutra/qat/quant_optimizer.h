#ifndef LUTRA_QAT_QUANT_OPTIMIZER_H_
#define LUTRA_QAT_QUANT_OPTIMIZER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/qat/optimizer.h"
#include "lutra/qat/prox_map.h"
#include "lutra/qat/quantizer.h"

namespace lutra::qat {

struct QuantOptimizerOptions {
  // Steps at the start in which the base optimizer runs alone.
  int64_t warmup_steps = 0;
  // Grids are derived anew every that many steps; in between, values go to the
  // levels of the last grid.
  int64_t quant_period = 10;
  // One grid per row (a tensor of more than two dimensions is taken as [dim 0,
  // rest]; with quant_block_size in the group: per block). Otherwise one grid
  // per tensor, whatever the block size.
  bool per_channel = false;
  // Whether blocks that do not divide the last dimension leave a shorter one at
  // the end of each row, as packed formats do; needs per_channel. Otherwise
  // such blocks are refused, as the original does. The grids of the short
  // blocks come after those of the others.
  bool short_last_blocks = false;
  // Before projecting, divide by max(1, sum of the learning rates so far).
  bool shrink = false;
  // In [0, 1]: that part of the weight decay follows PARQ's inverse slope.
  double anneal_wd_frac = 0.0;
  // Quantizers of single groups, by the position of the group among the
  // quantized ones.
  std::map<int, std::shared_ptr<const Quantizer>> group_quantizers = {};
  // Scales are parameters that the base optimizer trains, where the quantizer
  // has a table (LutTable); it then only gives the scales to begin with, and
  // quant_period has no meaning. Optimized are their logarithms, so that a
  // scale stays above 0 and a step is a share of it (Jain et al., Trained
  // quantization thresholds, 2019). With g the gradient at a weight w and q its
  // level, the gradient of the logarithm is the sum over the scale's weights of
  // g (q - w) where w lies between the outermost levels, g q elsewhere (Esser
  // et al., Learned step size quantization, 2019).
  bool learned_scales = false;
  // The learning rate of the logarithms, as a multiple of the group's.
  double scale_rate = 3.0;
};

// Quantization-aware training around any optimizer. In each step the gradient,
// computed by the caller at the quantized weights, is applied by the base
// optimizer to full-precision latent weights; a proximal map then pulls a copy
// of them towards the grid of a quantizer, and that copy is the new weights.
//
// A group is quantized if its quant_bits is below 16. Groups and state are the
// base optimizer's own, with these additions: state "latent" [size] and
// "quants" (the grids of the last refresh, [levels] or [rows, levels]) per
// quantized parameter, and the fields of ParamGroup that say so. Learned scales
// are parameters X/log_scale in groups at the end, one for each quantized
// group, whose values are the state "log_scale" of X.
//
// While the base optimizer steps, Parameter::value of quantized parameters
// points to the latent weights. A caller's value pointer is never replaced
// otherwise.
class QuantOptimizer : public Optimizer {
 public:
  // Throws lutra::Error for options out of range, bits that a quantizer does
  // not support, block sizes that do not divide the last dimension, and learned
  // scales of a quantizer without a table.
  QuantOptimizer(std::unique_ptr<Optimizer> base,
                 std::shared_ptr<const Quantizer> quantizer,
                 std::shared_ptr<const ProxMap> prox_map,
                 QuantOptimizerOptions options);

  std::string name() const override { return "quant-" + base_->name(); }
  // Checks what the constructor checks before it changes anything.
  void Step(Executor* executor) override;
  std::vector<ParamGroup>& groups() override { return base_->groups(); }
  std::map<std::string, ParameterState>& state() override {
    return base_->state();
  }
  void CheckState(const ParamGroup& group, const Parameter& parameter,
                  const ParameterState& state,
                  std::set<std::string>& unknown) const override;

  const QuantOptimizerOptions& options() const { return options_; }
  // Steps done, warm-up included; 0 if no group is quantized.
  int64_t num_steps() const;
  // Empty before the first step after warm-up and for float parameters.
  Span<const float> Latent(const std::string& parameter) const;
  Span<const float> Grids(const std::string& parameter) const;
  // How far the values of a parameter are from their grids: the root of the
  // mean squared distance to the nearest level, over that of the values. Empty
  // where there are no grids.
  std::optional<double> GridDistance(const std::string& parameter,
                                     Executor* executor) const;
  // Writes the latent weights into the parameters, e.g. to quantize them
  // otherwise than they were trained.
  void RestoreLatents();

 private:
  // The parameter as its grids see it.
  struct View {
    size_t rows = 0;
    size_t columns = 0;
    bool per_row = false;
    // Columns of the short block at the end of each row of the tensor; 0: none.
    size_t rest = 0;
    size_t rest_rows = 0;

    size_t Grids() const { return (per_row ? rows : 1) + rest_rows; }
    // Values of a grid, at most.
    size_t Longest() const;
    // Where the values of grid i begin, and how many they are.
    std::pair<size_t, size_t> RunOf(size_t i) const;
  };
  struct Projection;

  void AddScaleGroups();
  template <typename F>
  void ForScales(const F& f);
  template <typename F>
  static void ForRuns(const View& view, Executor* executor, const F& f);
  static std::vector<float> ScaleGradients(const View& view,
                                           ParameterState& entries,
                                           const float* grad,
                                           Executor* executor);
  void CheckGroups() const;
  View ViewOf(const ParamGroup& group, const Parameter& parameter) const;
  const Quantizer& QuantizerOf(int quantized_index) const;
  ParamGroup* FirstQuantizedGroup() const;
  Span<const float> Entry(const std::string& parameter,
                          const char* entry) const;
  void StepLatents(bool first_step, Executor* executor);
  void ProjectGroup(ParamGroup& group, const Quantizer& quantizer, int64_t step,
                    Executor* executor);
  std::optional<double> Project(const Projection& projection,
                                Executor* executor) const;
  std::optional<double> ProjectParts(const Projection& projection,
                                     Executor* executor) const;
  void AnnealWeightDecay(ParamGroup& group, double inverse_slope) const;

  std::unique_ptr<Optimizer> base_;
  std::shared_ptr<const Quantizer> quantizer_;
  std::shared_ptr<const ProxMap> prox_map_;
  QuantOptimizerOptions options_;
};

// Whether QuantOptimizer quantizes the group.
bool IsQuantized(const ParamGroup& group);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_QUANT_OPTIMIZER_H_
