#include "lutra/runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "lutra/kernels/vector_ops.h"
#include "lutra/runtime/error.h"
#include "runtime/generate/logits.h"

namespace lutra {
namespace {

// How many candidates are sorted at first when it is not known how many top-p
// needs, and by how much the number grows: sorting all of a large vocabulary
// would cost more than the rest.
constexpr size_t kFirstSorted = 64;
constexpr size_t kSortedGrowth = 4;

void Require(bool condition, const char* what) {
  if (!condition) throw Error(std::string("sampler: ") + what);
}

void CheckOptions(const SamplerOptions& options) {
  Require(std::isfinite(options.temperature) && options.temperature >= 0,
          "the temperature must be 0 or a positive number");
  Require(std::isfinite(options.repetition_penalty) &&
              options.repetition_penalty > 0,
          "the repetition penalty must be a positive number");
  Require(options.repetition_window <= Sampler::kMaxRepetitionWindow,
          "the repetition window is longer than 1,048,576 tokens");
  Require(options.top_p >= 0 && options.top_p <= 1,
          "top-p must be from 0 to 1");
  Require(options.min_p >= 0 && options.min_p <= 1,
          "min-p must be from 0 to 1");
}

}  // namespace

Sampler::Sampler(const SamplerOptions& options, size_t vocabulary)
    : options_(options), vocabulary_(vocabulary), random_(options.seed) {
  CheckOptions(options);
  Require(vocabulary > 0, "the vocabulary is empty");
  Require(
      vocabulary <= static_cast<size_t>(std::numeric_limits<int32_t>::max()),
      "the vocabulary has more than 2^31 - 1 tokens");
  candidates_.resize(vocabulary);
  weights_.resize(vocabulary);
  recent_.reserve(options.repetition_window);
}

void Sampler::Reset() {
  random_ = Random(options_.seed);
  recent_.clear();
  oldest_ = 0;
}

void Sampler::Accept(int32_t id) {
  if (id < 0 || static_cast<size_t>(id) >= vocabulary_) {
    throw Error("sampler: token " + std::to_string(id) +
                " is outside the vocabulary of " + std::to_string(vocabulary_));
  }
  if (options_.repetition_window == 0) return;
  if (recent_.size() < options_.repetition_window) {
    recent_.push_back(id);
    return;
  }
  recent_[oldest_] = id;
  oldest_ = (oldest_ + 1) % recent_.size();
}

float Sampler::Penalised(float logit) const {
  const float changed = logit > 0 ? logit / options_.repetition_penalty
                                  : logit * options_.repetition_penalty;
  // A penalty near 0 must not make an infinity of a number.
  constexpr float kMax = std::numeric_limits<float>::max();
  return std::clamp(changed, -kMax, kMax);
}

int32_t Sampler::Sample(Span<const float> logits,
                        Span<const uint32_t> allowed) {
  if (logits.size() != vocabulary_) {
    throw Error("sampler: " + std::to_string(logits.size()) +
                " logits given for a vocabulary of " +
                std::to_string(vocabulary_));
  }
  Require(allowed.empty() || allowed.size() == TokenMaskWords(vocabulary_),
          "the mask has another length than the vocabulary");
  CheckLogits(logits);
  const bool penalise = options_.repetition_penalty != 1 && !recent_.empty();
  if (options_.temperature == 0 && !penalise && allowed.empty()) {
    return Greedy(logits);
  }

  for (size_t i = 0; i < logits.size(); ++i) {
    const bool may_be = allowed.empty() || IsAllowed(allowed, i);
    candidates_[i] = {
        may_be ? logits[i] : -std::numeric_limits<float>::infinity(),
        static_cast<int32_t>(i)};
  }
  if (penalise) {
    // From the original logit, so that a token is penalised once however often
    // it appears.
    for (const int32_t id : recent_) {
      const auto i = static_cast<size_t>(id);
      if (std::isinf(candidates_[i].logit)) continue;
      candidates_[i].logit = Penalised(logits[i]);
    }
  }
  if (options_.temperature == 0) {
    const auto best =
        std::max_element(candidates_.begin(), candidates_.end(),
                         [](const Candidate& a, const Candidate& b) {
                           return a.logit < b.logit;
                         });
    Require(!std::isinf(best->logit), "every token is excluded");
    return best->id;
  }
  // What is excluded must not count among the k.
  const auto end =
      std::remove_if(candidates_.begin(), candidates_.end(),
                     [](const Candidate& c) { return std::isinf(c.logit); });
  const auto count = static_cast<size_t>(end - candidates_.begin());
  Require(count > 0, "every token is excluded");
  return Draw(Filter(count));
}

int32_t Sampler::Greedy(Span<const float> logits) {
  const auto best = std::max_element(logits.begin(), logits.end());
  Require(!std::isinf(*best), "every token is excluded");
  return static_cast<int32_t>(best - logits.begin());
}

double Sampler::LargestLogit(size_t count) const {
  float largest = candidates_[0].logit;
  for (size_t i = 1; i < count; ++i) {
    largest = std::max(largest, candidates_[i].logit);
  }
  return largest;
}

double Sampler::TotalWeight(size_t count) const {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += double{weights_[i]};
  return sum;
}

void Sampler::Weigh(size_t begin, size_t end, double largest, double t) {
  // Far below where exp is 0, and a float whatever the logits.
  constexpr double kLeast = -1000;
  for (size_t i = begin; i < end; ++i) {
    const double x = (double{candidates_[i].logit} - largest) / t;
    weights_[i] = static_cast<float>(std::max(x, kLeast));
  }
  float* const weights = weights_.data() + begin;
  kernels::Apply(kernels::Function::kExp, weights, end - begin, weights);
}

// Sums are taken in an order that does not depend on the library's sort, so
// that they are the same everywhere: by id, or sorted by a total order.
size_t Sampler::Filter(size_t count) {
  const auto at = [&](size_t i) {
    return candidates_.begin() + static_cast<std::ptrdiff_t>(i);
  };
  // Sorts the candidates before `end`, of which those before `begin` are.
  const auto sort = [&](size_t begin, size_t end) {
    const auto precedes = [](const Candidate& a, const Candidate& b) {
      return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
    };
    if (end < count) std::nth_element(at(begin), at(end), at(count), precedes);
    std::sort(at(begin), at(end), precedes);
  };
  size_t sorted = 0;
  if (options_.top_k > 0 && options_.top_k < count) {
    sorted = options_.top_k;
    sort(0, sorted);
    count = sorted;
  }

  if (options_.top_p == 1 && options_.min_p == 0) return count;
  const double largest = LargestLogit(count);
  Weigh(0, count, largest, 1);
  // Of candidates sorted by falling probability top-p and min-p keep a number
  // of first ones each, so the order of the two matters only to what top-p's
  // share is of: it must be all that top-k left.
  double rest = TotalWeight(count) * double{options_.top_p};
  size_t probable = 0;
  for (size_t i = 0; i < count; ++i) {
    if (weights_[i] >= options_.min_p) {
      candidates_[probable++] = candidates_[i];
    }
  }
  count = probable;
  sorted = std::min(sorted, count);
  if (options_.top_p == 1) return count;
  size_t kept = 0;
  while (kept < count && (kept == 0 || rest > 0)) {
    if (kept == sorted) {
      const size_t more = std::max(kFirstSorted, kSortedGrowth * sorted);
      const size_t end = std::min(count, more);
      sort(sorted, end);
      Weigh(sorted, end, largest, 1);
      sorted = end;
    }
    rest -= double{weights_[kept]};
    ++kept;
  }
  return kept;
}

int32_t Sampler::Draw(size_t count) {
  Weigh(0, count, LargestLogit(count), double{options_.temperature});
  double rest = random_.Uniform() * TotalWeight(count);
  for (size_t i = 0; i + 1 < count; ++i) {
    rest -= double{weights_[i]};
    if (rest < 0) return candidates_[i].id;
  }
  return candidates_[count - 1].id;
}

}  // namespace lutra
