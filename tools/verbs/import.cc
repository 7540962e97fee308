#include "lutra/packer/import.h"

#include <iostream>
#include <memory>
#include <string>

#include "runtime/base/threads.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/verbs/imported_weights.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kImportExample =
    "SOURCE is one of\n"
    "  a Hugging Face folder: config.json, *.safetensors, tokenizer.json or\n"
    "    tokenizer.model (Llama, Qwen, Gemma, Phi, ...: docs/import.md)\n"
    "  a GGUF file of llama.cpp\n"
    "  a llama2.c checkpoint: model.bin, with tokenizer.bin or tok<N>.bin\n"
    "    beside it\n"
    "  safetensors of any layers, with --graph graph.json or in a folder that\n"
    "    has it\n"
    "  a graph of ONNX (.onnx) or TensorFlow Lite (.tflite)\n"
    "  the folder of MLPerf Tiny's keyword spotter, or of an ml5.js charRNN\n"
    "  silero_vad_16k.safetensors, Silero's voice activity detector\n"
    "docs/import.md says what is supported.\n"
    "\n"
    "Examples:\n"
    "  lutra import TinyLlama-1.1B -o tinyllama.safetensors\n"
    "  lutra import stories260K.bin --tokenizer tok512.bin -o "
    "stories.safetensors\n"
    "  lutra import weights.safetensors --graph graph.json -o "
    "model.safetensors\n"
    "  lutra import gemma-3-4b-it-qat-q4_0-unquantized --recover -o "
    "gemma.safetensors\n"
    "  lutra generate stories.safetensors -p 'Once upon a time'";

struct ImportVerb {
  packer::ImportOptions options;
  std::string format = "auto";
  std::string dtype = "keep";
  std::string rope = "float32";
  size_t threads = 0;
  bool json = false;

  void Run();
};

std::string NoteLines(const packer::ImportReport& report) {
  std::string text;
  for (const std::string& note : report.notes) {
    text += "\n  note: " + OneLine(note);
  }
  return text;
}

Json ToJson(const packer::ImportReport& report, const std::string& output) {
  Json json;
  json["file"] = output;
  json["file_bytes"] = report.file_bytes;
  json["format"] = packer::Name(report.format);
  json["architecture"] = report.architecture;
  json["layers"] = report.layers;
  json["parameters"] = report.parameters;
  json["context"] = report.context;
  json["tokenizer"] = report.tokenizer;
  json["vocabulary"] = report.vocabulary;
  json["chat_templates"] = report.chat_templates;
  json["weights"] = WeightsJson(report);
  json["floats"] = FloatsJson(report);
  json["notes"] = report.notes;
  json["arrays"] = Json::Array();
  for (const packer::ImportedArray& array : report.arrays) {
    json["arrays"].PushBack(
        {{"name", array.name}, {"rows", array.rows}, {"order", array.order}});
  }
  json["time_axis"] = report.time_axis;
  return json;
}

std::string ToText(const packer::ImportReport& report,
                   const std::string& output) {
  return OneLine(output) + ": " + NetworkLine(report) + "; file " +
         WithCommas(report.file_bytes) + " bytes" + WeightLines(report) +
         FloatLines(report) + NoteLines(report);
}

void ImportVerb::Run() {
  AsUsage("--format",
          [&] { options.format = packer::ParseImportFormat(format); });
  options.float32 = dtype == "float32";
  if (rope == "checkpoint") options.rope = packer::RopePrecision::kCheckpoint;
  const std::unique_ptr<Executor> executor =
      StartThreads(options.recover ? threads : 1);
  options.executor = executor.get();
  Progress progress;
  const EndOnInterrupt interrupt;
  options.looking = [&](std::string_view tensor) {
    interrupt.Check();
    progress.Show("looking for a grid: " + std::string(tensor));
  };
  const packer::ImportReport report = packer::ImportModel(
      options, [&](std::string_view tensor, size_t index, size_t count) {
        interrupt.Check();
        progress.Show("importing " + std::string(tensor), index, count);
      });
  progress.Clear();
  const std::string output = options.output.string();
  if (json) {
    std::cout << ToJson(report, output).Dump(2) << "\n";
  } else {
    std::cout << ToText(report, output) << "\n";
  }
}

}  // namespace

void AddImportVerb(CommandLine& line) {
  auto verb = std::make_shared<ImportVerb>();
  Verb importer = line.AddVerb(
      "import", "Make a model file of another program's checkpoint");
  importer.Footer(kImportExample);
  importer.Add("SOURCE", verb->options.source, "Checkpoint or folder")
      .Required();
  importer.Add("-o,--output", verb->options.output, "File to write")
      .TypeName("FILE")
      .Required();
  importer
      .Add("--format", verb->format,
           "What the source is: auto, huggingface, gguf, llama2c, graph, "
           "keyword-spotter, char-lstm, silero-vad, onnx, tflite")
      .TypeName("NAME")
      .ShowDefault();
  importer
      .Add("--tokenizer", verb->options.tokenizer,
           "Tokenizer, if it is not beside the source")
      .TypeName("FILE");
  importer.Add("--graph", verb->options.graph, "Graph of the network, as JSON")
      .TypeName("FILE");
  importer
      .Add("--context", verb->options.context,
           "Longest sequence in tokens [as in the checkpoint]")
      .TypeName("N")
      .Range(size_t{1}, size_t{1} << 24);
  importer
      .Add("--dtype", verb->dtype,
           "keep: 16-bit matrices stay so; float32: all weights become "
           "float32")
      .TypeName("NAME")
      .OneOf({"keep", "float32"})
      .ShowDefault();
  importer
      .Add("--rope-dtype", verb->rope,
           "Frequencies of the rotary embedding of a 16-bit "
           "checkpoint: float32, as transformers loads them; "
           "checkpoint, rounded to 16 bits, as after model.to(dtype)")
      .TypeName("NAME")
      .OneOf({"float32", "checkpoint"})
      .ShowDefault();
  importer.AddFlag("--dequantize", verb->options.dequantize,
                   "Make float32 of quantized weights");
  const Option recover =
      importer.AddFlag("--recover", verb->options.recover,
                       "Pack float weights that lie on a hidden grid");
  importer
      .AddFlag("--require-exact", verb->options.require_exact,
               "With --recover: refuse a weight with groups that are not on "
               "its grid")
      .Needs(recover);
  AddThreadsOption(importer, verb->threads);
  importer.AddFlag("--json", verb->json, "Print JSON");
  importer.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
