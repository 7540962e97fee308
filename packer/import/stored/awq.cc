// AutoAWQ's layout "gemm".

#include <algorithm>
#include <cstdint>
#include <string>

#include "packer/import/stored/weight_formats.h"

namespace lutra::packer {
namespace {

constexpr size_t kFields = 8;
// Which nibble of a word has column i of its eight.
constexpr size_t kNibble[kFields] = {0, 4, 1, 5, 2, 6, 3, 7};

uint8_t Nibble(const Part& part, size_t words, size_t row, size_t column) {
  const uint32_t word = part.Word(row * words + column / kFields);
  return static_cast<uint8_t>((word >> (4 * kNibble[column % kFields])) & 15);
}

void AddWeight(const FormatInput& in, size_t group_size,
               const std::string& stem) {
  const Part codes(in.raw.Take(stem + "qweight"), kWordTypes);
  const Part scale(in.raw.Take(stem + "scales"), kFloatTypes);
  const Part zero(in.raw.TakeIfPresent(stem + "qzeros"), kWordTypes);
  StoredWeight weight;
  const size_t words = codes.Dim(1);
  weight.columns = codes.Dim(0);
  weight.rows = words * kFields;
  codes.CheckMatrix(weight.columns, words);
  const size_t groups = scale.Dim(0);
  scale.CheckMatrix(groups, weight.rows);
  weight.group_size = std::min(weight.columns, group_size);
  if (weight.group_size == 0 || groups != weight.Groups()) {
    scale.Fail("has " + std::to_string(groups) + " groups for " +
               std::to_string(weight.columns) + " columns");
  }
  if (zero.present()) zero.CheckMatrix(groups, words);
  weight.levels = IntegerLevels(0, 16);
  weight.zero = ZeroRule::kSubtract;
  weight.format = "AWQ, 4 bits";
  const size_t rows = weight.rows;
  const size_t columns = weight.columns;
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    LoadTransposedRows(scale, rows, groups, first, count, out.scales);
    out.zeros.assign(count * groups, 8.0f);  // of symmetric ones
    for (size_t r = 0; zero.present() && r < count; ++r) {
      for (size_t g = 0; g < groups; ++g) {
        out.zeros[r * groups + g] = Nibble(zero, words, g, first + r);
      }
    }
    if (!out.want_codes) return;
    out.codes.resize(count * columns);
    for (size_t c = 0; c < columns; ++c) {
      for (size_t r = 0; r < count; ++r) {
        out.codes[r * columns + c] = Nibble(codes, words, c, first + r);
      }
    }
  };
  in.Add(stem + "weight", codes, std::move(weight));
}

}  // namespace

void ReadAwq(const FormatInput& in) {
  const JsonObject& config = in.quantization;
  const std::string version = config.String("version", "gemm");
  if (version != "gemm" && version != "GEMM") {
    config.Fail("version '" + version +
                "' of AWQ is not supported; supported: gemm");
  }
  const char* key = config.Has("bits") ? "bits" : "w_bit";
  if (config.Integer(key, 1, 64, 4) != 4) {
    config.Fail("AWQ has 4 bits");
  }
  const char* size_key =
      config.Has("group_size") ? "group_size" : "q_group_size";
  // -1: one group.
  const int64_t size = config.Integer(size_key, -1, int64_t{1} << 30, 128);
  const size_t group_size = size > 0 ? static_cast<size_t>(size) : SIZE_MAX;
  for (const std::string& stem : in.Stems("qweight")) {
    AddWeight(in, group_size, stem);
  }
}

}  // namespace lutra::packer
