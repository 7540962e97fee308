#include "packer/export/export_tensors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "kernels/base/half.h"
#include "lutra/packer/export.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/input_quantization.h"
#include "lutra/runtime/tokenizer.h"
#include "packer/architectures/architecture.h"
#include "packer/weights/row_source.h"
#include "runtime/base/json_object.h"

namespace lutra::packer {
namespace {

// What the nodes behind the states `hidden` make of them, as MakeEncoder wrote
// it; nothing where the graph is none of an encoder.
std::optional<EncoderHead> FindHead(const Graph& graph,
                                    const std::string& hidden) {
  if (graph.outputs != std::vector<std::string>{"embedding"}) {
    return std::nullopt;
  }
  EncoderHead head;
  head.pool = EncoderHead::Pool::kLast;
  head.unit_length = false;
  auto node = std::find_if(
      graph.nodes.begin(), graph.nodes.end(),
      [&](const Node& candidate) { return candidate.output == hidden; });
  // The states may be the vectors.
  while (node != graph.nodes.end() && ++node != graph.nodes.end()) {
    if (node->op == OpType::kTokenPool) {
      head.pool = WordAttribute(*node, "over") == "mean"
                      ? EncoderHead::Pool::kMean
                      : EncoderHead::Pool::kFirst;
    } else if (node->op == OpType::kLinear) {
      head.dense.push_back({node->weight, node->bias, 0, 0, std::nullopt});
    } else if (node->op == OpType::kTanh && !head.dense.empty()) {
      head.dense.back().activation = OpType::kTanh;
    } else if (node->op == OpType::kRmsNorm) {
      head.unit_length = true;
    } else {
      return std::nullopt;
    }
  }
  return head;
}

}  // namespace

ExportTensors::ExportTensors(const Model& model, bool outputs)
    : model_(model), outputs_(outputs) {
  const auto& metadata = model.file().metadata();
  const auto entry = metadata.find(std::string(kConfigKey));
  if (entry == metadata.end()) {
    throw Error::InFile(
        model.path(),
        "has no configuration (metadata 'lutra.config'): only models that "
        "were imported from a Hugging Face folder or a GGUF file, by this "
        "version or a later one, can be exported",
        ErrorCode::kUnsupported);
  }
  document_ = ParseJson(entry->second, model.path(), "'lutra.config'");
  network_ = BuildNetwork(
      JsonObject(document_.root(), model.path(), "'lutra.config'"));
  head_ = FindHead(model.graph(), network_.hidden);
  if (head_) {
    for (EncoderHead::Dense& dense : head_->dense) {
      const auto rows = RowSource::Of(model, dense.weight);
      dense.inputs = static_cast<int64_t>(rows.columns());
      dense.outputs = static_cast<int64_t>(rows.rows());
    }
  }
  Find();
}

void ExportTensors::Refuse(const std::string& tensor,
                           const std::string& cause) const {
  throw Error::InTensor(model_.path(), tensor, cause, ErrorCode::kUnsupported);
}

void ExportTensors::Find() {
  FindColumnOrders();
  Network whole = network_;
  if (head_) MakeEncoder(*head_, whole);
  std::set<std::string> known;
  for (const NetworkTensor& tensor : whole.tensors) {
    known.insert(tensor.name);
    if (tensor.parts.empty()) continue;  // what checkpoints do not hold
    const bool shared =
        tensor.name == network_.embedding || tensor.name == network_.output;
    if (model_.file().Find(tensor.name) == nullptr) {
      if (shared && whole.tied) continue;
      Refuse(tensor.name, "is missing");
    }
    CheckShape(tensor);
    if (tensor.transform && !tensor.undo) {
      Refuse(tensor.name, "was changed by the import, which cannot be undone");
    }
    AddPieces(tensor);
    if (tensor.added.name.empty()) continue;
    ExportTensor& zeros = tensors_[tensor.added.name];
    zeros.zeros = true;
    zeros.info = {tensor.added.name, DType::kFloat32, tensor.added.stored};
    zeros.rows = static_cast<size_t>(tensor.added.stored.front());
    zeros.columns = static_cast<size_t>(tensor.added.stored.back());
  }
  for (const TensorView& tensor : model_.file().tensors()) {
    if (known.contains(tensor.name) || tensor.name == kTokenizerTensor ||
        order_tensors_.contains(tensor.name)) {
      continue;
    }
    Refuse(tensor.name, "has no place in the network of its configuration");
  }
  for (auto& [name, tensor] : tensors_) Finish(name, tensor);
  // One that was tied may have got an output matrix of its own.
  untied_ = network_.tied && network_.embedding != network_.output &&
            model_.file().Find(network_.embedding) != nullptr &&
            model_.file().Find(network_.output) != nullptr;
}

// Columns that quantization ordered, or a GGUF file.
void ExportTensors::FindColumnOrders() {
  std::map<std::string, const Node*> gathers;
  for (const Node& node : model_.graph().nodes) {
    if (node.op == OpType::kGather && node.weight.starts_with("lutra.")) {
      gathers[node.output] = &node;
      order_tensors_.insert(node.weight);
      continue;
    }
    const auto found =
        node.inputs.empty() ? gathers.end() : gathers.find(node.inputs[0]);
    if (found == gathers.end()) continue;
    const std::string& name = found->second->weight;
    std::vector<float> scratch;
    const auto source = RowSource::Of(model_, name);
    const auto places = source.Rows(0, source.rows(), scratch);
    std::vector<uint32_t> order(places.size());
    std::vector<bool> taken(places.size());
    for (size_t i = 0; i < places.size(); ++i) {
      // A model has been loaded only if each is one of them.
      const auto place = static_cast<size_t>(places[i]);
      if (place >= order.size() || taken[place]) {
        Refuse(name, "is no order of columns");
      }
      taken[place] = true;
      order[place] = static_cast<uint32_t>(i);
    }
    column_orders_[node.weight] = std::move(order);
  }
}

float ExportTensors::Undo(const ExportTensor& tensor, float value) const {
  const float near = tensor.undo(value);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float below = near;
  float above = near;
  for (int i = 0; i < 4; ++i) {
    for (const float before : {RoundToBFloat16(near), near, below, above}) {
      if (tensor.transform(before) == value) return before;
    }
    below = std::nextafter(below, -kInfinity);
    above = std::nextafter(above, kInfinity);
  }
  Refuse(tensor.info.name,
         "was changed by the import, which cannot be undone: it makes " +
             std::to_string(value) + " of no number");
}

ExportTensor ExportTensor::Transposed() const {
  ExportTensor result = *this;
  std::vector<int64_t>& shape = result.info.shape;
  std::swap(shape[shape.size() - 2], shape[shape.size() - 1]);
  result.of_outputs = false;
  result.transposed = true;
  result.columns = rows / Matrices();
  result.rows = columns * Matrices();
  return result;
}

std::vector<std::string> ExportTensors::Notes() const {
  const auto& nodes = model_.graph().nodes;
  std::vector<std::string> notes;
  const bool rounds =
      std::any_of(nodes.begin(), nodes.end(), [](const Node& node) {
        return node.op == OpType::kFakeQuantize ||
               (QuantizesInput(node.op) && InputQuantizationOf(node).type);
      });
  if (rounds) {
    notes.emplace_back(
        "how layers round activations (input_type, fake_quantize) is left "
        "out");
  }
  if (std::any_of(nodes.begin(), nodes.end(), [](const Node& node) {
        return node.attributes.find("aliases") != node.attributes.end();
      })) {
    notes.emplace_back(
        "ids that stand for images and sounds are not read as padding");
  }
  return notes;
}

// The configuration is a text in the file, which may be another model's.
void ExportTensors::CheckShape(const NetworkTensor& tensor) const {
  std::vector<int64_t> shape = model_.file().Get(tensor.name).shape;
  std::vector<int64_t> wanted = tensor.shape;
  if (const kernels::LutMatrix* matrix = model_.packed(tensor.name)) {
    shape = {int64_t{matrix->format.n}, int64_t{matrix->format.k}};
    while (wanted.size() > 2) {
      wanted[1] *= wanted[0];
      wanted.erase(wanted.begin());
    }
  }
  if (shape == wanted) return;
  Refuse(tensor.name, "has the shape " + ShapeToString(shape) +
                          ", its configuration says " + ShapeToString(wanted));
}

// Ours may be rounded to 16 bits, or come from elsewhere (rope_freqs.weight of
// GGUF files).
void ExportTensors::CheckFrequencies() const {
  constexpr float kRounding = 1.0f / 128;
  const auto near = [](float a, float b) {
    return std::abs(a - b) <= kRounding * std::abs(b);
  };
  std::vector<float> scratch;
  for (const NetworkTensor& tensor : network_.tensors) {
    if (!tensor.parts.empty() || model_.file().Find(tensor.name) == nullptr) {
      continue;
    }
    const auto source = RowSource::Of(model_, tensor.name);
    const auto found = source.Rows(0, source.rows(), scratch);
    const auto same = [&](const std::vector<float>& values) {
      return std::equal(found.begin(), found.end(), values.begin(),
                        values.end(), near);
    };
    if (same(tensor.values) || same(tensor.long_values)) continue;
    Refuse(tensor.name,
           "has other values than its configuration says, which a folder "
           "cannot hold");
  }
}

void ExportTensors::AddPieces(const NetworkTensor& tensor) {
  size_t row = 0;
  for (const TensorPart& part : tensor.parts) {
    std::vector<int64_t> shape = part.stored;
    std::vector<int64_t> written = shape;
    bool transposed = part.transposed;
    const bool packed = model_.packed(tensor.name) != nullptr;
    const bool expert = part.index >= 0;
    const auto order = column_orders_.find(tensor.name);
    const bool ordered = order != column_orders_.end();
    if (transposed && expert && shape.size() == 2) {
      shape = {shape.front(), shape.back(), 1};  // biases
      transposed = false;
    } else if (transposed &&
               (expert ? outputs_ || packed : outputs_ && shape.size() == 2)) {
      // A convolution's rows are channels, and stay.
      std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
      written = shape;
      transposed = false;
    }
    ExportTensor& target = tensors_[part.name];
    if (ordered && (transposed || (!target.pieces.empty() &&
                                   target.column_order != order->second))) {
      Refuse(tensor.name,
             "has columns in activation order, which cannot be exported; "
             "import with --dequantize for that");
    }
    if (ordered) target.column_order = order->second;
    target.info.name = part.name;
    target.info.shape = written;
    target.of_outputs = part.transposed && expert && packed;
    target.transform = tensor.transform;
    target.undo = tensor.undo;
    target.transposed = transposed;
    target.rows = 1;
    for (size_t i = 0; i + 1 < std::max<size_t>(shape.size(), 2); ++i) {
      target.rows *= static_cast<size_t>(shape[i]);
    }
    target.columns = shape.size() > 1 ? static_cast<size_t>(shape.back()) : 1;
    ExportPiece piece;
    piece.name = tensor.name;
    piece.first = row;
    piece.to = static_cast<size_t>(part.first);
    piece.step = static_cast<size_t>(part.step);
    piece.count = part.count != 0 ? static_cast<size_t>(part.count)
                  : transposed    ? target.columns
                                  : target.rows;
    if (part.index >= 0) {
      const size_t each =
          transposed ? target.columns
                     : target.rows / static_cast<size_t>(shape.front());
      piece.to += static_cast<size_t>(part.index) * each;
      if (part.count == 0) piece.count = each;
    }
    row += piece.count;
    target.pieces.push_back(std::move(piece));
  }
}

void ExportTensors::Finish(const std::string& name,
                           ExportTensor& tensor) const {
  if (tensor.zeros) return;
  size_t rows = 0;
  tensor.info.dtype = model_.file().Get(tensor.pieces[0].name).dtype;
  for (const ExportPiece& piece : tensor.pieces) {
    rows += piece.count;
    const DType dtype = model_.file().Get(piece.name).dtype;
    if (dtype == DType::kUInt8 || dtype != tensor.info.dtype) {
      tensor.info.dtype = DType::kFloat32;
    }
  }
  const size_t width =
      tensor.transposed ? tensor.rows / tensor.Matrices() : tensor.columns;
  if (rows * width != tensor.info.ElementCount()) {
    Refuse(name, "is not whole in the model");
  }
}

}  // namespace lutra::packer
