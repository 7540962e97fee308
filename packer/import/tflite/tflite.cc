// TensorFlow Lite (https://ai.google.dev/edge/litert): images are [N, H, W, C]
// there, too.

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/import_plan.h"
#include "packer/import/network/missing.h"
#include "packer/import/network/network.h"
#include "packer/import/tflite/tflite_file.h"

namespace lutra::packer {
namespace {

constexpr ImageDims kDims = {
    .batch = 0, .height = 1, .width = 2, .channels = 3};
constexpr int64_t kMostTaps = 1 << 20;  // of the runtime's attributes
constexpr int64_t kDequantize = 6;
constexpr int64_t kCustom = 32;

class Importer {
 public:
  explicit Importer(const ImportOptions& options)
      : file_(options.source.string()),
        graph_(ReadTflite(options.source)),
        network_(options) {}

  ImportPlan Run() {
    NameTensors();
    values_.resize(graph_.tensors.size());
    for (const int64_t input : graph_.inputs) AddInput(At(input), input);
    for (const TfliteOperator& op : graph_.operators) Translate(op);
    if (!missing_.empty()) missing_.Refuse(file_);
    std::set<int64_t> given;
    for (const int64_t output : graph_.outputs) {
      if (given.insert(output).second) AddOutput(output);
    }
    if (!missing_.empty()) missing_.Refuse(file_);
    ImportPlan plan = network_.Finish();
    plan.architecture = "TensorFlow Lite graph";
    return plan;
  }

 private:
  struct Row {
    int64_t code;
    const char* name;
    size_t least_inputs;
    Value (Importer::*translate)(const TfliteOperator&);
  };
  static const std::vector<Row>& Rows();

  const TfliteTensor& At(int64_t tensor) const {
    return graph_.tensors[static_cast<size_t>(tensor)];
  }

  // Values of lutra's graph have names, each its own.
  void NameTensors() {
    std::set<std::string> names;
    for (TfliteTensor& tensor : graph_.tensors) {
      std::erase(tensor.name, '\0');
      if (tensor.name.empty()) tensor.name = "tensor";
      const std::string base = tensor.name;
      for (int i = 1; !names.insert(tensor.name).second; ++i) {
        tensor.name = base + "." + std::to_string(i);
      }
      if (tensor.constant) tensor.constant->name = tensor.name;
    }
    for (const auto* list : {&graph_.inputs, &graph_.outputs}) {
      for (const int64_t tensor : *list) network_.Reserve(At(tensor).name);
    }
    for (const TfliteOperator& op : graph_.operators) {
      for (const int64_t input : op.inputs) ++uses_[input];
    }
    for (const int64_t output : graph_.outputs) ++uses_[output];
  }

  // The numbers that a computed tensor may have; nullopt for floats.
  static std::optional<ValueGrid> GridOf(const TfliteTensor& tensor) {
    if (!tensor.type || IsFloat(*tensor.type)) return std::nullopt;
    if (tensor.scales.size() != 1 || BitsOf(*tensor.type) > 16) {
      throw Unsupported{"whole numbers without a scale"};
    }
    if (!(tensor.scales[0] > 0)) throw Error("has a scale of 0 or less");
    return ValueGrid{tensor.scales[0], tensor.zeros[0], Lowest(*tensor.type),
                     Highest(*tensor.type)};
  }

  void AddInput(const TfliteTensor& tensor, int64_t number) {
    std::optional<ValueGrid> grid;
    try {
      if (!tensor.type || tensor.constant || Value_(number).has_value()) {
        throw Unsupported{"neither floats nor quantized numbers"};
      }
      grid = GridOf(tensor);
      View view;
      std::vector<size_t> order;
      for (size_t i = 0; i < tensor.shape.size(); ++i) {
        const int64_t size = tensor.shape[i];
        order.push_back(i);
        if (i == 0 && tensor.shape.size() > 1) {
          view.dims.push_back({{std::max<int64_t>(0, size), 0, 0}});
        } else if (size < 1) {
          throw Unsupported{"a size that is not known behind the batch"};
        } else {
          view.dims.emplace_back();
          if (size > 1) view.dims.back() = {{size, 0}};
        }
      }
      (void)RowElements(view);
      Value value = network_.AddInput(tensor.name, view, false, order);
      if (grid) {
        network_.SetHint(tensor.name);
        network_.Note("'" + tensor.name +
                      "' is floats here, whole numbers times a scale in the "
                      "source");
        value = network_.OnGrid(value, *grid);
      }
      Value_(number) = std::move(value);
    } catch (const Unsupported& cause) {
      missing_.Add("input '" + tensor.name + "'", cause.cause);
    } catch (const Error& error) {
      throw Error::InFile(file_,
                          "its input '" + tensor.name + "' " + error.what());
    }
  }

