// gpt-oss: experts of e2m1 with scales of e8m0, a row of each expert after the
// other.

#include <string>

#include "kernels/base/float8.h"
#include "packer/import/stored/weight_formats.h"

namespace lutra::packer {
namespace {

constexpr size_t kGroup = 32;

void AddExperts(const FormatInput& in, const std::string& stem) {
  const Part blocks(in.raw.Take(stem + "_blocks"), {DType::kUInt8});
  const Part scales(in.raw.Take(stem + "_scales"), {DType::kUInt8});
  if (blocks.shape().size() != 4 || blocks.Dim(3) != kGroup / 2 ||
      scales.shape().size() != 3 || scales.Dim(0) != blocks.Dim(0) ||
      scales.Dim(1) != blocks.Dim(1) || scales.Dim(2) != blocks.Dim(2)) {
    blocks.Fail("has not the shape [experts, outputs, groups, 16]");
  }
  StoredWeight weight;
  const size_t groups = blocks.Dim(2);
  weight.rows = blocks.Dim(0) * blocks.Dim(1);
  weight.columns = groups * kGroup;
  weight.group_size = kGroup;
  weight.levels = Float4Levels();
  weight.format = "MXFP4";
  const size_t columns = weight.columns;
  weight.read = [=](size_t first, size_t count, StoredRows& out) {
    out.scales.resize(count * groups);
    for (size_t i = 0; i < out.scales.size(); ++i) {
      out.scales[i] = FloatFromE8M0(scales.Byte(first * groups + i));
    }
    if (out.want_codes) LoadNibbles(blocks, columns, first, count, out.codes);
  };
  in.Add(stem, blocks, std::move(weight));
}

}  // namespace

void ReadMxfp4Experts(const FormatInput& in) {
  for (const std::string& stem : in.Stems("_blocks")) AddExperts(in, stem);
}

}  // namespace lutra::packer
