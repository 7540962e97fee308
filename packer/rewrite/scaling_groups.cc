#include "packer/rewrite/scaling_groups.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "lutra/qat/name_pattern.h"
#include "lutra/runtime/error.h"
#include "packer/rewrite/graph_index.h"

namespace lutra::packer {
namespace {

class GroupFinder {
 public:
  explicit GroupFinder(const Model& model)
      : model_(model), nodes_(model.graph().nodes), index_(model.graph()) {
    for (const Node& node : nodes_) {
      ++tensor_uses_[node.weight];
      ++tensor_uses_[node.bias];
    }
    for (const std::string& output : model.graph().outputs) {
      outputs_.insert(output);
    }
  }

  std::vector<ScalingGroup> All() {
    std::vector<ScalingGroup> groups;
    std::set<std::string_view> seen;
    for (const Node& node : nodes_) {
      if (node.op != OpType::kLinear || !seen.insert(node.inputs[0]).second) {
        continue;
      }
      ScalingGroup group;
      group.value = node.inputs[0];
      group.layers = *index_.ReadersOf(group.value);
      if (outputs_.contains(group.value) ||
          !std::all_of(group.layers.begin(), group.layers.end(),
                       [&](size_t i) { return IsOwnLinear(nodes_[i]); })) {
        continue;
      }
      group.origin.resize(model_.value(group.value).ElementCount());
      std::iota(group.origin.begin(), group.origin.end(), 0u);
      Trace(group.value, group, groups);
    }
    return groups;
  }

 private:
  bool IsOwn(const std::string& tensor) const {
    return tensor.empty() || tensor_uses_.at(tensor) == 1;
  }
  bool IsOwnLinear(const Node& node) const {
    return node.op == OpType::kLinear && IsOwn(node.weight) &&
           IsOwn(node.bias) && model_.packed(node.weight) == nullptr;
  }
  bool HasOneReader(std::string_view value) const {
    const std::vector<size_t>* readers = index_.ReadersOf(value);
    return !outputs_.contains(value) && readers != nullptr &&
           readers->size() == 1;
  }

  // Goes back from a value whose elements are to be divided, those of column c
  // like element group.origin[c].
  void Trace(const std::string& value, ScalingGroup group,
             std::vector<ScalingGroup>& found) const {
    const size_t* maker = index_.MakerOf(value);
    if (maker == nullptr) return;
    const Node& node = nodes_[*maker];
    switch (node.op) {
      case OpType::kRmsNorm:
      case OpType::kLayerNorm: {
        const size_t gains = model_.file().Get(node.weight).ElementCount();
        if (IsOwn(node.weight) && IsOwn(node.bias) &&
            gains == model_.value(value).ElementCount()) {
          Add(*maker, gains, std::move(group), found);
        }
        return;
      }
      case OpType::kLinear:
        if (IsOwnLinear(node)) {
          Add(*maker, model_.value(value).ElementCount(), std::move(group),
              found);
        }
        return;
      // relu(x / s) = relu(x) / s, for s > 0.
      case OpType::kRelu:
      case OpType::kScale:
        if (HasOneReader(node.inputs[0])) {
          Trace(node.inputs[0], std::move(group), found);
        }
        return;
      // The last input first: it is the layer without an activation function.
      case OpType::kMul:
        for (size_t i = node.inputs.size(); i-- > 0;) {
          if (HasOneReader(node.inputs[i])) {
            Trace(node.inputs[i], group, found);
          }
        }
        return;
      // An output is a mean of values; query heads share those of their key.
      case OpType::kAttention: {
        const std::string& values = node.inputs.at(2);
        if (!HasOneReader(values)) return;
        const size_t heads = CountAttribute(node, "heads");
        const size_t kv_heads = CountAttribute(node, "kv_heads");
        const size_t dim = model_.value(values).ElementCount() / kv_heads;
        for (uint32_t& origin : group.origin) {
          const size_t head = origin / dim;
          origin = static_cast<uint32_t>(head / (heads / kv_heads) * dim +
                                         origin % dim);
        }
        Trace(values, std::move(group), found);
        return;
      }
      default:
        return;
    }
  }

  static void Add(size_t source, size_t rows, ScalingGroup group,
                  std::vector<ScalingGroup>& found) {
    group.source = source;
    group.rows = rows;
    found.push_back(std::move(group));
  }

  const Model& model_;
  const std::vector<Node>& nodes_;
  GraphIndex index_;
  std::map<std::string, size_t, std::less<>> tensor_uses_;
  std::set<std::string, std::less<>> outputs_;
};

// Whether some pattern is in each layer's name, and each pattern in some.
bool Covers(const Model& model, const ScalingGroup& group,
            const std::vector<qat::NamePattern>& patterns) {
  std::vector<bool> used(patterns.size());
  for (const size_t layer : group.layers) {
    bool matched = false;
    for (size_t p = 0; p < patterns.size(); ++p) {
      if (!patterns[p].IsIn(model.graph().nodes[layer].weight)) continue;
      used[p] = matched = true;
    }
    if (!matched) return false;
  }
  return std::all_of(used.begin(), used.end(), [](bool u) { return u; });
}

std::string NamesOf(const Model& model, const ScalingGroup& group) {
  std::string names;
  for (const size_t layer : group.layers) {
    if (!names.empty()) names += ", ";
    names += model.graph().nodes[layer].weight;
  }
  return names;
}

}  // namespace

std::vector<ScalingGroup> FindScalingGroups(const Model& model) {
  return GroupFinder(model).All();
}

std::vector<ScalingGroup> ChooseScalingGroups(
    const Model& model, const std::vector<ScalingLayers>& wanted) {
  const std::vector<ScalingGroup> all = FindScalingGroups(model);
  std::vector<ScalingGroup> chosen;
  std::set<std::string_view> values;
  if (wanted.empty()) {
    for (const ScalingGroup& group : all) {
      if (values.insert(group.value).second) chosen.push_back(group);
    }
    return chosen;
  }
  for (const ScalingLayers& layers : wanted) {
    const qat::NamePattern source_name(layers.source);
    const std::vector<qat::NamePattern> layer_names(layers.layers.begin(),
                                                    layers.layers.end());
    bool found = false;
    const ScalingGroup* near = nullptr;
    for (const ScalingGroup& group : all) {
      const std::string& source = model.graph().nodes[group.source].weight;
      if (!source_name.IsIn(source)) continue;
      near = &group;
      if (!Covers(model, group, layer_names)) continue;
      found = true;
      if (values.insert(group.value).second) chosen.push_back(group);
    }
    if (found) continue;
    throw Error::InFile(
        model.path(),
        near == nullptr
            ? "'" + layers.source +
                  "' is no norm or layer that others can be scaled by"
            : "'" + model.graph().nodes[near->source].weight + "' is read by " +
                  NamesOf(model, *near) +
                  ", which are to be named, all and no others");
  }
  return chosen;
}

}  // namespace lutra::packer
