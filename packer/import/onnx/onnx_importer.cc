#include "packer/import/onnx/onnx_importer.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

bool IsOfImages(const OnnxGraph& graph) {
  return std::any_of(
      graph.nodes.begin(), graph.nodes.end(), [](const OnnxNode& node) {
        return node.op.ends_with("Conv") || node.op == "ConvInteger" ||
               node.op.ends_with("Pool");
      });
}

bool IsCastToFloats(const OnnxNode& node) {
  const auto to = node.attributes.find("to");
  if (node.FullName() != "Cast" || to == node.attributes.end()) return false;
  const auto type = OnnxType(to->second.integer);
  return type && IsFloat(*type);
}

// Whether a node gives the elements of its first input another place.
bool Moves(const OnnxNode& node) {
  static constexpr std::string_view kMovers[] = {
      "Expand",  "Identity",  "Reshape",  "Slice",
      "Squeeze", "Transpose", "Unsqueeze"};
  return std::find(std::begin(kMovers), std::end(kMovers), node.FullName()) !=
         std::end(kMovers);
}

// The order in which lutra holds the dimensions of a value: images as
// [H, W, C].
std::vector<size_t> OrderOf(size_t rank, bool images) {
  std::vector<size_t> order;
  for (size_t i = 0; i < rank; ++i) order.push_back(i);
  if (images && rank == 4) order = {0, 2, 3, 1};
  return order;
}

}  // namespace

std::string OpenDimName(const OnnxDim& dim, size_t place) {
  return dim.name.empty() ? std::to_string(place) : dim.name;
}

OnnxImporter::OnnxImporter(const ImportOptions& options, const OnnxGraph& graph,
                           OnnxRows rows)
    : file_(options.source.string()),
      graph_(graph),
      rows_(rows),
      images_(IsOfImages(graph)),
      network_(options) {}

ImportPlan OnnxImporter::Run(Missing& missing) {
  for (const OnnxInput& input : graph_.inputs) network_.Reserve(input.name);
  for (const std::string& output : graph_.outputs) network_.Reserve(output);
  FindLive(graph_.outputs);
  TranslateAll(missing);
  if (!missing.empty()) return {};
  std::set<std::string> given;
  for (const std::string& output : graph_.outputs) {
    if (!given.insert(output).second) continue;
    try {
      AddOutput(output);
    } catch (const Unsupported& cause) {
      missing.Add("output '" + output + "'", cause.cause);
    }
  }
  if (!missing.empty()) return {};
  ImportPlan plan = network_.Finish();
  plan.architecture = "ONNX graph";
  const auto looks_at_place = [](const Node& node) {
    return node.op == OpType::kAttention ||
           node.op == OpType::kPositionEmbedding;
  };
  if (texts_ != nullptr &&
      std::any_of(plan.graph.nodes.begin(), plan.graph.nodes.end(),
                  looks_at_place)) {
    plan.context = texts_->longest();
  }
  return plan;
}

std::map<std::string, Constant, std::less<>> OnnxImporter::Constants(
    const std::string& name) {
  FindLive(name.empty() ? graph_.outputs : std::vector<std::string>{name});
  Missing ignored;
  TranslateAll(ignored);
  std::map<std::string, Constant, std::less<>> constants;
  for (auto& [of, operand] : operands_) {
    if (operand.constant && !operand.dynamic) {
      constants.emplace(of, *std::move(operand.constant));
    }
  }
  return constants;
}

// Nodes that these depend on.
void OnnxImporter::FindLive(const std::vector<std::string>& names) {
  std::map<std::string_view, const OnnxNode*> makers;
  for (const OnnxNode& node : graph_.nodes) {
    for (const std::string& output : node.outputs) makers[output] = &node;
    for (const std::string& input : node.inputs) {
      readers_.emplace(input, &node);
    }
  }
  std::vector<std::string> wanted = names;
  for (size_t next = 0; next < wanted.size(); ++next) {
    const std::string name = wanted[next];
    ++uses_[name];
    const auto maker = makers.find(name);
    if (maker == makers.end() || !live_.insert(maker->second).second) {
      continue;
    }
    for (const std::string& input : maker->second->inputs) {
      if (!input.empty()) wanted.push_back(input);
    }
  }
}

void OnnxImporter::TranslateAll(Missing& missing) {
  for (const auto& [name, constant] : graph_.constants) {
    operands_[name].constant = constant;
  }
  for (const OnnxInput& input : graph_.inputs) {
    if (!SetMask(input)) AddInput(input, missing);
  }
  for (const OnnxNode& node : graph_.nodes) {
    if (live_.contains(&node)) Translate(node, missing);
  }
}

