#include <algorithm>
#include <string>
#include <vector>

#include "kernels/base/clones.h"
#include "kernels/base/parallel.h"
#include "runtime/base/text_of.h"
#include "runtime/base/work_size.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

// Rows of a that share a pass over b.
constexpr size_t kRows = 4;

// Columns whose sums are a vector, and one anywhere in memory: of loops over
// arrays, and of copies of whole ones, g++ 12 keeps the sums in memory.
constexpr size_t kLanes = 8;
typedef float ColumnLanes __attribute__((vector_size(kLanes * sizeof(float))));
typedef float StoredLanes __attribute__((vector_size(kLanes * sizeof(float)),
                                         aligned(sizeof(float)), may_alias));

// Multiplications per piece of work: some microseconds.
constexpr size_t kProductsPerTask = 1 << 16;

// One matrix of each: a [.., depth], b [depth, columns], y [.., columns].
struct MatmulSizes {
  size_t depth = 0;
  size_t columns = 0;
};

// kVectors vectors of columns of SumRows.
template <size_t kCount, size_t kVectors>
inline void SumTile(const float* __restrict a, const float* __restrict b,
                    MatmulSizes sizes, float* __restrict y) {
  ColumnLanes sums[kCount][kVectors];
  for (size_t r = 0; r < kCount; ++r) {
    for (size_t v = 0; v < kVectors; ++v) sums[r][v] = ColumnLanes{};
  }
  for (size_t k = 0; k < sizes.depth; ++k) {
    const float* const row = b + k * sizes.columns;
    ColumnLanes from[kVectors];
    for (size_t v = 0; v < kVectors; ++v) {
      from[v] = *reinterpret_cast<const StoredLanes*>(row + v * kLanes);
    }
    for (size_t r = 0; r < kCount; ++r) {
      const float factor = a[r * sizes.depth + k];
      for (size_t v = 0; v < kVectors; ++v) sums[r][v] += factor * from[v];
    }
  }
  for (size_t r = 0; r < kCount; ++r) {
    float* const row = y + r * sizes.columns;
    for (size_t v = 0; v < kVectors; ++v) {
      *reinterpret_cast<StoredLanes*>(row + v * kLanes) = sums[r][v];
    }
  }
}

// y[i][j] = the sum of a[i][k] * b[k][j] in the order of k, from 0 on.
template <size_t kCount>
inline void SumRows(const float* __restrict a, const float* __restrict b,
                    MatmulSizes sizes, float* __restrict y) {
  const size_t n = sizes.columns;
  size_t j = 0;
  for (; j + 2 * kLanes <= n; j += 2 * kLanes) {
    SumTile<kCount, 2>(a, b + j, sizes, y + j);
  }
  for (; j + kLanes <= n; j += kLanes) {
    SumTile<kCount, 1>(a, b + j, sizes, y + j);
  }
  for (; j < n; ++j) {
    float sums[kCount] = {};
    for (size_t k = 0; k < sizes.depth; ++k) {
      for (size_t r = 0; r < kCount; ++r) {
        sums[r] += a[r * sizes.depth + k] * b[k * n + j];
      }
    }
    for (size_t r = 0; r < kCount; ++r) y[r * n + j] = sums[r];
  }
}

LUTRA_CLONES void MultiplyRows(const float* a, const float* b, size_t rows,
                               MatmulSizes sizes, float* y) {
  for (; rows >= kRows; rows -= kRows) {
    SumRows<kRows>(a, b, sizes, y);
    a += kRows * sizes.depth;
    y += kRows * sizes.columns;
  }
  for (; rows > 0; --rows) {
    SumRows<1>(a, b, sizes, y);
    a += sizes.depth;
    y += sizes.columns;
  }
}

class MatmulStep : public Step {
 public:
  MatmulStep(const Model& model, const Node& node, const Execution& execution,
             const Binding& binding)
      : execution_(execution),
        a_(static_cast<const float*>(binding.inputs[0])),
        b_(static_cast<const float*>(binding.inputs[1])),
        y_(binding.output) {
    const std::vector<int64_t>& a = model.value(node.inputs[0]).shape;
    rows_ = static_cast<size_t>(a[a.size() - 2]);
    sizes_.depth = static_cast<size_t>(a.back());
    sizes_.columns = static_cast<size_t>(model.value(node.output).shape.back());
    matrices_ =
        model.value(node.inputs[0]).ElementCount() / (rows_ * sizes_.depth);
  }

  // Blocks of rows of all matrices are shared by the threads.
  void Run(size_t m, const Call&) override {
    const size_t blocks = (rows_ + kRows - 1) / kRows;
    const size_t work = kRows * sizes_.depth * sizes_.columns;
    ParallelFor(execution_.executor, m * matrices_ * blocks,
                (kProductsPerTask + work - 1) / work,
                [&](size_t begin, size_t end) {
                  execution_.CheckCancelled();
                  for (size_t i = begin; i < end; ++i) {
                    Block(i / blocks, i % blocks * kRows);
                  }
                });
  }

  StepCost Cost(size_t m, const Call&) const override {
    return {.multiply_adds = uint64_t{m} * matrices_ * rows_ * sizes_.depth *
                             sizes_.columns};
  }

 private:
  void Block(size_t matrix, size_t row) const {
    const size_t first = matrix * rows_ + row;
    MultiplyRows(
        a_ + first * sizes_.depth, b_ + matrix * sizes_.depth * sizes_.columns,
        std::min(kRows, rows_ - row), sizes_, y_ + first * sizes_.columns);
  }

  Execution execution_;
  const float* a_;
  const float* b_;
  float* y_;
  size_t matrices_ = 0;  // in a row of the call
  size_t rows_ = 0;      // of each
  MatmulSizes sizes_;
};

// Products of matrices that both are computed.
class Matmul : public Operator {
 public:
  Matmul() : Operator({.name = "matmul", .inputs = 2}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    for (const ValueInfo* input : inputs) CheckFloatInput(model, node, *input);
    const std::vector<int64_t>& a = inputs[0]->shape;
    const std::vector<int64_t>& b = inputs[1]->shape;
    const size_t rank = a.size();
    if (rank < 2 || b.size() != rank || a[rank - 1] != b[rank - 2] ||
        !std::equal(a.begin(), a.end() - 2, b.begin())) {
      throw NodeError(model, node,
                      TextOf("inputs of the shapes ", ShapeToString(a), " and ",
                             ShapeToString(b),
                             " are not [.., M, K] and "
                             "[.., K, N]"));
    }
    std::vector<int64_t> shape = a;
    shape.back() = b.back();
    double work = static_cast<double>(a.back());
    for (const int64_t size : shape) work *= static_cast<double>(size);
    if (work > kMaxWork) {
      throw NodeError(model, node, "needs more than 2^40 multiplications",
                      ErrorCode::kUnsupported);
    }
    return shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<MatmulStep>(model, node, execution, binding);
  }
};

}  // namespace

const Operator& MatmulOperator() {
  static const Matmul op;
  return op;
}

}  // namespace lutra
