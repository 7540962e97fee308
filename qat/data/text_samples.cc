#include "lutra/qat/text_samples.h"

#include <zlib.h>

#include <algorithm>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/random.h"

namespace lutra::qat {

TextSamples::TextSamples(std::vector<int32_t> ids, const TextOptions& options)
    : ids_(std::move(ids)), options_(options), step_(options.length) {
  if (options.length == 0) throw Error("a window needs at least one token");
  // Windows may begin anywhere in the first step_ ids, and without a token of
  // its own in front a window takes one more.
  const size_t window = step_ + (options.begin ? 0 : 1);
  if (ids_.size() < step_ + window) {
    throw Error("the text has " + std::to_string(ids_.size()) +
                " tokens; windows of " + std::to_string(options.length) +
                " need at least " + std::to_string(step_ + window));
  }
  count_ = (ids_.size() - step_ - window) / step_ + 1;
}

void TextSamples::CheckGraph(const Graph& graph, size_t classes) const {
  if (graph.inputs.size() != 1 || graph.inputs[0].type != ValueType::kInt32 ||
      !graph.inputs[0].shape.empty()) {
    throw Error("texts need a graph whose only input are ids");
  }
  const int32_t largest = std::max(*std::max_element(ids_.begin(), ids_.end()),
                                   options_.begin.value_or(0));
  if (largest < 0 || static_cast<size_t>(largest) >= classes) {
    throw Error("the text has the id " + std::to_string(largest) +
                ", the graph tells " + std::to_string(classes) + " apart");
  }
}

void TextSamples::Load(Span<const uint32_t> samples, uint64_t epoch,
                       SampleBatch& batch) const {
  size_t first = 0;
  if (epoch > 0) {
    // A stream of its own: the order of an epoch is drawn from the same seed.
    Random random(options_.seed, ~epoch);
    first = static_cast<size_t>(random.Below(step_));
  }
  for (const uint32_t sample : samples) {
    const auto begin =
        ids_.begin() + static_cast<ptrdiff_t>(first + sample * step_);
    const auto length = static_cast<ptrdiff_t>(options_.length);
    if (options_.begin) {
      batch.ids.push_back(*options_.begin);
      batch.ids.insert(batch.ids.end(), begin, begin + length - 1);
      batch.targets.insert(batch.targets.end(), begin, begin + length);
    } else {
      batch.ids.insert(batch.ids.end(), begin, begin + length);
      batch.targets.insert(batch.targets.end(), begin + 1, begin + length + 1);
    }
    batch.sequences.push_back({.rows = options_.length});
  }
}

uint32_t TextSamples::Checksum() const {
  const auto crc =
      crc32_z(0, reinterpret_cast<const unsigned char*>(ids_.data()),
              ids_.size() * sizeof(int32_t));
  return static_cast<uint32_t>(crc);
}

}  // namespace lutra::qat
