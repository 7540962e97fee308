// ONNX (https://onnx.ai): a graph of operators over arrays, as training
// libraries write them.

#include <algorithm>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/import_plan.h"
#include "packer/import/network/missing.h"
#include "packer/import/onnx/onnx_file.h"
#include "packer/import/onnx/onnx_importer.h"
#include "packer/import/onnx/onnx_patterns.h"
#include "packer/import/onnx/open_texts.h"

namespace lutra::packer {
namespace {

bool IsRecurrent(const OnnxGraph& graph) {
  return std::any_of(
      graph.nodes.begin(), graph.nodes.end(), [](const OnnxNode& node) {
        return node.op == "LSTM" || node.op == "GRU" || node.op == "RNN";
      });
}

bool HasOpenSizes(const OnnxGraph& graph) {
  for (const OnnxInput& input : graph.inputs) {
    for (const OnnxDim& dim : input.shape) {
      if (dim.size < 0) return true;
    }
  }
  return false;
}

// Open dimensions that may be the steps of a text: of inputs of several
// dimensions, the later ones first. If there is one alone it may be a batch.
std::vector<std::string> StepsOf(const OnnxGraph& graph) {
  std::vector<std::pair<size_t, std::string>> found;
  for (const OnnxInput& input : graph.inputs) {
    for (size_t i = 0; i < input.shape.size(); ++i) {
      if (input.shape[i].size >= 0) continue;
      std::pair<size_t, std::string> dim = {i, OpenDimName(input.shape[i], i)};
      const auto same = std::find_if(
          found.begin(), found.end(),
          [&](const auto& other) { return other.second == dim.second; });
      if (same == found.end()) {
        found.push_back(std::move(dim));
      } else {
        same->first = std::max(same->first, dim.first);
      }
    }
  }
  std::stable_sort(
      found.begin(), found.end(),
      [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> names;
  for (auto& [place, name] : found) {
    if (place > 0 || found.size() > 1) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

ImportPlan PlanOnnx(const ImportOptions& options) {
  OnnxGraph graph = ReadOnnx(options.source);
  UseGelu(graph);
  UseNorms(graph);
  const OnnxRows first =
      IsRecurrent(graph) ? OnnxRows::kSteps : OnnxRows::kBatch;
  Missing missing;
  ImportPlan plan = OnnxImporter(options, graph, first).Run(missing);
  if (missing.empty()) return plan;
  // A first dimension of a fixed size may be something else than a batch.
  if (!HasOpenSizes(graph)) {
    Missing rest;
    plan = OnnxImporter(options, graph, OnnxRows::kNone).Run(rest);
    if (rest.empty()) return plan;
  }
  // What the reading that lacks least lacks is told of.
  bool is_likely = true;
  for (const std::string& steps : StepsOf(graph)) {
    OpenTexts texts(options, graph, steps);
    OnnxImporter importer(options, graph, first);
    importer.UseTexts(texts);
    Missing rest;
    try {
      plan = importer.Run(rest);
    } catch (const Error& error) {
      // A graph that was made for one length, for instance.
      std::string cause = error.what();
      const std::string file = options.source.string() + ": ";
      if (cause.starts_with(file)) cause.erase(0, file.size());
      missing.Add("texts of several lengths", cause);
      continue;
    }
    if (rest.empty()) return plan;
    if (rest.size() < missing.size() + (is_likely ? 1 : 0)) {
      missing = std::move(rest);
    }
    is_likely = false;
  }
  missing.Refuse(options.source.string());
}

}  // namespace lutra::packer
