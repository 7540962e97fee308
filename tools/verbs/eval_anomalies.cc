#include <cmath>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lutra/eval/anomaly.h"
#include "lutra/kernels/variants.h"
#include "lutra/qat/recording_folder.h"
#include "lutra/runtime/error.h"
#include "tools/cli/json.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/eval.h"
#include "tools/verbs/eval_models.h"

namespace lutra::tools {
namespace {

struct AnomalyRow {
  EvalModel model;
  eval::AnomalyScores scores;
};

// Numbers that there are not are null.
Json Number(double value) { return std::isnan(value) ? Json() : Json(value); }

Json ToJson(const AnomalyRow& row) {
  Json scores = Json::Array();
  for (const double score : row.scores.scores) scores.PushBack(Json(score));
  Json json = row.model.ToJson();
  json.Update({{"auc", Number(row.scores.auc)},
               {"normal", Number(row.scores.normal)},
               {"anomalous", Number(row.scores.anomalous)},
               {"scores", scores},
               {"seconds", row.scores.seconds}});
  return json;
}

Table ToTable(const std::vector<AnomalyRow>& rows) {
  Table table({{"model", Table::Align::kLeft},
               {"activations", Table::Align::kLeft},
               {"AUC"},
               {"normal"},
               {"anomalous"},
               {"weight bytes"},
               {"bits/weight"},
               {"seconds"}});
  const auto cell = [](double value, int digits) {
    return std::isnan(value) ? std::string() : Fixed(value, digits);
  };
  for (const AnomalyRow& row : rows) {
    table.AddRow({row.model.label, row.model.activations,
                  cell(row.scores.auc, 4), cell(row.scores.normal, 4),
                  cell(row.scores.anomalous, 4),
                  WithCommas(row.model.weights.bytes),
                  Fixed(row.model.weights.BitsPerWeight(), 2),
                  Fixed(row.scores.seconds, 2)});
  }
  return table;
}

void KeepFirst(size_t count, qat::LabelledRecordings& data) {
  if (count == 0 || count >= data.recordings.size()) return;
  data.recordings.resize(count);
  size_t windows = 0;
  for (const auto& recording : data.recordings) windows += recording.windows;
  data.windows.images.resize(windows * data.windows.Features());
  data.windows.labels.resize(windows);
  data.windows.count = windows;
}

}  // namespace

void EvalAnomalies(const EvalOptions& options) {
  if (options.time) {
    throw UsageError("--time", "is not for recordings");
  }
  if (!options.reference.empty()) {
    throw UsageError("--reference", "is not for recordings");
  }
  Refuse(options.labelled.of_bytes, "is not for recordings");
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<AnomalyRow> rows;
  for (EvalModel& model : LoadEvalModels(EvalInput::kSamples, options)) {
    sessions.push_back(
        std::make_unique<Session>(model.model, model.options.session));
    rows.push_back({std::move(model), {}});
  }
  qat::LabelledRecordings data = qat::LoadRecordingFolder(options.data);
  KeepFirst(options.limit, data);
  for (const auto& session : sessions) {
    eval::CheckReconstructs(session->model(), data);
  }
  Progress progress;
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].scores =
        eval::ScoreRecordings(*sessions[i], data, [&](size_t done) {
          progress.Show("evaluating " + rows[i].model.label, done,
                        data.windows.count);
        });
  }
  progress.Clear();

  if (options.format == OutputFormat::kJson) {
    Json json = {{"data", options.data},
                 {"recordings", data.recordings.size()},
                 {"windows", data.windows.count},
                 {"threads", sessions.front()->threads()},
                 {"variant", kernels::ActiveVariant()},
                 {"models", Json::Array()}};
    for (const AnomalyRow& row : rows) json["models"].PushBack(ToJson(row));
    std::cout << json.Dump(2) << "\n";
    return;
  }
  const Table table = ToTable(rows);
  std::cout << Rendered(table, options.format);
}

}  // namespace lutra::tools
