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
  SessionOptions session;
  // Most tokens of one call; a power of two. A prompt is run in calls of this
  // size, what is left over in falling powers of two, so that few sizes need a
  // plan and memory. More than the context is of no use.
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
//   auto logits = language.Feed(tokenizer->Encode("Once upon a time", true));
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
  // shape [vocabulary].
  static bool Accepts(const Model& model);

  // Throws Error, also if the model is not accepted.
  explicit LanguageModel(std::shared_ptr<const Model> model,
                         const LanguageModelOptions& options = {});

  const Model& model() const { return session_.model(); }
  // For profiling; what runs on it counts as fed.
  Session& session() { return session_; }
  const Session& session() const { return session_; }

  // Logits per token.
  size_t vocabulary() const { return logits_.size(); }
  // Longest sequence, 0 if there is no limit, and how much of it is fed.
  size_t context() const { return session_.context(); }
  size_t position() const { return session_.position(); }

  // Appends tokens to the sequence; returns the logits that follow the last
  // one, [vocabulary], valid until the next call. The result does not depend on
  // how a sequence is split into calls (to the bit if all weights are packed).
  // Throws Error for no ids, ids outside the vocabulary, more than the context
  // holds and what Session::Run refuses, Cancelled after Cancel. position()
  // then says what was fed. Allocates nothing for sizes that were fed before,
  // and never for one token.
  Span<const float> Feed(Span<const int32_t> ids);

  // As Feed, but gives `each` the logits after every token: its index in `ids`
  // and [vocabulary] values, valid during the call. For perplexity.
  using EachToken = std::function<void(size_t index, Span<const float> logits)>;
  void Score(Span<const int32_t> ids, const EachToken& each);

  // Begins a new sequence.
  void Reset() { session_.Reset(); }
  // Forgets the tokens from `position` on. Throws Error if there are not as
  // many, and for models with another state than attention's.
  void Rewind(size_t position) { session_.Rewind(position); }

  // From any thread: the running call, or else the next one, throws Cancelled.
  void Cancel() noexcept { session_.Cancel(); }

  MemoryReport Memory() const { return session_.Memory(); }

 private:
  // Throws unless `count` more tokens fit.
  void CheckRoom(size_t count) const;

  Session session_;
  size_t chunk_;
  std::vector<float> logits_;
  std::vector<float> scores_;  // of a call of Score; made by the first
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_LANGUAGE_MODEL_H_
