#ifndef LUTRA_PACKER_EXPORT_PACKED_LAYOUT_H_
#define LUTRA_PACKER_EXPORT_PACKED_LAYOUT_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lutra/packer/export.h"
#include "packer/export/export_tensors.h"

namespace lutra::packer {

// A packed weight in the layout that a library has for its own.
class PackedLayout {
 public:
  // Takes bytes of a tensor that belong at an offset of it.
  using WritePart = std::function<void(const std::string& tensor, size_t offset,
                                       std::span<const std::byte>)>;

  // nullptr if the layout does not hold every value. `tensor` is packed, and
  // outlives the result, as does the model.
  static std::unique_ptr<PackedLayout> Find(ExportLayout layout,
                                            const Model& model,
                                            const ExportTensor& tensor);
  virtual ~PackedLayout() = default;

  size_t bits() const { return bits_; }
  // 0: one per row.
  size_t group_size() const { return group_size_; }
  size_t GroupColumns() const {
    return group_size_ == 0 ? tensor_.columns : group_size_;
  }
  // The tensors that stand for the weight "STEM.weight".
  virtual std::vector<TensorInfo> Tensors(const std::string& stem) const = 0;
  virtual void Write(const std::string& stem, const WritePart& write) const = 0;

 protected:
  PackedLayout(const Model& model, const ExportTensor& tensor)
      : model_(model), tensor_(tensor) {}

  const Model& model_;
  const ExportTensor& tensor_;
  size_t bits_ = 0;
  size_t group_size_ = 0;
};

// What says of a folder which weights are packed, and how.
struct PackedDescription {
  std::map<std::string, const PackedLayout*> packed;  // by names of weights
  std::vector<std::string> floats;                    // of the other matrices
  std::vector<std::string> names;                     // of all tensors
};
// Adds it to config.json.
void DescribeInConfig(ExportLayout layout, const PackedDescription& weights,
                      nlohmann::json& config);
// The metadata of model.safetensors.
std::map<std::string, std::string> DescribeInMetadata(
    ExportLayout layout, const PackedDescription& weights);

// The layouts, a file each.

// pack-quantized of compressed-tensors: fields of value + 2^(bits - 1), 32 /
// bits of them in a word where bits divide 32 and a dense stream else, with
// scales [rows, groups]. Whole numbers one after the other, no offsets.
std::unique_ptr<PackedLayout> FindCompressedTensorsLayout(
    const Model& model, const ExportTensor& tensor);
// IntxUnpackedToInt8Tensor of torchao: an int8 per weight, scales, and zero
// points that are whole, or -0.5 for odd levels.
std::unique_ptr<PackedLayout> FindTorchaoLayout(const Model& model,
                                                const ExportTensor& tensor);
// MLX's affine mode: a dense stream of fields in words, scales and biases.
std::unique_ptr<PackedLayout> FindMlxLayout(const Model& model,
                                            const ExportTensor& tensor);
// gpt-oss's experts: e2m1 with scales of e8m0, "STEM_blocks" and "STEM_scales".
std::unique_ptr<PackedLayout> FindMxfp4Layout(const Model& model,
                                              const ExportTensor& tensor);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_EXPORT_PACKED_LAYOUT_H_
