// ONNX (https://onnx.ai): a graph of operators over arrays, as training
// libraries write them.

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/import_plan.h"
#include "packer/import/network/missing.h"
#include "packer/import/onnx/onnx_file.h"
#include "packer/import/onnx/onnx_node.h"
#include "packer/import/onnx/onnx_patterns.h"

namespace lutra::packer {
namespace {

// Which dimensions of the inputs are the rows of a call.
enum class Rows {
  kSteps,  // of sequences: all but the last, of ids all
  kBatch,  // those of no fixed size, or else the first
  kNone,   // a call has one row, the whole of the inputs
};

bool IsRecurrent(const OnnxGraph& graph) {
  return std::any_of(
      graph.nodes.begin(), graph.nodes.end(), [](const OnnxNode& node) {
        return node.op == "LSTM" || node.op == "GRU" || node.op == "RNN";
      });
}

bool IsOfImages(const OnnxGraph& graph) {
  return std::any_of(
      graph.nodes.begin(), graph.nodes.end(), [](const OnnxNode& node) {
        return node.op.ends_with("Conv") || node.op == "ConvInteger" ||
               node.op.ends_with("Pool");
      });
}

bool HasOpenSizes(const OnnxGraph& graph) {
  for (const OnnxInput& input : graph.inputs) {
    for (const OnnxDim& dim : input.shape) {
      if (dim.size < 0) return true;
    }
  }
  return false;
}

using Readers = std::multimap<std::string_view, const OnnxNode*>;

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

// Whether whole numbers of an input become floats at once, as those of masks
// do: they may be floats from the beginning.
bool BecomesFloats(const OnnxGraph& graph, const Readers& readers,
                   const std::string& input) {
  std::vector<std::string_view> whole = {input};
  bool cast = false;
  for (size_t next = 0; next < whole.size(); ++next) {
    const std::string_view name = whole[next];
    if (std::find(graph.outputs.begin(), graph.outputs.end(), name) !=
        graph.outputs.end()) {
      return false;
    }
    const auto [begin, end] = readers.equal_range(name);
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

// The order in which lutra holds the dimensions of a value: images as
// [H, W, C].
std::vector<size_t> OrderOf(size_t rank, bool images) {
  std::vector<size_t> order;
  for (size_t i = 0; i < rank; ++i) order.push_back(i);
  if (images && rank == 4) order = {0, 2, 3, 1};
  return order;
}

class Importer {
 public:
  Importer(const ImportOptions& options, const OnnxGraph& graph, Rows rows)
      : file_(options.source.string()),
        graph_(graph),
        rows_(rows),
        images_(IsOfImages(graph)),
        network_(options) {}

  // What lutra lacks is listed in `missing`; then there is no network.
  ImportPlan Run(Missing& missing) {
    for (const OnnxInput& input : graph_.inputs) network_.Reserve(input.name);
    for (const std::string& output : graph_.outputs) network_.Reserve(output);
    CountUses();
    for (const auto& [name, constant] : graph_.constants) {
      operands_[name].constant = constant;
    }
    for (const OnnxInput& input : graph_.inputs) AddInput(input, missing);
    for (const OnnxNode& node : graph_.nodes) {
      if (live_.contains(&node)) Translate(node, missing);
    }
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
    return plan;
  }

 private:
  // Of the nodes that outputs depend on.
  void CountUses() {
    std::map<std::string_view, const OnnxNode*> makers;
    for (const OnnxNode& node : graph_.nodes) {
      for (const std::string& output : node.outputs) makers[output] = &node;
      for (const std::string& input : node.inputs) {
        readers_.emplace(input, &node);
      }
    }
    std::vector<std::string> wanted = graph_.outputs;
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

  bool IsRow(const OnnxInput& input, size_t dim, bool ids) const {
    switch (rows_) {
      case Rows::kSteps:
        return ids || dim + 1 < input.shape.size();
      case Rows::kBatch: {
        const bool open =
            std::any_of(input.shape.begin(), input.shape.end(),
                        [](const OnnxDim& d) { return d.size < 0; });
        if (open) return input.shape[dim].size < 0;
        return dim == 0 && (ids || input.shape.size() > 1);
      }
      case Rows::kNone:
        return false;
    }
    return false;
  }

  void AddInput(const OnnxInput& input, Missing& missing) {
    const auto type = OnnxType(input.type);
    const bool casts =
        type && !IsFloat(*type) && BecomesFloats(graph_, readers_, input.name);
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
      const OnnxDim& dim = input.shape[i];
      std::vector<Axis> axes;
      if (IsRow(input, i, ids)) {
        const std::string key = dim.name.empty() ? std::to_string(i) : dim.name;
        const auto number = static_cast<int>(
            row_axes_.emplace(key, row_axes_.size()).first->second);
        axes = {{std::max<int64_t>(0, dim.size), 0, number}};
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
    operands_[input.name].value =
        network_.AddInput(input.name, view, ids, order);
  }

  void Translate(const OnnxNode& node, Missing& missing) {
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
    network_.SetHint(node.outputs[0]);
    OnnxContext context(node, graph_, uses_, operands_, network_);
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
      missing.Add(op, cause.cause);
    } catch (const Error& error) {
      Fail(node, error.what());
    }
  }

  void AddOutput(const std::string& name) {
    const Operand& operand = operands_.at(name);
    if (!operand.value) throw Unsupported{"a constant"};
    if (operand.value->ids || operand.value->grid || operand.dynamic) {
      throw Unsupported{"whole numbers"};
    }
    network_.AddOutput(name, *operand.value,
                       OrderOf(operand.value->view.dims.size(), images_));
  }

  [[noreturn]] void Fail(const OnnxNode& node, const std::string& cause) const {
    throw Error::InFile(file_,
                        node.FullName() + " node '" +
                            (node.name.empty() ? node.outputs[0] : node.name) +
                            "': " + cause);
  }

  std::string file_;
  const OnnxGraph& graph_;
  Rows rows_;
  bool images_;
  NetworkBuilder network_;
  Operands operands_;
  std::map<std::string, size_t, std::less<>> uses_;
  std::set<const OnnxNode*> live_;
  Readers readers_;
  std::map<std::string, size_t, std::less<>> row_axes_;
};

}  // namespace

ImportPlan PlanOnnx(const ImportOptions& options) {
  OnnxGraph graph = ReadOnnx(options.source);
  UseGelu(graph);
  UseNorms(graph);
  const Rows first = IsRecurrent(graph) ? Rows::kSteps : Rows::kBatch;
  Missing missing;
  ImportPlan plan = Importer(options, graph, first).Run(missing);
  if (missing.empty()) return plan;
  // A first dimension of a fixed size may be something else than a batch.
  if (!HasOpenSizes(graph)) {
    Missing rest;
    plan = Importer(options, graph, Rows::kNone).Run(rest);
    if (rest.empty()) return plan;
  }
  missing.Refuse(options.source.string());
}

}  // namespace lutra::packer
