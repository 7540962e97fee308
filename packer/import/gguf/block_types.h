#ifndef LUTRA_PACKER_IMPORT_GGUF_BLOCK_TYPES_H_
#define LUTRA_PACKER_IMPORT_GGUF_BLOCK_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "packer/import/gguf/gguf_file.h"
#include "packer/import/raw_tensors.h"
#include "packer/import/stored/weight_formats.h"

namespace lutra::packer {

// A type of quantized blocks of ggml, along rows.
struct BlockType {
  uint32_t id;
  const char* name;
  size_t elements;  // of a block
  size_t bytes;
  size_t group;  // elements that share a scale
  ZeroRule zero;
  std::vector<float> (*levels)();
  // Writes the codes (may be nullptr) and the scales and zeros of a block.
  void (*decode)(const uint8_t* block, uint8_t* codes, float* scales,
                 float* zeros);
};

// nullptr if there is none. Two lengths of Q2_0's blocks go by one number; the
// room of the tensor decides.
const BlockType* FindBlockType(const GgufTensor& tensor);
// By its name, which must be that of one; of the two of Q2_0 llama.cpp's own.
const BlockType& BlockTypeOf(std::string_view name);

// Adds a tensor of a file under `name` to what is plain or to what is stored.
// Throws Error for types that lutra cannot hold, by name, and where the tensor
// does not fit its room.
void AddGgufTensor(const std::shared_ptr<const GgufFile>& file,
                   const GgufTensor& tensor, const std::string& name,
                   RawTensors& plain, StoredWeights& stored);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_GGUF_BLOCK_TYPES_H_
