#include "runtime/grammar/automaton.h"

#include <algorithm>
#include <bitset>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"

namespace lutra::grammar {
namespace {

// Far beyond what a grammar that means something needs: of one state, and of
// all states between two tokens (some 100 MB).
constexpr size_t kMaxStacks = 10'000;
constexpr size_t kMaxFrames = 4'000'000;
constexpr size_t kMaxStates = 200'000;

void Check(size_t count, size_t limit) {
  if (count < limit) return;
  throw Error(ErrorCode::kUnsupported,
              "grammar: there are too many ways to read the text");
}

}  // namespace

size_t Automaton::HashStacks::operator()(
    const std::vector<Stack>& stacks) const {
  uint64_t hash = stacks.size();
  for (const Stack stack : stacks) {
    hash = (hash ^ stack) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
  }
  return static_cast<size_t>(hash);
}

Automaton::Automaton(std::shared_ptr<const Rules> rules)
    : rules_(std::move(rules)) {
  ClassifyBytes();
  Make({});  // kDead
  StateData state;
  step_ = 1;
  for (const uint32_t alternative : rules_->rules[rules_->root]) {
    Begin(Push(alternative, kNone), state);
  }
  start_ = Make(std::move(state));
}

void Automaton::ClassifyBytes() {
  std::bitset<257> begins;
  for (const Symbol& symbol : rules_->symbols) {
    if (symbol.kind != Symbol::Kind::kBytes) continue;
    begins[symbol.first] = true;
    begins[size_t{symbol.last} + 1] = true;
  }
  begins[0] = false;
  for (size_t byte = 0; byte < class_of_.size(); ++byte) {
    if (begins[byte]) ++classes_;
    class_of_[byte] = static_cast<uint8_t>(classes_);
  }
  ++classes_;
}

Automaton::Stack Automaton::Push(uint32_t position, Stack below) {
  Check(frame_of_.size(), kMaxFrames);
  const uint64_t key = uint64_t{position} << 32 | below;
  const auto found = frame_of_.find(key);
  if (found != frame_of_.end()) return found->second;
  // It is there once the table has it: without memory for that, what came
  // before is taken back by the next.
  const auto stack = static_cast<Stack>(frame_of_.size());
  frames_.resize(stack);
  seen_.resize(stack);
  frames_.push_back({position, below});
  seen_.push_back(0);
  frame_of_.emplace(key, stack);
  return stack;
}

void Automaton::Begin(Stack stack, StateData& state) {
  const auto add = [this](Stack next) {
    if (seen_[next] == step_) return;
    seen_[next] = step_;
    waiting_.push_back(next);
  };
  add(stack);
  while (!waiting_.empty()) {
    const Stack next = waiting_.back();
    waiting_.pop_back();
    const auto [position, below] = frames_[next];
    const Symbol& symbol = rules_->symbols[position];
    switch (symbol.kind) {
      case Symbol::Kind::kBytes:
        Check(state.stacks.size(), kMaxStacks);
        state.stacks.push_back(next);
        break;
      case Symbol::Kind::kEnd:
        if (below == kNone) {
          state.accepts = true;
        } else {
          add(below);
        }
        break;
      case Symbol::Kind::kRule: {
        // What ends with a rule is done with: stacks of lists stay short.
        const bool last =
            rules_->symbols[position + 1].kind == Symbol::Kind::kEnd;
        const Stack after = last ? below : Push(position + 1, below);
        for (const uint32_t alternative : rules_->rules[symbol.rule]) {
          add(Push(alternative, after));
        }
        break;
      }
    }
  }
}

Automaton::State Automaton::Make(StateData state) {
  Check(state_of_.size(), kMaxStates);
  std::sort(state.stacks.begin(), state.stacks.end());
  std::vector<Stack> key = state.stacks;
  key.push_back(state.accepts ? 1 : 0);
  const auto found = state_of_.find(key);
  if (found != state_of_.end()) return found->second;
  const auto made = static_cast<State>(state_of_.size());  // as in Push
  states_.resize(made);
  states_.push_back(std::move(state));
  state_of_.emplace(std::move(key), made);
  return made;
}

Automaton::State Automaton::Next(State state, uint8_t byte) {
  if (states_[state].stacks.empty()) return kDead;
  std::vector<State>& known = states_[state].next;
  if (known.empty()) known.assign(classes_, kNone);
  const size_t byte_class = class_of_[byte];
  if (known[byte_class] != kNone) return known[byte_class];
  ++step_;
  waiting_.clear();  // what a failure left
  StateData next;
  for (size_t i = 0; i < states_[state].stacks.size(); ++i) {
    const auto [position, below] = frames_[states_[state].stacks[i]];
    const Symbol& symbol = rules_->symbols[position];
    if (byte < symbol.first || byte > symbol.last) continue;
    Begin(Push(position + 1, below), next);
  }
  const State made = Make(std::move(next));
  states_[state].next[byte_class] = made;  // states may have moved
  return made;
}

Automaton::State Automaton::Forget(State kept) {
  // As positions, from the top down.
  std::vector<std::vector<uint32_t>> stacks;
  for (Stack stack : states_[kept].stacks) {
    stacks.emplace_back();
    for (; stack != kNone; stack = frames_[stack].below) {
      stacks.back().push_back(frames_[stack].position);
    }
  }
  StateData state;
  state.accepts = states_[kept].accepts;
  Automaton fresh(rules_);  // without memory for it, nothing is forgotten
  for (const std::vector<uint32_t>& positions : stacks) {
    Stack stack = kNone;
    for (size_t i = positions.size(); i-- > 0;) {
      stack = fresh.Push(positions[i], stack);
    }
    state.stacks.push_back(stack);
  }
  const State made = fresh.Make(std::move(state));
  *this = std::move(fresh);
  return made;
}

}  // namespace lutra::grammar
