#include "lutra/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/base/parallel.h"
#include "runtime/base/out_of_memory.h"
#include "runtime/base/text_of.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

using kernels::AttentionShape;

// Below this many multiplications a call takes a few microseconds, about what
// it costs to wake a thread.
constexpr size_t kMinParallelWork = size_t{1} << 18;
// Tokens per piece of work when keys and values are stored.
constexpr size_t kStoreTile = 16;

constexpr size_t kScratchAlignment = 64;

AttentionShape ShapeOf(const Node& node, size_t head_dim,
                       const Execution& execution) {
  const double scale = NumberAttribute(node, "scale");
  return {
      .heads = CountAttribute(node, "heads"),
      .kv_heads = CountAttribute(node, "kv_heads"),
      .head_dim = head_dim,
      .context = execution.context,
      .cache = execution.cache,
      .scale = static_cast<float>(
          scale != 0 ? scale : 1.0 / std::sqrt(static_cast<double>(head_dim))),
      .window = CountAttribute(node, "window"),
      .soft_cap = static_cast<float>(NumberAttribute(node, "soft_cap")),
      .both_directions = WordAttribute(node, "direction") == "both"};
}

AttentionShape ShapeOf(const Model& model, const Node& node,
                       const Execution& execution) {
  const size_t width = model.value(node.output).ElementCount();
  return ShapeOf(node, width / CountAttribute(node, "heads"), execution);
}

size_t ScratchOfThread(const AttentionShape& shape) {
  const size_t bytes = kernels::AttentionScratchBytes(shape);
  return (bytes + kScratchAlignment - 1) / kScratchAlignment *
         kScratchAlignment;
}

// Whether float16 turns none of the numbers into an infinity.
bool FitsFloat16(const float* x, size_t n) {
  // From here on float16 rounds to infinity; what is infinite already may stay.
  constexpr float kTooLarge = 65520.0f;
  constexpr float kLargest = std::numeric_limits<float>::max();
  bool fits = true;
  for (size_t i = 0; i < n; ++i) {
    const float magnitude = std::fabs(x[i]);
    fits &= !(magnitude >= kTooLarge && magnitude <= kLargest);
  }
  return fits;
}

// A logit for each head; nullptr if there are none.
const float* Sinks(const Model& model, const Node& node) {
  if (node.weight.empty()) return nullptr;
  return model.file().Get(node.weight).Floats(model.path()).data();
}

class AttentionStep : public Step {
 public:
  AttentionStep(const Model& model, const Node& node,
                const AttentionShape& shape, const Execution& execution,
                const Binding& binding)
      : model_(model),
        node_(node),
        shape_(shape),
        execution_(execution),
        q_(static_cast<const float*>(binding.inputs[0])),
        k_(static_cast<const float*>(binding.inputs[1])),
        v_(static_cast<const float*>(binding.inputs[2])),
        sinks_(Sinks(model, node)),
        y_(binding.output),
        page_offset_(binding.page_offset),
        scratch_(static_cast<std::byte*>(binding.scratch)),
        scratch_of_thread_(ScratchOfThread(shape)) {}

  void Run(size_t m, const Call& call) override {
    if (shape_.both_directions) CheckWhole(call);
    const size_t kv_size = shape_.kv_heads * shape_.head_dim;
    if (shape_.cache == kernels::CacheType::kFloat16) {
      CheckFitsFloat16(k_, m * kv_size, "keys");
      CheckFitsFloat16(v_, m * kv_size, "values");
    }
    ParallelFor(
        execution_.executor, m, kStoreTile, [&](size_t begin, size_t end) {
          for (size_t row = begin; row < end; ++row) {
            const RowPlace& place = call.rows[row];
            kernels::StoreToken(shape_, place.position, k_ + row * kv_size,
                                v_ + row * kv_size, Cache(*place.sequence));
          }
        });
    // Each thread takes every n-th piece, so that all have about as many tokens
    // to look back at. A piece is a tile of tokens of a sequence and, if there
    // are several threads, one head of keys.
    const size_t workers = Cost(m, call).multiply_adds < kMinParallelWork
                               ? 1
                               : execution_.Threads();
    const size_t heads = workers == 1 ? shape_.kv_heads : 1;
    ParallelFor(execution_.executor, workers, 1, [&](size_t begin, size_t end) {
      for (size_t worker = begin; worker < end; ++worker) {
        size_t piece = 0;
        ForTiles(
            call, [&](const SequenceRows& rows, size_t first, size_t count) {
              for (size_t head = 0; head < shape_.kv_heads; head += heads) {
                if (piece++ % workers != worker) continue;
                execution_.CheckCancelled();
                Attend(rows, first, count, head, heads,
                       scratch_ + worker * scratch_of_thread_);
              }
            });
      }
    });
  }