// Whether whole numbers of an input become floats at once, as those of masks
// do: they may be floats from the beginning.
bool OnnxImporter::BecomesFloats(const std::string& input) const {
  std::vector<std::string_view> whole = {input};
  bool cast = false;
  for (size_t next = 0; next < whole.size(); ++next) {
    const std::string_view name = whole[next];
    if (std::find(graph_.outputs.begin(), graph_.outputs.end(), name) !=
        graph_.outputs.end()) {
      return false;
    }
    const auto [begin, end] = readers_.equal_range(name);
    for (auto reader = begin; reader != end; ++reader) {
      const OnnxNode& node = *reader->second;
      if (IsCastToFloats(node)) {
        cast = true;
      } else if (Moves(node) && node.inputs[0] == name &&
                 std::count(node.inputs.begin(), node.inputs.end(), name) ==
                     1) {
        whole.push_back(node.outputs[0]);
      } else {
        return false;
      }
    }
  }
  return cast;
}

bool OnnxImporter::IsRow(const OnnxInput& input, size_t dim, bool ids) const {
  switch (rows_) {
    case OnnxRows::kSteps:
      return ids || dim + 1 < input.shape.size();
    case OnnxRows::kBatch: {
      const bool open =
          std::any_of(input.shape.begin(), input.shape.end(),
                      [](const OnnxDim& d) { return d.size < 0; });
      if (open) return input.shape[dim].size < 0;
      return dim == 0 && (ids || input.shape.size() > 1);
    }
    case OnnxRows::kNone:
      return false;
  }
  return false;
}

void OnnxImporter::AddInput(const OnnxInput& input, Missing& missing) {
  const auto type = OnnxType(input.type);
  const bool casts = type && !IsFloat(*type) && BecomesFloats(input.name);
  const bool ids = type && !IsFloat(*type) && !casts;
  if (casts) {
    network_.Note("'" + input.name +
                  "' takes floats here, whole numbers in the source");
  }
  if (!type || (ids && BitsOf(*type) < 32)) {
    missing.Add("input '" + input.name + "'",
                "neither floats nor ids of 32 or 64 bits");
    return;
  }
  View view;
  for (size_t i = 0; i < input.shape.size(); ++i) {
    OnnxDim dim = input.shape[i];
    if (sizes_ != nullptr && dim.size < 0) {
      dim.size = sizes_->at(OpenDimName(dim, i));
    }
    std::vector<Axis> axes;
    if (IsRow(input, i, ids)) {
      axes = {{std::max<int64_t>(0, dim.size), 0, RowOf(OpenDimName(dim, i))}};
    } else if (dim.size < 0) {
      missing.Add("input '" + input.name + "'",
                  "a size that is not known behind the batch");
      return;
    } else if (dim.size > 1) {
      axes = {{dim.size, 0}};
    }
    view.dims.push_back(std::move(axes));
  }
  (void)RowElements(view);  // which has a limit
  const std::vector<size_t> order = OrderOf(view.dims.size(), images_);
  if (images_ && view.dims.size() == 4) {
    network_.Note("images of '" + input.name +
                  "' are [H, W, C] here, [C, H, W] in the source");
  }
  operands_[input.name].value = network_.AddInput(input.name, view, ids, order);
}

// Of texts without padding.
bool OnnxImporter::SetMask(const OnnxInput& input) {
  if ((texts_ == nullptr && sizes_ == nullptr) || !IsMaskInput(input)) {
    return false;
  }
  const auto type = OnnxType(input.type);
  if (!type) return false;
  if (texts_ != nullptr) {
    for (size_t i = 0; i < input.shape.size(); ++i) {
      // So that rows have the numbers that they have with it.
      if (input.shape[i].size < 0) (void)RowOf(OpenDimName(input.shape[i], i));
    }
    const auto values = texts_->Find(input.name);
    if (!values) return false;
    SetBySizes(input.name, *values);
    network_.Note("'" + input.name +
                  "' is left out: a sequence has no padding here, and sees all "
                  "that it would see with ones");
    return true;
  }
  std::vector<int64_t> shape;
  for (size_t i = 0; i < input.shape.size(); ++i) {
    const OnnxDim& dim = input.shape[i];
    shape.push_back(dim.size < 0 ? sizes_->at(OpenDimName(dim, i)) : dim.size);
  }
  const size_t count = RowElements(NaturalView(shape));
  if (static_cast<int64_t>(count) > kMostComputed) return false;
  operands_[input.name].constant = MakeConstant(
      input.name,
      IsFloat(*type) ? Elements::Of(std::vector<float>(count, 1))
                     : Elements::Of(std::vector<int64_t>(count, 1)),
      shape);
  return true;
}