  void AddOutput(int64_t number) {
    const TfliteTensor& tensor = At(number);
    if (!Value_(number)) {
      missing_.Add("output '" + tensor.name + "'", "made by no operator");
      return;
    }
    if (GridOf(tensor)) {
      network_.Note("'" + tensor.name +
                    "' is floats here, whole numbers times a scale in the "
                    "source");
    }
    std::vector<size_t> order;
    for (size_t i = 0; i < Value_(number)->view.dims.size(); ++i) {
      order.push_back(i);
    }
    try {
      network_.AddOutput(tensor.name, *Value_(number), order);
    } catch (const Unsupported& cause) {
      missing_.Add("output '" + tensor.name + "'", cause.cause);
    }
  }

  void Translate(const TfliteOperator& op) {
    const auto row =
        std::find_if(Rows().begin(), Rows().end(),
                     [&](const Row& r) { return r.code == op.code; });
    if (row == Rows().end()) {
      missing_.Add(op.code == kCustom
                       ? "custom operator '" + op.name + "'"
                       : "builtin operator " + std::to_string(op.code),
                   "");
      return;
    }
    const TfliteTensor& output = At(op.outputs[0]);
    for (const int64_t input : op.inputs) {
      // What depends on what is missing already says nothing more.
      if (input >= 0 && !At(input).constant && !Value_(input)) {
        if (missing_.empty()) {
          throw Error::InFile(file_, std::string(row->name) + " reads '" +
                                         At(input).name +
                                         "' before anything makes it");
        }
        return;
      }
    }
    network_.SetHint(output.name);
    try {
      if (op.inputs.size() < row->least_inputs ||
          std::any_of(op.inputs.begin(),
                      op.inputs.begin() +
                          static_cast<std::ptrdiff_t>(row->least_inputs),
                      [](int64_t input) { return input < 0; })) {
        throw Error("has too few inputs");
      }
      if (Value_(op.outputs[0]) || output.constant) {
        throw Error("makes a tensor that is there already");
      }
      if (op.code == kDequantize && IsConstant(op, 0)) {
        graph_.tensors[static_cast<size_t>(op.outputs[0])].constant =
            NumbersAt(op, 0);
        return;
      }
      Value y = (this->*row->translate)(op);
      y = Activated(y, op.activation);
      const auto grid = GridOf(output);
      // What only moves elements, or takes the largest, keeps their numbers.
      const auto from = grids_.find(y.name);
      if (grid && !(from != grids_.end() && from->second == *grid)) {
        y = network_.OnGrid(y, *grid);
        grids_[y.name] = *grid;
      }
      Value_(op.outputs[0]) = std::move(y);
    } catch (const Unsupported& cause) {
      missing_.Add(row->name, cause.cause);
    } catch (const Error& error) {
      throw Error::InFile(file_, std::string(row->name) + " '" + output.name +
                                     "': " + error.what());
    }
  }

  std::optional<Value>& Value_(int64_t tensor) {
    return values_[static_cast<size_t>(tensor)];
  }

