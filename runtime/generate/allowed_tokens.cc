#include "runtime/generate/allowed_tokens.h"

#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/sampler.h"
#include "runtime/generate/generation.h"

namespace lutra {
namespace {

std::vector<uint32_t> AlwaysAllowed(size_t vocabulary,
                                    const Tokenizer& tokenizer,
                                    const GenerationOptions& options) {
  std::vector<uint32_t> allowed(TokenMaskWords(vocabulary));
  bool all = true;
  for (size_t i = 0; i < vocabulary; ++i) {
    const auto id = static_cast<int32_t>(i);
    if (i < tokenizer.size() && !tokenizer.IsUnused(id) &&
        !(options.ignore_end && IsEnd(tokenizer, options, id))) {
      allowed[i / 32] |= uint32_t{1} << (i % 32);
    } else {
      all = false;
    }
  }
  if (all) allowed.clear();
  return allowed;
}

}  // namespace

AllowedTokens::AllowedTokens(size_t vocabulary, const Tokenizer& tokenizer,
                             const GenerationOptions& options)
    : always_(std::make_shared<const std::vector<uint32_t>>(
          AlwaysAllowed(vocabulary, tokenizer, options))) {
  if (options.grammar == nullptr) return;
  constraint_.emplace(options.grammar, tokenizer, vocabulary, options.ends);
}

AllowedTokens::AllowedTokens(
    std::shared_ptr<const std::vector<uint32_t>> always,
    std::optional<TokenConstraint> constraint)
    : always_(std::move(always)), constraint_(std::move(constraint)) {}

std::unique_ptr<AllowedTokens> AllowedTokens::Again(bool continues) const {
  std::optional<TokenConstraint> constraint;
  if (constraint_) constraint = constraint_->Again(continues);
  return std::unique_ptr<AllowedTokens>(
      new AllowedTokens(always_, std::move(constraint)));
}

void AllowedTokens::Begin(bool continues) {
  if (constraint_) constraint_->Reset(continues);
}

Span<const uint32_t> AllowedTokens::Next() {
  if (!constraint_) return *always_;
  const Span<const uint32_t> allowed = constraint_->Allowed();
  mask_.assign(allowed.begin(), allowed.end());
  uint32_t any = 0;
  for (size_t i = 0; i < mask_.size(); ++i) {
    if (!always_->empty()) mask_[i] &= (*always_)[i];
    any |= mask_[i];
  }
  if (any == 0) {
    throw Error(ErrorCode::kUnsupported,
                "grammar: no token of the model can come next");
  }
  return mask_;
}

void AllowedTokens::Accept(int32_t id) {
  if (constraint_) constraint_->Accept(id);
}

}  // namespace lutra
