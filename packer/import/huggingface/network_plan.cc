#include "packer/import/huggingface/network_plan.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/input_quantization.h"
#include "packer/architectures/architecture.h"
#include "packer/import/huggingface/network_tensor.h"

namespace lutra::packer {
namespace {

// Codes of static int8 activations.
constexpr float kLowest = -128;
constexpr float kHighest = 127;

// Where the parts of a text model lie in files that hold more: names begin with
// the second instead of the first.
constexpr std::pair<std::string_view, std::string_view> kPrefixes[] = {
    {"model.", "model."},
    {"model.", "model.language_model."},
    {"model.", "language_model.model."},
    {"model.", ""},
    {"transformer.", "transformer."},
    {"transformer.", ""},
    {"bert.", "bert."},
    {"bert.", ""},
};

// Whole numbers from kLowest to kHighest times the scale, which kernels compute
// of the range: a neighbour of its upper end may give exactly this one.
InputQuantization StaticInput(float scale) {
  InputQuantization input;
  input.type = kernels::ActivationType::kInt8Asymmetric;
  input.range_min = kLowest * scale;
  input.range_max = kHighest * scale;
  float below = input.range_max;
  float above = input.range_max;
  for (int i = 0; i < 3; ++i) {
    for (const float end : {below, above}) {
      if ((end - input.range_min) / (kHighest - kLowest) != scale) continue;
      input.range_max = end;
      return input;
    }
    below = std::nextafter(below, 0.0f);
    above = std::nextafter(above, std::numeric_limits<float>::infinity());
  }
  return input;
}

class Planner {
 public:
  Planner(const ImportOptions& options, const JsonObject& config,
          const Checkpoint& checkpoint)
      : options_(options),
        network_(BuildNetwork(config)),
        checkpoint_(checkpoint),
        recovery_(options) {}

  int64_t vocab() const { return network_.vocab; }

  ImportPlan Plan(const std::optional<EncoderHead>& head) {
    FindPrefix();
    AddHead(head);
    SpellParts();
    NameMatrices();
    RefuseOtherTensors();
    ImportPlan plan;
    plan.architecture = network_.architecture;
    plan.layers = static_cast<size_t>(network_.layers);
    plan.context = static_cast<size_t>(network_.context);
    for (const NetworkTensor& tensor : network_.tensors) {
      plan.tensors.push_back(Take(tensor, plan));
    }
    plan.graph = network_.graph;
    AddGathers(plan);
    AddRounding(plan);
    return plan;
  }

 private:
  ImportTensor Take(const NetworkTensor& tensor, ImportPlan& plan) {
    if (tensor.role == NetworkTensor::Role::kRope) {
      const TensorView* embedding = checkpoint_.Find(Stored("embedding"));
      const int64_t context = options_.context == 0
                                  ? network_.context
                                  : static_cast<int64_t>(options_.context);
      return TakeFrequencies(
          tensor, context, options_.rope,
          embedding == nullptr ? DType::kFloat32 : embedding->dtype);
    }
    const bool matrix = tensor.role == NetworkTensor::Role::kMatrix;
    if (options_.recover && matrix && IsFloat(tensor) && MayBePacked(tensor)) {
      std::string reason;
      auto packed = TakeOnGrid(checkpoint_, tensor, recovery_, reason);
      if (packed) return *std::move(packed);
      plan.floats.push_back({tensor.name, tensor.parts.front().name, reason});
    }
    return TakeTensor(checkpoint_, tensor, options_.float32 || !matrix,
                      options_.dequantize);
  }

  bool IsFloat(const NetworkTensor& tensor) const {
    return std::none_of(tensor.parts.begin(), tensor.parts.end(),
                        [this](const TensorPart& part) {
                          return checkpoint_.FindStored(part.name) != nullptr;
                        }) &&
           !tensor.parts.empty();
  }

  bool MayBePacked(const NetworkTensor& tensor) const {
    return std::all_of(network_.graph.nodes.begin(), network_.graph.nodes.end(),
                       [&](const Node& node) {
                         if (node.bias == tensor.name) return false;
                         return node.weight != tensor.name ||
                                IsPackable(node.op);
                       });
  }

