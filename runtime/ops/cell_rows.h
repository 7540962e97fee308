#ifndef LUTRA_RUNTIME_OPS_CELL_ROWS_H_
#define LUTRA_RUNTIME_OPS_CELL_ROWS_H_

#include <algorithm>
#include <cstddef>
#include <string>

#include "runtime/ops/operators.h"

// The order in which recurrent cells take the rows of a sequence: from the
// first to the last one or, in texts that are there as a whole, backward.

namespace lutra {

inline AttributeSchema CellDirection() {
  return {.name = "direction",
          .kind = AttributeKind::kWord,
          .required = false,
          .words = "forward backward"};
}

class CellRows {
 public:
  explicit CellRows(const Node& node)
      : backward_(WordAttribute(node, "direction") == "backward") {}

  // The row of step t.
  size_t Row(const SequenceRows& rows, size_t t) const {
    return rows.first + (backward_ ? rows.count - 1 - t : t);
  }

  static size_t Longest(const Call& call) {
    size_t longest = 0;
    for (const SequenceRows& rows : call.sequences) {
      longest = std::max(longest, rows.count);
    }
    return longest;
  }

  // Throws Error if what comes later would change rows that are there.
  void Check(const Model& model, const Node& node, const Call& call) const {
    if (!backward_) return;
    for (const SequenceRows& rows : call.sequences) {
      if (rows.position == 0) continue;
      throw NodeError(model, node,
                      "it goes backward, so a text comes in one call, and " +
                          std::to_string(rows.position) +
                          " of its tokens came before",
                      ErrorCode::kInvalidArgument);
    }
  }

 private:
  bool backward_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_CELL_ROWS_H_
