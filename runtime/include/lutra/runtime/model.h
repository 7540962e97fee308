#ifndef LUTRA_RUNTIME_MODEL_H_
#define LUTRA_RUNTIME_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/lut_matrix.h"
#include "lutra/runtime/graph.h"
#include "lutra/runtime/load_options.h"
#include "lutra/runtime/safetensors.h"

namespace lutra {

// Keys of the container's __metadata__.
inline constexpr std::string_view kVersionKey = "lutra.version";
inline constexpr std::string_view kGraphKey = "lutra.graph";
// JSON object: tensor name -> scheme (see lutra/qat/scheme.h).
inline constexpr std::string_view kSchemesKey = "lutra.schemes";
// Optional: the longest sequence the model is made for, a decimal number.
inline constexpr std::string_view kContextLengthKey = "lutra.context_length";
// What this build writes and the newest it reads.
inline constexpr int kModelVersion = 1;

// How a file stores a weight that is another tensor in memory.
struct StoredTensor {
  DType dtype = DType::kFloat32;
  size_t bytes = 0;  // in the file, with its scales
};

// The tensor of the scales of a weight that is stored as 8-bit floats
// (docs/model_file.md).
std::string Float8ScalesName(std::string_view weight);

// The shape and type of a value of the graph, without the token dimension.
struct ValueInfo {
  std::string name;
  ValueType type = ValueType::kFloat32;
  std::vector<int64_t> shape;

  size_t ElementCount() const;  // per token
};

// A loaded model file: graph, and weights used where they lie. Immutable; any
// number of sessions and threads may share it.
//
// A file used in place must keep its bytes as long as the model lives. If
// another process makes it shorter, the system ends this one (SIGBUS) when it
// reads past the new end; if one writes into it, results change. To replace a
// model file, rename another one to its name, as lutra's own writers do: the
// old one stays with those who have it open. A copy (LoadOptions) is immune.
class Model {
 public:
  // Maps the file, or reads it, and checks all of it that execution relies on:
  // the graph, the shape of every value, presence, shape and type of every
  // weight, the header of every packed tensor, ids of embeddings excepted
  // (checked when run). Throws Error.
  static std::shared_ptr<const Model> Load(const std::filesystem::path& path);
  static std::shared_ptr<const Model> Load(const std::filesystem::path& path,
                                           const LoadOptions& options);
  // `size` bytes from `offset` on of an open regular file, e.g. an asset of a
  // phone app. The descriptor stays the caller's, who may close it afterwards.
  // `name` takes the place of the path, in messages and in path().
  static std::shared_ptr<const Model> LoadDescriptor(
      int descriptor, uint64_t offset, uint64_t size, std::string_view name,
      const LoadOptions& options = {});
  // Bytes in memory. Used in place, they must outlive the model, which its
  // sessions share, and never change.
  static std::shared_ptr<const Model> LoadMemory(
      Span<const std::byte> bytes, std::string_view name,
      const LoadOptions& options = {});

  // A graph over tensors in memory (see SafetensorsFile::FromTensors), whose
  // values may change between the calls of a program: steps read weights where
  // they lie. Checked like a file. `name` takes the place of the path.
  static std::shared_ptr<const Model> FromTensors(
      const Graph& graph, std::vector<TensorView> tensors,
      std::string_view name);

  const std::string& path() const { return file_.path(); }
  const SafetensorsFile& file() const { return file_; }
  const Graph& graph() const { return graph_; }
  // Inputs and outputs in the order of the graph.
  const std::vector<ValueInfo>& inputs() const { return inputs_; }
  const std::vector<ValueInfo>& outputs() const { return outputs_; }
  const ValueInfo& value(std::string_view name) const;
  // The longest sequence that the model is made for; 0 if the file says none.
  size_t context_length() const { return context_length_; }
  // The packed weight of that name, or nullptr if it is a float tensor.
  const kernels::LutMatrix* packed(std::string_view tensor) const;
  // How the file holds a weight that is 8-bit floats there, and float32 in
  // file(); nullptr for all others.
  const StoredTensor* stored(std::string_view tensor) const;

 private:
  // Puts the adapter of the options beside the graph. Programs that load
  // without options link none of it.
  using AttachFunction = void (*)(const LoadOptions& options,
                                  SafetensorsFile& file, Graph& graph);
  static std::shared_ptr<const Model> Read(SafetensorsFile file,
                                           const LoadOptions& options,
                                           AttachFunction attach);

  explicit Model(SafetensorsFile file) : file_(std::move(file)) {}

  SafetensorsFile file_;
  Graph graph_;
  size_t context_length_ = 0;
  std::vector<ValueInfo> inputs_;
  std::vector<ValueInfo> outputs_;
  std::map<std::string, ValueInfo, std::less<>> values_;
  std::map<std::string, kernels::LutMatrix, std::less<>> packed_;
  std::map<std::string, StoredTensor, std::less<>> stored_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_MODEL_H_
