#include "tests/golden_replay/parq/upstream.h"

#include <algorithm>
#include <vector>

#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"

namespace lutra::qat {
namespace {

using nlohmann::json;

UniformOptions UniformOptionsOf(const json& kwargs) {
  CheckKeys(kwargs, "UnifQuantizer",
            {"center", "scale_method", "int_shift", "zero_point"});
  UniformOptions options;
  options.center = kwargs.value("center", options.center);
  options.int_shift = kwargs.value("int_shift", options.int_shift);
  options.zero_point = kwargs.value("zero_point", options.zero_point);
  const auto method = kwargs.value("scale_method", std::string("mean"));
  if (method == "max") {
    options.scale = UniformOptions::Scale::kMax;
  } else if (method != "mean") {
    throw Error("unknown scale_method '" + method + "'");
  }
  return options;
}

LsbqOptions LsbqOptionsOf(const json& kwargs) {
  CheckKeys(kwargs, "LSBQuantizer",
            {"center", "optimal", "ternary_multiplier"});
  LsbqOptions options;
  options.center = kwargs.value("center", options.center);
  options.optimal = kwargs.value("optimal", options.optimal);
  options.ternary_multiplier =
      kwargs.value("ternary_multiplier", options.ternary_multiplier);
  options.compat = true;
  return options;
}

AffineQuantizerOptions AffineOptionsOf(const json& kwargs) {
  CheckKeys(kwargs, "UnifTorchaoQuantizer",
            {"mapping_type", "preserve_zero", "eps"});
  AffineQuantizerOptions options;
  options.eps = kwargs.value("eps", options.eps);
  const auto mapping = kwargs.value("mapping_type", std::string("SYMMETRIC"));
  const bool preserve_zero = kwargs.value("preserve_zero", true);
  if (mapping == "ASYMMETRIC") {
    options.mapping = preserve_zero ? AffineMapping::kAsymmetric
                                    : AffineMapping::kAsymmetricNoZero;
    return options;
  }
  if (!preserve_zero) throw Error("preserve_zero is false for " + mapping);
  if (mapping == "SYMMETRIC_NO_CLIPPING_ERR") {
    options.mapping = AffineMapping::kSymmetricNoClipping;
  } else if (mapping != "SYMMETRIC") {
    throw Error("unknown mapping_type '" + mapping + "'");
  }
  return options;
}

bool CenterOf(const json& kwargs, const char* what) {
  CheckKeys(kwargs, what, {"center"});
  return kwargs.value("center", false);
}

}  // namespace

void CheckKeys(const json& object, const std::string& what,
               std::initializer_list<const char*> known) {
  for (const auto& item : object.items()) {
    const std::string& key = item.key();
    const bool found = std::any_of(known.begin(), known.end(),
                                   [&key](const char* k) { return key == k; });
    if (!found) throw Error(what + ": unknown option '" + key + "'");
  }
}

std::unique_ptr<Quantizer> MakeUpstreamQuantizer(const std::string& name,
                                                 const json& kwargs) {
  if (name == "LSBQuantizer") return MakeLsbqQuantizer(LsbqOptionsOf(kwargs));
  if (name == "UnifQuantizer") {
    return MakeUniformQuantizer(UniformOptionsOf(kwargs));
  }
  if (name == "MaxUnifQuantizer") {
    return MakeMaxUniformQuantizer(CenterOf(kwargs, "MaxUnifQuantizer"));
  }
  if (name == "TernaryUnifQuantizer") {
    return MakeTernaryQuantizer(CenterOf(kwargs, "TernaryUnifQuantizer"));
  }
  if (name == "AsymUnifQuantizer") {
    return MakeAsymmetricUniformQuantizer(CenterOf(kwargs, "AsymUnifQuantizer"),
                                          /*compat=*/true);
  }
  if (name == "UnifTorchaoQuantizer") {
    return MakeAffineQuantizer(AffineOptionsOf(kwargs));
  }
  if (name == "StretchedUnifTorchaoQuantizer") {
    CheckKeys(kwargs, "StretchedUnifTorchaoQuantizer", {"b"});
    return MakeStretchedQuantizer();
  }
  if (name == "Int4UnifTorchaoQuantizer") {
    CheckKeys(kwargs, "Int4UnifTorchaoQuantizer", {});
    return MakeAffineQuantizer(
        {AffineMapping::kFloatZeroPoint, kTinygemmScale});
  }
  throw Error("unknown quantizer class '" + name + "'");
}

std::unique_ptr<ProxMap> MakeUpstreamProxMap(const std::string& name,
                                             const json& args) {
  const std::string prefix = "Prox";
  const std::string kind =
      name.starts_with(prefix) ? name.substr(prefix.size()) : name;
  if (kind == "HardQuant" || kind == "Hard") return MakeProxHardQuant();
  const auto start = args.at(0).get<int64_t>();
  const auto end = args.at(1).get<int64_t>();
  if (kind == "BinaryRelax") return MakeProxBinaryRelax(start, end);
  if (kind != "PARQ") throw Error("unknown proximal map '" + name + "'");
  ParqSchedule schedule{start, end};
  if (args.size() > 2) schedule.steepness = args[2].get<double>();
  if (args.size() > 3) schedule.center = args[3].get<double>();
  return MakeProxParq(schedule);
}

double DefaultWeightDecay(const std::string& optimizer, const json& kwargs) {
  return kwargs.value("weight_decay", optimizer == "AdamW" ? 0.01 : 0.0);
}

std::unique_ptr<Optimizer> MakeUpstreamOptimizer(
    const std::string& name, const json& kwargs,
    std::vector<ParamGroup> groups) {
  if (name == "SGD") {
    CheckKeys(kwargs, "SGD",
              {"lr", "momentum", "dampening", "nesterov", "weight_decay"});
    SgdOptions options;
    options.momentum = kwargs.value("momentum", options.momentum);
    options.dampening = kwargs.value("dampening", options.dampening);
    options.nesterov = kwargs.value("nesterov", options.nesterov);
    return MakeSgd(std::move(groups), options);
  }
  if (name != "Adam" && name != "AdamW") {
    throw Error("unknown optimizer '" + name + "'");
  }
  CheckKeys(kwargs, name, {"lr", "betas", "eps", "weight_decay"});
  AdamOptions options;
  if (kwargs.contains("betas")) {
    options.beta1 = kwargs["betas"].at(0).get<double>();
    options.beta2 = kwargs["betas"].at(1).get<double>();
  }
  options.epsilon = kwargs.value("eps", options.epsilon);
  return name == "Adam" ? MakeAdam(std::move(groups), options)
                        : MakeAdamW(std::move(groups), options);
}

}  // namespace lutra::qat
