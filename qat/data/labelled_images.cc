#include <zlib.h>

#include <string>

#include "lutra/qat/dataset.h"
#include "lutra/runtime/error.h"

namespace lutra::qat {

void LabelledImages::CheckGraph(const Graph& graph, size_t classes) const {
  if (count == 0) throw Error("the data set is empty");
  if (graph.inputs.size() != 1 || graph.outputs.size() != 1 ||
      graph.inputs[0].type != ValueType::kFloat32) {
    throw Error("training needs a graph with one float input and one output");
  }
  size_t features = 1;
  for (const int64_t size : graph.inputs[0].shape) {
    features *= static_cast<size_t>(size);
  }
  if (features != Features()) {
    throw Error("the graph takes " + std::to_string(features) +
                " values, the images have " + std::to_string(Features()));
  }
  if (Classes() > classes) {
    throw Error("the data has " + std::to_string(Classes()) +
                " classes, the graph tells " + std::to_string(classes) +
                " apart");
  }
}

// Rows are independent: one sequence holds them.
void LabelledImages::Load(Span<const uint32_t> samples, uint64_t /*epoch*/,
                          SampleBatch& batch) const {
  for (const uint32_t sample : samples) {
    const Span<const float> image = Image(sample);
    batch.floats.insert(batch.floats.end(), image.begin(), image.end());
    batch.targets.push_back(labels[sample]);
  }
  if (batch.sequences.empty()) batch.sequences.push_back({});
  batch.sequences[0].rows += samples.size();
}

uint32_t LabelledImages::Checksum() const {
  auto crc = crc32_z(0, labels.data(), labels.size());
  crc = crc32_z(crc, reinterpret_cast<const unsigned char*>(images.data()),
                images.size() * sizeof(float));
  return static_cast<uint32_t>(crc);
}

}  // namespace lutra::qat
