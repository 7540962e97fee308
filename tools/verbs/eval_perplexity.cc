#include <algorithm>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lutra/eval/perplexity.h"
#include "lutra/kernels/variants.h"
#include "lutra/runtime/error.h"
#include "tools/cli/json.h"
#include "tools/cli/language_options.h"
#include "tools/cli/model_choice.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/verbs/eval.h"
#include "tools/verbs/eval_models.h"

namespace lutra::tools {
namespace {

struct PerplexityRow {
  EvalModel model;
  eval::TextScore score;

  size_t Context() const { return model.options.session.context; }
  double TokensPerSecond() const {
    return static_cast<double>(score.tokens) / score.seconds;
  }
};

// The model that divergences are measured from.
ModelChoice ChooseReference(const EvalOptions& options) {
  const auto found = std::find(options.labels.begin(), options.labels.end(),
                               options.reference);
  return ParseModelChoice(
      found == options.labels.end()
          ? options.reference
          : options.models[static_cast<size_t>(found - options.labels.begin())],
      options.language.session.activations);
}

void ChooseContext(EvalModel& model) {
  size_t& context = model.options.session.context;
  if (context == 0) context = eval::DefaultContext(*model.model);
}

Json ToJson(const PerplexityRow& row, size_t text_bytes, bool compared) {
  Json json = row.model.ToJson();
  json.Update({{"perplexity", row.score.Perplexity()},
               {"nats_per_token", row.score.NatsPerToken()},
               {"bits_per_byte", row.score.BitsPerByte(text_bytes)},
               {"tokens", row.score.tokens},
               {"scored_tokens", row.score.scored},
               {"top1", static_cast<double>(row.score.correct) /
                            static_cast<double>(row.score.scored)},
               {"context", row.Context()},
               {"cache",
                Name(ChosenCache(*row.model.model, row.model.options.session))},
               {"seconds", row.score.seconds},
               {"tokens_per_second", row.TokensPerSecond()}});
  if (compared) {
    json["kl_divergence"] = row.score.DivergencePerToken();
    json["same_top"] = row.score.SameTop();
  }
  return json;
}

Table ToTable(const std::vector<PerplexityRow>& rows, size_t text_bytes,
              bool compared) {
  std::vector<Table::Column> columns = {{"model", Table::Align::kLeft},
                                        {"activations", Table::Align::kLeft},
                                        {"perplexity"},
                                        {"nats/token"},
                                        {"bits/byte"}};
  if (compared) columns.insert(columns.end(), {{"KL div."}, {"same top"}});
  columns.insert(columns.end(),
                 {{"scored"}, {"bits/weight"}, {"file bytes"}, {"tokens/s"}});
  Table table(std::move(columns));
  for (const PerplexityRow& row : rows) {
    const eval::TextScore& score = row.score;
    std::vector<std::string> cells = {row.model.label, row.model.activations,
                                      Fixed(score.Perplexity(), 4),
                                      Fixed(score.NatsPerToken(), 6),
                                      Fixed(score.BitsPerByte(text_bytes), 6)};
    if (compared) {
      cells.push_back(Fixed(score.DivergencePerToken(), 5));
      cells.push_back(Fixed(100 * score.SameTop(), 1) + " %");
    }
    cells.push_back(WithCommas(score.scored));
    cells.push_back(Fixed(row.model.weights.BitsPerWeight(), 2));
    cells.push_back(WithCommas(row.model.file_bytes));
    cells.push_back(WithCommas(static_cast<uint64_t>(row.TokensPerSecond())));
    table.AddRow(std::move(cells));
  }
  return table;
}

}  // namespace

TextReport MeasurePerplexity(const EvalOptions& options) {
  std::vector<PerplexityRow> rows;
  for (EvalModel& model : LoadEvalModels(EvalInput::kText, options)) {
    ChooseContext(model);
    rows.push_back({std::move(model), {}});
  }
  std::optional<EvalModel> reference;
  if (!options.reference.empty()) {
    reference =
        LoadEvalModel("", ChooseReference(options), EvalInput::kText, options);
  }
  const std::string text = eval::ReadText(options.text, options.bytes);

  Progress progress;
  size_t threads = 0;
  for (PerplexityRow& row : rows) {
    const Tokenizer& tokenizer = *row.model.tokenizer;
    LanguageModel model = OpenLanguageModel(row.model.model, row.model.options);
    threads = model.session().threads();
    progress.Show("encoding " + options.text);
    const std::vector<int32_t> ids = tokenizer.Encode(text, false);
    eval::ScoreOptions scoring;
    scoring.bos = eval::TextStart(tokenizer);
    scoring.context = row.Context();
    if (options.protocol == "llama") {
      scoring.protocol = eval::ScoreProtocol::kLlama;
    }
    scoring.chunks = options.chunks;
    scoring.sequences = options.sequences;
    std::optional<LanguageModel> expected;
    if (reference) {
      if (reference->tokenizer->Encode(text, false) != ids) {
        throw Error::InFile(row.model.path,
                            "has another tokenizer than the reference " +
                                reference->model->path());
      }
      LanguageModelOptions same = reference->options;
      same.session.context = row.Context();
      expected = OpenLanguageModel(reference->model, same);
      scoring.reference = &*expected;
    }
    row.score =
        eval::ScoreText(model, ids, scoring, [&](const eval::TextScore& score) {
          progress.Show("evaluating " + row.model.label + ", perplexity " +
                            Fixed(score.Perplexity(), 3),
                        score.tokens, ids.size());
        });
    if (row.score.scored == 0) {
      throw Error::InFile(options.text, "is too short to be scored");
    }
  }
  progress.Clear();

  Json json = {
      {"text", options.text},         {"bytes", text.size()},
      {"threads", threads},           {"variant", kernels::ActiveVariant()},
      {"protocol", options.protocol}, {"models", Json::Array()}};
  for (const PerplexityRow& row : rows) {
    json["models"].PushBack(ToJson(row, text.size(), reference.has_value()));
  }
  return {std::move(json), ToTable(rows, text.size(), reference.has_value())};
}

void EvalPerplexity(const EvalOptions& options) {
  const TextReport report = MeasurePerplexity(options);
  if (options.format == OutputFormat::kJson) {
    std::cout << report.json.Dump(2) << "\n";
    return;
  }
  std::cout << Rendered(report.table, options.format);
}

}  // namespace lutra::tools
