#include "qat/grad/recompute.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

namespace lutra::qat {
namespace {

// The operation that makes each value; inputs of the graph have none.
std::map<size_t, size_t> Makers(std::span<const PlannedOperation> operations) {
  std::map<size_t, size_t> makers;
  for (size_t i = 0; i < operations.size(); ++i) {
    makers.emplace(operations[i].output, i);
  }
  return makers;
}

// Elements per row, by operation.
struct Widths {
  // Of its output, if that is read in the backward half.
  std::vector<size_t> read;
  // Of what was made before it and is used by it or after it: kept if a part
  // begins here.
  std::vector<size_t> crossing;
};

Widths WidthsOf(std::span<const PlannedOperation> operations,
                std::span<const size_t> outputs) {
  const size_t count = operations.size();
  const std::map<size_t, size_t> makers = Makers(operations);
  Widths widths{std::vector<size_t>(count), std::vector<size_t>(count)};
  std::vector<size_t> last_use(count, 0);
  const auto use = [&](size_t value, size_t operation) {
    const auto maker = makers.find(value);
    if (maker == makers.end()) return;
    last_use[maker->second] = std::max(last_use[maker->second], operation);
  };
  for (size_t i = 0; i < count; ++i) {
    for (const size_t input : operations[i].inputs) use(input, i);
    if (!operations[i].has_backward) continue;
    for (const size_t value : operations[i].read_backward) {
      const auto maker = makers.find(value);
      if (maker == makers.end()) continue;
      widths.read[maker->second] = operations[maker->second].width;
    }
  }
  for (const size_t output : outputs) use(output, count);
  for (size_t i = 0; i < count; ++i) {
    const size_t end = std::min(last_use[i], count - 1);
    for (size_t j = i + 1; j <= end; ++j) {
      widths.crossing[j] += operations[i].width;
    }
  }
  return widths;
}

struct Division {
  std::vector<size_t> parts;
  size_t kept = 0;
  size_t largest = 0;  // part

  size_t width() const { return kept + largest; }
};

// With the least that goes from part to part among those whose parts have no
// more than `most`, or one operation.
Division Divide(const Widths& widths, size_t most) {
  const size_t count = widths.read.size();
  // Of the parts before an operation at which one begins.
  std::vector<size_t> kept(count + 1, std::numeric_limits<size_t>::max());
  std::vector<size_t> before(count + 1, 0);
  kept[0] = 0;
  for (size_t end = 1; end <= count; ++end) {
    const size_t cost = end < count ? widths.crossing[end] : 0;
    size_t part = 0;
    for (size_t begin = end; begin-- > 0;) {
      part += widths.read[begin];
      if (part > most && begin + 1 < end) break;
      if (kept[begin] + cost < kept[end]) {
        kept[end] = kept[begin] + cost;
        before[end] = begin;
      }
    }
  }
  Division division;
  division.kept = kept[count];
  for (size_t end = count; end > 0; end = before[end]) {
    const size_t begin = before[end];
    division.parts.insert(division.parts.begin(), begin);
    size_t part = 0;
    for (size_t i = begin; i < end; ++i) part += widths.read[i];
    division.largest = std::max(division.largest, part);
  }
  return division;
}

}  // namespace

std::vector<size_t> RecomputedParts(
    std::span<const PlannedOperation> operations,
    std::span<const size_t> outputs) {
  if (operations.empty()) return {0};
  const Widths widths = WidthsOf(operations, outputs);
  size_t most = 0;
  for (const size_t width : widths.read) most += width;
  Division best = Divide(widths, most);
  // Smaller parts each time, by about a 32nd.
  for (Division division = best; most > 0;) {
    most = std::min(most - most / 32, division.largest) - 1;
    division = Divide(widths, most);
    if (division.width() < best.width()) best = division;
    if (division.largest > most) break;  // one operation has more
  }
  return best.parts;
}

std::vector<LateStep> BackwardHalf(std::span<const PlannedOperation> operations,
                                   std::span<const size_t> outputs,
                                   std::span<const size_t> parts) {
  const std::map<size_t, size_t> makers = Makers(operations);
  // The part of each operation; values that others use are kept.
  std::vector<size_t> part_of(operations.size());
  for (size_t i = 0, part = 0; i < operations.size(); ++i) {
    if (part + 1 < parts.size() && i == parts[part + 1]) ++part;
    part_of[i] = part;
  }
  std::set<size_t> kept(outputs.begin(), outputs.end());
  for (size_t i = 0; i < operations.size(); ++i) {
    for (const size_t input : operations[i].inputs) {
      const auto maker = makers.find(input);
      if (maker == makers.end() || part_of[maker->second] != part_of[i]) {
        kept.insert(input);
      }
    }
  }
  std::vector<LateStep> steps;
  for (size_t part = parts.size(); part-- > 0;) {
    const size_t begin = parts[part];
    const bool is_last = part + 1 == parts.size();
    const size_t end = is_last ? operations.size() : parts[part + 1];
    std::set<size_t> wanted;
    for (size_t i = begin; i < end && !is_last; ++i) {
      if (!operations[i].has_backward) continue;
      const auto& read = operations[i].read_backward;
      wanted.insert(read.begin(), read.end());
    }
    std::vector<LateStep> again;
    for (size_t i = end; i-- > begin;) {
      const PlannedOperation& operation = operations[i];
      if (kept.contains(operation.output) ||
          !wanted.contains(operation.output)) {
        continue;
      }
      again.push_back({i, true});
      wanted.insert(operation.inputs.begin(), operation.inputs.end());
    }
    steps.insert(steps.end(), again.rbegin(), again.rend());
    for (size_t i = end; i-- > begin;) {
      if (operations[i].has_backward) steps.push_back({i, false});
    }
  }
  return steps;
}

}  // namespace lutra::qat
