#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <span>

#include "lutra/qat/activations.h"
#include "lutra/qat/quantizers.h"
#include "lutra/qat/spec.h"
#include "lutra/runtime/error.h"
#include "runtime/base/json.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/unknown_word.h"

namespace lutra::qat {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Larger files are no specifications.
constexpr size_t kMaxFile = size_t{1} << 20;
constexpr int64_t kMaxGroupSize = int64_t{1} << 30;
constexpr std::string_view kFloat = "float32";

// What the values of an enumeration are called in a file.
template <typename E>
struct Named {
  std::string_view name;
  E value;
};

constexpr Named<Granularity> kWeightGranularities[] = {
    {"tensor", Granularity::kTensor},
    {"channel", Granularity::kChannel},
    {"group", Granularity::kGroup}};
constexpr Named<Granularity> kActivationGranularities[] = {
    {"tensor", Granularity::kTensor},
    {"token", Granularity::kToken},
    {"group", Granularity::kGroup}};
constexpr Named<RangeMethod> kObservers[] = {
    {"min-max", RangeMethod::kMinMax},
    {"percentile", RangeMethod::kPercentile},
    {"mse", RangeMethod::kMse},
    {"mean-max", RangeMethod::kMeanMax},
    {"mx", RangeMethod::kMx}};
constexpr Named<ScaleType> kNamedScaleTypes[] = {
    {"float32", ScaleType::kFloat},
    {"float", ScaleType::kFloat},
    {"bfloat16", ScaleType::kBFloat16},
    {"float16", ScaleType::kFloat16},
    {"two-level", ScaleType::kTwoLevels},
    {"power-of-two", ScaleType::kPowerOfTwo}};
constexpr Named<Rounding> kRoundings[] = {
    {"half-even", Rounding::kHalfEven},
    {"half-away", Rounding::kHalfAway},
    {"floor", Rounding::kFloor},
    {"stochastic", Rounding::kStochastic}};
// Types of floats as well as their quantizers.
constexpr std::string_view kFloatTypes[] = {"fp4", "fp6e2m3", "fp6e3m2",
                                            "fp8e4m3", "fp8e5m2"};

constexpr std::array<std::string_view, 10> kTensorKeys = {
    "dtype",      "granularity", "group_size", "symmetric", "observer",
    "percentile", "scale_type",  "rounding",   "dynamic",   "quantizer"};
constexpr std::array<std::string_view, 6> kJsonRuleKeys = {
    "name", "op", "weights", "activations", "outputs", "bias"};
constexpr std::array<std::string_view, 7> kFileKeys = {
    "preset", "weights", "activations", "outputs", "bias", "rules", "exclude"};

// Runs `read`; its errors get `where` in front.
template <typename F>
void Within(const std::string& where, const F& read) {
  try {
    read();
  } catch (const Error& error) {
    throw Error(where + ": " + error.what());
  }
}

void CheckObject(const json& value, std::span<const std::string_view> keys) {
  if (!value.is_object()) throw Error("is not an object");
  for (const auto& [key, unused] : value.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      throw Error(UnknownWord("key", key, keys));
    }
  }
}

std::string Text(const json& value) {
  if (!value.is_string()) throw Error("is not a string");
  return value.get<std::string>();
}

void Read(const json& value, bool& result) {
  if (!value.is_boolean()) throw Error("is not true or false");
  result = value.get<bool>();
}

void Read(const json& value, double& result) {
  if (!value.is_number()) throw Error("is not a number");
  result = value.get<double>();
}

void Read(const json& value, int64_t& result) {
  if (!value.is_number_integer()) throw Error("is not a whole number");
  // A large unsigned number would be negative.
  if (value.is_number_unsigned() && value.get<uint64_t>() > kMaxGroupSize) {
    throw Error("is out of range");
  }
  result = value.get<int64_t>();
}

void Read(const json& value, std::string& result) { result = Text(value); }

template <typename E, size_t kCount>
E ValueOf(const Named<E> (&names)[kCount], const std::string& word) {
  std::vector<std::string_view> known;
  for (const Named<E>& named : names) {
    if (named.name == word) return named.value;
    known.push_back(named.name);
  }
  throw Error(UnknownWord("value", word, known));
}

