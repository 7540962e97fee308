#include "lutra/packer/rotate.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lutra/kernels/float_gemm.h"
#include "lutra/packer/ranges.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/operator.h"
#include "packer/rewrite/orthogonal.h"
#include "packer/rewrite/residual_stream.h"
#include "packer/weights/matrix_product.h"
#include "packer/weights/row_source.h"

namespace lutra::packer {
namespace {

using Matrix = std::vector<float>;

// How one side of a weight is turned: by blocks on the diagonal, each of its
// own matrix [size, size]. None: not at all.
struct Turn {
  size_t size = 0;
  std::vector<const Matrix*> blocks;
};

// What becomes of a weight: diag(gain) and a turn of its columns, a turn of its
// rows and of the bias.
struct Change {
  std::string gain;  // tensor; "": none
  Turn columns;
  Turn rows;
  std::string bias;  // turned like the rows; "": none
};

class Rotator {
 public:
  Rotator(const Model& model, const RotateOptions& options)
      : model_(model),
        options_(options),
        graph_(WithoutRanges(model.graph())),
        stream_(FindResidualStream(model)),
        stream_turn_(Rotation(stream_.width)) {
    FindTied();
    ChangeReaders();
    ChangeWriters();
    ChangeEmbeddings();
    TurnValues();
    if (report_.tied) AddLayers();
    report_.width = stream_.width;
    report_.layers = changes_.size();
  }

  RotateReport Write(const std::filesystem::path& path) {
    const SafetensorsFile& file = model_.file();
    std::map<std::string, std::string> metadata = file.metadata();
    metadata[std::string(kGraphKey)] = GraphToJson(graph_);
    metadata.erase(std::string(kSchemesKey));  // no weight is on its grid now
    std::vector<TensorInfo> tensors;
    for (const TensorView& tensor : file.tensors()) {
      TensorInfo info = tensor;
      if (IsChanged(tensor.name)) info.dtype = DType::kFloat32;
      tensors.push_back(info);
    }
    const auto width = static_cast<int64_t>(stream_.width);
    for (const auto& [name, weight] : added_) {
      tensors.push_back({name, DType::kFloat32, {width, width}});
    }
    SafetensorsWriter writer(path, metadata, tensors);
    for (const TensorView& tensor : file.tensors()) WriteTensor(tensor, writer);
    for (const auto& [name, weight] : added_) {
      writer.Write(name, std::as_bytes(std::span(weight)));
    }
    writer.Commit();
    report_.file_bytes = static_cast<size_t>(std::filesystem::file_size(path));
    return report_;
  }

 private:
  const Node& NodeAt(size_t i) const { return model_.graph().nodes[i]; }
  const std::string& GainOf(size_t reader) const {
    return NodeAt(stream_.norm_of[reader]).weight;
  }

  const Matrix* Rotation(size_t size) {
    rotations_.push_back(std::make_unique<Matrix>(
        RandomRotation(size, options_.seed + rotations_.size())));
    return rotations_.back().get();
  }
  Turn StreamTurn() const { return {stream_.width, {stream_turn_}}; }

  Change& ChangeOf(const Node& node) {
    if (model_.packed(node.weight) != nullptr) {
      throw NodeError(model_, node, "cannot be rotated: its weight is packed");
    }
    return changes_[node.weight];
  }
  static void Set(const Model& model, const Node& node, Turn& turn,
                  const Turn& to) {
    if (turn.size != 0 && turn.blocks != to.blocks) {
      throw NodeError(
          model, node,
          "cannot be rotated: its weight is another node's as well");
    }
    turn = to;
  }

  // The linear nodes that share a weight with an embedding stay as they are.
  void FindTied() {
    std::set<std::string> embeddings;
    for (const size_t i : stream_.embeddings) {
      embeddings.insert(NodeAt(i).weight);
    }
    for (size_t r = 0; r < stream_.readers.size(); ++r) {
      if (embeddings.contains(NodeAt(stream_.readers[r]).weight)) {
        tied_.push_back(r);
      }
    }
    report_.tied = !tied_.empty();
    if (tied_.size() > 1 || (report_.tied && embeddings.size() > 1)) {
      throw Error::InFile(model_.path(),
                          "cannot be rotated: several layers share the weight "
                          "of an embedding");
    }
  }
  bool IsTied(size_t reader) const {
    return std::find(tied_.begin(), tied_.end(), reader) != tied_.end();
  }

