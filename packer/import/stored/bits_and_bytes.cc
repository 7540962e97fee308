// bitsandbytes: NF4 and FP4 over blocks of the flat matrix, and LLM.int8.
// Levels of the former are floats, which tables of int8 come near.

#include <string>

#include "lutra/runtime/error.h"
#include "packer/import/stored/weight_formats.h"

namespace lutra::packer {
namespace {

constexpr size_t kCodes = 16;

// Absolute maxima of blocks, plain or quantized themselves.
struct BlockScales {
  Part absmax;
  Part map;     // of the second level
  Part nested;  // its scales
  size_t nested_block = 256;
  float offset = 0;

  float At(size_t block) const {
    if (!map.present()) return absmax.Float(block);
    const float product =
        map.Float(absmax.Byte(block)) * nested.Float(block / nested_block);
    return product + offset;
  }
};

std::string Text(const Part& part) {
  std::string text;
  for (size_t i = 0; i < part.size(); ++i) {
    text += static_cast<char>(part.Byte(i));
  }
  return text;
}

void AddFourBit(const FormatInput& in, const std::string& name,
                const std::string& state_name) {
  const Part state(in.raw.Take(state_name), {DType::kUInt8});
  const std::string text = Text(state);
  const JsonDocument document =
      ParseJson(text, state.tensor().file, "'" + state_name + "'");
  const JsonObject object(document.root(), state.tensor().file,
                          "'" + state_name + "'");
  const Part codes(in.raw.Take(name), kByteTypes);
  const Part map(in.raw.Take(name + ".quant_map"), kFloatTypes);
  if (map.size() != kCodes) map.Fail("has not 16 levels");
  const std::vector<int64_t> shape =
      object.Integers("shape", 1, int64_t{1} << 30, 2);
  if (shape.size() != 2) object.Fail("shape has not two dimensions");
  StoredWeight weight;
  weight.rows = static_cast<size_t>(shape[0]);
  weight.columns = static_cast<size_t>(shape[1]);
  const auto block = static_cast<size_t>(object.Integer("blocksize", 1, 65536));
  if (weight.columns % block != 0) {
    codes.Fail(
        "has blocks that run across rows: " + std::to_string(weight.columns) +
        " columns are no multiple of " + std::to_string(block));
  }
  // Two codes share a byte, which rows must not.
  if (weight.columns % 2 != 0) codes.Fail("has an odd number of columns");
  weight.group_size = block;
  const size_t elements = weight.rows * weight.columns;
  if (codes.size() != elements / 2) codes.Fail("is of another size");
  BlockScales scales;
  scales.absmax =
      Part(in.raw.Take(name + ".absmax"), {DType::kFloat32, DType::kUInt8});
  if (scales.absmax.size() != elements / block) {
    scales.absmax.Fail("is of another size");
  }
  if (scales.absmax.dtype() == DType::kUInt8) {
    scales.map = Part(in.raw.Take(name + ".nested_quant_map"), kFloatTypes);
    scales.nested = Part(in.raw.Take(name + ".nested_absmax"), kFloatTypes);
    scales.nested_block =
        static_cast<size_t>(object.Integer("nested_blocksize", 1, 65536));
    scales.offset =
        static_cast<float>(object.Number("nested_offset", -1e30, 1e30));
    const size_t blocks = elements / block;
    if (scales.map.size() != 256 ||
        scales.nested.size() !=
            (blocks + scales.nested_block - 1) / scales.nested_block) {
      scales.nested.Fail("is of another size");
    }
  }
  for (size_t i = 0; i < kCodes; ++i) weight.levels.push_back(map.Float(i));
  weight.format = "bitsandbytes, " + object.String("quant_type", "4 bits");
  const size_t columns = weight.columns;
  const size_t groups = weight.Groups();
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    out.scales.resize(count * groups);
    for (size_t i = 0; i < out.scales.size(); ++i) {
      out.scales[i] = scales.At(first * groups + i);
    }
    if (!out.want_codes) return;
    out.codes.resize(count * columns);
    for (size_t i = 0; i < out.codes.size(); i += 2) {
      const uint8_t byte = codes.Byte((first * columns + i) / 2);
      out.codes[i] = byte >> 4;
      out.codes[i + 1] = byte & 15;
    }
  };
  in.Add(name, codes, std::move(weight));
}

// Rows of int8, in units of 1/127 of the row's largest value.
void AddEightBit(const FormatInput& in, const std::string& stem) {
  const Part codes(in.raw.Take(stem + "weight"), {DType::kInt8});
  const Part scale(in.raw.Take(stem + "SCB"), kFloatTypes);
  in.raw.TakeIfPresent(stem + "weight_format");
  StoredWeight weight;
  weight.rows = codes.Dim(0);
  weight.columns = codes.Dim(1);
  codes.CheckMatrix(weight.rows, weight.columns);
  scale.CheckMatrix(weight.rows, 1);
  weight.group_size = weight.columns;
  weight.levels = IntegerLevels(-128, 256);
  weight.format = "bitsandbytes, int8";
  const size_t columns = weight.columns;
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    LoadRows(scale, 1, first, count, out.scales);
    for (float& value : out.scales) value = value * (1.0f / 127.0f);
    if (out.want_codes) {
      LoadSignedCodes(codes, columns, -128, first, count, out.codes);
    }
  };
  in.Add(stem + "weight", codes, std::move(weight));
}

}  // namespace

void ReadBitsAndBytes(const FormatInput& in) {
  for (const char* type : {"nf4", "fp4"}) {
    const std::string ending =
        std::string(".quant_state.bitsandbytes__") + type;
    for (const std::string& name : in.Stems(ending)) {
      AddFourBit(in, name, name + ending);
    }
  }
  for (const std::string& stem : in.Stems("SCB")) AddEightBit(in, stem);
}

}  // namespace lutra::packer
