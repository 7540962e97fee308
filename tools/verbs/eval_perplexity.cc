#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lutra/eval/packed_weights.h"
#include "lutra/eval/perplexity.h"
#include "lutra/kernels/variants.h"
#include "lutra/packer/weights.h"
#include "lutra/runtime/error.h"
#include "tools/cli/json.h"
#include "tools/cli/language_options.h"
#include "tools/cli/model_choice.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/verbs/eval.h"

namespace lutra::tools {
namespace {

// Where --context does not say: short enough for every model, so that figures
// of different models compare.
constexpr size_t kDefaultContext = 256;

struct Row {
  std::string label;
  std::string path;
  std::string activations;  // "float32" if nothing is packed
  packer::WeightTotals weights;
  size_t file_bytes = 0;
  size_t context = 0;
  eval::TextScore score;

  double TokensPerSecond() const {
    return static_cast<double>(score.tokens) / score.seconds;
  }
};

struct Candidate {
  std::shared_ptr<const Model> model;
  std::shared_ptr<const Tokenizer> tokenizer;
  LanguageModelOptions options;
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

Candidate Load(const ModelChoice& choice, const EvalOptions& options) {
  Candidate candidate;
  candidate.model = Model::Load(choice.path, options.load);
  candidate.tokenizer = RequireTokenizer(*candidate.model);
  candidate.options = options.language;
  candidate.options.session.activations = choice.activations;
  size_t& context = candidate.options.session.context;
  if (context == 0) {
    const size_t own = candidate.model->context_length();
    context = own == 0 ? kDefaultContext : std::min(kDefaultContext, own);
  }
  return candidate;
}

Json ToJson(const Row& row, size_t text_bytes, bool compared) {
  Json json = {{"label", row.label},
               {"file", row.path},
               {"activations", row.activations},
               {"perplexity", row.score.Perplexity()},
               {"nats_per_token", row.score.NatsPerToken()},
               {"bits_per_byte", row.score.BitsPerByte(text_bytes)},
               {"tokens", row.score.tokens},
               {"scored_tokens", row.score.scored},
               {"top1", static_cast<double>(row.score.correct) /
                            static_cast<double>(row.score.scored)},
               {"context", row.context},
               {"weights", row.weights.elements},
               {"weight_bytes", row.weights.bytes},
               {"bits_per_weight", row.weights.BitsPerWeight()},
               {"file_bytes", row.file_bytes},
               {"seconds", row.score.seconds},
               {"tokens_per_second", row.TokensPerSecond()}};
  if (compared) {
    json["kl_divergence"] = row.score.DivergencePerToken();
    json["same_top"] = row.score.SameTop();
  }
  return json;
}

Table ToTable(const std::vector<Row>& rows, size_t text_bytes, bool compared) {
  std::vector<Table::Column> columns = {{"model", Table::Align::kLeft},
                                        {"activations", Table::Align::kLeft},
                                        {"perplexity"},
                                        {"nats/token"},
                                        {"bits/byte"}};
  if (compared) columns.insert(columns.end(), {{"KL div."}, {"same top"}});
  columns.insert(columns.end(),
                 {{"scored"}, {"bits/weight"}, {"file bytes"}, {"tokens/s"}});
  Table table(std::move(columns));
  for (const Row& row : rows) {
    const eval::TextScore& score = row.score;
    std::vector<std::string> cells = {row.label, row.activations,
                                      Fixed(score.Perplexity(), 4),
                                      Fixed(score.NatsPerToken(), 6),
                                      Fixed(score.BitsPerByte(text_bytes), 6)};
    if (compared) {
      cells.push_back(Fixed(score.DivergencePerToken(), 5));
      cells.push_back(Fixed(100 * score.SameTop(), 1) + " %");
    }
    cells.push_back(WithCommas(score.scored));
    cells.push_back(Fixed(row.weights.BitsPerWeight(), 2));
    cells.push_back(WithCommas(row.file_bytes));
    cells.push_back(WithCommas(static_cast<uint64_t>(row.TokensPerSecond())));
    table.AddRow(std::move(cells));
  }
  return table;
}

}  // namespace

void EvalPerplexity(const EvalOptions& options) {
  // Load everything first, so that a bad file is reported before long work.
  std::vector<Candidate> candidates;
  std::vector<Row> rows;
  for (size_t i = 0; i < options.models.size(); ++i) {
    const ModelChoice choice = ParseModelChoice(
        options.models[i], options.language.session.activations);
    candidates.push_back(Load(choice, options));
    const Model& model = *candidates.back().model;
    Row row;
    row.label = options.labels[i];
    row.path = choice.path;
    row.activations = eval::HasPackedWeights(model)
                          ? kernels::Traits(choice.activations).name
                          : "float32";
    row.weights = packer::Total(packer::Weights(model));
    row.file_bytes = model.file().byte_size();
    row.context = candidates.back().options.session.context;
    rows.push_back(std::move(row));
  }
  std::optional<Candidate> reference;
  if (!options.reference.empty()) {
    reference = Load(ChooseReference(options), options);
  }
  const std::string text = eval::ReadText(options.text, options.bytes);

  Progress progress;
  size_t threads = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    Row& row = rows[i];
    const Tokenizer& tokenizer = *candidates[i].tokenizer;
    LanguageModel model =
        OpenLanguageModel(candidates[i].model, candidates[i].options);
    threads = model.session().threads();
    progress.Show("encoding " + options.text);
    const std::vector<int32_t> ids = tokenizer.Encode(text, false);
    eval::ScoreOptions scoring;
    scoring.bos = eval::TextStart(tokenizer);
    scoring.context = row.context;
    if (options.protocol == "llama") {
      scoring.protocol = eval::ScoreProtocol::kLlama;
    }
    scoring.chunks = options.chunks;
    scoring.sequences = options.sequences;
    std::optional<LanguageModel> expected;
    if (reference) {
      if (reference->tokenizer->Encode(text, false) != ids) {
        throw Error::InFile(row.path,
                            "has another tokenizer than the reference " +
                                reference->model->path());
      }
      LanguageModelOptions same = reference->options;
      same.session.context = row.context;
      expected = OpenLanguageModel(reference->model, same);
      scoring.reference = &*expected;
    }
    row.score =
        eval::ScoreText(model, ids, scoring, [&](const eval::TextScore& score) {
          progress.Show("evaluating " + row.label + ", perplexity " +
                            Fixed(score.Perplexity(), 3),
                        score.tokens, ids.size());
        });
    if (row.score.scored == 0) {
      throw Error::InFile(options.text, "is too short to be scored");
    }
  }
  progress.Clear();

  if (options.format == OutputFormat::kJson) {
    Json json = {{"text", options.text},
                 {"bytes", text.size()},
                 {"threads", threads},
                 {"variant", kernels::ActiveVariant()},
                 {"cache", Name(options.language.session.cache)},
                 {"protocol", options.protocol},
                 {"models", Json::Array()}};
    for (const Row& row : rows) {
      json["models"].PushBack(ToJson(row, text.size(), reference.has_value()));
    }
    std::cout << json.Dump(2) << "\n";
    return;
  }
  const Table table = ToTable(rows, text.size(), reference.has_value());
  std::cout << (options.format == OutputFormat::kTable ? table.Text()
                                                       : table.Markdown());
}

}  // namespace lutra::tools
