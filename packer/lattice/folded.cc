#include "packer/lattice/folded.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace lutra::packer {
namespace {

constexpr size_t kColumns = 16;  // of the smallest group
constexpr size_t kMostWindows = 64;
constexpr int kLargestLevel = 8;
// Quotients that tell: fewer fit by chance.
constexpr size_t kLeastQuotients = 9;

// Fractions of two levels, in order.
std::vector<double> Fractions() {
  std::vector<double> fractions;
  for (int a = 1; a <= kLargestLevel; ++a) {
    for (int b = 1; b <= kLargestLevel; ++b) {
      fractions.push_back(static_cast<double>(a) / b);
    }
  }
  std::sort(fractions.begin(), fractions.end());
  fractions.erase(std::unique(fractions.begin(), fractions.end()),
                  fractions.end());
  return fractions;
}

// What two roundings of a weight may change, relative to it. Most change less.
double Tolerance(DType type) {
  switch (type) {
    case DType::kBFloat16:
      return 0x1p-7;
    case DType::kFloat16:
      return 0x1p-10;
    default:
      return 0x1p-20;
  }
}

// Whether nearly all quotients are fractions times one number.
bool AreFractions(std::span<const double> quotients,
                  std::span<const double> fractions, double tolerance) {
  for (const double of_first : fractions) {
    const double number = quotients.front() / of_first;
    size_t hits = 0;
    for (const double quotient : quotients) {
      const double scaled = quotient / number;
      const auto above =
          std::lower_bound(fractions.begin(), fractions.end(), scaled);
      const auto near = [&](double fraction) {
        return std::abs(scaled - fraction) <= tolerance * fraction;
      };
      if ((above != fractions.end() && near(*above)) ||
          (above != fractions.begin() && near(*(above - 1)))) {
        ++hits;
      }
    }
    if (hits * 8 >= quotients.size() * 7) return true;
  }
  return false;
}

}  // namespace

bool LooksFolded(DType type, const std::vector<std::vector<float>>& rows) {
  if (rows.size() < 2) return false;
  const std::vector<double> fractions = Fractions();
  const double tolerance = Tolerance(type);
  const size_t windows = rows.front().size() / kColumns;
  size_t tried = 0;
  size_t found = 0;
  std::vector<double> quotients;
  for (size_t w = 0; w < std::min(windows, kMostWindows); ++w) {
    const size_t pair = w % (rows.size() - 1);
    quotients.clear();
    for (size_t c = w * kColumns; c < (w + 1) * kColumns; ++c) {
      const double above = rows[pair][c];
      const double below = rows[pair + 1][c];
      if (above == 0 || below == 0 || !std::isfinite(above / below)) continue;
      quotients.push_back(std::abs(above / below));
    }
    if (quotients.size() < kLeastQuotients) continue;
    // Rows that are alike say nothing.
    const auto [low, high] =
        std::minmax_element(quotients.begin(), quotients.end());
    if (*low * (1 + tolerance) >= *high) continue;
    ++tried;
    if (AreFractions(quotients, fractions, tolerance)) ++found;
  }
  return tried > 1 && found * 2 >= tried;
}

}  // namespace lutra::packer
