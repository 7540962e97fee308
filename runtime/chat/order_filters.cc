// Filters that put values in order.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "runtime/chat/characters.h"
#include "runtime/chat/evaluator.h"
#include "runtime/chat/filters.h"

namespace lutra::chat {
namespace {

struct Keyed {
  Value key;
  Value item;
};

// Merges, as values may have no order: what then is thrown leaves no harm.
void MergeSort(Budget& budget, std::vector<Keyed>& items) {
  std::vector<Keyed> merged;
  for (size_t width = 1; width < items.size(); width *= 2) {
    merged.clear();
    for (size_t begin = 0; begin < items.size(); begin += 2 * width) {
      size_t left = begin;
      const size_t middle = std::min(begin + width, items.size());
      size_t right = middle;
      const size_t end = std::min(begin + 2 * width, items.size());
      while (left < middle || right < end) {
        const bool takes_right =
            right < end &&
            (left == middle || Less(budget, items[right].key, items[left].key));
        merged.push_back(items[takes_right ? right++ : left++]);
      }
    }
    items.swap(merged);
  }
}

// Equal elements keep their order, also in reverse.
void Sort(Budget& budget, std::vector<Keyed>& items, bool reverse) {
  if (reverse) std::reverse(items.begin(), items.end());
  MergeSort(budget, items);
  if (reverse) std::reverse(items.begin(), items.end());
}

Value Folded(Budget& budget, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.IsString()) return value;
  budget.Step(value.text().size() / 8);
  return MakeString(&budget, Lower(value.text()));
}

Values ItemsOf(Budget& budget, std::vector<Keyed>& keyed) {
  Values items;
  items.reserve(keyed.size());
  for (Keyed& each : keyed) items.push_back(std::move(each.item));
  budget.Step(items.size());
  return items;
}

// "a.b,c" as its paths; one of None without.
Values Paths(Budget& budget, const Value* attribute) {
  if (attribute == nullptr || !attribute->IsString()) {
    return {attribute == nullptr ? Value::None() : *attribute};
  }
  Values paths;
  std::string_view rest = attribute->text();
  for (;;) {
    const size_t comma = rest.find(',');
    paths.push_back(MakeString(&budget, std::string(rest.substr(0, comma))));
    if (comma == std::string_view::npos) return paths;
    rest.remove_prefix(comma + 1);
  }
}

Value SortFilter(Evaluator& evaluator, const Value& value,
                 const CallArguments& arguments) {
  const Bound bound(arguments, "sort",
                    {"reverse", "case_sensitive", "attribute"});
  Budget& budget = evaluator.budget();
  const bool case_sensitive = bound.Bool(1, false);
  const Values paths = Paths(budget, bound.Find(2));
  std::vector<Keyed> items;
  for (Value& item : Elements(budget, value)) {
    Values keys;
    for (const Value& path : paths) {
      keys.push_back(
          Folded(budget, FollowPath(budget, item, path), case_sensitive));
    }
    items.push_back({MakeList(budget, std::move(keys)), std::move(item)});
  }
  Sort(budget, items, bound.Bool(0, false));
  return MakeList(budget, ItemsOf(budget, items));
}

Value DictSort(Evaluator& evaluator, const Value& value,
               const CallArguments& arguments) {
  const Bound bound(arguments, "dictsort", {"case_sensitive", "by", "reverse"});
  Budget& budget = evaluator.budget();
  RequireDefined(value);
  if (!value.IsDict()) {
    FailRun("'" + TypeName(value) + "' object has no attribute 'items'");
  }
  const std::string by = bound.Find(1) == nullptr ? "key" : bound.String(1);
  if (by != "key" && by != "value") {
    FailRun("You can only sort by either \"key\" or \"value\"");
  }
  std::vector<Keyed> items;
  for (const auto& [key, each] : value.As<DictObject>().entries) {
    items.push_back(
        {Folded(budget, by == "key" ? key : each, bound.Bool(0, false)),
         MakeList(budget, {key, each}, Kind::kTuple)});
  }
  Sort(budget, items, bound.Bool(2, false));
  return MakeList(budget, ItemsOf(budget, items));
}

Value Unique(Evaluator& evaluator, const Value& value,
             const CallArguments& arguments) {
  const Bound bound(arguments, "unique", {"case_sensitive", "attribute"});
  Budget& budget = evaluator.budget();
  const Value path = bound.Find(1) == nullptr ? Value::None() : bound[1];
  DictBuilder seen(budget);
  size_t count = 0;
  Values results;
  for (Value& item : Elements(budget, value)) {
    const Value key =
        Folded(budget, FollowPath(budget, item, path), bound.Bool(0, false));
    if (seen.Set(key, Value::None()) < count) continue;
    ++count;
    results.push_back(std::move(item));
  }
  return MakeGenerator(budget, std::move(results));
}

Value Extreme(Evaluator& evaluator, const Value& value,
              const CallArguments& arguments, std::string_view op) {
  const Bound bound(arguments, op == "<" ? "min" : "max",
                    {"case_sensitive", "attribute"});
  Budget& budget = evaluator.budget();
  const Values items = Elements(budget, value);
  if (items.empty()) {
    return MakeUndefined(budget, "No aggregated item, sequence was empty.");
  }
  const Value path = bound.Find(1) == nullptr ? Value::None() : bound[1];
  const Value* best = nullptr;
  Value best_key;
  for (const Value& item : items) {
    Value key =
        Folded(budget, FollowPath(budget, item, path), bound.Bool(0, false));
    if (best != nullptr && !Less(budget, key, best_key, op)) continue;
    best = &item;
    best_key = std::move(key);
  }
  return *best;
}

Value Min(Evaluator& evaluator, const Value& value,
          const CallArguments& arguments) {
  return Extreme(evaluator, value, arguments, "<");
}
Value Max(Evaluator& evaluator, const Value& value,
          const CallArguments& arguments) {
  return Extreme(evaluator, value, arguments, ">");
}

Value GroupBy(Evaluator& evaluator, const Value& value,
              const CallArguments& arguments) {
  const Bound bound(arguments, "groupby",
                    {"attribute", "default", "case_sensitive"}, 1);
  Budget& budget = evaluator.budget();
  const bool case_sensitive = bound.Bool(2, false);
  const auto key_of = [&](const Value& item) {
    return FollowPath(budget, item, bound[0], bound.Find(1));
  };
  std::vector<Keyed> items;
  for (Value& item : Elements(budget, value)) {
    Value key = Folded(budget, key_of(item), case_sensitive);
    items.push_back({std::move(key), std::move(item)});
  }
  Sort(budget, items, false);
  Values groups;
  for (size_t begin = 0; begin < items.size();) {
    // The first one always counts: NaN is not even equal to itself.
    size_t end = begin + 1;
    Values group = {items[begin].item};
    while (end < items.size() &&
           Equal(budget, items[end].key, items[begin].key)) {
      group.push_back(items[end++].item);
    }
    const Value key = key_of(group[0]);
    auto pair = std::make_shared<ListObject>();
    pair->Charge(budget, 2 * sizeof(Value));
    pair->items = {key, MakeList(budget, std::move(group))};
    pair->depth = DepthAbove(pair->items);
    pair->group = true;
    groups.push_back(Value::Of(Kind::kTuple, std::move(pair)));
    begin = end;
  }
  return MakeList(budget, std::move(groups));
}

}  // namespace

Filter FindOrderFilter(std::string_view name) {
  static constexpr std::pair<std::string_view, Filter> kFilters[] = {
      {"dictsort", DictSort}, {"groupby", GroupBy}, {"max", Max},
      {"min", Min},           {"sort", SortFilter}, {"unique", Unique},
  };
  for (const auto& [each, filter] : kFilters) {
    if (each == name) return filter;
  }
  return nullptr;
}

}  // namespace lutra::chat
