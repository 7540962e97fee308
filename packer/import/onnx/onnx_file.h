#ifndef LUTRA_PACKER_IMPORT_ONNX_ONNX_FILE_H_
#define LUTRA_PACKER_IMPORT_ONNX_ONNX_FILE_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "packer/import/network/constant.h"

// The container: a protocol buffer (https://onnx.ai/onnx/repo-docs/IR.html,
// onnx/onnx.proto). Weights stay where they are, in the mapped file or in
// files beside it.

namespace lutra::packer {

struct OnnxAttribute {
  // As the file has them.
  enum class Type {
    kFloat = 1,
    kInt,
    kString,
    kTensor,
    kFloats = 6,
    kInts,
    kStrings
  };
  int64_t type = 0;
  float number = 0;
  int64_t integer = 0;
  std::string text;
  std::vector<int64_t> integers;
  std::vector<float> numbers;
  std::vector<std::string> texts;
  std::optional<Constant> tensor;
};

struct OnnxNode {
  std::string name;
  std::string op;
  std::string domain;  // empty: ONNX's own
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::map<std::string, OnnxAttribute, std::less<>> attributes;

  // "com.microsoft.MatMulNBits".
  std::string FullName() const;
};

// A size is -1 if it is not known; then it may have a name.
struct OnnxDim {
  int64_t size = -1;
  std::string name;
};

struct OnnxInput {
  std::string name;
  int64_t type = 0;
  std::vector<OnnxDim> shape;
};

struct OnnxGraph {
  int64_t opset = 0;
  std::vector<OnnxNode> nodes;  // in an order that can be executed
  std::map<std::string, Constant, std::less<>> constants;
  std::vector<OnnxInput> inputs;
  std::vector<std::string> outputs;
};

// Number of a type in the file for ElementType; nullopt for those that are not
// known, as texts.
std::optional<ElementType> OnnxType(int64_t type);

// Checks names, order, types and sizes. Files beside the model are opened only
// if they lie in its folder. Throws Error.
OnnxGraph ReadOnnx(const std::filesystem::path& path);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_ONNX_ONNX_FILE_H_
