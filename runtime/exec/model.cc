#include "lutra/runtime/model.h"

#include <charconv>
#include <cstdint>
#include <system_error>
#include <utility>

#include "kernels/base/checked_math.h"
#include "lutra.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/operator.h"
#include "runtime/base/text_of.h"
#include "runtime/exec/adapter_folder.h"
#include "runtime/exec/float8_weights.h"
#include "runtime/ops/weight.h"

namespace lutra {
namespace {

constexpr size_t kMaxValueRank = LUTRA_MAX_RANK;
// Far above any sequence; keeps sizes of caches from overflowing.
constexpr size_t kMaxContext = size_t{1} << 30;
// Elements of a value per token. Memory for a call is tokens times this.
constexpr size_t kMaxValueElements = size_t{1} << 31;

const std::string& RequiredMetadata(const SafetensorsFile& file,
                                    std::string_view key) {
  const auto entry = file.metadata().find(std::string(key));
  if (entry == file.metadata().end()) {
    throw Error::InFile(file.path(), TextOf("not a lutra model: metadata '",
                                            key, "' is missing"));
  }
  return entry->second;
}

void CheckVersion(const SafetensorsFile& file) {
  const std::string& version = RequiredMetadata(file, kVersionKey);
  if (version != std::to_string(kModelVersion)) {
    throw Error::InFile(
        file.path(),
        TextOf("model version '", version,
               "' is not supported; this build reads version ", kModelVersion),
        ErrorCode::kUnsupported);
  }
}

size_t ReadContextLength(const SafetensorsFile& file) {
  const auto entry = file.metadata().find(std::string(kContextLengthKey));
  if (entry == file.metadata().end()) return 0;
  const std::string& text = entry->second;
  size_t length = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), length);
  if (error != std::errc() || end != text.data() + text.size() || length == 0 ||
      length > kMaxContext) {
    throw Error::InFile(file.path(),
                        TextOf("metadata '", kContextLengthKey, "' is '", text,
                               "', not a number from 1 to ", kMaxContext));
  }
  return length;
}

void CheckValue(const ValueInfo& value, const std::string& file) {
  if (value.shape.size() > kMaxValueRank) {
    throw Error::InFile(file,
                        TextOf("graph: value '", value.name, "' has more than ",
                               kMaxValueRank, " dimensions"),
                        ErrorCode::kUnsupported);
  }
  const auto count = CheckedElementCount(value.shape);
  if (!count || *count == 0 || *count > kMaxValueElements) {
    throw Error::InFile(file,
                        TextOf("graph: value '", value.name, "' of shape ",
                               ShapeToString(value.shape), " is not possible"));
  }
}

std::map<std::string, kernels::LutMatrix, std::less<>> ParsePackedWeights(
    const SafetensorsFile& file, const Graph& graph) {
  std::map<std::string, kernels::LutMatrix, std::less<>> packed;
  for (const Node& node : graph.nodes) {
    if (!IsPackable(node.op) || packed.contains(node.weight)) continue;
    const TensorView& tensor = file.Get(node.weight);
    if (tensor.dtype == DType::kUInt8) {
      packed.emplace(node.weight, ParsePacked(tensor, file.path()));
    }
  }
  return packed;
}

void VerifyChecksums(const Model& model) {
  for (const TensorView& tensor : model.file().tensors()) {
    const kernels::LutMatrix* matrix = model.packed(tensor.name);
    if (matrix != nullptr && !kernels::ChecksumMatches(*matrix)) {
      throw Error::InTensor(
          model.path(), tensor.name,
          "its checksum does not match: the bytes are damaged");
    }
  }
}

// Checks that graph and tensors fit each other follow with those of the model.
void AttachAdapter(const LoadOptions& options, SafetensorsFile& file,
                   Graph& graph) {
  AdapterFolder folder =
      ReadAdapterFolder(options.adapter, graph, options.storage);
  try {
    AddAdapters(folder.adapters, graph);
  } catch (const Error& error) {
    throw Error::InFile(folder.file.path(),
                        TextOf(error.what(), " in ", file.path()));
  }
  file.Add(folder.file, std::move(folder.tensors));
  // New values may have the names of others.
  graph = ParseGraph(GraphToJson(graph), file.path());
}

using ValueMap = std::map<std::string, ValueInfo, std::less<>>;

