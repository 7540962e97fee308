#include "lutra/runtime/language_model.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"

namespace lutra {
namespace {

// More logits than this are not kept at once by Score; a matter of memory.
constexpr size_t kMaxScores = size_t{1} << 22;

std::shared_ptr<const Model> Checked(std::shared_ptr<const Model> model) {
  if (model == nullptr) throw Error("language model: no model given");
  if (!LanguageModel::Accepts(*model)) {
    throw Error::InFile(model->path(),
                        "is not a language model: it must have one input, "
                        "int32 of shape [], and one output of shape "
                        "[vocabulary]");
  }
  return model;
}

size_t CheckedChunk(size_t chunk) {
  if (!std::has_single_bit(chunk)) {
    throw Error("language model: the chunk must be a power of two, not " +
                std::to_string(chunk));
  }
  return chunk;
}

}  // namespace

bool LanguageModel::Accepts(const Model& model) {
  return model.inputs().size() == 1 && model.outputs().size() == 1 &&
         model.inputs()[0].type == ValueType::kInt32 &&
         model.inputs()[0].shape.empty() &&
         model.outputs()[0].shape.size() == 1;
}

LanguageModel::LanguageModel(std::shared_ptr<const Model> model,
                             const LanguageModelOptions& options)
    : session_(Checked(std::move(model)), options.session),
      chunk_(CheckedChunk(options.chunk)),
      logits_(session_.model().outputs()[0].ElementCount()) {
  session_.PrepareLast(1);
}

void LanguageModel::CheckRoom(size_t count) const {
  if (count == 0) {
    throw Error::InFile(model().path(), "no tokens were given to feed");
  }
  if (context() == 0 || count <= context() - position()) return;
  throw Error::InFile(
      model().path(),
      "the context of " + std::to_string(context()) +
          " tokens is too short: " + std::to_string(position()) +
          " are fed and " + std::to_string(count) + " more were given");
}

Span<const float> LanguageModel::Feed(Span<const int32_t> ids) {
  CheckRoom(ids.size());
  while (!ids.empty()) {
    const size_t m = std::min(chunk_, std::bit_floor(ids.size()));
    const void* const inputs[] = {ids.data()};
    float* const outputs[] = {logits_.data()};
    session_.RunLast(m, inputs, outputs);
    ids = ids.subspan(m);
  }
  return logits_;
}

void LanguageModel::Score(Span<const int32_t> ids, const EachToken& each) {
  CheckRoom(ids.size());
  const size_t width = vocabulary();
  const size_t most =
      std::min(chunk_, std::bit_floor(std::max<size_t>(1, kMaxScores / width)));
  scores_.resize(most * width);
  for (size_t done = 0; done < ids.size();) {
    const size_t m = std::min(most, std::bit_floor(ids.size() - done));
    const void* const inputs[] = {ids.data() + done};
    float* const outputs[] = {scores_.data()};
    session_.Run(m, inputs, outputs);
    for (size_t i = 0; i < m; ++i) {
      each(done + i, Span<const float>(scores_).subspan(i * width, width));
    }
    done += m;
  }
}

}  // namespace lutra
