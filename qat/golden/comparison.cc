#include "qat/golden/comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lutra::qat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Infinite unless both are numbers, or both the same infinity or NaN.
double Difference(double got, double expected) {
  if (got == expected || (std::isnan(got) && std::isnan(expected))) return 0.0;
  const double difference = std::fabs(got - expected);
  return std::isnan(difference) ? kInfinity : difference;
}

}  // namespace

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

void Comparison::Add(const std::string& what, size_t index, double deviation,
                     bool hit) {
  ++values_;
  worst_ = std::max(worst_, deviation);
  if (hit) return;
  ++mismatches_;
  if (first_miss_.empty()) {
    first_miss_ = what + " differs first at element " + std::to_string(index);
  }
}

void Comparison::Exact(const std::string& what, std::span<const float> got,
                       std::span<const float> expected) {
  if (!SameSize(what, got.size(), expected.size())) return;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = Difference(static_cast<double>(got[i]),
                                         static_cast<double>(expected[i]));
    Add(what, i, difference, difference == 0.0);
  }
}

template <typename T>
void Comparison::ExactIntegers(const std::string& what, std::span<const T> got,
                               std::span<const T> expected) {
  if (!SameSize(what, got.size(), expected.size())) return;
  for (size_t i = 0; i < got.size(); ++i) {
    Add(what, i,
        Difference(static_cast<double>(got[i]),
                   static_cast<double>(expected[i])),
        got[i] == expected[i]);
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

void Comparison::Relative(const std::string& what, std::span<const double> got,
                          std::span<const double> expected, double tolerance) {
  if (!SameSize(what, got.size(), expected.size())) return;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = Difference(got[i], expected[i]);
    const double relative =
        difference == 0.0 ? 0.0 : difference / std::fabs(expected[i]);
    Add(what, i, relative, relative <= tolerance);
  }
}

void Comparison::Within(const std::string& what, std::span<const float> got,
                        std::span<const float> expected,
                        std::span<const double> magnitude, double tolerance) {
  if (!SameSize(what, got.size(), expected.size())) return;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = Difference(static_cast<double>(got[i]),
                                         static_cast<double>(expected[i]));
    const double relative = difference == 0.0 ? 0.0 : difference / magnitude[i];
    Add(what, i, relative, relative <= tolerance);
  }
}

void Comparison::Note(const std::string& note) {
  if (note_.empty()) note_ = note;
}

GoldenResult Comparison::Result(const std::string& file,
                                const std::string& name,
                                const std::string& failure) const {
  GoldenResult result;
  result.file = file;
  result.name = name;
  result.values = values_;
  result.mismatches = mismatches_;
  result.worst = worst_;
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

}  // namespace lutra::qat
