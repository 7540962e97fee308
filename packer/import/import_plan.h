#ifndef LUTRA_PACKER_IMPORT_IMPORT_PLAN_H_
#define LUTRA_PACKER_IMPORT_IMPORT_PLAN_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/packer/import.h"
#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/graph.h"
#include "lutra/runtime/safetensors.h"
#include "lutra/runtime/tokenizer_data.h"

// What an importer hands over: descriptions first, bytes when they are written.

namespace lutra::packer {

// Takes bytes of a tensor that belong at `offset` of it, in any order.
using TensorParts =
    std::function<void(size_t offset, std::span<const std::byte>)>;

struct ImportTensor {
  TensorInfo info;
  // Returns the tensor's bytes: either a mapping's that the function keeps
  // alive, or `buffer`'s.
  std::function<std::span<const std::byte>(std::vector<std::byte>& buffer)>
      read;
  // In its place for tensors that are made a few rows at a time. `stored` is of
  // what was quantized, and gets what is known when all is written.
  std::function<void(const TensorParts& parts, ImportedWeight& result)> write;
  std::optional<ImportedWeight> stored;
  // If not empty, column i is column column_order[i] of the network's, whose
  // inputs are to be put in that order.
  std::vector<uint32_t> column_order = {};
};

struct ImportPlan {
  std::string architecture;
  size_t layers = 0;
  size_t context = 0;
  Graph graph;
  std::vector<ImportTensor> tensors;
  std::vector<FloatWeight> floats;  // that lie on no grid: see ImportReport
  // What the graph does otherwise than the source, for people.
  std::vector<std::string> notes;
  std::vector<ImportedArray> arrays;  // see ImportReport
  int time_axis = -1;
  std::optional<TokenizerData> tokenizer;
  std::optional<ChatData> chat;
  // What the network was made of, for export: Hugging Face's config.json
  // without what says how weights are quantized. Empty: not known.
  std::string config;
};

// A tensor copied from a file, which the plan keeps mapped through `owner`.
// Becomes float32 if `float32` is set or it is F64. Throws Error naming `file`
// if it is not of a floating-point type.
ImportTensor CopyTensor(std::string name, const TensorView& view, bool float32,
                        std::string_view file,
                        std::shared_ptr<const void> owner);

// A tensor made by the importer.
ImportTensor MakeTensor(std::string name, std::vector<int64_t> shape,
                        std::function<std::vector<float>()> make);

// Appends a node to a graph that is a chain: its input is the output of the
// last node, of the first the graph's input.
Node& AddNode(ImportPlan& plan, OpType op, std::string output);

// Any of the four floating-point types, at any alignment, as float32 (float64
// is rounded).
void ToFloats(DType dtype, std::span<const std::byte> data,
              std::span<float> floats);

// Throws Error naming the tensor if its shape is another.
void CheckShape(const TensorView& view, std::span<const int64_t> shape,
                std::string_view file);

// The importers. `options.format` is what the source is.
ImportPlan PlanLlama2c(const ImportOptions& options);
ImportPlan PlanHuggingFace(const ImportOptions& options);
ImportPlan PlanGguf(const ImportOptions& options);
ImportPlan PlanGraph(const ImportOptions& options);
ImportPlan PlanKeywordSpotter(const ImportOptions& options);
ImportPlan PlanCharacterLstm(const ImportOptions& options);
ImportPlan PlanSileroVad(const ImportOptions& options);
ImportPlan PlanOnnx(const ImportOptions& options);
ImportPlan PlanTflite(const ImportOptions& options);

// Names of files that the formats are known by.
inline constexpr std::string_view kConfigFile = "config.json";
inline constexpr std::string_view kGraphFile = "graph.json";
inline constexpr std::string_view kManifestFile = "manifest.json";
inline constexpr std::string_view kVariablesFile =
    "variables.data-00000-of-00001";

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_IMPORT_PLAN_H_
