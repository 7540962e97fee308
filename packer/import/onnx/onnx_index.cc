#include "packer/import/onnx/onnx_index.h"

#include <algorithm>

namespace lutra::packer {

OnnxIndex::OnnxIndex(OnnxGraph& graph) : graph_(graph) {
  for (OnnxNode& node : graph.nodes) {
    for (const std::string& output : node.outputs) makers_[output] = &node;
    for (const std::string& input : node.inputs) {
      readers_[input].push_back(&node);
    }
  }
}

bool OnnxIndex::Is(const OnnxNode& node, std::string_view op, size_t inputs) {
  return node.FullName() == op && node.inputs.size() == inputs &&
         node.outputs.size() == 1;
}

size_t OnnxIndex::Other(const OnnxNode& node, std::string_view input) {
  return node.inputs[0] == input ? 1 : 0;
}

const std::vector<OnnxNode*>& OnnxIndex::ReadersOf(const OnnxNode& node) const {
  static const std::vector<OnnxNode*> kNone;
  const auto found = readers_.find(node.outputs[0]);
  return found == readers_.end() ? kNone : found->second;
}

OnnxNode* OnnxIndex::OnlyReaderOf(const OnnxNode& node) const {
  const std::vector<OnnxNode*>& readers = ReadersOf(node);
  const auto& outputs = graph_.outputs;
  if (readers.size() != 1 || std::find(outputs.begin(), outputs.end(),
                                       node.outputs[0]) != outputs.end()) {
    return nullptr;
  }
  return readers[0];
}

const OnnxNode* OnnxIndex::MakerOf(std::string_view name) const {
  const auto maker = makers_.find(name);
  return maker == makers_.end() ? nullptr : maker->second;
}

const Constant* OnnxIndex::ConstantOf(std::string_view name) const {
  if (const OnnxNode* maker = MakerOf(name);
      maker != nullptr && Is(*maker, "Constant", 0)) {
    const auto value = maker->attributes.find("value");
    if (value == maker->attributes.end() || !value->second.tensor) {
      return nullptr;
    }
    return &*value->second.tensor;
  }
  const auto known = graph_.constants.find(name);
  return known == graph_.constants.end() ? nullptr : &known->second;
}

std::optional<double> OnnxIndex::Number(std::string_view name) const {
  const Constant* const constant = ConstantOf(name);
  if (constant == nullptr || !constant->is_float() || constant->Count() != 1) {
    return std::nullopt;
  }
  return constant->Floats()[0];
}

}  // namespace lutra::packer
