#include "lutra/packer/diff.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "lutra/kernels/lut_matrix.h"
#include "lutra/runtime/graph.h"
#include "lutra/runtime/model.h"
#include "packer/weights/compare.h"
#include "packer/weights/row_source.h"

namespace lutra::packer {
namespace {

// A blob that can be read, whether or not a graph says so.
std::optional<kernels::LutMatrix> MatrixOf(const TensorView& tensor) {
  if (tensor.dtype != DType::kUInt8) return std::nullopt;
  const auto* blob = reinterpret_cast<const uint8_t*>(tensor.data.data());
  if (reinterpret_cast<uintptr_t>(blob) % kernels::kBlobAlignment != 0) {
    return std::nullopt;
  }
  kernels::LutMatrix matrix;
  if (kernels::ParseLutMatrix(blob, tensor.data.size(), &matrix) != nullptr) {
    return std::nullopt;
  }
  return matrix;
}

std::string Describe(const TensorView& tensor) {
  const auto matrix = MatrixOf(tensor);
  if (!matrix) {
    return std::string(Name(tensor.dtype)) + ' ' + ShapeToString(tensor.shape);
  }
  const std::vector<int64_t> shape = {matrix->format.n, matrix->format.k};
  return std::to_string(matrix->format.bits) + "-bit LUT " +
         ShapeToString(shape);
}

// The numbers of a tensor; nullopt if it holds others than floats.
std::optional<RowSource> SourceOf(const TensorView& tensor,
                                  const std::string& file) {
  if (const auto matrix = MatrixOf(tensor)) return RowSource(*matrix);
  switch (tensor.dtype) {
    case DType::kFloat32:
    case DType::kFloat16:
    case DType::kBFloat16:
      return RowSource(tensor, file);
    default:
      return std::nullopt;
  }
}

void CompareTensors(const SafetensorsFile& before, const SafetensorsFile& after,
                    Executor* executor, FileDifferences& result) {
  using Kind = TensorDifference::Kind;
  for (const TensorView& tensor : before.tensors()) {
    const TensorView* other = after.Find(tensor.name);
    if (other == nullptr) {
      result.tensors.push_back(
          {tensor.name, Kind::kRemoved, Describe(tensor), "", {}, {}});
      continue;
    }
    if (tensor.dtype == other->dtype && tensor.shape == other->shape &&
        std::equal(tensor.data.begin(), tensor.data.end(),
                   other->data.begin())) {
      ++result.same_tensors;
      continue;
    }
    TensorDifference difference{
        tensor.name, Kind::kChanged, Describe(tensor), Describe(*other), {},
        {}};
    const auto a = SourceOf(tensor, before.path());
    const auto b = SourceOf(*other, after.path());
    if (a && b && a->rows() == b->rows() && a->columns() == b->columns()) {
      const Differences differences = Compare(*a, *b, executor);
      difference.sqnr_db = differences.SqnrDb();
      difference.max_error = differences.max_error;
    }
    result.tensors.push_back(std::move(difference));
  }
  for (const TensorView& tensor : after.tensors()) {
    if (before.Find(tensor.name) != nullptr) continue;
    result.tensors.push_back(
        {tensor.name, Kind::kAdded, "", Describe(tensor), {}, {}});
  }
}

// Lines about the keys of two maps.
template <typename Map>
void CompareMaps(const Map& before, const Map& after, const std::string& what,
                 std::vector<std::string>& lines) {
  for (const auto& [key, value] : before) {
    const auto other = after.find(key);
    if (other == after.end()) {
      lines.push_back(what + key + ": removed");
    } else if (other->second != value) {
      lines.push_back(what + key + ": changed");
    }
  }
  for (const auto& [key, value] : after) {
    if (!before.contains(key)) lines.push_back(what + key + ": added");
  }
}

using Texts = std::map<std::string, std::string>;

// Nodes by the name of their output, and inputs and outputs, as text.
Texts PartsOf(const std::string& json, const std::string& file) {
  const Graph graph = ParseGraph(json, file);
  Texts parts;
  for (const Node& node : graph.nodes) {
    parts["node " + node.output] = GraphToJson({{}, {node}, {}});
  }
  parts["inputs"] = GraphToJson({graph.inputs, {}, {}});
  parts["outputs"] = GraphToJson({{}, {}, graph.outputs});
  return parts;
}

void CompareMetadata(const SafetensorsFile& before,
                     const SafetensorsFile& after, FileDifferences& result) {
  Texts a = before.metadata();
  Texts b = after.metadata();
  const auto graph_a = a.extract(std::string(kGraphKey));
  const auto graph_b = b.extract(std::string(kGraphKey));
  CompareMaps(a, b, "", result.metadata);
  if (graph_a.empty() && graph_b.empty()) return;
  const auto parts = [](const Texts::node_type& graph,
                        const SafetensorsFile& file) {
    return graph.empty() ? Texts() : PartsOf(graph.mapped(), file.path());
  };
  CompareMaps(parts(graph_a, before), parts(graph_b, after), "", result.graph);
}

}  // namespace

FileDifferences Diff(const SafetensorsFile& before,
                     const SafetensorsFile& after, Executor* executor) {
  FileDifferences result;
  CompareTensors(before, after, executor, result);
  CompareMetadata(before, after, result);
  return result;
}

}  // namespace lutra::packer