  Value ValueAt(const TfliteOperator& op, size_t input) {
    const int64_t tensor = op.inputs.at(input);
    if (tensor < 0 || !Value_(tensor)) {
      throw Unsupported{"a constant where a computed value is expected"};
    }
    Value value = *Value_(tensor);
    value.sole = value.sole && uses_[tensor] == 1;
    return value;
  }
  bool Has(const TfliteOperator& op, size_t input) const {
    return input < op.inputs.size() && op.inputs[input] >= 0;
  }
  bool IsConstant(const TfliteOperator& op, size_t input) const {
    return Has(op, input) && At(op.inputs[input]).constant.has_value();
  }
  const Constant& ConstantAt(const TfliteOperator& op, size_t input) const {
    if (!IsConstant(op, input)) {
      throw Unsupported{"a computed value where a constant is expected"};
    }
    return *At(op.inputs[input]).constant;
  }
  // Of numbers that take part in the computation.
  const Constant& NumbersAt(const TfliteOperator& op, size_t input) const {
    const Constant& constant = ConstantAt(op, input);
    if (!constant.is_float()) {
      throw Error("'" + constant.name + "' is whole numbers without a scale");
    }
    return constant;
  }

  Value Activated(const Value& y, int64_t activation) {
    const auto clamp = [&](double low, double high) {
      return network_.Unary(OpType::kClamp, y, {{"low", low}, {"high", high}});
    };
    switch (activation) {
      case 0:
        return y;
      case 1:
        return network_.Unary(OpType::kRelu, y);
      case 2:
        return clamp(-1, 1);
      case 3:
        return clamp(0, 6);
      case 4:
        return network_.Unary(OpType::kTanh, y);
      default:
        throw Unsupported{"a fused activation of number " +
                          std::to_string(activation)};
    }
  }

  static Window WindowOf(const TfliteOperator& op, const Value& x,
                         const std::array<int64_t, 2>& kernel) {
    Window window;
    window.kernel = kernel;
    window.stride = op.stride;
    window.dilation = op.dilation;
    for (const auto* pair : {&kernel, &op.stride, &op.dilation}) {
      for (const int64_t number : *pair) {
        if (number >= 1 && number <= kMostTaps) continue;
        throw Error("has a window, stride or dilation of " +
                    std::to_string(number));
      }
    }
    if (x.view.dims.size() != 4) throw Error("takes images alone");
    if (op.same_padding) {
      const auto rows = DimSize(x.view.dims[1]);
      const auto columns = DimSize(x.view.dims[2]);
      if (HasRows(x.view.dims[1]) || HasRows(x.view.dims[2]) || !rows ||
          !columns) {
        throw Unsupported{"an image along the batch"};
      }
      PadToSame({*rows, *columns}, /*upper=*/true, window);
    }
    return window;
  }

  Value Biased(const TfliteOperator& op, const Value& y, size_t input,
               int64_t n) {
    if (!Has(op, input)) return y;
    const Constant& bias = NumbersAt(op, input);
    if (bias.view.dims.size() != 1 || DimSize(bias.view.dims[0]) != n) {
      throw Error("has a bias of another size than its weight");
    }
    return network_.Affine(y, nullptr, &bias);
  }

  Value Convolve(const TfliteOperator& op, bool depthwise) {
    const Value x = ValueAt(op, 0);
    Constant weight = NumbersAt(op, 1);
    if (weight.view.dims.size() != 4) throw Error("has a weight of no windows");
    const Window window = WindowOf(
        op, x, {*DimSize(weight.view.dims[1]), *DimSize(weight.view.dims[2])});
    const auto channels = DimSize(x.view.dims[3]);
    if (depthwise && !weight.view.dims[0].empty()) {
      throw Error("has several weights for a channel in one");
    }
    const std::vector<size_t> order = depthwise
                                          ? std::vector<size_t>{3, 0, 1, 2}
                                          : std::vector<size_t>{0, 3, 1, 2};
    weight.view = Transposed(weight.view, order);
    const auto groups =
        depthwise ? static_cast<size_t>(channels.value_or(1)) : 1;
    const Value y = network_.Convolution(x, kDims, weight, groups, window);
    return Biased(op, y, 2, *DimSize(weight.view.dims[0]));
  }
  Value Conv(const TfliteOperator& op) { return Convolve(op, false); }
  Value Depthwise(const TfliteOperator& op) { return Convolve(op, true); }

