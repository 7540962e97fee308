#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/python/src/arrays.h"
#include "bindings/python/src/language.h"
#include "bindings/python/src/long_work.h"
#include "bindings/python/src/model.h"
#include "bindings/python/src/module.h"
#include "lutra/eval/accuracy.h"
#include "lutra/eval/anomaly.h"
#include "lutra/eval/multiple_choice.h"
#include "lutra/qat/dataset.h"
#include "lutra/qat/recording_folder.h"
#include "lutra/runtime/error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra::python {
namespace {

// Whole numbers from 0 to 255.
std::vector<uint8_t> ReadLabels(nb::handle given, size_t count) {
  const std::vector<int32_t> numbers = ReadIds(given, "labels");
  if (numbers.size() != count) {
    throw Error("there are " + std::to_string(numbers.size()) +
                " labels, but " + std::to_string(count) + " samples");
  }
  std::vector<uint8_t> labels;
  for (const int32_t number : numbers) {
    if (number < 0 || number > 255) {
      throw Error("the label " + std::to_string(number) +
                  " is none of 0 to 255");
    }
    labels.push_back(static_cast<uint8_t>(number));
  }
  return labels;
}

// Appends the rows of an array.
void AppendRows(nb::handle given, const std::string& what,
                qat::LabelledImages& images) {
  const FloatArray array = ReadFloats(given, what);
  if (array.ndim() == 0 || array.shape(0) == 0) {
    throw Error(what + " must have a row for each sample");
  }
  std::vector<size_t> shape;
  for (size_t i = 1; i < array.ndim(); ++i) shape.push_back(array.shape(i));
  if (images.count > 0 && shape != images.image_shape) {
    throw Error(what + " has samples of another shape");
  }
  images.image_shape = std::move(shape);
  images.count += array.shape(0);
  images.images.insert(images.images.end(), array.data(),
                       array.data() + array.size());
}

eval::Predictions Classify(const ModelOrPath& model, nb::handle inputs,
                           nb::handle labels, size_t threads,
                           const std::optional<std::string>& activations,
                           nb::handle progress) {
  const std::shared_ptr<const Model> loaded = ModelOf(model);
  qat::LabelledImages images;
  AppendRows(inputs, "inputs", images);
  images.labels = ReadLabels(labels, images.count);
  eval::CheckClassifies(*loaded, images);
  const ProgramOptions options =
      MakeProgramOptions(threads, 0, activations, std::nullopt);
  eval::Predictions result;
  DoLongWork(progress, [&](Progress& told) {
    Session session(loaded, options);
    result = eval::Classify(session, images, [&](size_t done) {
      told.Tell("evaluating", done, images.count);
    });
  });
  return result;
}

eval::ChoiceQuestion QuestionOf(nb::handle given) {
  if (!nb::isinstance<nb::dict>(given)) {
    throw nb::type_error(
        "a question is a dict with 'context', 'choices' and 'answer'");
  }
  const auto dict = nb::borrow<nb::dict>(given);
  for (const char* key : {"choices", "answer"}) {
    if (!dict.contains(key)) {
      throw Error("a question has no '" + std::string(key) + "'");
    }
  }
  eval::ChoiceQuestion question;
  if (dict.contains("context")) {
    question.context = nb::cast<std::string>(dict["context"]);
  }
  question.choices = nb::cast<std::vector<std::string>>(dict["choices"]);
  question.answer = nb::cast<size_t>(dict["answer"]);
  return question;
}

eval::ChoiceScore Choose(const ModelOrPath& model, nb::handle given,
                         size_t threads, size_t context,
                         const std::optional<std::string>& activations,
                         const std::optional<std::string>& cache,
                         nb::handle progress) {
  const std::shared_ptr<const Model> loaded = ModelOf(model);
  const auto tokenizer = RequireTokenizer(*loaded);
  std::vector<eval::ChoiceQuestion> questions;
  for (const nb::handle one : given) questions.push_back(QuestionOf(one));
  if (questions.empty()) throw Error("there are no questions");
  LanguageModelOptions options;
  options.session = MakeProgramOptions(threads, context, activations, cache);
  eval::ChoiceScore result;
  DoLongWork(progress, [&](Progress& told) {
    LanguageModel language(loaded, options);
    result = eval::ScoreChoices(
        language, *tokenizer, questions, [&](const eval::ChoiceScore& score) {
          told.Tell("answering", score.questions, questions.size());
        });
  });
  return result;
}

eval::AnomalyScores FindAnomalies(const ModelOrPath& model, nb::handle given,
                                  nb::handle labels, size_t threads,
                                  const std::optional<std::string>& activations,
                                  nb::handle progress) {
  const std::shared_ptr<const Model> loaded = ModelOf(model);
  qat::LabelledRecordings data;
  for (const nb::handle one : given) {
    const size_t before = data.windows.count;
    AppendRows(one, "recording " + std::to_string(data.recordings.size()),
               data.windows);
    data.recordings.push_back({data.windows.count - before, 0});
  }
  if (data.recordings.empty()) throw Error("there are no recordings");
  const std::vector<uint8_t> kinds = ReadLabels(labels, data.recordings.size());
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i] > 1) throw Error("a label is 0, normal, or 1, an anomaly");
    data.recordings[i].label = kinds[i];
    data.windows.labels.insert(data.windows.labels.end(),
                               data.recordings[i].windows, kinds[i]);
  }
  eval::CheckReconstructs(*loaded, data);
  const ProgramOptions options =
      MakeProgramOptions(threads, 0, activations, std::nullopt);
  eval::AnomalyScores result;
  DoLongWork(progress, [&](Progress& told) {
    Session session(loaded, options);
    result = eval::ScoreRecordings(session, data, [&](size_t done) {
      told.Tell("evaluating", done, data.windows.count);
    });
  });
  return result;
}

