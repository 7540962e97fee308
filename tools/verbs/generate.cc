#include <algorithm>
#include <chrono>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/eval/perplexity.h"
#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/chat_session.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/text_generator.h"
#include "tools/cli/exit_status.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/language_options.h"
#include "tools/cli/load_options.h"
#include "tools/cli/options.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/chat_history.h"
#include "tools/verbs/generate.h"
#include "tools/verbs/generate_output.h"
#include "tools/verbs/prompt_cache.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kGenerateExample =
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
    "  lutra generate smollm.safetensors --chat -p \"Name two colours.\" \\\n"
    "    --json-schema '{\"type\": \"array\", \"items\": {\"type\": "
    "\"string\"}}'\n"
    "  lutra generate smollm.safetensors --draft smollm-2bit.safetensors -p "
    "\"The\"\n"
    "  lutra generate stories.safetensors --prompts prompts.txt --json\n"
    "  lutra generate stories.safetensors --interactive --quiet";

constexpr size_t kMaxLogProbabilities = 1000;
// Far beyond the number that gains anything.
constexpr size_t kMaxParallel = 4096;

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

std::string ReadAll(std::istream& in) {
  return std::string(std::istreambuf_iterator<char>(in), {});
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
                 Speculator& speculator, std::string text) {
  TextGenerator generator(language_model, tokenizer, verb.generation);
  speculator.Attach(generator);
  GenerateOutput output(verb, language_model, tokenizer, load_seconds);
  output.Watch(generator);
  PromptCache cache(verb.prompt_cache, language_model);
  bool waiting = verb.interactive && text.empty();
  CancelOnInterrupt interrupt(language_model);
  bool interrupted = false;
  GenerationEnd end = GenerationEnd::kMaxTokens;
  const auto show = [&output](std::string_view piece) { output.Show(piece); };
  do {
    if (waiting && !std::getline(std::cin, text)) {
      interrupted = interrupt.Take();
      break;
    }
    interrupted = false;
    if (!verb.AsJson() && !verb.no_echo && !waiting) Write(text);
    try {
      end = cache.used() ? cache.Generate(generator, tokenizer, text, show)
                         : generator.Generate(text, show);
    } catch (const Cancelled&) {
      interrupted = interrupt.Take();
    } catch (const Error&) {
      if (!verb.AsJson()) Write("\n");  // the message gets a line of its own
      throw;
    }
    output.Add(generator);
    if (!verb.AsJson()) Write("\n");
    waiting = true;
  } while (verb.interactive);
  output.Finish(text, generator, interrupted ? "cancelled" : Name(end));
  if (interrupted) throw ExitStatus(kInterrupted);
}

// The answer to one message, as by the model's chat template.
void GenerateAnswer(const GenerateVerb& verb, double load_seconds,
                    LanguageModel& language_model, const Tokenizer& tokenizer,
                    Speculator& speculator, const std::string& message) {
  const std::shared_ptr<const ChatTemplate> chat =
      LoadChatTemplate(language_model.model());
  ChatSession session(language_model, tokenizer, *chat, verb.generation);
  speculator.Attach(session.generator());
  GenerateOutput output(verb, language_model, tokenizer, load_seconds);
  output.Watch(session.generator());
  const std::string messages = Messages(verb, message);
  PromptCache cache(verb.prompt_cache, language_model);
  if (cache.used()) {
    session.SetSequenceTokens(cache.tokens());
    cache.Watch(session.generator(), session.Encode(messages, {}));
  }
  CancelOnInterrupt interrupt(language_model);
  bool interrupted = false;
  GenerationEnd end = GenerationEnd::kMaxTokens;
  try {
    end = session.Answer(messages, {}, [&output](std::string_view piece) {
      output.Show(piece);
    });
  } catch (const Cancelled&) {
    interrupted = interrupt.Take();
  }
  output.Add(session.generator());
  if (!verb.AsJson()) Write("\n");
  output.Finish(message, session.generator(),
                interrupted ? "cancelled" : Name(end));
  if (interrupted) throw ExitStatus(kInterrupted);
}