  Value FullyConnected(const TfliteOperator& op) {
    Value x = ValueAt(op, 0);
    Constant weight = NumbersAt(op, 1);
    if (weight.view.dims.size() != 2) throw Error("has no matrix as weight");
    const int64_t k = *DimSize(weight.view.dims[1]);
    const std::vector<size_t> swapped = {1, 0};
    weight.view = Transposed(weight.view, swapped);
    if (!op.keeps_dims) x = network_.Reshaped(x, {-1, k});
    const Value y = network_.Linear(x, weight);
    return Biased(op, y, 2, *DimSize(weight.view.dims[1]));
  }

  Value Pool(const TfliteOperator& op, OpType pool) {
    const Value x = ValueAt(op, 0);
    const Value y = network_.Pool(pool, x, kDims, WindowOf(op, x, op.kernel));
    const auto grid = grids_.find(x.name);
    if (pool == OpType::kMaxPool2d && grid != grids_.end()) {
      grids_.emplace(y.name, grid->second);
    }
    return y;
  }
  Value AveragePool(const TfliteOperator& op) {
    return Pool(op, OpType::kAvgPool2d);
  }
  Value MaxPool(const TfliteOperator& op) {
    return Pool(op, OpType::kMaxPool2d);
  }

  Value Reshape(const TfliteOperator& op) {
    std::vector<int64_t> shape = op.shape;
    if (Has(op, 1)) shape = ConstantAt(op, 1).Integers();
    if (std::count(shape.begin(), shape.end(), -1) > 1 || shape.size() > 8 ||
        std::any_of(shape.begin(), shape.end(),
                    [](int64_t size) { return size < -1; })) {
      throw Error("has the shape " + ShapeToString(shape));
    }
    return network_.Reshaped(ValueAt(op, 0), shape);
  }

  Value Softmax(const TfliteOperator& op) {
    Value x = ValueAt(op, 0);
    if (x.view.dims.empty()) throw Error("takes one number");
    if (op.beta != 1) x = network_.Scaled(x, double{op.beta});
    return network_.Softmax(x, 1);
  }

  Value Mean(const TfliteOperator& op) {
    const Value x = ValueAt(op, 0);
    const auto rank = static_cast<int64_t>(x.view.dims.size());
    std::set<size_t> dims;
    for (const int64_t axis : ConstantAt(op, 1).Integers()) {
      if (axis < -rank || axis >= rank) {
        throw Error("has the axis " + std::to_string(axis));
      }
      dims.insert(static_cast<size_t>(axis < 0 ? axis + rank : axis));
    }
    Value y = network_.Reduce(OpType::kAvgPool2d, x,
                              std::vector<size_t>(dims.begin(), dims.end()));
    if (op.keeps_dims) return y;
    for (auto dim = dims.rbegin(); dim != dims.rend(); ++dim) {
      y.view.dims.erase(y.view.dims.begin() +
                        static_cast<std::ptrdiff_t>(*dim));
    }
    return y;
  }

  Value Add(const TfliteOperator& op) {
    if (!IsConstant(op, 0) && !IsConstant(op, 1)) {
      return network_.Binary(OpType::kAdd, ValueAt(op, 0), ValueAt(op, 1));
    }
    const size_t known = IsConstant(op, 0) ? 0 : 1;
    return network_.Affine(ValueAt(op, 1 - known), nullptr,
                           &NumbersAt(op, known));
  }
  Value Mul(const TfliteOperator& op) {
    if (!IsConstant(op, 0) && !IsConstant(op, 1)) {
      return network_.Binary(OpType::kMul, ValueAt(op, 0), ValueAt(op, 1));
    }
    const size_t known = IsConstant(op, 0) ? 0 : 1;
    return network_.Affine(ValueAt(op, 1 - known), &NumbersAt(op, known),
                           nullptr);
  }
  Value Sub(const TfliteOperator& op) {
    return network_.Binary(OpType::kAdd, ValueAt(op, 0),
                           network_.Scaled(ValueAt(op, 1), -1));
  }

