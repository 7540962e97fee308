#include <iostream>
#include <memory>
#include <string>

#include "lutra/packer/rotate.h"
#include "runtime/base/threads.h"
#include "tools/cli/json.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kRotateExample =
    "Rewrites a language model with float weights so that it computes the "
    "same,\n"
    "but its weights round better: the stream that layers read and add to is\n"
    "turned by an orthogonal matrix, and so are the values of attention. "
    "Worth\n"
    "it before packing with statistics, which are to be made of the turned "
    "model.\n"
    "Where the embedding is the output matrix too, two small layers are "
    "added;\n"
    "keep their weights at 8 bits.\n"
    "\n"
    "Example:\n"
    "  lutra rotate llm.safetensors -o turned.safetensors\n"
    "  lutra calibrate turned.safetensors --data wiki.txt -o llm.statistics\n"
    "  lutra pack turned.safetensors -o llm-3bit.safetensors --bits 3 \\\n"
    "    --group-size 64 --quantizer mse-stretched --scale-type float16 \\\n"
    "    --calibration llm.statistics --rule 'rotation=bits:8,group-size:32' "
    "\\\n"
    "    --rule 'op:embedding=bits:8,group-size:32'";

struct RotateVerb {
  std::string model;
  std::string output;
  uint64_t seed = 1;
  size_t threads = 0;
  bool json = false;

  void Run() const {
    packer::RotateOptions options;
    options.seed = seed;
    const std::unique_ptr<Executor> executor = StartThreads(threads);
    options.executor = executor.get();
    const packer::RotateReport report =
        packer::RotateModel(*Model::Load(model), output, options);
    if (json) {
      const Json json_report = {{"file", output},
                                {"file_bytes", report.file_bytes},
                                {"width", report.width},
                                {"weights", report.layers},
                                {"value_heads", report.heads},
                                {"tied", report.tied}};
      std::cout << json_report.Dump(2) << "\n";
      return;
    }
    std::cout << OneLine(output) << ": a stream of " << report.width << ", "
              << report.layers << " weights turned, values of " << report.heads
              << " heads"
              << (report.tied ? ", two layers added for the tied embedding"
                              : "")
              << "; file " << WithCommas(report.file_bytes) << " bytes\n";
  }
};

}  // namespace

void AddRotateVerb(CommandLine& line) {
  auto verb = std::make_shared<RotateVerb>();
  Verb rotate =
      line.AddVerb("rotate", "Turn a model so that its weights round better");
  rotate.Footer(kRotateExample);
  rotate.Add("MODEL", verb->model, "Model with float weights").Required();
  rotate.Add("-o,--output", verb->output, "File to write")
      .TypeName("FILE")
      .Required();
  rotate.Add("--seed", verb->seed, "Of the random signs and matrices")
      .TypeName("N")
      .ShowDefault();
  AddThreadsOption(rotate, verb->threads);
  rotate.AddFlag("--json", verb->json, "Print JSON");
  rotate.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
