#include <string>

#include "lutra/packer/synth.h"
#include "lutra/runtime/error.h"
#include "runtime/base/unknown_word.h"

namespace lutra::packer {
namespace {

struct Architecture {
  std::string_view name;
  int64_t vocab;
  int64_t dim;
  int64_t hidden;
  int64_t layers;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  int64_t context;
  double norm_eps;
  double rope_theta;
  bool tied;
  bool query_key_value_bias = false;
  int64_t window = 0;
};

// From the config.json of each model; scaling of rotary frequencies is left
// out.
constexpr Architecture kArchitectures[] = {
    {"stories260k", 512, 64, 172, 5, 8, 4, 8, 512, 1e-5, 1e4, true},
    {"smollm-135m", 49152, 576, 1536, 30, 9, 3, 64, 2048, 1e-5, 1e4, true},
    {"smollm-360m", 49152, 960, 2560, 32, 15, 5, 64, 2048, 1e-5, 1e4, true},
    {"qwen2-0.5b", 151936, 896, 4864, 24, 14, 2, 64, 32768, 1e-6, 1e6, true,
     true},
    {"qwen2-1.5b", 151936, 1536, 8960, 28, 12, 2, 128, 32768, 1e-6, 1e6, true,
     true},
    {"tinyllama-1.1b", 32000, 2048, 5632, 22, 32, 4, 64, 2048, 1e-5, 1e4,
     false},
    {"llama-3.2-1b", 128256, 2048, 8192, 16, 32, 8, 64, 131072, 1e-5, 5e5,
     true},
    {"llama-3.2-3b", 128256, 3072, 8192, 28, 24, 8, 128, 131072, 1e-5, 5e5,
     true},
    {"llama-2-7b", 32000, 4096, 11008, 32, 32, 32, 128, 4096, 1e-5, 1e4, false},
    {"mistral-7b", 32000, 4096, 14336, 32, 32, 8, 128, 32768, 1e-5, 1e4, false,
     false, 4096},
    {"llama-3-8b", 128256, 4096, 14336, 32, 32, 8, 128, 8192, 1e-5, 5e5, false},
};

}  // namespace

const std::vector<std::string_view>& ArchitectureNames() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> result;
    for (const Architecture& entry : kArchitectures) {
      result.push_back(entry.name);
    }
    return result;
  }();
  return names;
}

SynthOptions FindArchitecture(std::string_view name) {
  for (const Architecture& entry : kArchitectures) {
    if (entry.name != name) continue;
    SynthOptions options;
    options.vocab = entry.vocab;
    options.dim = entry.dim;
    options.hidden = entry.hidden;
    options.layers = entry.layers;
    options.heads = entry.heads;
    options.kv_heads = entry.kv_heads;
    options.head_dim = entry.head_dim;
    options.context = entry.context;
    options.window = entry.window;
    options.norm_eps = entry.norm_eps;
    options.rope_theta = entry.rope_theta;
    options.tied = entry.tied;
    options.query_key_value_bias = entry.query_key_value_bias;
    return options;
  }
  throw Error(UnknownWord("architecture", name, ArchitectureNames()));
}

}  // namespace lutra::packer
