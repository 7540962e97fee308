#ifndef LUTRA_RUNTIME_LANGUAGE_MODEL_H_
#define LUTRA_RUNTIME_LANGUAGE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/session.h"

namespace lutra {

struct LanguageModelOptions {
  ProgramOptions session;
  // Most tokens of one call, at least 1. A prompt is run in calls of this size
  // and one of what is left over.
  size_t chunk = 128;
};

// A session on a model of token sequences: token ids go in, the logits of the
// token to come go out. Text is Tokenizer's and choosing tokens Sampler's
// business:
//
//   auto model = Model::Load("model.safetensors");
//   auto tokenizer = Tokenizer::FromModel(*model);
//   LanguageModel language(model);
//   Sampler sampler({}, language.vocabulary());
//   TextStream text(*tokenizer, /*continues=*/true);
//   auto logits = language.Feed(tokenizer->EncodePrompt("Once upon a time"));
//   while (language.position() < language.context()) {
//     const int32_t id = sampler.Sample(logits);
//     if (tokenizer->IsEnd(id)) break;
//     std::cout << text.Add(id);
//     sampler.Accept(id);
//     logits = language.Feed({&id, 1});
//   }
//
// One thread at a time, except for Cancel.
class LanguageModel {
 public:
  // Whether the model has one input, int32 ids of shape [], and one output of
  // shape [vocabulary] that is not the vector of a text (text_encoder.h).
  static bool Accepts(const Model& model);

  // Throws Error, also if the model is not accepted.
  explicit LanguageModel(std::shared_ptr<const Model> model,
                         const LanguageModelOptions& options = {});

  const Model& model() const { return session_.model(); }
  // For profiling; what runs on it counts as fed.
  Session& session() { return session_; }
  const Session& session() const { return session_; }

  Program& program() { return session_.program(); }

  // Logits per token.
  size_t vocabulary() const { return vocabulary_; }
  // Longest sequence, 0 if there is no limit, and how much of it is fed.
  size_t context() const { return session_.context(); }
  size_t position() const { return session_.position(); }

  // Appends tokens to the sequence; returns the logits that follow the last
  // one, [vocabulary], valid until the next call. The result does not depend on
  // how a sequence is split into calls (to the bit if all weights are packed).
  // Throws Error for no ids, ids outside the vocabulary, more than the context
  // holds and what Session::Run refuses, Cancelled after Cancel. What was fed
  // before the failure, a number of whole chunks, then stays part of the
  // sequence: position() says how much that is, and Rewind or Reset takes it
  // back. Ids outside the vocabulary fail in their chunk; more tokens than the
  // context holds fail before the first. Allocates pages of the sequence, and
  // else nothing for one token and for no more than were fed at once before.
  Span<const float> Feed(Span<const int32_t> ids);

  // As Feed, but gives `each` the logits after every token: its index in `ids`
  // and [vocabulary] values, valid during the call. For perplexity.
  using EachToken = std::function<void(size_t index, Span<const float> logits)>;
  void Score(Span<const int32_t> ids, const EachToken& each);

  // Several sequences at once, which costs little more than one while the
  // weights are what takes the time. Made by program().NewSequence(); the
  // model's own is session().sequence().
  struct Tokens {
    Sequence* sequence = nullptr;
    Span<const int32_t> ids;
  };
  // Feed for each of them: the logits that follow the last token of each,
  // [sequences, vocabulary], valid until the next call.
  Span<const float> FeedAll(Span<const Tokens> tokens);
  // Score for each of them.
  using EachTokenOf = std::function<void(size_t sequence, size_t index,
                                         Span<const float> logits)>;
  void ScoreAll(Span<const Tokens> tokens, const EachTokenOf& each);

  // Begins a new sequence.
  void Reset() { session_.Reset(); }
  // Forgets the tokens from `position` on. Throws Error if there are not as
  // many, and for models with another state than attention's.
  void Rewind(size_t position) { session_.Rewind(position); }

  // From any thread: the running call, or else the next one, throws Cancelled.
  void Cancel() noexcept { session_.Cancel(); }

  MemoryReport Memory() const { return session_.Memory(); }

 private:
  // A call with the next tokens of some sequences: `begin` is the first.
  struct Part;
  // Calls run(part) for parts of at most `most` tokens.
  template <class Run>
  void ForEachPart(Span<const Tokens> tokens, size_t most, const Run& run);
  // Throws unless all tokens fit.
  void CheckRoom(Span<const Tokens> tokens) const;

  Session session_;
  size_t chunk_;
  size_t vocabulary_;
  std::vector<float> logits_;
  std::vector<float> scores_;  // of a call of Score; made by the first
  std::vector<int32_t> ids_;   // of a call
  std::vector<Program::Rows> rows_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_LANGUAGE_MODEL_H_