  Value Concatenation(const TfliteOperator& op) {
    Value all = ValueAt(op, 0);
    const auto rank = static_cast<int64_t>(all.view.dims.size());
    if (op.axis < -rank || op.axis >= rank) {
      throw Error("has the axis " + std::to_string(op.axis));
    }
    const auto dim =
        static_cast<size_t>(op.axis < 0 ? op.axis + rank : op.axis);
    for (size_t i = 1; i < op.inputs.size(); ++i) {
      const Value part = ValueAt(op, i);
      if (part.view.dims.size() != all.view.dims.size()) {
        throw Error("joins inputs of different ranks");
      }
      all = network_.Concat(all, part, dim);
    }
    return all;
  }

  Value Pad(const TfliteOperator& op) {
    const Value x = ValueAt(op, 0);
    const std::vector<int64_t> pads = ConstantAt(op, 1).Integers();
    if (x.view.dims.size() != 4 || pads.size() != 8) {
      throw Unsupported{"padding of anything but images"};
    }
    for (const int64_t pad : pads) {
      if (pad < 0 || pad > kMostTaps) throw Error("has a pad that is none");
    }
    if (pads[0] + pads[1] + pads[6] + pads[7] != 0) {
      throw Unsupported{"padding of a batch or of channels"};
    }
    return network_.Padded(x, kDims, {pads[2], pads[3], pads[4], pads[5]});
  }

  Value Transpose(const TfliteOperator& op) {
    const Value x = ValueAt(op, 0);
    std::vector<size_t> order;
    for (const int64_t axis : ConstantAt(op, 1).Integers()) {
      if (axis < 0 || static_cast<size_t>(axis) >= x.view.dims.size() ||
          std::find(order.begin(), order.end(), axis) != order.end()) {
        throw Error("has axes that are no permutation");
      }
      order.push_back(static_cast<size_t>(axis));
    }
    if (order.size() != x.view.dims.size()) throw Error("has too few axes");
    return network_.WithView(x, Transposed(x.view, order));
  }

  // To floats and to whole numbers: the output's type says which.
  Value Convert(const TfliteOperator& op) { return ValueAt(op, 0); }

  template <OpType kOp>
  Value Function(const TfliteOperator& op) {
    return network_.Unary(kOp, ValueAt(op, 0));
  }
  Value Relu6(const TfliteOperator& op) { return Activated(ValueAt(op, 0), 3); }

  std::string file_;
  TfliteGraph graph_;
  NetworkBuilder network_;
  Missing missing_;
  std::vector<std::optional<Value>> values_;
  std::map<int64_t, size_t> uses_;
  std::map<std::string, ValueGrid> grids_;  // of values that were rounded
};

const std::vector<Importer::Row>& Importer::Rows() {
  static const std::vector<Row> rows = {
      {0, "ADD", 2, &Importer::Add},
      {1, "AVERAGE_POOL_2D", 1, &Importer::AveragePool},
      {2, "CONCATENATION", 1, &Importer::Concatenation},
      {3, "CONV_2D", 2, &Importer::Conv},
      {4, "DEPTHWISE_CONV_2D", 2, &Importer::Depthwise},
      {kDequantize, "DEQUANTIZE", 1, &Importer::Convert},
      {9, "FULLY_CONNECTED", 2, &Importer::FullyConnected},
      {14, "LOGISTIC", 1, &Importer::Function<OpType::kSigmoid>},
      {17, "MAX_POOL_2D", 1, &Importer::MaxPool},
      {18, "MUL", 2, &Importer::Mul},
      {19, "RELU", 1, &Importer::Function<OpType::kRelu>},
      {21, "RELU6", 1, &Importer::Relu6},
      {22, "RESHAPE", 1, &Importer::Reshape},
      {25, "SOFTMAX", 1, &Importer::Softmax},
      {28, "TANH", 1, &Importer::Function<OpType::kTanh>},
      {34, "PAD", 2, &Importer::Pad},
      {39, "TRANSPOSE", 2, &Importer::Transpose},
      {40, "MEAN", 2, &Importer::Mean},
      {41, "SUB", 2, &Importer::Sub},
      {114, "QUANTIZE", 1, &Importer::Convert},
  };
  return rows;
}

}  // namespace

ImportPlan PlanTflite(const ImportOptions& options) {
  return Importer(options).Run();
}

}  // namespace lutra::packer
