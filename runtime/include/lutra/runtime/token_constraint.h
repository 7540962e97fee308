#ifndef LUTRA_RUNTIME_TOKEN_CONSTRAINT_H_
#define LUTRA_RUNTIME_TOKEN_CONSTRAINT_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "lutra/kernels/span.h"
#include "lutra/runtime/grammar.h"
#include "lutra/runtime/tokenizer.h"

namespace lutra {

// Which tokens may come next in a text that is to be one of a grammar: a mask
// for Sampler::Sample, token after token.
//
//   TokenConstraint constraint(grammar, *tokenizer, model.vocabulary());
//   while (!constraint.finished()) {
//     const int32_t id = sampler.Sample(logits, constraint.Allowed());
//     if (tokenizer->IsEnd(id)) break;
//     constraint.Accept(id);
//     logits = model.Feed({&id, 1});
//   }
//
// The grammar is read as an automaton over bytes whose states are made when
// they are first met (a set of stacks each, as in Deutsch et al., "A general-
// purpose algorithm for constrained sequential inference", 2019) and kept, with
// their masks: in a state that was met before a token costs nothing to speak
// of, in a new one a look at the vocabulary. Memory is bounded to some tens of
// MB. One thread at a time.
class TokenConstraint {
 public:
  // `ends` are tokens that end the text beside the tokenizer's. Tokens from
  // `vocabulary` on, and those without a text, are never allowed. `continues`
  // is as of TextStream. The tokenizer is not kept. Throws Error.
  TokenConstraint(std::shared_ptr<const Grammar> grammar,
                  const Tokenizer& tokenizer, size_t vocabulary,
                  Span<const int32_t> ends = {}, bool continues = true);
  ~TokenConstraint();
  TokenConstraint(TokenConstraint&&) noexcept;
  TokenConstraint& operator=(TokenConstraint&&) noexcept;

  // Another one at the start of a text; shares what does not change.
  TokenConstraint Again(bool continues = true) const;

  // TokenMaskWords(vocabulary) words, valid until the next call. Tokens that
  // end the text are allowed where it is complete. No token is allowed where
  // the vocabulary has none that goes on. Throws Error if there are too many
  // ways to read the text so far.
  Span<const uint32_t> Allowed();

  // Goes on by a token that is allowed; throws Error for others. Ends change
  // nothing.
  void Accept(int32_t id);

  // The text so far is one of the grammar; and nothing can follow it.
  bool complete() const;
  bool finished() const;

  // The start of a text.
  void Reset(bool continues = true);

 private:
  class Impl;
  explicit TokenConstraint(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TOKEN_CONSTRAINT_H_
