#include "tools/cli/load_options.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "lutra/runtime/error.h"
#include "runtime/base/unknown_word.h"
#include "tools/cli/options.h"

namespace lutra::tools {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"map", "copy", "huge"};
constexpr std::array<Storage, 3> kStorages = {Storage::kInPlace, Storage::kCopy,
                                              Storage::kHugePages};

Storage ParseStorage(std::string_view text) {
  const auto found = std::find(kNames.begin(), kNames.end(), text);
  if (found == kNames.end()) {
    throw Error(UnknownWord("way to load", text, kNames));
  }
  return kStorages[static_cast<size_t>(found - kNames.begin())];
}

}  // namespace

std::string_view LoadName(const LoadOptions& options) {
  const auto found =
      std::find(kStorages.begin(), kStorages.end(), options.storage);
  return kNames[static_cast<size_t>(found - kStorages.begin())];
}

void AddLoadOptions(Verb& verb, LoadOptions& options) {
  verb.AddParsed(
          "--load",
          [&options](const std::string& text) {
            AsUsage("--load", [&] { options.storage = ParseStorage(text); });
          },
          "How weights get into memory: map (the default) maps the file, copy "
          "reads it, huge reads it into huge pages")
      .TypeName("HOW");
  verb.Add("--adapter", options.adapter,
           "Put the low-rank adapters of a folder (adapter_config.json, "
           "adapter_model.safetensors) beside the model's linear layers")
      .TypeName("FOLDER");
}

}  // namespace lutra::tools
