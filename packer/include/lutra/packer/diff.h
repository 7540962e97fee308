#ifndef LUTRA_PACKER_DIFF_H_
#define LUTRA_PACKER_DIFF_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/runtime/safetensors.h"

// What differs between two safetensors files, be they models or not.

namespace lutra::packer {

struct TensorDifference {
  enum class Kind { kAdded, kRemoved, kChanged };
  std::string name;
  Kind kind = Kind::kChanged;
  // "F32 [3, 4]", "2-bit LUT [3, 4]"; empty where the tensor is absent.
  std::string before;
  std::string after;
  // Of tensors that hold numbers of one shape before and after:
  // 10 log10(sum before^2 / sum (before - after)^2), infinite if all values are
  // the same, and the largest difference.
  std::optional<double> sqnr_db;
  std::optional<double> max_error;
};

struct FileDifferences {
  std::vector<TensorDifference> tensors;
  std::vector<std::string> metadata;  // lines, e.g. "author: added"
  std::vector<std::string> graph;     // likewise, about nodes
  size_t same_tensors = 0;            // with the same type, shape and bytes

  bool Any() const {
    return !tensors.empty() || !metadata.empty() || !graph.empty();
  }
};

// The order of tensors in the file does not count. Throws Error for a graph
// that cannot be read.
FileDifferences Diff(const SafetensorsFile& before,
                     const SafetensorsFile& after,
                     Executor* executor = nullptr);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_DIFF_H_
