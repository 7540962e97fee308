#include "lutra/runtime/language_model.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/text_encoder.h"

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
                        "[vocabulary]",
                        ErrorCode::kInvalidArgument);
  }
  return model;
}

size_t CheckedChunk(size_t chunk) {
  if (chunk == 0) {
    throw Error("language model: the chunk must be at least one token");
  }
  return chunk;
}

}  // namespace

bool LanguageModel::Accepts(const Model& model) {
  return model.inputs().size() == 1 && model.outputs().size() == 1 &&
         model.inputs()[0].type == ValueType::kInt32 &&
         model.inputs()[0].shape.empty() &&
         model.outputs()[0].shape.size() == 1 &&
         model.outputs()[0].name != kEmbeddingOutput;
}

struct LanguageModel::Part {
  size_t first = 0;  // sequence of its first row
  Span<const Program::Rows> rows;
  const void* ids = nullptr;
  size_t count = 0;  // tokens
};

LanguageModel::LanguageModel(std::shared_ptr<const Model> model,
                             const LanguageModelOptions& options)
    : session_(Checked(std::move(model)), options.session),
      chunk_(CheckedChunk(options.chunk)),
      vocabulary_(session_.model().outputs()[0].ElementCount()),
      logits_(vocabulary_),
      ids_(1) {
  rows_.reserve(1);
  session_.PrepareLast(1);
}

void LanguageModel::CheckRoom(Span<const Tokens> tokens) const {
  for (const auto& [sequence, ids] : tokens) {
    const size_t count = ids.size();
    if (count == 0) {
      throw Error::InFile(model().path(), "no tokens were given to feed",
                          ErrorCode::kInvalidArgument);
    }
    if (sequence == nullptr) {
      throw Error::InFile(model().path(), "no sequence was given to feed",
                          ErrorCode::kInvalidArgument);
    }
    const size_t position = sequence->position();
    if (context() == 0 || count <= context() - position) continue;
    throw Error::InFile(
        model().path(),
        "the context of " + std::to_string(context()) +
            " tokens is too short: " + std::to_string(position) +
            " are fed and " + std::to_string(count) + " more were given",
        ErrorCode::kContextFull);
  }
}

template <class Run>
void LanguageModel::ForEachPart(Span<const Tokens> tokens, size_t most,
                                const Run& run) {
  CheckRoom(tokens);
  ids_.resize(std::max(ids_.size(), most));
  size_t sequence = 0;
  size_t done = 0;  // of its tokens
  while (sequence < tokens.size()) {
    Part part{.first = sequence, .rows = {}, .ids = ids_.data(), .count = 0};
    rows_.clear();
    while (sequence < tokens.size() && part.count < most) {
      const Span<const int32_t> ids = tokens[sequence].ids.subspan(done);
      const size_t count = std::min(ids.size(), most - part.count);
      std::copy(ids.begin(), ids.begin() + count, &ids_[part.count]);
      rows_.push_back({tokens[sequence].sequence, count});
      part.count += count;
      done += count;
      if (count == ids.size()) {
        ++sequence;
        done = 0;
      }
    }
    part.rows = rows_;
    run(part);
  }
}

Span<const float> LanguageModel::Feed(Span<const int32_t> ids) {
  const Tokens tokens = {&session_.sequence(), ids};
  return FeedAll({&tokens, 1});
}

Span<const float> LanguageModel::FeedAll(Span<const Tokens> tokens) {
  size_t count = 0;
  for (const Tokens& t : tokens) count += t.ids.size();
  const size_t most = std::min(chunk_, std::max<size_t>(1, count));
  // Few sizes, as each that is larger than all before takes a new arena.
  program().Reserve(std::min(chunk_, std::bit_ceil(most)),
                    std::min(chunk_, std::bit_ceil(tokens.size())));
  logits_.resize(std::max(logits_.size(), tokens.size() * vocabulary_));
  ForEachPart(tokens, most, [&](const Part& part) {
    // A sequence that goes on in the next part gets its last logits there.
    float* const outputs[] = {&logits_[part.first * vocabulary_]};
    program().RunLast(part.rows, {&part.ids, 1}, outputs);
  });
  return {logits_.data(), tokens.size() * vocabulary_};
}

void LanguageModel::Score(Span<const int32_t> ids, const EachToken& each) {
  const Tokens tokens = {&session_.sequence(), ids};
  ScoreAll({&tokens, 1}, [&](size_t, size_t index, Span<const float> logits) {
    each(index, logits);
  });
}

void LanguageModel::ScoreAll(Span<const Tokens> tokens,
                             const EachTokenOf& each) {
  const size_t most =
      std::min(chunk_, std::max<size_t>(1, kMaxScores / vocabulary_));
  scores_.resize(most * vocabulary_);
  size_t sequence = 0;
  size_t index = 0;  // of its next token
  ForEachPart(tokens, most, [&](const Part& part) {
    float* const outputs[] = {scores_.data()};
    program().Run(part.rows, {&part.ids, 1}, outputs);
    for (size_t i = 0; i < part.count; ++i) {
      each(sequence, index,
           Span<const float>(scores_).subspan(i * vocabulary_, vocabulary_));
      if (++index == tokens[sequence].ids.size()) {
        ++sequence;
        index = 0;
      }
    }
  });
}

}  // namespace lutra
