#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <utility>

#include "bindings/python/src/language.h"
#include "bindings/python/src/long_work.h"
#include "bindings/python/src/model.h"
#include "bindings/python/src/module.h"
#include "lutra/eval/perplexity.h"
#include "lutra/runtime/error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra::python {
namespace {

// A score, with what its figures relate to.
struct PyScore {
  eval::TextScore score;
  size_t text_bytes = 0;
  size_t context = 0;
  bool compared = false;
};

PyScore Perplexity(const ModelOrPath& given, const std::string& text,
                   size_t context, const std::string& protocol, size_t chunks,
                   size_t sequences, const std::optional<ModelOrPath>& other,
                   size_t threads,
                   const std::optional<std::string>& activations,
                   const std::optional<std::string>& cache,
                   nb::handle progress) {
  if (protocol != "all" && protocol != "llama") {
    throw Error("protocol is 'all' or 'llama', not '" + protocol + "'");
  }
  const std::shared_ptr<const Model> model = ModelOf(given);
  std::shared_ptr<const Model> reference;
  if (other) reference = ModelOf(*other);
  const auto tokenizer = RequireTokenizer(*model);
  if (context == 0) context = eval::DefaultContext(*model);
  LanguageModelOptions options;
  options.session = MakeProgramOptions(threads, context, activations, cache);
  eval::ScoreOptions scoring;
  scoring.bos = eval::TextStart(*tokenizer);
  scoring.context = context;
  if (protocol == "llama") scoring.protocol = eval::ScoreProtocol::kLlama;
  scoring.chunks = chunks;
  scoring.sequences = sequences;
  PyScore result{{}, text.size(), context, other.has_value()};
  DoLongWork(progress, [&](Progress& told) {
    const std::vector<int32_t> ids = tokenizer->Encode(text, false);
    std::optional<LanguageModel> expected;
    if (reference != nullptr) {
      if (RequireTokenizer(*reference)->Encode(text, false) != ids) {
        throw Error::InFile(
            model->path(),
            "has another tokenizer than the reference " + reference->path(),
            ErrorCode::kInvalidArgument);
      }
      expected.emplace(reference, options);
      scoring.reference = &*expected;
    }
    LanguageModel language(model, options);
    result.score = eval::ScoreText(
        language, ids, scoring, [&](const eval::TextScore& score) {
          told.Tell("evaluating", score.tokens, ids.size());
        });
  });
  return result;
}

}  // namespace

void BindEvaluation(nb::module_& module) {
  nb::class_<PyScore>(module, "TextScore",
                      "How well a model predicts a text; "
                      "docs/language_models.md has the formulas.")
      .def_prop_ro("perplexity",
                   [](const PyScore& self) { return self.score.Perplexity(); })
      .def_prop_ro(
          "nats_per_token",
          [](const PyScore& self) { return self.score.NatsPerToken(); })
      .def_prop_ro("bits_per_byte",
                   [](const PyScore& self) {
                     return self.score.BitsPerByte(self.text_bytes);
                   })
      .def_prop_ro("tokens",
                   [](const PyScore& self) { return self.score.tokens; })
      .def_prop_ro("scored_tokens",
                   [](const PyScore& self) { return self.score.scored; })
      .def_prop_ro(
          "top1",
          [](const PyScore& self) {
            return self.score.scored == 0
                       ? 0.0
                       : static_cast<double>(self.score.correct) /
                             static_cast<double>(self.score.scored);
          },
          "The share of tokens that were the most probable.")
      .def_ro("context", &PyScore::context)
      .def_prop_ro(
          "kl_divergence",
          [](const PyScore& self) -> std::optional<double> {
            if (!self.compared) return std::nullopt;
            return self.score.DivergencePerToken();
          },
          "From the reference, in nats per token; None without one.")
      .def_prop_ro(
          "same_top",
          [](const PyScore& self) -> std::optional<double> {
            if (!self.compared) return std::nullopt;
            return self.score.SameTop();
          },
          "The share of tokens for which both find the same the most "
          "probable.")
      .def_prop_ro("seconds",
                   [](const PyScore& self) { return self.score.seconds; })
      .def("__repr__", [](const PyScore& self) {
        return "TextScore(perplexity " +
               std::to_string(self.score.Perplexity()) + ", " +
               std::to_string(self.score.scored) + " tokens)";
      });
  module.def(
      "perplexity", &Perplexity, "model"_a, "text"_a, nb::kw_only(),
      "context"_a = 0, "protocol"_a = "all", "chunks"_a = 0, "sequences"_a = 1,
      "reference"_a = nb::none(), "threads"_a = 0, "activations"_a = nb::none(),
      "cache"_a = nb::none(), "progress"_a = nb::none(),
      nb::sig("def perplexity(model: Model | str | os.PathLike, text: str, *, "
              "context: int = 0, protocol: str = 'all', chunks: int = 0, "
              "sequences: int = 1, reference: Model | str | os.PathLike | "
              "None = None, threads: int = 0, activations: str | None = None, "
              "cache: str | None = None, progress: typing.Callable[[str, int, "
              "int], object] | None = None) -> TextScore"),
      "How well a language model predicts a text, as lutra eval measures "
      "it.\n\n"
      "context: tokens of the chunks that are scored; 0: 256, or what the "
      "model has.\n"
      "protocol: 'all' tokens, or as llama-perplexity does, 'llama'.\n"
      "chunks: the most that are scored; sequences: how many at once.\n"
      "reference: another model of the same tokenizer, to measure how far "
      "this one is from it.");
}

}  // namespace lutra::python
