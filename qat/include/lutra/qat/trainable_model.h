#ifndef LUTRA_QAT_TRAINABLE_MODEL_H_
#define LUTRA_QAT_TRAINABLE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/qat/scheme.h"
#include "lutra/qat/tensor.h"
#include "lutra/runtime/graph.h"
#include "lutra/runtime/safetensors.h"

namespace lutra::qat {

// A graph with float weights in memory, to be changed by training.
struct TrainableModel {
  Graph graph;
  TensorMap parameters;  // by the names that the graph's nodes use

  // What the file has besides, which training leaves as it is: metadata of the
  // model (its context, where it comes from), and tensors that no node uses
  // (its tokenizer).
  struct OtherTensor {
    TensorInfo info;
    std::vector<std::byte> bytes;
  };
  std::map<std::string, std::string> metadata = {};
  std::vector<OtherTensor> others = {};
  // Of parameters that are packed in the file, as they are there: these are not
  // trained (TrainOptions::frozen), and are written as they were.
  std::map<std::string, OtherTensor, std::less<>> packed = {};
};

// A multilayer perceptron: linear layers fc1, fc2 ... with biases and kRelu
// between them, from `features` to `classes` (logits). Weights and biases are
// uniform in +-1/sqrt(K), the same for a seed on every machine. Throws
// lutra::Error for sizes that are 0 or above 2^24.
TrainableModel MakeMlp(size_t features, Span<const size_t> hidden,
                       size_t classes, uint64_t seed);

enum class PackedWeights {
  kRefuse,
  kUnpack,  // the parameters are the floats that the blobs stand for
};

// Reads a model file with float weights, of 16 bits too, which become float32.
// Throws lutra::Error, also for weights that are not finite, or packed unless
// these are wanted.
TrainableModel LoadTrainableModel(
    const std::filesystem::path& path,
    PackedWeights packed = PackedWeights::kRefuse);

// Writes a model file; `schemes` (may be empty) says on which grid which weight
// lies, `extra_metadata` is added to the model's own. The file appears when it
// is complete. Throws lutra::Error.
void WriteModel(const std::filesystem::path& path, const TrainableModel& model,
                const SchemeMap& schemes,
                const std::map<std::string, std::string>& extra_metadata = {});

// The schemes that rules give to the weights of a model's linear and embedding
// nodes, for the length of their rows; weights that stay float have none.
SchemeMap ResolveSchemes(const TrainableModel& model, const SchemeRules& rules);

// The weights that rules are about, in the order of the graph; one that several
// nodes share appears once.
std::vector<RuleTarget> RuleTargets(const Graph& graph);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAINABLE_MODEL_H_
