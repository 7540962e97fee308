#include "tests/golden_replay/train/run_cases.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "lutra/qat/adapters.h"
#include "lutra/qat/base_optimizers.h"
#include "lutra/runtime/input_quantization.h"
#include "packer/architectures/llama_graph.h"
#include "packer/architectures/rope.h"
#include "tests/golden_replay/train/trajectory.h"

namespace lutra::golden {
namespace {

using nlohmann::json;
using qat::SampleBatch;
using qat::Tensor;

constexpr const char* kCommon = "common.safetensors";

Tensor LoadTensor(const GoldenFile& file, const std::string& name) {
  Tensor tensor(file.Shape(name));
  tensor.values = file.Load<float>(name);
  return tensor;
}

qat::QuantScheme Stretched2(int64_t group_size) {
  qat::QuantScheme scheme;
  scheme.quantizer = "stretched";
  scheme.bits = 2;
  scheme.group_size = group_size;
  return scheme;
}

// ---- The language model

// What the files of the folder share.
class LanguageRuns {
 public:
  explicit LanguageRuns(const std::filesystem::path& folder)
      : folder_(folder), common_(GoldenFile::Open(folder / kCommon)) {
    const json& d = common_.description();
    const json& model = d.at("model");
    packer::LlamaConfig& c = config_;
    c.vocab = model.at("vocab");
    c.dim = model.at("dim");
    c.hidden = model.at("ffn");
    c.layers = model.at("layers");
    c.heads = model.at("heads");
    c.kv_heads = model.at("kv_heads");
    c.head_dim = c.rotary_dim = c.dim / c.heads;
    c.norm_eps = model.at("eps");
    c.adjacent_pairs = model.at("pairing") == "adjacent";
    if (model.at("tied").get<bool>()) c.output = c.embedding;
    for (const auto& [name, full] : d.at("hf_names").items()) {
      names_[name] = full.get<std::string>();
    }
    ids_ = common_.Load<int32_t>("ids");
  }

  void Replay(const std::filesystem::path& path, Sink& sink) {
    const GoldenFile file = GoldenFile::Open(path);
    RunCase(sink, file.name(), [&](Comparison& comparison) {
      const json& d = file.description();
      if (d.value("activation", "").ends_with("_open")) {
        comparison.Note(
            "values on the first and last code keep their gradient here");
        return;
      }
      Trajectory t = Describe(d);
      qat::TensorMap teacher;
      if (t.loss.distillation > 0.0) {
        teacher = Final("float.safetensors");
        t.teacher = &teacher;
      }
      if (d.contains("rank")) return ReplayAdapters(file, t, comparison);
      ReplayTrajectory(t, {file, "", names_}, comparison);
    });
  }

 private:
  qat::TensorMap Weights(const GoldenFile& file, const std::string& prefix) {
    qat::TensorMap weights;
    for (const auto& [recorded, name] : names_) {
      weights.emplace(name, LoadTensor(file, prefix + recorded));
    }
    const double base = common_.description().at("model").at("rope_theta");
    packer::RopeScheme scheme;
    scheme.theta = base;
    Tensor rope({config_.rotary_dim / 2});
    rope.values = packer::InverseFrequencies(scheme, config_.rotary_dim);
    weights.emplace(config_.rope, std::move(rope));
    return weights;
  }

  qat::TensorMap Final(const char* name) {
    return Weights(GoldenFile::Open(folder_ / name), "final/");
  }

  Trajectory Describe(const json& run) {
    const json& d = common_.description();
    Trajectory t;
    t.graph = packer::LlamaGraph(config_);
    t.parameters = Weights(common_, "init/");
    t.steps = d.at("steps");
    t.learning_rate = d.at("lr");
    t.weight_decay = d.at("weight_decay");
    t.clip = d.at("clip");
    const int64_t warmup = d.at("warmup");
    t.schedule = {.warmup = warmup - 1,
                  .warmup_start = 1.0 / static_cast<double>(warmup),
                  .level = 1,
                  .decay = qat::LearningRateSchedule::Decay::kCosine,
                  .decay_steps = static_cast<int64_t>(t.steps) - warmup};
    const qat::AdamOptions adam{d.at("betas").at(0), d.at("betas").at(1),
                                d.at("eps")};
    t.optimizer = [adam](std::vector<qat::ParamGroup> groups) {
      return qat::MakeAdamW(std::move(groups), adam);
    };
    t.batch = [this](size_t step) { return Batch(step); };
    if (run.contains("activation")) QuantizeBlocks(run["activation"], t);
    if (run.contains("temperature")) {
      t.loss.temperature = run["temperature"];
      t.loss.distillation = run["alpha"];
    }
    if (run.contains("parq")) {
      t.parq.emplace(run["parq"]);
      for (const auto& [recorded, name] : names_) {
        if (recorded.find(".w") == std::string::npos) continue;
        t.schemes.emplace(name, Stretched2(32));
      }
    }
    return t;
  }

