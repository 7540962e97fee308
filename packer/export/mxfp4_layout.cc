#include <cmath>
#include <cstdint>

#include "packer/export/export_rows.h"
#include "packer/export/packed_layout.h"

namespace lutra::packer {
namespace {

constexpr size_t kGroup = 32;
constexpr int kBias = 127;

// The code of twice a four-bit float; -1 for other numbers.
int CodeOf(int entry) {
  constexpr int kDoubled[] = {0, 1, 2, 3, 4, 6, 8, 12};
  for (int code = 0; code < 8; ++code) {
    if (kDoubled[code] == entry) return code;
    if (kDoubled[code] == -entry) return code + 8;
  }
  return -1;
}

class Mxfp4Layout : public PackedLayout {
 public:
  Mxfp4Layout(const Model& model, const ExportTensor& tensor)
      : PackedLayout(model, tensor) {
    bits_ = 4;
    group_size_ = kGroup;
  }

  bool Holds() const {
    if (tensor_.columns % kGroup != 0) return false;
    ExportRows rows(model_, {&tensor_}, {});
    if (!rows.packed()) return false;
    for (size_t r = 0; r < tensor_.rows; ++r) {
      const CodedRow row = rows.Coded(r);
      if (row.group_size % kGroup != 0 || !row.offsets.empty()) return false;
      for (const int8_t entry : row.entries) {
        if (CodeOf(entry) < 0) return false;
      }
      for (const float scale : row.scales) {
        if (ExponentOf(scale) < 0) return false;
      }
    }
    return true;
  }

  std::vector<TensorInfo> Tensors(const std::string& stem) const override {
    const std::vector<int64_t>& shape = tensor_.info.shape;
    const int64_t groups = shape[2] / int64_t{kGroup};
    return {{stem + "_blocks",
             DType::kUInt8,
             {shape[0], shape[1], groups, int64_t{kGroup / 2}}},
            {stem + "_scales", DType::kUInt8, {shape[0], shape[1], groups}}};
  }

  void Write(const std::string& stem, const WritePart& write) const override {
    ExportRows rows(model_, {&tensor_}, {});
    std::vector<uint8_t> blocks(tensor_.columns / 2);
    std::vector<uint8_t> scales(tensor_.columns / kGroup);
    for (size_t r = 0; r < tensor_.rows; ++r) {
      const CodedRow row = rows.Coded(r);
      for (size_t i = 0; i < blocks.size(); ++i) {
        blocks[i] = static_cast<uint8_t>(CodeOf(row.entries[2 * i]) |
                                         CodeOf(row.entries[2 * i + 1]) << 4);
      }
      for (size_t g = 0; g < scales.size(); ++g) {
        scales[g] = static_cast<uint8_t>(
            ExponentOf(row.scales[g * kGroup / row.group_size]));
      }
      write(stem + "_blocks", r * blocks.size(),
            std::as_bytes(std::span(blocks)));
      write(stem + "_scales", r * scales.size(),
            std::as_bytes(std::span(scales)));
    }
  }

 private:
  // Of e8m0, for levels that are half of ours; -1 for what is no such power of
  // two.
  static int ExponentOf(float scale) {
    int exponent = 0;
    if (!(scale > 0) || std::frexp(scale, &exponent) != 0.5f) return -1;
    const int stored = exponent + kBias;
    return stored >= 0 && stored < 255 ? stored : -1;
  }
};

}  // namespace

std::unique_ptr<PackedLayout> FindMxfp4Layout(const Model& model,
                                              const ExportTensor& tensor) {
  auto layout = std::make_unique<Mxfp4Layout>(model, tensor);
  if (!layout->Holds()) return nullptr;
  return layout;
}

}  // namespace lutra::packer
