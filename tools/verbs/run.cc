#include <algorithm>
#include <cmath>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lutra/eval/buffers.h"
#include "lutra/qat/npy.h"
#include "lutra/runtime/session.h"
#include "tools/cli/json.h"
#include "tools/cli/load_options.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/verbs/run_files.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kRunExample =
    "Inputs are .npy files (float32, int32, int64, uint8) or idx files (also "
    ".gz),\n"
    "[tokens, shape of the input]. Bytes for a float input are pixels and\n"
    "divided by 255. Outputs are printed, or written as float32 .npy.\n"
    "\n"
    "Example:\n"
    "  lutra run packed.safetensors --limit 5 \\\n"
    "    --input "
    "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz\n"
    "  lutra run packed.safetensors --input x=images.npy --output scores.npy";

// Values of an output that a table shows of one token.
constexpr size_t kShownValues = 10;

struct RunVerb {
  std::string model;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  ActivationChoice activations;
  LoadOptions load;
  size_t limit = 0;
  size_t batch = 64;
  size_t threads = 0;
  OutputFormat format = OutputFormat::kTable;

  void Run() const;
};

// The results for all tokens, by output.
struct Results {
  size_t tokens = 0;
  std::vector<std::vector<float>> values;
};

Results Execute(Session& session, const std::vector<InputData>& inputs,
                size_t tokens, size_t batch) {
  const Model& model = session.model();
  batch = std::min(batch, tokens);
  eval::Buffers buffers(model, batch);
  Results results;
  results.tokens = tokens;
  for (const ValueInfo& output : model.outputs()) {
    results.values.emplace_back();
    results.values.back().reserve(tokens * output.ElementCount());
  }
  Progress progress;
  for (size_t first = 0; first < tokens; first += batch) {
    progress.Show("running", first, tokens);
    const size_t count = std::min(batch, tokens - first);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const size_t bytes = buffers.InputTokenBytes(i);
      std::memcpy(buffers.input(i), inputs[i].bytes.data() + first * bytes,
                  count * bytes);
    }
    buffers.Run(session, count);
    for (size_t i = 0; i < results.values.size(); ++i) {
      const std::span<const float> values =
          std::span(buffers.output(i))
              .first(count * model.outputs()[i].ElementCount());
      results.values[i].insert(results.values[i].end(), values.begin(),
                               values.end());
    }
  }
  return results;
}

void PrintJson(const Model& model, const Results& results) {
  Json json = {{"model", model.path()}, {"tokens", results.tokens}};
  json["outputs"] = Json::Object();
  for (size_t i = 0; i < results.values.size(); ++i) {
    const ValueInfo& output = model.outputs()[i];
    const size_t width = output.ElementCount();
    Json tokens = Json::Array();
    for (size_t token = 0; token < results.tokens; ++token) {
      const std::span<const float> values =
          std::span(results.values[i]).subspan(token * width, width);
      tokens.PushBack(std::vector<float>(values.begin(), values.end()));
    }
    json["outputs"][output.name] = {{"shape", output.shape},
                                    {"values", tokens}};
  }
  std::cout << json.Dump() << "\n";
}

void PrintTable(const Model& model, const Results& results,
                OutputFormat format) {
  std::vector<Table::Column> columns = {{"token"}};
  for (const ValueInfo& output : model.outputs()) {
    columns.push_back({"largest of " + output.name});
    columns.push_back({output.name, Table::Align::kLeft});
  }
  Table table(std::move(columns));
  for (size_t token = 0; token < results.tokens; ++token) {
    std::vector<std::string> cells = {std::to_string(token)};
    for (size_t i = 0; i < results.values.size(); ++i) {
      const size_t width = model.outputs()[i].ElementCount();
      const std::span<const float> values =
          std::span(results.values[i]).subspan(token * width, width);
      const auto largest = std::max_element(values.begin(), values.end());
      cells.push_back(std::to_string(largest - values.begin()));
      std::string text;
      for (const float value : values.first(std::min(width, kShownValues))) {
        if (!text.empty()) text += " ";
        text += Short(value);
      }
      cells.push_back(text + (width > kShownValues ? " ..." : ""));
    }
    table.AddRow(std::move(cells));
  }
  std::cout << Rendered(table, format);
}

void WriteFiles(const Model& model, const Results& results,
                const std::map<std::string, std::string>& files) {
  for (size_t i = 0; i < results.values.size(); ++i) {
    const ValueInfo& output = model.outputs()[i];
    const auto file = files.find(output.name);
    if (file == files.end()) continue;
    std::vector<size_t> shape = {results.tokens};
    for (const int64_t size : output.shape) {
      shape.push_back(static_cast<size_t>(size));
    }
    qat::WriteNpy(file->second, shape, results.values[i]);
  }
}

void RunVerb::Run() const {
  const std::shared_ptr<const Model> loaded = Model::Load(model, load);
  const auto input_files = AssignFiles("--input", inputs, loaded->inputs());
  const auto output_files = AssignFiles("--output", outputs, loaded->outputs());
  const std::vector<InputData> data = ReadInputs(*loaded, input_files);
  ProgramOptions options;
  options.activations = activations;
  options.threads = threads;
  Session session(loaded, options);
  const size_t available = data.front().tokens;
  const size_t tokens = limit > 0 ? std::min(limit, available) : available;
  const Results results = Execute(session, data, tokens, batch);
  if (!output_files.empty()) {
    WriteFiles(*loaded, results, output_files);
  } else if (format == OutputFormat::kJson) {
    PrintJson(*loaded, results);
  } else {
    PrintTable(*loaded, results, format);
  }
}

}  // namespace

void AddRunVerb(CommandLine& line) {
  auto verb = std::make_shared<RunVerb>();
  Verb run = line.AddVerb("run", "Run a model on data from files");
  run.Footer(kRunExample);
  run.Add("MODEL", verb->model, "A model file").Required();
  run.Add("-i,--input", verb->inputs,
          "Where an input comes from; the name may be left out if "
          "there is only one")
      .TypeName("[NAME=]FILE")
      .Required()
      .OneAtATime();
  run.Add("-o,--output", verb->outputs,
          "Where an output goes, instead of being printed")
      .TypeName("[NAME=]FILE")
      .OneAtATime();
  AddActivationsOption(run, verb->activations);
  run.Add("--limit", verb->limit, "Use only the first N tokens").TypeName("N");
  run.Add("--batch", verb->batch, "Tokens per call")
      .TypeName("N")
      .Range(size_t{1}, kMaxBatch)
      .ShowDefault();
  AddThreadsOption(run, verb->threads);
  AddLoadOptions(run, verb->load);
  AddFormatOptions(run, verb->format);
  run.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
