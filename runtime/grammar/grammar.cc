#include "lutra/runtime/grammar.h"

#include <cstdint>
#include <utility>

#include "runtime/grammar/automaton.h"
#include "runtime/grammar/gbnf.h"
#include "runtime/grammar/json_schema.h"
#include "runtime/grammar/rules.h"

namespace lutra {
namespace {

// States that are kept while a long text is read.
constexpr size_t kKeptStates = 20'000;

}  // namespace

Grammar::Grammar(std::string gbnf)
    : text_(std::move(gbnf)),
      rules_(
          std::make_shared<const grammar::Rules>(grammar::ParseGbnf(text_))) {}

Grammar::~Grammar() = default;

std::shared_ptr<const Grammar> Grammar::Parse(std::string_view gbnf) {
  return std::shared_ptr<const Grammar>(new Grammar(std::string(gbnf)));
}

std::shared_ptr<const Grammar> Grammar::FromJsonSchema(
    std::string_view schema) {
  return std::shared_ptr<const Grammar>(
      new Grammar(grammar::SchemaToGbnf(schema)));
}

bool Grammar::Matches(std::string_view text) const {
  grammar::Automaton automaton(rules_);
  grammar::Automaton::State state = automaton.start();
  for (const char byte : text) {
    if (automaton.states() > kKeptStates) state = automaton.Forget(state);
    state = automaton.Next(state, static_cast<uint8_t>(byte));
    if (state == grammar::Automaton::kDead) return false;
  }
  return automaton.Accepts(state);
}

}  // namespace lutra
