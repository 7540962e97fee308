#include <algorithm>
#include <chrono>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/eval/memory.h"
#include "lutra/eval/perplexity.h"
#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/chat_session.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/text_generator.h"
#include "tools/cli/exit_status.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/cli/language_options.h"
#include "tools/cli/load_option.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/chat_history.h"
#include "tools/verbs/generate.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kExample =
    "The prompt and its continuation go to standard output, speeds and memory\n"
    "to standard error. Without a prompt the model begins a text of its own.\n"
    "\n"
    "With --interactive each further line from standard input is appended to\n"
    "the text and continued; an empty line just goes on. Ctrl-C stops the\n"
    "text that is being written and, where there is none, the command; the\n"
    "exit code is then 130.\n"
    "\n"
    "Several prompts (-p given again, or --prompts) are continued at once, "
    "each\n"
    "as it would be alone; their texts come in their order.\n"
    "\n"
    "A model without a tokenizer takes ids for prompts (\"1 15043 3186\") and\n"
    "prints ids.\n"
    "\n"
    "The filters are applied in this order: repetition penalty, top-k, top-p,\n"
    "min-p, temperature. One seed gives the same text each time.\n"
    "\n"
    "Example:\n"
    "  lutra generate stories.safetensors -p \"Once upon a time\" "
    "--temperature 0\n"
    "  lutra generate stories.safetensors -p \"Lily had a\" -n 100 --seed 3 "
    "\\\n"
    "    --top-p 0.9 --stop \".\"\n"
    "  lutra generate stories.safetensors -p \"Lily had a\" -p \"Tom saw\" "
    "-n 40\n"
    "  lutra generate smollm.safetensors --chat -p \"Who are you?\"\n"
    "  lutra generate stories.safetensors --prompts prompts.txt --json\n"
    "  lutra generate stories.safetensors --interactive --quiet";

// Far beyond the number that gains anything.
constexpr size_t kMaxParallel = 4096;

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

double PerSecond(size_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

std::string ReadAll(std::istream& in) {
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// Of a whole run of the command.
struct Totals {
  double load_seconds = 0;
  size_t prompt_tokens = 0;
  double prompt_seconds = 0;
  size_t tokens = 0;
  double seconds = 0;

  void Add(const TextGenerator& generator) {
    prompt_tokens += generator.prompt_tokens().size();
    prompt_seconds += generator.prompt_seconds();
    tokens += generator.tokens().size();
    seconds += generator.seconds();
  }
  double PromptSpeed() const {
    return PerSecond(prompt_tokens, prompt_seconds);
  }
  double Speed() const { return PerSecond(tokens, seconds); }
};

void PrintTotals(const Totals& totals, const LanguageModel& model) {
  const MemoryReport memory = model.Memory();
  std::string used = WithCommas(model.position());
  if (model.context() > 0) used += " of " + WithCommas(model.context());
  std::cerr << "load " << Short(1e3 * totals.load_seconds) << " ms; prompt "
            << WithCommas(totals.prompt_tokens) << " tokens, "
            << Short(totals.PromptSpeed()) << " tokens/s; generated "
            << WithCommas(totals.tokens) << " tokens, " << Short(totals.Speed())
            << " tokens/s\n"
            << "memory: weights " << Bytes(memory.weights) << " mapped, arena "
            << Bytes(memory.arena) << ", state " << Bytes(memory.state) << " ("
            << used << " tokens used), peak " << Bytes(eval::PeakMemoryBytes())
            << std::endl;
}

Json ToJson(const Totals& totals, const LanguageModel& model) {
  const MemoryReport memory = model.Memory();
  return {{"load_seconds", totals.load_seconds},
          {"prompt_seconds", totals.prompt_seconds},
          {"prompt_tokens_per_second", totals.PromptSpeed()},
          {"seconds", totals.seconds},
          {"tokens_per_second", totals.Speed()},
          {"context", model.context()},
          {"weight_bytes", memory.weights},
          {"arena_bytes", memory.arena},
          {"state_bytes", memory.state},
          {"peak_bytes", eval::PeakMemoryBytes()}};
}

// --json: what was written, and what it took.
void PrintReport(const GenerateVerb& verb, const std::string& prompt,
                 const std::string& text, const TextGenerator& generator,
                 const Totals& totals, const LanguageModel& model,
                 std::string_view end) {
  Json report = {{"model", verb.model},
                 {"prompt", prompt},
                 {"text", text},
                 {"prompt_tokens", generator.prompt_tokens()},
                 {"tokens", generator.tokens()},
                 {"end", end},
                 {"seed", verb.generation.sampler.seed}};
  report.Update(ToJson(totals, model));
  std::cout << report.Dump(2, Json::BadText::kReplace) << "\n";
}

// The prompts as they were given; none is one empty one.
std::vector<std::string> Prompts(const GenerateVerb& verb) {
  if (!verb.prompts.empty()) return verb.prompts;
  if (verb.prompt_file == "-") return {ReadAll(std::cin)};
  if (!verb.prompt_file.empty()) return {eval::ReadText(verb.prompt_file, 0)};
  if (verb.prompts_file.empty()) return {""};
  std::istringstream lines(verb.prompts_file == "-"
                               ? ReadAll(std::cin)
                               : eval::ReadText(verb.prompts_file, 0));
  std::vector<std::string> prompts;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) prompts.push_back(line);
  }
  if (prompts.empty()) {
    throw Error::InFile(verb.prompts_file, "has no prompt");
  }
  return prompts;
}

