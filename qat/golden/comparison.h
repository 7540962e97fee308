#ifndef LUTRA_QAT_GOLDEN_COMPARISON_H_
#define LUTRA_QAT_GOLDEN_COMPARISON_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lutra/qat/golden.h"

namespace lutra::qat {

// Collects what one case compares. The first miss is remembered by `what`.
class Comparison {
 public:
  // Equal bits; zeros of either sign are equal, and so are all NaNs.
  void Exact(const std::string& what, std::span<const float> got,
             std::span<const float> expected);
  void Exact(const std::string& what, std::span<const int32_t> got,
             std::span<const int32_t> expected);
  void Exact(const std::string& what, std::span<const int8_t> got,
             std::span<const int8_t> expected);
  void Exact(const std::string& what, std::span<const uint8_t> got,
             std::span<const uint8_t> expected);

  // |got - expected| <= tolerance * |expected|.
  void Relative(const std::string& what, std::span<const double> got,
                std::span<const double> expected, double tolerance);

  // |got - expected| <= tolerance * magnitude, element by element.
  void Within(const std::string& what, std::span<const float> got,
              std::span<const float> expected,
              std::span<const double> magnitude, double tolerance);

  // What the comparison allows beyond equal numbers, or why there is nothing to
  // compare; the first note is kept.
  void Note(const std::string& note);

  // `failure`: why the replay broke off; empty if it did not.
  GoldenResult Result(const std::string& file, const std::string& name,
                      const std::string& failure) const;

 private:
  bool SameSize(const std::string& what, size_t got, size_t expected);
  void Add(const std::string& what, size_t index, double deviation, bool hit);
  template <typename T>
  void ExactIntegers(const std::string& what, std::span<const T> got,
                     std::span<const T> expected);

  size_t values_ = 0;
  size_t mismatches_ = 0;
  double worst_ = 0.0;
  std::string first_miss_;
  std::string note_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GOLDEN_COMPARISON_H_
