#include "packer/import/stored/weight_formats.h"

#include <memory>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/exists.h"
#include "packer/import/json_file.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;

struct Method {
  std::string_view name;
  void (*read)(const FormatInput&);
};
constexpr Method kMethods[] = {
    {"auto-round", ReadGptq},
    {"awq", ReadAwq},
    {"bitnet", ReadBitNet},
    {"bitsandbytes", ReadBitsAndBytes},
    {"compressed-tensors", ReadCompressedTensors},
    {"gemma", ReadGemmaMobile},
    {"gptq", ReadGptq},
    {"hqq", ReadHqq},
    {"metal", ReadMlx},
    {"mlx", ReadMlx},
    {"mxfp4", ReadMxfp4Experts},
    {"paretoq", ReadParetoQ},
    {"prism", ReadMlx},
    {"torchao", ReadTorchao},
};

// Configurations of checkpoints of 2023, beside config.json.
constexpr std::pair<std::string_view, std::string_view> kOldFiles[] = {
    {"quantize_config.json", "gptq"}, {"quant_config.json", "awq"}};

// Of a configuration of those.
constexpr const char* kOldWhat = "quantization";

void ReadBy(std::string_view name, const FormatInput& in) {
  std::string known;
  for (const Method& method : kMethods) {
    if (method.name == name) return method.read(in);
    known += known.empty() ? "" : ", ";
    known += method.name;
  }
  in.quantization.Fail("quantization method '" + std::string(name) +
                       "' is not supported; supported: " + known);
}

}  // namespace

void FormatInput::Add(const std::string& name, const Part& part,
                      StoredWeight weight) const {
  weight.file = part.tensor().file;
  weight.tensor = part.tensor().view.name;
  weight.name = name;
  if (weight.rows == 0 || weight.columns == 0 || weight.group_size == 0) {
    part.Fail("is empty");
  }
  if (raw.Find(name) != nullptr || !weights.try_emplace(name, weight).second) {
    part.Fail("is one of two with the name '" + name + "'");
  }
}

std::vector<std::string> FormatInput::Stems(std::string_view ending) const {
  std::vector<std::string> stems;
  for (const auto& [name, tensor] : raw.tensors) {
    if (name.size() > ending.size() && name.ends_with(ending)) {
      stems.push_back(name.substr(0, name.size() - ending.size()));
    }
  }
  return stems;
}

StoredWeights ReadStoredWeights(const fs::path& folder,
                                const JsonObject& config, RawTensors& raw,
                                std::vector<std::string>& notes) {
  StoredWeights weights;
  if (config.Has("quantization_config") || config.Has("compression_config")) {
    const JsonObject quantization =
        config.Object(config.Has("quantization_config") ? "quantization_config"
                                                        : "compression_config");
    // MLX writes its own member, and the same under the common name.
    const std::string method = quantization.String(
        "quant_method", config.Has("quantization") ? "mlx" : "");
    ReadBy(method, {config, quantization, raw, weights, notes});
  } else if (config.Has("quantization")) {
    ReadMlx({config, config.Object("quantization"), raw, weights, notes});
  } else if (config.Has("w_bits")) {
    ReadParetoQ({config, config, raw, weights, notes});
  } else if (raw.metadata.contains("tensor_names")) {
    ReadTorchao({config, config, raw, weights, notes});
  } else {
    for (const auto& [file, method] : kOldFiles) {
      if (!Exists(folder / file)) continue;
      const JsonFile old(folder / file, kOldWhat);
      ReadBy(old.object().String("quant_method", method),
             {config, old.object(), raw, weights, notes});
      break;
    }
  }
  return weights;
}

std::string SingleFileName(const fs::path& folder) {
  const fs::path path = folder / kOldFiles[0].first;
  if (!Exists(path)) return "";
  return JsonFile(path, kOldWhat).object().String("model_file_base_name", "");
}

}  // namespace lutra::packer
