#ifndef LUTRA_QAT_CONVERT_GROUP_MATCHER_H_
#define LUTRA_QAT_CONVERT_GROUP_MATCHER_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lutra/qat/conversion.h"
#include "qat/spec/groups.h"

namespace lutra::qat {

inline GridMismatch MismatchAt(const float* w, size_t k, const Groups& groups,
                               size_t position, std::string cause) {
  const size_t column = position % k;
  return {position / k, column, column / groups.columns, w[position],
          std::move(cause)};
}

// Rounding of scale * entry moves the quotient by less than that many ulps.
inline constexpr int kCandidateUlps = 2;

// All weights of a group in terms of a scale and the table.
class GroupMatcher {
 public:
  // The table ascends.
  explicit GroupMatcher(std::vector<float> table) : table_(std::move(table)) {
    for (const float entry : table_) {
      const float magnitude = std::fabs(entry);
      if (magnitude > 0.0f) magnitudes_.push_back(magnitude);
    }
    std::sort(magnitudes_.begin(), magnitudes_.end());
    magnitudes_.erase(std::unique(magnitudes_.begin(), magnitudes_.end()),
                      magnitudes_.end());
    levels_.resize(table_.size());
  }

  // Finds a scale with which w [count] lies on the grid and writes the indices.
  // Returns the scale, or nullopt; `worst` is then the element at which the
  // most successful candidate failed.
  std::optional<float> Match(const float* w, size_t count, uint8_t* indices,
                             size_t* worst) {
    *worst = 0;
    const float max = MaxMagnitudeOf(w, count);
    if (max == 0.0f) return TryScale(0.0f, w, count, indices, worst);
    for (const float magnitude : magnitudes_) {
      float scale = max / magnitude;
      for (int i = 0; i < kCandidateUlps; ++i) {
        scale = std::nextafter(scale, 0.0f);
      }
      for (int i = -kCandidateUlps; i <= kCandidateUlps; ++i) {
        if (const auto found = TryScale(scale, w, count, indices, worst)) {
          return found;
        }
        scale = std::nextafter(scale, std::numeric_limits<float>::infinity());
      }
    }
    return std::nullopt;
  }

  // The same with this scale, or nullopt.
  std::optional<float> TryScale(float scale, const float* w, size_t count,
                                uint8_t* indices, size_t* worst) {
    if (!std::isfinite(scale)) return std::nullopt;
    for (size_t i = 0; i < table_.size(); ++i) {
      levels_[i] = scale * table_[i];
    }
    for (size_t i = 0; i < count; ++i) {
      const auto it = std::lower_bound(levels_.begin(), levels_.end(), w[i]);
      if (it == levels_.end() || *it != w[i]) {
        *worst = std::max(*worst, i);
        return std::nullopt;
      }
      indices[i] = static_cast<uint8_t>(it - levels_.begin());
    }
    return scale;
  }

 private:
  static float MaxMagnitudeOf(const float* w, size_t count) {
    float max = 0.0f;
    for (size_t i = 0; i < count; ++i) max = std::max(max, std::fabs(w[i]));
    return max;
  }

  std::vector<float> table_;
  std::vector<float> magnitudes_;  // ascending, distinct, above 0
  std::vector<float> levels_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_CONVERT_GROUP_MATCHER_H_
