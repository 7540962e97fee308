#ifndef LUTRA_PACKER_EXPORT_H_
#define LUTRA_PACKER_EXPORT_H_

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/model.h"

// Exporting writes an imported model for other programs: a folder as the
// transformers library has them, or a GGUF file. What the network is comes from
// the configuration that importing left in the model file.

namespace lutra::packer {

// What becomes of packed weights. Those whose values a layout does not hold
// exactly become float32.
enum class ExportLayout {
  kFloat,              // all become float32
  kCompressedTensors,  // pack-quantized
  kTorchao,            // IntxUnpackedToInt8Tensor
  kMlx,                // affine
};

// "float", "compressed-tensors", "torchao", "mlx".
std::string_view Name(ExportLayout layout);
// Throws Error.
ExportLayout ParseExportLayout(std::string_view name);

// The metadata key with the configuration, as JSON.
inline constexpr std::string_view kConfigKey = "lutra.config";

struct ExportReport {
  size_t tensors = 0;  // in the new file, parts of packed ones apart
  size_t packed = 0;   // weights that stay packed
  size_t floats = 0;   // weights that were packed and became float32
  std::vector<std::string> notes;  // on what a folder cannot say, for people
  size_t file_bytes = 0;           // of model.safetensors
};

// Called before each tensor.
using ExportProgress =
    std::function<void(std::string_view tensor, size_t index, size_t count)>;

struct ExportOptions {
  ExportLayout layout = ExportLayout::kFloat;
  bool tokenizer = true;  // is written, with chat templates
  // Throws Error for a packed weight that the layout does not hold.
  bool require_packed = false;
};

// Writes config.json, model.safetensors and the tokenizer's files into
// `folder`, which is made if it is missing. Every value is that of the model,
// bit for bit. A few rows are held in memory. Throws Error, e.g. for a model
// that was not imported, whose import changed weights beyond return, or whose
// configuration is that of another network, for tokenizers that tokenizer.json
// has no words for, and for the folder of the model itself.
ExportReport ExportModel(const Model& model,
                         const std::filesystem::path& folder,
                         const ExportOptions& options = {},
                         const ExportProgress& progress = {});

struct GgufOptions {
  bool packed = true;     // weights may take types of few bits
  bool tokenizer = true;  // is written, with chat templates
  // Throws Error for a packed weight that no type of few bits holds.
  bool require_packed = false;
};

struct GgufReport {
  size_t tensors = 0;
  size_t packed = 0;  // weights that are packed in the file, too
  size_t floats = 0;  // those that were packed and are not
  std::map<std::string, size_t> types;  // number of tensors of each, "Q4_0"
  std::vector<std::string> notes;       // on what GGUF cannot say, for people
  size_t file_bytes = 0;
};

// Writes a GGUF file: every weight in the type of the fewest bits that has
// exactly its values, of packed ones a type of floats where none has; the
// network, tokenizer and chat templates as metadata, which is read back to see
// that it says the same. A few rows are held in memory. Throws Error for what a
// GGUF file cannot hold, and where ExportModel does.
GgufReport ExportGguf(const Model& model, const std::filesystem::path& path,
                      const GgufOptions& options = {},
                      const ExportProgress& progress = {});

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_EXPORT_H_
