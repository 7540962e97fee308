#ifndef LUTRA_QAT_PROX_MAP_H_
#define LUTRA_QAT_PROX_MAP_H_

#include <cstddef>
#include <cstdint>
#include <optional>

namespace lutra::qat {

// What a proximal map works on, in place.
struct ProxArguments {
  float* p = nullptr;           // [rows, columns]
  const float* q = nullptr;     // hard-quantized p if this is a refresh step
  const float* grid = nullptr;  // [rows or 1, levels]
  size_t rows = 0;
  size_t columns = 0;
  size_t levels = 0;
  bool per_row = false;
};

// Pulls parameters towards their grid; how far depends on the step number.
class ProxMap {
 public:
  virtual ~ProxMap() = default;
  // Returns the inverse slope if the map has one (0 once annealing has ended).
  virtual std::optional<double> Apply(const ProxArguments& arguments,
                                      int64_t step) const = 0;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_PROX_MAP_H_
