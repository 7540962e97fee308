#ifndef LUTRA_TESTS_GOLDEN_REPLAY_COMPARISON_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_COMPARISON_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lutra::golden {

// What became of one case.
struct CaseResult {
  std::string name;       // unique in its folder
  size_t values = 0;      // compared
  size_t mismatches = 0;  // of them outside the tolerance
  // Largest deviation: relative where a relative tolerance is prescribed, else
  // the absolute difference. Infinite if a number is missing on one side.
  double worst = 0.0;
  std::string tolerance;  // "exact, 1e-14 relative"; all that were applied
  bool passed = false;
  // Why it failed, or what the comparison allowed beyond the tolerance.
  std::string note;
};

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
  // A text counts as one value.
  void ExactText(const std::string& what, const std::string& got,
                 const std::string& expected);

  // |got - expected| <= tolerance.
  void Absolute(const std::string& what, std::span<const float> got,
                std::span<const float> expected, double tolerance);

  // |got - expected| <= tolerance * magnitude, of what was recorded in double.
  void Within(const std::string& what, std::span<const float> got,
              std::span<const double> expected, double magnitude,
              double tolerance);

  // |got - expected| <= tolerance * |expected|.
  void Relative(const std::string& what, std::span<const double> got,
                std::span<const double> expected, double tolerance);

  // |got - expected| <= tolerance * magnitude, element by element.
  void Within(const std::string& what, std::span<const float> got,
              std::span<const float> expected,
              std::span<const double> magnitude, double tolerance);

  // What the comparison allows beyond the tolerance, or why there is nothing to
  // compare; the first note is kept.
  void Note(const std::string& note);

  // `failure`: why the replay broke off; empty if it did not. A case that
  // compared nothing fails unless a note says why.
  CaseResult Result(const std::string& name, const std::string& failure) const;

 private:
  void Tolerate(const std::string& tolerance);
  bool SameSize(const std::string& what, size_t got, size_t expected);
  void Add(const std::string& what, size_t index, double got, double expected,
           double deviation, bool hit);
  template <typename T>
  void ExactIntegers(const std::string& what, std::span<const T> got,
                     std::span<const T> expected);

  size_t values_ = 0;
  size_t mismatches_ = 0;
  double worst_ = 0.0;
  std::vector<std::string> tolerances_;
  std::string first_miss_;
  std::string note_;
};

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_COMPARISON_H_
