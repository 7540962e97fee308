#include "lutra/qat/spec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>

#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "runtime/base/unknown_word.h"

namespace lutra::qat {
namespace {

constexpr const char* kStretched = "stretched";

// `text` without `prefix` and `suffix` as a number; nullopt if it is not of
// that form.
std::optional<int64_t> NumberIn(std::string_view text, std::string_view prefix,
                                std::string_view suffix) {
  if (text.size() <= prefix.size() + suffix.size() ||
      !text.starts_with(prefix) || !text.ends_with(suffix)) {
    return std::nullopt;
  }
  text.remove_prefix(prefix.size());
  text.remove_suffix(suffix.size());
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

std::optional<TensorSpec> PresetActivations(std::string_view word) {
  TensorSpec spec;
  spec.granularity = Granularity::kToken;
  spec.symmetric = false;
  if (word == "float32") {
    spec.bits = TensorSpec::kFloatBits;
    return spec;
  }
  for (const std::string_view kind : {"da", "ds", "sa", "ss"}) {
    const auto bits = NumberIn(word, "int", kind);
    if (!bits || *bits < 2 || *bits > 8) continue;
    spec.bits = static_cast<int>(*bits);
    spec.dynamic = kind[0] == 'd';
    spec.symmetric = kind[1] == 's';
    if (!spec.dynamic) spec.granularity = Granularity::kTensor;
    return spec;
  }
  return std::nullopt;
}

std::optional<TensorSpec> PresetWeights(std::string_view word) {
  struct Family {
    std::string_view prefix;
    std::string_view suffix;
    std::string_view quantizer;
    int64_t max_bits;
  };
  constexpr Family kFamilies[] = {
      {"int", "w", "intx", 8},
      {kStretched, "", kStretched, 8},
      {"lsbq", "", "lsbq", 4},
  };
  TensorSpec spec;
  if (word == "ternary") {
    spec.bits = 0;
    spec.quantizer = word;
    return spec;
  }
  if (const auto floats = FloatBits(word)) {
    spec.bits = *floats;
    spec.quantizer = word;
    if (HasPowersOfTwo(word)) {
      spec.granularity = Granularity::kGroup;
      spec.group_size = kMxBlock;
    }
    return spec;
  }
  for (const Family& family : kFamilies) {
    const auto bits = NumberIn(word, family.prefix, family.suffix);
    if (!bits || *bits < 1 || *bits > family.max_bits) continue;
    spec.bits = static_cast<int>(*bits);
    spec.quantizer = family.quantizer;
    return spec;
  }
  return std::nullopt;
}

[[noreturn]] void FailAtWord(std::string_view word) {
  static constexpr std::string_view kKnown[] = {
      "int8da",     "int8ds",     "int8sa",     "int8ss",    "float32",
      "int1w",      "int2w",      "int3w",      "int4w",     "int8w",
      "lsbq1",      "lsbq2",      "lsbq3",      "lsbq4",     "stretched1",
      "stretched2", "stretched3", "stretched4", "ternary",   "fp4",
      "fp6e2m3",    "fp6e3m2",    "fp8e4m3",    "fp8e5m2",   "mxfp4",
      "mxfp6e2m3",  "mxfp6e3m2",  "mxfp8e4m3",  "mxfp8e5m2", "mxint8",
      "g32",        "g64",        "g128"};
  throw Error(UnknownWord("word", word, kKnown));
}

LayerSpec ParsePreset(std::string_view name) {
  LayerSpec layer;
  bool grouped = false;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('-', begin), name.size());
    const std::string_view word = name.substr(begin, end - begin);
    const bool first = begin == 0;
    begin = end + 1;
    if (first) {
      layer.activations = PresetActivations(word);
      if (layer.activations) continue;
    }
    if (!layer.weights) {
      layer.weights = PresetWeights(word);
      if (!layer.weights) FailAtWord(word);
      continue;
    }
    const auto group_size = NumberIn(word, "g", "");
    if (grouped || !group_size || *group_size < 1) FailAtWord(word);
    grouped = true;
    layer.weights->granularity = Granularity::kGroup;
    layer.weights->group_size = *group_size;
  }
  if (!layer.weights) throw Error("says nothing about weights");
  return layer;
}

int64_t ColumnsPerScale(const TensorSpec& spec) {
  switch (spec.granularity) {
    case Granularity::kTensor:
      return kWholeTensor;
    case Granularity::kGroup:
      if (spec.groups_per_row != 0) {
        throw Error("parts of a row are for weights, whose rows are known");
      }
      return spec.group_size;
    case Granularity::kChannel:
    case Granularity::kToken:
      break;
  }
  return 0;
}

void CheckHasIntegers(const TensorSpec& spec) {
  if (spec.bits >= 1 && !spec.IsFloat()) return;
  throw Error("ternary and float values have no integers of their own");
}

std::optional<QuantScheme> WeightScheme(const LayerSpec& layer) {
  if (!layer.weights) return std::nullopt;
  return SchemeOf(*layer.weights);
}

std::string TextOf(const RulePattern& pattern) {
  if (!pattern.op) return pattern.regex;
  const std::string op = "op:" + std::string(Name(*pattern.op));
  return pattern.regex.empty() ? op : op + " " + pattern.regex;
}

// The quantizer with the same levels whose scale loses least. Throws Error.
std::string WithBestScale(const std::string& quantizer) {
  constexpr std::pair<std::string_view, const char*> kBest[] = {
      {"intx", "mse"},
      {"stretched", "mse-stretched"},
      {"intx-asymmetric", "mse-asymmetric"}};
  for (const auto& [name, best] : kBest) {
    if (name == quantizer || best == quantizer) return best;
  }
  throw Error("quantizer '" + quantizer +
              "' chooses its ranges itself (observer min-max)");
}

// The quantizer that an observer makes of the one that a specification names.
// Throws Error.
std::string Observed(const TensorSpec& weights) {
  if (weights.observer == RangeMethod::kMse) {
    return WithBestScale(weights.quantizer);
  }
  if (weights.observer != RangeMethod::kMx) return weights.quantizer;
  const auto mx = MicroscalingOf(weights.quantizer, weights.bits);
  if (!mx) {
    throw Error("the observer mx is for int8, fp4, fp6 and fp8, not for " +
                std::to_string(weights.bits) + " bits of quantizer '" +
                weights.quantizer + "'");
  }
  return std::string(*mx);
}

// What scales are stored as: where they are powers of two in any case, a byte
// is enough.
ScaleType StoredScales(const TensorSpec& weights,
                       const std::string& quantizer) {
  return weights.scale_type == ScaleType::kFloat && HasPowersOfTwo(quantizer)
             ? ScaleType::kPowerOfTwo
             : weights.scale_type;
}

}  // namespace

