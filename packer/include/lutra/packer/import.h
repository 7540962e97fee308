#ifndef LUTRA_PACKER_IMPORT_H_
#define LUTRA_PACKER_IMPORT_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

// Importing turns a checkpoint of another program into a model file: weights as
// they are, a graph made from the checkpoint's description, and the tokenizer.
// docs/import.md lists what is supported.

namespace lutra::packer {

enum class ImportFormat {
  kAuto,            // found out from the source
  kHuggingFace,     // a folder with config.json and safetensors
  kLlama2c,         // a checkpoint of llama2.c (.bin)
  kGraph,           // safetensors of any layers, with a graph as JSON
  kKeywordSpotter,  // the folder of MLPerf Tiny's keyword spotter
  kCharacterLstm,   // a folder with manifest.json, of ml5.js's charRNN
};

// Checkpoints do not store the frequencies of the rotary embedding.
// transformers computes them in float32 when it loads a checkpoint, and rounds
// them to 16 bits in model.to(dtype).
enum class RopePrecision {
  kFloat32,     // as when transformers loads the checkpoint
  kCheckpoint,  // rounded to the checkpoint's type
};

// "auto", "huggingface", "llama2c", "graph", "keyword-spotter", "char-lstm".
std::string_view Name(ImportFormat format);
// Throws Error.
ImportFormat ParseImportFormat(std::string_view name);

struct ImportOptions {
  std::filesystem::path source = {};  // file or folder
  std::filesystem::path output = {};
  ImportFormat format = ImportFormat::kAuto;
  // llama2.c: default tokenizer.bin, or tok<vocabulary>.bin, beside the source.
  // Hugging Face: default tokenizer.json, else tokenizer.model, in the folder.
  std::filesystem::path tokenizer = {};
  // kGraph: default graph.json in the folder.
  std::filesystem::path graph = {};
  // Longest sequence; 0: what the checkpoint says.
  size_t context = 0;
  // Makes all weights float32; otherwise matrices keep float16 and bfloat16.
  bool float32 = false;
  RopePrecision rope = RopePrecision::kFloat32;  // of Hugging Face folders
};

struct ImportReport {
  ImportFormat format = ImportFormat::kAuto;
  std::string architecture;
  size_t layers = 0;      // 0: not built of layers
  size_t parameters = 0;  // elements of all tensors, shared ones once
  size_t context = 0;     // 0: no limit
  std::string tokenizer;  // what kind; empty if there is none
  size_t vocabulary = 0;  // of the tokenizer
  size_t file_bytes = 0;
};

// Called before each tensor.
using ImportProgress =
    std::function<void(std::string_view tensor, size_t index, size_t count)>;

// Writes tensor by tensor from the mapped source: memory holds one tensor that
// has to be converted at most. The new file appears under its name when it is
// complete and has been loaded as a check. Throws Error; what is not supported
// is named.
ImportReport ImportModel(const ImportOptions& options,
                         const ImportProgress& progress = {});

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_H_