  // Puts the inputs of weights whose columns are in another order in that
  // order: once for all that share an input and an order.
  static void AddGathers(ImportPlan& plan) {
    std::map<std::vector<uint32_t>, std::string> orders;
    std::set<std::string> gathered;
    std::vector<ImportTensor> tensors;
    std::vector<Node> nodes;
    for (const ImportTensor& tensor : plan.tensors) {
      const std::vector<uint32_t>& order = tensor.column_order;
      if (order.empty()) continue;
      std::string& name = orders[order];
      if (name.empty()) {
        name = "lutra.order" + std::to_string(orders.size() - 1);
        tensors.push_back(
            MakeTensor(name, {static_cast<int64_t>(order.size())}, [order] {
              return std::vector<float>(order.begin(), order.end());
            }));
      }
      for (Node& node : plan.graph.nodes) {
        if (node.weight != tensor.info.name) continue;
        if (node.op != OpType::kLinear) {
          throw Error("tensor '" + tensor.info.name +
                      "' has columns in activation order, which only linear "
                      "layers may have; --dequantize makes floats of it");
        }
        const std::string output = node.inputs[0] + "." + name;
        if (gathered.insert(output).second) {
          Node gather;
          gather.op = OpType::kGather;
          gather.inputs = {node.inputs[0]};
          gather.output = output;
          gather.weight = name;
          nodes.push_back(std::move(gather));
        }
        node.inputs[0] = output;
      }
    }
    std::move(tensors.begin(), tensors.end(), std::back_inserter(plan.tensors));
    std::move(nodes.begin(), nodes.end(), std::back_inserter(plan.graph.nodes));
  }

  // Layers that were trained with static int8 activations read and give such
  // ones.
  void AddRounding(ImportPlan& plan) const {
    std::vector<Node> nodes;
    for (const NetworkTensor& tensor : network_.tensors) {
      const auto [input, output] = ScalesOf(tensor);
      for (Node& node : plan.graph.nodes) {
        if (node.weight != tensor.name || !QuantizesInput(node.op)) continue;
        if (input > 0) {
          SetInputQuantization(StaticInput(input), node);
        }
        if (output > 0) {
          Node rounded;
          rounded.op = OpType::kFakeQuantize;
          rounded.output = node.output;
          node.output += ".unrounded";
          rounded.inputs = {node.output};
          rounded.attributes["scale"] = static_cast<double>(output);
          rounded.attributes["low"] = static_cast<double>(kLowest);
          rounded.attributes["high"] = static_cast<double>(kHighest);
          nodes.push_back(std::move(rounded));
        }
      }
    }
    std::move(nodes.begin(), nodes.end(), std::back_inserter(plan.graph.nodes));
  }

  // Of its layer's input and output.
  std::pair<float, float> ScalesOf(const NetworkTensor& tensor) const {
    std::pair<float, float> scales = {0.0f, 0.0f};
    for (const TensorPart& part : tensor.parts) {
      const StoredWeight* weight = checkpoint_.FindStored(part.name);
      if (weight == nullptr) continue;
      const std::pair own = {weight->input_scale, weight->output_scale};
      if (&part != &tensor.parts.front() && own != scales) {
        throw Error::InTensor(weight->file, part.name,
                              "rounds activations to other steps than '" +
                                  tensor.parts.front().name +
                                  "', which one layer cannot",
                              ErrorCode::kUnsupported);
      }
      scales = own;
    }
    return scales;
  }

  // The checkpoint's name of a matrix that may be shared.
  std::string Stored(std::string_view which) const {
    return Spelled(which == "output" ? network_.output : network_.embedding);
  }

  std::string Spelled(const std::string& name) const {
    if (!name.starts_with(prefix_.first)) {
      // "lm_head.weight" of a folder whose text model is a part.
      const bool nested = prefix_.second == "language_model.model.";
      return nested ? "language_model." + name : name;
    }
    return std::string(prefix_.second) + name.substr(prefix_.first.size());
  }

  // By where the embedding or, if that is shared, the output matrix lies.
  void FindPrefix() {
    prefix_ = {"", ""};
    for (const auto& prefix : kPrefixes) {
      if (!network_.embedding.starts_with(prefix.first)) continue;
      if (prefix_.first.empty()) prefix_ = prefix;  // for what is missing
      const auto before = std::exchange(prefix_, prefix);
      if (checkpoint_.Has(Stored("embedding"))) break;
      prefix_ = before;
    }
  }

