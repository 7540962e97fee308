#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lutra/kernels/variants.h"
#include "lutra/packer/weights.h"
#include "lutra/runtime/error.h"
#include "tools/evaluate.h"
#include "tools/model_data.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "tools/table.h"
#include "tools/verbs.h"

namespace lutra::tools {
namespace {

using nlohmann::ordered_json;

constexpr const char* kExample =
    "Several models share one table. The column 'differs' counts the images\n"
    "that a model puts in another class than the reference does.\n"
    "\n"
    "Example:\n"
    "  lutra eval --data /usr/share/datasets/fashion-mnist --time \\\n"
    "    float.safetensors packed.safetensors:int8 "
    "packed.safetensors:float32 \\\n"
    "    --label float --label 'packed, int8' --label 'packed, float'";

struct EvalVerb {
  std::vector<std::string> models;
  std::vector<std::string> labels;
  std::string data;
  std::string reference;
  kernels::ActivationType activations =
      kernels::ActivationType::kInt8Asymmetric;
  size_t limit = 0;
  size_t threads = 0;
  bool time = false;
  std::vector<size_t> batches = {1, 64};
  TimingOptions timing;
  OutputFormat format = OutputFormat::kTable;

  void Run();

 private:
  size_t FindReference() const;
};

struct Row {
  std::string label;
  std::string path;
  std::string activations;  // "float32" if nothing is packed
  packer::WeightTotals weights;
  Predictions predictions;
  std::vector<Timing> timings;  // by batch
};

size_t EvalVerb::FindReference() const {
  if (reference.empty()) return 0;
  const auto found = std::find(labels.begin(), labels.end(), reference);
  if (found == labels.end()) {
    throw CLI::ValidationError("--reference",
                               "no model has the label '" + reference + "'");
  }
  return static_cast<size_t>(found - labels.begin());
}

ordered_json ToJson(const Row& row, size_t different,
                    const std::vector<size_t>& batches) {
  ordered_json json = {{"label", row.label},
                       {"file", row.path},
                       {"activations", row.activations},
                       {"accuracy", row.predictions.Accuracy()},
                       {"correct", row.predictions.correct},
                       {"total", row.predictions.classes.size()},
                       {"differs", different},
                       {"weights", row.weights.elements},
                       {"weight_bytes", row.weights.bytes},
                       {"bits_per_weight", row.weights.BitsPerWeight()},
                       {"seconds", row.predictions.seconds}};
  for (size_t i = 0; i < row.timings.size(); ++i) {
    ordered_json timing = {{"batch", batches[i]}};
    timing.update(ToJson(row.timings[i]));
    timing["us_per_image"] =
        row.timings[i].median / static_cast<double>(batches[i]);
    json["timings"].push_back(timing);
  }
  return json;
}

Table ToTable(const std::vector<Row>& rows, const Row& reference,
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
  for (const Row& row : rows) {
    const Predictions& predictions = row.predictions;
    std::vector<std::string> cells = {
        row.label, row.activations,
        Fixed(100 * predictions.Accuracy(), 2) + " %",
        WithCommas(predictions.correct) + " of " +
            WithCommas(predictions.classes.size())};
    if (rows.size() > 1) {
      cells.push_back(
          WithCommas(CountDifferent(predictions, reference.predictions)));
    }
    cells.push_back(WithCommas(row.weights.bytes));
    cells.push_back(Fixed(row.weights.BitsPerWeight(), 2));
    for (size_t i = 0; i < row.timings.size(); ++i) {
      cells.push_back(
          Short(row.timings[i].median / static_cast<double>(batches[i])));
    }
    if (!timed) cells.push_back(Fixed(predictions.seconds, 2));
    table.AddRow(std::move(cells));
  }
  return table;
}

void EvalVerb::Run() {
  if (labels.size() > models.size()) {
    throw CLI::ValidationError("--label", "there are more labels than models");
  }
  labels.insert(labels.end(),
                models.begin() + static_cast<std::ptrdiff_t>(labels.size()),
                models.end());
  const size_t reference_index = FindReference();

  // Load everything first, so that a bad file is reported before long work.
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<Row> rows;
  for (size_t i = 0; i < models.size(); ++i) {
    const ModelChoice choice = ParseModelChoice(models[i], activations);
    const std::shared_ptr<const Model> model = Model::Load(choice.path);
    SessionOptions options;
    options.activations = choice.activations;
    options.threads = threads;
    sessions.push_back(std::make_unique<Session>(model, options));
    Row row;
    row.label = labels[i];
    row.path = choice.path;
    row.activations =
        HasPackedWeights(*model) ? Name(choice.activations) : "float32";
    row.weights = packer::Total(packer::Weights(*model));
    rows.push_back(std::move(row));
  }
  qat::LabelledImages images =
      qat::LoadImageFolder(data, qat::DatasetPart::kTest);
  if (limit > 0 && limit < images.count) {
    images.images.resize(limit * images.Features());
    images.labels.resize(limit);
    images.count = limit;
  }
  if (images.count == 0) throw Error::InFile(data, "has no test images");
  for (const auto& session : sessions) {
    CheckClassifies(session->model(), images);
  }

  Progress progress;
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].predictions = Classify(*sessions[i], images, [&](size_t done) {
      progress.Show("evaluating " + rows[i].label, done, images.count);
    });
  }
  for (size_t i = 0; time && i < rows.size(); ++i) {
    for (const size_t batch : batches) {
      progress.Show("timing", i, rows.size());
      rows[i].timings.push_back(
          TimeClassification(*sessions[i], images, batch, timing));
    }
  }
  progress.Clear();

