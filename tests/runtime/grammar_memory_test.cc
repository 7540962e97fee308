// A grammar's table without memory for it, at each place in turn: what failed
// can be asked for again, and gives what it would have given.

#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/grammar/automaton.h"
#include "runtime/grammar/gbnf.h"
#include "tests/runtime/allocation_counter.h"

namespace lutra::grammar {
namespace {

constexpr std::string_view kGrammar =
    "root ::= item (\",\" item)*\n"
    "item ::= \"(\" root \")\" | [a-f]+ | \"x\" item\n";
constexpr std::string_view kText = "a,(b,xc,(d,xxe)),ff,x(a,b)";

using Marks = std::vector<std::pair<bool, bool>>;

// Reads the text, and forgets states in the middle; each step again if it
// fails, as one does for whose `failing`-th allocation there is no memory.
// Whether there was such a step.
bool Read(const std::shared_ptr<const Rules>& rules, size_t failing,
          Marks* marks) {
  Automaton automaton(rules);
  Automaton::State state = automaton.start();
  bool failed = false;
  const auto take = [&](const auto& step) {
    for (;;) {
      try {
        state = step();
        return;
      } catch (const std::bad_alloc&) {
        failed = true;
      }
    }
  };
  marks->clear();
  marks->reserve(kText.size());  // the test itself allocates nothing below
  FailAllocation(failing);
  for (size_t i = 0; i < kText.size(); ++i) {
    take([&] { return automaton.Next(state, static_cast<uint8_t>(kText[i])); });
    if (i == kText.size() / 2) take([&] { return automaton.Forget(state); });
    marks->emplace_back(automaton.Accepts(state), automaton.GoesOn(state));
  }
  FailAllocation(0);
  return failed;
}

TEST(GrammarMemoryTest, AStepThatFailedIsTakenAgain) {
  if (!FailAllocation(0)) GTEST_SKIP() << "the sanitizer has malloc to itself";
  const auto rules = std::make_shared<const Rules>(ParseGbnf(kGrammar));
  Marks expected;
  ASSERT_FALSE(Read(rules, 0, &expected));
  ASSERT_TRUE(expected.back().first) << "the text is one of the grammar's";
  size_t places = 0;
  for (Marks marks; Read(rules, places + 1, &marks); ++places) {
    ASSERT_EQ(marks, expected) << "after allocation " << places + 1;
  }
  EXPECT_GT(places, 100u);
}

}  // namespace
}  // namespace lutra::grammar
