#include <cstddef>
#include <string>

#include "kernels/base/parallel.h"
#include "lutra/runtime/embedding_aliases.h"
#include "runtime/base/text_of.h"
#include "runtime/ops/operators.h"
#include "runtime/ops/weight.h"

namespace lutra {
namespace {

// Rows per piece of work.
constexpr size_t kRowsPerTask = 16;

class EmbeddingStep : public Step {
 public:
  EmbeddingStep(const Model& model, const Node& node, const Binding& binding,
                Executor* executor)
      : model_(model),
        node_(node),
        weight_(GetWeight(model, node.weight)),
        aliases_(EmbeddingAliases(node)),
        ids_(static_cast<const int32_t*>(binding.inputs[0])),
        row_ids_(model.value(node.inputs[0]).ElementCount()),
        output_(binding.output),
        executor_(executor) {}

  void Run(size_t m, const Call&) override {
    const size_t count = m * row_ids_;
    for (size_t i = 0; i < count; ++i) {
      if (RowOf(ids_[i]) < 0 || RowOf(ids_[i]) >= int64_t{weight_.n}) {
        throw NodeError(model_, node_,
                        TextOf("id ", ids_[i], " of token ", i / row_ids_,
                               " is outside 0..", weight_.n - 1),
                        ErrorCode::kInvalidArgument);
      }
    }
    ParallelFor(
        executor_, count, kRowsPerTask, [this](size_t begin, size_t end) {
          const size_t k = weight_.k;
          for (size_t i = begin; i < end; ++i) {
            const auto row = static_cast<uint32_t>(RowOf(ids_[i]));
            float* y = output_ + i * k;
            if (weight_.packed != nullptr) {
              kernels::DequantizeRow(*weight_.packed, row, y);
            } else {
              const size_t row_bytes = k * kernels::ByteSize(weight_.type);
              kernels::ToFloat32(weight_.type,
                                 static_cast<const std::byte*>(weight_.values) +
                                     row * row_bytes,
                                 k, y);
            }
          }
        });
  }

  StepCost Cost(size_t m, const Call&) const override {
    return {.bytes = weight_.ByteCount() / weight_.n * row_ids_ * m};
  }

 private:
  int64_t RowOf(int32_t id) const { return AliasedId(aliases_, id); }

  const Model& model_;
  const Node& node_;
  Weight weight_;
  std::vector<int64_t> aliases_;
  const int32_t* ids_;
  size_t row_ids_;  // in a row of the call
  float* output_;
  Executor* executor_;
};

class Embedding : public Operator {
 public:
  Embedding()
      : Operator({.name = "embedding",
                  .weight = TensorUse::kRequired,
                  .packable = true,
                  .attributes = {{.name = "aliases",
                                  .kind = AttributeKind::kList,
                                  .required = false,
                                  .high = 1u << 30}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    if (inputs[0]->type != ValueType::kInt32) {
      throw NodeError(
          model, node,
          TextOf("input '", inputs[0]->name, "' must be int32 ids"));
    }
    const Weight weight = GetWeight(model, node.weight);
    const std::vector<int64_t> aliases = EmbeddingAliases(node);
    if (aliases.size() % 2 != 0) {
      throw NodeError(model, node, "its 'aliases' are not pairs");
    }
    for (size_t i = 1; i < aliases.size(); i += 2) {
      if (aliases[i] < int64_t{weight.n}) continue;
      throw NodeError(
          model, node,
          TextOf("its 'aliases' have the row ", aliases[i], ", of ", weight.n));
    }
    std::vector<int64_t> shape = inputs[0]->shape;
    shape.push_back(int64_t{weight.k});
    return shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<EmbeddingStep>(model, node, binding,
                                           execution.executor);
  }
};

}  // namespace

std::vector<int64_t> EmbeddingAliases(const Node& node) {
  return ListAttribute(node, "aliases");
}

const Operator& EmbeddingOperator() {
  static const Embedding op;
  return op;
}

}  // namespace lutra
