#include "lutra/runtime/text_generator.h"

#include <chrono>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/generate/allowed_tokens.h"
#include "runtime/generate/generation.h"

namespace lutra {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

TextGenerator::TextGenerator(LanguageModel& model, const Tokenizer& tokenizer,
                             const GenerationOptions& options)
    : model_(model),
      tokenizer_(tokenizer),
      options_(options),
      sampler_(options.sampler, model.vocabulary()),
      allowed_(std::make_unique<AllowedTokens>(model.vocabulary(), tokenizer,
                                               options)) {
  StopFilter check(options.stops);
}

TextGenerator::~TextGenerator() = default;

void TextGenerator::SetDrafter(Drafter* drafter, size_t most) {
  speculation_.reset();
  if (drafter != nullptr) speculation_.emplace(model_, *drafter, most);
}

void TextGenerator::Reset() {
  model_.Reset();
  sampler_.Reset();
  pending_.clear();
}

void TextGenerator::Accept(Span<const int32_t> tokens) {
  for (const int32_t id : tokens) sampler_.Accept(id);
  if (speculation_) speculation_->SetTokens(tokens);
}

void TextGenerator::Rewind(size_t position) {
  model_.Rewind(position);
  pending_.clear();
}

size_t TextGenerator::Position() const {
  return speculation_ ? speculation_->position() : model_.position();
}

Span<const float> TextGenerator::FeedPending() {
  const size_t before = Position();
  try {
    const Span<const float> logits =
        speculation_ ? speculation_->Feed(pending_) : model_.Feed(pending_);
    pending_.clear();
    return logits;
  } catch (...) {
    const auto fed = static_cast<std::ptrdiff_t>(Position() - before);
    pending_.erase(pending_.begin(), pending_.begin() + fed);
    throw;
  }
}

void TextGenerator::FeedButLast() {
  const int32_t last = pending_.back();
  pending_.pop_back();
  try {
    FeedPending();
    pending_.push_back(last);
  } catch (...) {
    pending_.push_back(last);
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
    if (last_token_) {
      if (pending_.size() > 1) FeedButLast();
      if (speculation_) speculation_->Settle();
      last_token_();
    }
    return FeedPending();
  } catch (const Cancelled&) {
    throw;
  } catch (...) {
    // Of a prompt that cannot be fed nothing must stay in the way of another.
    pending_.resize(model_.position() == before ? waiting : 0);
    throw;
  }
}

GenerationEnd TextGenerator::Generate(std::string_view prompt,
                                      const Show& show) {
  const bool begins = model_.position() == 0 && pending_.empty();
  return GenerateFrom(begins ? tokenizer_.EncodePrompt(prompt)
                             : tokenizer_.Encode(prompt, /*add_special=*/false),
                      !begins || !prompt.empty(), show);
}

GenerationEnd TextGenerator::GenerateFrom(std::vector<int32_t> prompt,
                                          bool continues, const Show& show) {
  Begin(std::move(prompt), continues, show);
  for (;;) {
    if (const auto end = Next()) return *end;
  }
}

void TextGenerator::Begin(std::vector<int32_t> prompt, bool continues,
                          Show show) {
  prompt_ = std::move(prompt);
  prompt_fed_ = false;
  tokens_.clear();
  prompt_seconds_ = seconds_ = 0;
  text_ = std::make_unique<ShownText>(tokenizer_, continues, options_.stops,
                                      std::move(show));
  allowed_->Begin(continues);
}

std::optional<GenerationEnd> TextGenerator::Next() {
  if (text_ == nullptr) throw Error("the text has ended");
  const auto settle = [this] {
    if (speculation_) speculation_->Settle();
  };
  try {
    const std::optional<GenerationEnd> end = Step();
    if (!end) return end;
    settle();
    text_->Finish();
    text_.reset();
    return end;
  } catch (const Cancelled&) {
    settle();
    text_->Finish();
    text_.reset();
    throw;
  } catch (...) {
    settle();
    text_.reset();
    throw;
  }
}

std::optional<GenerationEnd> TextGenerator::NextGuessed() {
  std::optional<GenerationEnd> end = Next();
  while (!end && speculation_ && speculation_->Knows(pending_.back())) {
    end = Next();
  }
  if (!end && speculation_) speculation_->Settle();
  return end;
}

// So that a token that was chosen cannot get lost.
void TextGenerator::MakeRoom() {
  constexpr size_t kTokens = 64;
  pending_.reserve(pending_.size() + 1);
  if (tokens_.size() == tokens_.capacity()) {
    tokens_.reserve(2 * tokens_.size() + kTokens);
  }
}

std::optional<GenerationEnd> TextGenerator::Step() {
  Span<const float> logits;
  if (prompt_fed_) {
    logits = FeedPending();
  } else {
    start_ = Clock::now();
    logits = FeedPrompt();
    for (const int32_t id : prompt_) sampler_.Accept(id);
    prompt_fed_ = true;
    prompt_seconds_ = SecondsSince(start_);
    start_ = Clock::now();
    if (allowed_->finished()) return GenerationEnd::kGrammar;
  }
  MakeRoom();
  const int32_t id = sampler_.Sample(logits, allowed_->Next());
  sampler_.Accept(id);
  pending_.push_back(id);
  tokens_.push_back(id);
  seconds_ = SecondsSince(start_);
  if (choice_) choice_(id, logits);
  if (IsEnd(tokenizer_, options_, id)) return GenerationEnd::kEndToken;
  allowed_->Accept(id);
  text_->Add(id);
  if (text_->stopped()) return GenerationEnd::kStopString;
  if (tokens_.size() == options_.max_tokens) return GenerationEnd::kMaxTokens;
  if (allowed_->finished()) return GenerationEnd::kGrammar;
  if (model_.context() > 0 && Position() == model_.context()) {
    return GenerationEnd::kContextFull;
  }
  return std::nullopt;
}

}  // namespace lutra
