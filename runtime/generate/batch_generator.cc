#include "lutra/runtime/batch_generator.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/generate/allowed_tokens.h"
#include "runtime/generate/generation.h"

namespace lutra {
namespace {

Error PromptError(const LanguageModel& model, size_t prompt,
                  const std::string& cause, ErrorCode code) {
  return Error::InFile(model.model().path(),
                       "prompt " + std::to_string(prompt + 1) + " " + cause,
                       code);
}

void CheckPrompt(const LanguageModel& model, size_t index,
                 const std::vector<int32_t>& ids) {
  if (ids.empty()) {
    throw PromptError(model, index, "has no tokens",
                      ErrorCode::kInvalidArgument);
  }
  if (model.context() > 0 && ids.size() > model.context()) {
    throw PromptError(model, index,
                      "has " + std::to_string(ids.size()) +
                          " tokens, more than the context of " +
                          std::to_string(model.context()),
                      ErrorCode::kContextFull);
  }
  for (const int32_t id : ids) {
    if (id >= 0 && static_cast<size_t>(id) < model.vocabulary()) continue;
    throw PromptError(model, index,
                      "has the id " + std::to_string(id) +
                          ", which is not below the vocabulary of " +
                          std::to_string(model.vocabulary()),
                      ErrorCode::kInvalidArgument);
  }
}

// A prompt that is being continued.
struct Slot {
  size_t prompt;
  Sequence sequence;
  Sampler sampler;
  std::vector<int32_t> pending;  // what the sequence is to be fed next
};

// The mask of the tokens that a prompt may go on with.
using Allowed = std::function<Span<const uint32_t>(size_t prompt)>;

class Batch {
 public:
  Batch(LanguageModel& model, Span<const std::vector<int32_t>> prompts,
        const BatchOptions& options, const Allowed& allowed,
        const ChooseEnd& each, std::vector<BatchResult>& results)
      : model_(model),
        options_(options),
        allowed_(allowed),
        each_(each),
        results_(results) {
    results_.assign(prompts.size(), BatchResult());
    if (options.parallel == 0) {
      throw Error("batch: at least one prompt must run at a time");
    }
    for (size_t i = 0; i < prompts.size(); ++i) {
      CheckPrompt(model, i, prompts[i]);
      results_[i].prompt = prompts[i];
    }
  }

  void Run() {
    while (true) {
      while (slots_.size() < options_.parallel && next_ < results_.size()) {
        Begin(next_++);
      }
      if (slots_.empty()) return;
      Step();
    }
  }

 private:
  void Begin(size_t prompt) {
    Slot slot{prompt, model_.program().NewSequence(),
              Sampler(options_.generation.sampler, model_.vocabulary()),
              results_[prompt].prompt};
    for (const int32_t id : slot.pending) slot.sampler.Accept(id);
    slots_.push_back(std::move(slot));
  }

  // A token for each slot; those that end make room.
  void Step() {
    calls_.clear();
    for (Slot& slot : slots_) calls_.push_back({&slot.sequence, slot.pending});
    const Span<const float> logits = model_.FeedAll(calls_);
    const size_t size = model_.vocabulary();
    for (size_t i = 0; i < slots_.size(); ++i) {
      ended_ |= Choose(slots_[i], logits.subspan(i * size, size));
    }
    if (!ended_) return;
    ended_ = false;
    const auto is_done = [](const Slot& slot) { return slot.pending.empty(); };
    slots_.erase(std::remove_if(slots_.begin(), slots_.end(), is_done),
                 slots_.end());
  }

  // Whether the slot has ended: then nothing is pending.
  bool Choose(Slot& slot, Span<const float> logits) {
    const int32_t id = slot.sampler.Sample(logits, allowed_(slot.prompt));
    slot.sampler.Accept(id);
    BatchResult& result = results_[slot.prompt];
    result.tokens.push_back(id);
    slot.pending.clear();
    const std::optional<GenerationEnd> end = End(slot, result, id);
    if (!end) {
      slot.pending.push_back(id);
      return false;
    }
    result.end = end;
    return true;
  }