  void ChangeReaders() {
    for (size_t r = 0; r < stream_.readers.size(); ++r) {
      gains_.insert(GainOf(r));
      if (IsTied(r)) continue;
      const Node& node = NodeAt(stream_.readers[r]);
      Change& change = ChangeOf(node);
      Set(model_, node, change.columns, StreamTurn());
      if (!change.gain.empty() && change.gain != GainOf(r)) {
        throw NodeError(model_, node,
                        "cannot be rotated: it follows several norms");
      }
      change.gain = GainOf(r);
    }
    // Their gains become 1.
    for (const Node& node : model_.graph().nodes) {
      const bool of_stream =
          std::any_of(stream_.norms.begin(), stream_.norms.end(),
                      [&](size_t norm) { return &NodeAt(norm) == &node; });
      if (!of_stream && gains_.contains(node.weight)) {
        throw NodeError(model_, node,
                        "cannot be rotated: it has the weight of a norm");
      }
    }
  }

  void ChangeWriters() {
    for (const size_t i : stream_.writers) {
      const Node& node = NodeAt(i);
      Change& change = ChangeOf(node);
      Set(model_, node, change.rows, StreamTurn());
      change.bias = node.bias;
    }
  }

  void ChangeEmbeddings() {
    if (report_.tied) return;
    for (const size_t i : stream_.embeddings) {
      const Node& node = NodeAt(i);
      Set(model_, node, ChangeOf(node).columns, StreamTurn());
    }
  }

  void TurnValues() {
    for (const AttentionValues& found : FindAttentionValues(model_)) {
      const Node& values = NodeAt(found.values);
      const Node& output = NodeAt(found.output);
      Change& made = ChangeOf(values);
      Change& taken = ChangeOf(output);
      // Weights that other nodes share stay as they are.
      if (made.rows.size != 0 || taken.columns.size != 0) continue;
      made.rows.size = taken.columns.size = found.head_dim;
      made.bias = values.bias;
      for (size_t head = 0; head < found.kv_heads; ++head) {
        made.rows.blocks.push_back(Rotation(found.head_dim));
      }
      for (size_t head = 0; head < found.heads; ++head) {
        taken.columns.blocks.push_back(
            made.rows.blocks[head * found.kv_heads / found.heads]);
      }
      report_.heads += found.kv_heads;
    }
  }

  // Around an embedding that is the output matrix as well.
  void AddLayers() {
    const size_t d = stream_.width;
    const size_t reader = tied_.front();
    const Node head = NodeAt(stream_.readers[reader]);
    const Node embedding = NodeAt(stream_.embeddings.front());
    Matrix in(d * d);
    Matrix out(d * d);
    const std::vector<float> gain = Values(GainOf(reader));
    for (size_t i = 0; i < d; ++i) {
      for (size_t j = 0; j < d; ++j) {
        in[j * d + i] = (*stream_turn_)[i * d + j];
        out[i * d + j] = gain[i] * (*stream_turn_)[i * d + j];
      }
    }
    added_ = {{kRotationIn, std::move(in)}, {kRotationOut, std::move(out)}};
    std::vector<Node> nodes;
    for (const Node& node : graph_.nodes) {
      if (node.output == embedding.output) {
        Node moved = node;
        moved.output += ".straight";
        nodes.push_back(moved);
        nodes.push_back(Linear(moved.output, embedding.output, kRotationIn));
      } else if (node.output == head.output) {
        Node moved = node;
        moved.inputs[0] += ".straight";
        nodes.push_back(Linear(head.inputs[0], moved.inputs[0], kRotationOut));
        nodes.push_back(moved);
      } else {
        nodes.push_back(node);
      }
    }
    graph_.nodes = std::move(nodes);
  }
  static Node Linear(const std::string& input, const std::string& output,
                     const char* weight) {
    Node node;
    node.op = OpType::kLinear;
    node.inputs = {input};
    node.output = output;
    node.weight = weight;
    return node;
  }

