#include "lutra/eval/buffers.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "lutra/packer/weights.h"

namespace lutra::eval {
namespace {

// Both types of values have four bytes.
constexpr size_t kValueBytes = 4;

// Ids of `input` must be below this.
int64_t IdLimit(const Model& model, const std::string& input) {
  int64_t limit = std::numeric_limits<int32_t>::max();
  for (const Node& node : model.graph().nodes) {
    if (node.op != OpType::kEmbedding || node.inputs[0] != input) continue;
    for (const packer::Weight& weight : packer::Weights(model)) {
      if (weight.name == node.weight) limit = std::min(limit, weight.n);
    }
  }
  return limit;
}

template <typename T>
void Store(T value, size_t index, std::byte* bytes) {
  static_assert(sizeof(T) == kValueBytes);
  std::memcpy(bytes + index * sizeof(T), &value, sizeof(T));
}

}  // namespace

Buffers::Buffers(const Model& model, size_t m) {
  for (const ValueInfo& input : model.inputs()) {
    input_token_bytes_.push_back(input.ElementCount() * kValueBytes);
    inputs_.emplace_back(m * input_token_bytes_.back());
    input_pointers_.push_back(inputs_.back().data());
  }
  for (const ValueInfo& output : model.outputs()) {
    outputs_.emplace_back(m * output.ElementCount());
    output_pointers_.push_back(outputs_.back().data());
  }
}

void Buffers::Run(Session& session, size_t tokens) {
  session.Run(tokens, input_pointers_, output_pointers_);
}

void FillRandomly(const Model& model, uint32_t seed, Buffers& buffers) {
  // Numbers straight from the generator: the standard's distributions differ
  // between libraries.
  std::mt19937 generator(seed);
  for (size_t i = 0; i < model.inputs().size(); ++i) {
    const ValueInfo& input = model.inputs()[i];
    std::byte* const bytes = buffers.input(i);
    const bool ids = input.type == ValueType::kInt32;
    const int64_t limit = ids ? IdLimit(model, input.name) : 0;
    for (size_t j = 0; j < buffers.InputBytes(i) / kValueBytes; ++j) {
      const auto random = static_cast<uint32_t>(generator());
      if (ids) {
        Store(static_cast<int32_t>(random % limit), j, bytes);
      } else {
        Store(static_cast<float>(random >> 8) * 0x1p-23f - 1.0f, j, bytes);
      }
    }
  }
}

}  // namespace lutra::eval
