#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/conversion.h"
#include "lutra/qat/fake_quant.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quant_optimizer.h"
#include "lutra/qat/quantizers.h"
#include "tests/golden_replay/parq/cases.h"
#include "tests/golden_replay/parq/linear.h"

namespace lutra::qat {
namespace {

using nlohmann::json;

// What upstream converts stretched weights with (it trains with another one).
constexpr float kUpstreamEps = std::numeric_limits<float>::epsilon();

constexpr const char* kStretched = "StretchedIntxWeightConfig";
constexpr const char* kAffine = "IntxWeightOnlyConfig";

std::optional<int64_t> GroupSizeOf(const json& group) {
  if (group == "axis") return std::nullopt;
  return group.get<int64_t>();
}

AffineMapping MappingOf(const std::string& mapping) {
  if (mapping == "SYMMETRIC") return AffineMapping::kSymmetric;
  if (mapping == "ASYMMETRIC") return AffineMapping::kAsymmetric;
  throw Error("unknown mapping '" + mapping + "'");
}

void CompareIntegers(const golden::GoldenFile& file, const std::string& prefix,
                     const IntegerForm& form, golden::Comparison& comparison) {
  comparison.Exact("qdata", form.data, file.Load<int8_t>(prefix + "/qdata"));
  comparison.Exact("scale", form.scales, file.Load<float>(prefix + "/scale"));
  const std::string zero_point = prefix + "/zero_point";
  std::vector<float> expected;
  if (file.file().Get(zero_point).dtype == DType::kFloat32) {
    expected = file.Load<float>(zero_point);
  } else {
    for (const int8_t z : file.Load<int8_t>(zero_point)) {
      expected.push_back(static_cast<float>(z));
    }
  }
  comparison.Exact("zero_point", form.zero_points, expected);
  // Not recorded for every input.
  if (file.Has(prefix + "/dequant")) {
    comparison.Exact("dequant", Dequantize(form),
                     file.Load<float>(prefix + "/dequant"));
  }
}

void CompareTable(const golden::GoldenFile& file, const std::string& prefix,
                  const IntegerForm& form, golden::Comparison& comparison) {
  const LutForm lut = ToLutForm(form);
  if (file.Has(prefix + "/lut")) {
    comparison.Exact("lut", lut.table, file.Load<int8_t>(prefix + "/lut"));
  }
  comparison.Exact("lut_index", lut.indices,
                   file.Load<uint8_t>(prefix + "/lut_index"));
  if (file.Has(prefix + "/lut_scale")) {
    comparison.Exact("lut_scale", lut.scales,
                     file.Load<float>(prefix + "/lut_scale"));
  }
  comparison.Exact(
      "dequant of lut",
      Dequantize(lut, form.n, form.k, static_cast<int64_t>(form.group_size)),
      Dequantize(form));
}

void CompareOutputs(const golden::GoldenFile& file, const std::string& prefix,
                    const IntegerForm& form, golden::Comparison& comparison) {
  const size_t m = file.Dimension("x", 0);
  std::vector<float> x = file.Load<float>("x");
  const std::vector<float> w = Dequantize(form);
  const std::vector<float> bias = file.Load<float>("bias");
  const LinearShape shape{m, form.n, form.k};
  if (file.Has(prefix + "/y_module")) {
    CompareLinear("y_module", shape, x, w, bias,
                  file.Load<float>(prefix + "/y_module"), comparison);
  }
  if (!file.Has(prefix + "/y_int8act")) return;
  FakeQuantizer(Int8TokenActivations()).Forward(x.data(), m, form.k, x.data());
  CompareLinear("y_int8act", shape, x, w, bias,
                file.Load<float>(prefix + "/y_int8act"), comparison);
}

// The three ways to quantize activations that are recorded.
void CompareActivations(const golden::GoldenFile& file, const std::string& name,
                        golden::Comparison& comparison) {
  const size_t m = file.Dimension("x", 0);
  const size_t k = file.Dimension("x", 1);
  const std::vector<float> x = file.Load<float>("x");
  AffineScheme scheme{AffineMapping::kSymmetric, SignedBounds(8)};
  if (name == "asym") {
    scheme.mapping = AffineMapping::kAsymmetric;
  } else if (name == "sym") {
    scheme.bounds.lo = -scheme.bounds.hi;
  } else if (name != "sym_full") {
    throw Error("unknown kind of activations '" + name + "'");
  }
  std::vector<int8_t> q;
  std::vector<int8_t> zero_points;
  std::vector<float> scales;
  std::vector<float> dequantized;
  for (size_t row = 0; row < m; ++row) {
    const auto values = std::span(x).subspan(row * k, k);
    const auto [min, max] = std::ranges::minmax(values);
    const AffineParameters parameters = ChooseAffine(scheme, min, max);
    const AffineCode code(parameters, scheme);
    scales.push_back(parameters.scale);
    zero_points.push_back(static_cast<int8_t>(parameters.zero_point));
    for (const float value : values) {
      const float integer = code.Clip(code.Raw(value));
      q.push_back(static_cast<int8_t>(integer));
      dequantized.push_back(code.Dequantize(integer));
    }
  }
  const std::string prefix = "act/" + name;
  comparison.Exact("q", q, file.Load<int8_t>(prefix + "/q"));
  comparison.Exact("scale", scales, file.Load<float>(prefix + "/scale"));
  comparison.Exact("zero_point", zero_points,
                   file.Load<int8_t>(prefix + "/zero_point"));
  comparison.Exact("dequant", dequantized,
                   file.Load<float>(prefix + "/dequant"));
}

}  // namespace

void ReplayConversion(const golden::GoldenFile& file, const json& c,
                      golden::Comparison& comparison) {
  const auto prefix = c.at("prefix").get<std::string>();
  const auto name = "w/" + c.at("w").get<std::string>();
  const std::vector<float> w = file.Load<float>(name);
  const size_t n = file.Dimension(name, 0);
  const size_t k = file.Dimension(name, 1);
  const int bits = c.at("bits").get<int>();
  const int64_t group_size = GroupSizeOf(c.at("group")).value_or(0);
  const bool stretched = c.at("config") == kStretched;
  if (!stretched && c.at("config") != kAffine) {
    throw Error("unknown config " + c.at("config").dump());
  }
  const IntegerForm form =
      stretched
          ? ConvertStretched(w.data(), n, k, bits, group_size, kUpstreamEps)
          : ConvertAffine(w.data(), n, k, bits, group_size,
                          MappingOf(c.at("mapping").get<std::string>()));
  CompareIntegers(file, prefix, form, comparison);
  if (c.value("lut", false)) CompareTable(file, prefix, form, comparison);
  CompareOutputs(file, prefix, form, comparison);
}

void ReplayStepAndConversion(const golden::GoldenFile& file, const json& c,
                             golden::Comparison& comparison) {
  const auto prefix = c.at("prefix").get<std::string>();
  const int bits = c.at("bits").get<int>();
  const auto group_size = GroupSizeOf(c.at("group"));
  std::vector<float> w = file.Load<float>(prefix + "/w_in");
  ParamGroup group;
  group.lr = 0.0;
  group.quant_bits = bits;
  group.quant_block_size = group_size;
  Parameter parameter;
  parameter.name = "w";
  parameter.shape = file.Shape(prefix + "/w_in");
  parameter.value = w.data();
  group.parameters.push_back(parameter);
  QuantOptimizerOptions options;
  options.quant_period = 1;
  options.per_channel = true;
  QuantOptimizer optimizer(MakeSgd({group}, {}), MakeStretchedQuantizer(),
                           MakeProxHardQuant(), options);
  optimizer.Step(nullptr);
  comparison.Exact("param_after_step", w,
                   file.Load<float>(prefix + "/param_after_step"));
  const size_t n = file.Dimension(prefix + "/w_in", 0);
  const size_t k = file.Dimension(prefix + "/w_in", 1);
  CompareIntegers(file, prefix,
                  ConvertStretched(optimizer.Latent("w").data(), n, k, bits,
                                   group_size.value_or(0), kUpstreamEps),
                  comparison);
}

void ReplayActivations(const golden::GoldenFile& file, golden::Sink& sink) {
  const std::string prefix = "act/";
  std::set<std::string> names;
  for (const TensorView& tensor : file.file().tensors()) {
    if (!tensor.name.starts_with(prefix)) continue;
    const size_t end = tensor.name.find('/', prefix.size());
    names.insert(tensor.name.substr(prefix.size(), end - prefix.size()));
  }
  for (const std::string& name : names) {
    golden::RunCase(sink, prefix + name, [&](golden::Comparison& comparison) {
      CompareActivations(file, name, comparison);
    });
  }
}

}  // namespace lutra::qat
