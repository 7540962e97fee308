#include "tests/golden_replay/language_outputs.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "lutra/runtime/language_model.h"

namespace lutra::golden {
namespace {

LanguageModel Start(std::shared_ptr<const Model> model) {
  LanguageModelOptions options;
  options.session.activations = kernels::ActivationType::kFloat32;
  options.session.cache = CacheType::kFloat32;
  options.session.threads = 1;
  return LanguageModel(std::move(model), options);
}

size_t Best(std::span<const float> logits) {
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) -
                             logits.begin());
}

// Of the best logit over all others.
double Lead(std::span<const float> logits, size_t best) {
  double lead = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (i == best) continue;
    lead = std::min(lead, static_cast<double>(logits[best]) -
                              static_cast<double>(logits[i]));
  }
  return lead;
}

}  // namespace

void CompareLogits(const std::shared_ptr<const Model>& model,
                   std::span<const int32_t> ids,
                   std::span<const float> expected, double tolerance,
                   Comparison& comparison) {
  LanguageModel language = Start(model);
  std::vector<float> got;
  language.Score(ids, [&got](size_t, std::span<const float> logits) {
    got.insert(got.end(), logits.begin(), logits.end());
  });
  comparison.Absolute("logits", got, expected, tolerance);
}

void CompareGreedy(const std::shared_ptr<const Model>& model,
                   std::span<const int32_t> prompt,
                   std::span<const int32_t> expected, double tolerance,
                   Comparison& comparison) {
  LanguageModel language = Start(model);
  std::span<const float> logits = language.Feed(prompt);
  std::vector<int32_t> got;
  while (true) {
    const size_t best = Best(logits);
    if (Lead(logits, best) < tolerance) {
      comparison.Note("from id " + std::to_string(got.size()) +
                      " on the two best logits are too close to tell");
      break;
    }
    got.push_back(static_cast<int32_t>(best));
    if (got.size() >= expected.size()) break;
    logits = language.Feed({&got.back(), 1});
  }
  comparison.Exact("greedy ids", got, expected.first(got.size()));
}

}  // namespace lutra::golden
