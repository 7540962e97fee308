#include "runtime/grammar/utf8_ranges.h"

#include <algorithm>
#include <string>

#include "runtime/base/utf8.h"

namespace lutra::grammar {
namespace {

constexpr char32_t kFirstSurrogate = 0xD800;
constexpr char32_t kLastSurrogate = 0xDFFF;
// Of one to four bytes.
constexpr CodePoints kLengths[] = {
    {0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xFFFF}, {0x10000, kLastCodePoint}};

// Of code points whose UTF-8 has `length` bytes.
void Split(CodePoints range, size_t length, std::vector<Sequence>& sequences) {
  const auto [first, last] = range;
  if (first > last) return;
  // Where a byte in front differs, all bytes behind it must have their whole
  // range.
  for (size_t i = 1; i < length; ++i) {
    const char32_t behind = (char32_t{1} << (6 * i)) - 1;
    if ((first & ~behind) == (last & ~behind)) continue;
    if ((first & behind) != 0) {
      Split({first, first | behind}, length, sequences);
      Split({(first | behind) + 1, last}, length, sequences);
      return;
    }
    if ((last & behind) != behind) {
      Split({first, (last & ~behind) - 1}, length, sequences);
      Split({last & ~behind, last}, length, sequences);
      return;
    }
  }
  std::string from;
  std::string to;
  AppendUtf8(first, from);
  AppendUtf8(last, to);
  Sequence sequence;
  for (size_t i = 0; i < length; ++i) {
    sequence.push_back(
        OfBytes(static_cast<uint8_t>(from[i]), static_cast<uint8_t>(to[i])));
  }
  sequences.push_back(std::move(sequence));
}

CodePoints Common(CodePoints a, CodePoints b) {
  return {std::max(a.first, b.first), std::min(a.second, b.second)};
}

}  // namespace

std::vector<CodePoints> Normalized(std::vector<CodePoints> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<CodePoints> merged;
  for (const CodePoints& range : ranges) {
    if (range.first > range.second) continue;
    if (!merged.empty() && range.first <= merged.back().second + 1) {
      merged.back().second = std::max(merged.back().second, range.second);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

std::vector<CodePoints> Complement(const std::vector<CodePoints>& ranges) {
  std::vector<CodePoints> others;
  char32_t next = 0;
  for (const CodePoints& range : Normalized(ranges)) {
    if (range.first > next) others.emplace_back(next, range.first - 1);
    next = range.second + 1;
  }
  if (next <= kLastCodePoint) others.emplace_back(next, kLastCodePoint);
  return others;
}

std::vector<Sequence> Utf8Sequences(const std::vector<CodePoints>& ranges) {
  std::vector<Sequence> sequences;
  for (const CodePoints& range : Normalized(ranges)) {
    for (size_t length = 1; length <= 4; ++length) {
      const CodePoints part = Common(range, kLengths[length - 1]);
      Split(Common(part, {0, kFirstSurrogate - 1}), length, sequences);
      Split(Common(part, {kLastSurrogate + 1, kLastCodePoint}), length,
            sequences);
    }
  }
  return sequences;
}

}  // namespace lutra::grammar
