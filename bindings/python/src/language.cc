#include "bindings/python/src/language.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "bindings/python/src/arrays.h"
#include "bindings/python/src/errors.h"
#include "bindings/python/src/model.h"
#include "bindings/python/src/module.h"
#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/chat_session.h"
#include "lutra/runtime/error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra::python {
namespace {

// A LanguageModel in Python: the model, and the sequence that is meant where
// none is named.
struct PyLanguage {
  std::shared_ptr<Language> language;
  nb::object sequence;
};

nb::object NewSequence(const std::shared_ptr<Language>& language,
                       Sequence state, std::vector<int32_t> tokens) {
  const size_t fed = tokens.size();
  return nb::cast(
      new PySequence{language, std::move(state), std::move(tokens), fed},
      nb::rv_policy::take_ownership);
}

// The sequence of a call: the one given, or the model's.
nb::object SequenceOf(const PyLanguage& self, nb::object given) {
  if (given.is_none()) return self.sequence;
  PySequence* sequence = nullptr;
  if (!nb::try_cast(given, sequence) || sequence == nullptr) {
    throw nb::type_error("sequence must be a lutra.Sequence");
  }
  if (sequence->language != self.language) {
    throw Error("the sequence belongs to another LanguageModel");
  }
  return given;
}

// What guesses for a text, if anything is to.
std::unique_ptr<Drafter> DrafterOf(const PyLanguage& self, nb::handle draft,
                                   bool prompt_lookup) {
  if (draft.is_none()) {
    return prompt_lookup ? std::make_unique<PromptLookup>() : nullptr;
  }
  if (prompt_lookup) throw Error("give a draft or prompt_lookup, not both");
  const PyLanguage* other = nullptr;
  if (!nb::try_cast(draft, other) || other == nullptr) {
    throw nb::type_error("draft must be a lutra.LanguageModel");
  }
  return MakeDrafter(*self.language, other->language);
}

nb::object Feed(const PyLanguage& self, nb::handle ids, nb::object given) {
  const nb::object object = SequenceOf(self, std::move(given));
  auto& sequence = nb::cast<PySequence&>(object);
  const std::vector<int32_t> tokens = ReadIds(ids, "ids");
  const Use use(sequence);
  Append(sequence, tokens);
  if (sequence.tokens.size() == sequence.fed) throw Error("there are no ids");
  const NewArray logits = MakeArray({self.language->model.vocabulary()});
  FeedWaiting(sequence, 0, logits.data);
  return logits.array;
}

nb::object FeedAll(
    const PyLanguage& self,
    const std::vector<std::pair<nb::object, nb::object>>& pairs) {
  if (pairs.empty()) throw Error("there are no sequences");
  std::vector<nb::object> objects;
  std::vector<PySequence*> sequences;
  std::vector<std::vector<int32_t>> given;
  std::deque<Use> uses;
  for (const auto& [object, ids] : pairs) {
    objects.push_back(SequenceOf(self, object));
    sequences.push_back(&nb::cast<PySequence&>(objects.back()));
    given.push_back(ReadIds(ids, "ids"));
    uses.emplace_back(*sequences.back());
  }
  const size_t vocabulary = self.language->model.vocabulary();
  const NewArray logits = MakeArray({sequences.size(), vocabulary});
  try {
    for (size_t i = 0; i < sequences.size(); ++i) {
      Append(*sequences[i], given[i]);
      if (sequences[i]->tokens.size() == sequences[i]->fed) {
        throw Error("there are no ids for sequence " + std::to_string(i));
      }
    }
    // Prompts fill calls of their own; the last tokens share one.
    std::vector<LanguageModel::Tokens> last;
    for (PySequence* sequence : sequences) {
      FeedWaiting(*sequence, /*but=*/1, nullptr);
      last.push_back({&sequence->state, {&sequence->tokens.back(), 1}});
    }
    const nb::gil_scoped_release release;
    const std::scoped_lock lock(self.language->mutex);
    const Span<const float> all = self.language->model.FeedAll(last);
    std::copy(all.begin(), all.end(), logits.data);
    for (PySequence* sequence : sequences) {
      sequence->fed = sequence->state.position();
    }
  } catch (...) {
    for (PySequence* sequence : sequences) {
      Truncate(*sequence, sequence->state.position());
    }
    throw;
  }
  return logits.array;
}

nb::object Score(const PyLanguage& self, nb::handle ids, nb::object given) {
  const nb::object object = SequenceOf(self, std::move(given));
  auto& sequence = nb::cast<PySequence&>(object);
  const std::vector<int32_t> tokens = ReadIds(ids, "ids");
  const Use use(sequence);
  Append(sequence, tokens);
  const size_t vocabulary = self.language->model.vocabulary();
  const NewArray logits = MakeArray({tokens.size(), vocabulary});
  FeedWaiting(sequence, tokens.size(), nullptr);
  float* row = logits.data;
  try {
    while (sequence.fed < sequence.tokens.size()) {
      CheckSignals();
      const std::vector<int32_t> part =
          sequence.Waiting(0, self.language->chunk);
      const nb::gil_scoped_release release;
      const Turn turn(sequence);
      self.language->model.Score(part, [&](size_t, Span<const float> values) {
        row = std::copy(values.begin(), values.end(), row);
      });
    }
  } catch (...) {
    Truncate(sequence, sequence.fed);
    throw;
  }
  return logits.array;
}

nb::object Restore(const PyLanguage& self, const nb::bytes& saved,
                   nb::handle tokens) {
  std::vector<int32_t> ids = ReadIds(tokens, "tokens");
  Sequence state = self.language->model.program().Restore(Span<const std::byte>(
      static_cast<const std::byte*>(saved.data()), saved.size()));
  if (state.position() != ids.size()) {
    throw Error("the saved sequence has " + std::to_string(state.position()) +
                " tokens, not " + std::to_string(ids.size()));
  }
  return NewSequence(self.language, std::move(state), std::move(ids));
}

nb::object ForkOf(PySequence& self) {
  const Use use(self);
  nb::object fork = NewSequence(self.language, self.state.Fork(), self.tokens);
  nb::cast<PySequence&>(fork).fed = self.fed;
  return fork;
}

nb::bytes SaveOf(PySequence& self) {
  const Use use(self);
  std::vector<std::byte> bytes;
  {
    const nb::gil_scoped_release release;
    bytes = self.state.Save();
  }
  return nb::bytes(bytes.data(), bytes.size());
}

std::shared_ptr<const Grammar> GrammarOf(nb::handle gbnf, nb::handle schema) {
  if (!gbnf.is_none() && !schema.is_none()) {
    throw Error("give a grammar or a json_schema, not both");
  }
  if (!gbnf.is_none()) return Grammar::Parse(nb::cast<std::string>(gbnf));
  if (schema.is_none()) return nullptr;
  const nb::object text =
      nb::isinstance<nb::str>(schema)
          ? nb::borrow(schema)
          : nb::module_::import_("json").attr("dumps")(schema);
  return Grammar::FromJsonSchema(nb::cast<std::string>(text));
}

std::vector<std::string> StopsOf(nb::handle stop) {
  if (stop.is_none()) return {};
  if (nb::isinstance<nb::str>(stop)) return {nb::cast<std::string>(stop)};
  return nb::cast<std::vector<std::string>>(stop);
}

std::string Json(nb::handle value) {
  if (value.is_none()) return {};
  return nb::cast<std::string>(
      nb::module_::import_("json").attr("dumps")(value));
}

std::string RenderChat(const PyLanguage& self, nb::handle messages,
                       nb::handle tools, nb::handle documents,
                       nb::handle variables, bool add_generation_prompt,
                       bool continue_final_message, const std::string& name) {
  ChatOptions options;
  options.tools = Json(tools);
  options.documents = Json(documents);
  options.variables = Json(variables);
  options.add_generation_prompt = add_generation_prompt;
  options.continue_final_message = continue_final_message;
  const auto chat = LoadChatTemplate(self.language->model.model(), name);
  return chat->Render(Json(messages), options).text;
}

nb::object Chat(nb::handle object, nb::handle messages, nb::handle tools,
                nb::handle documents, nb::handle variables,
                bool continue_final_message, const std::string& name,
                nb::kwargs options) {
  const auto& self = nb::cast<const PyLanguage&>(object);
  const auto& tokenizer = self.language->RequireTokenizer();
  const std::string text =
      RenderChat(self, messages, tools, documents, variables,
                 !continue_final_message, continue_final_message, name);
  // A template puts all special tokens itself.
  const std::vector<int32_t> ids = tokenizer->Encode(text, false);
  const auto chat = LoadChatTemplate(self.language->model.model(), name);
  std::vector<int32_t> ends = TurnEnds(*chat, *tokenizer);
  if (options.contains("ends")) {
    const auto more = ReadIds(options["ends"], "ends");
    ends.insert(ends.end(), more.begin(), more.end());
  }
  options["ends"] = ends;
  options["keep_prefix"] = true;
  return object.attr("generate")(ids, **options);
}

}  // namespace

