#include "lutra/runtime/text_generator.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/stop_filter.h"

namespace lutra {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Tokens that must not be chosen: those the tokenizer does not know or has no
// meaning for (models pad their vocabularies), and on demand those that end the
// text.
std::vector<int32_t> Excluded(const LanguageModel& model,
                              const Tokenizer& tokenizer, bool ignore_end) {
  std::vector<int32_t> excluded;
  const auto vocabulary = static_cast<int32_t>(model.vocabulary());
  if (ignore_end) {
    for (const int32_t id : tokenizer.ends()) {
      if (id < vocabulary) excluded.push_back(id);
    }
  }
  const auto known = static_cast<int32_t>(tokenizer.size());
  for (int32_t id = 0; id < vocabulary; ++id) {
    if (id >= known || tokenizer.IsUnused(id)) excluded.push_back(id);
  }
  return excluded;
}

}  // namespace

std::string_view Name(GenerationEnd end) {
  switch (end) {
    case GenerationEnd::kEndToken:
      return "end";
    case GenerationEnd::kStopString:
      return "stop";
    case GenerationEnd::kMaxTokens:
      return "length";
    case GenerationEnd::kContextFull:
      break;
  }
  return "context";
}

// From tokens to what is shown.
class TextGenerator::Text {
 public:
  Text(const Tokenizer& tokenizer, bool continues,
       const std::vector<std::string>& stops, const Show& show)
      : stream_(tokenizer, continues), filter_(stops), show_(show) {}

  void Add(int32_t id) { ShowText(filter_.Add(stream_.Add(id))); }
  void Finish() {
    ShowText(filter_.Add(stream_.Flush()));
    ShowText(filter_.Flush());
  }
  bool stopped() const { return filter_.stopped(); }

 private:
  void ShowText(const std::string& text) {
    if (!text.empty()) show_(text);
  }

  TextStream stream_;
  StopFilter filter_;
  const Show& show_;
};

TextGenerator::TextGenerator(LanguageModel& model, const Tokenizer& tokenizer,
                             const GenerationOptions& options)
    : model_(model),
      tokenizer_(tokenizer),
      options_(options),
      sampler_(options.sampler, model.vocabulary()),
      excluded_(Excluded(model, tokenizer, options.ignore_end)) {
  StopFilter check(options.stops);
  if (!excluded_.empty()) masked_.resize(model.vocabulary());
}

void TextGenerator::Reset() {
  model_.Reset();
  sampler_.Reset();
  pending_.clear();
}

Span<const float> TextGenerator::FeedPending() {
  const size_t before = model_.position();
  try {
    const Span<const float> logits = model_.Feed(pending_);
    pending_.clear();
    return logits;
  } catch (...) {
    const auto fed = static_cast<std::ptrdiff_t>(model_.position() - before);
    pending_.erase(pending_.begin(), pending_.begin() + fed);
    throw;
  }
}

Span<const float> TextGenerator::FeedPrompt() {
  const size_t waiting = pending_.size();
  pending_.insert(pending_.end(), prompt_.begin(), prompt_.end());
  if (pending_.empty()) {
    throw Error::InFile(model_.model().path(),
                        "the prompt is empty and the tokenizer has no token "
                        "that begins a text",
                        ErrorCode::kInvalidArgument);
  }
  const size_t before = model_.position();
  try {
    return FeedPending();
  } catch (const Cancelled&) {
    throw;
  } catch (...) {
    // Of a prompt that cannot be fed nothing must stay in the way of another.
    pending_.resize(model_.position() == before ? waiting : 0);
    throw;
  }
}

Span<const float> TextGenerator::WithoutExcluded(Span<const float> logits) {
  if (excluded_.empty()) return logits;
  std::copy(logits.begin(), logits.end(), masked_.begin());
  for (const int32_t id : excluded_) {
    masked_[static_cast<size_t>(id)] = -std::numeric_limits<float>::infinity();
  }
  return masked_;
}

GenerationEnd TextGenerator::Generate(std::string_view prompt,
                                      const Show& show) {
  const bool begins = model_.position() == 0 && pending_.empty();
  prompt_.clear();
  tokens_.clear();
  prompt_seconds_ = seconds_ = 0;
  prompt_ = begins ? tokenizer_.EncodePrompt(prompt)
                   : tokenizer_.Encode(prompt, /*add_special=*/false);
  Text text(tokenizer_, !begins || !prompt.empty(), options_.stops, show);
  try {
    const GenerationEnd end = Continue(text);
    text.Finish();
    return end;
  } catch (const Cancelled&) {
    text.Finish();
    throw;
  }
}

// So that a token that was chosen cannot get lost.
void TextGenerator::MakeRoom() {
  constexpr size_t kTokens = 64;
  pending_.reserve(pending_.size() + 1);
  if (tokens_.size() == tokens_.capacity()) {
    tokens_.reserve(2 * tokens_.size() + kTokens);
  }
}

GenerationEnd TextGenerator::Continue(Text& text) {
  Clock::time_point start = Clock::now();
  Span<const float> logits = FeedPrompt();
  for (const int32_t id : prompt_) sampler_.Accept(id);
  prompt_seconds_ = SecondsSince(start);
  start = Clock::now();
  while (true) {
    MakeRoom();
    const int32_t id = sampler_.Sample(WithoutExcluded(logits));
    sampler_.Accept(id);
    pending_.push_back(id);
    tokens_.push_back(id);
    seconds_ = SecondsSince(start);
    if (tokenizer_.IsEnd(id)) return GenerationEnd::kEndToken;
    text.Add(id);
    if (text.stopped()) return GenerationEnd::kStopString;
    if (tokens_.size() == options_.max_tokens) {
      return GenerationEnd::kMaxTokens;
    }
    if (model_.context() > 0 && model_.position() == model_.context()) {
      return GenerationEnd::kContextFull;
    }
    logits = FeedPending();
  }
}

}  // namespace lutra