template <typename E, size_t kCount>
std::string_view NameOf(const Named<E> (&names)[kCount], E value) {
  for (const Named<E>& named : names) {
    if (named.value == value) return named.name;
  }
  return names[0].name;
}

enum class Kind { kWeights, kActivations, kOutputs };

bool IsFloatType(std::string_view name) {
  return std::find(std::begin(kFloatTypes), std::end(kFloatTypes), name) !=
         std::end(kFloatTypes);
}

std::string DType(const TensorSpec& spec) {
  if (spec.bits == 0) return "ternary";
  if (IsFloatType(spec.quantizer)) return spec.quantizer;
  return (spec.is_signed ? "int" : "uint") + std::to_string(spec.bits);
}

void ReadDType(const json& value, Kind kind, TensorSpec& spec) {
  const std::string word = Text(value);
  if (IsFloatType(word)) {
    if (kind != Kind::kWeights) {
      throw Error("'" + word +
                  "' is for weights: kernels multiply whole "
                  "numbers, and values between layers stay float32");
    }
    spec.is_signed = true;
    spec.bits = *FloatBits(word);
    spec.quantizer = word;
    return;
  }
  if (IsFloatType(spec.quantizer)) spec.quantizer.clear();  // the default's
  std::vector<std::string> names = {"ternary"};
  for (const char* prefix : {"int", "uint"}) {
    for (int bits = 1; bits <= 8; ++bits) {
      names.push_back(prefix + std::to_string(bits));
    }
  }
  const auto found = std::find(names.begin(), names.end(), word);
  if (found == names.end()) {
    std::vector<std::string_view> known(names.begin(), names.end());
    known.insert(known.end(), std::begin(kFloatTypes), std::end(kFloatTypes));
    throw Error(UnknownWord("dtype", word, known));
  }
  const auto index = static_cast<int>(found - names.begin());
  spec.is_signed = index <= 8;
  spec.bits = spec.is_signed ? index : index - 8;
}

// Columns, or "1/N" of a row.
void ReadGroupSize(const json& value, TensorSpec& spec) {
  spec.groups_per_row = 0;
  if (value.is_string() && value.get<std::string>().starts_with("1/")) {
    QuantScheme scheme;
    SetGroupSize(value.get<std::string>(), scheme);
    spec.group_size = 0;
    spec.groups_per_row = scheme.groups_per_row;
    return;
  }
  Read(value, spec.group_size);
  if (spec.group_size < 1 || spec.group_size > kMaxGroupSize) {
    throw Error("is out of range");
  }
}

// A scale per `granularity`, which must go with the group size.
template <size_t kCount>
void ReadGroups(const json& object, const Named<Granularity> (&names)[kCount],
                TensorSpec& spec) {
  const bool sized = object.contains("group_size");
  if (sized) {
    Within("'group_size'", [&] { ReadGroupSize(object["group_size"], spec); });
    spec.granularity = Granularity::kGroup;
  }
  if (object.contains("granularity")) {
    Within("'granularity'", [&] {
      spec.granularity = ValueOf(names, Text(object["granularity"]));
    });
  }
  if (spec.granularity == Granularity::kGroup) {
    if (spec.group_size == 0 && spec.groups_per_row == 0) {
      throw Error("'group_size' is missing");
    }
  } else if (sized) {
    throw Error("'group_size' goes with the granularity \"group\" only");
  } else {
    spec.group_size = spec.groups_per_row = 0;
  }
}

