#include "tools/cli/repeats.h"

#include <algorithm>

namespace lutra::tools {

std::vector<Repeat> FindRepeats(
    size_t size, const std::function<bool(size_t i, size_t j)>& same) {
  constexpr size_t kShortest = 2;
  constexpr size_t kLongest = 512;
  constexpr size_t kFewest = 4;    // that are repeated
  std::vector<Repeat> best(size);  // from each place on
  for (size_t length = kShortest; length <= std::min(kLongest, size / 2);
       ++length) {
    size_t alike = 0;  // items from here on that are like those `length` later
    for (size_t i = size - length; i-- > 0;) {
      alike = same(i, i + length) ? alike + 1 : 0;
      const size_t times = alike / length + 1;
      if ((times - 1) * length >= kFewest &&
          times * length > best[i].times * best[i].length) {
        best[i] = {i, length, times};
      }
    }
  }
  std::vector<Repeat> repeats;
  for (size_t i = 0; i < size;) {
    if (best[i].times == 0) {
      ++i;
      continue;
    }
    repeats.push_back(best[i]);
    i += best[i].length * best[i].times;
  }
  return repeats;
}

}  // namespace lutra::tools
