#include "tools/verbs/inspect_picture.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"
#include "tools/cli/graph_picture.h"
#include "tools/cli/repeats.h"
#include "tools/cli/table.h"

namespace lutra::tools {
namespace {

constexpr size_t kMostBoxes = 2048;

constexpr const char* kPackedColor = "#dcefd4";
constexpr const char* kFloatColor = "#fbf0c9";
constexpr const char* kPlainColor = "#ffffff";
constexpr const char* kEndColor = "#d9e8f6";

class GraphDrawing {
 public:
  explicit GraphDrawing(const Inspection& inspection)
      : model_(*inspection.model), nodes_(model_.graph().nodes) {
    for (const TensorLine& line : inspection.tensors) {
      tensors_[line.tensor->name] = &line;
    }
    for (const ValueInfo& input : model_.inputs()) {
      made_.emplace(input.name, made_.size());
    }
    for (const Node& node : nodes_) made_.emplace(node.output, made_.size());
    const std::vector<Likeness> likenesses = Likenesses();
    repeats_ = FindRepeats(nodes_.size(), [&](size_t i, size_t j) {
      return likenesses[i].Is(likenesses[j]);
    });
    CheckSize();
    for (const ValueInfo& input : model_.inputs()) {
      drawn_[input.name] = boxes_.size();
      boxes_.push_back(
          {"input " + input.name,
           {std::string(Name(input.type)) + ShapeToString(input.shape)},
           kEndColor,
           {}});
    }
    AddNodes();
    for (const ValueInfo& output : model_.outputs()) {
      boxes_.push_back({"output " + output.name,
                        {ShapeToString(output.shape)},
                        kEndColor,
                        {drawn_.at(output.name)}});
    }
  }

  std::string Svg(const std::string& title) const {
    return GraphPictureSvg(title, boxes_, frames_,
                           {{kPackedColor, "packed weights"},
                            {kFloatColor, "weights of floats"},
                            {kEndColor, "inputs and outputs"}});
  }

 private:
  // nullptr for a name that is empty.
  const TensorLine* Tensor(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : found->second;
  }

  // What makes nodes look alike, as numbers: every node is compared to
  // hundreds.
  struct Likeness {
    struct Input {
      size_t value;
      size_t before;  // how long before the node it was made
    };
    size_t kind;
    std::vector<Input> inputs;

    // The same thing done to the same value, or to one of the same kind that
    // was made as long before.
    bool Is(const Likeness& other) const {
      return kind == other.kind &&
             std::equal(inputs.begin(), inputs.end(), other.inputs.begin(),
                        other.inputs.end(), [](const Input& a, const Input& b) {
                          return a.value == b.value || a.before == b.before;
                        });
    }
  };

  std::vector<Likeness> Likenesses() const {
    using Kind =
        std::tuple<OpType, Attributes, bool, std::vector<int64_t>, std::string>;
    std::map<Kind, size_t> kinds;
    std::vector<Likeness> likenesses;
    for (const Node& node : nodes_) {
      const Kind kind(node.op, node.attributes, node.bias.empty(),
                      model_.value(node.output).shape, Describe(node));
      Likeness likeness = {kinds.emplace(kind, kinds.size()).first->second, {}};
      const size_t place = made_.at(node.output);
      for (const std::string& input : node.inputs) {
        const size_t value = made_.at(input);
        likeness.inputs.push_back({value, place - value});
      }
      likenesses.push_back(std::move(likeness));
    }
    return likenesses;
  }

  // Of a weight: "[64, 40] 4-bit LUT"; nothing without one.
  std::string Describe(const Node& node) const {
    const TensorLine* const line = Tensor(node.weight);
    if (line == nullptr) return "";
    return ShapeToString(line->Shape()) + " " + line->Type();
  }

  void CheckSize() const {
    size_t boxes =
        nodes_.size() + model_.inputs().size() + model_.outputs().size();
    for (const Repeat& repeat : repeats_) {
      boxes -= repeat.length * (repeat.times - 1);
    }
    if (boxes > kMostBoxes) {
      throw Error::InFile(model_.path(), "has a graph of " + WithCommas(boxes) +
                                             " boxes, more than a picture of " +
                                             WithCommas(kMostBoxes) +
                                             " shows: --graph alone lists it");
    }
  }

  void AddNodes() {
    auto repeat = repeats_.begin();
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (repeat == repeats_.end() || i != repeat->first) {
        AddNode(i);
        continue;
      }
      const size_t length = repeat->length;
      frames_.push_back(
          {boxes_.size(), length, "\u00d7 " + std::to_string(repeat->times)});
      for (size_t j = i; j < i + length; ++j) AddNode(j);
      for (size_t j = i + length; j < i + length * repeat->times; ++j) {
        drawn_[nodes_[j].output] = drawn_.at(nodes_[j - length].output);
      }
      i += length * repeat->times - 1;
      ++repeat;
    }
  }

  void AddNode(size_t index) {
    const Node& node = nodes_[index];
    PictureBox box;
    box.title = Name(node.op);
    box.lines = {node.output, ShapeToString(model_.value(node.output).shape)};
    box.color = kPlainColor;
    if (const TensorLine* const weight = Tensor(node.weight)) {
      box.lines.push_back(Describe(node) + (node.bias.empty() ? "" : ", bias"));
      box.color = weight->Packed() ? kPackedColor : kFloatColor;
    }
    for (const std::string& input : node.inputs) {
      const size_t from = drawn_.at(input);
      if (std::find(box.before.begin(), box.before.end(), from) ==
          box.before.end()) {
        box.before.push_back(from);
      }
    }
    drawn_[node.output] = boxes_.size();
    boxes_.push_back(std::move(box));
  }

  const Model& model_;
  const std::vector<Node>& nodes_;
  std::map<std::string_view, const TensorLine*> tensors_;
  // When values are there: those of inputs first, then those of nodes.
  std::map<std::string_view, size_t> made_;
  std::vector<Repeat> repeats_;
  std::map<std::string_view, size_t> drawn_;  // boxes, by value
  std::vector<PictureBox> boxes_;
  std::vector<PictureFrame> frames_;
};

}  // namespace

std::string GraphPicture(const Inspection& inspection) {
  const std::string& path = inspection.file.path();
  if (inspection.model == nullptr) {
    throw Error::InFile(path, "has no graph to draw");
  }
  const packer::WeightTotals totals =
      packer::Total(packer::Weights(*inspection.model));
  std::string title = std::filesystem::path(path).filename().string() + ": " +
                      std::to_string(inspection.model->graph().nodes.size()) +
                      " nodes";
  if (totals.elements > 0) {
    title += ", " + WithCommas(totals.elements) + " weights of " +
             Fixed(totals.BitsPerWeight(), 2) + " bits";
  }
  return GraphDrawing(inspection).Svg(title);
}

}  // namespace lutra::tools
