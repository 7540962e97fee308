#include "runtime/grammar/rule_builder.h"

#include <string>
#include <utility>

#include "lutra/runtime/error.h"

namespace lutra::grammar {
namespace {

[[noreturn]] void FailSize() {
  throw Error(ErrorCode::kUnsupported,
              "grammar: has more than " + std::to_string(kMaxSymbols) +
                  " symbols with its repetitions written out");
}

}  // namespace

uint32_t RuleBuilder::NewRule() {
  if (rules_.rules.size() >= kMaxSymbols) FailSize();
  rules_.rules.emplace_back();
  return static_cast<uint32_t>(rules_.rules.size() - 1);
}

void RuleBuilder::AddAlternative(uint32_t rule, const Sequence& sequence) {
  std::vector<Symbol>& symbols = rules_.symbols;
  if (sequence.size() >= kMaxSymbols - symbols.size()) FailSize();
  rules_.rules[rule].push_back(static_cast<uint32_t>(symbols.size()));
  symbols.insert(symbols.end(), sequence.begin(), sequence.end());
  symbols.push_back(Symbol());
}

Symbol RuleBuilder::Characters(const std::vector<CodePoints>& ranges) {
  const std::vector<Sequence> sequences = Utf8Sequences(ranges);
  if (sequences.size() == 1 && sequences[0].size() == 1) {
    return sequences[0][0];
  }
  const uint32_t rule = NewRule();
  for (const Sequence& sequence : sequences) AddAlternative(rule, sequence);
  return OfRule(rule);
}

Symbol RuleBuilder::AsOne(const Sequence& item) {
  if (item.size() == 1) return item[0];
  const uint32_t rule = NewRule();
  AddAlternative(rule, item);
  return OfRule(rule);
}

Sequence RuleBuilder::Repeated(const Sequence& item, size_t least,
                               size_t most) {
  const Symbol one = AsOne(item);
  if (least >= kMaxSymbols) FailSize();
  Sequence sequence(least, one);
  if (most == kUnlimited) {
    const uint32_t rest = NewRule();
    AddAlternative(rest, {one, OfRule(rest)});
    AddAlternative(rest, {});
    sequence.push_back(OfRule(rest));
    return sequence;
  }
  if (most - least >= kMaxSymbols) FailSize();
  // Each is followed by one fewer, or by nothing.
  Sequence rest;
  for (size_t i = least; i < most; ++i) {
    const uint32_t rule = NewRule();
    Sequence longer = {one};
    longer.insert(longer.end(), rest.begin(), rest.end());
    AddAlternative(rule, longer);
    AddAlternative(rule, {});
    rest = {OfRule(rule)};
  }
  sequence.insert(sequence.end(), rest.begin(), rest.end());
  return sequence;
}

Rules RuleBuilder::Take(uint32_t root) {
  rules_.root = root;
  return std::move(rules_);
}

}  // namespace lutra::grammar
