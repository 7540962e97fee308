#include "bench/kernels/vector_case.h"

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <span>

#include "bench/kernels/measure.h"
#include "lutra/eval/limits.h"
#include "lutra/kernels/vector_ops.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/operator.h"
#include "lutra/runtime/shared_data.h"

namespace lutra::bench {
namespace {

using kernels::Function;

constexpr float kEps = 1e-5f;
constexpr size_t kHeadDim = 64;

// More than any cache holds.
constexpr size_t kUncachedBytes = size_t{64} << 20;

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Floats = std::unique_ptr<float, Free>;

Floats Allocate(size_t count) {
  return Floats(static_cast<float*>(
      std::aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64)));
}

// One rope node, bound to its rows.
class Rope {
 public:
  Rope(const VectorCase& c, const float* x, float* y)
      : frequencies_(kHeadDim / 2) {
    for (size_t i = 0; i < frequencies_.size(); ++i) {
      frequencies_[i] = std::pow(10000.0f, -2.0f * static_cast<float>(i) /
                                               static_cast<float>(kHeadDim));
    }
    Graph graph;
    graph.inputs = {
        {"x", ValueType::kFloat32, {static_cast<int64_t>(c.width)}}};
    graph.nodes = {
        {OpType::kRope,
         {"x"},
         "y",
         "f",
         "",
         {{"head_dim", static_cast<double>(kHeadDim)}, {"pairing", "half"}}}};
    graph.outputs = {"y"};
    TensorView tensor;
    tensor.name = "f";
    tensor.shape = {static_cast<int64_t>(frequencies_.size())};
    tensor.data = std::as_bytes(std::span(frequencies_));
    model_ = Model::FromTensors(graph, {tensor}, "bench");
    Execution execution;
    execution.shared = &shared_;
    execution.cancelled = &cancelled_;
    Binding binding;
    binding.m = c.rows;
    binding.inputs = {x};
    binding.output = y;
    step_ = GetOperator(OpType::kRope)
                .Bind(*model_, model_->graph().nodes[0], execution, binding);
    sequence_.count = c.rows;
    for (size_t i = 0; i < c.rows; ++i) places_.push_back({&sequence_, i});
  }

  // Angles are computed anew each time, as a program does for each call.
  void Run() {
    step_->Run(places_.size(),
               {.id = ++calls_, .rows = places_, .sequences = {&sequence_, 1}});
  }

 private:
  std::vector<float> frequencies_;
  std::shared_ptr<const Model> model_;
  SharedData shared_;
  std::atomic<bool> cancelled_ = false;
  std::unique_ptr<Step> step_;
  SequenceRows sequence_;
  std::vector<RowPlace> places_;
  uint64_t calls_ = 0;
};

const std::map<std::string, Function>& Functions() {
  static const std::map<std::string, Function> functions = {
      {"exp", Function::kExp},     {"relu", Function::kRelu},
      {"relu2", Function::kRelu2}, {"sigmoid", Function::kSigmoid},
      {"tanh", Function::kTanh},   {"silu", Function::kSilu},
      {"gelu", Function::kGelu},   {"gelu_tanh", Function::kGeluTanh}};
  return functions;
}

// What is done to each row; `weight` is as wide.
using RowFunction = std::function<void(const float* x, float* y)>;

RowFunction FunctionOf(const VectorCase& c, const float* weight) {
  const size_t n = c.width;
  const auto found = Functions().find(c.operation);
  if (found != Functions().end()) {
    return [n, f = found->second](const float* x, float* y) {
      kernels::Apply(f, x, n, y);
    };
  }
  if (c.operation == "softmax") {
    return [n](const float* x, float* y) { kernels::SoftmaxRow(x, n, y); };
  }
  if (c.operation == "layer_norm") {
    return [n, weight](const float* x, float* y) {
      kernels::LayerNormRow(x, weight, weight, n, kEps, y);
    };
  }
  return [n, weight](const float* x, float* y) {
    kernels::RmsNormRow(x, weight, n, kEps, y);
  };
}

}  // namespace

const std::vector<std::string>& VectorOperations() {
  static const std::vector<std::string> operations = [] {
    std::vector<std::string> all = {"rms_norm", "layer_norm", "softmax",
                                    "rope"};
    for (const auto& [name, function] : Functions()) all.push_back(name);
    return all;
  }();
  return operations;
}

std::string Name(const VectorCase& c) {
  return "vector/" + c.operation + "/width:" + std::to_string(c.width) +
         "/rows:" + std::to_string(c.rows);
}

void RunVectorCase(benchmark::State& state, const VectorCase& c) {
  const size_t count = c.width * c.rows;
  const Floats x = Allocate(count);
  const Floats y = Allocate(count);
  const Floats weight = Allocate(c.width);
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < count; ++i) x.get()[i] = y.get()[i] = normal(rng);
  for (size_t i = 0; i < c.width; ++i) weight.get()[i] = normal(rng);
  std::function<void(size_t)> call;
  std::unique_ptr<Rope> rope;
  if (c.operation == "rope") {
    rope = std::make_unique<Rope>(c, x.get(), y.get());
    call = [&](size_t) { rope->Run(); };
  } else {
    call = [&, row = FunctionOf(c, weight.get())](size_t) {
      for (size_t i = 0; i < c.rows; ++i) {
        row(x.get() + i * c.width, y.get() + i * c.width);
      }
    };
  }
  const double bytes = 2.0 * static_cast<double>(count * sizeof(float));
  const bool uncached = bytes >= static_cast<double>(kUncachedBytes);
  eval::UncachedMemory memory(reinterpret_cast<const uint8_t*>(x.get()),
                              count * sizeof(float));
  std::function<double()> limit;
  if (uncached) limit = [&] { return memory.ReadRate(nullptr); };
  const Measured measured = Measure(state, call, limit);
  state.counters["us"] = measured.seconds * 1e6;
  state.counters["GB/s"] = bytes / measured.seconds * 1e-9;
  state.counters["ns/element"] =
      measured.seconds * 1e9 / static_cast<double>(count);
  if (uncached) SetShare(state, bytes / 2 / measured.seconds, measured, limit);
}

}  // namespace lutra::bench