  const Row& reference_row = rows[reference_index];
  if (format == OutputFormat::kJson) {
    ordered_json json = {{"data", data},
                         {"images", images.count},
                         {"threads", sessions.front()->threads()},
                         {"variant", kernels::ActiveVariant()},
                         {"reference", reference_row.label},
                         {"models", ordered_json::array()}};
    for (const Row& row : rows) {
      json["models"].push_back(ToJson(
          row, CountDifferent(row.predictions, reference_row.predictions),
          batches));
    }
    std::cout << json.dump(2) << "\n";
    return;
  }
  const Table table = ToTable(rows, reference_row, batches);
  std::cout << (format == OutputFormat::kTable ? table.Text()
                                               : table.Markdown());
}

}  // namespace

void AddEvalVerb(CLI::App& app) {
  auto verb = std::make_shared<EvalVerb>();
  CLI::App* eval =
      app.add_subcommand("eval", "Measure accuracy on labelled test images");
  eval->footer(kExample);
  eval->add_option("MODEL", verb->models,
                   "Models; ':int8', ':int8-symmetric' or ':float32' after a "
                   "name chooses its activations")
      ->required();
  eval->add_option("--data", verb->data,
                   "Folder with t10k-images-idx3-ubyte[.gz] and "
                   "t10k-labels-idx1-ubyte[.gz]")
      ->type_name("DIR")
      ->required();
  eval->add_option("--label", verb->labels,
                   "What the table calls the models, in their order")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  eval->add_option("--reference", verb->reference,
                   "Label of the model that 'differs' compares with; the "
                   "first model if not given")
      ->type_name("LABEL");
  AddActivationsOption(*eval, verb->activations);
  eval->add_option("--limit", verb->limit, "Use only the first N images")
      ->type_name("N");
  eval->add_flag("--time", verb->time, "Also measure the time per image");
  AddSizesOption(*eval, "--batch", verb->batches, 1, kMaxBatch,
                 "Images per call when measuring time");
  AddTimingOptions(*eval, verb->timing);
  AddThreadsOption(*eval, verb->threads);
  AddFormatOptions(*eval, verb->format);
  eval->callback([verb] { verb->Run(); });
}

}  // namespace lutra::tools