bool TensorSpec::operator==(const TensorSpec& other) const {
  const auto fields = [](const TensorSpec& t) {
    return std::tie(t.bits, t.is_signed, t.granularity, t.group_size,
                    t.groups_per_row, t.symmetric, t.observer, t.percentile,
                    t.scale_type, t.rounding, t.dynamic, t.quantizer);
  };
  return fields(*this) == fields(other);
}

QuantScheme SchemeOf(const TensorSpec& weights) {
  const auto require = [](bool condition, const char* cause) {
    if (!condition) throw Error(std::string("weights ") + cause);
  };
  require(weights.is_signed || !weights.symmetric,
          "that are unsigned are not symmetric around 0: \"symmetric\": false");
  require(weights.granularity == Granularity::kChannel ||
              weights.granularity == Granularity::kGroup,
          "need a scale per channel or group: one for the tensor would save "
          "next to nothing");
  require(weights.dynamic, "derive their ranges themselves (dynamic)");
  require(
      weights.observer != RangeMethod::kMeanMax,
      "have no batches to take the mean over (observer min-max, mse or mx)");
  require(weights.observer != RangeMethod::kPercentile,
          "have too few values in a group for percentiles (observer min-max or "
          "mse)");
  require(weights.rounding != Rounding::kStochastic,
          "end on the nearest level; rounding at random is a way to get there "
          "(training with the proximal map stochastic, --prox stochastic)");
  require(weights.rounding == Rounding::kHalfEven,
          "take the nearest level (rounding half-even): another would only "
          "lose more");
  const bool asymmetric = IsAsymmetric(weights.quantizer);
  if (asymmetric == weights.symmetric) {
    throw Error("quantizer '" + weights.quantizer + "' is " +
                (asymmetric ? "not symmetric" : "symmetric"));
  }
  const std::string quantizer = Observed(weights);
  const bool grouped = weights.granularity == Granularity::kGroup;
  const QuantScheme scheme{
      quantizer, weights.bits, grouped ? weights.group_size : 0,
      StoredScales(weights, quantizer), grouped ? weights.groups_per_row : 0};
  CheckScheme(scheme);
  return scheme;
}

