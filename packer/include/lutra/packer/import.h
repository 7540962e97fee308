#ifndef LUTRA_PACKER_IMPORT_H_
#define LUTRA_PACKER_IMPORT_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/executor.h"

// Importing turns a checkpoint of another program into a model file: weights as
// they are, a graph made from the checkpoint's description, and the tokenizer.
// Quantized weights become LUT matrices, without loss wherever these can hold
// them.
// So can float weights that lie on a grid. docs/import.md lists what is
// supported.

namespace lutra::packer {

enum class ImportFormat {
  kAuto,            // found out from the source
  kHuggingFace,     // a folder with config.json and safetensors
  kGguf,            // a GGUF file of llama.cpp, or any part of a split one
  kLlama2c,         // a checkpoint of llama2.c (.bin)
  kGraph,           // safetensors of any layers, with a graph as JSON
  kKeywordSpotter,  // the folder of MLPerf Tiny's keyword spotter
  kCharacterLstm,   // a folder with manifest.json, of ml5.js's charRNN
  kSileroVad,       // Silero's voice activity detector (.safetensors)
  kOnnx,            // a graph of ONNX (.onnx)
  kTflite,          // one of TensorFlow Lite (.tflite)
};

// Checkpoints do not store the frequencies of the rotary embedding.
// transformers computes them in float32 when it loads a checkpoint, and rounds
// them to 16 bits in model.to(dtype).
enum class RopePrecision {
  kFloat32,     // as when transformers loads the checkpoint
  kCheckpoint,  // rounded to the checkpoint's type
};

// "auto", "huggingface", "gguf", "llama2c", "graph", "keyword-spotter",
// "char-lstm", "silero-vad", "onnx", "tflite".
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
  // Makes float32 of quantized weights.
  bool dequantize = false;
  // Looks for grids in float weights (lattice.h) and packs those that lie on
  // one. Groups that do not take the nearest values of it.
  bool recover = false;
  // Refuses a weight whose groups are not all on its grid.
  bool require_exact = false;
  // Looks for grids; nullptr: the calling thread does.
  Executor* executor = nullptr;
  // Called before each tensor in which a grid is looked for, which may take
  // long; what it throws ends the import.
  std::function<void(std::string_view tensor)> looking = {};
};

// What became of a quantized weight.
struct ImportedWeight {
  std::string name;    // in the model
  std::string origin;  // in the checkpoint
  std::string format;  // there: "GPTQ, 4 bits"
  size_t rows = 0;
  size_t columns = 0;
  size_t bytes = 0;  // in the model
  bool dequantized = false;
  // Whether rows are in another order than the checkpoint's.
  bool reordered = false;
  // Whether columns are: of activation order, a `gather` node before it.
  bool gathered = false;
  // Whether it lay as plain floats, on a grid (ImportOptions::recover). Values
  // are compared after rounding to the type of these. How many of its groups
  // are on the grid; 0 before it is written.
  bool recovered = false;
  size_t groups = 0;
  size_t exact_groups = 0;
  // Whether every value is the source's, bit for bit. If not, the table or the
  // offsets are near, or groups are not on the grid, and `sqnr_db` and
  // `max_error` say how near.
  bool exact = true;
  double sqnr_db = std::numeric_limits<double>::infinity();
  double max_error = 0;
  // Of a weight that cannot be held: why. Only InspectSource reports these.
  std::string refusal;

  double BitsPerWeight() const;
};

// A float weight that ImportOptions::recover left as it is.
struct FloatWeight {
  std::string name;    // in the model
  std::string origin;  // in the checkpoint
  std::string reason;  // "no grid"
};

// How an input or output of a source's graph lies in a call of the model.
struct ImportedArray {
  std::string name;
  // Of each dimension of the source: which row axis it is, or -1. A call has a
  // row for each element of the row axes.
  std::vector<int> rows;
  // The other dimensions, in the order in which the model has them.
  std::vector<size_t> order;
};

struct ImportReport {
  ImportFormat format = ImportFormat::kAuto;
  std::string architecture;
  size_t layers = 0;      // 0: not built of layers
  size_t parameters = 0;  // elements of all tensors, shared ones once
  size_t context = 0;     // 0: no limit
  std::string tokenizer;  // what kind; empty if there is none
  size_t vocabulary = 0;  // of the tokenizer
  std::vector<std::string> chat_templates;  // their names
  size_t file_bytes = 0;
  std::vector<ImportedWeight> weights;  // those that were quantized
  std::vector<FloatWeight> floats;      // those that recovery did not pack
  // What the graph does otherwise than the source, a sentence each.
  std::vector<std::string> notes;
  // Of graphs of other programs: their inputs and outputs, and which row axis
  // is that of the steps of a sequence; -1: rows are independent. An output
  // without this axis is as of the step of its row.
  std::vector<ImportedArray> arrays;
  int time_axis = -1;
  // Number of the other tensors of each type in the model, "BF16".
  std::map<std::string, size_t> float_types;
  size_t tensor_bytes = 0;  // of all tensors
  // Of a decoder: bytes of weights that a token reads (of experts those that
  // are chosen), and of a float16 cache that it fills.
  size_t token_bytes = 0;
  size_t cache_bytes = 0;
};

// Called before each tensor.
using ImportProgress =
    std::function<void(std::string_view tensor, size_t index, size_t count)>;

// Writes tensor by tensor from the mapped source: memory holds a few rows of
// what has to be converted. The new file
// appears under its name when it is complete and has been loaded as a check.
// Throws Error; what is not supported is named, and so is an output that would
// replace the source.
ImportReport ImportModel(const ImportOptions& options,
                         const ImportProgress& progress = {});

struct SourceReport {
  // What import would make of it; `file_bytes`, SQNRs and errors are not known
  // before.
  ImportReport report;
  // Why import would refuse it; empty if it would not. Then the report has the
  // quantized weights alone.
  std::string refusal;
};

// What ImportModel would do, without writing; `options.output` is not used.
// Scales and zero points are read, weights are not. Throws Error for what is no
// source at all.
SourceReport InspectSource(const ImportOptions& options);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_H_