  // On the final weights of another run, which stay as they are.
  void ReplayAdapters(const GoldenFile& file, Trajectory& t,
                      Comparison& comparison) {
    const json& d = file.description();
    const bool packed = file.name().find("2bit") != std::string::npos;
    qat::TrainableModel model;
    model.graph = t.graph;
    model.parameters = packed ? GridWeights("parq2_period1.safetensors")
                              : Final("float.safetensors");
    qat::AdapterOptions options;
    options.rank = d.at("rank");
    options.factor = d.at("factor");
    TrajectoryRecord record{file, "", {}};
    std::map<std::string, std::string> weights;
    for (const auto& [recorded, name] : names_) {
      if (!file.Has("lora_a/" + recorded)) continue;
      options.targets.emplace_back("^" + name + "$");
      weights[name] = recorded;
    }
    for (const Adapter& adapter : qat::AddAdapters(options, model)) {
      const std::string& recorded = weights.at(adapter.weight);
      model.parameters.find(adapter.a)->second =
          LoadTensor(file, "init_a/" + recorded);
      record.names["lora_a/" + recorded] = adapter.a;
      record.names["lora_b/" + recorded] = adapter.b;
    }
    t.frozen = qat::AllButAdapters(model);
    t.graph = model.graph;
    t.parameters = std::move(model.parameters);
    t.learning_rate = d.at("lr");
    t.weight_decay = d.at("weight_decay");
    t.batch = [this](size_t step) { return Batch(step, /*reversed=*/true); };
    ReplayTrajectory(t, record, comparison);
  }

  qat::TensorMap GridWeights(const char* name) {
    const GoldenFile file = GoldenFile::Open(folder_ / name);
    qat::TensorMap weights = Weights(common_, "init/");
    for (const auto& [recorded, full] : names_) {
      Tensor& tensor = weights.find(full)->second;
      if (!file.Has("index/" + recorded)) {
        tensor = LoadTensor(file, "final/" + recorded);
        continue;
      }
      const auto indices = file.Load<uint8_t>("index/" + recorded);
      const auto scales = file.Load<float>("scale/" + recorded);
      const size_t group = indices.size() / scales.size();
      for (size_t i = 0; i < indices.size(); ++i) {
        tensor.values[i] =
            scales[i / group] * (static_cast<float>(indices[i]) - 1.5f);
      }
    }
    return weights;
  }

  // The inputs of all matrices of the blocks.
  void QuantizeBlocks(const std::string& kind, Trajectory& t) const {
    InputQuantization input;
    input.type = kind == "sym" ? kernels::ActivationType::kInt8Symmetric
                               : kernels::ActivationType::kInt8Asymmetric;
    for (Node& node : t.graph.nodes) {
      if (node.op != OpType::kLinear || node.weight == config_.output) continue;
      SetInputQuantization(input, node);
    }
    t.tolerances = RoundedActivationTolerances();
  }

  // The begin token and all ids but the last of each row; targets are the ids,
  // or those in reverse order.
  SampleBatch Batch(size_t step, bool reversed = false) const {
    const json& model = common_.description().at("model");
    const size_t rows = model.at("batch");
    const size_t length = model.at("length");
    SampleBatch batch;
    for (size_t row = 0; row < rows; ++row) {
      const auto begin =
          ids_.begin() + static_cast<ptrdiff_t>((step * rows + row) * length);
      const auto end = begin + static_cast<ptrdiff_t>(length);
      std::vector<int32_t> row_ids(begin, end);
      if (reversed) std::reverse(row_ids.begin(), row_ids.end());
      batch.ids.push_back(model.at("bos").get<int32_t>());
      batch.ids.insert(batch.ids.end(), row_ids.begin(), row_ids.end() - 1);
      batch.targets.insert(batch.targets.end(), row_ids.begin(), row_ids.end());
      batch.sequences.push_back({.rows = length});
    }
    return batch;
  }

