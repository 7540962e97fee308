#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
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

Json ToJson(const Row& row, size_t text_bytes) {
  return {{"label", row.label},
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
}

Table ToTable(const std::vector<Row>& rows, size_t text_bytes) {
  Table table({{"model", Table::Align::kLeft},
               {"activations", Table::Align::kLeft},
               {"perplexity"},
               {"nats/token"},
               {"bits/byte"},
               {"tokens"},
               {"bits/weight"},
               {"file bytes"},
               {"tokens/s"}});
  for (const Row& row : rows) {
    table.AddRow({row.label, row.activations, Fixed(row.score.Perplexity(), 4),
                  Fixed(row.score.NatsPerToken(), 6),
                  Fixed(row.score.BitsPerByte(text_bytes), 6),
                  WithCommas(row.score.tokens),
                  Fixed(row.weights.BitsPerWeight(), 2),
                  WithCommas(row.file_bytes),
                  WithCommas(static_cast<uint64_t>(row.TokensPerSecond()))});
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
    row.score = eval::ScoreText(
        model, ids, tokenizer.bos(), row.context,
        [&](const eval::TextScore& score) {
          progress.Show("evaluating " + row.label + ", perplexity " +
                            Fixed(score.Perplexity(), 3),
                        score.tokens, ids.size());
        },
        options.sequences);
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
                 {"models", Json::Array()}};
    for (const Row& row : rows) {
      json["models"].PushBack(ToJson(row, text.size()));
    }
    std::cout << json.Dump(2) << "\n";
    return;
  }
  const Table table = ToTable(rows, text.size());
  std::cout << (options.format == OutputFormat::kTable ? table.Text()
                                                       : table.Markdown());
}

}  // namespace lutra::tools