TensorSpec ReadTensor(const json& object, const TensorSpec& base, Kind kind) {
  CheckObject(object, kTensorKeys);
  TensorSpec spec = base;
  const auto read = [&](const char* key, const auto& set) {
    if (object.contains(key)) {
      Within("'" + std::string(key) + "'", [&] { set(object[key]); });
    }
  };
  read("dtype", [&](const json& value) { ReadDType(value, kind, spec); });
  read("symmetric", [&](const json& value) { Read(value, spec.symmetric); });
  read("dynamic", [&](const json& value) { Read(value, spec.dynamic); });
  read("observer", [&](const json& value) {
    spec.observer = ValueOf(kObservers, Text(value));
  });
  read("percentile", [&](const json& value) {
    Read(value, spec.percentile);
    if (!(spec.percentile > 0.0 && spec.percentile <= 100.0)) {
      throw Error("must be above 0 and at most 100");
    }
  });
  if (object.contains("percentile") &&
      spec.observer != RangeMethod::kPercentile) {
    throw Error("'percentile' goes with the observer \"percentile\" only");
  }
  read("scale_type", [&](const json& value) {
    spec.scale_type = ValueOf(kNamedScaleTypes, Text(value));
  });
  read("rounding", [&](const json& value) {
    spec.rounding = ValueOf(kRoundings, Text(value));
  });
  if (kind != Kind::kWeights) {
    if (object.contains("quantizer")) {
      throw Error("'quantizer' is for weights only");
    }
    if (spec.bits == 0) throw Error("'dtype': activations are not ternary");
    if (spec.dynamic != base.dynamic) {
      spec.granularity =
          spec.dynamic ? Granularity::kToken : Granularity::kTensor;
    }
    ReadGroups(object, kActivationGranularities, spec);
    if (kind == Kind::kActivations) {
      static_cast<void>(InputOf(spec));  // throws
    } else {
      CheckOutput(spec);
    }
    return spec;
  }
  if (spec.observer == RangeMethod::kMx && base.observer != RangeMethod::kMx &&
      spec.granularity != Granularity::kGroup) {
    spec.granularity = Granularity::kGroup;
    spec.group_size = kMxBlock;
  }
  ReadGroups(object, kWeightGranularities, spec);
  read("quantizer", [&](const json& value) { Read(value, spec.quantizer); });
  if (spec.quantizer.empty()) {
    const bool stretched = spec.bits == 2 || spec.bits == 3;
    spec.quantizer = spec.bits == 0    ? "ternary"
                     : !spec.symmetric ? "intx-asymmetric"
                     : stretched       ? "stretched"
                                       : "intx";
  }
  static_cast<void>(SchemeOf(spec));  // throws
  return spec;
}

// The member `key` of a layer, if it is there.
void ReadTensor(const json& layer, const char* key, Kind kind,
                std::optional<TensorSpec>& spec) {
  if (!layer.contains(key)) return;
  Within("'" + std::string(key) + "'", [&] {
    const json& value = layer[key];
    if (value.is_null() && kind != Kind::kWeights) {
      spec.reset();
      return;
    }
    if (value.is_string()) {
      if (value.get<std::string>() != kFloat) {
        throw Error("must be an object or \"float32\"");
      }
      if (kind != Kind::kActivations) {
        spec.reset();
      } else {
        spec.emplace().bits = TensorSpec::kFloatBits;
      }
      return;
    }
    TensorSpec base;
    if (kind == Kind::kActivations) {
      base.granularity = Granularity::kToken;
      base.symmetric = false;
      if (spec && spec->IsFloat()) spec.reset();
    } else if (kind == Kind::kOutputs) {
      base.granularity = Granularity::kTensor;
      base.symmetric = base.dynamic = false;
    }
    spec = ReadTensor(value, spec.value_or(base), kind);
  });
}

void ReadLayer(const json& layer, LayerSpec& spec) {
  ReadTensor(layer, "weights", Kind::kWeights, spec.weights);
  ReadTensor(layer, "activations", Kind::kActivations, spec.activations);
  ReadTensor(layer, "outputs", Kind::kOutputs, spec.outputs);
  if (!layer.contains("bias")) return;
  Within("'bias'", [&] {
    if (!layer["bias"].is_string() || Text(layer["bias"]) != kFloat) {
      throw Error(
          "must be \"float32\": kernels add it to products that are float32 "
          "already, and it is one number for a row of weights");
    }
  });
}

const json& Array(const json& value) {
  if (!value.is_array()) throw Error("is not an array");
  return value;
}

void ReadRule(const json& rule, QuantizationSpec& spec) {
  CheckObject(rule, kJsonRuleKeys);
  RulePattern pattern;
  if (rule.contains("name")) {
    Within("'name'", [&] { Read(rule["name"], pattern.regex); });
  }
  if (rule.contains("op")) {
    Within("'op'", [&] { pattern.op = ParseWeightOp(Text(rule["op"])); });
  }
  if (pattern.regex.empty() && !pattern.op) {
    throw Error("needs a 'name' or an 'op'");
  }
  LayerSpec layer = spec.default_layer();
  ReadLayer(rule, layer);
  spec.AddRule(pattern, layer);
}

