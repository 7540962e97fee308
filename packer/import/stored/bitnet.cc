// BitNet b1.58: four rows to a byte, which lie a quarter of the matrix apart.

#include <algorithm>
#include <cmath>
#include <string>

#include "packer/import/stored/weight_formats.h"

namespace lutra::packer {
namespace {

constexpr size_t kRowsPerByte = 4;

// `divide`: values are t / weight_scale, else t * weight_scale.
void AddPacked(const FormatInput& in, const std::string& stem, bool divide) {
  const Part codes(in.raw.Take(stem + "weight"), {DType::kUInt8});
  const Part scale(in.raw.Take(stem + "weight_scale"), kFloatTypes);
  if (scale.size() != 1) scale.Fail("is not one number");
  StoredWeight weight;
  const size_t packed_rows = codes.Dim(0);
  weight.rows = packed_rows * kRowsPerByte;
  weight.columns = codes.Dim(1);
  codes.CheckMatrix(packed_rows, weight.columns);
  weight.group_size = weight.columns;
  weight.levels = IntegerLevels(-1, 4);
  weight.format = "BitNet, ternary";
  const size_t columns = weight.columns;
  // A level is 0, 1 or -1, so that times the quotient is the quotient.
  const float value = divide ? 1.0f / scale.Float(0) : scale.Float(0);
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    out.scales.assign(count, value);
    if (!out.want_codes) return;
    out.codes.resize(count * columns);
    for (size_t r = 0; r < count; ++r) {
      const size_t row = first + r;
      const size_t shift = 2 * (row / packed_rows);
      for (size_t c = 0; c < columns; ++c) {
        const uint8_t byte = codes.Byte(row % packed_rows * columns + c);
        out.codes[r * columns + c] = (byte >> shift) & 3;
      }
    }
  };
  in.Add(stem + "weight", codes, std::move(weight));
}

// Float weights that the layer makes ternary whenever it runs:
// s = 1 / mean |w|, t = clamp(round(w s), -1, 1), t / s.
void AddOnline(const FormatInput& in, const std::string& stem) {
  const Part latent(in.raw.Take(stem + "weight"), kFloatTypes);
  StoredWeight weight;
  weight.rows = latent.Dim(0);
  weight.columns = latent.Dim(1);
  latent.CheckMatrix(weight.rows, weight.columns);
  weight.group_size = weight.columns;
  weight.levels = IntegerLevels(-1, 3);
  weight.format = "BitNet, ternary from its float weights";
  double sum = 0;
  for (size_t i = 0; i < latent.size(); ++i) sum += std::abs(latent.Float(i));
  const auto mean =
      static_cast<float>(sum / static_cast<double>(latent.size()));
  constexpr float kSmallest = 1e-5f;
  const float scale = 1.0f / std::max(mean, kSmallest);
  const size_t columns = weight.columns;
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    out.scales.assign(count, 1.0f / scale);
    if (!out.want_codes) return;
    out.codes.resize(count * columns);
    for (size_t i = 0; i < out.codes.size(); ++i) {
      const float t = std::nearbyint(latent.Float(first * columns + i) * scale);
      out.codes[i] = static_cast<uint8_t>(std::clamp(t, -1.0f, 1.0f) + 1);
    }
  };
  in.Add(stem + "weight", latent, std::move(weight));
}

}  // namespace

void ReadBitNet(const FormatInput& in) {
  const JsonObject& config = in.quantization;
  const std::string linear = config.String("linear_class", "bitlinear");
  const std::string mode = config.String("quantization_mode", "offline");
  if (linear != "bitlinear" && linear != "autobitlinear") {
    config.Fail("linear_class '" + linear +
                "' is not supported; supported: bitlinear, autobitlinear");
  }
  if (config.Bool("use_rms_norm", false)) {
    config.Fail(
        "use_rms_norm (a norm within every BitLinear) is not supported");
  }
  for (const std::string& stem : in.Stems("weight_scale")) {
    AddPacked(in, stem, linear == "bitlinear");
  }
  if (linear != "autobitlinear" || mode != "online") return;
  for (const std::string& stem : in.Stems("_proj.weight")) {
    AddOnline(in, stem + "_proj.");
  }
}

}  // namespace lutra::packer
