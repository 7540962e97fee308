#ifndef LUTRA_PACKER_LATTICE_H_
#define LUTRA_PACKER_LATTICE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/executor.h"

// Float weights whose values lie on a hidden grid of a few levels times a scale
// for each group of columns, as checkpoints of quantized training are published
// that were written without the quantization. docs/import.md says what is
// found.

namespace lutra::packer {

// What a float tensor of at least two dimensions hides.
struct HiddenGrid {
  std::string tensor;
  std::string dtype;  // "BF16"
  size_t rows = 0;
  size_t columns = 0;
  size_t bytes = 0;

  bool found = false;
  std::string grid;          // "4 bits, groups of 32"
  int bits = 0;              // of an index
  std::vector<float> table;  // levels
  size_t group_size = 0;     // columns that share a scale; all: the row does
  bool one_scale = false;    // of the whole tensor
  // The smallest type that holds the scales of all exact groups: "float32",
  // "bfloat16", "float16".
  std::string scale_type;
  // "none", "zero point", "offset".
  std::string offset;
  // How many groups give every weight back, bit for bit, after rounding to the
  // tensor's type.
  size_t groups = 0;
  size_t exact_groups = 0;
  // log10 of a bound of the chance that weights of no grid look like this.
  double log10_chance = 0;
  // If nothing was found: why not ("no grid"), and whether the weights look
  // like a grid times a number for each column, which is lost.
  std::string miss;
  bool folded = false;
};

// Called before each tensor.
using LatticeProgress =
    std::function<void(std::string_view tensor, size_t index, size_t count)>;

// Looks at all F32, F16 and BF16 tensors with at least two dimensions of a
// Hugging Face folder, a folder of safetensors, a safetensors or a GGUF file,
// on the threads of `executor` (nullptr: the calling one). Beside the mapping
// it holds a few rows. Throws Error.
std::vector<HiddenGrid> FindHiddenGrids(const std::filesystem::path& source,
                                        Executor* executor = nullptr,
                                        const LatticeProgress& progress = {});

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_LATTICE_H_
