#include "lutra/qat/optimizer_state.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/safetensors.h"
#include "runtime/base/json.h"

namespace lutra::qat {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

// The numbers of a group that are saved. The JSON text of a double reads back
// as the same bits.
struct DoubleField {
  const char* key;
  std::optional<double> ParamGroup::*optional;
};
constexpr DoubleField kDoubleFields[] = {
    {"cumu_lr", &ParamGroup::cumu_lr},
    {"initial_weight_decay", &ParamGroup::initial_weight_decay},
    {"inv_slope", &ParamGroup::inv_slope},
};

std::string EntryName(const std::string& parameter, const std::string& entry) {
  return parameter + "/" + entry;  // entries have no '/'
}

json Number(const std::string& file, const char* key, double value) {
  if (std::isfinite(value)) return value;
  throw Error::InFile(file, std::string("the optimizer's ") + key +
                                " is not finite, so it cannot be saved");
}

json DescribeGroup(const std::string& file, const ParamGroup& group,
                   const std::map<std::string, ParameterState>& states) {
  json result = {
      {"lr", Number(file, "lr", group.lr)},
      {"weight_decay", Number(file, "weight_decay", group.weight_decay)}};
  if (group.quant_bits) result["quant_bits"] = *group.quant_bits;
  if (group.quant_block_size) {
    result["quant_block_size"] = *group.quant_block_size;
  }
  for (const DoubleField& field : kDoubleFields) {
    if (const auto& value = group.*field.optional) {
      result[field.key] = Number(file, field.key, *value);
    }
  }
  if (group.num_steps) result["num_steps"] = *group.num_steps;
  json parameters = json::array();
  for (const Parameter& parameter : group.parameters) {
    json entries = json::array();
    const auto state = states.find(parameter.name);
    if (state != states.end()) {
      for (const auto& [entry, values] : state->second) {
        entries.push_back(entry);
      }
    }
    parameters.push_back({{"name", parameter.name},
                          {"shape", parameter.shape},
                          {"entries", std::move(entries)}});
  }
  result["parameters"] = std::move(parameters);
  return result;
}

// Calls f(tensor name, values) for every entry of parameters in groups.
template <typename F>
void ForEntries(Optimizer& optimizer, const F& f) {
  const auto& states = optimizer.state();
  for (const ParamGroup& group : optimizer.groups()) {
    for (const Parameter& parameter : group.parameters) {
      const auto state = states.find(parameter.name);
      if (state == states.end()) continue;
      for (const auto& [entry, values] : state->second) {
        f(EntryName(parameter.name, entry), values);
      }
    }
  }
}

// Reads a state file against the optimizer it is meant for.
class StateReader {
 public:
  StateReader(const std::filesystem::path& path, Optimizer& optimizer)
      : file_(SafetensorsFile::Open(path)), optimizer_(optimizer) {}

  void Read() {
    const auto it = file_.metadata().find(std::string(kOptimizerStateKey));
    if (it == file_.metadata().end()) Fail("is not an optimizer state file");
    const JsonDocument document =
        ParseJson(it->second, file_.path(), kOptimizerStateKey);
    const json& description = document.root();
    if (Get<int>(description, "version") != kVersion) {
      Fail("has an unknown version");
    }
    const auto method = Get<std::string>(description, "optimizer");
    if (method != optimizer_.name()) {
      Fail("is of optimizer '" + method + "', not '" + optimizer_.name() + "'");
    }
    const json& groups = Array(description, "groups");
    if (groups.size() != optimizer_.groups().size()) {
      Fail("has " + std::to_string(groups.size()) +
           " parameter groups instead of " +
           std::to_string(optimizer_.groups().size()));
    }
    for (size_t i = 0; i < groups.size(); ++i) {
      ReadGroup(groups[i], optimizer_.groups()[i]);
    }
    if (file_.tensors().size() != tensors_) {
      Fail("has tensors that belong to no parameter");
    }
  }

  // Nothing here can fail.
  void Commit() noexcept {
    for (size_t i = 0; i < groups_.size(); ++i) {
      ParamGroup& group = optimizer_.groups()[i];
      ParamGroup& loaded = groups_[i];
      loaded.parameters = std::move(group.parameters);
      group = std::move(loaded);
    }
    optimizer_.state().swap(states_);
  }

  StateMetadata Metadata() const {
    StateMetadata metadata = file_.metadata();
    metadata.erase(std::string(kOptimizerStateKey));
    return metadata;
  }

 private:
  [[noreturn]] void Fail(const std::string& cause) const {
    throw Error::InFile(file_.path(), "optimizer state: " + cause);
  }

  const json& Field(const json& object, const char* key) const {
    if (!object.is_object() || !object.contains(key)) {
      Fail(std::string("'") + key + "' is missing");
    }
    return object[key];
  }

  const json& Array(const json& object, const char* key) const {
    const json& field = Field(object, key);
    if (!field.is_array()) Fail(std::string("'") + key + "' is not a list");
    return field;
  }

