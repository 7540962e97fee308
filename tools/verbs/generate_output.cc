#include "tools/verbs/generate_output.h"

#include <algorithm>
#include <iostream>

#include "lutra/eval/memory.h"
#include "lutra/runtime/log_probability.h"
#include "tools/cli/table.h"

namespace lutra::tools {
namespace {

Json Described(const Tokenizer& tokenizer, int32_t id, float log_probability) {
  // A model may have more rows than its tokenizer has tokens.
  const bool known = static_cast<size_t>(id) < tokenizer.size();
  const Span<const int32_t> one(&id, 1);
  return {{"id", id},
          {"text", known ? tokenizer.DecodeText(one, true) : ""},
          {"logprob", static_cast<double>(log_probability)}};
}

}  // namespace

void GenerateOutput::Watch(TextGenerator& generator) {
  if (!verb_.AsJson() || verb_.log_probabilities == 0) return;
  generator.OnChoice(
      [this](int32_t id, Span<const float> logits) { Token(id, logits); });
}

void GenerateOutput::Token(int32_t id, Span<const float> logits) {
  Json token = Described(tokenizer_, id, LogProbability(logits, id));
  token["top"] = Json::Array();
  const size_t count = std::min(verb_.log_probabilities, logits.size());
  for (const TokenLogProbability& each : TopLogProbabilities(logits, count)) {
    token["top"].PushBack(Described(tokenizer_, each.id, each.log_probability));
  }
  if (verb_.json_lines) {
    Json event = {{"type", "token"}};
    event.Update(token);
    Line(event);
  } else {
    log_probabilities_.PushBack(std::move(token));
  }
}

void GenerateOutput::Show(std::string_view text) {
  shown_ += text;
  if (verb_.json_lines) {
    Line({{"type", "text"}, {"text", text}});
  } else if (!verb_.json) {
    Write(text);
  }
}

void GenerateOutput::Add(const TextGenerator& generator) {
  prompt_tokens_ += generator.prompt_tokens().size();
  prompt_seconds_ += generator.prompt_seconds();
  tokens_ += generator.tokens().size();
  seconds_ += generator.seconds();
  if (const Speculation* speculation = generator.speculation()) {
    guesses_ = Guesses{speculation->guessed(), speculation->accepted()};
  }
}

double GenerateOutput::PromptSpeed() const {
  return PerSecond(prompt_tokens_, prompt_seconds_);
}

double GenerateOutput::Speed() const { return PerSecond(tokens_, seconds_); }

void GenerateOutput::Line(const Json& event) const {
  Write(event.Dump(-1, Json::BadText::kReplace) + "\n");
}

void GenerateOutput::PrintTotals() const {
  const MemoryReport memory = model_.Memory();
  std::string used = WithCommas(model_.position());
  if (model_.context() > 0) used += " of " + WithCommas(model_.context());
  std::cerr << "load " << Short(1e3 * load_seconds_) << " ms; prompt "
            << WithCommas(prompt_tokens_) << " tokens, " << Short(PromptSpeed())
            << " tokens/s; generated " << WithCommas(tokens_) << " tokens, "
            << Short(Speed()) << " tokens/s\n"
            << "memory: weights " << Bytes(memory.weights) << " mapped, arena "
            << Bytes(memory.arena) << ", state " << Bytes(memory.state) << " ("
            << used << " tokens used), peak " << Bytes(eval::PeakMemoryBytes())
            << std::endl;
  if (guesses_) {
    std::cerr << "guessed " << WithCommas(guesses_->all) << " tokens, "
              << WithCommas(guesses_->accepted) << " of them right"
              << std::endl;
  }
}

Json GenerateOutput::Totals() const {
  const MemoryReport memory = model_.Memory();
  Json totals = {{"load_seconds", load_seconds_},
                 {"prompt_seconds", prompt_seconds_},
                 {"prompt_tokens_per_second", PromptSpeed()},
                 {"seconds", seconds_},
                 {"tokens_per_second", Speed()},
                 {"context", model_.context()},
                 {"weight_bytes", memory.weights},
                 {"arena_bytes", memory.arena},
                 {"state_bytes", memory.state},
                 {"peak_bytes", eval::PeakMemoryBytes()}};
  if (guesses_) {
    totals["guessed_tokens"] = guesses_->all;
    totals["accepted_tokens"] = guesses_->accepted;
  }
  return totals;
}

void GenerateOutput::Finish(const std::string& prompt,
                            const TextGenerator& generator,
                            std::string_view end) {
  if (!verb_.AsJson()) {
    if (!verb_.quiet) PrintTotals();
    return;
  }
  Json report = Json::Object();
  if (verb_.json_lines) report["type"] = "end";
  report.Update({{"model", verb_.model},
                 {"prompt", prompt},
                 {"text", shown_},
                 {"prompt_tokens", generator.prompt_tokens()},
                 {"tokens", generator.tokens()},
                 {"end", end},
                 {"seed", verb_.generation.sampler.seed}});
  if (verb_.json && verb_.log_probabilities > 0) {
    report["logprobs"] = log_probabilities_;
  }
  report.Update(Totals());
  if (verb_.json_lines) {
    Line(report);
  } else {
    std::cout << report.Dump(2, Json::BadText::kReplace) << "\n";
  }
}

}  // namespace lutra::tools
