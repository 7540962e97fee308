#ifndef LUTRA_RUNTIME_GRAMMAR_AUTOMATON_H_
#define LUTRA_RUNTIME_GRAMMAR_AUTOMATON_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <unordered_map>
#include <vector>

#include "runtime/grammar/rules.h"

namespace lutra::grammar {

// Reads bytes by a grammar. A state is the set of all ways to read the bytes so
// far, each a stack of what is still to be read. States are made when they are
// first met, so that a grammar is a table that grows.
class Automaton {
 public:
  using State = uint32_t;
  // No text begins so.
  static constexpr State kDead = 0;

  explicit Automaton(std::shared_ptr<const Rules> rules);

  State start() const { return start_; }
  // Throws Error where there are too many ways, or too many states for memory.
  State Next(State state, uint8_t byte);
  // The bytes so far are a text; and more may follow.
  bool Accepts(State state) const { return states_[state].accepts; }
  bool GoesOn(State state) const { return !states_[state].stacks.empty(); }

  // How many states there are, and how to forget all but one, whose number
  // changes, and the start.
  size_t states() const { return states_.size(); }
  State Forget(State kept);

 private:
  using Stack = uint32_t;
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

  // Where a symbol is read, and what follows its alternative.
  struct Frame {
    uint32_t position;
    Stack below;
  };
  struct StateData {
    std::vector<Stack> stacks;  // sorted; a range of bytes is next on each
    bool accepts = false;
    std::vector<State> next;  // by class of bytes; empty until it is asked for
  };
  struct HashStacks {
    size_t operator()(const std::vector<Stack>& stacks) const;
  };

  void ClassifyBytes();
  Stack Push(uint32_t position, Stack below);
  // Adds the stacks that `stack` is once its rules are begun.
  void Begin(Stack stack, StateData& state);
  State Make(StateData state);

  std::shared_ptr<const Rules> rules_;
  // Bytes that no range of the grammar tells apart.
  std::array<uint8_t, 256> class_of_ = {};
  size_t classes_ = 0;

  std::vector<Frame> frames_;
  std::unordered_map<uint64_t, Stack> frame_of_;
  std::vector<StateData> states_;
  std::unordered_map<std::vector<Stack>, State, HashStacks> state_of_;
  State start_ = kDead;

  // Of the step that runs: stacks to look at, and those that were (with a
  // number for each step, so that nothing is to be cleared).
  std::vector<Stack> waiting_;
  std::vector<uint32_t> seen_;
  uint32_t step_ = 0;
};

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_AUTOMATON_H_
