#include "tools/verbs/chat.h"

#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "lutra/eval/memory.h"
#include "lutra/eval/perplexity.h"
#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/error.h"
#include "tools/cli/exit_status.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/language_options.h"
#include "tools/cli/line_editor.h"
#include "tools/cli/load_options.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/verbs/generate.h"
#include "tools/verbs/prompt_cache.h"
#include "tools/verbs/tool_calls.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kChatExample =
    "Each line from standard input is a message; the model's answers go to\n"
    "standard output. The conversation is put into the form that the model "
    "was\n"
    "trained on by the chat template that was imported with it. Ctrl-C stops "
    "an\n"
    "answer and, where there is none, the command. Lines that begin with '/'\n"
    "are commands: /help lists them.\n"
    "\n"
    "With --json each line of the output is an object: of the type \"text\" "
    "for\n"
    "a piece of an answer as it comes, \"answer\" at its end.\n"
    "\n"
    "Example:\n"
    "  lutra chat smollm.safetensors\n"
    "  lutra chat smollm.safetensors --system \"Answer in one sentence.\"\n"
    "  printf 'Hello!\\nWho are you?\\n' | lutra chat smollm.safetensors "
    "--quiet\n"
    "  lutra chat qwen.safetensors --tools tools.json --temperature 0\n"
    "  lutra chat qwen.safetensors --variables '{\"enable_thinking\": false}'";

// A message: a line, and the next one where it ends with a backslash. False at
// the end of input.
bool ReadMessage(LineEditor& editor, bool prompts, std::string& message) {
  message.clear();
  for (;;) {
    const char* const prompt = message.empty() ? "> " : ". ";
    std::string line;
    if (!editor.Read(prompts ? prompt : "", line)) return !message.empty();
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const bool goes_on = !line.empty() && line.back() == '\\';
    if (goes_on) line.back() = '\n';
    message += line;
    if (!goes_on) return true;
  }
}

void Run(ChatVerb& verb) {
  const std::shared_ptr<const Model> model = Model::Load(verb.model, verb.load);
  const std::shared_ptr<const Tokenizer> tokenizer = RequireTokenizer(*model);
  const std::string tools =
      verb.tools_path.empty() ? "" : eval::ReadText(verb.tools_path, 0);
  const auto chat_template = OpenChatTemplate(
      *model, verb.template_path, verb.template_name, !tools.empty());
  verb.generation.grammar = OpenGrammar(verb.constraint);
  LanguageModel language_model = OpenLanguageModel(model, verb.language);
  Speculator speculator(verb.speculation, *tokenizer, verb.language, verb.load);
  Chat chat(verb, language_model, *tokenizer, *chat_template, speculator,
            tools);
  if (!verb.load_path.empty()) chat.history().Load(verb.load_path);
  if (!verb.system.empty()) chat.history().SetSystem(verb.system);

  PromptCache cache(verb.prompt_cache, language_model);
  chat.session().SetSequenceTokens(cache.tokens());

  const bool terminal = isatty(STDIN_FILENO) == 1;
  const bool prompts = terminal && !verb.json;
  if (prompts && !verb.quiet) std::cerr << "/help lists commands" << std::endl;
  LineEditor editor;
  CancelOnInterrupt interrupt(language_model);
  bool interrupted = false;
  std::string message;
  for (bool goes_on = true; goes_on;) {
    if (!ReadMessage(editor, prompts, message)) {
      interrupted = interrupt.Take();
      if (prompts) Write("\n");  // behind the mark of the prompt
      break;
    }
    if (message.empty()) continue;
    try {
      if (message[0] != '/') {
        chat.Say("user", message);
      } else if (message.substr(0, 2) == "//") {
        chat.Say("user", std::string_view(message).substr(1));
      } else {
        goes_on = RunChatCommand(message, chat);
      }
    } catch (const Cancelled&) {
      interrupt.Take();
      if (!verb.json) Write("\n");
      // A script that is interrupted is to end.
      interrupted = !terminal;
      goes_on = terminal;
    } catch (const Error& error) {
      if (!terminal) throw;
      std::cerr << "lutra: error: " << OneLine(error.what()) << std::endl;
    }
  }
  if (cache.used()) cache.Write(chat.session().sequence_tokens());
  if (!verb.quiet && !verb.json) std::cerr << chat.Stats() << std::endl;
  if (interrupted) throw ExitStatus(kInterrupted);
}

}  // namespace