// One text, token by token, and in interactive mode what follows it.
void GenerateOne(const GenerateVerb& verb, double load_seconds,
                 LanguageModel& language_model, const Tokenizer& tokenizer,
                 std::string text) {
  TextGenerator generator(language_model, tokenizer, verb.generation);
  Totals totals;
  totals.load_seconds = load_seconds;
  bool waiting = verb.interactive && text.empty();
  CancelOnInterrupt interrupt(language_model);
  bool interrupted = false;
  std::string shown;
  GenerationEnd end = GenerationEnd::kMaxTokens;
  do {
    if (waiting && !std::getline(std::cin, text)) {
      interrupted = interrupt.Take();
      break;
    }
    interrupted = false;
    if (!verb.json && !verb.no_echo && !waiting) Write(text);
    try {
      end = generator.Generate(text, [&](std::string_view piece) {
        if (verb.json) {
          shown += piece;
        } else {
          Write(piece);
        }
      });
    } catch (const Cancelled&) {
      interrupted = interrupt.Take();
    } catch (const Error&) {
      if (!verb.json) Write("\n");  // the message gets a line of its own
      throw;
    }
    totals.Add(generator);
    if (!verb.json) Write("\n");
    waiting = true;
  } while (verb.interactive);

  if (verb.json) {
    PrintReport(verb, text, shown, generator, totals, language_model,
                interrupted ? "cancelled" : Name(end));
  }
  if (!verb.quiet && !verb.json) PrintTotals(totals, language_model);
  if (interrupted) throw ExitStatus(kInterrupted);
}

// The answer to one message, as by the model's chat template.
void GenerateAnswer(const GenerateVerb& verb, double load_seconds,
                    LanguageModel& language_model, const Tokenizer& tokenizer,
                    const std::string& message) {
  const std::shared_ptr<const ChatTemplate> chat =
      LoadChatTemplate(language_model.model());
  ChatSession session(language_model, tokenizer, *chat, verb.generation);
  ChatHistory history;
  history.SetSystem(verb.system);
  history.Add("user", message);
  CancelOnInterrupt interrupt(language_model);
  bool interrupted = false;
  std::string shown;
  GenerationEnd end = GenerationEnd::kMaxTokens;
  try {
    end = session.Answer(history.Text(), {}, [&](std::string_view piece) {
      shown += piece;
      if (!verb.json) Write(piece);
    });
  } catch (const Cancelled&) {
    interrupted = interrupt.Take();
  }
  Totals totals;
  totals.load_seconds = load_seconds;
  totals.Add(session.generator());
  if (verb.json) {
    PrintReport(verb, message, shown, session.generator(), totals,
                language_model, interrupted ? "cancelled" : Name(end));
  } else {
    Write("\n");
    if (!verb.quiet) PrintTotals(totals, language_model);
  }
  if (interrupted) throw ExitStatus(kInterrupted);
}