ValueMap InferValues(const Model& model) {
  ValueMap values;
  for (const GraphInput& input : model.graph().inputs) {
    const ValueInfo value{input.name, input.type, input.shape};
    CheckValue(value, model.path());
    values.emplace(value.name, value);
  }
  for (const Node& node : model.graph().nodes) {
    std::vector<const ValueInfo*> inputs;
    for (const std::string& name : node.inputs) {
      inputs.push_back(&values.at(name));
    }
    const ValueInfo value{node.output, ValueType::kFloat32,
                          GetOperator(node.op).InferShape(model, node, inputs)};
    CheckValue(value, model.path());
    values.emplace(value.name, value);
  }
  return values;
}

}  // namespace

size_t ValueInfo::ElementCount() const {
  size_t count = 1;
  for (const int64_t dimension : shape) count *= static_cast<size_t>(dimension);
  return count;
}

std::shared_ptr<const Model> Model::Load(const std::filesystem::path& path) {
  return Read(SafetensorsFile::Open(path, Storage::kInPlace), {}, nullptr);
}

std::shared_ptr<const Model> Model::Load(const std::filesystem::path& path,
                                         const LoadOptions& options) {
  return Read(SafetensorsFile::Open(path, options.storage), options,
              &AttachAdapter);
}

std::shared_ptr<const Model> Model::LoadDescriptor(int descriptor,
                                                   uint64_t offset,
                                                   uint64_t size,
                                                   std::string_view name,
                                                   const LoadOptions& options) {
  return Read(SafetensorsFile::OpenDescriptor(descriptor, offset, size, name,
                                              options.storage),
              options, &AttachAdapter);
}

std::shared_ptr<const Model> Model::LoadMemory(Span<const std::byte> bytes,
                                               std::string_view name,
                                               const LoadOptions& options) {
  return Read(SafetensorsFile::OpenMemory(bytes, name, options.storage),
              options, &AttachAdapter);
}

std::shared_ptr<const Model> Model::FromTensors(const Graph& graph,
                                                std::vector<TensorView> tensors,
                                                std::string_view name) {
  std::map<std::string, std::string> metadata = {
      {std::string(kVersionKey), std::to_string(kModelVersion)},
      {std::string(kGraphKey), GraphToJson(graph)}};
  return Read(SafetensorsFile::FromTensors(name, std::move(metadata),
                                           std::move(tensors)),
              {}, nullptr);
}

std::shared_ptr<const Model> Model::Read(SafetensorsFile file,
                                         const LoadOptions& options,
                                         AttachFunction attach) {
  const std::shared_ptr<Model> model(new Model(std::move(file)));
  CheckVersion(model->file_);
  model->graph_ =
      ParseGraph(RequiredMetadata(model->file_, kGraphKey), model->path());
  if (!options.adapter.empty()) attach(options, model->file_, model->graph_);
  model->context_length_ = ReadContextLength(model->file_);
  model->stored_ = ExpandFloat8(model->graph_, model->file_);
  model->packed_ = ParsePackedWeights(model->file_, model->graph_);
  if (options.verify_checksums) VerifyChecksums(*model);
  model->values_ = InferValues(*model);
  for (const GraphInput& input : model->graph_.inputs) {
    model->inputs_.push_back(model->value(input.name));
  }
  for (const std::string& name : model->graph_.outputs) {
    const ValueInfo& value = model->value(name);
    if (value.type != ValueType::kFloat32) {
      throw Error::InFile(model->path(),
                          TextOf("graph: output '", name, "' is not float32"),
                          ErrorCode::kUnsupported);
    }
    model->outputs_.push_back(value);
  }
  return model;
}

const ValueInfo& Model::value(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) {
    throw Error::InFile(path(), TextOf("graph: no value '", name, "'"),
                        ErrorCode::kInvalidArgument);
  }
  return found->second;
}

std::string Float8ScalesName(std::string_view weight) {
  return TextOf(weight, ".scales");
}

const StoredTensor* Model::stored(std::string_view tensor) const {
  const auto found = stored_.find(tensor);
  return found == stored_.end() ? nullptr : &found->second;
}

const kernels::LutMatrix* Model::packed(std::string_view tensor) const {
  const auto found = packed_.find(tensor);
  return found == packed_.end() ? nullptr : &found->second;
}

}  // namespace lutra
