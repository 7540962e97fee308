#include "lutra/packer/adapter_folder.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "lutra/runtime/adapter.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/output_file.h"
#include "lutra/runtime/safetensors.h"
#include "runtime/base/make_folder.h"

namespace lutra::packer {
namespace {

using nlohmann::json;

// What PEFT puts before the names of a model's own modules.
const std::string kPrefix = "base_model.model.";
constexpr std::string_view kPart = ".lora_A.weight";

size_t RankOf(const Model& model, const Adapter& adapter) {
  return static_cast<size_t>(model.file().Get(adapter.a).shape.at(0));
}

// "X" of "X.lora_A.weight".
std::string ModuleOf(const Adapter& adapter) {
  return adapter.a.substr(0, adapter.a.size() - kPart.size());
}

std::string Configuration(const std::vector<Adapter>& adapters,
                          const AdapterReport& report) {
  json modules = json::array();
  for (const Adapter& adapter : adapters) modules.push_back(ModuleOf(adapter));
  json config = {{"peft_type", "LORA"},
                 {"task_type", nullptr},
                 {"base_model_name_or_path", nullptr},
                 {"inference_mode", true},
                 {"r", report.rank},
                 {"target_modules", modules},
                 {"lora_dropout", 0.0},
                 {"bias", "none"},
                 {"fan_in_fan_out", false},
                 {"use_rslora", false},
                 {"use_dora", false},
                 {"modules_to_save", nullptr}};
  // PEFT writes whole numbers as such.
  if (report.alpha == std::round(report.alpha) &&
      std::abs(report.alpha) < 1e9) {
    config["lora_alpha"] = static_cast<int64_t>(report.alpha);
  } else {
    config["lora_alpha"] = report.alpha;
  }
  return config.dump(2) + "\n";
}

}  // namespace

AdapterReport WriteAdapterFolder(const Model& model,
                                 const std::filesystem::path& folder) {
  const std::vector<Adapter> adapters = FindAdapters(model.graph());
  if (adapters.empty()) {
    throw Error::InFile(model.path(),
                        "has no adapters; `lutra train --lora` makes some");
  }
  AdapterReport report;
  report.adapters = adapters.size();
  report.rank = RankOf(model, adapters[0]);
  report.alpha = adapters[0].factor * static_cast<double>(report.rank);
  std::vector<TensorInfo> infos;
  for (const Adapter& adapter : adapters) {
    if (RankOf(model, adapter) != report.rank ||
        adapter.factor != adapters[0].factor) {
      throw Error::InTensor(model.path(), adapter.a,
                            "is of another rank or factor than '" +
                                adapters[0].a +
                                "', which one configuration cannot say");
    }
    for (const std::string& name : {adapter.a, adapter.b}) {
      infos.push_back(model.file().Get(name));
      infos.back().name = kPrefix + name;
    }
  }
  MakeFolder(folder);
  SafetensorsWriter writer(folder / "adapter_model.safetensors",
                           {{"format", "pt"}}, infos);
  OutputFile config(folder / "adapter_config.json");
  for (const TensorInfo& info : infos) {
    const TensorView& tensor =
        model.file().Get(std::string_view(info.name).substr(kPrefix.size()));
    writer.Write(info.name, tensor.data);
    report.bytes += tensor.data.size();
  }
  config.Append(Configuration(adapters, report));
  writer.Commit();
  config.Commit();
  return report;
}

}  // namespace lutra::packer
