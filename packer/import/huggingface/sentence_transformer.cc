// Folders of https://github.com/UKPLab/sentence-transformers.

#include "packer/import/huggingface/sentence_transformer.h"
#include "packer/import/exists.h"

#include <string>
#include <system_error>

#include "lutra/runtime/error.h"
#include "runtime/base/json_object.h"
#include "runtime/base/mapped_file.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kModules = "modules.json";
constexpr int64_t kMaxSize = int64_t{1} << 24;

JsonDocument Parse(const fs::path& path) {
  const MappedFile file(path);
  return ParseJson(file.text(), path.string(), "module");
}

EncoderHead::Pool ReadPool(const JsonObject& config) {
  using Pool = EncoderHead::Pool;
  const std::string mode = config.String("pooling_mode", "");
  const bool mean =
      mode == "mean" || config.Bool("pooling_mode_mean_tokens", false);
  const bool first =
      mode == "cls" || config.Bool("pooling_mode_cls_token", false);
  const bool last =
      mode == "lasttoken" || config.Bool("pooling_mode_lasttoken", false);
  for (const char* key :
       {"pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens",
        "pooling_mode_weightedmean_tokens"}) {
    if (config.Bool(key, false)) {
      config.Fail("'" + std::string(key) + "' is not supported");
    }
  }
  if (mean + first + last != 1) {
    config.Fail("is not one of mean, cls and lasttoken");
  }
  return mean ? Pool::kMean : first ? Pool::kFirst : Pool::kLast;
}

EncoderHead::Dense ReadDense(const JsonObject& config,
                             const std::string& prefix) {
  EncoderHead::Dense dense;
  dense.inputs = config.Integer("in_features", 1, kMaxSize);
  dense.outputs = config.Integer("out_features", 1, kMaxSize);
  dense.weight = prefix + "linear.weight";
  if (config.Bool("bias", true)) dense.bias = prefix + "linear.bias";
  const std::string function =
      config.String("activation_function", "torch.nn.modules.activation.Tanh");
  if (function.ends_with(".Tanh")) {
    dense.activation = OpType::kTanh;
  } else if (!function.ends_with(".Identity")) {
    config.Fail("activation_function '" + function + "' is not supported");
  }
  return dense;
}

}  // namespace

std::optional<EncoderHead> ReadSentenceTransformer(const fs::path& folder,
                                                   Checkpoint& checkpoint) {
  const fs::path path = folder / kModules;
  if (!Exists(path)) return std::nullopt;
  const JsonDocument document = Parse(path);
  EncoderHead head;
  head.unit_length = false;
  const std::string name = path.string();
  const json list = {{"modules", document.root()}};
  const JsonObject modules(list, name, "modules");
  // Modules of other orders would be another function.
  enum Stage { kStart, kStates, kPooled, kDense, kUnit };
  Stage stage = kStart;
  for (const json& entry : modules.List("modules", 16)) {
    const JsonObject module(entry, name, "module");
    const std::string type = module.String("type");
    const std::string part = module.String("path", "");
    // Names with folders could lead anywhere.
    if (fs::path(part).filename() != part || part == "..") {
      module.Fail("'" + part + "' is not the name of a folder");
    }
    const auto follow = [&](Stage first, Stage last, Stage next) {
      if (stage < first || stage > last) {
        module.Fail("type '" + type + "' is not supported in this place");
      }
      stage = next;
    };
    const fs::path own = folder / part / "config.json";
    const std::string own_name = own.string();
    if (type.ends_with(".Transformer")) {
      follow(kStart, kStart, kStates);
    } else if (type.ends_with(".Pooling")) {
      follow(kStates, kStates, kPooled);
      const JsonDocument config = Parse(own);
      head.pool = ReadPool(JsonObject(config.root(), own_name, "pooling"));
    } else if (type.ends_with(".Dense")) {
      follow(kPooled, kDense, kDense);
      const JsonDocument config = Parse(own);
      const std::string prefix = part + ".";
      head.dense.push_back(
          ReadDense(JsonObject(config.root(), own_name, "dense"), prefix));
      checkpoint.Add(fs::path(part) / "model.safetensors", prefix);
    } else if (type.ends_with(".Normalize")) {
      follow(kPooled, kDense, kUnit);
      head.unit_length = true;
    } else {
      module.Fail("type '" + type + "' is not supported");
    }
  }
  if (stage < kPooled) modules.Fail("no module pools the states of tokens");
  return head;
}

}  // namespace lutra::packer