  StepCost Cost(size_t, const Call& call) const override {
    // By all rows of a sequence together, and by each of them.
    uint64_t tokens = 0;
    uint64_t seen = 0;
    for (const SequenceRows& rows : call.sequences) {
      tokens += Seen(rows.position + rows.count, rows.count - 1);
    }
    for (const RowPlace& row : call.rows) seen += Seen(row.position + 1, 0);
    const uint64_t element_bytes =
        shape_.cache == kernels::CacheType::kFloat32   ? 4
        : shape_.cache == kernels::CacheType::kFloat16 ? 2
                                                       : 1;
    return {
        .bytes = 2 * tokens * shape_.kv_heads * shape_.head_dim * element_bytes,
        .multiply_adds = 2 * seen * shape_.heads * shape_.head_dim};
  }

 private:
  // What comes later would change the tokens that are there.
  void CheckWhole(const Call& call) const {
    for (const SequenceRows& rows : call.sequences) {
      if (rows.position == 0) continue;
      throw NodeError(
          model_, node_,
          TextOf("it sees in both directions, so a text comes in one "
                 "call, and ",
                 rows.position, " of its tokens came before"),
          ErrorCode::kInvalidArgument);
    }
  }

  // Throws: they would become infinities, and logits NaN or quietly wrong.
  void CheckFitsFloat16(const float* x, size_t n, const char* what) const {
    if (FitsFloat16(x, n)) return;
    throw NodeError(model_, node_,
                    TextOf(what,
                           " beyond 65504 do not fit a float16 cache; use a "
                           "float32 one (--cache float32, CacheType::kFloat32, "
                           "LUTRA_CACHE_FLOAT32)"),
                    ErrorCode::kUnsupported);
  }

  // Of `tokens` tokens, those that are in the window or at most `before` in
  // front of it.
  uint64_t Seen(uint64_t tokens, uint64_t before) const {
    return shape_.window == 0 ? tokens
                              : std::min(tokens, shape_.window + before);
  }

  // Calls body(sequence, row, count) for tiles of consecutive rows, `row` being
  // counted from the sequence's first.
  template <class Body>
  void ForTiles(const Call& call, const Body& body) const {
    const size_t tile = kernels::AttentionTile(shape_);
    for (const SequenceRows& rows : call.sequences) {
      for (size_t row = 0; row < rows.count; row += tile) {
        body(rows, row, std::min(tile, rows.count - row));
      }
    }
  }

  kernels::AttentionCache Cache(const SequenceRows& rows) const {
    return {rows.pages, page_offset_};
  }

  // `count` rows of a sequence, for `heads` heads of keys from `head` on.
  void Attend(const SequenceRows& rows, size_t row, size_t count, size_t head,
              size_t heads, void* scratch) const {
    const size_t offset = (rows.first + row) * shape_.heads * shape_.head_dim;
    kernels::AttendTokens(shape_,
                          {.position = rows.position + row,
                           .count = count,
                           .end = rows.position + rows.count,
                           .q = q_ + offset,
                           .sinks = sinks_,
                           .y = y_ + offset},
                          head, heads, Cache(rows), scratch);
  }

  const Model& model_;
  const Node& node_;
  AttentionShape shape_;
  Execution execution_;
  const float* q_;      // [m, heads, head_dim]
  const float* k_;      // [m, kv_heads, head_dim]
  const float* v_;      // [m, kv_heads, head_dim]
  const float* sinks_;  // [heads], or nullptr
  float* y_;            // [m, heads, head_dim]
  size_t page_offset_;
  std::byte* scratch_;
  size_t scratch_of_thread_;
};