  std::filesystem::path folder_;
  GoldenFile common_;
  packer::LlamaConfig config_;
  std::map<std::string, std::string> names_;
  std::vector<int32_t> ids_;
};

// ---- Networks of one file with runs "float" and "parq2"

// Nodes one after the other, each taking what the one before gives.
class Chain {
 public:
  explicit Chain(GraphInput input) : value_(input.name) {
    graph_.inputs.push_back(std::move(input));
  }
  Chain& Add(OpType op, const std::string& weight = "",
             const std::string& bias = "", Attributes attributes = {}) {
    const std::string output = "v" + std::to_string(graph_.nodes.size());
    graph_.nodes.push_back(
        {op, {value_}, output, weight, bias, std::move(attributes)});
    value_ = output;
    return *this;
  }
  Graph Take() {
    graph_.outputs = {value_};
    return std::move(graph_);
  }

 private:
  Graph graph_;
  std::string value_;
};

Attributes Window(std::vector<int64_t> kernel, std::vector<int64_t> stride,
                  std::vector<int64_t> padding) {
  return {{"kernel", std::move(kernel)},
          {"stride", std::move(stride)},
          {"padding", std::move(padding)}};
}

// All tensors under "init/".
void LoadInit(const GoldenFile& file, Trajectory& t,
              std::map<std::string, std::string>& names) {
  constexpr std::string_view kInit = "init/";
  for (const TensorView& tensor : file.file().tensors()) {
    if (!tensor.name.starts_with(kInit)) continue;
    const std::string name = tensor.name.substr(kInit.size());
    t.parameters.emplace(name, LoadTensor(file, tensor.name));
    names.emplace(name, name);
  }
}

SampleBatch Images(const GoldenFile& file, size_t step) {
  const auto order = file.Load<int32_t>("order");
  const auto x = file.Load<float>("x");
  const auto labels = file.Load<int32_t>("labels");
  const size_t rows = file.Dimension("order", 1);
  const size_t size = x.size() / labels.size();
  SampleBatch batch;
  batch.sequences.push_back({.rows = rows});
  for (size_t i = 0; i < rows; ++i) {
    const auto image = static_cast<size_t>(order.at(step * rows + i));
    const auto begin = x.begin() + static_cast<ptrdiff_t>(image * size);
    batch.floats.insert(batch.floats.end(), begin,
                        begin + static_cast<ptrdiff_t>(size));
    batch.targets.push_back(labels.at(image));
  }
  return batch;
}

Trajectory Convolutional(const GoldenFile& file) {
  const json& d = file.description();
  Trajectory t;
  std::vector<int64_t> shape = file.Shape("x");
  shape.erase(shape.begin());
  const int64_t features = file.Shape("init/fc").at(1);
  t.graph =
      Chain({"x", ValueType::kFloat32, shape})
          .Add(OpType::kConv2d, "conv1", "conv1_b",
               Window({3, 3}, {1, 1}, {1, 1, 1, 1}))
          .Add(OpType::kRelu)
          .Add(OpType::kDepthwiseConv2d, "dw", "dw_b",
               Window({3, 3}, {2, 2}, {0, 1, 0, 1}))
          .Add(OpType::kRelu)
          .Add(OpType::kConv2d, "pw", "pw_b",
               Window({1, 1}, {1, 1}, {0, 0, 0, 0}))
          .Add(OpType::kRelu)
          .Add(OpType::kMaxPool2d, "", "", Window({2, 2}, {2, 2}, {0, 0, 0, 0}))
          .Add(OpType::kAvgPool2d, "", "", Window({2, 2}, {2, 2}, {0, 0, 0, 0}))
          .Add(OpType::kReshape, "", "",
               {{"shape", std::vector<int64_t>{features}}})
          .Add(OpType::kLinear, "fc", "fc_b")
          .Take();
  t.batch = [&file](size_t step) { return Images(file, step); };
  const qat::SgdOptions sgd{.momentum = d.at("momentum"),
                            .nesterov = d.at("nesterov")};
  t.optimizer = [sgd](std::vector<qat::ParamGroup> groups) {
    return qat::MakeSgd(std::move(groups), sgd);
  };
  t.weight_decay = d.at("weight_decay").at("conv1,pw,dw,fc");
  t.loss.label_smoothing = d.at("label_smoothing");
  t.schemes = {{"conv1", Stretched2(0)}, {"pw", Stretched2(0)}};
  return t;
}

// Input all ids but the last of a row's columns, target all but the first.
SampleBatch Characters(const GoldenFile& file, size_t step) {
  const auto ids = file.Load<int32_t>("ids");
  const size_t rows = file.Dimension("ids", 0);
  const size_t columns = file.Dimension("ids", 1);
  const size_t length = file.description().at("length");
  SampleBatch batch;
  for (size_t row = 0; row < rows; ++row) {
    const auto begin =
        ids.begin() + static_cast<ptrdiff_t>(row * columns + step * length);
    const auto end = begin + static_cast<ptrdiff_t>(length);
    batch.ids.insert(batch.ids.end(), begin, end);
    batch.targets.insert(batch.targets.end(), begin + 1, end + 1);
    batch.sequences.push_back({.rows = length});
  }
  return batch;
}

Trajectory Recurrent(const GoldenFile& file) {
  const json& d = file.description();
  const Attributes gates = {{"gates", d.at("gates").get<std::string>()}};
  Trajectory t;
  t.graph = Chain({"ids", ValueType::kInt32, {}})
                .Add(OpType::kEmbedding, "embed")
                .Add(OpType::kLinear, "0.wx", "0.b")
                .Add(OpType::kLstmCell, "0.wh", "", gates)
                .Add(OpType::kLinear, "1.wx", "1.b")
                .Add(OpType::kLstmCell, "1.wh", "", gates)
                .Add(OpType::kLinear, "out", "out_b")
                .Take();
  t.batch = [&file](size_t step) { return Characters(file, step); };
  t.optimizer = [](std::vector<qat::ParamGroup> groups) {
    return qat::MakeAdam(std::move(groups), {});
  };
  t.clip = d.at("clip");
  for (const char* name : {"0.wx", "0.wh", "1.wx", "1.wh"}) {
    t.schemes.emplace(name, Stretched2(16));
  }
  return t;
}

void ReplayNetwork(const GoldenFile& file, Sink& sink) {
  for (const char* run : {"float", "parq2"}) {
    RunCase(sink, file.name() + " " + run, [&](Comparison& comparison) {
      const json& d = file.description();
      Trajectory t =
          d.contains("gates") ? Recurrent(file) : Convolutional(file);
      std::map<std::string, std::string> names;
      LoadInit(file, t, names);
      t.steps = d.at("steps");
      t.learning_rate = d.at("lr");
      if (std::string(run) == "float") {
        t.schemes.clear();
      } else {
        t.parq.emplace(d.at("parq"));
      }
      ReplayTrajectory(t, {file, std::string(run) + "/", names}, comparison);
    });
  }
}

bool IsRun(const std::filesystem::path& path) {
  try {
    const GoldenFile file = GoldenFile::Open(path);
    const json& d = file.description();
    return d.is_object() && d.contains("steps") &&
           (d.contains("hf_names") || d.contains("nodes"));
  } catch (const std::exception&) {
    return false;  // damaged; others of the folder tell
  }
}

}  // namespace

bool HasRuns(const std::filesystem::path& folder) {
  return std::ranges::any_of(SafetensorsIn(folder), IsRun);
}

void ReplayRuns(const std::filesystem::path& folder, Sink& sink) {
  std::error_code ignored;
  if (std::filesystem::exists(folder / kCommon, ignored)) {
    LanguageRuns runs(folder);
    for (const auto& path : SafetensorsIn(folder)) {
      if (path.filename() == kCommon) continue;
      try {
        runs.Replay(path, sink);
      } catch (const std::exception& error) {
        Fail(sink, path.filename().string(), error.what());
      }
    }
    return;
  }
  for (const auto& path : SafetensorsIn(folder)) {
    try {
      ReplayNetwork(GoldenFile::Open(path), sink);
    } catch (const std::exception& error) {
      Fail(sink, path.filename().string(), error.what());
    }
  }
}

}  // namespace lutra::golden
