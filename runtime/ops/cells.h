#ifndef LUTRA_RUNTIME_OPS_CELLS_H_
#define LUTRA_RUNTIME_OPS_CELLS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lutra/runtime/cell_rows.h"
#include "runtime/ops/operators.h"

// What recurrent cells, whose weight is [gates * H, H], have in common.

namespace lutra {

// The attribute that CellRows reads.
AttributeSchema CellDirection();

// H.
size_t CellUnits(const Model& model, const Node& node);

// Throws Error if what the input attributes say, the input or the weight is not
// that of a cell of so many gates.
void CheckCell(const Model& model, const Node& node, const ValueInfo& input,
               size_t gates);

// Throws Error if a cell goes backward through a text of which a part came in
// an earlier call: what comes later would change rows that are there.
void CheckWhole(const Model& model, const Node& node, const CellRows& rows,
                const Call& call);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_CELLS_H_
