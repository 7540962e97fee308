#include "lutra/packer/synth.h"

#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "runtime/base/threads.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/options.h"
#include "tools/cli/progress.h"
#include "tools/cli/scheme_options.h"
#include "tools/cli/table.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kSynthExample =
    "Makes a language model of a known shape with random weights, to measure\n"
    "speed and memory. It has no tokenizer. The weights are packed as the\n"
    "options of 'lutra pack' say; --exclude leaves some float, --exclude . "
    "all.\n"
    "\n"
    "Examples:\n"
    "  lutra synth --like tinyllama-1.1b --bits 2 --group-size 64 \\\n"
    "    -o tinyllama-2bit.safetensors\n"
    "  lutra synth --like smollm-135m --exclude . --dtype float32 \\\n"
    "    -o smollm-float.safetensors\n"
    "  lutra synth --like llama-3.2-1b --layers 4 --context 4096 --bits 4 \\\n"
    "    --group-size 32 --rule lm_head=bits:8 -o small.safetensors";

constexpr std::pair<const char*, DType> kDTypes[] = {
    {"float32", DType::kFloat32},
    {"bfloat16", DType::kBFloat16},
    {"float16", DType::kFloat16}};

struct SynthVerb {
  std::string like = "stories260k";
  std::string output;
  std::string dtype = "bfloat16";
  // 0: as in the model that --like names.
  packer::SynthOptions sizes;
  uint64_t seed = 0;
  SchemeOptions schemes;
  size_t threads = 0;

  packer::SynthOptions Options();
  void Run();
};

packer::SynthOptions SynthVerb::Options() {
  packer::SynthOptions options;
  AsUsage("--like", [&] { options = packer::FindArchitecture(like); });
  const auto override_size = [&](int64_t packer::SynthOptions::*size) {
    if (sizes.*size != 0) options.*size = sizes.*size;
  };
  override_size(&packer::SynthOptions::vocab);
  override_size(&packer::SynthOptions::dim);
  override_size(&packer::SynthOptions::hidden);
  override_size(&packer::SynthOptions::layers);
  override_size(&packer::SynthOptions::heads);
  override_size(&packer::SynthOptions::kv_heads);
  override_size(&packer::SynthOptions::head_dim);
  override_size(&packer::SynthOptions::context);
  override_size(&packer::SynthOptions::window);
  for (const auto& [name, type] : kDTypes) {
    if (dtype == name) options.dtype = type;
  }
  options.seed = seed;
  options.rules = schemes.Rules();
  return options;
}

void SynthVerb::Run() {
  packer::SynthOptions options = Options();
  const std::unique_ptr<Executor> executor = StartThreads(threads);
  options.executor = executor.get();
  Progress progress;
  const EndOnInterrupt interrupt;
  const auto start = std::chrono::steady_clock::now();
  const packer::SynthReport report = packer::SynthesizeModel(
      output, options, [&](const packer::PackStatus& status) {
        interrupt.Check();
        progress.ShowRate("making " + std::string(status.tensor), status.done,
                          status.total, "weights");
      });
  progress.Clear();
  const std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - start;
  std::cout << OneLine(output) << ": " << WithCommas(report.parameters)
            << " parameters in " << WithCommas(report.file_bytes)
            << " bytes, made in " << Fixed(elapsed.count(), 1) << " s\n";
}

}  // namespace

void AddSynthVerb(CommandLine& line) {
  auto verb = std::make_shared<SynthVerb>();
  Verb synth = line.AddVerb(
      "synth", "Make a language model with random weights, to measure with");
  synth.Footer(kSynthExample);
  std::string names;
  for (const std::string_view name : packer::ArchitectureNames()) {
    if (!names.empty()) names += ", ";
    names += name;
  }
  synth.Add("--like", verb->like, "Shape of the model: " + names)
      .TypeName("NAME")
      .ShowDefault();
  synth.Add("-o,--output", verb->output, "File to write")
      .TypeName("FILE")
      .Required();
  constexpr int64_t kMost = int64_t{1} << 30;
  const auto add_size = [&](const char* name, int64_t& size,
                            const char* description) {
    synth.Add(name, size, description).TypeName("N").Range(int64_t{1}, kMost);
  };
  add_size("--vocab", verb->sizes.vocab, "Another number of tokens");
  add_size("--dim", verb->sizes.dim, "Another width");
  add_size("--hidden", verb->sizes.hidden, "Another width of the MLP");
  add_size("--layers", verb->sizes.layers, "Another number of layers");
  add_size("--heads", verb->sizes.heads, "Another number of query heads");
  add_size("--kv-heads", verb->sizes.kv_heads,
           "Another number of key/value heads");
  add_size("--head-dim", verb->sizes.head_dim, "Another width of a head");
  add_size("--context", verb->sizes.context, "Another longest sequence");
  add_size("--window", verb->sizes.window, "Tokens that attention looks back");
  synth
      .Add("--dtype", verb->dtype,
           "Type of the matrices that are not packed: float32, "
           "bfloat16 or float16")
      .TypeName("TYPE")
      .OneOf({"float32", "bfloat16", "float16"})
      .ShowDefault();
  synth.Add("--seed", verb->seed, "Other random numbers")
      .TypeName("N")
      .ShowDefault();
  AddSchemeOptions(synth, verb->schemes);
  AddThreadsOption(synth, verb->threads);
  synth.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
