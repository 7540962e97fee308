#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lutra/eval/accuracy.h"
#include "lutra/kernels/variants.h"
#include "lutra/runtime/error.h"
#include "tools/cli/json.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/eval.h"
#include "tools/verbs/eval_models.h"
#include "tools/verbs/timing_json.h"

namespace lutra::tools {
namespace {

struct AccuracyRow {
  EvalModel model;
  eval::Predictions predictions;
  std::vector<eval::Timing> timings;  // by batch
};

size_t FindReference(const EvalOptions& options) {
  if (options.reference.empty()) return 0;
  const std::vector<std::string>& labels = options.labels;
  const auto found = std::find(labels.begin(), labels.end(), options.reference);
  if (found == labels.end()) {
    throw UsageError("--reference",
                     "no model has the label '" + options.reference + "'");
  }
  return static_cast<size_t>(found - labels.begin());
}

qat::LabelledImages LoadData(const EvalOptions& options) {
  qat::LabelledImages images =
      std::move(*LoadTestData(options.data, options.labelled));
  if (options.limit > 0 && options.limit < images.count) {
    images.images.resize(options.limit * images.Features());
    images.labels.resize(options.limit);
    images.count = options.limit;
  }
  if (images.count == 0) {
    throw Error::InFile(options.data, "has no test images");
  }
  return images;
}

Json ToJson(const AccuracyRow& row, size_t different,
            const std::vector<size_t>& batches) {
  Json json = row.model.ToJson();
  json.Update({{"accuracy", row.predictions.Accuracy()},
               {"correct", row.predictions.correct},
               {"total", row.predictions.classes.size()},
               {"differs", different},
               {"seconds", row.predictions.seconds}});
  for (size_t i = 0; i < row.timings.size(); ++i) {
    Json timing = {{"batch", batches[i]}};
    timing.Update(TimingToJson(row.timings[i]));
    timing["us_per_image"] =
        row.timings[i].median / static_cast<double>(batches[i]);
    json["timings"].PushBack(timing);
  }
  return json;
}

Table ToTable(const std::vector<AccuracyRow>& rows,
              const AccuracyRow& reference,
              const std::vector<size_t>& batches) {
  const bool timed = !rows.front().timings.empty();
  std::vector<Table::Column> columns = {{"model", Table::Align::kLeft},
                                        {"activations", Table::Align::kLeft},
                                        {"accuracy"},
                                        {"correct"}};
  if (rows.size() > 1) columns.push_back({"differs"});
  columns.insert(columns.end(), {{"weight bytes"}, {"bits/weight"}});
  if (timed) {
    for (const size_t batch : batches) {
      columns.push_back({"us/image, batch " + std::to_string(batch)});
    }
  } else {
    columns.push_back({"seconds"});
  }
  Table table(std::move(columns));
  for (const AccuracyRow& row : rows) {
    const eval::Predictions& predictions = row.predictions;
    std::vector<std::string> cells = {
        row.model.label, row.model.activations,
        Fixed(100 * predictions.Accuracy(), 2) + " %",
        WithCommas(predictions.correct) + " of " +
            WithCommas(predictions.classes.size())};
    if (rows.size() > 1) {
      cells.push_back(
          WithCommas(eval::CountDifferent(predictions, reference.predictions)));
    }
    cells.push_back(WithCommas(row.model.weights.bytes));
    cells.push_back(Fixed(row.model.weights.BitsPerWeight(), 2));
    for (size_t i = 0; i < row.timings.size(); ++i) {
      cells.push_back(
          Short(row.timings[i].median / static_cast<double>(batches[i])));
    }
    if (!timed) cells.push_back(Fixed(predictions.seconds, 2));
    table.AddRow(std::move(cells));
  }
  return table;
}

}  // namespace

void EvalAccuracy(const EvalOptions& options) {
  const size_t reference_index = FindReference(options);

  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<AccuracyRow> rows;
  for (EvalModel& model : LoadEvalModels(EvalInput::kSamples, options)) {
    sessions.push_back(
        std::make_unique<Session>(model.model, model.options.session));
    rows.push_back({std::move(model), {}, {}});
  }
  const qat::LabelledImages images = LoadData(options);
  for (const auto& session : sessions) {
    eval::CheckClassifies(session->model(), images);
  }

  Progress progress;
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].predictions =
        eval::Classify(*sessions[i], images, [&](size_t done) {
          progress.Show("evaluating " + rows[i].model.label, done,
                        images.count);
        });
  }
  for (size_t i = 0; options.time && i < rows.size(); ++i) {
    for (const size_t batch : options.batches) {
      progress.Show("timing", i, rows.size());
      rows[i].timings.push_back(eval::TimeClassification(
          *sessions[i], images, batch, options.timing));
    }
  }
  progress.Clear();

  const AccuracyRow& reference_row = rows[reference_index];
  if (options.format == OutputFormat::kJson) {
    Json json = {{"data", options.data},
                 {"images", images.count},
                 {"threads", sessions.front()->threads()},
                 {"variant", kernels::ActiveVariant()},
                 {"reference", reference_row.model.label},
                 {"models", Json::Array()}};
    for (const AccuracyRow& row : rows) {
      json["models"].PushBack(ToJson(
          row, eval::CountDifferent(row.predictions, reference_row.predictions),
          options.batches));
    }
    std::cout << json.Dump(2) << "\n";
    return;
  }
  const Table table = ToTable(rows, reference_row, options.batches);
  std::cout << Rendered(table, options.format);
}

}  // namespace lutra::tools
