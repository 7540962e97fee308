// An operator of the program's own, y = x / (1 + e^(-beta x)), and a graph that
// uses it. Model files use it in the same way, once it is registered: a program
// that has it can load them, others refuse them by its name.
#include <lutra/runtime/operator.h>
#include <lutra/runtime/session.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

namespace {

// What a node computes, bound to the memory that it reads and writes. Called
// again and again; allocates nothing.
class SwishStep : public lutra::Step {
 public:
  SwishStep(size_t elements, float beta, const lutra::Binding& binding)
      : elements_(elements),
        beta_(beta),
        input_(static_cast<const float*>(binding.inputs[0])),
        output_(binding.output) {}

  // For the first `rows` rows (tokens, images) of the call.
  void Run(size_t rows, const lutra::Call&) override {
    for (size_t i = 0; i < rows * elements_; ++i) {
      output_[i] = input_[i] / (1 + std::exp(-beta_ * input_[i]));
    }
  }

 private:
  size_t elements_;  // of a row
  float beta_;
  const float* input_;
  float* output_;
};

// What lutra knows of it: what nodes may say, the shape of the output, the
// step.
class Swish : public lutra::Operator {
 public:
  Swish() : Operator(Schema()) {}

  std::vector<int64_t> InferShape(
      const lutra::Model&, const lutra::Node&,
      lutra::Span<const lutra::ValueInfo* const> inputs) const override {
    return inputs[0]->shape;
  }

  std::unique_ptr<lutra::Step> Bind(
      const lutra::Model& model, const lutra::Node& node,
      const lutra::Execution&, const lutra::Binding& binding) const override {
    return std::make_unique<SwishStep>(
        model.value(node.output).ElementCount(),
        static_cast<float>(lutra::NumberAttribute(node, "beta")), binding);
  }

 private:
  static lutra::OperatorSchema Schema() {
    lutra::OperatorSchema schema;
    schema.name = "acme.swish";  // the point keeps it apart from lutra's own
    lutra::AttributeSchema beta;
    beta.name = "beta";
    beta.low = 0;
    beta.high = 100;
    schema.attributes = {beta};
    return schema;
  }
};

}  // namespace

int main() {
  try {
    lutra::RegisterOperator(std::make_unique<Swish>());
    const lutra::Graph graph = lutra::ParseGraph(R"({
        "inputs": [{"name": "x", "type": "float32", "shape": [4]}],
        "nodes": [{"op": "acme.swish", "inputs": ["x"], "output": "s",
                   "attributes": {"beta": 1.5}},
                  {"op": "add", "inputs": ["x", "s"], "output": "y"}],
        "outputs": ["y"]})",
                                                 "the example's graph");
    // A model file's weights would stand where {} does.
    lutra::Session session(lutra::Model::FromTensors(graph, {}, "example"), {});
    const float x[4] = {-2, -0.5, 0.5, 2};
    float y[4];
    const void* const inputs[] = {x};
    float* const outputs[] = {y};
    session.Run(1, inputs, outputs);
    for (size_t i = 0; i < 4; ++i) std::printf("%g: %.4f\n", x[i], y[i]);
  } catch (const lutra::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
