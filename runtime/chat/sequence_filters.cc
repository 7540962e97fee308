// Filters of lists and what else can be iterated.

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/chat/access.h"
#include "runtime/chat/evaluator.h"
#include "runtime/chat/filters.h"
#include "runtime/chat/numbers.h"
#include "runtime/chat/tests.h"
#include "runtime/chat/text.h"

namespace lutra::chat {
namespace {

Int PositiveCount(const Bound& bound, const char* what) {
  const Int count = bound.Integer(0, 0);
  if (count <= 0) FailRun(std::string(what) + ": the number is not positive");
  return count;
}

Value Batch(Evaluator& evaluator, const Value& value,
            const CallArguments& arguments) {
  const Bound bound(arguments, "batch", {"linecount", "fill_with"}, 1);
  Budget& budget = evaluator.budget();
  const Int count = PositiveCount(bound, "batch");
  Values lines;
  Values line;
  for (Value& item : Elements(budget, value)) {
    if (static_cast<Int>(line.size()) == count) {
      lines.push_back(MakeList(budget, std::exchange(line, {})));
    }
    line.push_back(std::move(item));
  }
  if (!line.empty()) {
    if (bound.Given(1)) {
      const Int missing = count - static_cast<Int>(line.size());
      if (missing > (Int{1} << 30)) FailLimit("batch: too many");
      budget.Check(static_cast<size_t>(missing) * sizeof(Value));
      line.insert(line.end(), static_cast<size_t>(missing), bound[1]);
    }
    lines.push_back(MakeList(budget, std::move(line)));
  }
  return MakeGenerator(budget, std::move(lines));
}

Value Slice(Evaluator& evaluator, const Value& value,
            const CallArguments& arguments) {
  const Bound bound(arguments, "slice", {"slices", "fill_with"}, 1);
  Budget& budget = evaluator.budget();
  const Values items = Elements(budget, value);
  const Int wanted = PositiveCount(bound, "slice");
  if (wanted > 100'000) FailLimit("slice: too many");
  const auto count = static_cast<size_t>(wanted);
  const size_t each = items.size() / count;
  const size_t longer = items.size() % count;
  Values slices;
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t size = each + (i < longer ? 1 : 0);
    Values part(items.begin() + static_cast<std::ptrdiff_t>(at),
                items.begin() + static_cast<std::ptrdiff_t>(at + size));
    if (bound.Given(1) && i >= longer) part.push_back(bound[1]);
    slices.push_back(MakeList(budget, std::move(part)));
    at += size;
  }
  return MakeGenerator(budget, std::move(slices));
}

Value First(Evaluator& evaluator, const Value& value,
            const CallArguments& arguments) {
  const Bound none(arguments, "first", {});
  Budget& budget = evaluator.budget();
  if (value.Is(Kind::kGenerator)) {
    const auto& generator = value.As<GeneratorObject>();
    if (generator.next < generator.items.size()) {
      return generator.items[generator.next++];
    }
  } else if (value.IsString() || value.IsSequence()) {
    if (Length(value) > 0) return GetItem(budget, value, Value::Integer(0));
  } else {
    const Values items = Elements(budget, value);
    if (!items.empty()) return items.front();
  }
  return MakeUndefined(budget, "No first item, sequence was empty.");
}

// What reversed() takes.
bool IsReversible(const Value& value) {
  switch (value.kind()) {
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kView:
    case Kind::kUndefined:
      return true;
    default:
      return false;
  }
}

Value Last(Evaluator& evaluator, const Value& value,
           const CallArguments& arguments) {
  const Bound none(arguments, "last", {});
  Budget& budget = evaluator.budget();
  if (!IsReversible(value)) {
    FailRun(Quoted(TypeName(value)) + " object is not reversible");
  }
  if (value.IsString() || value.IsSequence()) {
    if (Length(value) > 0) return GetItem(budget, value, Value::Integer(-1));
  } else {
    const Values items = Elements(budget, value);
    if (!items.empty()) return items.back();
  }
  return MakeUndefined(budget, "No last item, sequence was empty.");
}

Value Items(Evaluator& evaluator, const Value& value,
            const CallArguments& arguments) {
  const Bound none(arguments, "items", {});
  Budget& budget = evaluator.budget();
  Values pairs;
  if (!value.IsUndefined()) {
    if (!value.IsDict()) FailRun("Can only get item pairs from a mapping.");
    for (const auto& [key, each] : value.As<DictObject>().entries) {
      pairs.push_back(MakeList(budget, {key, each}, Kind::kTuple));
    }
  }
  return MakeGenerator(budget, std::move(pairs));
}

Value Join(Evaluator& evaluator, const Value& value,
           const CallArguments& arguments) {
  const Bound bound(arguments, "join", {"d", "attribute"});
  Budget& budget = evaluator.budget();
  const std::string between =
      bound.Find(0) == nullptr ? "" : Text(budget, bound[0]);
  std::string result;
  bool first = true;
  for (const Value& item : Elements(budget, value)) {
    if (!first) result += between;
    first = false;
    result += Text(budget,
                   bound.Given(1) ? FollowPath(budget, item, bound[1]) : item);
    budget.Check(result.size());
    budget.Step(between.size() / 32);
  }
  return MakeString(&budget, std::move(result));
}

Value ListFilter(Evaluator& evaluator, const Value& value,
                 const CallArguments& arguments) {
  const Bound none(arguments, "list", {});
  return MakeList(evaluator.budget(), Elements(evaluator.budget(), value));
}

Value Reverse(Evaluator& evaluator, const Value& value,
              const CallArguments& arguments) {
  const Bound none(arguments, "reverse", {});
  Budget& budget = evaluator.budget();
  if (value.IsString()) {
    return GetSlice(budget, value, Value::None(), Value::None(),
                    Value::Integer(-1));
  }
  const bool reversible = IsReversible(value);
  Values items = Elements(budget, value);
  std::reverse(items.begin(), items.end());
  return reversible ? MakeGenerator(budget, std::move(items))
                    : MakeList(budget, std::move(items));
}

Value Sum(Evaluator& evaluator, const Value& value,
          const CallArguments& arguments) {
  const Bound bound(arguments, "sum", {"attribute", "start"});
  Budget& budget = evaluator.budget();
  Value sum = bound.Find(1) == nullptr ? Value::Integer(0) : bound[1];
  if (sum.IsString()) FailRun("sum() can't sum strings");
  for (const Value& item : Elements(budget, value)) {
    sum = Compute(budget, Operator::kAdd, sum,
                  bound.Given(0) ? FollowPath(budget, item, bound[0]) : item);
  }
  return sum;
}

Value Map(Evaluator& evaluator, const Value& value,
          const CallArguments& arguments) {
  Budget& budget = evaluator.budget();
  Values results;
  // What has no elements is not looked at further.
  if (!Truth(value)) return MakeGenerator(budget, {});
  if (arguments.positional.empty() && arguments.Find("attribute") != nullptr) {
    const Bound bound(arguments, "map", {"attribute", "default"});
    for (const Value& item : Elements(budget, value)) {
      results.push_back(
          FollowPath(budget, item, bound[0],
                     bound.Find(1) == nullptr ? nullptr : &bound[1]));
    }
    return MakeGenerator(budget, std::move(results));
  }
  if (arguments.positional.empty()) {
    FailRun("map requires a filter argument");
  }
  if (!arguments.positional[0].IsString()) FailRun("map: no name of a filter");
  const std::string name = arguments.positional[0].text();
  CallArguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  for (const Value& item : Elements(budget, value)) {
    results.push_back(ApplyFilter(evaluator, name, item, rest));
  }
  return MakeGenerator(budget, std::move(results));
}

Value SelectOrReject(Evaluator& evaluator, const Value& value,
                     const CallArguments& arguments, bool wanted,
                     bool by_attribute) {
  Budget& budget = evaluator.budget();
  if (!Truth(value)) return MakeGenerator(budget, {});
  CallArguments rest = arguments;
  Value path = Value::None();
  if (by_attribute) {
    if (rest.positional.empty()) {
      FailRun("Missing parameter for attribute name");
    }
    path = rest.positional[0];
    rest.positional.erase(rest.positional.begin());
  }
  std::string test;
  const bool tested = !rest.positional.empty();
  if (tested) {
    if (!rest.positional[0].IsString()) FailRun("select: no name of a test");
    test = rest.positional[0].text();
    rest.positional.erase(rest.positional.begin());
  }
  Values results;
  for (const Value& item : Elements(budget, value)) {
    const Value subject = FollowPath(budget, item, path);
    const bool holds =
        tested ? ApplyTest(evaluator, test, subject, rest) : Truth(subject);
    if (holds == wanted) results.push_back(item);
  }
  return MakeGenerator(budget, std::move(results));
}

Value Select(Evaluator& evaluator, const Value& value,
             const CallArguments& arguments) {
  return SelectOrReject(evaluator, value, arguments, true, false);
}
Value Reject(Evaluator& evaluator, const Value& value,
             const CallArguments& arguments) {
  return SelectOrReject(evaluator, value, arguments, false, false);
}
Value SelectAttr(Evaluator& evaluator, const Value& value,
                 const CallArguments& arguments) {
  return SelectOrReject(evaluator, value, arguments, true, true);
}
Value RejectAttr(Evaluator& evaluator, const Value& value,
                 const CallArguments& arguments) {
  return SelectOrReject(evaluator, value, arguments, false, true);
}

}  // namespace

Filter FindSequenceFilter(std::string_view name) {
  static constexpr std::pair<std::string_view, Filter> kFilters[] = {
      {"batch", Batch},     {"first", First},   {"items", Items},
      {"join", Join},       {"last", Last},     {"list", ListFilter},
      {"map", Map},         {"reject", Reject}, {"rejectattr", RejectAttr},
      {"reverse", Reverse}, {"select", Select}, {"selectattr", SelectAttr},
      {"slice", Slice},     {"sum", Sum},
  };
  for (const auto& [each, filter] : kFilters) {
    if (each == name) return filter;
  }
  return nullptr;
}

}  // namespace lutra::chat
