#include "tests/golden_replay/parq/recorded_run.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <set>

#include "lutra/qat/optimizer_state.h"
#include "tests/golden_replay/parq/upstream.h"

namespace lutra::qat {
namespace {

using nlohmann::json;

constexpr double kGroupTolerance = 1e-13;

// A file beside others of its kind that goes away with this.
class TemporaryFile {
 public:
  TemporaryFile()
      : path_(std::filesystem::temp_directory_path() /
              ("lutra-" + std::to_string(std::random_device()()) +
               ".safetensors")) {}
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::unique_ptr<Quantizer> QuantizerOf(const json& name_and_arguments) {
  return MakeUpstreamQuantizer(name_and_arguments.at(0).get<std::string>(),
                               name_and_arguments.at(1));
}

double OrNaN(const std::optional<double>& value) {
  return value.value_or(std::numeric_limits<double>::quiet_NaN());
}

std::span<const float> Slice(const std::vector<float>& recorded, size_t step,
                             size_t size) {
  if ((step + 1) * size > recorded.size()) {
    throw Error("a recorded tensor has too few steps");
  }
  return {recorded.data() + step * size, size};
}

}  // namespace

RecordedRun::RecordedRun(const golden::GoldenFile& file,
                         const json& description)
    : file_(file),
      case_(description),
      name_(description.at("name").get<std::string>()) {
  CheckKeys(
      description, "case",
      {"name", "base", "base_kwargs", "groups", "prox", "prox_args",
       "quantizer", "group_quantizers", "quant_period", "quant_per_channel",
       "quant_shrink", "warmup_steps", "anneal_wd_frac", "cosine", "resume_at",
       "resume_equals_uninterrupted"});
  const std::string prefix = "init/";
  for (const TensorView& tensor : file.file().tensors()) {
    if (!tensor.name.starts_with(prefix)) continue;
    const std::string name = tensor.name.substr(prefix.size());
    values_[name] = file.Load<float>(tensor.name);
    gradients_[name].resize(values_[name].size());
    steps_ = file.Dimension(name_ + "/param/" + name, 0);
  }
  optimizer_ = MakeOptimizer();
  for (const ParamGroup& group : optimizer_->groups()) {
    initial_lr_.push_back(group.lr);
  }
}

void RecordedRun::AddParameter(const std::string& name, ParamGroup& group) {
  if (!values_.contains(name)) throw Error("no parameter '" + name + "'");
  Parameter parameter;
  parameter.name = name;
  parameter.shape = file_.Shape("init/" + name);
  parameter.value = values_[name].data();
  parameter.grad = gradients_[name].data();
  group.parameters.push_back(std::move(parameter));
}

std::vector<ParamGroup> RecordedRun::MakeGroups() {
  const json& kwargs = case_.at("base_kwargs");
  const auto base = case_.at("base").get<std::string>();
  std::vector<ParamGroup> groups;
  std::set<std::string> taken;
  for (const json& description : case_.at("groups")) {
    CheckKeys(
        description, "group",
        {"params", "quant_bits", "quant_block_size", "lr", "weight_decay"});
    ParamGroup group;
    group.lr = description.value("lr", kwargs.at("lr").get<double>());
    group.weight_decay =
        description.value("weight_decay", DefaultWeightDecay(base, kwargs));
    if (description.contains("quant_bits")) {
      group.quant_bits = description["quant_bits"].get<int>();
    }
    if (description.contains("quant_block_size")) {
      group.quant_block_size = description["quant_block_size"].get<int64_t>();
    }
    for (const json& name : description.at("params")) {
      taken.insert(name.get<std::string>());
      AddParameter(name.get<std::string>(), group);
    }
    groups.push_back(std::move(group));
  }
  ParamGroup others;
  others.lr = kwargs.at("lr").get<double>();
  for (const auto& [name, values] : values_) {
    if (!taken.contains(name)) AddParameter(name, others);
  }
  if (!others.parameters.empty()) groups.push_back(std::move(others));
  return groups;
}

std::unique_ptr<QuantOptimizer> RecordedRun::MakeOptimizer() {
  QuantOptimizerOptions options;
  options.warmup_steps = case_.value("warmup_steps", options.warmup_steps);
  options.quant_period = case_.value("quant_period", options.quant_period);
  options.per_channel = case_.value("quant_per_channel", options.per_channel);
  options.shrink = case_.value("quant_shrink", options.shrink);
  options.anneal_wd_frac =
      case_.value("anneal_wd_frac", options.anneal_wd_frac);
  if (case_.contains("group_quantizers")) {
    for (const auto& [index, quantizer] :
         case_.at("group_quantizers").items()) {
      options.group_quantizers[std::stoi(index)] = QuantizerOf(quantizer);
    }
  }
  return std::make_unique<QuantOptimizer>(
      MakeUpstreamOptimizer(case_.at("base").get<std::string>(),
                            case_.at("base_kwargs"), MakeGroups()),
      QuantizerOf(case_.at("quantizer")),
      MakeUpstreamProxMap(case_.at("prox").get<std::string>(),
                          case_.at("prox_args")),
      std::move(options));
}

const std::vector<float>& RecordedRun::Recorded(const std::string& tensor) {
  auto& values = recorded_[tensor];
  if (values.empty()) values = file_.Load<float>(tensor);
  return values;
}

void RecordedRun::LoadGradients(size_t step) {
  for (auto& [name, gradient] : gradients_) {
    const std::string own = name_ + "/grad/" + name;
    const auto values = Slice(Recorded(file_.Has(own) ? own : "grad/" + name),
                              step, gradient.size());
    std::copy(values.begin(), values.end(), gradient.begin());
  }
}

void RecordedRun::Step(size_t step) {
  if (case_.contains("resume_at") &&
      case_.at("resume_at").get<size_t>() == step) {
    Resume();
  }
  if (case_.value("cosine", false)) {
    const double turn = std::numbers::pi * static_cast<double>(step) /
                        static_cast<double>(steps_);
    for (size_t i = 0; i < initial_lr_.size(); ++i) {
      optimizer_->groups()[i].lr =
          initial_lr_[i] * 0.5 * (1.0 + std::cos(turn));
    }
  }
  optimizer_->Step(nullptr);
}

void RecordedRun::Resume() {
  const TemporaryFile file;
  SaveState(file.path(), *optimizer_);
  optimizer_ = MakeOptimizer();
  LoadState(file.path(), *optimizer_);
}

void RecordedRun::CompareStep(size_t step, golden::Comparison& comparison) {
  const std::string at = " after step " + std::to_string(step);
  for (const auto& [name, values] : values_) {
    comparison.Exact(
        name + at, values,
        Slice(Recorded(name_ + "/param/" + name), step, values.size()));
    const std::string latent_name = name_ + "/latent/" + name;
    if (!file_.Has(latent_name)) continue;
    const std::span<const float> latent = optimizer_->Latent(name);
    std::vector<float> got(latent.begin(), latent.end());
    // The record says NaN where there is no latent weight yet.
    got.resize(values.size(), std::numeric_limits<float>::quiet_NaN());
    comparison.Exact("latent of " + name + at, got,
                     Slice(Recorded(latent_name), step, values.size()));
  }
  if (file_.Has(name_ + "/group/lr")) CompareGroups(step, comparison);
}

void RecordedRun::CompareGroups(size_t step, golden::Comparison& comparison) {
  const auto compare = [&](const std::string& field,
                           const std::vector<double>& got) {
    const auto all = file_.Load<double>(name_ + "/group/" + field);
    if ((step + 1) * got.size() > all.size()) {
      throw Error("group field '" + field + "' has too few values");
    }
    comparison.Relative(field + " after step " + std::to_string(step), got,
                        std::span(all).subspan(step * got.size(), got.size()),
                        kGroupTolerance);
  };
  std::vector<double> lr, weight_decay, cumu_lr, inv_slope;
  for (const ParamGroup& group : optimizer_->groups()) {
    lr.push_back(group.lr);
    weight_decay.push_back(group.weight_decay);
    cumu_lr.push_back(OrNaN(group.cumu_lr));
    inv_slope.push_back(OrNaN(group.inv_slope));
  }
  compare("lr", lr);
  compare("weight_decay", weight_decay);
  compare("cumu_lr", cumu_lr);
  compare("inv_slope", inv_slope);
  compare("num_steps", {static_cast<double>(optimizer_->num_steps())});
}

void RecordedRun::CompareFinal(golden::Comparison& comparison) {
  const std::string prefix = name_ + "/final/";
  for (const TensorView& tensor : file_.file().tensors()) {
    if (!tensor.name.starts_with(prefix)) continue;
    const std::string path = tensor.name.substr(prefix.size());
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) continue;
    const auto& state = optimizer_->state()[path.substr(0, slash)];
    const auto entry = state.find(path.substr(slash + 1));
    comparison.Exact("final " + path,
                     entry == state.end() ? std::span<const float>()
                                          : std::span(entry->second),
                     file_.Load<float>(tensor.name));
  }
}

}  // namespace lutra::qat
