#include "runtime/grammar/left_recursion.h"

#include <cstddef>
#include <utility>
#include <vector>

namespace lutra::grammar {
namespace {

// That a rule may begin with another one.
struct Edge {
  uint32_t to;
  bool more;  // symbols follow the other one
};

// Which rules have the empty text.
std::vector<bool> Empties(const Rules& rules) {
  // Of each alternative, the rules that must be empty before it is; of each
  // rule, the alternatives that wait for it.
  std::vector<size_t> missing;
  std::vector<uint32_t> owner;
  std::vector<std::vector<size_t>> waiting(rules.rules.size());
  std::vector<bool> empty(rules.rules.size());
  std::vector<uint32_t> found;
  for (uint32_t rule = 0; rule < rules.rules.size(); ++rule) {
    for (size_t at : rules.rules[rule]) {
      size_t count = 0;
      bool has_bytes = false;
      for (; rules.symbols[at].kind != Symbol::Kind::kEnd; ++at) {
        has_bytes |= rules.symbols[at].kind == Symbol::Kind::kBytes;
        ++count;
      }
      if (has_bytes) continue;
      for (size_t i = at - count; i < at; ++i) {
        waiting[rules.symbols[i].rule].push_back(missing.size());
      }
      missing.push_back(count);
      owner.push_back(rule);
      if (count == 0 && !empty[rule]) {
        empty[rule] = true;
        found.push_back(rule);
      }
    }
  }
  while (!found.empty()) {
    const uint32_t rule = found.back();
    found.pop_back();
    for (const size_t alternative : waiting[rule]) {
      if (--missing[alternative] > 0 || empty[owner[alternative]]) continue;
      empty[owner[alternative]] = true;
      found.push_back(owner[alternative]);
    }
  }
  return empty;
}

using Edges = std::vector<std::vector<Edge>>;

Edges Beginnings(const Rules& rules) {
  const std::vector<bool> empty = Empties(rules);
  Edges edges(rules.rules.size());
  for (size_t rule = 0; rule < rules.rules.size(); ++rule) {
    for (size_t at : rules.rules[rule]) {
      for (; rules.symbols[at].kind == Symbol::Kind::kRule; ++at) {
        const bool more = rules.symbols[at + 1].kind != Symbol::Kind::kEnd;
        edges[rule].push_back({rules.symbols[at].rule, more});
        if (!empty[rules.symbols[at].rule]) break;
      }
    }
  }
  return edges;
}

// Calls done(rule) for what can be reached from `start` and was not visited, a
// rule after all that it reaches (but for cycles).
template <class Done>
void Walk(const Edges& edges, uint32_t start, std::vector<bool>& visited,
          const Done& done) {
  if (visited[start]) return;
  std::vector<std::pair<uint32_t, size_t>> path = {{start, 0}};
  visited[start] = true;
  while (!path.empty()) {
    auto& [rule, next] = path.back();
    if (next == edges[rule].size()) {
      done(rule);
      path.pop_back();
      continue;
    }
    const uint32_t to = edges[rule][next++].to;
    if (visited[to]) continue;
    visited[to] = true;
    path.emplace_back(to, 0);
  }
}

// For each rule a number that it shares with those it begins with and that
// begin with it: strongly connected components (Kosaraju's algorithm; Sharir,
// 1981).
std::vector<uint32_t> Components(const Edges& edges) {
  const auto count = static_cast<uint32_t>(edges.size());
  std::vector<uint32_t> order;
  std::vector<bool> visited(count);
  for (uint32_t rule = 0; rule < count; ++rule) {
    Walk(edges, rule, visited,
         [&order](uint32_t done) { order.push_back(done); });
  }
  Edges back(count);
  for (uint32_t rule = 0; rule < count; ++rule) {
    for (const Edge& edge : edges[rule]) back[edge.to].push_back({rule, false});
  }
  std::vector<uint32_t> components(count);
  visited.assign(count, false);
  for (size_t i = order.size(); i-- > 0;) {
    const uint32_t root = order[i];
    Walk(back, root, visited,
         [&components, root](uint32_t rule) { components[rule] = root; });
  }
  return components;
}

}  // namespace

std::optional<uint32_t> LeftRecursion(const Rules& rules) {
  const Edges edges = Beginnings(rules);
  const std::vector<uint32_t> components = Components(edges);
  for (uint32_t rule = 0; rule < edges.size(); ++rule) {
    for (const Edge& edge : edges[rule]) {
      // A rule that ends with itself goes nowhere and does no harm.
      if (edge.more && components[rule] == components[edge.to]) return rule;
    }
  }
  return std::nullopt;
}

}  // namespace lutra::grammar
