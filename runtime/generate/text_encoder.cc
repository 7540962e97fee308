#include "lutra/runtime/text_encoder.h"

#include <string>
#include <utility>

#include "lutra/runtime/error.h"

namespace lutra {
namespace {

std::shared_ptr<const Model> CheckedEncoder(
    std::shared_ptr<const Model> model) {
  if (model == nullptr) throw Error("text encoder: no model given");
  if (!TextEncoder::Accepts(*model)) {
    throw Error::InFile(model->path(),
                        "makes no vectors of texts: it must have one input, "
                        "int32 of shape [], and one output of shape "
                        "[dimension] called 'embedding'",
                        ErrorCode::kInvalidArgument);
  }
  return model;
}

}  // namespace

bool TextEncoder::Accepts(const Model& model) {
  return model.inputs().size() == 1 && model.outputs().size() == 1 &&
         model.inputs()[0].type == ValueType::kInt32 &&
         model.inputs()[0].shape.empty() &&
         model.outputs()[0].shape.size() == 1 &&
         model.outputs()[0].name == kEmbeddingOutput;
}

TextEncoder::TextEncoder(std::shared_ptr<const Model> model,
                         const ProgramOptions& options)
    : program_(CheckedEncoder(std::move(model)), options),
      dimension_(program_.model().outputs()[0].ElementCount()) {}

std::vector<float> TextEncoder::Encode(Span<const int32_t> ids) {
  const std::vector<int32_t> text(ids.begin(), ids.end());
  return EncodeAll({&text, 1});
}

std::vector<float> TextEncoder::EncodeAll(
    Span<const std::vector<int32_t>> texts) {
  std::vector<int32_t> ids;
  std::vector<Sequence> sequences;
  sequences.reserve(texts.size());
  std::vector<Program::Rows> rows;
  for (const std::vector<int32_t>& text : texts) {
    if (text.empty()) {
      throw Error::InFile(model().path(), "a text has no tokens",
                          ErrorCode::kInvalidArgument);
    }
    ids.insert(ids.end(), text.begin(), text.end());
    sequences.push_back(program_.NewSequence());
    rows.push_back({&sequences.back(), text.size()});
  }
  std::vector<float> vectors(texts.size() * dimension_);
  if (texts.empty()) return vectors;
  const void* const in = ids.data();
  float* const out = vectors.data();
  program_.RunLast(rows, {&in, 1}, {&out, 1});
  return vectors;
}

}  // namespace lutra
