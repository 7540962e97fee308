#ifndef LUTRA_TESTS_GOLDEN_REPLAY_LANGUAGE_OUTPUTS_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_LANGUAGE_OUTPUTS_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lutra/kernels/cache_type.h"
#include "lutra/runtime/model.h"
#include "tests/golden_replay/comparison.h"

namespace lutra::golden {

// What a language model gives, compared with what another program recorded.
// Activations are float32, whatever the weights, and so is the cache if nothing
// else is said.

// Logits of every token of `ids`.
std::vector<float> LogitsOf(
    const std::shared_ptr<const Model>& model, std::span<const int32_t> ids,
    kernels::CacheType cache = kernels::CacheType::kFloat32);

// The same, each within `tolerance`.
void CompareLogits(const std::shared_ptr<const Model>& model,
                   std::span<const int32_t> ids,
                   std::span<const float> expected, double tolerance,
                   Comparison& comparison);

// The likeliest ids after `prompt`, one after the other. Where the two best
// logits are closer than the tolerance either may follow, and nothing that
// comes after is comparable.
void CompareGreedy(const std::shared_ptr<const Model>& model,
                   std::span<const int32_t> prompt,
                   std::span<const int32_t> expected, double tolerance,
                   Comparison& comparison,
                   kernels::CacheType cache = kernels::CacheType::kFloat32);

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_LANGUAGE_OUTPUTS_H_
