#include "tests/golden_replay/comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

namespace lutra::golden {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Infinite unless both are numbers, or both the same infinity or NaN.
double Difference(double got, double expected) {
  if (got == expected || (std::isnan(got) && std::isnan(expected))) return 0.0;
  const double difference = std::fabs(got - expected);
  return std::isnan(difference) ? kInfinity : difference;
}

// In terms of `magnitude`; equal numbers do not deviate even from zero.
double Ratio(double difference, double magnitude) {
  return difference == 0.0 ? 0.0 : difference / magnitude;
}

std::string Text(double value, int digits) {
  std::ostringstream stream;
  stream.precision(digits);
  stream << value;
  return stream.str();
}

std::string Text(double tolerance) { return Text(tolerance, 6); }

}  // namespace

void Comparison::Tolerate(const std::string& tolerance) {
  if (std::find(tolerances_.begin(), tolerances_.end(), tolerance) ==
      tolerances_.end()) {
    tolerances_.push_back(tolerance);
  }
}

bool Comparison::SameSize(const std::string& what, size_t got,
                          size_t expected) {
  if (got == expected) return true;
  values_ += expected;
  mismatches_ += std::max<size_t>(expected, 1);
  worst_ = kInfinity;
  if (first_miss_.empty()) {
    first_miss_ = what + " has " + std::to_string(got) + " values instead of " +
                  std::to_string(expected);
  }
  return false;
}

void Comparison::Add(const std::string& what, size_t index, double got,
                     double expected, double deviation, bool hit) {
  ++values_;
  worst_ = std::max(worst_, deviation);
  if (hit) return;
  ++mismatches_;
  if (first_miss_.empty()) {
    constexpr int kDigits = 9;  // tell any two float32 apart
    first_miss_ = what + " differs first at element " + std::to_string(index) +
                  ": " + Text(got, kDigits) + " instead of " +
                  Text(expected, kDigits);
  }
}

void Comparison::Exact(const std::string& what, std::span<const float> got,
                       std::span<const float> expected) {
  Tolerate("exact");
  if (!SameSize(what, got.size(), expected.size())) return;
  for (size_t i = 0; i < got.size(); ++i) {
    const double g = static_cast<double>(got[i]);
    const double e = static_cast<double>(expected[i]);
    const double difference = Difference(g, e);
    Add(what, i, g, e, difference, difference == 0.0);
  }
}

template <typename T>
void Comparison::ExactIntegers(const std::string& what, std::span<const T> got,
                               std::span<const T> expected) {
  Tolerate("exact");
  if (!SameSize(what, got.size(), expected.size())) return;
  for (size_t i = 0; i < got.size(); ++i) {
    const double g = static_cast<double>(got[i]);
    const double e = static_cast<double>(expected[i]);
    Add(what, i, g, e, Difference(g, e), got[i] == expected[i]);
  }
}

void Comparison::Exact(const std::string& what, std::span<const int32_t> got,
                       std::span<const int32_t> expected) {
  ExactIntegers(what, got, expected);
}

void Comparison::Exact(const std::string& what, std::span<const int8_t> got,
                       std::span<const int8_t> expected) {
  ExactIntegers(what, got, expected);
}

void Comparison::Exact(const std::string& what, std::span<const uint8_t> got,
                       std::span<const uint8_t> expected) {
  ExactIntegers(what, got, expected);
}

void Comparison::ExactText(const std::string& what, const std::string& got,
                           const std::string& expected) {
  Tolerate("exact");
  ++values_;
  if (got == expected) return;
  ++mismatches_;
  worst_ = kInfinity;
  if (first_miss_.empty()) {
    first_miss_ = what + " is '" + got + "' instead of '" + expected + "'";
  }
}

void Comparison::Absolute(const std::string& what, std::span<const float> got,
                          std::span<const float> expected, double tolerance) {
  Tolerate(Text(tolerance) + " absolute");
  if (!SameSize(what, got.size(), expected.size())) return;
  for (size_t i = 0; i < got.size(); ++i) {
    const double g = static_cast<double>(got[i]);
    const double e = static_cast<double>(expected[i]);
    const double difference = Difference(g, e);
    Add(what, i, g, e, difference, difference <= tolerance);
  }
}

void Comparison::Relative(const std::string& what, std::span<const double> got,
                          std::span<const double> expected, double tolerance) {
  Tolerate(Text(tolerance) + " relative");
  if (!SameSize(what, got.size(), expected.size())) return;
  for (size_t i = 0; i < got.size(); ++i) {
    const double relative =
        Ratio(Difference(got[i], expected[i]), std::fabs(expected[i]));
    Add(what, i, got[i], expected[i], relative, relative <= tolerance);
  }
}

void Comparison::Within(const std::string& what, std::span<const float> got,
                        std::span<const float> expected,
                        std::span<const double> magnitude, double tolerance) {
  Tolerate(Text(tolerance) + " of the magnitude");
  if (!SameSize(what, got.size(), expected.size())) return;
  for (size_t i = 0; i < got.size(); ++i) {
    const double g = static_cast<double>(got[i]);
    const double e = static_cast<double>(expected[i]);
    const double relative = Ratio(Difference(g, e), magnitude[i]);
    Add(what, i, g, e, relative, relative <= tolerance);
  }
}

void Comparison::Within(const std::string& what, std::span<const float> got,
                        std::span<const double> expected, double magnitude,
                        double tolerance) {
  Tolerate(Text(tolerance) + " of the magnitude");
  if (!SameSize(what, got.size(), expected.size())) return;
  for (size_t i = 0; i < got.size(); ++i) {
    const double g = static_cast<double>(got[i]);
    const double relative = Ratio(Difference(g, expected[i]), magnitude);
    Add(what, i, g, expected[i], relative, relative <= tolerance);
  }
}

void Comparison::Note(const std::string& note) {
  if (note_.empty()) note_ = note;
}

CaseResult Comparison::Result(const std::string& name,
                              const std::string& failure) const {
  CaseResult result;
  result.name = name;
  result.values = values_;
  result.mismatches = mismatches_;
  result.worst = worst_;
  for (const std::string& tolerance : tolerances_) {
    result.tolerance += (result.tolerance.empty() ? "" : ", ") + tolerance;
  }
  result.passed =
      failure.empty() && mismatches_ == 0 && (values_ > 0 || !note_.empty());
  if (!failure.empty()) {
    result.note = failure;
  } else if (!first_miss_.empty()) {
    result.note = first_miss_;
  } else if (values_ == 0 && note_.empty()) {
    result.note = "nothing was compared";
  } else {
    result.note = note_;
  }
  return result;
}

}  // namespace lutra::golden
