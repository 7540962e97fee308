#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "bindings/python/src/arrays.h"
#include "bindings/python/src/errors.h"
#include "bindings/python/src/language.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/text_generator.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra::python {
namespace {

GenerationOptions OptionsOf(const GenerationArguments& arguments) {
  GenerationOptions options;
  options.sampler = arguments.sampler;
  options.max_tokens = arguments.max_tokens;
  options.stops = arguments.stops;
  options.ignore_end = arguments.ignore_end;
  options.ends = arguments.ends;
  options.grammar = arguments.grammar;
  return options;
}

// An iterator over the pieces of a text. It begins with the first step.
class Generation {
 public:
  Generation(nb::object sequence, std::shared_ptr<const Tokenizer> tokenizer,
             GenerationArguments arguments)
      : sequence_object_(std::move(sequence)),
        sequence_(nb::cast<PySequence&>(sequence_object_)),
        tokenizer_(std::move(tokenizer)),
        prompt_(std::move(arguments.prompt)),
        keep_prefix_(arguments.keep_prefix),
        drafter_(std::move(arguments.drafter)),
        generator_(std::in_place, sequence_.language->model, *tokenizer_,
                   OptionsOf(arguments)) {
    generator_->SetDrafter(drafter_.get(), arguments.draft_tokens);
  }

  // The next piece of text. Throws StopIteration at the end.
  nb::object Next() {
    std::string text;
    while (text.empty() && !ended_) {
      const Use use(sequence_);
      CheckSignals();
      if (!begun_) {
        Begin();
      } else if (sequence_.revision != revision_) {
        throw Error("the sequence was changed since the last step");
      }
      Step(text);
    }
    if (text.empty()) throw nb::stop_iteration();
    return nb::str(text.data(), text.size());
  }

  // What was chosen stays in the sequence.
  void Close() { ended_ = true; }

  const std::vector<int32_t>& tokens() const { return tokens_; }
  size_t prompt_tokens() const { return prompt_tokens_; }
  size_t reused_tokens() const { return reused_tokens_; }
  size_t guessed_tokens() const {
    const Speculation* speculation = generator_->speculation();
    return speculation == nullptr ? 0 : speculation->guessed();
  }
  size_t accepted_tokens() const {
    const Speculation* speculation = generator_->speculation();
    return speculation == nullptr ? 0 : speculation->accepted();
  }
  std::optional<std::string> end() const {
    if (!end_) return std::nullopt;
    return std::string(Name(*end_));
  }

 private:
  std::vector<int32_t> PromptIds() const {
    if (!nb::isinstance<nb::str>(prompt_))
      return ReadIds(prompt_, "the prompt");
    Py_ssize_t size = 0;
    const char* bytes = PyUnicode_AsUTF8AndSize(prompt_.ptr(), &size);
    if (bytes == nullptr) throw nb::python_error();
    const std::string_view text(bytes, static_cast<size_t>(size));
    return sequence_.tokens.empty()
               ? tokenizer_->EncodePrompt(text)
               : tokenizer_->Encode(text, /*add_special=*/false);
  }

  // Feeds the prompt, but for its last token.
  void Begin() {
    std::vector<int32_t> ids = PromptIds();
    prompt_tokens_ = ids.size();
    if (keep_prefix_) {
      reused_tokens_ = KeepPrefix(sequence_, ids);
      ids.erase(ids.begin(),
                ids.begin() + static_cast<std::ptrdiff_t>(reused_tokens_));
    }
    const bool continues = !sequence_.tokens.empty() || nb::len(prompt_) > 0;
    Append(sequence_, ids);
    if (sequence_.tokens.size() == sequence_.fed) {
      throw Error(
          "there is nothing to continue: the prompt is empty, and the "
          "tokenizer "
          "has no token that begins a text");
    }
    FeedWaiting(sequence_, /*but=*/1, nullptr);
    before_ = sequence_.tokens;
    {
      const nb::gil_scoped_release release;
      const Turn turn(sequence_);
      generator_->Accept(
          Span<const int32_t>(before_).first(before_.size() - 1));
    }
    generator_->Begin({before_.back()}, continues,
                      [this](std::string_view piece) { shown_ += piece; });
    begun_ = true;
    revision_ = sequence_.revision;
  }

