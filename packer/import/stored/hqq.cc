// HQQ along the inputs (axis 1): the list of all groups, cut into as many
// pieces as a byte or word has fields.

#include <string>

#include "packer/import/stored/weight_formats.h"

namespace lutra::packer {
namespace {

constexpr size_t kLargest = size_t{1} << 30;

// Pieces whose fields share an element, from the highest field down.
size_t Pieces(const Part& bits) {
  switch (bits.Integer(0)) {
    case 8:
      return 1;
    case 4:
      return 2;
    case 3:
      return 10;
    case 2:
      return 4;
    case 1:
      return 8;
    default:
      bits.Fail("is " + std::to_string(bits.Integer(0)) +
                ", supported: 1, 2, 3, 4, 8");
  }
}

size_t Number(const FormatInput& in, const std::string& name) {
  const Part part(in.raw.Take(name),
                  {DType::kInt32, DType::kInt64, DType::kUInt8});
  if (part.size() != 1 || part.Integer(0) < 0 ||
      part.Integer(0) > static_cast<int64_t>(kLargest)) {
    part.Fail("is not one number that is possible");
  }
  return static_cast<size_t>(part.Integer(0));
}

void AddWeight(const FormatInput& in, const std::string& stem) {
  const Part nbits(in.raw.Take(stem + "nbits"),
                   {DType::kInt32, DType::kInt64, DType::kUInt8});
  if (nbits.size() != 1) nbits.Fail("is not one number");
  const size_t pieces = Pieces(nbits);
  const auto bits = static_cast<size_t>(nbits.Integer(0));
  const Part shape(in.raw.Take(stem + "shape"), {DType::kInt64, DType::kInt32});
  if (shape.size() != 2) shape.Fail("has not two dimensions");
  for (size_t i = 0; i < 2; ++i) {
    if (shape.Integer(i) < 1 ||
        shape.Integer(i) > static_cast<int64_t>(kLargest)) {
      shape.Fail("has a dimension that is not possible");
    }
  }
  StoredWeight weight;
  weight.rows = static_cast<size_t>(shape.Integer(0));
  weight.columns = static_cast<size_t>(shape.Integer(1));
  if (Number(in, stem + "axis") != 1) {
    shape.Fail(
        "is of a weight grouped along the outputs (axis 0): groups run "
        "across rows; quantize with axis=1");
  }
  weight.group_size = Number(in, stem + "group_size");
  if (weight.group_size == 0 || weight.columns % weight.group_size != 0) {
    shape.Fail("is no multiple of the group size");
  }
  const Part codes(in.raw.Take(stem + "W_q"),
                   {DType::kUInt8, DType::kInt8, DType::kInt32});
  const size_t width = weight.group_size;
  const size_t groups = weight.Groups();
  const size_t all = weight.rows * groups;
  const size_t rows = (all + pieces - 1) / pieces;  // of the packed list
  codes.CheckMatrix(rows, width);
  const bool words = bits == 3;
  if (words != (codes.dtype() == DType::kInt32)) {
    codes.Fail("is of another type than " + std::to_string(bits) + " bits are");
  }
  const Part scale(in.raw.Take(stem + "scale"), kFloatTypes);
  const Part zero(in.raw.Take(stem + "zero"), kFloatTypes);
  if (scale.size() != all) scale.Fail("is of another size");
  if (zero.size() != all) zero.Fail("is of another size");
  for (const char* rest :
       {"channel_wise", "compute_dtype", "encoded_state_dict", "offload_meta",
        "optimize", "packing", "quant_scale", "quant_zero", "round_zero",
        "stores_quant_config", "unpack_view_dtype", "view_as_float"}) {
    in.raw.TakeIfPresent(stem + rest);
  }
  weight.levels = IntegerLevels(0, size_t{1} << bits);
  weight.zero = ZeroRule::kSubtract;
  weight.format = "HQQ, " + std::to_string(bits) + " bits";
  const size_t columns = weight.columns;
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    LoadRows(scale, groups, first, count, out.scales);
    LoadRows(zero, groups, first, count, out.zeros);
    if (!out.want_codes) return;
    out.codes.resize(count * columns);
    for (size_t i = 0; i < out.codes.size(); ++i) {
      const size_t element = first * columns + i;
      const size_t group = element / width;
      const size_t at = group % rows * width + element % width;
      const size_t shift = (pieces - 1 - group / rows) * bits;
      const uint32_t field = words ? codes.Word(at) : codes.Byte(at);
      out.codes[i] =
          static_cast<uint8_t>((field >> shift) & ((1u << bits) - 1));
    }
  };
  in.Add(stem + "weight", codes, std::move(weight));
}

}  // namespace

void ReadHqq(const FormatInput& in) {
  for (const std::string& stem : in.Stems("W_q")) AddWeight(in, stem);
}

}  // namespace lutra::packer