int OnnxImporter::RowOf(const std::string& dim) {
  const auto number =
      static_cast<int>(row_axes_.emplace(dim, row_axes_.size()).first->second);
  if (texts_ != nullptr) texts_->SetRow(dim, number);
  return number;
}

// Whether its inputs are constants and numbers that sizes decide.
bool OnnxImporter::IsKnownBySizes(const OnnxNode& node) const {
  bool sizes = false;
  for (const std::string& input : node.inputs) {
    if (input.empty()) continue;
    const Operand& operand = operands_.at(input);
    const bool decided = operand.by_sizes() != nullptr;
    if (!decided && (!operand.constant || operand.dynamic)) return false;
    sizes = sizes || decided;
  }
  return sizes;
}

void OnnxImporter::SetBySizes(const std::string& name, const BySizes& values) {
  const std::vector<int64_t> shape = ShapeOf(values[0].view);
  const auto same = [&] {
    if (values[0].is_float()) return values[0].Floats() == values[1].Floats();
    return values[0].Integers() == values[1].Integers();
  };
  Operand operand;
  operand.constant = values[0];
  if (shape != ShapeOf(values[1].view) || !same()) {
    operand.constant->view = texts_->ViewOf(values);
    operand.dynamic = DynamicPart{DynamicPart::Kind::kBySizes, ""};
    operand.dynamic->by_sizes = std::make_shared<BySizes>(values);
  }
  operands_.insert_or_assign(name, std::move(operand));
}

bool OnnxImporter::SetBySizes(const OnnxNode& node) {
  if (texts_ == nullptr) return false;
  std::vector<std::pair<std::string, BySizes>> known;
  for (const std::string& output : node.outputs) {
    if (output.empty() || !uses_.contains(output)) continue;
    auto values = texts_->Find(output);
    if (!values) return false;
    known.emplace_back(output, *std::move(values));
  }
  for (const auto& [name, values] : known) SetBySizes(name, values);
  return true;
}

void OnnxImporter::Translate(const OnnxNode& node, Missing& missing) {
  const std::string op = node.FullName();
  const OnnxOperator* row = FindOnnxOperator(op);
  const OnnxOperator* const fold = FindOnnxFold(op);
  if (row == nullptr && fold == nullptr) {
    missing.Add(op, "");
    return;
  }
  // What depends on what is missing already says nothing more.
  for (const std::string& input : node.inputs) {
    if (!input.empty() && !operands_.contains(input)) return;
  }
  if (IsKnownBySizes(node) && SetBySizes(node)) return;
  network_.SetHint(node.outputs[0]);
  OnnxContext context(node, graph_, uses_, operands_, network_, texts_);
  if (fold != nullptr && (row == nullptr || context.AllConstant())) {
    if (!context.AllConstant()) {
      missing.Add(op, "of what is computed");
      return;
    }
    row = fold;
  }
  size_t given = node.inputs.size();
  while (given > 0 && node.inputs[given - 1].empty()) --given;
  if (given < row->least_inputs || given > row->most_inputs) {
    Fail(node, "has " + std::to_string(given) + " inputs");
  }
  try {
    row->translate(context);
  } catch (const Unsupported& cause) {
    if (!SetBySizes(node)) missing.Add(op, cause.cause);
  } catch (const Error& error) {
    Fail(node, error.what());
  }
}

void OnnxImporter::AddOutput(const std::string& name) {
  const Operand& operand = operands_.at(name);
  if (!operand.value) throw Unsupported{"a constant"};
  if (operand.value->ids || operand.value->grid || operand.dynamic) {
    throw Unsupported{"whole numbers"};
  }
  network_.AddOutput(name, *operand.value,
                     OrderOf(operand.value->view.dims.size(), images_));
}

void OnnxImporter::Fail(const OnnxNode& node, const std::string& cause) const {
  throw Error::InFile(file_,
                      node.FullName() + " node '" +
                          (node.name.empty() ? node.outputs[0] : node.name) +
                          "': " + cause);
}

}  // namespace lutra::packer