  void Step(std::string& text) {
    try {
      const nb::gil_scoped_release release;
      const Turn turn(sequence_);
      end_ = generator_->NextGuessed();
    } catch (...) {
      ended_ = true;
      Remember();
      throw;
    }
    ended_ = end_.has_value();
    Remember();
    text = std::exchange(shown_, {});
  }

  void Remember() {
    tokens_ = generator_->tokens();
    sequence_.tokens = before_;
    sequence_.tokens.insert(sequence_.tokens.end(), tokens_.begin(),
                            tokens_.end());
    revision_ = ++sequence_.revision;
  }

  nb::object sequence_object_;
  PySequence& sequence_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  nb::object prompt_;
  bool keep_prefix_;
  std::unique_ptr<Drafter> drafter_;
  std::optional<TextGenerator> generator_;
  bool begun_ = false;
  bool ended_ = false;
  std::optional<GenerationEnd> end_;
  uint64_t revision_ = 0;
  std::vector<int32_t> before_;  // tokens of the sequence, with the prompt
  std::vector<int32_t> tokens_;
  std::string shown_;
  size_t prompt_tokens_ = 0;
  size_t reused_tokens_ = 0;
};

class SharedDraft : public Drafter {
 public:
  explicit SharedDraft(std::shared_ptr<Language> language)
      : language_(std::move(language)),
        state_(language_->model.program().NewSequence()),
        draft_(language_->model) {}

  void Guess(Span<const int32_t> tokens, size_t most,
             std::vector<int32_t>& guess) override {
    // Not waiting, two models can be each other's drafts.
    const std::unique_lock lock(language_->mutex, std::try_to_lock);
    if (!lock) return;
    Swap();
    try {
      draft_.Guess(tokens, most, guess);
    } catch (...) {
      Swap();
      throw;
    }
    Swap();
  }

 private:
  void Swap() { std::swap(state_, language_->model.session().sequence()); }

  std::shared_ptr<Language> language_;
  Sequence state_;
  DraftModel draft_;
};

}  // namespace

std::unique_ptr<Drafter> MakeDrafter(const Language& model,
                                     std::shared_ptr<Language> draft) {
  if (draft.get() == &model) throw Error("a model cannot be its own draft");
  CheckDraftTokenizer(*model.RequireTokenizer(), *draft->RequireTokenizer());
  return std::make_unique<SharedDraft>(std::move(draft));
}

nb::object Generate(nb::object sequence, GenerationArguments arguments) {
  auto tokenizer = nb::cast<PySequence&>(sequence).language->tokenizer;
  return nb::cast(new Generation(std::move(sequence), std::move(tokenizer),
                                 std::move(arguments)),
                  nb::rv_policy::take_ownership);
}

void BindGeneration(nb::module_& module) {
  nb::class_<Generation>(
      module, "Generation",
      "A text that is being generated: an iterator over its pieces, which are "
      "whole\ncharacters. It begins with the first next(). Whoever stops "
      "asking has stopped it;\nwhat was chosen stays in the sequence.")
      .def(
          "__iter__", [](nb::handle self) { return nb::borrow(self); },
          nb::sig("def __iter__(self) -> Generation"))
      .def("__next__", &Generation::Next, nb::sig("def __next__(self) -> str"))
      .def("close", &Generation::Close, "Ends the iteration.")
      .def_prop_ro("tokens", &Generation::tokens,
                   "The ids that were chosen so far.")
      .def_prop_ro("end", &Generation::end,
                   "Why the text ended: 'end' (a token says so), 'stop', "
                   "'length', 'context',\n'grammar'; None while it has not.")
      .def_prop_ro("prompt_tokens", &Generation::prompt_tokens,
                   "Tokens of the prompt.")
      .def_prop_ro("reused_tokens", &Generation::reused_tokens,
                   "How many of these were in the sequence already "
                   "(keep_prefix).")
      .def_prop_ro("guessed_tokens", &Generation::guessed_tokens,
                   "How many were guessed and tried (draft, prompt_lookup).")
      .def_prop_ro("accepted_tokens", &Generation::accepted_tokens,
                   "How many of these were right.");
}

}  // namespace lutra::python
