#ifndef LUTRA_PACKER_IMPORT_TFLITE_TFLITE_FILE_H_
#define LUTRA_PACKER_IMPORT_TFLITE_TFLITE_FILE_H_

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "packer/import/network/constant.h"

// The container: a FlatBuffer (tflite.fbs), checked as a whole before anything
// of it is used.

namespace lutra::packer {

struct TfliteTensor {
  std::string name;
  std::vector<int64_t> shape;  // -1: a size that is not known
  std::optional<ElementType> type;
  std::optional<Constant> constant;  // numbers of the file, in row-major order
  // Of whole numbers: one scale, or one for each place of a dimension.
  std::vector<float> scales;
  std::vector<int64_t> zeros;
  size_t quantized_dim = 0;
};

struct TfliteOperator {
  int64_t code = 0;
  std::string name;             // of an operator of the app's own
  std::vector<int64_t> inputs;  // tensors; -1: none
  std::vector<int64_t> outputs;
  // Whatever of these the operator has.
  bool same_padding = false;
  std::array<int64_t, 2> stride = {1, 1};
  std::array<int64_t, 2> dilation = {1, 1};
  std::array<int64_t, 2> kernel = {1, 1};
  int64_t activation = 0;
  float beta = 1;
  int64_t axis = 0;
  bool keeps_dims = false;
  std::vector<int64_t> shape;
};

struct TfliteGraph {
  std::vector<TfliteTensor> tensors;
  std::vector<TfliteOperator> operators;  // in an order that can be executed
  std::vector<int64_t> inputs;
  std::vector<int64_t> outputs;
};

// Throws Error; always where the build has no FlatBuffers.
TfliteGraph ReadTflite(const std::filesystem::path& path);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_TFLITE_TFLITE_FILE_H_
