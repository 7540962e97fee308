#ifndef LUTRA_QAT_RANDOM_H_
#define LUTRA_QAT_RANDOM_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "lutra/runtime/random.h"

namespace lutra::qat {

using lutra::Random;

// Fisher and Yates' shuffle.
template <typename T>
void Shuffle(std::vector<T>& items, Random& random) {
  for (size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[random.Below(i)]);
  }
}

}  // namespace lutra::qat

#endif  // LUTRA_QAT_RANDOM_H_
