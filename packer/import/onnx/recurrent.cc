// Recurrent layers: a row of a call is a step of a sequence.

#include <algorithm>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/onnx/onnx_node.h"

namespace lutra::packer {
namespace {

// Without the dimension of directions, of which there is one.
Constant OneDirection(Constant constant, size_t rank) {
  if (constant.view.dims.size() != rank || !constant.view.dims[0].empty()) {
    throw Error("has weights of another shape than the operator's");
  }
  constant.view.dims.erase(constant.view.dims.begin());
  return constant;
}

void CheckZeros(const OnnxContext& node, size_t input, const char* what) {
  if (!node.Has(input)) return;
  if (!node.IsConstant(input)) {
    throw Unsupported{std::string(what) +
                      " as an input: lutra keeps it from call to call"};
  }
  for (const float value : node.ConstantAt(input).Floats()) {
    if (value != 0) throw Unsupported{std::string(what) + " other than 0"};
  }
}

void Lstm(OnnxContext& node) {
  constexpr int64_t kGates = 4;
  const int64_t units = node.Integer("hidden_size", 0);
  if (units < 1 || units > 1 << 20) {
    throw Error("has a hidden size of " + std::to_string(units));
  }
  const std::string direction = node.Text("direction", "forward");
  if (direction != "forward") {
    throw Unsupported{"the direction " + direction};
  }
  const OnnxNode& source = node.node();
  for (const char* name : {"activations", "clip"}) {
    if (source.attributes.contains(name)) {
      throw Unsupported{std::string("the attribute '") + name + "'"};
    }
  }
  if (node.Integer("input_forget", 0) != 0) {
    throw Unsupported{"coupled gates"};
  }
  if (node.Has(4)) throw Unsupported{"sequences of several lengths"};
  CheckZeros(node, 5, "an initial state");
  CheckZeros(node, 6, "an initial state");
  CheckZeros(node, 7, "peepholes");
  Value x = node.ValueAt(0);
  if (x.view.dims.size() != 3) throw Error("takes a value of 3 dimensions");
  // [batch, time, size].
  const bool batch_first = node.Integer("layout", 0) != 0;
  const std::vector<size_t> swapped = {1, 0, 2};
  if (batch_first) x.view = Transposed(x.view, swapped);
  const Constant input = OneDirection(node.ConstantAt(1), 3);
  const Constant recurrent = OneDirection(node.ConstantAt(2), 3);
  if (DimSize(input.view.dims[0]) != kGates * units ||
      DimSize(recurrent.view.dims[0]) != kGates * units ||
      DimSize(recurrent.view.dims[1]) != units) {
    throw Error("has weights of another size than its hidden size");
  }
  std::vector<float> bias;
  if (node.Has(3)) {
    const std::vector<float> both =
        OneDirection(node.ConstantAt(3), 2).Floats();
    const auto count = static_cast<size_t>(kGates * units);
    if (both.size() != 2 * count) {
      throw Error("has a bias of another size than its hidden size");
    }
    for (size_t i = 0; i < count; ++i) {
      bias.push_back(both[i] + both[count + i]);
    }
  }
  const bool both = node.WantsOutput(2);
  Value h = node.net().Lstm(x, input, recurrent, std::move(bias), "iofg", both);
  h.sole = false;
  Value content = h;
  if (both) {
    content.view = *Sliced(h.view, 2, units, 1, units);
    h.view = *Sliced(h.view, 2, 0, 1, units);
  }
  // [time, directions, batch, units], or [batch, time, directions, units].
  Value all = h;
  if (batch_first) all.view = Transposed(all.view, swapped);
  all.view.dims.insert(all.view.dims.begin() + (batch_first ? 2 : 1),
                       std::vector<Axis>());
  node.SetOutput(all, 0);
  // The last state is that of each step, as far as the sequence has come.
  const auto last = [&](Value state) {
    state.view.dims[0].clear();
    if (batch_first) state.view = Transposed(state.view, swapped);
    return state;
  };
  node.SetOutput(last(h), 1);
  if (both) node.SetOutput(last(content), 2);
}

constexpr OnnxOperator kRecurrent[] = {
    {"LSTM", 3, 8, Lstm},
};

}  // namespace

std::span<const OnnxOperator> OnnxRecurrent() { return kRecurrent; }

}  // namespace lutra::packer
