#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/eval/memory.h"
#include "lutra/runtime/batch_generator.h"
#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/chat_session.h"
#include "lutra/runtime/error.h"
#include "tools/cli/exit_status.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/generate.h"

namespace lutra::tools {
namespace {

constexpr std::string_view kSeparators = " ,\t\r\n";

// "1 15043, 3186".
std::vector<int32_t> ParseIds(std::string_view text) {
  std::vector<int32_t> ids;
  while (true) {
    text.remove_prefix(
        std::min(text.find_first_not_of(kSeparators), text.size()));
    if (text.empty()) return ids;
    const std::string_view word =
        text.substr(0, text.find_first_of(kSeparators));
    int32_t id = 0;
    const auto [end, error] =
        std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size()) {
      throw UsageError("--prompt", "'" + std::string(word) +
                                       "' is not a token's id; the model has "
                                       "no tokenizer, so prompts are ids");
    }
    ids.push_back(id);
    text.remove_prefix(word.size());
  }
}

// Ids as text, so that they are shown in the same way.
void GenerateAsIds(LanguageModel& model,
                   const std::vector<std::string>& prompts,
                   const BatchOptions& options, std::vector<std::string>& texts,
                   std::vector<BatchResult>& results) {
  if (!options.generation.stops.empty()) {
    throw UsageError("--stop", "the model has no tokenizer");
  }
  if (options.generation.grammar != nullptr) {
    throw Error::InFile(model.model().path(),
                        "has no tokenizer, which a grammar needs");
  }
  std::vector<std::vector<int32_t>> ids;
  for (const std::string& prompt : prompts) {
    ids.push_back(ParseIds(prompt));
    if (ids.back().empty()) {
      throw Error::InFile(model.model().path(),
                          "has no tokenizer and so no token that begins a "
                          "text: give ids as the prompt, as in -p \"1 306\"",
                          ErrorCode::kInvalidArgument);
    }
  }
  const auto add = [&texts](size_t prompt,
                            int32_t id) -> std::optional<GenerationEnd> {
    texts[prompt] += " " + std::to_string(id);
    return std::nullopt;
  };
  GenerateIds(model, ids, options, {}, add, results);
}

// The prompts as messages, each of a conversation of its own.
void Answer(const GenerateVerb& verb, LanguageModel& model,
            const Tokenizer& tokenizer, const std::vector<std::string>& prompts,
            BatchOptions& options, const ShowText& show,
            std::vector<BatchResult>& results) {
  const std::shared_ptr<const ChatTemplate> chat =
      LoadChatTemplate(model.model());
  const ChatSession session(model, tokenizer, *chat, options.generation);
  std::vector<std::vector<int32_t>> ids;
  for (const std::string& prompt : prompts) {
    ids.push_back(session.Encode(Messages(verb, prompt), {}));
  }
  const std::vector<int32_t> ends = TurnEnds(*chat, tokenizer);
  options.generation.ends.insert(options.generation.ends.end(), ends.begin(),
                                 ends.end());
  GenerateTexts(model, tokenizer, ids, options, show, results);
}

std::string EndName(const BatchResult& result) {
  return result.end ? std::string(Name(*result.end)) : "cancelled";
}

struct Speed {
  double seconds = 0;
  size_t prompt_tokens = 0;
  size_t tokens = 0;

  double PerSecond() const {
    return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
  }
};

void PrintTexts(const GenerateVerb& verb,
                const std::vector<std::string>& prompts,
                const std::vector<std::string>& texts) {
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (prompts.size() > 1) {
      Write("[" + std::to_string(i + 1) + "/" + std::to_string(prompts.size()) +
            "]\n");
    }
    Write((verb.no_echo || verb.chat ? "" : prompts[i]) + texts[i] + "\n");
  }
}

void PrintJson(const GenerateVerb& verb, double load_seconds,
               const LanguageModel& model, const Speed& speed,
               const std::vector<std::string>& prompts,
               const std::vector<std::string>& texts,
               const std::vector<BatchResult>& results) {
  Json list = Json::Array();
  for (size_t i = 0; i < results.size(); ++i) {
    list.PushBack({{"prompt", prompts[i]},
                   {"text", texts[i]},
                   {"prompt_tokens", results[i].prompt},
                   {"tokens", results[i].tokens},
                   {"end", EndName(results[i])}});
  }
  const MemoryReport memory = model.Memory();
  const Json report = {{"model", verb.model},
                       {"results", list},
                       {"parallel", verb.parallel},
                       {"seed", verb.generation.sampler.seed},
                       {"load_seconds", load_seconds},
                       {"seconds", speed.seconds},
                       {"tokens_per_second", speed.PerSecond()},
                       {"context", model.context()},
                       {"weight_bytes", memory.weights},
                       {"arena_bytes", memory.arena},
                       {"peak_bytes", eval::PeakMemoryBytes()}};
  std::cout << report.Dump(2, Json::BadText::kReplace) << "\n";
}

void PrintSpeed(double load_seconds, const LanguageModel& model, size_t prompts,
                const Speed& speed) {
  const MemoryReport memory = model.Memory();
  std::cerr << "load " << Short(1e3 * load_seconds) << " ms; "
            << WithCommas(prompts) << (prompts == 1 ? " prompt" : " prompts")
            << " of " << WithCommas(speed.prompt_tokens)
            << " tokens; generated " << WithCommas(speed.tokens)
            << " tokens in " << Short(speed.seconds) << " s, "
            << Short(speed.PerSecond()) << " tokens/s\n"
            << "memory: weights " << Bytes(memory.weights) << " mapped, arena "
            << Bytes(memory.arena) << ", peak "
            << Bytes(eval::PeakMemoryBytes()) << std::endl;
}

}  // namespace

void GenerateBatch(const GenerateVerb& verb, double load_seconds,
                   LanguageModel& language_model, const Tokenizer* tokenizer,
                   const std::vector<std::string>& prompts) {
  BatchOptions options = {verb.generation, verb.parallel};
  std::vector<std::string> texts(prompts.size());
  std::vector<BatchResult> results;
  CancelOnInterrupt interrupt(language_model);
  bool interrupted = false;
  const auto start = std::chrono::steady_clock::now();
  try {
    if (tokenizer == nullptr) {
      GenerateAsIds(language_model, prompts, options, texts, results);
    } else {
      const auto add = [&texts](size_t prompt, std::string_view text) {
        texts[prompt] += text;
      };
      if (verb.chat) {
        Answer(verb, language_model, *tokenizer, prompts, options, add,
               results);
      } else {
        GenerateTexts(language_model, *tokenizer, prompts, options, add,
                      results);
      }
    }
  } catch (const Cancelled&) {
    interrupted = interrupt.Take();
  }
  Speed speed;
  speed.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  for (const BatchResult& result : results) {
    speed.prompt_tokens += result.prompt.size();
    speed.tokens += result.tokens.size();
  }
  if (verb.json) {
    PrintJson(verb, load_seconds, language_model, speed, prompts, texts,
              results);
  } else {
    PrintTexts(verb, prompts, texts);
    if (!verb.quiet) {
      PrintSpeed(load_seconds, language_model, prompts.size(), speed);
    }
  }
  if (interrupted) throw ExitStatus(kInterrupted);
}

}  // namespace lutra::tools