void Generate(const GenerateVerb& verb) {
  const auto start = std::chrono::steady_clock::now();
  const std::shared_ptr<const Model> model = Model::Load(verb.model, verb.load);
  const std::shared_ptr<const Tokenizer> tokenizer =
      Tokenizer::FromModel(*model);
  LanguageModel language_model = OpenLanguageModel(model, verb.language);
  const double load_seconds = SecondsSince(start);
  const std::vector<std::string> prompts = Prompts(verb);
  if (verb.chat) {
    if (prompts.size() != 1) {
      throw UsageError("--chat", "answers one message only");
    }
    GenerateAnswer(verb, load_seconds, language_model,
                   *RequireTokenizer(*model), prompts[0]);
    return;
  }
  if (tokenizer != nullptr && prompts.size() == 1 &&
      verb.prompts_file.empty()) {
    GenerateOne(verb, load_seconds, language_model, *tokenizer, prompts[0]);
    return;
  }
  if (verb.interactive) {
    throw UsageError("--interactive", tokenizer == nullptr
                                          ? "the model has no tokenizer"
                                          : "continues one prompt only");
  }
  GenerateBatch(verb, load_seconds, language_model, tokenizer.get(), prompts);
}

}  // namespace

void Write(std::string_view text) {
  std::cout << text << std::flush;
  if (!std::cout) throw Error("cannot write to standard output");
}

void AddGenerateVerb(CommandLine& line) {
  auto verb = std::make_shared<GenerateVerb>();
  Verb generate =
      line.AddVerb("generate", "Let a language model continue a text");
  generate.Footer(kExample);
  generate.Add("MODEL", verb->model, "A language model").Required();
  Option prompt =
      generate
          .Add("-p,--prompt", verb->prompts,
               "The text to continue; several are continued at once")
          .TypeName("TEXT")
          .OneAtATime();
  Option file = generate
                    .Add("-f,--file", verb->prompt_file,
                         "File with the text to continue; '-': standard input")
                    .TypeName("FILE")
                    .Excludes(prompt);
  generate
      .Add("--prompts", verb->prompts_file,
           "File with a prompt on each line; '-': standard input")
      .TypeName("FILE")
      .Excludes(prompt)
      .Excludes(file);
  generate
      .Add("--parallel", verb->parallel,
           "Of several prompts, the most at a time: the memory of as many "
           "texts")
      .TypeName("N")
      .Range(size_t{1}, kMaxParallel)
      .ShowDefault();
  AddTokensOption(generate, verb->generation.max_tokens);
  AddSamplerOptions(generate, verb->generation.sampler);
  generate
      .Add("--stop", verb->generation.stops,
           "Stop before this string; may be given several times")
      .TypeName("TEXT")
      .OneAtATime();
  generate.AddFlag("--ignore-eos", verb->generation.ignore_end,
                   "Never choose a token that ends the text");
  Option interactive =
      generate.AddFlag("-i,--interactive", verb->interactive,
                       "Continue the text with lines from standard input");
  Option chat =
      generate
          .AddFlag("--chat", verb->chat,
                   "The prompt is a message to answer, put into the form of "
                   "the model's chat template")
          .Excludes(interactive);
  generate
      .Add("--system", verb->system,
           "With --chat: what the model is told beforehand")
      .TypeName("TEXT")
      .Needs(chat);
  generate.AddFlag("--no-echo", verb->no_echo,
                   "Print only what the model wrote");
  generate.AddFlag("-q,--quiet", verb->quiet, "Do not print speeds and memory");
  generate
      .AddFlag("--json", verb->json,
               "One JSON object at the end: text, tokens, speeds, memory")
      .Excludes(interactive);
  AddContextOption(generate, verb->language.session.context,
                   "as long as the model is made for");
  AddLanguageOptions(generate, verb->language);
  AddActivationsOption(generate, verb->language.session.activations);
  AddThreadsOption(generate, verb->language.session.threads);
  AddLoadOption(generate, verb->load);
  generate.OnRun([verb] { Generate(*verb); });
}

}  // namespace lutra::tools
