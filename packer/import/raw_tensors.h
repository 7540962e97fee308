#ifndef LUTRA_PACKER_IMPORT_RAW_TENSORS_H_
#define LUTRA_PACKER_IMPORT_RAW_TENSORS_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/safetensors.h"

namespace lutra::packer {

// A tensor as it lies in a file that `owner` keeps mapped.
struct RawTensor {
  TensorView view;
  std::string file;
  std::shared_ptr<const void> owner;
  // Row i is row row_order[i] of the file; empty: as they lie there.
  std::vector<uint32_t> row_order = {};
  // Rows that follow those of `view` in this numbering, of the same type and
  // width; only with a row order.
  std::span<const std::byte> below = {};
  // Column i is column column_order[i] of the file; empty: as they lie there.
  std::vector<uint32_t> column_order = {};
  // Whether the file has the transpose of the matrix that is meant; of a tensor
  // of three dimensions, of each.
  bool transposed = false;
  // Whether these are the numbers that the network makes of a checkpoint's.
  bool computed = false;
};

// The tensors of all files of a checkpoint, and what their headers say.
struct RawTensors {
  std::map<std::string, RawTensor, std::less<>> tensors;
  // Of all shards: a later one replaces what an earlier one says.
  std::map<std::string, std::string, std::less<>> metadata;

  // nullptr if there is none.
  const RawTensor* Find(std::string_view name) const;
  // Takes a part of a quantized weight out; throws Error if it is missing.
  RawTensor Take(const std::string& name);
  // The same, with no data if it is missing.
  RawTensor TakeIfPresent(const std::string& name);
};

// Opens model.safetensors, or the shards that model.safetensors.index.json
// lists, or NAME.safetensors, or pytorch_model.bin with its index. Throws
// Error.
RawTensors OpenRawTensors(const std::filesystem::path& folder,
                          const std::string& name = "");

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_RAW_TENSORS_H_
