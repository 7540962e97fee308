#ifndef LUTRA_PACKER_ARCHITECTURES_ARCHITECTURE_H_
#define LUTRA_PACKER_ARCHITECTURES_ARCHITECTURE_H_

#include <span>
#include <string_view>

#include "packer/architectures/network.h"
#include "runtime/base/json_object.h"

// The registry of architectures. One is a file that defines an Architecture,
// and its line here and in architectures.cc.

namespace lutra::packer {

struct Architecture {
  // The class of transformers, as `architectures` of config.json has it, and
  // the `model_type`.
  std::string_view name;
  std::string_view type;
  // Models that have it, for the table in docs/import.md.
  std::string_view models;
  // The network of a configuration. Throws Error for options that are not
  // supported, by name, and for sizes that are not possible.
  Network (*build)(const JsonObject& config);
  // What a multimodal configuration around it changes, or nullptr.
  void (*nest)(const JsonObject& whole, Network& network) = nullptr;
};

extern const Architecture kBert;
extern const Architecture kBitNet;
extern const Architecture kCohere2;
extern const Architecture kGemma;
extern const Architecture kGemma2;
extern const Architecture kGemma3;
extern const Architecture kGemma4;
extern const Architecture kGlm4;
extern const Architecture kGpt2;
extern const Architecture kGptOss;
extern const Architecture kGranite;
extern const Architecture kGraniteMoe;
extern const Architecture kLfm2;
extern const Architecture kLlama;
extern const Architecture kMinistral;
extern const Architecture kMinistral3;
extern const Architecture kMistral;
extern const Architecture kMixtral;
extern const Architecture kOlmo2;
extern const Architecture kOlmo3;
extern const Architecture kOlmoe;
extern const Architecture kPhi3;
extern const Architecture kQwen2;
extern const Architecture kQwen3;
extern const Architecture kQwen35;
extern const Architecture kQwen3Moe;
extern const Architecture kSmolLm3;
extern const Architecture kStableLm;
extern const Architecture kStarcoder2;

// All of them, by name.
std::span<const Architecture* const> Architectures();

// The network of a config.json. Of nested (multimodal) configurations it is
// the text model. Throws Error.
Network BuildNetwork(const JsonObject& config);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ARCHITECTURES_ARCHITECTURE_H_
