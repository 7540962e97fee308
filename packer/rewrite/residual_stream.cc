#include "packer/rewrite/residual_stream.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "lutra/runtime/operator.h"
#include "packer/rewrite/graph_index.h"

namespace lutra::packer {
namespace {

class Finder {
 public:
  explicit Finder(const Model& model)
      : model_(model), nodes_(model.graph().nodes), index_(model.graph()) {}

  ResidualStream Stream() {
    FindStreamValues();
    ResidualStream stream;
    stream.width = model_.value(*stream_.begin()).ElementCount();
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const Node& node = nodes_[i];
      if (stream_.contains(node.output)) AddMaker(i, stream);
      const bool reads = std::any_of(
          node.inputs.begin(), node.inputs.end(),
          [&](const std::string& value) { return stream_.contains(value); });
      if (reads && node.op != OpType::kAdd) AddNorm(i, stream);
    }
    for (const std::string& output : model_.graph().outputs) {
      if (stream_.contains(output)) {
        throw Error::InFile(model_.path(),
                            "cannot be rotated: '" + output + "' is an output");
      }
    }
    return stream;
  }

  std::vector<AttentionValues> Values() const {
    std::vector<AttentionValues> all;
    for (const Node& node : nodes_) {
      if (node.op != OpType::kAttention) continue;
      const size_t* values = OnlyLinear(node.inputs.at(2));
      const std::vector<size_t>* outputs = index_.ReadersOf(node.output);
      if (values == nullptr || outputs == nullptr || outputs->size() != 1 ||
          nodes_[outputs->front()].op != OpType::kLinear) {
        continue;
      }
      AttentionValues found;
      found.values = *values;
      found.output = outputs->front();
      found.heads = CountAttribute(node, "heads");
      found.kv_heads = CountAttribute(node, "kv_heads");
      found.head_dim =
          model_.value(node.inputs[2]).ElementCount() / found.kv_heads;
      all.push_back(found);
    }
    return all;
  }

 private:
  Error InTheWay(const Node& node, std::string_view cause) const {
    return NodeError(model_, node, "cannot be rotated: " + std::string(cause));
  }

  // What embeddings give and all that is added to it.
  void FindStreamValues() {
    for (const Node& node : nodes_) {
      if (node.op == OpType::kEmbedding) stream_.insert(node.output);
    }
    size_t before = 0;
    while (before != stream_.size()) {
      before = stream_.size();
      for (const Node& node : nodes_) {
        if (node.op != OpType::kAdd) continue;
        const bool joins =
            stream_.contains(node.output) ||
            std::any_of(node.inputs.begin(), node.inputs.end(),
                        [&](const auto& v) { return stream_.contains(v); });
        if (!joins) continue;
        stream_.insert(node.inputs.begin(), node.inputs.end());
        stream_.insert(node.output);
      }
    }
    if (stream_.empty()) {
      throw Error::InFile(model_.path(),
                          "cannot be rotated: it has no embedding");
    }
  }

  void AddMaker(size_t i, ResidualStream& stream) const {
    const Node& node = nodes_[i];
    if (node.op == OpType::kEmbedding) {
      stream.embeddings.push_back(i);
    } else if (node.op == OpType::kLinear) {
      stream.writers.push_back(i);
    } else if (node.op != OpType::kAdd) {
      throw InTheWay(node, "it writes to the residual stream");
    }
  }

  void AddNorm(size_t i, ResidualStream& stream) const {
    const Node& norm = nodes_[i];
    if (norm.op != OpType::kRmsNorm) {
      throw InTheWay(norm, "only RMS norms may read the residual stream");
    }
    if (model_.file().Get(norm.weight).ElementCount() !=
        model_.value(norm.output).ElementCount()) {
      throw InTheWay(norm, "it is over parts of the residual stream");
    }
    stream.norms.push_back(i);
    const std::vector<size_t>* readers = index_.ReadersOf(norm.output);
    for (const size_t reader : readers ? *readers : std::vector<size_t>()) {
      if (nodes_[reader].op != OpType::kLinear) {
        throw InTheWay(nodes_[reader], "it reads a norm of the stream");
      }
      stream.readers.push_back(reader);
      stream.norm_of.push_back(i);
    }
    const auto& outputs = model_.graph().outputs;
    if (std::find(outputs.begin(), outputs.end(), norm.output) !=
        outputs.end()) {
      throw InTheWay(norm, "it is an output");
    }
  }

  // The linear node that makes a value which one node reads.
  const size_t* OnlyLinear(std::string_view value) const {
    const size_t* maker = index_.MakerOf(value);
    const std::vector<size_t>* readers = index_.ReadersOf(value);
    if (maker == nullptr || readers == nullptr || readers->size() != 1 ||
        nodes_[*maker].op != OpType::kLinear) {
      return nullptr;
    }
    return maker;
  }

  const Model& model_;
  const std::vector<Node>& nodes_;
  GraphIndex index_;
  std::set<std::string, std::less<>> stream_;
};

}  // namespace

ResidualStream FindResidualStream(const Model& model) {
  return Finder(model).Stream();
}

std::vector<AttentionValues> FindAttentionValues(const Model& model) {
  return Finder(model).Values();
}

}  // namespace lutra::packer
