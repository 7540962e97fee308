#include "lutra/packer/import.h"

#include <algorithm>
#include <array>
#include <exception>
#include <optional>
#include <system_error>
#include <utility>

#include "lutra/packer/export.h"
#include "lutra/packer/pack.h"
#include "lutra/packer/weights.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/tokenizer.h"
#include "packer/import/exists.h"
#include "packer/import/gguf/gguf_file.h"
#include "packer/import/import_plan.h"
#include "packer/import/silero_vad/silero_vad.h"
#include "packer/import/source.h"
#include "packer/write/pack_note.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;

struct FormatRow {
  ImportFormat format;
  std::string_view name;
  ImportPlan (*plan)(const ImportOptions&);
};

constexpr std::array<FormatRow, 10> kFormats = {{
    {ImportFormat::kAuto, "auto", nullptr},
    {ImportFormat::kHuggingFace, "huggingface", PlanHuggingFace},
    {ImportFormat::kGguf, "gguf", PlanGguf},
    {ImportFormat::kLlama2c, "llama2c", PlanLlama2c},
    {ImportFormat::kGraph, "graph", PlanGraph},
    {ImportFormat::kKeywordSpotter, "keyword-spotter", PlanKeywordSpotter},
    {ImportFormat::kCharacterLstm, "char-lstm", PlanCharacterLstm},
    {ImportFormat::kSileroVad, "silero-vad", PlanSileroVad},
    {ImportFormat::kOnnx, "onnx", PlanOnnx},
    {ImportFormat::kTflite, "tflite", PlanTflite},
}};

const FormatRow& Row(ImportFormat format) {
  return *std::find_if(
      kFormats.begin(), kFormats.end(),
      [format](const FormatRow& row) { return row.format == format; });
}

ImportFormat DetectFormat(const ImportOptions& options) {
  const fs::path& source = options.source;
  std::error_code error;
  if (!Exists(source)) {
    throw Error::InFile(source.string(), "does not exist",
                        ErrorCode::kNotFound);
  }
  if (!options.graph.empty()) return ImportFormat::kGraph;
  if (fs::is_directory(source, error)) {
    constexpr std::pair<std::string_view, ImportFormat> kMarks[] = {
        {kConfigFile, ImportFormat::kHuggingFace},
        {kGraphFile, ImportFormat::kGraph},
        {kManifestFile, ImportFormat::kCharacterLstm},
        {kVariablesFile, ImportFormat::kKeywordSpotter}};
    for (const auto& [file, format] : kMarks) {
      if (Exists(source / file)) return format;
    }
    throw Error::InFile(source.string(),
                        "is a folder of no known kind: it has none of "
                        "config.json, graph.json, manifest.json and "
                        "variables.data-00000-of-00001");
  }
  if (IsGguf(source) || source.extension() == ".gguf") {
    return ImportFormat::kGguf;
  }
  if (source.extension() == ".onnx") return ImportFormat::kOnnx;
  if (source.extension() == ".tflite") return ImportFormat::kTflite;
  const bool torch = source.filename().string().starts_with("pytorch_model");
  if (torch || source.extension() == ".safetensors") {
    if (IsSileroVad(source)) return ImportFormat::kSileroVad;
    throw Error::InFile(source.string(),
                        "weights alone say nothing of the network: name the "
                        "folder with config.json, or give a graph");
  }
  if (source.extension() == ".bin") return ImportFormat::kLlama2c;
  if (source.filename() == kVariablesFile) return ImportFormat::kKeywordSpotter;
  throw Error::InFile(source.string(), "is a file of no known kind");
}

// Options that would be ignored are mistakes.
void CheckOptions(const ImportOptions& options, ImportFormat format) {
  const bool has_tokenizer = format == ImportFormat::kHuggingFace ||
                             format == ImportFormat::kGguf ||
                             format == ImportFormat::kLlama2c;
  const auto refuse = [format](const char* what) {
    throw Error("the format '" + std::string(Name(format)) + "' takes no " +
                what);
  };
  if (!options.tokenizer.empty() && !has_tokenizer) refuse("tokenizer");
  if (!options.graph.empty() && format != ImportFormat::kGraph) {
    refuse("graph");
  }
  const bool has_grids = format == ImportFormat::kHuggingFace ||
                         format == ImportFormat::kGguf ||
                         format == ImportFormat::kGraph;
  if (options.recover && !has_grids) refuse("recovery of grids");
  if (options.recover && options.dequantize) {
    throw Error(
        "floats cannot be both packed and left: recovery and "
        "dequantization exclude each other");
  }
  if (options.require_exact && !options.recover) {
    throw Error("exact groups are required of no recovery");
  }
}

// Nothing of the source is replaced: it cannot be made again.
void CheckOutput(const ImportOptions& options) {
  const fs::path& output = options.output;
  std::error_code error;
  bool refused = fs::equivalent(output, options.source, error);
  if (fs::is_directory(options.source, error) &&
      fs::equivalent(fs::absolute(output, error).parent_path(), options.source,
                     error) &&
      fs::exists(output, error)) {
    try {
      const SafetensorsFile file = SafetensorsFile::Open(output);
      refused = !file.metadata().contains(std::string(kVersionKey));
    } catch (const Error&) {
      refused = true;
    }
  }
  if (!refused) return;
  throw Error::InFile(output.string(),
                      "is a part of the source: name another output");
}

