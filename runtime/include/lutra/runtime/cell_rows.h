#ifndef LUTRA_RUNTIME_CELL_ROWS_H_
#define LUTRA_RUNTIME_CELL_ROWS_H_

#include <algorithm>
#include <cstddef>

#include "lutra/runtime/graph.h"
#include "lutra/runtime/operator.h"

namespace lutra {

// The order in which a node of lstm_cell or gru_cell takes the rows of a
// sequence: from the first to the last one or, as its `direction` says,
// backward.
class CellRows {
 public:
  explicit CellRows(const Node& node)
      : backward_(WordAttribute(node, "direction") == "backward") {}

  bool backward() const { return backward_; }

  // The row of a call that is taken in step t of the sequence.
  size_t Row(const SequenceRows& rows, size_t t) const {
    return rows.first + (backward_ ? rows.count - 1 - t : t);
  }

  // Steps of the longest sequence of a call.
  static size_t Longest(const Call& call) {
    size_t longest = 0;
    for (const SequenceRows& rows : call.sequences) {
      longest = std::max(longest, rows.count);
    }
    return longest;
  }

 private:
  bool backward_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_CELL_ROWS_H_
