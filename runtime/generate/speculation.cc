#include "lutra/runtime/speculation.h"

#include <algorithm>
#include <string>

#include "lutra/runtime/error.h"

namespace lutra {

Speculation::Speculation(LanguageModel& model, Drafter& drafter, size_t most)
    : model_(model), drafter_(drafter), most_(most), length_(most) {
  if (most == 0 || most > kMaxGuess) {
    throw Error("speculation: 1 to " + std::to_string(kMaxGuess) +
                " tokens can be guessed at a time");
  }
  if (!model.session().sequence().CanTruncate()) {
    throw Error::InFile(model.model().path(),
                        "cannot be run speculatively: the model has recurrent "
                        "nodes, which cannot take guesses back",
                        ErrorCode::kUnsupported);
  }
}

Span<const float> Speculation::Row(size_t i) const {
  const size_t size = model_.vocabulary();
  return Span<const float>(logits_).subspan(i * size, size);
}

void Speculation::Settle() {
  // Guesses that came true encourage longer ones.
  if (!guess_.empty()) {
    length_ = used_ == guess_.size() ? std::min(most_, 2 * length_) : used_ + 1;
  }
  model_.Rewind(position());
  guess_.clear();
  used_ = 0;
}

void Speculation::SetTokens(Span<const int32_t> tokens) {
  Settle();
  tokens_.assign(tokens.begin(), tokens.end());
}

Span<const float> Speculation::Feed(Span<const int32_t> ids) {
  if (ids.size() == 1 && Knows(ids[0])) {
    ++used_;
    ++accepted_;
    tokens_.push_back(ids[0]);
    return Row(used_);
  }
  Settle();
  // Others may have used the model since.
  tokens_.resize(std::min(tokens_.size(), model_.position()));
  const size_t before = model_.position();
  const size_t known = tokens_.size();
  try {
    tokens_.insert(tokens_.end(), ids.begin(), ids.end());
    // A prompt is long already.
    return ids.size() == 1 ? Verify(ids) : model_.Feed(ids);
  } catch (...) {
    // What was fed of `ids` stays, as of LanguageModel::Feed.
    const size_t fed = std::min(model_.position() - before, ids.size());
    model_.Rewind(before + fed);
    tokens_.resize(known + fed);
    throw;
  }
}

Span<const float> Speculation::Verify(Span<const int32_t> ids) {
  size_t most = std::min(length_, most_);
  if (model_.context() > 0) {
    const size_t room = model_.context() - model_.position();
    most = std::min(most, room > ids.size() ? room - ids.size() : 0);
  }
  std::vector<int32_t> guess;
  if (most > 0) drafter_.Guess(tokens_, most, guess);
  // A drafter may know tokens that the model does not.
  const auto unknown =
      std::find_if(guess.begin(), guess.end(), [this](int32_t id) {
        return id < 0 || static_cast<size_t>(id) >= model_.vocabulary();
      });
  guess.erase(unknown, guess.end());
  if (guess.empty()) return model_.Feed(ids);
  call_.assign(ids.begin(), ids.end());
  call_.insert(call_.end(), guess.begin(), guess.end());
  const size_t size = model_.vocabulary();
  logits_.resize(std::max(logits_.size(), call_.size() * size));
  model_.Score(call_, [this, size](size_t index, Span<const float> logits) {
    std::copy(logits.begin(), logits.end(),
              logits_.begin() + static_cast<std::ptrdiff_t>(index * size));
  });
  guess_ = std::move(guess);
  guessed_ += guess_.size();
  return Row(0);
}

}  // namespace lutra