FakeQuantOptions FakeQuantOptionsOf(const TensorSpec& spec) {
  CheckHasIntegers(spec);
  FakeQuantOptions options;
  options.bits = spec.bits;
  options.is_signed = spec.is_signed;
  options.symmetric = spec.symmetric;
  options.group_size = ColumnsPerScale(spec);
  options.ranges = spec.dynamic ? FakeQuantOptions::Ranges::kDynamic
                                : FakeQuantOptions::Ranges::kStatic;
  options.scale_type = spec.scale_type;
  options.rounding = spec.rounding;
  return options;
}

ObserverOptions ObserverOptionsOf(const TensorSpec& spec) {
  CheckHasIntegers(spec);
  ObserverOptions options;
  options.method = spec.observer;
  options.percentile = spec.percentile;
  options.group_size = ColumnsPerScale(spec);
  options.scheme.mapping =
      spec.symmetric ? AffineMapping::kSymmetric : AffineMapping::kAsymmetric;
  options.scheme.bounds =
      spec.is_signed ? SignedBounds(spec.bits) : UnsignedBounds(spec.bits);
  options.scheme.scale_type = spec.scale_type;
  options.scheme.rounding = spec.rounding;
  return options;
}

QuantizationSpec::QuantizationSpec(const LayerSpec& default_layer)
    : default_(default_layer), rules_(WeightScheme(default_layer)) {}

void QuantizationSpec::AddRule(const RulePattern& pattern,
                               const LayerSpec& layer) {
  rules_.AddRule(TextOf(pattern), pattern, WeightScheme(layer));
  layers_.push_back({pattern, layer});
}

void QuantizationSpec::AddExclusion(std::string_view text) {
  rules_.AddExclusion(text);
  exclusions_.emplace_back(text);
}

LayerSpec QuantizationSpec::Match(const RuleTarget& target) const {
  if (rules_.IsExcluded(target)) return {};
  const std::optional<size_t> rule = rules_.MatchingRule(target);
  return rule ? layers_[*rule].layer : default_;
}

std::optional<QuantScheme> QuantizationSpec::DefaultScheme() const {
  return WeightScheme(default_);
}

void QuantizationSpec::AppendTo(SchemeRules& rules) const {
  for (const Rule& rule : layers_) {
    rules.AddRule(TextOf(rule.pattern), rule.pattern, WeightScheme(rule.layer));
  }
  for (const std::string& exclusion : exclusions_) {
    rules.AddExclusion(exclusion);
  }
}

LayerSpec PresetLayer(std::string_view name) {
  try {
    const LayerSpec layer = ParsePreset(name);
    static_cast<void>(SchemeOf(*layer.weights));
    return layer;
  } catch (const Error& error) {
    throw Error("preset '" + std::string(name) + "': " + error.what());
  }
}

std::vector<std::string_view> ExamplePresets() {
  return {"int8da-int4w-g32",      "float32-int4w-g32", "int8da-stretched2-g32",
          "int8da-stretched3-g64", "int8da-ternary",    "int4w-g128"};
}

}  // namespace lutra::qat
