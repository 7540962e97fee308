#ifndef LUTRA_RUNTIME_EXEC_PLAN_H_
#define LUTRA_RUNTIME_EXEC_PLAN_H_

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lutra/runtime/model.h"
#include "lutra/runtime/session.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/exec/memory_plan.h"
#include "runtime/exec/schedule.h"
#include "runtime/ops/operator.h"

namespace lutra {

// Everything needed to run a number of tokens: an arena, and the steps bound to
// it.
class Plan {
 public:
  struct Size {
    size_t m = 0;
    // Outputs of the last token only.
    bool last = false;
    auto operator<=>(const Size&) const = default;
  };

  // `states[i]` is the state of node i. Throws Error.
  Plan(const Model& model, const Execution& execution,
       std::span<void* const> states, Size size);

  size_t arena_bytes() const { return memory_.bytes; }

  // `execution` is the constructor's. Throws Cancelled. `profiles`, if not
  // empty, has an entry for each node.
  void Run(const Execution& execution, std::span<const void* const> inputs,
           std::span<float* const> outputs, std::span<NodeProfile> profiles);

 private:
  struct Value {
    size_t block = 0;     // of the arena
    size_t rows = 0;      // tokens held: all, or the last one
    size_t elements = 0;  // of a row
  };

  void FindRows(const Model& model, Size size);
  void PlaceBlocks(const Model& model, const Execution& execution);
  void BindSteps(const Model& model, const Execution& execution,
                 std::span<void* const> states);
  std::byte* Address(size_t block) const;
  // The last `rows` rows of a value, and their bytes.
  std::pair<std::byte*, size_t> Rows(std::string_view value, size_t rows) const;

  std::map<std::string, Value, std::less<>> values_;
  std::vector<size_t> rows_;  // tokens that each node computes
  std::vector<ScheduledStep> schedule_;
  std::vector<size_t> scratch_;  // block of each step
  MemoryPlan memory_;
  AlignedMemory arena_;
  std::vector<std::unique_ptr<Step>> steps_;
  // Address and bytes of the graph's inputs and outputs.
  std::vector<std::pair<std::byte*, size_t>> inputs_;
  std::vector<std::pair<std::byte*, size_t>> outputs_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_EXEC_PLAN_H_