  std::optional<GenerationEnd> End(const Slot& slot, const BatchResult& result,
                                   int32_t id) const {
    if (const auto end = each_(slot.prompt, id)) return end;
    if (result.tokens.size() == options_.generation.max_tokens) {
      return GenerationEnd::kMaxTokens;
    }
    if (model_.context() > 0 && slot.sequence.position() == model_.context()) {
      return GenerationEnd::kContextFull;
    }
    return std::nullopt;
  }

  LanguageModel& model_;
  const BatchOptions& options_;
  const Allowed& allowed_;
  const ChooseEnd& each_;
  std::vector<BatchResult>& results_;
  std::vector<Slot> slots_;
  std::vector<LanguageModel::Tokens> calls_;
  size_t next_ = 0;  // prompt
  bool ended_ = false;
};

}  // namespace

void GenerateIds(LanguageModel& model, Span<const std::vector<int32_t>> prompts,
                 const BatchOptions& options, Span<const uint32_t> allowed,
                 const ChooseEnd& each, std::vector<BatchResult>& results) {
  const Allowed same = [allowed](size_t) { return allowed; };
  Batch(model, prompts, options, same, each, results).Run();
}

namespace {

struct TextPrompt {
  std::vector<int32_t> ids;
  bool continues = true;  // a text, which has begun
};

void Generate(LanguageModel& model, const Tokenizer& tokenizer,
              Span<const TextPrompt> prompts, const BatchOptions& options,
              const ShowText& show, std::vector<BatchResult>& results) {
  const GenerationOptions& generation = options.generation;
  std::vector<std::vector<int32_t>> ids;
  std::deque<ShownText> texts;
  for (size_t i = 0; i < prompts.size(); ++i) {
    ids.push_back(prompts[i].ids);
    texts.emplace_back(tokenizer, prompts[i].continues, generation.stops,
                       [&show, i](std::string_view text) { show(i, text); });
  }
  // Each has one while it runs.
  const AllowedTokens at_start(model.vocabulary(), tokenizer, generation);
  std::vector<std::unique_ptr<AllowedTokens>> allowed(prompts.size());
  const Allowed next = [&](size_t prompt) {
    if (allowed[prompt] == nullptr) {
      allowed[prompt] = at_start.Again(prompts[prompt].continues);
    }
    return allowed[prompt]->Next();
  };
  const auto end = [&](size_t prompt,
                       int32_t id) -> std::optional<GenerationEnd> {
    if (IsEnd(tokenizer, generation, id)) return GenerationEnd::kEndToken;
    texts[prompt].Add(id);
    if (texts[prompt].stopped()) return GenerationEnd::kStopString;
    allowed[prompt]->Accept(id);
    if (allowed[prompt]->finished()) return GenerationEnd::kGrammar;
    return std::nullopt;
  };
  const ChooseEnd each = [&](size_t prompt, int32_t id) {
    const std::optional<GenerationEnd> ended = end(prompt, id);
    if (ended) allowed[prompt].reset();
    return ended;
  };
  const auto finish = [&texts] {
    for (ShownText& text : texts) text.Finish();
  };
  try {
    Batch(model, ids, options, next, each, results).Run();
  } catch (const Cancelled&) {
    finish();
    throw;
  }
  finish();
}

}  // namespace

void GenerateTexts(LanguageModel& model, const Tokenizer& tokenizer,
                   Span<const std::string> prompts, const BatchOptions& options,
                   const ShowText& show, std::vector<BatchResult>& results) {
  std::vector<TextPrompt> encoded;
  for (const std::string& prompt : prompts) {
    encoded.push_back({tokenizer.EncodePrompt(prompt), !prompt.empty()});
  }
  Generate(model, tokenizer, encoded, options, show, results);
}

void GenerateTexts(LanguageModel& model, const Tokenizer& tokenizer,
                   Span<const std::vector<int32_t>> prompts,
                   const BatchOptions& options, const ShowText& show,
                   std::vector<BatchResult>& results) {
  std::vector<TextPrompt> encoded;
  for (const std::vector<int32_t>& prompt : prompts) {
    encoded.push_back({prompt});
  }
  Generate(model, tokenizer, encoded, options, show, results);
}

}  // namespace lutra
