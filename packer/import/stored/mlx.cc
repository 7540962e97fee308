// MLX (affine, mxfp4, nvfp4), transformers' "metal", which is MLX's affine form
// with another name for the offsets, and "prism" (Bonsai), which is the same
// with 1 and 2 bits.

#include <string>

#include "kernels/base/float8.h"
#include "packer/import/stored/weight_formats.h"

namespace lutra::packer {
namespace {

struct MlxOptions {
  size_t bits;
  size_t group_size;
  std::string mode;
};

MlxOptions ReadOptions(const JsonObject& config, const MlxOptions& all) {
  MlxOptions options;
  options.mode = config.String("mode", all.mode);
  const bool affine = options.mode == "affine";
  if (!affine && options.mode != "mxfp4" && options.mode != "nvfp4") {
    config.Fail("mode '" + options.mode +
                "' is not supported; supported: affine, mxfp4, nvfp4");
  }
  options.bits = static_cast<size_t>(
      config.Integer("bits", 1, 8, static_cast<int64_t>(all.bits)));
  options.group_size = static_cast<size_t>(config.Integer(
      "group_size", 1, int64_t{1} << 20, static_cast<int64_t>(all.group_size)));
  if (!affine && options.bits != 4) config.Fail("mode needs 4 bits");
  return options;
}

void AddWeight(const FormatInput& in, const MlxOptions& options,
               const std::string& stem) {
  const Part codes(in.raw.Take(stem + "weight"), {DType::kUInt32});
  const size_t bits = options.bits;
  StoredWeight weight;
  const size_t words = codes.Dim(1);
  weight.rows = codes.Dim(0);
  weight.columns = words * 32 / bits;
  codes.CheckMatrix(weight.rows, words);
  weight.group_size = options.group_size;
  const size_t groups = weight.Groups();
  const bool affine = options.mode == "affine";
  const bool nvidia = options.mode == "nvfp4";
  Part scale;
  Part offset;
  if (affine) {
    scale = Part(in.raw.Take(stem + "scales"), kFloatTypes);
    const std::string name =
        stem +
        (in.raw.Find(stem + "qbiases") != nullptr ? "qbiases" : "biases");
    offset = Part(in.raw.Take(name), kFloatTypes);
    offset.CheckMatrix(weight.rows, groups);
    weight.zero = ZeroRule::kAdd;
    weight.levels = IntegerLevels(0, size_t{1} << bits);
  } else {
    scale = Part(in.raw.Take(stem + "scales"), {DType::kUInt8});
    weight.levels = Float4Levels();
  }
  scale.CheckMatrix(weight.rows, groups);
  weight.format = affine ? "MLX, " + std::to_string(bits) + " bits"
                         : "MLX, " + options.mode;
  const size_t columns = weight.columns;
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    if (affine) {
      LoadRows(scale, groups, first, count, out.scales);
      LoadRows(offset, groups, first, count, out.zeros);
    } else {
      out.scales.resize(count * groups);
      for (size_t i = 0; i < out.scales.size(); ++i) {
        const uint8_t byte = scale.Byte(first * groups + i);
        out.scales[i] = nvidia ? FloatFromE4M3(byte) : FloatFromE8M0(byte);
      }
    }
    if (!out.want_codes) return;
    out.codes.resize(count * columns);
    for (size_t r = 0; r < count; ++r) {
      const size_t row = (first + r) * words;
      for (size_t c = 0; c < columns; ++c) {
        out.codes[r * columns + c] = Field(c * bits, bits, [&](size_t word) {
          return codes.Word(row + word);
        });
      }
    }
  };
  in.Add(stem + "weight", codes, std::move(weight));
}

}  // namespace

void ReadMlx(const FormatInput& in) {
  const JsonObject& config = in.quantization;
  const MlxOptions all = ReadOptions(config, {4, 64, "affine"});
  for (const std::string& stem : in.Stems("scales")) {
    // Members under a module's name override; false leaves it alone.
    const std::string module = stem.substr(0, stem.size() - 1);
    const nlohmann::json* own = config.Find(module);
    const bool overrides = own != nullptr && own->is_object();
    AddWeight(in, overrides ? ReadOptions(config.Object(module), all) : all,
              stem);
  }
}

}  // namespace lutra::packer
