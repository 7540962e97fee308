#ifndef LUTRA_RUNTIME_EXEC_PLAN_H_
#define LUTRA_RUNTIME_EXEC_PLAN_H_

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lutra/runtime/model.h"
#include "lutra/runtime/operator.h"
#include "lutra/runtime/program.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/base/memory_plan.h"
#include "runtime/exec/schedule.h"
#include "runtime/exec/sequence_state.h"

namespace lutra {

// Whose outputs a call is asked for: those of all rows, or those of the last
// row of each sequence.
enum class Outputs { kAll, kLast };

// How large calls may be.
struct Capacity {
  size_t rows = 0;
  size_t outputs = 0;  // rows with outputs
};

// Everything needed to run calls: an arena, and the steps bound to it.
//
// Nodes that nothing sequential depends on form the tail of the graph: they
// compute the rows whose outputs are wanted, the others all rows. A value that
// both use has a copy for the tail, where the wanted rows lie together.
class Plan {
 public:
  // Throws Error.
  Plan(const Model& model, const Execution& execution,
       const StateLayout& layout, Capacity capacity);

  Capacity capacity() const { return capacity_; }
  size_t arena_bytes() const { return memory_.bytes; }

  // `execution` is the constructor's. Throws Cancelled. `profiles`, if not
  // empty, has an entry for each node.
  void Run(const Call& call, Outputs wanted, const Execution& execution,
           Span<const void* const> inputs, Span<float* const> outputs,
           std::span<NodeProfile> profiles);

 private:
  // The blocks of the arena that hold a value.
  struct Value {
    size_t row_bytes = 0;
    std::optional<size_t> all;   // all rows
    std::optional<size_t> tail;  // the wanted ones
  };
  // A value's rows, put together for the tail or at the outputs.
  struct Gathering {
    std::byte* from = nullptr;  // all rows
    std::byte* to = nullptr;
    size_t row_bytes = 0;
  };
  struct Input {
    std::byte* all = nullptr;  // nullptr: no node needs all rows
    std::byte* tail = nullptr;
    size_t row_bytes = 0;
  };
  struct Output {
    const std::byte* from = nullptr;
    bool gathered = false;  // holds the wanted rows only
    size_t row_bytes = 0;
  };
  struct BoundStep {
    std::unique_ptr<Step> step;
    bool in_tail = false;
    size_t node = 0;                    // that profiles name
    std::vector<Gathering> gatherings;  // of what the step wrote
  };

  void FindTail(const Model& model);
  void PlaceBlocks(const Model& model, const Execution& execution);
  void BindSteps(const Model& model, const Execution& execution,
                 const StateLayout& layout);
  void BindValues(const Model& model);
  std::unique_ptr<Step> BindStep(const Model& model, const Execution& execution,
                                 const StateLayout& layout, size_t index);
  size_t Rows(bool tail) const {
    return tail ? capacity_.outputs : capacity_.rows;
  }
  std::byte* Address(size_t block) const;
  std::byte* Address(std::string_view value, bool tail) const;

  Capacity capacity_;
  std::map<std::string, Value, std::less<>> values_;
  std::vector<bool> in_tail_;  // of each node
  std::vector<ScheduledStep> schedule_;
  std::vector<size_t> scratch_;  // block of each step
  MemoryPlan memory_;
  AlignedMemory arena_;
  std::vector<BoundStep> steps_;
  std::vector<Input> inputs_;
  std::vector<Output> outputs_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_EXEC_PLAN_H_