void BindScores(nb::module_& module) {
  nb::class_<eval::Predictions>(module, "Predictions",
                                "What a classifier made of samples.")
      .def_ro("classes", &eval::Predictions::classes,
              "By sample: the class of the largest score, of equal ones the "
              "first.")
      .def_ro("correct", &eval::Predictions::correct,
              "Samples whose class is their label.")
      .def_prop_ro("accuracy", &eval::Predictions::Accuracy, "From 0 to 1.")
      .def_ro("seconds", &eval::Predictions::seconds)
      .def("__repr__", [](const eval::Predictions& self) {
        return "Predictions(" + std::to_string(self.correct) + " of " +
               std::to_string(self.classes.size()) + " correct)";
      });
  nb::class_<eval::ChoiceScore>(
      module, "ChoiceScore",
      "How many questions a language model answers, as lm-evaluation-harness "
      "counts.")
      .def_ro("questions", &eval::ChoiceScore::questions)
      .def_ro("correct", &eval::ChoiceScore::correct)
      .def_ro("correct_by_byte", &eval::ChoiceScore::correct_by_byte)
      .def_prop_ro("accuracy", &eval::ChoiceScore::Accuracy,
                   "'acc': the most probable choice is the answer, 0 to 1.")
      .def_prop_ro("accuracy_by_byte", &eval::ChoiceScore::AccuracyByByte,
                   "'acc_norm': the most probable per byte of its text.")
      .def_prop_ro(
          "nats_per_answer",
          [](const eval::ChoiceScore& self) {
            return self.answer_nats / static_cast<double>(self.questions);
          },
          "Minus the log-likelihood of the right choices, by question.")
      .def("__repr__", [](const eval::ChoiceScore& self) {
        return "ChoiceScore(" + std::to_string(self.correct) + " of " +
               std::to_string(self.questions) + " correct)";
      });
  nb::class_<eval::AnomalyScores>(module, "AnomalyScores",
                                  "What an autoencoder finds anomalous.")
      .def_ro("scores", &eval::AnomalyScores::scores,
              "By recording: the mean over its windows of the mean squared "
              "difference.")
      .def_ro("auc", &eval::AnomalyScores::auc,
              "Area under the receiver operating characteristic; NaN if one "
              "kind is missing.")
      .def_ro("normal", &eval::AnomalyScores::normal,
              "The mean score of normal recordings.")
      .def_ro("anomalous", &eval::AnomalyScores::anomalous,
              "The mean score of the others.")
      .def_ro("seconds", &eval::AnomalyScores::seconds)
      .def("__repr__", [](const eval::AnomalyScores& self) {
        return "AnomalyScores(" + std::to_string(self.scores.size()) +
               " recordings, auc " + std::to_string(self.auc) + ")";
      });
}

}  // namespace

void BindEvaluationTasks(nb::module_& module) {
  BindScores(module);
  module.def(
      "classify", &Classify, "model"_a, "inputs"_a, "labels"_a, nb::kw_only(),
      "threads"_a = 0, "activations"_a = nb::none(), "progress"_a = nb::none(),
      nb::sig("def classify(model: Model | str | os.PathLike, inputs: "
              "typing.Any, labels: typing.Any, *, threads: int = 0, "
              "activations: str | None = None, progress: "
              "typing.Callable[[str, int, int], object] | None = None) -> "
              "Predictions"),
      "How many samples a classifier gives their label, as lutra eval counts "
      "it.\n\n"
      "inputs: an array [samples, ...]; labels: classes from 0 to 255, one for "
      "each.");
  module.def(
      "multiple_choice", &Choose, "model"_a, "questions"_a, nb::kw_only(),
      "threads"_a = 0, "context"_a = 0, "activations"_a = nb::none(),
      "cache"_a = nb::none(), "progress"_a = nb::none(),
      nb::sig("def multiple_choice(model: Model | str | os.PathLike, "
              "questions: typing.Iterable[dict[str, typing.Any]], *, threads: "
              "int = 0, context: int = 0, activations: str | None = None, "
              "cache: str | None = None, progress: typing.Callable[[str, int, "
              "int], object] | None = None) -> ChoiceScore"),
      "How many questions a language model answers, as lutra eval --choices "
      "counts them.\n\n"
      "questions: dicts with a 'context', 'choices' as they follow it, ' "
      "Paris', and the\n  number of the 'answer' among them.");
  module.def(
      "anomalies", &FindAnomalies, "model"_a, "recordings"_a, "labels"_a,
      nb::kw_only(), "threads"_a = 0, "activations"_a = nb::none(),
      "progress"_a = nb::none(),
      nb::sig("def anomalies(model: Model | str | os.PathLike, recordings: "
              "typing.Iterable[typing.Any], labels: typing.Any, *, threads: "
              "int = 0, activations: str | None = None, progress: "
              "typing.Callable[[str, int, int], object] | None = None) -> "
              "AnomalyScores"),
      "How well an autoencoder tells anomalies, as MLPerf Tiny counts it.\n\n"
      "recordings: an array [windows, ...] for each; labels: 0, normal, or 1, "
      "an anomaly.");
}

}  // namespace lutra::python