void Generate(GenerateVerb& verb) {
  const auto start = std::chrono::steady_clock::now();
  const std::shared_ptr<const Model> model = Model::Load(verb.model, verb.load);
  const std::shared_ptr<const Tokenizer> tokenizer =
      Tokenizer::FromModel(*model);
  verb.generation.grammar = OpenGrammar(verb.constraint);
  LanguageModel language_model = OpenLanguageModel(model, verb.language);
  const double load_seconds = SecondsSince(start);
  const std::vector<std::string> prompts = Prompts(verb);
  if (verb.chat) RequireTokenizer(*model);
  const bool one = prompts.size() == 1 && verb.prompts_file.empty();
  if (verb.chat && one) {
    Speculator speculator(verb.speculation, *tokenizer, verb.language,
                          verb.load);
    GenerateAnswer(verb, load_seconds, language_model, *tokenizer, speculator,
                   prompts[0]);
    return;
  }
  if (tokenizer != nullptr && one) {
    Speculator speculator(verb.speculation, *tokenizer, verb.language,
                          verb.load);
    GenerateOne(verb, load_seconds, language_model, *tokenizer, speculator,
                prompts[0]);
    return;
  }
  if (verb.interactive) {
    throw UsageError("--interactive", tokenizer == nullptr
                                          ? "the model has no tokenizer"
                                          : "continues one prompt only");
  }
  for (const auto& [option, is_given] :
       {std::pair("--json-lines", verb.json_lines),
        std::pair("--logprobs", verb.log_probabilities > 0),
        std::pair("--prompt-cache", !verb.prompt_cache.empty()),
        std::pair("--draft", !verb.speculation.draft.empty()),
        std::pair("--prompt-lookup", verb.speculation.lookup),
        std::pair("--draft-tokens", verb.speculation.tokens > 0)}) {
    if (!is_given) continue;
    throw UsageError(option, "is for one prompt, of a model with a tokenizer");
  }
  GenerateBatch(verb, load_seconds, language_model, tokenizer.get(), prompts);
}

}  // namespace

std::string Messages(const GenerateVerb& verb, const std::string& message) {
  ChatHistory history;
  history.SetSystem(verb.system);
  history.Add("user", message);
  return history.Text();
}

void Write(std::string_view text) {
  std::cout << text << std::flush;
  if (!std::cout) throw Error("cannot write to standard output");
}

void AddGenerateVerb(CommandLine& line) {
  auto verb = std::make_shared<GenerateVerb>();
  Verb generate =
      line.AddVerb("generate", "Let a language model continue a text");
  generate.Footer(kGenerateExample);
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
                   "Each prompt is a message to answer, put into the form of "
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
  Option json =
      generate
          .AddFlag("--json", verb->json,
                   "One JSON object at the end: text, tokens, speeds, memory")
          .Excludes(interactive);
  generate
      .AddFlag("--json-lines", verb->json_lines,
               "A JSON object on each line: the text as it comes, then what "
               "--json prints")
      .Excludes(interactive)
      .Excludes(json);
  generate
      .Add("--logprobs", verb->log_probabilities,
           "In JSON: the log-probabilities of each token and of the N most "
           "probable ones in its place")
      .TypeName("N")
      .Range(size_t{1}, kMaxLogProbabilities);
  generate
      .Add("--prompt-cache", verb->prompt_cache,
           "File that keeps what the model makes of the prompt: another run "
           "whose prompt begins alike takes it from there")
      .TypeName("FILE")
      .Excludes(interactive);
  AddConstraintOptions(generate, verb->constraint);
  AddSpeculationOptions(generate, verb->speculation);
  AddContextOption(generate, verb->language.session.context,
                   "as long as the model is made for");
  AddLanguageOptions(generate, verb->language);
  AddActivationsOption(generate, verb->language.session.activations);
  AddThreadsOption(generate, verb->language.session.threads);
  AddLoadOptions(generate, verb->load);
  generate.OnRun([verb] { Generate(*verb); });
}

}  // namespace lutra::tools
