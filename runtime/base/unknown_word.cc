#include "runtime/base/unknown_word.h"
#include "runtime/base/text_of.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

namespace lutra {
namespace {

// Words come from files and command lines; a long one is not a typing mistake,
// and the distance takes time in proportion to its length.
constexpr size_t kMaxWord = 64;

// Edits (insert, delete, replace, swap neighbours) that turn a into b.
size_t EditDistance(std::string_view a, std::string_view b) {
  const size_t width = b.size() + 1;
  std::vector<size_t> cost((a.size() + 1) * width);
  for (size_t j = 0; j < width; ++j) cost[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t* row = &cost[i * width];
    const size_t* above = row - width;
    row[0] = i;
    for (size_t j = 1; j < width; ++j) {
      const size_t replace = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], (above - width)[j - 2] + 1);
      }
    }
  }
  return cost.back();
}

std::string_view Nearest(std::string_view word,
                         std::span<const std::string_view> known) {
  std::string_view best;
  size_t best_distance = std::numeric_limits<size_t>::max();
  if (word.size() > kMaxWord) return best;
  for (const std::string_view candidate : known) {
    const size_t distance = EditDistance(word, candidate);
    // A word that needs half of its letters changed is another word.
    if (2 * distance > std::max(word.size(), candidate.size())) continue;
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace

std::string UnknownWord(std::string_view what, std::string_view word,
                        std::span<const std::string_view> known) {
  std::string text = "unknown ";
  text.append(what).append(" '").append(word.substr(0, kMaxWord));
  if (word.size() > kMaxWord) text += "...";
  text += "'";
  const std::string_view nearest = Nearest(word, known);
  if (!nearest.empty()) {
    text.append("; did you mean '").append(nearest).append("'?");
  }
  text += " (known: ";
  for (size_t i = 0; i < known.size(); ++i) {
    if (i > 0) text += ", ";
    text += known[i];
  }
  return TextOf(text, ")");
}

}  // namespace lutra