// Vaswani et al., "Attention Is All You Need", 2017; heads of queries share
// keys and values as in Ainslie et al., "GQA", 2023.
class Attention : public Operator {
 public:
  Attention()
      : Operator({.name = "attention",
                  .inputs = 3,
                  .weight = TensorUse::kOptional,
                  .context = RowContext::kState,
                  .attributes = {RequiredCount("heads"),
                                 RequiredCount("kv_heads"),
                                 // 0 stands for 1 / sqrt(head_dim).
                                 {.name = "scale",
                                  .kind = AttributeKind::kNumber,
                                  .required = false,
                                  .high = 1e6},
                                 {.name = "window",
                                  .kind = AttributeKind::kCount,
                                  .required = false,
                                  .high = 1u << 31},
                                 {.name = "soft_cap",
                                  .kind = AttributeKind::kNumber,
                                  .required = false,
                                  .high = 1e6},
                                 {.name = "direction",
                                  .kind = AttributeKind::kWord,
                                  .required = false,
                                  .words = "back both"}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    for (const ValueInfo* input : inputs) {
      CheckFloatInput(model, node, *input, 1);
    }
    const size_t heads = CountAttribute(node, "heads");
    const size_t kv_heads = CountAttribute(node, "kv_heads");
    if (heads % kv_heads != 0) {
      throw NodeError(
          model, node,
          TextOf(heads, " heads cannot share ", kv_heads, " heads of keys"));
    }
    const auto q = static_cast<size_t>(inputs[0]->shape[0]);
    const auto kv = static_cast<int64_t>(q / heads * kv_heads);
    if (q % heads != 0 || inputs[1]->shape[0] != kv ||
        inputs[2]->shape[0] != kv) {
      throw NodeError(
          model, node,
          TextOf("inputs of shapes ", ShapeToString(inputs[0]->shape), ", ",
                 ShapeToString(inputs[1]->shape), " and ",
                 ShapeToString(inputs[2]->shape), " do not fit ", heads,
                 " heads and ", kv_heads, " heads of keys"));
    }
    if (!node.weight.empty()) CheckSinks(model, node, heads);
    return inputs[0]->shape;
  }

  size_t PageBytes(const Model& model, const Node& node,
                   const Execution& execution) const override {
    if (execution.context == 0) {
      throw NodeError(model, node,
                      "the file does not say how long a sequence may be "
                      "(lutra.context_length); a context must be given",
                      ErrorCode::kInvalidArgument);
    }
    const AttentionShape shape = ShapeOf(model, node, execution);
    if (!kernels::AttentionFits(shape)) {
      throw OutOfMemory(
          TextOf("a cache of ", execution.context, " tokens overflows memory"));
    }
    return kernels::AttentionPageBytes(shape);
  }

  // Layers that read the keys and values of another one have no cache of their
  // own.
  std::string PageContent(const Node& node) const override {
    return TextOf(CountAttribute(node, "kv_heads"), " heads of ",
                  node.inputs[1], "\0", node.inputs[2]);
  }

  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution, size_t) const override {
    return ScratchOfThread(ShapeOf(model, node, execution)) *
           execution.Threads();
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<AttentionStep>(
        model, node, ShapeOf(model, node, execution), execution, binding);
  }

 private:
  static void CheckSinks(const Model& model, const Node& node, size_t heads) {
    const TensorView& weight = model.file().Get(node.weight);
    if (weight.dtype != DType::kFloat32 ||
        weight.shape != std::vector<int64_t>{static_cast<int64_t>(heads)}) {
      throw Error::InTensor(
          model.path(), node.weight,
          TextOf("is ", Name(weight.dtype), " ", ShapeToString(weight.shape),
                 ", but sinks are F32 [", heads, "], one of each head"));
    }
    Sinks(model, node);  // throws where they are not aligned
  }
};

}  // namespace

const Operator& AttentionOperator() {
  static const Attention op;
  return op;
}

}  // namespace lutra