std::shared_ptr<const ChatTemplate> OpenChatTemplate(const Model& model,
                                                     const std::string& path,
                                                     const std::string& name,
                                                     bool has_tools) {
  const std::optional<ChatData> data = ReadChatData(model);
  if (!path.empty()) {
    const std::string source = eval::ReadText(path, 0);
    try {
      return ChatTemplate::Parse(source,
                                 data ? data->tokens : ChatTemplate::Tokens());
    } catch (const Error& error) {
      throw Error::InFile(path, error.what());
    }
  }
  if (!data) {
    throw Error::InFile(model.path(),
                        "has no chat template: import the checkpoint again, "
                        "if it has one, or give one with --template FILE");
  }
  // As transformers chooses among several.
  std::string chosen = name;
  for (const auto& [each, source] : data->templates) {
    if (name.empty() && has_tools && each == "tool_use") chosen = each;
  }
  return LoadChatTemplate(model, chosen);
}

Chat::Chat(const ChatVerb& verb, LanguageModel& model,
           const Tokenizer& tokenizer, const ChatTemplate& chat,
           Speculator& speculator, std::string tools)
    : verb_(verb),
      model_(model),
      session_(model, tokenizer, chat, verb.generation),
      tools_(std::move(tools)) {
  speculator.Attach(session_.generator());
}

void Chat::Show(std::string_view text) {
  if (verb_.json) {
    const Json event = {{"type", "text"}, {"text", text}};
    Write(event.Dump(-1, Json::BadText::kReplace) + "\n");
  } else {
    Write(text);
  }
}

void Chat::Say(std::string_view role, std::string_view text) {
  history_.Add(role, text);
  const size_t messages = history_.size();
  try {
    Answer();
  } catch (const Cancelled&) {
    throw;
  } catch (...) {
    if (history_.size() == messages) history_.DropLast();
    throw;
  }
}

void Chat::Keep(const std::string& answer) {
  const ToolAnswer found =
      tools_.empty() ? ToolAnswer{answer, {}} : FindToolCalls(answer);
  history_.Add(ToMessage(found));
  ++answers_;
  const TextGenerator& generator = session_.generator();
  prompt_tokens_ += generator.prompt_tokens().size();
  reused_tokens_ += session_.reused_tokens();
  prompt_seconds_ += generator.prompt_seconds();
  tokens_ += generator.tokens().size();
  seconds_ += generator.seconds();
  if (verb_.json) return;
  for (const ToolCall& call : found.calls) {
    Write("[tool call] " + ToText(call) + "\n");
  }
}

void Chat::ReportEnd(std::string_view end) {
  if (!verb_.json) {
    if (end == Name(GenerationEnd::kContextFull) && !verb_.quiet) {
      std::cerr << "(the context is full: /undo or /reset)" << std::endl;
    }
    return;
  }
  const TextGenerator& generator = session_.generator();
  const Json event = {{"type", "answer"},
                      {"message", history_.messages().items().back()},
                      {"end", end},
                      {"prompt_tokens", session_.prompt_tokens()},
                      {"reused_tokens", session_.reused_tokens()},
                      {"tokens", generator.tokens().size()},
                      {"prompt_seconds", generator.prompt_seconds()},
                      {"seconds", generator.seconds()}};
  Write(event.Dump(-1, Json::BadText::kReplace) + "\n");
}

