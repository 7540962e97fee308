#include "runtime/grammar/schema_numbers.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "runtime/grammar/gbnf_text.h"

namespace lutra::grammar {
namespace {

// Where there is no limit.
constexpr int64_t kLargest = 9'999'999'999'999'999;
constexpr std::string_view kFraction = "(\".\" [0-9]{1,16})?";
constexpr std::string_view kZeroFraction = "(\".\" \"0\"{1,16})?";
constexpr std::string_view kNonzeroFraction =
    "\".\" \"0\"{0,15} [1-9] [0-9]{0,15}";

std::string Join(const std::string& a, std::string_view b) {
  if (a.empty() || b.empty()) return a + std::string(b);
  return a + " " + std::string(b);
}

std::string Digits(char first, char last) {
  if (first == last) return Quoted({&first, 1});
  return std::string("[") + first + "-" + last + "]";
}

std::string AnyDigits(size_t count) {
  return count == 0 ? "" : "[0-9]" + Times(count, &count);
}

// Digits that make a number of at least (up: at most) that of `limit`, of the
// same length.
std::string From(std::string_view limit, bool up) {
  const char end = up ? '9' : '0';
  if (limit.find_first_not_of(up ? '0' : '9') == std::string_view::npos) {
    return AnyDigits(limit.size());
  }
  const char digit = limit[0];
  std::vector<std::string> ways = {
      Join(Digits(digit, digit), From(limit.substr(1), up))};
  if (digit != end) {
    const char next = static_cast<char>(up ? digit + 1 : digit - 1);
    ways.push_back(Join(up ? Digits(next, end) : Digits(end, next),
                        AnyDigits(limit.size() - 1)));
  }
  return OneOf(ways);
}

// Numbers from `least` to `most`, of the same length.
std::string SameLength(std::string_view least, std::string_view most) {
  if (least == most) return Quoted(least);
  if (least[0] == most[0]) {
    return Join(Digits(least[0], least[0]),
                SameLength(least.substr(1), most.substr(1)));
  }
  std::vector<std::string> ways;
  char first = least[0];
  char last = most[0];
  const std::string_view low = least.substr(1);
  const std::string_view high = most.substr(1);
  if (low.find_first_not_of('0') != std::string_view::npos) {
    ways.push_back(Join(Digits(first, first), From(low, true)));
    ++first;
  }
  std::string top;
  if (high.find_first_not_of('9') != std::string_view::npos) {
    top = Join(Digits(last, last), From(high, false));
    --last;
  }
  if (first <= last) {
    ways.push_back(Join(Digits(first, last), AnyDigits(low.size())));
  }
  if (!top.empty()) ways.push_back(top);
  return OneOf(ways);
}

// Whole numbers, none below 0; empty if there are none.
std::string Whole(int64_t least, int64_t most) {
  std::vector<std::string> ways;
  for (int64_t first = 0, next = 10; first <= most; first = next, next *= 10) {
    const int64_t low = std::max(least, first);
    const int64_t high = std::min(most, next - 1);
    if (low <= high) {
      ways.push_back(SameLength(std::to_string(low), std::to_string(high)));
    }
    if (next > kLargest) break;
  }
  return ways.empty() ? "" : OneOf(ways);
}

// Decimal numbers, none below 0.
void AddDecimals(int64_t least, int64_t most, bool more, bool less,
                 std::vector<std::string>& ways, const std::string& sign) {
  const auto add = [&ways, &sign](const std::string& whole,
                                  std::string_view rest) {
    if (!whole.empty()) ways.push_back(Join(Join(sign, whole), rest));
  };
  if (more && least < most) add(Whole(least, least), kNonzeroFraction);
  add(Whole(more ? least + 1 : least, most - 1), kFraction);
  if (!less && !(more && least == most) && least <= most) {
    add(Whole(most, most), kZeroFraction);
  }
}

}  // namespace

std::string IntegersWithin(const NumberLimits& limits) {
  const int64_t least =
      limits.least ? *limits.least + (limits.more ? 1 : 0) : -kLargest;
  const int64_t most =
      limits.most ? *limits.most - (limits.less ? 1 : 0) : kLargest;
  std::vector<std::string> ways;
  if (least < 0) {
    const std::string magnitudes =
        Whole(std::max<int64_t>(1, -std::min<int64_t>(most, -1)), -least);
    if (!magnitudes.empty() && least <= most) {
      ways.push_back("\"-\" " + magnitudes);
    }
  }
  const std::string rest = Whole(std::max<int64_t>(least, 0), most);
  if (!rest.empty()) ways.push_back(rest);
  return ways.empty() ? "" : OneOf(ways);
}

std::string NumbersWithin(const NumberLimits& limits) {
  const int64_t least = limits.least.value_or(-kLargest);
  const int64_t most = limits.most.value_or(kLargest);
  std::vector<std::string> ways;
  if (least < 0 && least <= most) {
    // Zero is written without a sign.
    AddDecimals(most < 0 ? -most : 0, -least, most >= 0 || limits.less,
                limits.more, ways, "\"-\"");
  }
  if (most >= 0) {
    AddDecimals(std::max<int64_t>(least, 0), most, least >= 0 && limits.more,
                limits.less, ways, "");
  }
  return ways.empty() ? "" : OneOf(ways);
}

}  // namespace lutra::grammar
