#include <string>

#include "packer/architectures/architecture.h"

namespace lutra::packer {
namespace {

const Architecture* Find(std::string_view name, std::string_view type) {
  for (const Architecture* entry : Architectures()) {
    if (name.empty() ? entry->type == type : entry->name == name) return entry;
  }
  return nullptr;
}

[[noreturn]] void Refuse(const JsonObject& config, const std::string& name) {
  std::string known;
  for (const Architecture* entry : Architectures()) {
    known += known.empty() ? "" : ", ";
    known += entry->name;
  }
  config.Fail("architecture '" + name +
              "' is not supported; supported: " + known);
}

Network BuildAs(const Architecture& architecture, const JsonObject& config) {
  Network network = architecture.build(config);
  network.architecture = architecture.name;
  return network;
}

}  // namespace

std::span<const Architecture* const> Architectures() {
  static constexpr const Architecture* kAll[] = {
      &kBert,       &kBitNet,     &kCohere2,  &kGemma,      &kGemma2,
      &kGemma3,     &kGemma4,     &kGlm4,     &kGpt2,       &kGptOss,
      &kGranite,    &kGraniteMoe, &kLfm2,     &kLlama,      &kMinistral,
      &kMinistral3, &kMistral,    &kMixtral,  &kOlmo2,      &kOlmo3,
      &kOlmoe,      &kPhi3,       &kQwen2,    &kQwen3,      &kQwen35,
      &kQwen3Moe,   &kSmolLm3,    &kStableLm, &kStarcoder2,
  };
  return kAll;
}

Network BuildNetwork(const JsonObject& config) {
  std::string name;
  if (config.Has("architectures")) {
    for (const nlohmann::json& entry : config.List("architectures", 16)) {
      if (name.empty() && entry.is_string()) name = entry.get<std::string>();
    }
  }
  const std::string type = config.String("model_type", "");
  if (const Architecture* found = Find(name, type)) {
    return BuildAs(*found, config);
  }
  // Encoders are called after the model without its output matrix.
  const Architecture* body = name.ends_with("Model") ? Find("", type) : nullptr;
  if (body != nullptr) {
    Network network = BuildAs(*body, config);
    network.encodes = true;
    return network;
  }
  if (config.Has("text_config")) {
    const JsonObject text = config.Object("text_config");
    const std::string text_type = text.String("model_type", "");
    if (const Architecture* found = Find("", text_type)) {
      Network network = BuildAs(*found, text);
      network.tied = config.Bool("tie_word_embeddings", network.tied);
      if (found->nest != nullptr) found->nest(config, network);
      return network;
    }
  }
  Refuse(config, name.empty() ? type : name);
}

}  // namespace lutra::packer
