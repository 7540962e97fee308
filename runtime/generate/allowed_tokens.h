#ifndef LUTRA_RUNTIME_GENERATE_ALLOWED_TOKENS_H_
#define LUTRA_RUNTIME_GENERATE_ALLOWED_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/generation.h"
#include "lutra/runtime/token_constraint.h"
#include "lutra/runtime/tokenizer.h"

namespace lutra {

// Which tokens a generated text may go on with. Those that the tokenizer does
// not know or has no meaning for (models pad their vocabularies), never; on
// demand none that ends the text; and of the rest those that the grammar lets
// follow, if there is one.
class AllowedTokens {
 public:
  AllowedTokens(size_t vocabulary, const Tokenizer& tokenizer,
                const GenerationOptions& options);

  // Another one at the start of a text.
  std::unique_ptr<AllowedTokens> Again(bool continues) const;

  // The start of a text, which continues another one or not.
  void Begin(bool continues);
  // A mask for Sampler::Sample, valid until the next call. Throws Error if no
  // token is left.
  Span<const uint32_t> Next();
  // The token, no end, was chosen.
  void Accept(int32_t id);
  // Whether the grammar lets nothing follow.
  bool finished() const { return constraint_ && constraint_->finished(); }

 private:
  AllowedTokens(std::shared_ptr<const std::vector<uint32_t>> always,
                std::optional<TokenConstraint> constraint);

  std::shared_ptr<const std::vector<uint32_t>> always_;  // empty for all
  std::optional<TokenConstraint> constraint_;
  std::vector<uint32_t> mask_;  // what both allow
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_GENERATE_ALLOWED_TOKENS_H_
