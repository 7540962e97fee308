#include "runtime/exec/adapter_folder.h"

#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/base/json_object.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

using nlohmann::json;

constexpr std::string_view kConfigFile = "adapter_config.json";
constexpr std::string_view kTensorFile = "adapter_model.safetensors";
// Before the names of the model's own modules.
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kA = ".lora_A.weight";
constexpr std::string_view kB = ".lora_B.weight";

// What matters to training or to other programs only.
constexpr std::array<std::string_view, 21> kOfNoMatter = {
    "arrow_config",        "auto_mapping",        "base_model_name_or_path",
    "corda_config",        "ensure_weight_tying", "eva_config",
    "exclude_modules",     "inference_mode",      "layers_pattern",
    "layers_to_transform", "loftq_config",        "lora_dropout",
    "lora_ga_config",      "megatron_config",     "megatron_core",
    "peft_version",        "qalora_group_size",   "revision",
    "runtime_config",      "target_modules",      "task_type"};

bool IsEmpty(const json& value) {
  return value.is_null() || value == false || value == "none" ||
         (value.is_structured() && value.empty());
}

// Ways to begin that leave the model's own weights alone.
bool LeavesWeightsAlone(const json& value) {
  return value.is_null() || value.is_boolean() || value == "gaussian" ||
         value == "orthogonal" || value == "eva";
}

bool Contains(Span<const std::string_view> words, std::string_view word) {
  for (const std::string_view other : words) {
    if (other == word) return true;
  }
  return false;
}

[[noreturn]] void Refuse(const JsonObject& config, const std::string& why) {
  throw Error::InFile(config.file(), why, ErrorCode::kUnsupported);
}

// alpha / rank, or with use_rslora alpha / sqrt(rank).
double ReadFactor(const JsonObject& config, const json& members) {
  if (config.String("peft_type") != "LORA") {
    Refuse(config, TextOf("peft_type is '", config.String("peft_type"),
                          "'; low-rank adapters ('LORA') are supported"));
  }
  constexpr std::array<std::string_view, 5> known = {
      "peft_type", "r", "lora_alpha", "use_rslora", "init_lora_weights"};
  for (const auto& [key, value] : members.items()) {
    if (IsEmpty(value) || Contains(known, key) || Contains(kOfNoMatter, key)) {
      continue;
    }
    Refuse(
        config,
        TextOf("'", key, "' is ", ShortDump(value),
               ", which is not supported; merge the adapter into the model's "
               "float weights instead"));
  }
  if (const json* init = config.Find("init_lora_weights");
      init != nullptr && !LeavesWeightsAlone(*init)) {
    Refuse(
        config,
        TextOf("init_lora_weights is ", ShortDump(*init),
               ", which changes the model's own weights; have PEFT convert it "
               "to a plain adapter when it saves"));
  }
  const auto rank = static_cast<double>(config.Integer("r", 1, 1 << 20));
  const double alpha = config.Number("lora_alpha", -1e9, 1e9);
  return alpha / (config.Bool("use_rslora", false) ? std::sqrt(rank) : rank);
}

// "X" of "base_model.model.X.lora_A.weight".
std::string ModuleOf(std::string_view name) {
  if (name.substr(0, kPrefix.size()) == kPrefix) {
    name.remove_prefix(kPrefix.size());
  }
  name.remove_suffix(kA.size());
  return std::string(name);
}

struct Pair {
  const TensorView* a = nullptr;
  const TensorView* b = nullptr;
};

std::map<std::string, Pair> PairTensors(const SafetensorsFile& file) {
  static_assert(kA.size() == kB.size());
  std::map<std::string, Pair> pairs;
  for (const TensorView& tensor : file.tensors()) {
    const std::string_view name = tensor.name;
    const bool is_a = name.ends_with(kA);
    if (!is_a && !name.ends_with(kB)) {
      throw Error::InTensor(file.path(), tensor.name,
                            "is no part of a linear layer's adapter, "
                            "X.lora_A.weight or X.lora_B.weight",
                            ErrorCode::kUnsupported);
    }
    Pair& pair = pairs[ModuleOf(name)];
    const TensorView*& place = is_a ? pair.a : pair.b;
    if (place != nullptr) {
      throw Error::InTensor(file.path(), tensor.name, "occurs twice");
    }
    place = &tensor;
  }
  for (const auto& [module, pair] : pairs) {
    if (pair.a != nullptr && pair.b != nullptr) continue;
    const TensorView& alone = pair.a != nullptr ? *pair.a : *pair.b;
    throw Error::InTensor(file.path(), alone.name, "its other half is missing");
  }
  if (pairs.empty()) throw Error::InFile(file.path(), "has no adapters");
  return pairs;
}

}  // namespace

AdapterFolder ReadAdapterFolder(const std::filesystem::path& folder,
                                const Graph& graph, Storage storage) {
  const std::filesystem::path path = folder / kConfigFile;
  const MappedFile text(path);
  const std::string name = path.string();
  const JsonDocument document =
      ParseJson(text.text(), name, "an adapter's configuration");
  const JsonObject config(document.root(), name, "adapter");
  const double factor = ReadFactor(config, document.root());
  AdapterFolder result = {
      SafetensorsFile::Open(folder / kTensorFile, storage), {}, {}};
  std::map<std::string, Adapter> known;
  for (const Node& node : graph.nodes) {
    if (node.op != OpType::kLinear) continue;
    const Adapter adapter = AdapterOf(node.weight, factor);
    known.emplace(ModuleOf(adapter.a), adapter);
  }
  for (const auto& [module, pair] : PairTensors(result.file)) {
    const auto found = known.find(module);
    if (found == known.end()) {
      throw Error::InFile(
          result.file.path(),
          TextOf("the model has no linear layer '", module, "'"));
    }
    const Adapter& adapter = found->second;
    result.adapters.push_back(adapter);
    result.tensors.push_back(*pair.a);
    result.tensors.back().name = adapter.a;
    result.tensors.push_back(*pair.b);
    result.tensors.back().name = adapter.b;
  }
  return result;
}

}  // namespace lutra
