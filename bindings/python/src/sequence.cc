#include <algorithm>
#include <string>

#include "bindings/python/src/errors.h"
#include "bindings/python/src/language.h"
#include "lutra/runtime/error.h"

namespace nb = nanobind;

namespace lutra::python {

std::vector<int32_t> PySequence::Waiting(size_t but, size_t most) const {
  const size_t count = std::min(tokens.size() - fed - but, most);
  const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(fed);
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

Use::Use(PySequence& sequence) : sequence_(sequence) {
  if (sequence.busy) {
    throw Error("the sequence is in use by another call; fork it, or wait");
  }
  sequence.busy = true;
}

void Append(PySequence& sequence, Span<const int32_t> ids) {
  const LanguageModel& model = sequence.language->model;
  const size_t context = model.context();
  const size_t room = context - std::min(context, sequence.tokens.size());
  if (context > 0 && ids.size() > room) {
    throw Error(ErrorCode::kContextFull,
                std::to_string(ids.size()) +
                    " tokens do not fit: the sequence has " +
                    std::to_string(sequence.tokens.size()) + ", the context " +
                    std::to_string(context));
  }
  for (const int32_t id : ids) {
    if (id < 0 || static_cast<size_t>(id) >= model.vocabulary()) {
      throw Error("the id " + std::to_string(id) +
                  " is outside the vocabulary of " +
                  std::to_string(model.vocabulary()));
    }
  }
  sequence.tokens.insert(sequence.tokens.end(), ids.begin(), ids.end());
  ++sequence.revision;
}

void FeedWaiting(PySequence& sequence, size_t but, float* logits) {
  try {
    while (sequence.tokens.size() - sequence.fed > but) {
      CheckSignals();
      const std::vector<int32_t> ids =
          sequence.Waiting(but, sequence.language->chunk);
      const nb::gil_scoped_release release;
      const Turn turn(sequence);
      const Span<const float> last = sequence.language->model.Feed(ids);
      if (logits != nullptr) std::copy(last.begin(), last.end(), logits);
    }
  } catch (...) {
    sequence.tokens.resize(sequence.fed);
    ++sequence.revision;
    throw;
  }
}

void Truncate(PySequence& sequence, size_t position) {
  if (position > sequence.tokens.size()) {
    throw Error("the sequence has " + std::to_string(sequence.tokens.size()) +
                " tokens, which are fewer than " + std::to_string(position));
  }
  if (position < sequence.fed) sequence.state.Truncate(position);
  sequence.fed = sequence.state.position();
  sequence.tokens.resize(position);
  ++sequence.revision;
}

size_t KeepPrefix(PySequence& sequence, Span<const int32_t> ids) {
  const auto& tokens = sequence.tokens;
  const auto [mine, theirs] =
      std::mismatch(tokens.begin(), tokens.end(), ids.begin(), ids.end());
  // The last id is fed in any case, for its logits; and those that were chosen
  // but not fed are fed anew.
  const size_t most = std::min(sequence.fed, ids.empty() ? 0 : ids.size() - 1);
  size_t common = std::min(static_cast<size_t>(mine - tokens.begin()), most);
  if (common < sequence.fed && !sequence.state.CanTruncate()) common = 0;
  Truncate(sequence, common);
  return common;
}

}  // namespace lutra::python
