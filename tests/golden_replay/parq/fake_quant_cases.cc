#include <cmath>
#include <sstream>

#include "lutra/qat/fake_quant.h"
#include "tests/golden_replay/parq/cases.h"
#include "tests/golden_replay/parq/linear.h"
#include "tests/golden_replay/parq/upstream.h"

namespace lutra::qat {
namespace {

using nlohmann::json;

constexpr double kSumTolerance = 1e-5;

// [rows, last dimension].
struct Matrix {
  size_t rows = 0;
  size_t columns = 0;
  std::vector<float> values;
};

Matrix LoadMatrix(const golden::GoldenFile& file, const std::string& name) {
  Matrix matrix;
  matrix.values = file.Load<float>(name);
  if (file.Shape(name).empty() || matrix.values.empty()) {
    throw Error("tensor '" + name + "' is not a matrix");
  }
  matrix.columns = static_cast<size_t>(file.Shape(name).back());
  matrix.rows = matrix.values.size() / matrix.columns;
  return matrix;
}

Matrix Transpose(const Matrix& a) {
  Matrix result{a.columns, a.rows, std::vector<float>(a.values.size())};
  for (size_t i = 0; i < a.rows; ++i) {
    for (size_t j = 0; j < a.columns; ++j) {
      result.values[j * a.rows + i] = a.values[i * a.columns + j];
    }
  }
  return result;
}

// "int4", "uint8".
void SetDType(const std::string& dtype, FakeQuantOptions& options) {
  const bool is_unsigned = dtype.starts_with("uint");
  if (!is_unsigned && !dtype.starts_with("int")) {
    throw Error("unknown dtype '" + dtype + "'");
  }
  options.is_signed = !is_unsigned;
  const std::string bits = dtype.substr(is_unsigned ? 4 : 3);
  if (bits.size() != 1 || bits < "1" || bits > "8") {
    throw Error("unknown dtype '" + dtype + "'");
  }
  options.bits = bits[0] - '0';
}

// "int4 symmetric group 32", "int8 asymmetric per token".
FakeQuantOptions ParseOptions(const std::string& text) {
  FakeQuantOptions options;
  std::istringstream words(text);
  std::string dtype;
  std::string symmetry;
  std::string granularity;
  std::string detail;
  words >> dtype >> symmetry >> granularity >> detail;
  SetDType(dtype, options);
  options.symmetric = symmetry == "symmetric";
  if (granularity == "group") {
    options.group_size = std::stoll(detail);
  } else if (granularity != "per" ||
             (detail != "token" && detail != "channel")) {
    throw Error("unknown fake quantization '" + text + "'");
  }
  return options;
}

FakeQuantOptions OptionsOf(const json& c) {
  FakeQuantOptions options;
  SetDType(c.at("dtype").get<std::string>(), options);
  options.symmetric = c.at("symmetric").get<bool>();
  const json& granularity = c.at("granularity");
  if (granularity.is_number()) {
    options.group_size = granularity.get<int64_t>();
  } else if (granularity != "per_token" && granularity != "per_channel") {
    throw Error("unknown granularity " + granularity.dump());
  }
  const auto domain = c.value("zero_point_domain", std::string());
  if (!domain.empty()) {
    options.asymmetric = domain == "FLOAT"
                             ? FakeQuantOptions::Asymmetric::kFloat
                             : FakeQuantOptions::Asymmetric::kTruncated;
    options.eps = kTinygemmScale;
  }
  return options;
}

// The gradient at the input in both conventions for the end codes.
template <typename F>
void ForConventions(const F& f) {
  f("", false);
  f("_closed", true);
}

void CompareZeroPoints(const golden::GoldenFile& file, const std::string& name,
                       const std::vector<float>& got,
                       golden::Comparison& comparison) {
  if (file.file().Get(name).dtype == DType::kFloat32) {
    comparison.Exact("zero_point", got, file.Load<float>(name));
    return;
  }
  std::vector<int32_t> integers;
  for (const float z : got) integers.push_back(static_cast<int32_t>(z));
  comparison.Exact("zero_point", integers, file.Load<int32_t>(name));
}

}  // namespace

void ReplayFakeQuant(const golden::GoldenFile& file, const json& c,
                     golden::Comparison& comparison) {
  const auto prefix = c.at("prefix").get<std::string>();
  const auto input = c.at("input").get<std::string>();
  const Matrix x = LoadMatrix(file, input);
  const std::vector<float> upstream = file.Load<float>("upstream_" + input);
  FakeQuantOptions options = OptionsOf(c);
  ForConventions([&](const std::string& suffix, bool closed) {
    options.closed_interval = closed;
    FakeQuantizer quantizer(options);
    std::vector<float> y(x.values.size());
    quantizer.Forward(x.values.data(), x.rows, x.columns, y.data());
    if (!closed) {
      comparison.Exact("out", y, file.Load<float>(prefix + "/out"));
      comparison.Exact("scale", quantizer.scales(),
                       file.Load<float>(prefix + "/scale"));
      CompareZeroPoints(file, prefix + "/zero_point", quantizer.zero_points(),
                        comparison);
    }
    quantizer.Backward(x.values.data(), upstream.data(), x.rows, x.columns,
                       y.data());
    comparison.Exact("grad_in" + suffix, y,
                     file.Load<float>(prefix + "/grad_in" + suffix));
  });
}

// Forward and backward of one linear layer.
void ReplayFakeQuantLinear(const golden::GoldenFile& file, const json& c,
                           golden::Comparison& comparison) {
  const auto prefix = c.at("prefix").get<std::string>();
  const Matrix x = LoadMatrix(file, "x");
  const Matrix w = LoadMatrix(file, "w");
  const Matrix grad_y = LoadMatrix(file, prefix + "/grad_y");
  const bool quantize_x = !c.at("activation").is_null();
  FakeQuantOptions w_options = ParseOptions(c.at("weight").get<std::string>());
  FakeQuantOptions x_options =
      quantize_x ? ParseOptions(c.at("activation").get<std::string>())
                 : FakeQuantOptions();
  if (x.columns != w.columns || grad_y.rows != x.rows ||
      grad_y.columns != w.rows) {
    throw Error("the recorded tensors do not fit together");
  }
  ForConventions([&](const std::string& suffix, bool closed) {
    w_options.closed_interval = closed;
    x_options.closed_interval = closed;
    FakeQuantizer w_quantizer(w_options);
    FakeQuantizer x_quantizer(x_options);
    x_quantizer.set_enabled(quantize_x);
    Matrix xq = x;
    Matrix wq = w;
    x_quantizer.Forward(x.values.data(), x.rows, x.columns, xq.values.data());
    w_quantizer.Forward(w.values.data(), w.rows, w.columns, wq.values.data());
    if (!closed) {
      CompareLinear("y", {x.rows, w.rows, x.columns}, xq.values, wq.values,
                    file.Load<float>(prefix + "/bias"),
                    file.Load<float>(prefix + "/y"), comparison);
      const std::vector<float> ones(grad_y.rows, 1.0f);
      CompareLinear("grad_b", {1, w.rows, grad_y.rows}, ones,
                    Transpose(grad_y).values, {},
                    file.Load<float>(prefix + "/grad_b"), comparison);
    }
    // What passes through rounding is recorded where it is inside; elsewhere
    // both are zero.
    const auto compare = [&](const std::string& name,
                             const FakeQuantizer& quantizer, const Matrix& at,
                             const Matrix& left, const Matrix& right) {
      std::vector<float> mask(at.values.size(), 1.0f);
      quantizer.Backward(at.values.data(), mask.data(), at.rows, at.columns,
                         mask.data());
      std::vector<float> got(at.values.size());
      std::vector<double> magnitude(at.values.size());
      for (size_t i = 0; i < at.rows; ++i) {
        for (size_t j = 0; j < at.columns; ++j) {
          double sum = 0.0;
          for (size_t t = 0; t < left.columns; ++t) {
            const double product =
                static_cast<double>(left.values[i * left.columns + t]) *
                static_cast<double>(right.values[j * left.columns + t]);
            sum += product;
            magnitude[i * at.columns + j] += std::fabs(product);
          }
          const size_t index = i * at.columns + j;
          got[index] = mask[index] == 0.0f ? 0.0f : static_cast<float>(sum);
        }
      }
      comparison.Within(name, got, file.Load<float>(prefix + "/" + name),
                        magnitude, kSumTolerance);
    };
    compare("grad_x" + suffix, x_quantizer, x, grad_y, Transpose(wq));
    compare("grad_w" + suffix, w_quantizer, w, Transpose(grad_y),
            Transpose(xq));
  });
}

void ReplayLearnedRanges(const golden::GoldenFile& file, const json& c,
                         golden::Comparison& comparison) {
  const auto prefix = c.at("prefix").get<std::string>();
  const Matrix w = LoadMatrix(file, "w");
  const std::vector<float> upstream = file.Load<float>("upstream_w");
  FakeQuantOptions options;
  SetDType(c.at("dtype").get<std::string>(), options);
  options.symmetric = c.at("symmetric").get<bool>();
  options.group_size = c.at("group").get<int64_t>();
  options.ranges = FakeQuantOptions::Ranges::kLearned;
  if (!options.symmetric) {
    options.asymmetric = FakeQuantOptions::Asymmetric::kTruncated;
    options.eps = kTinygemmScale;
  }
  ForConventions([&](const std::string& suffix, bool closed) {
    options.closed_interval = closed;
    FakeQuantizer quantizer(options);
    std::vector<float> y(w.values.size());
    quantizer.Forward(w.values.data(), w.rows, w.columns, y.data());
    if (!closed) {
      comparison.Exact("scale_init", quantizer.scales(),
                       file.Load<float>(prefix + "/scale_init"));
      comparison.Exact("zero_point_init", quantizer.zero_points(),
                       file.Load<float>(prefix + "/zero_point_init"));
    }
    quantizer.scales() = file.Load<float>(prefix + "/scale_used");
    quantizer.Forward(w.values.data(), w.rows, w.columns, y.data());
    if (!closed) comparison.Exact("out", y, file.Load<float>(prefix + "/out"));
    quantizer.Backward(w.values.data(), upstream.data(), w.rows, w.columns,
                       y.data());
    comparison.Exact("grad_w" + suffix, y,
                     file.Load<float>(prefix + "/grad_w" + suffix));
    std::vector<float> grad_scale(quantizer.scales().size());
    std::vector<float> grad_zero(grad_scale.size());
    quantizer.BackwardRanges(w.values.data(), upstream.data(), w.rows,
                             w.columns, grad_scale.data(), grad_zero.data());
    const auto compare = [&](const std::string& name,
                             const std::vector<float>& got) {
      const auto expected = file.Load<float>(prefix + "/" + name);
      // Sums that cancel have no relative precision of their own.
      std::vector<double> magnitudes(expected.size());
      for (size_t i = 0; i < expected.size(); ++i) {
        magnitudes[i] =
            std::max(1.0, std::fabs(static_cast<double>(expected[i])));
      }
      comparison.Within(name, got, expected, magnitudes, kSumTolerance);
    };
    compare("grad_scale" + suffix, grad_scale);
    if (!options.symmetric) compare("grad_zero_point" + suffix, grad_zero);
  });
}

}  // namespace lutra::qat
