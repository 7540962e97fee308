#include <algorithm>
#include <cstdint>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lutra/eval/multiple_choice.h"
#include "lutra/eval/perplexity.h"
#include "lutra/kernels/variants.h"
#include "lutra/runtime/error.h"
#include "tools/cli/json.h"
#include "tools/cli/language_options.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/verbs/eval.h"
#include "tools/verbs/eval_models.h"

namespace lutra::tools {
namespace {

struct ChoicesRow {
  EvalModel model;
  eval::ChoiceScore score;
};

eval::ChoiceQuestion ParseQuestion(const std::string& line) {
  Json json;
  try {
    json = Json::Parse(line);
  } catch (const std::exception&) {
    throw Error("it is not valid JSON");
  }
  if (!json.IsObject()) throw Error("it is no JSON object");
  eval::ChoiceQuestion question;
  if (const Json* context = json.Find("context")) {
    if (context->AsString() == nullptr) throw Error("'context' is no string");
    question.context = *context->AsString();
  }
  const Json* choices = json.Find("choices");
  if (choices == nullptr || !choices->IsArray()) {
    throw Error("'choices' is no list of texts");
  }
  for (const Json& choice : choices->items()) {
    if (choice.AsString() == nullptr) throw Error("a choice is no string");
    question.choices.push_back(*choice.AsString());
  }
  const Json* answer = json.Find("answer");
  const auto number =
      answer == nullptr ? std::optional<int64_t>() : answer->AsInteger();
  const auto count = static_cast<int64_t>(question.choices.size());
  if (!number || *number < 0 || *number >= count) {
    throw Error("'answer' is not the number of a choice, counted from 0");
  }
  question.answer = static_cast<size_t>(*number);
  return question;
}

// A JSON object a line.
std::vector<eval::ChoiceQuestion> ReadQuestions(const EvalOptions& options) {
  const std::string text = eval::ReadText(options.choices, 0);
  std::vector<eval::ChoiceQuestion> questions;
  size_t line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string one = text.substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (one.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      questions.push_back(ParseQuestion(one));
    } catch (const Error& error) {
      throw Error::InFile(
          options.choices,
          "line " + std::to_string(line) + " is no question: " + error.what());
    }
    if (options.limit > 0 && questions.size() == options.limit) break;
  }
  if (questions.empty()) {
    throw Error::InFile(options.choices, "has no questions");
  }
  return questions;
}

std::string Percent(double share) { return Fixed(100 * share, 2) + " %"; }

Json ToJson(const ChoicesRow& row) {
  const eval::ChoiceScore& score = row.score;
  Json json = row.model.ToJson();
  json.Update({{"cache",
                Name(ChosenCache(*row.model.model, row.model.options.session))},
               {"acc", score.Accuracy()},
               {"acc_norm", score.AccuracyByByte()},
               {"correct", score.correct},
               {"correct_norm", score.correct_by_byte},
               {"nats_per_answer",
                score.answer_nats / static_cast<double>(score.questions)}});
  return json;
}

Table ToTable(const std::vector<ChoicesRow>& rows) {
  Table table({{"model", Table::Align::kLeft},
               {"activations", Table::Align::kLeft},
               {"acc"},
               {"acc_norm"},
               {"correct"},
               {"nats/answer"},
               {"bits/weight"},
               {"file bytes"}});
  for (const ChoicesRow& row : rows) {
    const eval::ChoiceScore& score = row.score;
    table.AddRow(
        {row.model.label, row.model.activations, Percent(score.Accuracy()),
         Percent(score.AccuracyByByte()),
         WithCommas(score.correct) + " of " + WithCommas(score.questions),
         Fixed(score.answer_nats / static_cast<double>(score.questions), 4),
         Fixed(row.model.weights.BitsPerWeight(), 2),
         WithCommas(row.model.file_bytes)});
  }
  return table;
}

}  // namespace

void EvalChoices(const EvalOptions& options) {
  std::vector<ChoicesRow> rows;
  for (EvalModel& model : LoadEvalModels(EvalInput::kText, options)) {
    rows.push_back({std::move(model), {}});
  }
  const std::vector<eval::ChoiceQuestion> questions = ReadQuestions(options);
  Progress progress;
  for (ChoicesRow& row : rows) {
    LanguageModel model = OpenLanguageModel(row.model.model, row.model.options);
    try {
      row.score = eval::ScoreChoices(model, *row.model.tokenizer, questions,
                                     [&](const eval::ChoiceScore& score) {
                                       progress.Show(
                                           "answering, " + row.model.label +
                                               " " + Percent(score.Accuracy()),
                                           score.questions, questions.size());
                                     });
    } catch (const Cancelled&) {
      throw;
    } catch (const Error& error) {
      throw Error::InFile(options.choices, error.what());
    }
  }
  progress.Clear();
  if (options.format == OutputFormat::kJson) {
    Json json = {{"questions", questions.size()},
                 {"file", options.choices},
                 {"variant", kernels::ActiveVariant()},
                 {"models", Json::Array()}};
    for (const ChoicesRow& row : rows) json["models"].PushBack(ToJson(row));
    std::cout << json.Dump(2) << "\n";
    return;
  }
  const Table table = ToTable(rows);
  std::cout << Rendered(table, options.format);
}

}  // namespace lutra::tools
