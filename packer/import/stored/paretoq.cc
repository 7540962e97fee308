// ParetoQ: float weights that the network rounds with a trained scale whenever
// it runs (models/utils_quant.py of github.com/facebookresearch/ParetoQ). The
// import rounds them so once.

#include <algorithm>
#include <cmath>
#include <string>

#include "packer/import/stored/weight_formats.h"

namespace lutra::packer {
namespace {

constexpr float kSmallestScale = 1e-5f;
constexpr float kClip = 0.99f;

// The code of weight w with scale a.
uint8_t Code(int bits, float w, float a) {
  switch (bits) {
    case 0:
      return static_cast<uint8_t>(
          std::nearbyint(std::clamp(w / a, -kClip, kClip) * 1.5f) + 1);
    case 1:
      return w > 0 ? 2 : w < 0 ? 0 : 1;  // the sign of 0 is 0
    case 2:
      return static_cast<uint8_t>(
          std::nearbyint(std::clamp(w / a, -kClip, kClip) * 2.0f - 0.5f) + 2);
    default: {
      const auto half = static_cast<float>(1 << (bits - 1));
      return static_cast<uint8_t>(
          std::clamp(std::nearbyint(w / a), -half, half - 1) + half);
    }
  }
}

void AddParetoqWeight(const FormatInput& in, int bits,
                      const std::string& stem) {
  const Part latent(in.raw.Take(stem + "weight"), kFloatTypes);
  const Part clip(in.raw.Take(stem + "weight_clip_val"), kFloatTypes);
  StoredWeight weight;
  weight.rows = latent.Dim(0);
  weight.columns = latent.Dim(1);
  latent.CheckMatrix(weight.rows, weight.columns);
  clip.CheckMatrix(weight.rows, 1);
  for (const Part& part : {latent, clip}) {
    for (size_t i = 0; i < part.size(); ++i) {
      if (!std::isfinite(part.Float(i))) part.Fail("is not finite");
    }
  }
  weight.group_size = weight.columns;
  // A level times the trained scale; of ternary ones t / 1.5 is rounded first.
  float unit = 1;
  bool zeros = false;
  if (bits == 0) {
    weight.levels = IntegerLevels(-1, 3);
    unit = 1.0f / 1.5f;
  } else if (bits == 1) {
    for (size_t i = 0; i < latent.size() && !zeros; ++i) {
      zeros = latent.Float(i) == 0;
    }
    // Two levels do unless a weight is exactly 0.
    weight.levels = zeros ? IntegerLevels(-1, 3) : std::vector<float>{-1, 1};
  } else if (bits == 2) {
    weight.levels = {-0.75f, -0.25f, 0.25f, 0.75f};
    for (float& level : weight.levels) level *= 4;
    unit = 0.25f;
  } else {
    weight.levels = IntegerLevels(-(1 << (bits - 1)), size_t{1} << bits);
  }
  weight.format = bits == 0 ? "ParetoQ, ternary, from its float weights"
                            : "ParetoQ, " + std::to_string(bits) +
                                  " bits, from its float weights";
  const size_t columns = weight.columns;
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    out.scales.resize(count);
    if (out.want_codes) out.codes.resize(count * columns);
    for (size_t r = 0; r < count; ++r) {
      const float a = std::max(clip.Float(first + r), kSmallestScale);
      out.scales[r] = unit * a;
      if (!out.want_codes) continue;
      for (size_t c = 0; c < columns; ++c) {
        const float w = latent.Float((first + r) * columns + c);
        uint8_t code = Code(bits, w, a);
        if (bits == 1 && !zeros) code = code == 2 ? 1 : 0;
        out.codes[r * columns + c] = code;
      }
    }
  };
  in.Add(stem + "weight", latent, std::move(weight));
}

}  // namespace

void ReadParetoQ(const FormatInput& in) {
  const auto bits = static_cast<int>(in.config.Integer("w_bits", 0, 64));
  if (bits >= 16) return;  // its float models
  if (bits > 4) in.config.Fail("w_bits above 4 are not supported");
  for (const std::string& stem : in.Stems("weight_clip_val")) {
    AddParetoqWeight(in, bits, stem);
  }
}

}  // namespace lutra::packer
