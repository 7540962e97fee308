#ifndef LUTRA_PACKER_IMPORT_NETWORK_BROADCAST_H_
#define LUTRA_PACKER_IMPORT_NETWORK_BROADCAST_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "packer/import/network/constant.h"
#include "packer/import/network/view.h"

// Two arrays that an operator takes together, as numpy broadcasts them.

namespace lutra::packer {

using Dims = std::vector<std::vector<Axis>>;

// Cuts the axes of two dimensions so that both have the same sizes. False if
// that cannot be.
bool CutAlike(std::vector<Axis>& a, std::vector<Axis>& b);

// The dimensions that both broadcast to.
Dims CommonDims(const View& a, const View& b);

// Throws Error with the bare cause if that cannot be.
View BroadcastTo(const View& view, const Dims& dims);

// The numbers of a constant as floats or as whole numbers.
template <typename T>
std::vector<T> NumbersOf(const Constant& constant) {
  if constexpr (std::is_same_v<T, float>) {
    return constant.Floats();
  } else {
    return constant.Integers();
  }
}

// Two constants in one shape.
struct ConstantPair {
  std::vector<int64_t> shape;
  Constant a;
  Constant b;
};
// Throws Error with the bare cause if there is none.
ConstantPair BroadcastTogether(const Constant& a, const Constant& b);

// function(element of a, element of b), read as T, in one shape.
template <typename T, typename Function>
Constant Combined(std::string name, const Constant& a, const Constant& b,
                  const Function& function) {
  const ConstantPair pair = BroadcastTogether(a, b);
  const std::vector<T> left = NumbersOf<T>(pair.a);
  const std::vector<T> right = NumbersOf<T>(pair.b);
  std::vector<decltype(function(left[0], right[0]))> values;
  values.reserve(left.size());
  for (size_t i = 0; i < left.size(); ++i) {
    values.push_back(function(left[i], right[i]));
  }
  return MakeConstant(std::move(name), Elements::Of(std::move(values)),
                      pair.shape);
}

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_NETWORK_BROADCAST_H_