std::map<std::string, std::string> Metadata(const ImportPlan& plan) {
  std::map<std::string, std::string> metadata;
  metadata[std::string(kVersionKey)] = std::to_string(kModelVersion);
  metadata[std::string(kGraphKey)] = GraphToJson(plan.graph);
  if (!plan.config.empty()) metadata[std::string(kConfigKey)] = plan.config;
  if (plan.chat) metadata[std::string(kChatKey)] = ChatDataToJson(*plan.chat);
  if (plan.context > 0) {
    metadata[std::string(kContextLengthKey)] = std::to_string(plan.context);
  }
  return metadata;
}

void AddTokenizer(ImportPlan& plan) {
  if (!plan.tokenizer) return;
  ImportTensor tensor;
  auto bytes = std::make_shared<const std::vector<std::byte>>(
      SerializeTokenizer(*plan.tokenizer));
  tensor.info.name = kTokenizerTensor;
  tensor.info.dtype = DType::kUInt8;
  tensor.info.shape = {static_cast<int64_t>(bytes->size())};
  tensor.read = [bytes](std::vector<std::byte>&) {
    return std::span<const std::byte>(*bytes);
  };
  plan.tensors.push_back(std::move(tensor));
}

std::vector<TensorInfo> Describe(const ImportPlan& plan) {
  std::vector<TensorInfo> infos;
  for (const ImportTensor& tensor : plan.tensors) infos.push_back(tensor.info);
  return infos;
}

void WriteTensors(ImportPlan& plan, SafetensorsWriter& writer,
                  const ImportProgress& progress) {
  std::vector<std::byte> buffer;
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    ImportTensor& tensor = plan.tensors[i];
    const std::string& name = tensor.info.name;
    if (progress) progress(name, i, plan.tensors.size());
    if (!tensor.write) {
      writer.Write(name, tensor.read(buffer));
      continue;
    }
    ImportedWeight floats;
    tensor.write(
        [&](size_t offset, std::span<const std::byte> data) {
          writer.WritePart(name, offset, data);
          // A large tensor takes long: the caller may want to end it.
          if (progress) progress(name, i, plan.tensors.size());
        },
        tensor.stored ? *tensor.stored : floats);
  }
}

// The note that packed weights leave in a model file.
std::string Note(const ImportPlan& plan, bool space) {
  std::vector<TensorReport> weights;
  for (const ImportTensor& tensor : plan.tensors) {
    if (!tensor.stored || tensor.stored->dequantized) continue;
    TensorReport report;
    report.name = tensor.info.name;
    report.method = PackMethod::kImported;
    report.sqnr_db = tensor.stored->sqnr_db;
    report.max_error = tensor.stored->max_error;
    weights.push_back(report);
  }
  if (weights.empty()) return "";
  return space ? PackNoteSpace(weights) : PackNote(weights);
}

// Loads what was written, as a user would. Errors are about the source then.
void Check(const std::string& written, const fs::path& source) {
  try {
    const auto model = Model::Load(written);
    (void)Tokenizer::FromModel(*model);
  } catch (const Error& error) {
    std::string_view cause = error.what();
    const std::string prefix = written + ": ";
    if (cause.starts_with(prefix)) cause.remove_prefix(prefix.size());
    throw Error::InFile(source.string(),
                        "makes no valid model: " + std::string(cause));
  }
}

std::vector<ImportedWeight> QuantizedWeights(const ImportPlan& plan) {
  std::vector<ImportedWeight> weights;
  for (const ImportTensor& tensor : plan.tensors) {
    if (tensor.stored) weights.push_back(*tensor.stored);
  }
  return weights;
}

// The rows of the matrix whose product a value is, through what keeps its
// width; 0 if there is none.
size_t ProductRows(const std::map<std::string_view, const Node*>& nodes,
                   const std::map<std::string_view, size_t>& rows,
                   std::string_view value) {
  constexpr int kFarthest = 16;
  for (int i = 0; i < kFarthest; ++i) {
    const auto node = nodes.find(value);
    if (node == nodes.end() || node->second->inputs.empty()) return 0;
    if (node->second->op == OpType::kLinear) {
      const auto found = rows.find(node->second->weight);
      return found == rows.end() ? 0 : found->second;
    }
    value = node->second->inputs[0];
  }
  return 0;
}

// The part of a node's weight of `rows` rows that a token reads.
double PartRead(const std::map<std::string_view, const Node*>& nodes,
                const Node& node, size_t rows) {
  if (node.op == OpType::kEmbedding) return 1 / static_cast<double>(rows);
  if (node.op != OpType::kExpertLinear) return 1;
  const auto route = nodes.find(node.inputs[1]);
  if (route == nodes.end() || route->second->op != OpType::kRoute) return 1;
  return NumberAttribute(*route->second, "count") /
         NumberAttribute(node, "experts");
}

