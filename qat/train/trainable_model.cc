#include "lutra/qat/trainable_model.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/kernels/vector_ops.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/random.h"
#include "lutra/runtime/safetensors.h"
#include "qat/train/checkpoint.h"

namespace lutra::qat {
namespace {

void FillUniform(Tensor& tensor, float bound, Random& random) {
  for (float& value : tensor.values) value = bound * random.Symmetric();
}

Tensor Unpacked(const kernels::LutMatrix& matrix) {
  Tensor tensor({int64_t{matrix.format.n}, int64_t{matrix.format.k}});
  for (uint32_t row = 0; row < matrix.format.n; ++row) {
    kernels::DequantizeRow(
        matrix, row, tensor.values.data() + size_t{row} * matrix.format.k);
  }
  return tensor;
}

Tensor ReadTensor(const Model& model, const std::string& name) {
  const std::string& path = model.path();
  const TensorView& view = model.file().Get(name);
  Tensor tensor(view.shape);
  if (view.dtype == DType::kFloat16 || view.dtype == DType::kBFloat16) {
    kernels::ToFloat32(
        view.dtype == DType::kFloat16 ? kernels::FloatType::kFloat16
                                      : kernels::FloatType::kBFloat16,
        view.data.data(), tensor.values.size(), tensor.values.data());
  } else {
    const Span<const float> values = view.Floats(path);
    tensor.values.assign(values.begin(), values.end());
  }
  if (!std::all_of(tensor.values.begin(), tensor.values.end(),
                   [](float value) { return std::isfinite(value); })) {
    throw Error::InTensor(path, name, "has a value that is not finite");
  }
  return tensor;
}

// What is written anew, or no longer holds once weights have changed.
bool IsOfTheWriter(std::string_view key) {
  return key == kVersionKey || key == kGraphKey || key == kSchemesKey ||
         key == kTrainKey;
}

}  // namespace

TrainableModel MakeMlp(size_t features, Span<const size_t> hidden,
                       size_t classes, uint64_t seed) {
  std::vector<size_t> sizes{features};
  sizes.insert(sizes.end(), hidden.begin(), hidden.end());
  sizes.push_back(classes);
  constexpr size_t kMaxSize = size_t{1} << 24;
  for (const size_t size : sizes) {
    if (size == 0 || size > kMaxSize) {
      throw Error("a layer of " + std::to_string(size) +
                  " values: sizes from 1 to " + std::to_string(kMaxSize) +
                  " are possible");
    }
  }
  TrainableModel model;
  model.graph.inputs.push_back(
      {"x", ValueType::kFloat32, {static_cast<int64_t>(features)}});
  std::string value = "x";
  for (size_t layer = 1; layer < sizes.size(); ++layer) {
    const std::string name = "fc" + std::to_string(layer);
    const auto k = static_cast<int64_t>(sizes[layer - 1]);
    const auto n = static_cast<int64_t>(sizes[layer]);
    Random random(seed, /*stream=*/layer);
    const float bound = 1.0f / std::sqrt(static_cast<float>(k));
    Tensor weight({n, k});
    FillUniform(weight, bound, random);
    Tensor bias({n});
    FillUniform(bias, bound, random);
    model.parameters.emplace(name + ".weight", std::move(weight));
    model.parameters.emplace(name + ".bias", std::move(bias));
    const bool last = layer + 1 == sizes.size();
    const std::string output = last ? "logits" : name;
    model.graph.nodes.push_back(
        {OpType::kLinear, {value}, output, name + ".weight", name + ".bias"});
    value = output;
    if (!last) {
      value = "relu" + std::to_string(layer);
      model.graph.nodes.push_back({OpType::kRelu, {output}, value, "", ""});
    }
  }
  model.graph.outputs.push_back(value);
  return model;
}

TrainableModel LoadTrainableModel(const std::filesystem::path& path,
                                  PackedWeights packed) {
  const std::shared_ptr<const Model> file = Model::Load(path);
  TrainableModel model;
  model.graph = file->graph();
  for (const Node& node : model.graph.nodes) {
    for (const std::string& name : {node.weight, node.bias}) {
      if (name.empty() || model.parameters.contains(name)) continue;
      const kernels::LutMatrix* const matrix = file->packed(name);
      if (matrix == nullptr) {
        model.parameters.emplace(name, ReadTensor(*file, name));
        continue;
      }
      if (packed == PackedWeights::kRefuse) {
        throw Error::InTensor(file->path(), name,
                              "is packed; training needs float weights, or "
                              "adapters beside it");
      }
      model.parameters.emplace(name, Unpacked(*matrix));
      const TensorView& view = file->file().Get(name);
      model.packed.emplace(name,
                           TrainableModel::OtherTensor{
                               view, {view.data.begin(), view.data.end()}});
    }
  }
  for (const auto& [key, value] : file->file().metadata()) {
    // The schemes of packed weights hold as long as these.
    const bool kept = key == kSchemesKey && !model.packed.empty();
    if (kept || !IsOfTheWriter(key)) model.metadata.emplace(key, value);
  }
  for (const TensorView& tensor : file->file().tensors()) {
    if (model.parameters.contains(tensor.name)) continue;
    model.others.push_back({tensor, {tensor.data.begin(), tensor.data.end()}});
  }
  return model;
}

void WriteModel(const std::filesystem::path& path, const TrainableModel& model,
                const SchemeMap& schemes,
                const std::map<std::string, std::string>& extra_metadata) {
  std::map<std::string, std::string> metadata{
      {std::string(kVersionKey), std::to_string(kModelVersion)},
      {std::string(kGraphKey), GraphToJson(model.graph)}};
  if (!schemes.empty()) {
    metadata.emplace(kSchemesKey, SchemesToJson(schemes));
  }
  metadata.insert(extra_metadata.begin(), extra_metadata.end());
  metadata.insert(model.metadata.begin(), model.metadata.end());
  std::vector<TensorInfo> infos;
  for (const auto& [name, tensor] : model.parameters) {
    const auto packed = model.packed.find(name);
    infos.push_back(packed == model.packed.end()
                        ? TensorInfo{name, DType::kFloat32, tensor.shape}
                        : packed->second.info);
  }
  for (const auto& other : model.others) infos.push_back(other.info);
  SafetensorsWriter writer(path, metadata, infos);
  for (const auto& [name, tensor] : model.parameters) {
    const auto packed = model.packed.find(name);
    writer.Write(name, packed == model.packed.end()
                           ? std::as_bytes(std::span(tensor.values))
                           : std::span<const std::byte>(packed->second.bytes));
  }
  for (const auto& other : model.others) {
    writer.Write(other.info.name, other.bytes);
  }
  writer.Commit();
}

SchemeMap ResolveSchemes(const TrainableModel& model,
                         const SchemeRules& rules) {
  SchemeMap schemes;
  for (const RuleTarget& target : RuleTargets(model.graph)) {
    const std::optional<QuantScheme> scheme = rules.Match(target);
    const auto tensor = model.parameters.find(target.tensor);
    if (!scheme || tensor == model.parameters.end()) continue;
    const std::vector<int64_t>& shape = tensor->second.shape;
    schemes.emplace(target.tensor,
                    ForRow(*scheme, shape.empty() ? 0 : shape.back()));
  }
  return schemes;
}

std::vector<RuleTarget> RuleTargets(const Graph& graph) {
  std::vector<RuleTarget> targets;
  std::set<std::string_view> seen;
  for (const Node& node : graph.nodes) {
    if (IsPackable(node.op) && seen.insert(node.weight).second) {
      targets.emplace_back(node.weight, node.op);
    }
  }
  return targets;
}

}  // namespace lutra::qat