  void SpellParts() {
    for (NetworkTensor& tensor : network_.tensors) {
      for (TensorPart& part : tensor.parts) part.name = Spelled(part.name);
      if (!tensor.added.name.empty()) {
        tensor.added.name = Spelled(tensor.added.name);
      }
    }
  }

  // Of encoders that say how, and of those that hold no more than the states of
  // tokens: their mean, or where a token sees only those before it the last.
  void AddHead(std::optional<EncoderHead> head) {
    if (!head && network_.encodes) {
      head.emplace();
      head->pool = network_.both_directions ? EncoderHead::Pool::kMean
                                            : EncoderHead::Pool::kLast;
    }
    if (head) MakeEncoder(*head, network_);
  }

  // A tied checkpoint holds the matrix under one of two names, or twice. Of two
  // that differ transformers uses each for itself since version 5.
  void NameMatrices() {
    if (!network_.tied) return;
    const std::string embedding = Stored("embedding");
    const std::string output = Stored("output");
    if (!checkpoint_.Has(embedding) && checkpoint_.Has(output)) {
      Replace(network_.embedding, network_.output);
    } else if (!checkpoint_.Has(output) ||
               checkpoint_.Same(embedding, output)) {
      Replace(network_.output, network_.embedding);
    }
  }

  // One tensor serves in place of another.
  void Replace(const std::string& from, const std::string& to) {
    std::erase_if(network_.tensors, [&](const NetworkTensor& tensor) {
      return tensor.name == from;
    });
    for (Node& node : network_.graph.nodes) {
      if (node.weight == from) node.weight = to;
    }
  }

  // A tensor without a place would be a part of the network that is left out.
  void RefuseOtherTensors() const {
    std::set<std::string> known;
    for (const NetworkTensor& tensor : network_.tensors) {
      for (const TensorPart& part : tensor.parts) known.insert(part.name);
      known.insert(tensor.added.name);
    }
    if (network_.tied) known.insert(Stored("output"));
    for (const std::string& name : checkpoint_.Names()) {
      if (known.contains(name) || IsIgnored(name) || IsNoBias(name)) continue;
      throw Error::InTensor(checkpoint_.FileOf(name), name,
                            "has no place in a " + network_.architecture +
                                " of this configuration");
    }
  }

  // Old GPTQ files have biases for layers that have none.
  bool IsNoBias(const std::string& name) const {
    const TensorView* view = checkpoint_.Find(name);
    return name.ends_with(".bias") && view != nullptr &&
           std::all_of(view->data.begin(), view->data.end(),
                       [](std::byte byte) { return byte == std::byte{0}; });
  }

  bool IsIgnored(const std::string& name) const {
    // Older checkpoints store what follows from the configuration.
    if (name.ends_with(".rotary_emb.inv_freq")) return true;
    // Of a multimodal folder only the text model is taken.
    const bool nested =
        prefix_.second.find("language_model.") != std::string_view::npos;
    if (nested && !name.starts_with(prefix_.second)) return true;
    return std::any_of(network_.ignored.begin(), network_.ignored.end(),
                       [&](const std::string& part) {
                         return name.ends_with(part) ||
                                name.starts_with(Spelled(part));
                       });
  }

  const ImportOptions& options_;
  Network network_;
  const Checkpoint& checkpoint_;
  Recovery recovery_;
  // See kPrefixes.
  std::pair<std::string_view, std::string_view> prefix_;
};

}  // namespace

ImportPlan PlanNetwork(const ImportOptions& options, const JsonObject& config,
                       const Checkpoint& checkpoint,
                       const std::optional<EncoderHead>& head, int64_t* vocab) {
  Planner planner(options, config, checkpoint);
  *vocab = planner.vocab();
  ImportPlan plan = planner.Plan(head);
  plan.notes = checkpoint.notes();
  plan.config = config.Without(
      {"quantization_config", "compression_config", "quantization", "w_bits"});
  return plan;
}

}  // namespace lutra::packer