// What running costs: see ImportReport.
void AddCosts(const ImportPlan& plan, ImportReport& report) {
  std::map<std::string_view, size_t> rows;
  std::map<std::string_view, size_t> bytes;
  for (const ImportTensor& tensor : plan.tensors) {
    const std::string& name = tensor.info.name;
    bytes[name] = tensor.info.ByteCount();
    report.tensor_bytes += tensor.info.ByteCount();
    rows[name] = tensor.stored ? tensor.stored->rows
                 : tensor.info.shape.empty()
                     ? 1
                     : static_cast<size_t>(tensor.info.shape[0]);
  }
  std::map<std::string_view, const Node*> nodes;
  for (const Node& node : plan.graph.nodes) nodes[node.output] = &node;
  for (const Node& node : plan.graph.nodes) {
    const auto weight = bytes.find(node.weight);
    if (weight != bytes.end()) {
      report.token_bytes +=
          static_cast<size_t>(PartRead(nodes, node, rows[node.weight]) *
                              static_cast<double>(weight->second));
    }
    if (node.op != OpType::kAttention) continue;
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      report.cache_bytes +=
          sizeof(uint16_t) * ProductRows(nodes, rows, node.inputs[i]);
    }
  }
}

ImportPlan MakePlan(const ImportOptions& options, ImportReport& report) {
  report.format = options.format == ImportFormat::kAuto ? DetectFormat(options)
                                                        : options.format;
  CheckOptions(options, report.format);
  ImportPlan plan = Row(report.format).plan(options);
  if (options.context > 0) plan.context = options.context;
  report.architecture = plan.architecture;
  report.layers = plan.layers;
  report.context = plan.context;
  for (const ImportTensor& tensor : plan.tensors) {
    // The rotary embedding's frequencies are ours, not the checkpoint's.
    if (tensor.info.name.starts_with("lutra.")) continue;
    if (!tensor.stored)
      ++report.float_types[std::string(Name(tensor.info.dtype))];
    report.parameters += tensor.stored
                             ? tensor.stored->rows * tensor.stored->columns
                             : tensor.info.ElementCount();
  }
  if (plan.tokenizer) {
    report.tokenizer = plan.tokenizer->recipe.kind;
    report.vocabulary = plan.tokenizer->size();
  }
  if (plan.chat) {
    for (const auto& [name, source] : plan.chat->templates) {
      report.chat_templates.push_back(name);
    }
  }
  report.weights = QuantizedWeights(plan);
  report.floats = plan.floats;
  report.notes = plan.notes;
  report.arrays = plan.arrays;
  report.time_axis = plan.time_axis;
  AddCosts(plan, report);
  return plan;
}

}  // namespace

double ImportedWeight::BitsPerWeight() const {
  return WeightTotals{rows * columns, bytes}.BitsPerWeight();
}

std::string_view Name(ImportFormat format) { return Row(format).name; }

ImportFormat ParseImportFormat(std::string_view name) {
  std::string known;
  for (const FormatRow& row : kFormats) {
    if (row.name == name) return row.format;
    known += known.empty() ? "" : ", ";
    known += row.name;
  }
  throw Error("unknown format '" + std::string(name) + "'; known: " + known);
}

ImportReport ImportModel(const ImportOptions& options,
                         const ImportProgress& progress) {
  ImportReport report;
  ImportPlan plan = MakePlan(options, report);
  CheckOutput(options);
  AddTokenizer(plan);

  std::map<std::string, std::string> metadata = Metadata(plan);
  const std::string note_key(kPackKey);
  const std::string space = Note(plan, /*space=*/true);
  if (!space.empty()) metadata[note_key] = space;
  SafetensorsWriter writer(options.output, metadata, Describe(plan));
  WriteTensors(plan, writer, progress);
  if (!space.empty()) {
    metadata[note_key] = Note(plan, /*space=*/false);
    writer.ReplaceMetadata(metadata);
  }
  report.weights = QuantizedWeights(plan);
  Check(writer.temporary(), options.source);
  report.file_bytes = fs::file_size(writer.temporary());
  writer.Commit();
  return report;
}

SourceReport InspectSource(const ImportOptions& options) {
  SourceReport source;
  std::exception_ptr refusal;
  try {
    const ImportPlan plan = MakePlan(options, source.report);
    return source;
  } catch (const Error& error) {
    source.refusal = error.what();
    refusal = std::current_exception();
  }
  // Weights say something where the network is not known, too.
  std::optional<Checkpoint> checkpoint;
  try {
    checkpoint = OpenCheckpoint(options.source);
  } catch (const Error&) {
    std::rethrow_exception(refusal);
  }
  for (const auto& [name, weight] : checkpoint->stored()) {
    ImportedWeight entry;
    try {
      entry = *HeldTensor(name, weight, options.dequantize).stored;
    } catch (const Error& error) {
      entry.name = name;
      entry.origin = name;
      entry.format = weight.format;
      entry.rows = weight.rows;
      entry.columns = weight.columns;
      entry.refusal = error.what();
    }
    source.report.weights.push_back(std::move(entry));
  }
  return source;
}

}  // namespace lutra::packer
