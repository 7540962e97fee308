#ifndef LUTRA_QAT_DATASET_H_
#define LUTRA_QAT_DATASET_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/qat/samples.h"

namespace lutra::qat {

// Contents of an idx file (http://yann.lecun.com/exdb/mnist/): big-endian magic
// 00 00 <type> <rank>, the sizes as big-endian 32-bit numbers, then the
// elements, row-major. Of its types only 08 (unsigned bytes) is read.
struct IdxArray {
  std::vector<size_t> shape;
  std::vector<uint8_t> data;  // as many as the product of the shape
};

// Limits beyond which a file is refused; what a file declares is allocated only
// as far as the file really holds it.
inline constexpr size_t kMaxIdxRank = 4;
inline constexpr uint64_t kMaxIdxBytes = uint64_t{1} << 32;

// Reads a plain or gzip-compressed file; which one is told by its content.
// Throws lutra::Error.
IdxArray ReadIdx(const std::filesystem::path& path);

// Images with one class each, ready to be fed to a graph.
struct LabelledImages : Samples {
  size_t count = 0;
  std::vector<size_t> image_shape;  // e.g. {28, 28}
  std::vector<float> images;        // [count, features], 0 to 1 of bytes
  std::vector<uint8_t> labels;      // [count]

  // Values per image.
  size_t Features() const { return count == 0 ? 0 : images.size() / count; }
  // Largest label + 1.
  size_t Classes() const;
  Span<const float> Image(size_t index) const {
    return Span(images).subspan(index * Features(), Features());
  }

  size_t Count() const override { return count; }
  size_t RowsOfSample() const override { return 1; }
  std::string RowName() const override { return "image"; }
  void CheckGraph(const Graph& graph, size_t classes) const override;
  void Load(Span<const uint32_t> samples, uint64_t epoch,
            SampleBatch& batch) const override;
  uint32_t Checksum() const override;
};

// Throws lutra::Error unless `images` is [count, ...] and `labels` [count].
// `name` is what messages call the pair.
LabelledImages MakeLabelledImages(const IdxArray& images, IdxArray labels,
                                  const std::filesystem::path& name);

enum class DatasetPart { kTrain, kTest };

// Loads from a folder either train-images.npy and train-labels.npy, or test-*
// (npy.h), or train-images-idx3-ubyte and train-labels-idx1-ubyte, or t10k-*,
// each plain or with ".gz". Arrays of NumPy are [count, ...] of float32, or of
// uint8, which are divided by 255, and [count] of whole numbers from 0 to 255.
// Throws lutra::Error; for a folder without them the message says which package
// has the data.
LabelledImages LoadImageFolder(const std::filesystem::path& folder,
                               DatasetPart part);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_DATASET_H_
