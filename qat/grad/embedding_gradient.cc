#include <algorithm>
#include <cstdint>

#include "lutra/runtime/embedding_aliases.h"
#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

class EmbeddingStep : public BackwardStep {
 public:
  EmbeddingStep(const Model& model, const Node& node,
                const Execution& execution, const BackwardBinding& binding)
      : executor_(execution.executor),
        ids_(static_cast<const int32_t*>(binding.inputs[0])),
        aliases_(EmbeddingAliases(node)),
        dy_(binding.output_gradient),
        dweight_(binding.weight_gradient),
        rows_(static_cast<size_t>(model.file().Get(node.weight).shape[0])),
        width_(static_cast<size_t>(model.value(node.output).shape.back())),
        row_ids_(model.value(node.inputs[0]).ElementCount()) {}

  // An id may come more than once, so threads share the rows of the weight and
  // not those of the call; each looks at all ids.
  void Run(size_t m, const Call&) override {
    if (dweight_ == nullptr) return;
    constexpr size_t kPieces = 16;
    ParallelFor(executor_, rows_, (rows_ + kPieces - 1) / kPieces,
                [&](size_t begin, size_t end) {
                  for (size_t i = 0; i < m * row_ids_; ++i) {
                    const auto id =
                        static_cast<size_t>(AliasedId(aliases_, ids_[i]));
                    if (id < begin || id >= end) continue;
                    const float* dy = dy_ + i * width_;
                    float* sum = dweight_ + id * width_;
                    for (size_t j = 0; j < width_; ++j) sum[j] += dy[j];
                  }
                });
  }

 private:
  Executor* executor_;
  const int32_t* ids_;
  std::vector<int64_t> aliases_;
  const float* dy_;
  float* dweight_;
  size_t rows_;
  size_t width_;
  size_t row_ids_;  // in a row of the call
};

class Embedding : public OperatorGradient {
 public:
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<EmbeddingStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& EmbeddingGradient() {
  static const Embedding gradient;
  return gradient;
}

}  // namespace lutra::qat
