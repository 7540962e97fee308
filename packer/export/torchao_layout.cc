#include <algorithm>
#include <cmath>

#include "packer/export/export_rows.h"
#include "packer/export/packed_layout.h"

namespace lutra::packer {
namespace {

// How entries of the tables become values of int8 and zero points.
struct Reading {
  // Entry e is the value e, or (e - 1) / 2 with twice the scale.
  bool odd = false;
  int lowest = 0;  // values
  int highest = 0;

  int Value(int entry) const { return odd ? (entry - 1) / 2 : entry; }
};

class TorchaoLayout final : public PackedLayout {
 public:
  TorchaoLayout(const Model& model, const ExportTensor& tensor)
      : PackedLayout(model, tensor) {}

  bool Holds() {
    ExportRows rows(model_, {&tensor_}, {});
    if (!rows.packed()) return false;
    for (const bool odd : {true, false}) {
      if (Try(rows, odd)) return true;
    }
    return false;
  }

  std::vector<TensorInfo> Tensors(const std::string& stem) const override {
    const auto rows = static_cast<int64_t>(tensor_.rows);
    const auto columns = static_cast<int64_t>(tensor_.columns);
    const auto groups = static_cast<int64_t>(Groups());
    return {
        {stem + "._weight_qdata", DType::kInt8, {rows, columns}},
        {stem + "._weight_scale", DType::kFloat32, {rows, groups}},
        {stem + "._weight_zero_point", ZeroType(), {rows, groups}},
    };
  }

  void Write(const std::string& stem, const WritePart& write) const override {
    ExportRows rows(model_, {&tensor_}, {});
    const size_t groups = Groups();
    std::vector<int8_t> values(tensor_.columns);
    std::vector<float> scales(groups);
    std::vector<float> zeros(groups);
    std::vector<int8_t> whole(groups);
    for (size_t r = 0; r < tensor_.rows; ++r) {
      const CodedRow row = rows.Coded(r);
      for (size_t c = 0; c < values.size(); ++c) {
        values[c] = static_cast<int8_t>(reading_.Value(row.entries[c]));
      }
      for (size_t g = 0; g < groups; ++g) {
        scales[g] = Scale(row, g);
        zeros[g] = Zero(row, g);
        whole[g] = static_cast<int8_t>(zeros[g]);
      }
      write(stem + "._weight_qdata", r * values.size(),
            std::as_bytes(std::span(values)));
      write(stem + "._weight_scale", r * groups * sizeof(float),
            std::as_bytes(std::span(scales)));
      if (reading_.odd) {
        write(stem + "._weight_zero_point", r * groups * sizeof(float),
              std::as_bytes(std::span(zeros)));
      } else {
        write(stem + "._weight_zero_point", r * groups,
              std::as_bytes(std::span(whole)));
      }
    }
  }

 private:
  size_t Groups() const {
    return group_size_ == 0 ? 1 : tensor_.columns / group_size_;
  }
  DType ZeroType() const {
    return reading_.odd ? DType::kFloat32 : DType::kInt8;
  }

  float Scale(const CodedRow& row, size_t group) const {
    return reading_.odd ? 2 * row.scales[group] : row.scales[group];
  }
  // What is subtracted from values.
  float Zero(const CodedRow& row, size_t group) const {
    if (reading_.odd) return -0.5f;
    if (row.offsets.empty() || row.scales[group] == 0) return 0;
    return -std::nearbyint(row.offsets[group] / row.scales[group]);
  }

  // Whether all values come out of (value - zero) * scale.
  bool Try(ExportRows& rows, bool odd) {
    reading_ = {odd, 0, 0};
    for (size_t r = 0; r < tensor_.rows; ++r) {
      const CodedRow row = rows.Coded(r);
      if (row.group_size < tensor_.columns) group_size_ = row.group_size;
      // A short last group is not what its readers expect.
      if (tensor_.columns % row.group_size != 0 ||
          (odd && !row.offsets.empty()))
        return false;
      for (size_t c = 0; c < row.entries.size(); ++c) {
        const int entry = row.entries[c];
        const size_t group = c / row.group_size;
        if (odd && entry % 2 == 0) return false;
        const int value = reading_.Value(entry);
        reading_.lowest = std::min(reading_.lowest, value);
        reading_.highest = std::max(reading_.highest, value);
        const float zero = Zero(row, group);
        float wanted = row.scales[group] * static_cast<float>(entry);
        if (!row.offsets.empty()) wanted = wanted + row.offsets[group];
        const float held =
            (static_cast<float>(value) - zero) * Scale(row, group);
        if (held != wanted || std::abs(zero) > 127) return false;
      }
    }
    bits_ = 1;
    while (reading_.lowest < -(1 << (bits_ - 1)) ||
           reading_.highest >= 1 << (bits_ - 1)) {
      ++bits_;
    }
    return true;
  }

  Reading reading_;
};

}  // namespace

std::unique_ptr<PackedLayout> FindTorchaoLayout(const Model& model,
                                                const ExportTensor& tensor) {
  auto layout = std::make_unique<TorchaoLayout>(model, tensor);
  if (!layout->Holds()) return nullptr;
  return layout;
}

}  // namespace lutra::packer
