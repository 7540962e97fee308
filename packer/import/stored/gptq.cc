// GPTQ (AutoGPTQ, GPTQModel) and AutoRound: columns of fields along the inputs.

#include <algorithm>
#include <string>

#include "lutra/runtime/error.h"
#include "packer/import/stored/group_order.h"
#include "packer/import/stored/weight_formats.h"
#include "runtime/base/log.h"

namespace lutra::packer {
namespace {

struct GptqOptions {
  size_t bits = 4;
  size_t group_size = 0;   // 0: one group
  bool minus_one = true;   // zero points are stored so (version 1)
  bool ambiguous = false;  // nobody knows what fields of all ones mean
};

GptqOptions ReadOptions(const JsonObject& config) {
  GptqOptions options;
  const int64_t bits = config.Integer("bits", 1, 64);
  if (bits != 2 && bits != 3 && bits != 4 && bits != 8) {
    config.Fail(std::to_string(bits) +
                " bits of GPTQ are not supported; supported: 2, 3, 4, 8");
  }
  options.bits = static_cast<size_t>(bits);
  const int64_t group_size =
      config.Integer("group_size", -1, int64_t{1} << 30, -1);
  options.group_size = group_size > 0 ? static_cast<size_t>(group_size) : 0;
  if (config.String("quant_method", "") == "auto-round") {
    const std::string packing = config.String("packing_format", "auto_round");
    if (packing == "auto_round:auto_gptq") {
      options.minus_one = true;
    } else if (packing == "auto_round" || packing == "auto_round:gptqmodel") {
      options.minus_one = false;
    } else {
      config.Fail("packing_format '" + packing +
                  "' is not supported; supported: auto_round, "
                  "auto_round:auto_gptq, auto_round:auto_awq, "
                  "auto_round:gptqmodel");
    }
    return options;
  }
  const std::string format =
      config.String("checkpoint_format", config.String("format", "gptq"));
  if (format != "gptq" && format != "gptq_v2") {
    config.Fail("checkpoint_format '" + format +
                "' is not supported; supported: gptq, gptq_v2 (convert it "
                "with GPTQModel)");
  }
  options.minus_one = format == "gptq";
  std::string maker;
  if (config.Has("meta")) {
    const nlohmann::json& meta = config.Get("meta");
    if (meta.is_object() && meta.contains("quantizer")) {
      maker = ShortDump(meta["quantizer"]);
    }
  }
  options.ambiguous = options.minus_one && !config.Bool("sym", true) &&
                      maker.find("gptqmodel") == std::string::npos;
  return options;
}

// Ones in every field of a word.
uint32_t OnePerField(size_t bits) {
  uint32_t ones = 0;
  for (size_t at = 0; at < 32; at += bits) ones |= 1u << at;
  return ones;
}

// The zero points of groups, each [rows] of fields.
struct ZeroPoints {
  Part part;
  size_t bits;
  size_t words;  // per group
  bool minus_one;

  float At(size_t group, size_t row) const {
    // Version 1 undoes the subtraction word by word, so that a field that
    // borrowed from the next one gives it back. Three bits straddle words:
    // there it is field by field.
    const bool by_word = minus_one && bits != 3;
    const uint32_t one = by_word ? OnePerField(bits) : 0;
    const uint8_t field = Field(row * bits, bits, [&](size_t word) {
      return part.Word(group * words + word) + one;
    });
    return static_cast<float>(minus_one && bits == 3 ? (field + 1) & 7 : field);
  }
};

void WarnOfZeros(const ZeroPoints& zeros, size_t groups, size_t rows) {
  const auto all_ones = static_cast<uint8_t>((1u << zeros.bits) - 1);
  for (size_t g = 0; g < groups; ++g) {
    for (size_t row = 0; row < rows; ++row) {
      const uint8_t field = Field(
          row * zeros.bits, zeros.bits,
          [&](size_t word) { return zeros.part.Word(g * zeros.words + word); });
      if (field != all_ones) continue;
      Log(LogLevel::kWarning, zeros.part.tensor().file,
          "tensor '" + zeros.part.tensor().view.name +
              "' has a zero point of all ones: programs read it in different "
              "ways, so the weights may not be what was meant");
      return;
    }
  }
}

void AddWeight(const FormatInput& in, const GptqOptions& options,
               const std::string& stem) {
  const size_t bits = options.bits;
  const Part codes(in.raw.Take(stem + "qweight"), kWordTypes);
  const Part scale(in.raw.Take(stem + "scales"), kFloatTypes);
  StoredWeight weight;
  weight.rows = codes.Dim(1);
  if (codes.Dim(0) * 32 % bits != 0) codes.Fail("has cut fields");
  weight.columns = codes.Dim(0) * 32 / bits;
  codes.CheckMatrix(codes.Dim(0), weight.rows);
  const size_t groups = scale.Dim(0);
  scale.CheckMatrix(groups, weight.rows);
  weight.group_size =
      options.group_size == 0 || options.group_size > weight.columns
          ? weight.columns
          : options.group_size;
  if (groups != weight.Groups()) {
    scale.Fail("has " + std::to_string(groups) + " groups, expected " +
               std::to_string(weight.Groups()));
  }
  const size_t words = (weight.rows * bits + 31) / 32;
  const Part zero(in.raw.Take(stem + "qzeros"), kWordTypes);
  zero.CheckMatrix(groups, words);
  const ZeroPoints zeros{zero, bits, words, options.minus_one};
  if (codes.size() == 0) codes.Fail("is empty");
  if (options.ambiguous) WarnOfZeros(zeros, groups, weight.rows);
  weight.levels = IntegerLevels(0, size_t{1} << bits);
  weight.zero = ZeroRule::kSubtract;
  weight.format = "GPTQ, " + std::to_string(bits) + " bits";
  const Part order(in.raw.TakeIfPresent(stem + "g_idx"), kWordTypes);
  if (order.present()) SetGroupOrder(order, groups, weight);
  const size_t rows = weight.rows;
  const size_t columns = weight.columns;
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    LoadTransposedRows(scale, rows, groups, first, count, out.scales);
    out.zeros.resize(count * groups);
    for (size_t r = 0; r < count; ++r) {
      for (size_t g = 0; g < groups; ++g) {
        out.zeros[r * groups + g] = zeros.At(g, first + r);
      }
    }
    if (!out.want_codes) return;
    out.codes.resize(count * columns);
    // Blocks of columns keep the lines that are written in the cache.
    constexpr size_t kBlock = 64;
    for (size_t block = 0; block < columns; block += kBlock) {
      const size_t end = std::min(columns, block + kBlock);
      for (size_t r = 0; r < count; ++r) {
        for (size_t c = block; c < end; ++c) {
          out.codes[r * columns + c] = Field(c * bits, bits, [&](size_t word) {
            return codes.Word(word * rows + first + r);
          });
        }
      }
    }
  };
  in.Add(stem + "weight", codes, std::move(weight));
}

}  // namespace

void ReadGptq(const FormatInput& in) {
  if (in.quantization.String("packing_format", "") == "auto_round:auto_awq") {
    return ReadAwq(in);
  }
  const GptqOptions options = ReadOptions(in.quantization);
  for (const std::string& stem : in.Stems("qweight")) {
    AddWeight(in, options, stem);
  }
}

}  // namespace lutra::packer
