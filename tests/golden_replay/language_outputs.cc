#include "tests/golden_replay/language_outputs.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "lutra/runtime/language_model.h"

namespace lutra::golden {
namespace {

LanguageModel Start(std::shared_ptr<const Model> model, CacheType cache) {
  LanguageModelOptions options;
  options.session.activations = kernels::ActivationType::kFloat32;
  options.session.cache = cache;
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

std::vector<float> LogitsOf(const std::shared_ptr<const Model>& model,
                            std::span<const int32_t> ids, CacheType cache) {
  LanguageModel language = Start(model, cache);
  std::vector<float> all;
  language.Score(ids, [&all](size_t, std::span<const float> logits) {
    all.insert(all.end(), logits.begin(), logits.end());
  });
  return all;
}

void CompareLogits(const std::shared_ptr<const Model>& model,
                   std::span<const int32_t> ids,
                   std::span<const float> expected, double tolerance,
                   Comparison& comparison) {
  comparison.Absolute("logits", LogitsOf(model, ids), expected, tolerance);
}

void CompareGreedy(const std::shared_ptr<const Model>& model,
                   std::span<const int32_t> prompt,
                   std::span<const int32_t> expected, double tolerance,
                   Comparison& comparison, CacheType cache) {
  LanguageModel language = Start(model, cache);
  std::span<const float> logits = language.Feed(prompt);
  std::vector<int32_t> got;
  while (got.size() < expected.size()) {
    const size_t best = Best(logits);
    if (Lead(logits, best) < tolerance) {
      comparison.Note("from id " + std::to_string(got.size()) +
                      " on the two best logits are too close to tell");
      break;
    }
    got.push_back(static_cast<int32_t>(best));
    if (got.size() < expected.size()) logits = language.Feed({&got.back(), 1});
  }
  comparison.Exact("greedy ids", got, expected.first(got.size()));
}

}  // namespace lutra::golden
