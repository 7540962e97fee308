#ifndef LUTRA_PACKER_IMPORT_ONNX_ONNX_INDEX_H_
#define LUTRA_PACKER_IMPORT_ONNX_ONNX_INDEX_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "packer/import/onnx/onnx_file.h"

namespace lutra::packer {

// Who makes and who reads what in a graph, for patterns of several nodes. It
// stays as it was when nodes change.
class OnnxIndex {
 public:
  explicit OnnxIndex(OnnxGraph& graph);

  static bool Is(const OnnxNode& node, std::string_view op, size_t inputs);
  // The place of the one of two inputs that is not this.
  static size_t Other(const OnnxNode& node, std::string_view input);

  const std::vector<OnnxNode*>& ReadersOf(const OnnxNode& node) const;
  // The only node that reads what this one makes; nullptr if there are several,
  // or if it is an output of the graph.
  OnnxNode* OnlyReaderOf(const OnnxNode& node) const;
  // nullptr of inputs and constants.
  const OnnxNode* MakerOf(std::string_view name) const;
  // nullptr if it is none.
  const Constant* ConstantOf(std::string_view name) const;
  // Of a constant that is one float.
  std::optional<double> Number(std::string_view name) const;

 private:
  const OnnxGraph& graph_;
  std::map<std::string, const OnnxNode*, std::less<>> makers_;
  std::map<std::string, std::vector<OnnxNode*>, std::less<>> readers_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_ONNX_ONNX_INDEX_H_