void Chat::Answer() {
  ChatOptions options;
  options.tools = tools_;
  options.variables = verb_.variables;
  std::string answer;
  try {
    const GenerationEnd end =
        session_.Answer(history_.Text(), options, [&](std::string_view text) {
          answer += text;
          Show(text);
        });
    if (!verb_.json) Write("\n");
    Keep(answer);
    ReportEnd(Name(end));
  } catch (const Cancelled&) {
    // What was written is the answer.
    Keep(answer);
    ReportEnd("cancelled");
    throw;
  }
}

std::string Chat::Stats() const {
  const MemoryReport memory = model_.Memory();
  std::string used = WithCommas(model_.position());
  if (model_.context() > 0) used += " of " + WithCommas(model_.context());
  std::string guesses;
  if (const Speculation* speculation = session_.generator().speculation()) {
    guesses = "; guessed " + WithCommas(speculation->guessed()) + " tokens, " +
              WithCommas(speculation->accepted()) + " of them right";
  }
  return std::to_string(answers_) + (answers_ == 1 ? " answer" : " answers") +
         "; prompt " + WithCommas(prompt_tokens_) + " tokens, " +
         Short(PerSecond(prompt_tokens_, prompt_seconds_)) + " tokens/s (" +
         WithCommas(reused_tokens_) + " more were kept); generated " +
         WithCommas(tokens_) + " tokens, " +
         Short(PerSecond(tokens_, seconds_)) + " tokens/s" + guesses +
         "\nmemory: weights " + Bytes(memory.weights) + " mapped, arena " +
         Bytes(memory.arena) + ", state " + Bytes(memory.state) + " (" + used +
         " tokens used), peak " + Bytes(eval::PeakMemoryBytes());
}

void AddChatVerb(CommandLine& line) {
  auto verb = std::make_shared<ChatVerb>();
  Verb chat = line.AddVerb("chat", "Talk to a language model");
  chat.Footer(kChatExample);
  chat.Add("MODEL", verb->model, "A language model with a chat template")
      .Required();
  chat.Add("--system", verb->system, "What the model is told beforehand")
      .TypeName("TEXT");
  chat.Add("--history", verb->load_path,
           "Go on with a conversation that was saved")
      .TypeName("FILE");
  chat.Add("--tools", verb->tools_path,
           "JSON file with the list of tools that the model may ask for")
      .TypeName("FILE");
  Option file = chat.Add("--template", verb->template_path,
                         "File with a chat template, in place of the model's")
                    .TypeName("FILE");
  chat.Add("--template-name", verb->template_name,
           "Of several templates of the model the one of this name")
      .TypeName("NAME")
      .Excludes(file);
  chat.Add("--variables", verb->variables,
           "Variables of the template, a JSON object")
      .TypeName("JSON");
  AddTokensOption(chat, verb->generation.max_tokens);
  AddSamplerOptions(chat, verb->generation.sampler);
  chat.Add("--stop", verb->generation.stops,
           "Stop before this string; may be given several times")
      .TypeName("TEXT")
      .OneAtATime();
  chat.AddFlag("-q,--quiet", verb->quiet, "No speeds and memory at the end");
  chat.AddFlag("--json", verb->json,
               "One JSON object a line: pieces of answers, and their ends");
  chat.Add("--prompt-cache", verb->prompt_cache,
           "File that keeps what the model makes of the conversation, for "
           "another chat that begins alike, such as by --history")
      .TypeName("FILE");
  AddConstraintOptions(chat, verb->constraint);
  AddSpeculationOptions(chat, verb->speculation);
  AddContextOption(chat, verb->language.session.context,
                   "as long as the model is made for");
  AddLanguageOptions(chat, verb->language);
  AddActivationsOption(chat, verb->language.session.activations);
  AddThreadsOption(chat, verb->language.session.threads);
  AddLoadOptions(chat, verb->load);
  chat.OnRun([verb] { Run(*verb); });
}

}  // namespace lutra::tools
