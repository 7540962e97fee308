#ifndef LUTRA_BINDINGS_PYTHON_SRC_LANGUAGE_H_
#define LUTRA_BINDINGS_PYTHON_SRC_LANGUAGE_H_

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/grammar.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/sampler.h"
#include "lutra/runtime/sequence.h"
#include "lutra/runtime/speculation.h"
#include "lutra/runtime/tokenizer.h"

namespace lutra::python {

struct PyTokenizer {
  std::shared_ptr<const Tokenizer> tokenizer;
};

// Throws Error if the model has none.
std::shared_ptr<const Tokenizer> RequireTokenizer(const Model& model);

// What Python's LanguageModel and its sequences share. Calls of several threads
// take turns.
struct Language {
  Language(std::shared_ptr<const Model> loaded,
           const LanguageModelOptions& options)
      : model(std::move(loaded), options), chunk(options.chunk) {}

  // Throws Error if the file has none.
  const std::shared_ptr<const Tokenizer>& RequireTokenizer() const {
    if (tokenizer == nullptr) python::RequireTokenizer(model.model());
    return tokenizer;
  }

  LanguageModel model;
  size_t chunk;
  std::shared_ptr<const Tokenizer> tokenizer;  // nullptr if the file has none
  std::mutex mutex;
};

// The tokens of a sequence are those that were fed, `fed` of them, and those
// that were chosen since, which are fed before the next ones. Its members are
// read and written with the GIL, `fed` excepted, which a Turn writes.
struct PySequence {
  std::shared_ptr<Language> language;
  Sequence state;
  std::vector<int32_t> tokens;
  size_t fed = 0;
  // Whether a call is at work on it.
  bool busy = false;
  // Changes with the tokens, so that a generation notices what came between its
  // steps.
  uint64_t revision = 0;

  std::vector<int32_t> Waiting(size_t but, size_t most) const;
};

// While it lives, other calls on the sequence (of other threads, or of the
// handler of a signal) are an Error. Needs the GIL.
class Use {
 public:
  explicit Use(PySequence& sequence);
  ~Use() { sequence_.busy = false; }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  PySequence& sequence_;
};

// While it lives, the sequence is the model's own, and no other thread runs the
// model. Made without the GIL, as it waits for these. The sequence is in Use.
class Turn {
 public:
  explicit Turn(PySequence& sequence)
      : lock_(sequence.language->mutex), sequence_(sequence) {
    Swap();
  }
  ~Turn() {
    sequence_.fed = sequence_.language->model.position();
    Swap();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  void Swap() {
    std::swap(sequence_.state, sequence_.language->model.session().sequence());
  }

  std::scoped_lock<std::mutex> lock_;
  PySequence& sequence_;
};

// Tokens to feed next. Throws Error, having appended none, for ids outside the
// vocabulary, and where the context has no room.
void Append(PySequence& sequence, Span<const int32_t> ids);

// Feeds what waits, but for the last `but` tokens, a chunk at a time, and looks
// for signals in between. Copies the logits that follow to `logits`, unless
// that is nullptr. What ends it early takes back what was not fed. Needs the
// GIL, as do the others.
void FeedWaiting(PySequence& sequence, size_t but, float* logits);

// Forgets the tokens from `position` on. Throws Error as Sequence::Truncate.
void Truncate(PySequence& sequence, size_t position);

// Goes back to what the tokens of the sequence have in common with `ids`, but
// for the last of these, and returns how many that are.
size_t KeepPrefix(PySequence& sequence, Span<const int32_t> ids);

// Guesses by the weights and the memory of `draft`, on a sequence of its own;
// or nothing, while another thread uses it. Throws Error where it says nothing
// about the texts of `model`.
std::unique_ptr<Drafter> MakeDrafter(const Language& model,
                                     std::shared_ptr<Language> draft);

// The class of what generate() returns.
void BindGeneration(nanobind::module_& module);
// A new one of these, with the arguments of generate() in Python.
struct GenerationArguments {
  nanobind::object prompt;
  size_t max_tokens = 0;
  SamplerOptions sampler;
  std::vector<std::string> stops;
  bool ignore_end = false;
  std::vector<int32_t> ends;
  std::shared_ptr<const Grammar> grammar;
  bool keep_prefix = false;
  std::unique_ptr<Drafter> drafter;  // nullptr: nothing is guessed
  size_t draft_tokens = 0;           // at a time
};
nanobind::object Generate(nanobind::object sequence,
                          GenerationArguments arguments);

}  // namespace lutra::python

#endif  // LUTRA_BINDINGS_PYTHON_SRC_LANGUAGE_H_