  std::vector<float> Values(std::string_view tensor) const {
    const RowSource source(model_.file().Get(tensor), model_.path());
    std::vector<float> scratch;
    const auto values = source.Rows(0, source.rows(), scratch);
    return {values.begin(), values.end()};
  }

  const Change* ChangeOfBias(std::string_view tensor) const {
    for (const auto& [weight, change] : changes_) {
      if (!change.bias.empty() && change.bias == tensor) return &change;
    }
    return nullptr;
  }
  bool IsChanged(const std::string& tensor) const {
    return changes_.contains(tensor) || gains_.contains(tensor) ||
           ChangeOfBias(tensor) != nullptr;
  }

  void WriteTensor(const TensorView& tensor, SafetensorsWriter& writer) {
    if (!IsChanged(tensor.name)) {
      writer.Write(tensor.name, tensor.data);
      return;
    }
    Matrix values;
    const auto change = changes_.find(tensor.name);
    if (change != changes_.end()) {
      values = Changed(tensor, change->second);
    } else if (gains_.contains(tensor.name)) {
      values.assign(tensor.ElementCount(), 1.0f);
    } else {
      values = Values(tensor.name);
      values =
          TurnColumns(values, values.size(), ChangeOfBias(tensor.name)->rows);
    }
    writer.Write(tensor.name, std::as_bytes(std::span(values)));
  }

  Matrix Changed(const TensorView& tensor, const Change& change) {
    Matrix w = Values(tensor.name);
    const size_t n = static_cast<size_t>(tensor.shape.at(0));
    const size_t k = w.size() / n;
    if (!change.gain.empty()) {
      const std::vector<float> gain = Values(change.gain);
      for (size_t i = 0; i < w.size(); ++i) w[i] *= gain[i % k];
    }
    w = TurnColumns(w, k, change.columns);
    return TurnRows(w, k, change.rows);
  }

  // w [n, k] times the blocks.
  Matrix TurnColumns(const Matrix& w, size_t k, const Turn& turn) {
    if (turn.size == 0) return w;
    Matrix turned(w.size());
    for (size_t b = 0; b < turn.blocks.size(); ++b) {
      kernels::FloatGemmArguments product;
      product.a = {.data = w.data() + b * turn.size, .stride = k};
      product.b = {.data = turn.blocks[b]->data(), .stride = turn.size};
      product.m = w.size() / k;
      product.n = product.k = turn.size;
      product.c = turned.data() + b * turn.size;
      product.c_stride = k;
      multiply_(product, options_.executor);
    }
    return turned;
  }
  // The transposes of the blocks, times w [n, k].
  Matrix TurnRows(const Matrix& w, size_t k, const Turn& turn) {
    if (turn.size == 0) return w;
    Matrix turned(w.size());
    for (size_t b = 0; b < turn.blocks.size(); ++b) {
      kernels::FloatGemmArguments product;
      product.a = {.data = turn.blocks[b]->data(),
                   .stride = turn.size,
                   .transposed = true};
      product.b = {.data = w.data() + b * turn.size * k, .stride = k};
      product.m = product.k = turn.size;
      product.n = k;
      product.c = turned.data() + b * turn.size * k;
      product.c_stride = k;
      multiply_(product, options_.executor);
    }
    return turned;
  }

  const Model& model_;
  const RotateOptions& options_;
  Graph graph_;  // of the result
  const ResidualStream stream_;
  std::vector<std::unique_ptr<Matrix>> rotations_;
  const Matrix* stream_turn_;
  std::vector<size_t> tied_;                            // of stream_.readers
  std::map<std::string, Change, std::less<>> changes_;  // by weight
  std::set<std::string, std::less<>> gains_;
  std::vector<std::pair<std::string, Matrix>> added_;
  MatrixProduct multiply_;
  RotateReport report_;
};

}  // namespace

RotateReport RotateModel(const Model& model, const std::filesystem::path& path,
                         const RotateOptions& options) {
  return Rotator(model, options).Write(path);
}

}  // namespace lutra::packer
