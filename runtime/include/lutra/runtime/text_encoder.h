#ifndef LUTRA_RUNTIME_TEXT_ENCODER_H_
#define LUTRA_RUNTIME_TEXT_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/program.h"

namespace lutra {

// The output of models that make a vector of a text (sentence-transformers).
inline constexpr std::string_view kEmbeddingOutput = "embedding";

// A program on such a model: the ids of texts go in, a vector for each comes
// out, of length 1 if the model says so. Their inner products are then the
// similarities of the texts.
//
//   auto model = Model::Load("minilm.safetensors");
//   auto tokenizer = Tokenizer::FromModel(*model);
//   TextEncoder encoder(model);
//   auto vector = encoder.Encode(tokenizer->Encode("A text", true));
//
// One thread at a time.
class TextEncoder {
 public:
  // Whether the model has one input, int32 ids of shape [], and one output of
  // shape [dimension] that is called "embedding".
  static bool Accepts(const Model& model);

  // Throws Error, also if the model is not accepted.
  explicit TextEncoder(std::shared_ptr<const Model> model,
                       const ProgramOptions& options = {});

  const Model& model() const { return program_.model(); }
  Program& program() { return program_; }
  // Numbers of a vector, and the most tokens of a text.
  size_t dimension() const { return dimension_; }
  size_t context() const { return program_.context(); }

  // The vector of a text, with the special tokens that the model expects.
  // Throws Error for no ids, ids outside the vocabulary and more than the
  // context.
  std::vector<float> Encode(Span<const int32_t> ids);
  // Those of several texts, [texts, dimension], in one call, which costs less;
  // the bits are the same if all weights are packed.
  std::vector<float> EncodeAll(Span<const std::vector<int32_t>> texts);

 private:
  Program program_;
  size_t dimension_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TEXT_ENCODER_H_
