#ifndef LUTRA_QAT_TENSOR_H_
#define LUTRA_QAT_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace lutra::qat {

// A dense float tensor in memory, row-major.
struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> values;  // as many as the product of the shape

  Tensor() = default;
  // All zero. `tensor_shape` holds positive sizes whose product fits memory.
  explicit Tensor(std::vector<int64_t> tensor_shape)
      : shape(std::move(tensor_shape)) {
    size_t count = 1;
    for (const int64_t size : shape) count *= static_cast<size_t>(size);
    values.resize(count);
  }
};

// Parameters of a graph by the name that its nodes use.
using TensorMap = std::map<std::string, Tensor, std::less<>>;

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TENSOR_H_