QuantizationSpec ReadSpec(const json& document) {
  CheckObject(document, kFileKeys);
  LayerSpec layer;
  if (document.contains("preset")) {
    Within("'preset'", [&] { layer = PresetLayer(Text(document["preset"])); });
  }
  ReadLayer(document, layer);
  QuantizationSpec spec(layer);
  if (document.contains("rules")) {
    Within("'rules'", [&] {
      size_t index = 0;
      for (const json& rule : Array(document["rules"])) {
        Within("rule " + std::to_string(index++),
               [&] { ReadRule(rule, spec); });
      }
    });
  }
  if (document.contains("exclude")) {
    Within("'exclude'", [&] {
      for (const json& pattern : Array(document["exclude"])) {
        spec.AddExclusion(Text(pattern));
      }
    });
  }
  return spec;
}

ordered_json ToJson(const std::optional<TensorSpec>& tensor, Kind kind) {
  if (!tensor || tensor->IsFloat()) return kFloat;
  const bool weights = kind == Kind::kWeights;
  ordered_json object;
  object["dtype"] = DType(*tensor);
  object["granularity"] =
      weights ? NameOf(kWeightGranularities, tensor->granularity)
              : NameOf(kActivationGranularities, tensor->granularity);
  if (tensor->groups_per_row != 0) {
    object["group_size"] = "1/" + std::to_string(tensor->groups_per_row);
  } else if (tensor->granularity == Granularity::kGroup) {
    object["group_size"] = tensor->group_size;
  }
  object["symmetric"] = tensor->symmetric;
  object["observer"] = NameOf(kObservers, tensor->observer);
  if (tensor->observer == RangeMethod::kPercentile) {
    object["percentile"] = tensor->percentile;
  }
  object["scale_type"] = NameOf(kNamedScaleTypes, tensor->scale_type);
  object["rounding"] = NameOf(kRoundings, tensor->rounding);
  object["dynamic"] = tensor->dynamic;
  if (weights) object["quantizer"] = tensor->quantizer;
  return object;
}

void AddLayer(const LayerSpec& layer, ordered_json& object) {
  object["weights"] = ToJson(layer.weights, Kind::kWeights);
  if (layer.activations) {
    object["activations"] = ToJson(layer.activations, Kind::kActivations);
  } else {
    object["activations"] = nullptr;
  }
  object["outputs"] = ToJson(layer.outputs, Kind::kOutputs);
}

}  // namespace

QuantizationSpec QuantizationSpec::Parse(std::string_view json,
                                         std::string_view file) {
  const JsonDocument document = ParseJson(json, file, "the specification");
  try {
    return ReadSpec(document.root());
  } catch (const Error& error) {
    throw Error::InFile(file, error.what());
  }
}

QuantizationSpec QuantizationSpec::Load(const std::filesystem::path& path) {
  const FileDescriptor file = OpenForReading(path);
  const uint64_t size = RegularFileSize(file.get(), path.string());
  if (size > kMaxFile) {
    throw Error::InFile(path.string(), "is too large for a specification");
  }
  std::string text(static_cast<size_t>(size), '\0');
  ReadAt(file.get(), 0, std::as_writable_bytes(std::span(text)), path.string());
  return Parse(text, path.string());
}

std::string QuantizationSpec::ToJson() const {
  ordered_json document;
  AddLayer(default_, document);
  document["rules"] = ordered_json::array();
  for (const Rule& rule : layers_) {
    ordered_json object;
    if (!rule.pattern.regex.empty()) object["name"] = rule.pattern.regex;
    if (rule.pattern.op) object["op"] = Name(*rule.pattern.op);
    AddLayer(rule.layer, object);
    document["rules"].push_back(std::move(object));
  }
  document["exclude"] = exclusions_;
  // Patterns that were added by a program may be no UTF-8.
  return document.dump(2, ' ', false, ordered_json::error_handler_t::replace) +
         "\n";
}

}  // namespace lutra::qat
