#ifndef LUTRA_TOOLS_CLI_REPEATS_H_
#define LUTRA_TOOLS_CLI_REPEATS_H_

#include <cstddef>
#include <functional>
#include <vector>

namespace lutra::tools {

// A part of a sequence that comes several times in a row.
struct Repeat {
  size_t first = 0;
  size_t length = 0;  // of one
  size_t times = 0;   // at least 2
};

// Repeats in a sequence of `size` items, from its start on, none of which
// overlap: each is the one from its place on that takes most items, of equal
// ones the shortest. `same(i, j)`, i < j, says whether items are alike. Parts
// have 2 to 512 items; those that repeat less than four items are left out.
std::vector<Repeat> FindRepeats(
    size_t size, const std::function<bool(size_t i, size_t j)>& same);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_REPEATS_H_