void BindLanguage(nb::module_& module) {
  nb::class_<PySequence>(
      module, "Sequence",
      "The tokens of a text, and what the model remembers of them.\n\n"
      "Made by LanguageModel.new_sequence, by fork and by restore. One call at "
      "a time.")
      .def_prop_ro(
          "tokens", [](const PySequence& self) { return self.tokens; },
          "Its ids. Those past `position` were chosen but are not fed yet; "
          "they are before the\nnext ones.")
      .def_prop_ro(
          "position", [](const PySequence& self) { return self.fed; },
          "How many tokens the model has been fed.")
      .def_prop_ro(
          "nbytes",
          [](PySequence& self) {
            const Use use(self);
            return self.state.ByteCount();
          },
          "Bytes of memory; pages that forks share count for each.")
      .def("fork", &ForkOf, nb::sig("def fork(self) -> Sequence"),
           "A sequence of the same tokens; memory is shared until one of them "
           "is gone on with.")
      .def(
          "truncate",
          [](PySequence& self, size_t position) {
            const Use use(self);
            Truncate(self, position);
          },
          "position"_a,
          "Forgets the tokens from this position on. Models with recurrent "
          "layers can only\ngo back to 0.")
      .def(
          "keep_prefix",
          [](PySequence& self, nb::handle ids) {
            const Use use(self);
            return KeepPrefix(self, ReadIds(ids, "ids"));
          },
          "ids"_a, nb::sig("def keep_prefix(self, ids: typing.Any) -> int"),
          "Goes back to what its tokens have in common with ids, but for the "
          "last of these;\nreturns how many that are.")
      .def("save", &SaveOf,
           "What was fed, as bytes, for LanguageModel.restore on any machine "
           "(docs/model_file.md).")
      .def("__len__", [](const PySequence& self) { return self.tokens.size(); })
      .def("__repr__", [](const PySequence& self) {
        return "Sequence(" + std::to_string(self.tokens.size()) + " tokens)";
      });

  BindGeneration(module);

  nb::class_<PyLanguage> language(
      module, "LanguageModel",
      "A model that continues texts, with memory and threads of its own.\n\n"
      "Calls from several threads take turns, also on different sequences; "
      "several\nLanguageModels of one Model run at the same time.");
  language
      .def(
          "__init__",
          [](PyLanguage* self, const ModelOrPath& model, size_t threads,
             size_t context, const std::optional<std::string>& activations,
             const std::optional<std::string>& cache, size_t chunk) {
            LanguageModelOptions options;
            options.session =
                MakeProgramOptions(threads, context, activations, cache);
            options.chunk = chunk;
            const auto loaded = ModelOf(model);
            std::shared_ptr<Language> shared;
            std::optional<Sequence> state;
            {
              const nb::gil_scoped_release release;
              shared = std::make_shared<Language>(loaded, options);
              shared->tokenizer = Tokenizer::FromModel(*loaded);
              state = shared->model.program().NewSequence();
            }
            new (self)
                PyLanguage{shared, NewSequence(shared, std::move(*state), {})};
          },
          "model"_a, nb::kw_only(), "threads"_a = 0, "context"_a = 0,
          "activations"_a = nb::none(), "cache"_a = nb::none(),
          "chunk"_a = LanguageModelOptions().chunk,
          "As Session.\n\n"
          "chunk: the most tokens of a prompt that are run at once; signals "
          "are looked for in between.")
      .def_prop_ro(
          "tokenizer",
          [](const PyLanguage& self) {
            return PyTokenizer{self.language->RequireTokenizer()};
          },
          "The tokenizer of the model's file.")
      .def_prop_ro(
          "vocabulary",
          [](const PyLanguage& self) {
            return self.language->model.vocabulary();
          },
          "Logits per token.")
      .def_prop_ro(
          "context",
          [](const PyLanguage& self) { return self.language->model.context(); },
          "The most tokens of a sequence; 0: no limit.")
      .def_prop_ro(
          "threads",
          [](const PyLanguage& self) {
            return self.language->model.session().threads();
          },
          "How many threads it runs on.")
      .def_prop_rw(
          "sequence", [](const PyLanguage& self) { return self.sequence; },
          [](PyLanguage& self, nb::object sequence) {
            if (sequence.is_none()) {
              throw nb::type_error("sequence must be a lutra.Sequence");
            }
            self.sequence = SequenceOf(self, std::move(sequence));
          },
          nb::for_getter(nb::sig("def sequence(self) -> Sequence")),
          nb::for_setter(
              nb::sig("def sequence(self, sequence: Sequence, /) -> None")),
          "The sequence that is meant where none is named.")
      .def(
          "new_sequence",
          [](const PyLanguage& self) {
            return NewSequence(self.language,
                               self.language->model.program().NewSequence(),
                               {});
          },
          nb::sig("def new_sequence(self) -> Sequence"), "An empty sequence.")
      .def("restore", &Restore, "saved"_a, "tokens"_a,
           nb::sig("def restore(self, saved: bytes, tokens: typing.Any) -> "
                   "Sequence"),
           "A sequence that Sequence.save wrote, with the tokens it had: its "
           "tokens[:position].")
      .def("feed", &Feed, "ids"_a, nb::kw_only(), "sequence"_a = nb::none(),
           nb::sig("def feed(self, ids: typing.Any, *, sequence: Sequence | "
                   "None = None) -> numpy.ndarray"),
           "Appends tokens; returns the logits of the token to come, "
           "[vocabulary].")
      .def(
          "feed_all", &FeedAll, "pairs"_a,
          nb::sig("def feed_all(self, pairs: "
                  "typing.Sequence[tuple[Sequence, typing.Any]]) -> "
                  "numpy.ndarray"),
          "Appends tokens to several sequences, of (sequence, ids) each, whose "
          "last tokens are run\nin one call; returns the logits of the tokens "
          "to come, [sequences, vocabulary].\n\n"
          "After an exception, tokens that were not fed are in none of them.")
      .def("score", &Score, "ids"_a, nb::kw_only(), "sequence"_a = nb::none(),
           nb::sig("def score(self, ids: typing.Any, *, sequence: Sequence | "
                   "None = None) -> numpy.ndarray"),
           "Appends tokens; returns the logits after each of them, "
           "[ids, vocabulary].")
      .def(
          "generate",
          [](const PyLanguage& self, nb::object prompt, nb::object sequence,
             size_t max_tokens, float temperature, size_t top_k, float top_p,
             float min_p, float repetition_penalty, size_t repetition_window,
             uint64_t seed, nb::handle stop, bool ignore_end, nb::handle ends,
             nb::handle grammar, nb::handle json_schema, bool keep_prefix,
             nb::handle draft, bool prompt_lookup, size_t draft_tokens) {
            self.language->RequireTokenizer();
            GenerationArguments arguments;
            arguments.prompt = std::move(prompt);
            arguments.max_tokens = max_tokens;
            arguments.sampler = {temperature,
                                 repetition_penalty,
                                 repetition_window,
                                 top_k,
                                 top_p,
                                 min_p,
                                 seed};
            arguments.stops = StopsOf(stop);
            arguments.ignore_end = ignore_end;
            arguments.ends = ReadIds(ends, "ends");
            arguments.grammar = GrammarOf(grammar, json_schema);
            arguments.keep_prefix = keep_prefix;
            arguments.drafter = DrafterOf(self, draft, prompt_lookup);
            arguments.draft_tokens = draft_tokens;
            return Generate(SequenceOf(self, std::move(sequence)),
                            std::move(arguments));
          },
          "prompt"_a = "", nb::kw_only(), "sequence"_a = nb::none(),
          "max_tokens"_a = 0, "temperature"_a = SamplerOptions().temperature,
          "top_k"_a = SamplerOptions().top_k,
          "top_p"_a = SamplerOptions().top_p,
          "min_p"_a = SamplerOptions().min_p, "repetition_penalty"_a = 1.0f,
          "repetition_window"_a = SamplerOptions().repetition_window,
          "seed"_a = 0, "stop"_a = nb::none(), "ignore_end"_a = false,
          "ends"_a = nb::tuple(), "grammar"_a = nb::none(),
          "json_schema"_a = nb::none(), "keep_prefix"_a = false,
          "draft"_a = nb::none(), "prompt_lookup"_a = false,
          "draft_tokens"_a = 8,
          nb::sig(
              "def generate(self, prompt: typing.Any = '', *, sequence: "
              "Sequence | None = None, max_tokens: int = 0, temperature: float "
              "= 0.8, top_k: int = 40, top_p: float = 0.95, min_p: float = "
              "0.05, repetition_penalty: float = 1.0, repetition_window: int = "
              "64, seed: int = 0, stop: str | typing.Sequence[str] | None = "
              "None, ignore_end: bool = False, ends: typing.Any = (), grammar: "
              "str | None = None, json_schema: str | dict | None = None, "
              "keep_prefix: bool = False, draft: LanguageModel | None = None, "
              "prompt_lookup: bool = False, draft_tokens: int = 8) -> "
              "Generation"),
          "Appends a prompt, a text or ids, and continues it: an iterator over "
          "pieces of text.\n\n"
          "max_tokens: 0: until the text ends or the context is full.\n"
          "temperature: 0 takes the most probable token always.\n"
          "seed: one seed gives one text, on every machine.\n"
          "stop: strings before which the text ends.\n"
          "ignore_end: never chooses a token that ends the text.\n"
          "ends: ids that end the text beside the tokenizer's.\n"
          "grammar, json_schema: what the text is to be "
          "(docs/constraints.md).\n"
          "keep_prefix: the prompt is the whole text; what the sequence has of "
          "it already is\n  not fed again, what it has otherwise is "
          "forgotten.\n"
          "draft: a smaller model, which guesses up to draft_tokens at a time; "
          "prompt_lookup:\n  what followed the same tokens before does. The "
          "text is the same, sooner; pieces\n  are of all tokens that were "
          "guessed right.")
      .def("chat", &Chat, "messages"_a, nb::kw_only(), "tools"_a = nb::none(),
           "documents"_a = nb::none(), "variables"_a = nb::none(),
           "continue_final_message"_a = false, "template"_a = "", "options"_a,
           nb::sig("def chat(self, messages: typing.Any, *, tools: typing.Any "
                   "= None, documents: typing.Any = None, variables: "
                   "typing.Any = None, continue_final_message: bool = False, "
                   "template: str = '', **options: typing.Any) -> Generation"),
           "The answer to a conversation, a list of dicts with 'role' and "
           "'content', by the\nmodel's chat template (docs/chat.md): an "
           "iterator over pieces of text.\n\n"
           "options: those of generate. Of a conversation that goes on only "
           "the new tokens are fed.")
      .def("apply_chat_template", &RenderChat, "messages"_a, nb::kw_only(),
           "tools"_a = nb::none(), "documents"_a = nb::none(),
           "variables"_a = nb::none(), "add_generation_prompt"_a = true,
           "continue_final_message"_a = false, "template"_a = "",
           nb::sig("def apply_chat_template(self, messages: typing.Any, *, "
                   "tools: typing.Any = None, documents: typing.Any = None, "
                   "variables: typing.Any = None, add_generation_prompt: bool "
                   "= True, continue_final_message: bool = False, template: "
                   "str = '') -> str"),
           "The text that the template makes of a conversation.")
      .def(
          "cancel", [](PyLanguage& self) { self.language->model.Cancel(); },
          "Makes the call that another thread is in, or else the next one, "
          "raise CancelledError.");
}

}  // namespace lutra::python