  template <typename T>
  T Get(const json& object, const char* key) const {
    const json& field = Field(object, key);
    bool right = false;
    if constexpr (std::is_same_v<T, std::string>) {
      right = field.is_string();
    } else if constexpr (std::is_floating_point_v<T>) {
      right = field.is_number();
    } else {
      right = field.is_number_integer() &&
              (!field.is_number_unsigned() ||
               field.get<uint64_t>() <=
                   static_cast<uint64_t>(std::numeric_limits<T>::max())) &&
              field.get<int64_t>() >= std::numeric_limits<T>::min() &&
              field.get<int64_t>() <= std::numeric_limits<T>::max();
    }
    if (!right) Fail(std::string("'") + key + "' has the wrong type");
    return field.get<T>();
  }

  template <typename T>
  std::optional<T> GetOptional(const json& object, const char* key) const {
    if (!object.is_object() || !object.contains(key)) return std::nullopt;
    return Get<T>(object, key);
  }

  void ReadGroup(const json& description, const ParamGroup& group) {
    ParamGroup loaded = group;
    loaded.parameters.clear();
    loaded.lr = Get<double>(description, "lr");
    loaded.weight_decay = Get<double>(description, "weight_decay");
    for (const DoubleField& field : kDoubleFields) {
      loaded.*field.optional = GetOptional<double>(description, field.key);
    }
    loaded.num_steps = GetOptional<int64_t>(description, "num_steps");
    if (loaded.num_steps.value_or(0) < 0) Fail("'num_steps' is negative");
    if (GetOptional<int>(description, "quant_bits") != group.quant_bits ||
        GetOptional<int64_t>(description, "quant_block_size") !=
            group.quant_block_size) {
      Fail("a group has other bits or another block size");
    }
    if (loaded.cumu_lr.has_value() != group.cumu_lr.has_value() ||
        loaded.num_steps.has_value() != group.num_steps.has_value()) {
      Fail("a group lacks the numbers of a quantized group, or has them");
    }
    const json& parameters = Array(description, "parameters");
    if (parameters.size() != group.parameters.size()) {
      Fail("a group has " + std::to_string(parameters.size()) +
           " parameters instead of " + std::to_string(group.parameters.size()));
    }
    for (size_t i = 0; i < parameters.size(); ++i) {
      ReadParameter(parameters[i], group, group.parameters[i]);
    }
    groups_.push_back(std::move(loaded));
  }

  void ReadParameter(const json& description, const ParamGroup& group,
                     const Parameter& parameter) {
    const auto name = Get<std::string>(description, "name");
    if (name != parameter.name) {
      Fail("is for parameter '" + name + "' where '" + parameter.name + "' is");
    }
    const json& shape = Array(description, "shape");
    if (shape != json(parameter.shape)) {
      Fail("parameter '" + name + "' has the shape " + shape.dump() +
           " instead of " + json(parameter.shape).dump());
    }
    ParameterState state;
    std::set<std::string> unknown;
    for (const json& entry : Array(description, "entries")) {
      if (!entry.is_string()) Fail("'entries' has something else than names");
      const auto key = entry.get<std::string>();
      const std::span<const float> values =
          file_.Get(EntryName(name, key)).Floats(file_.path());
      if (!state.emplace(key, std::vector<float>(values.begin(), values.end()))
               .second) {
        Fail("parameter '" + name + "' has '" + key + "' twice");
      }
      unknown.insert(key);
      ++tensors_;
    }
    try {
      optimizer_.CheckState(group, parameter, state, unknown);
    } catch (const Error& error) {
      Fail(error.what());
    }
    if (!unknown.empty()) {
      Fail("parameter '" + name + "' has an unknown entry '" +
           *unknown.begin() + "'");
    }
    if (!state.empty()) states_.emplace(name, std::move(state));
  }

  SafetensorsFile file_;
  Optimizer& optimizer_;
  std::vector<ParamGroup> groups_;  // without their parameters
  std::map<std::string, ParameterState> states_;
  size_t tensors_ = 0;  // read so far
};

}  // namespace

void SaveState(const std::filesystem::path& path, Optimizer& optimizer,
               const StateMetadata& metadata) {
  json groups = json::array();
  for (const ParamGroup& group : optimizer.groups()) {
    groups.push_back(DescribeGroup(path.string(), group, optimizer.state()));
  }
  const json description = {{"version", kVersion},
                            {"optimizer", optimizer.name()},
                            {"groups", std::move(groups)}};
  StateMetadata all = metadata;
  all[std::string(kOptimizerStateKey)] = description.dump();

  std::vector<TensorInfo> tensors;
  ForEntries(optimizer, [&](const std::string& name,
                            const std::vector<float>& values) {
    tensors.push_back(
        {name, DType::kFloat32, {static_cast<int64_t>(values.size())}});
  });
  SafetensorsWriter writer(path, all, tensors);
  ForEntries(optimizer,
             [&](const std::string& name, const std::vector<float>& values) {
               writer.Write(name, std::as_bytes(std::span(values)));
             });
  writer.Commit();
}

StateMetadata LoadState(const std::filesystem::path& path,
                        Optimizer& optimizer) {
  StateReader reader(path, optimizer);
  reader.Read();
  StateMetadata metadata = reader.Metadata();
  reader.Commit();
  return metadata;
}

}  // namespace lutra::qat
