#include <algorithm>
#include <cstdint>

#include "packer/export/export_rows.h"
#include "packer/export/packed_layout.h"

namespace lutra::packer {
namespace {

class MlxLayout final : public PackedLayout {
 public:
  MlxLayout(const Model& model, const ExportTensor& tensor)
      : PackedLayout(model, tensor) {}

  bool Holds() {
    ExportRows rows(model_, {&tensor_}, {});
    if (!rows.packed() || !FindGroups(rows) || !FindBits(rows)) return false;
    for (size_t r = 0; r < tensor_.rows; ++r) {
      if (!Holds(rows.Coded(r))) return false;
    }
    return true;
  }

  std::vector<TensorInfo> Tensors(const std::string& stem) const override {
    const auto rows = static_cast<int64_t>(tensor_.rows);
    const auto groups = static_cast<int64_t>(Groups());
    return {{stem + ".weight",
             DType::kUInt32,
             {rows, static_cast<int64_t>(Words())}},
            {stem + ".scales", DType::kFloat32, {rows, groups}},
            {stem + ".biases", DType::kFloat32, {rows, groups}}};
  }

  void Write(const std::string& stem, const WritePart& write) const override {
    ExportRows rows(model_, {&tensor_}, {});
    std::vector<uint32_t> words(Words());
    std::vector<float> scales(Groups());
    std::vector<float> biases(Groups());
    for (size_t r = 0; r < tensor_.rows; ++r) {
      const CodedRow row = rows.Coded(r);
      std::fill(words.begin(), words.end(), 0u);
      for (size_t c = 0; c < tensor_.columns; ++c) {
        const auto field = static_cast<uint32_t>(row.entries[c] - lowest_);
        const size_t at = c * bits_;
        words[at / 32] |= field << (at % 32);
        if (at % 32 + bits_ > 32) words[at / 32 + 1] |= field >> (32 - at % 32);
      }
      for (size_t g = 0; g < scales.size(); ++g) {
        const size_t group = g * group_size_ / row.group_size;
        scales[g] = row.scales[group];
        biases[g] = Bias(row, group);
      }
      const auto put = [&](const char* part, const auto& values) {
        const auto bytes = std::as_bytes(std::span(values));
        write(stem + part, r * bytes.size(), bytes);
      };
      put(".weight", words);
      put(".scales", scales);
      put(".biases", biases);
    }
  }

 private:
  size_t Groups() const { return tensor_.columns / group_size_; }
  size_t Words() const { return tensor_.columns * bits_ / 32; }

  // What is added to fields times the scale.
  float Bias(const CodedRow& row, size_t group) const {
    const float offset = row.offsets.empty() ? 0.0f : row.offsets[group];
    return offset + static_cast<float>(lowest_) * row.scales[group];
  }

  // The lengths of groups that MLX has: the longest within ours.
  bool FindGroups(ExportRows& rows) {
    const size_t own = rows.Coded(0).group_size;
    for (const size_t size : {size_t{128}, size_t{64}, size_t{32}}) {
      if (own % size != 0 || tensor_.columns % size != 0) continue;
      group_size_ = size;
      return true;
    }
    return false;
  }

  bool FindBits(ExportRows& rows) {
    int highest = INT8_MIN;
    lowest_ = INT8_MAX;
    for (size_t r = 0; r < tensor_.rows; ++r) {
      for (const int8_t entry : rows.Coded(r).entries) {
        lowest_ = std::min<int>(lowest_, entry);
        highest = std::max<int>(highest, entry);
      }
    }
    for (const unsigned bits : {2u, 3u, 4u, 5u, 6u, 8u}) {
      if (highest - lowest_ >= 1 << bits) continue;
      bits_ = bits;
      return true;
    }
    return false;
  }

  bool Holds(const CodedRow& row) const {
    for (size_t c = 0; c < row.entries.size(); ++c) {
      const size_t group = c / row.group_size;
      const int entry = row.entries[c];
      float wanted = row.scales[group] * static_cast<float>(entry);
      if (!row.offsets.empty()) wanted = wanted + row.offsets[group];
      const float product =
          row.scales[group] * static_cast<float>(entry - lowest_);
      if (product + Bias(row, group) != wanted) return false;
    }
    return true;
  }

  int lowest_ = 0;  // of the entries: field 0
};

}  // namespace

std::unique_ptr<PackedLayout> FindMlxLayout(const Model& model,
                                            const ExportTensor& tensor) {
  auto layout = std::make_unique<MlxLayout>(model, tensor);
  if (!layout->Holds()) return nullptr;
  return layout;
}

}  // namespace lutra::packer
