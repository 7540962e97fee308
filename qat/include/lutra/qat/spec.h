#ifndef LUTRA_QAT_SPEC_H_
#define LUTRA_QAT_SPEC_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/qat/affine.h"
#include "lutra/qat/fake_quant.h"
#include "lutra/qat/range_observer.h"
#include "lutra/qat/scheme.h"

// One description of how a model is quantized, for whoever trains, packs or
// calibrates it: what weights and activations become, and which layers differ.

namespace lutra::qat {

enum class Granularity {
  kTensor,
  kChannel,  // a scale per row of weights
  kGroup,    // a scale per group of columns
  kToken,    // a scale per row of activations
};

// Columns of a block of Microscaling Formats.
inline constexpr int64_t kMxBlock = 32;

// What the values of a tensor become.
struct TensorSpec {
  static constexpr int kFloatBits = 32;

  int bits = 8;  // 0: ternary; kFloatBits: activations that stay float
  bool is_signed = true;
  Granularity granularity = Granularity::kChannel;
  int64_t group_size = 0;  // columns, of kGroup
  // Of kGroup, in place of columns: so many groups make a row. Weights only.
  int64_t groups_per_row = 0;
  bool symmetric = true;
  RangeMethod observer = RangeMethod::kMinMax;
  double percentile = 99.99;  // of RangeMethod::kPercentile
  ScaleType scale_type = ScaleType::kFloat;
  Rounding rounding = Rounding::kHalfEven;
  bool dynamic = true;    // ranges from the values at hand, not fixed ones
  std::string quantizer;  // of weights, see MakeQuantizer

  bool IsFloat() const { return bits == kFloatBits; }
  bool operator==(const TensorSpec& other) const;
  bool operator!=(const TensorSpec& other) const { return !(*this == other); }
};

struct LayerSpec {
  std::optional<TensorSpec> weights;  // nullopt: float
  // The inputs of the node; nullopt: nothing is said, training leaves them
  // float and the session decides.
  std::optional<TensorSpec> activations;
  // The output of the node, rounded to whole multiples of one fixed scale;
  // nullopt: as it is.
  std::optional<TensorSpec> outputs;

  bool operator==(const LayerSpec& other) const {
    return weights == other.weights && activations == other.activations &&
           outputs == other.outputs;
  }
  bool operator!=(const LayerSpec& other) const { return !(*this == other); }
};

// The grid that weights are trained and packed on. Asymmetric weights have the
// same grids signed or unsigned; the observer mse stands for the quantizer with
// the best scale. Throws lutra::Error for a weight specification that no
// quantizer implements: unsigned and symmetric, per tensor or token, with fixed
// ranges, percentiles or another rounding.
QuantScheme SchemeOf(const TensorSpec& weights);

// The same as fake quantization and as an observer of fixed ranges. Throw
// lutra::Error for ternary and float values, which have no integers.
FakeQuantOptions FakeQuantOptionsOf(const TensorSpec& spec);
ObserverOptions ObserverOptionsOf(const TensorSpec& spec);

// A default for all layers, rules for some of them by the name of the weight
// and the type of the operator, and exclusions. First match wins: exclusions,
// then rules in order, then the default.
class QuantizationSpec {
 public:
  // Everything stays float.
  QuantizationSpec() : rules_(std::nullopt) {}
  // Throws lutra::Error as SchemeOf does.
  explicit QuantizationSpec(const LayerSpec& default_layer);

  // Reads (all keys optional, the values here are the defaults of a layer that
  // is given)
  //   {"preset": NAME,           the default layer to begin with
  //    "weights": {"dtype": "int8", "granularity": "channel",
  //                "group_size": N, "symmetric": true,
  //                "observer": "min-max", "percentile": 99.99,
  //                "scale_type": "float32", "rounding": "half-even",
  //                "dynamic": true, "quantizer": NAME},
  //    "activations": {... "granularity": "token", "symmetric": false ...},
  //    "outputs": {... "granularity": "tensor", "dynamic": false ...},
  //    "bias": "float32",
  //    "rules": [{"name": REGEX, "op": "linear",
  //               "weights": {...}, "activations": {...},
  //               "outputs": {...}, "bias": "float32"}, ...],
  //    "exclude": [REGEX or "op:linear", ...]}
  // A dtype is "ternary", "int1" ... "int8", "uint1" ... "uint8", of weights
  // also "fp4", "fp6e2m3", "fp6e3m2", "fp8e4m3", "fp8e5m2"; instead of an
  // object, "weights", "activations" and "outputs" may be "float32", and
  // "activations" null, which says nothing. What a rule leaves out is as in the
  // default layer. "group_size", a number of columns or "1/N" of a row, implies
  // the granularity "group", and activations that are not dynamic "tensor". The
  // observer "mx" of weights implies groups of 32. Without "quantizer", 2 and 3
  // bits are stretched, others symmetric integers ("intx", or
  // "intx-asymmetric"), and floats those of their type.
  //
  // Throws lutra::Error naming `file`; an unknown key or value is an error that
  // suggests the nearest right one.
  static QuantizationSpec Parse(std::string_view json, std::string_view file);
  static QuantizationSpec Load(const std::filesystem::path& path);
  // Of which Parse makes an equal specification.
  std::string ToJson() const;

  void AddRule(const RulePattern& pattern, const LayerSpec& layer);
  void AddExclusion(std::string_view text);

  const LayerSpec& default_layer() const { return default_; }
  // What holds for a layer; all float if it is excluded.
  LayerSpec Match(const RuleTarget& target) const;

  // The default scheme of weights, and the rules and exclusions about them, to
  // be appended to others.
  std::optional<QuantScheme> DefaultScheme() const;
  void AppendTo(SchemeRules& rules) const;

 private:
  struct Rule {
    RulePattern pattern;
    LayerSpec layer;
  };

  LayerSpec default_;
  std::vector<Rule> layers_;  // by position in rules_
  std::vector<std::string> exclusions_;
  SchemeRules rules_;  // finds what matches
};

// The default layer of a preset. Its name reads [activations-]weights[-groups],
// e.g. "int8da-int4w-g32":
//   activations  int8da (dynamic, asymmetric, per token), int8ds (symmetric),
//                int8sa and int8ss (one fixed range), the same with int2 to
//                int7, float32; left to the session if absent
//   weights      int1w ... int8w (symmetric integers), stretched1 ... 8,
//                lsbq1 ... 4, ternary, and the small floats of
//                MakeFloatQuantizer, fp4 and mxint8
//   groups       g32: groups of 32 columns; if absent a scale per row, for
//                names with mx groups of 32
// Throws lutra::Error that suggests the nearest right word.
LayerSpec PresetLayer(std::string_view name);
// Common ones, for help texts.
std::vector<std::string_view> ExamplePresets();

}  // namespace lutra::qat

#endif  // LUTRA_QAT_SPEC_H_
