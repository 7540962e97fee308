#include "tools/verbs/train_data.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "lutra/eval/perplexity.h"
#include "lutra/packer/calibrate.h"
#include "lutra/qat/int8_folder.h"
#include "lutra/qat/recording_folder.h"
#include "lutra/qat/sequence_samples.h"
#include "lutra/qat/text_samples.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/tokenizer.h"

namespace lutra::tools {

bool TakesText(const std::string& model) {
  const auto file = Model::Load(model);
  return file->inputs().size() == 1 &&
         file->inputs()[0].type == ValueType::kInt32;
}

std::unique_ptr<qat::Samples> LoadTextSamples(const std::string& model,
                                              const std::string& path,
                                              const TextDataOptions& options) {
  const auto file = Model::Load(model);
  const auto tokenizer = Tokenizer::FromModel(*file);
  if (tokenizer == nullptr) {
    throw Error::InFile(model, "has no tokenizer to read texts with");
  }
  qat::TextOptions text;
  text.length = options.length;
  text.seed = options.seed;
  const int32_t begin = eval::TextStart(*tokenizer);
  if (begin >= 0) text.begin = begin;
  std::vector<int32_t> ids =
      options.cache.empty()
          ? qat::LoadTextIds(path, *tokenizer, options.separator)
          : qat::LoadTextIds(path, *tokenizer, options.separator, options.cache,
                             file->file().Get(kTokenizerTensor).data);
  try {
    return std::make_unique<qat::TextSamples>(std::move(ids), text);
  } catch (const Error& error) {
    throw Error::InFile(path, error.what());
  }
}

namespace {

qat::LabelledImages LoadSamples(const std::string& path,
                                const LabelledDataOptions& options,
                                qat::DatasetPart part) {
  const bool recordings = qat::IsRecordingFolder(path);
  if (qat::IsInt8Folder(path) && !recordings) {
    return qat::LoadInt8Folder(path, options.scale, options.zero_point,
                               options.is_unsigned);
  }
  Refuse(options.of_bytes,
         "is for folders with a file of bytes for each sample");
  if (recordings) return qat::LoadRecordingFolder(path).windows;
  return qat::LoadImageFolder(path, part);
}

}  // namespace

LabelledData LoadLabelledData(const std::string& path,
                              const LabelledDataOptions& options) {
  LabelledData data;
  data.all = std::make_unique<qat::LabelledImages>(
      LoadSamples(path, options, qat::DatasetPart::kTrain));
  if (options.held_out > 0) {
    qat::SampleSplit split =
        qat::SplitSamples(data.all->Count(), options.held_out, options.seed);
    data.train =
        std::make_unique<qat::SampleSubset>(*data.all, std::move(split.rest));
    data.test = std::make_unique<qat::SampleSubset>(*data.all,
                                                    std::move(split.held_out));
    return data;
  }
  std::vector<uint32_t> every(data.all->Count());
  std::iota(every.begin(), every.end(), 0u);
  data.train = std::make_unique<qat::SampleSubset>(*data.all, std::move(every));
  return data;
}

std::unique_ptr<qat::LabelledImages> LoadTestData(
    const std::string& path, const LabelledDataOptions& options) {
  return std::make_unique<qat::LabelledImages>(
      LoadSamples(path, options, qat::DatasetPart::kTest));
}

void AddByteOptions(Verb& verb, LabelledDataOptions& options) {
  options.of_bytes = {
      {"--scale", verb.Add("--scale", options.scale,
                           "What bytes of samples are multiplied by")
                      .TypeName("X")
                      .ShowDefault()},
      {"--zero-point", verb.Add("--zero-point", options.zero_point,
                                "What is subtracted from bytes before")
                           .TypeName("N")
                           .Range(-128, 255)
                           .ShowDefault()},
      {"--unsigned", verb.AddFlag("--unsigned", options.is_unsigned,
                                  "Bytes are from 0 to 255")}};
}

void AddDataOptions(Verb& verb, DataOptions& options, const char* otherwise) {
  verb.Add("--samples", options.samples,
           "The most samples or windows, spread evenly over the data")
      .TypeName("N")
      .ShowDefault(otherwise);
  verb.Add("--length", options.text.length, "Tokens or steps of a window")
      .TypeName("N")
      .Positive()
      .ShowDefault();
  verb.Add("--separator", options.text.separator, "Text between two documents")
      .TypeName("TEXT")
      .ShowDefault();
  AddByteOptions(verb, options.labelled);
}

namespace {

bool RemembersSteps(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [](const Node& node) { return IsStateful(node.op); });
}

}  // namespace

ModelData LoadModelData(const std::string& model, const std::string& path,
                        const DataOptions& options) {
  ModelData data;
  if (TakesText(model)) {
    Refuse(options.labelled.of_bytes, "the model takes texts");
    data.windows = LoadTextSamples(model, path, options.text);
    data.is_text = true;
    return data;
  }
  const auto file = Model::Load(model);
  if (qat::HasSequences(path) && file->inputs().size() == 1) {
    Refuse(options.labelled.of_bytes,
           "is for folders with a file of bytes for each sample");
    data.windows = std::make_unique<qat::SequenceSamples>(
        qat::LoadSequences(path, file->inputs()[0].shape, options.text.length));
  } else if (RemembersSteps(file->graph())) {
    throw Error::InFile(
        model,
        "remembers earlier steps; data for it are arrays of NumPy, [steps, "
        "...] or [sequences, steps, ...]: a file .npy, or a folder of such");
  } else {
    data.labelled = LoadLabelledData(path, options.labelled);
  }
  return data;
}

size_t EnoughSamples(const ModelData& data, const DataOptions& options) {
  return options.samples == 0 && data.IsText() ? packer::kTextWindows
                                               : options.samples;
}

}  // namespace lutra::tools
