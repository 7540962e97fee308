// Sequences of the C API.

#include <span>
#include <utility>
#include <vector>

#include "lutra/runtime/sequence.h"
#include "lutra/runtime/text_encoder.h"
#include "runtime/capi/c_api.h"

using lutra::c_api::CheckPointers;
using lutra::c_api::Fail;
using lutra::c_api::Guard;
using lutra::c_api::NullArgument;

struct lutra_sequence {
  lutra::Sequence sequence;
};

namespace {

// make() gives the sequence. Throws nothing.
template <typename Make>
lutra_status MakeSequence(const void* from, const char* name,
                          lutra_sequence** sequence, const Make& make) {
  if (sequence == nullptr) return NullArgument("sequence");
  *sequence = nullptr;
  if (from == nullptr) return NullArgument(name);
  return Guard([&] { *sequence = new lutra_sequence{make()}; });
}

lutra_status CheckRows(const lutra_rows* rows, size_t count) {
  if (rows == nullptr) return NullArgument("rows");
  for (size_t i = 0; i < count; ++i) {
    if (rows[i].sequence == nullptr)
      return NullArgument("one of the sequences");
  }
  return LUTRA_OK;
}

}  // namespace

extern "C" {

lutra_status lutra_session_embed(lutra_session* session, const int32_t* ids,
                                 size_t count, float* vector) {
  if (session == nullptr) return NullArgument("session");
  if (ids == nullptr) return NullArgument("ids");
  if (vector == nullptr) return NullArgument("vector");
  return Guard([&] {
    lutra::Program& program = session->session().program();
    const lutra::Model& model = program.model();
    if (!lutra::TextEncoder::Accepts(model)) {
      throw lutra::Error::InFile(model.path(), "makes no vectors of texts",
                                 lutra::ErrorCode::kInvalidArgument);
    }
    lutra::Sequence sequence = program.NewSequence();
    const lutra::Program::Rows rows = {&sequence, count};
    const void* const in = ids;
    program.RunLast({&rows, 1}, {&in, 1}, {&vector, 1});
  });
}

lutra_status lutra_sequence_create(const lutra_session* session,
                                   lutra_sequence** sequence) {
  return MakeSequence(session, "session", sequence, [&] {
    return session->session().program().NewSequence();
  });
}

lutra_status lutra_session_fork(const lutra_session* session,
                                lutra_sequence** sequence) {
  return MakeSequence(session, "session", sequence,
                      [&] { return session->session().sequence().Fork(); });
}

lutra_status lutra_sequence_fork(const lutra_sequence* sequence,
                                 lutra_sequence** fork) {
  return MakeSequence(sequence, "sequence", fork,
                      [&] { return sequence->sequence.Fork(); });
}

void lutra_sequence_free(lutra_sequence* sequence) { delete sequence; }

size_t lutra_sequence_position(const lutra_sequence* sequence) {
  return sequence == nullptr ? 0 : sequence->sequence.position();
}

lutra_status lutra_sequence_truncate(lutra_sequence* sequence,
                                     size_t position) {
  if (sequence == nullptr) return NullArgument("sequence");
  return Guard([&] { sequence->sequence.Truncate(position); });
}

lutra_status lutra_sequence_save(const lutra_sequence* sequence, void* bytes,
                                 size_t capacity, size_t* size) {
  if (size == nullptr) return NullArgument("size");
  *size = 0;
  if (sequence == nullptr) return NullArgument("sequence");
  if (bytes == nullptr && capacity > 0) return NullArgument("bytes");
  return Guard([&] {
    const std::vector<std::byte> saved = sequence->sequence.Save();
    if (saved.size() <= capacity) {
      std::memcpy(bytes, saved.data(), saved.size());
    }
    *size = saved.size();
  });
}

lutra_status lutra_sequence_restore(const lutra_session* session,
                                    const void* bytes, size_t size,
                                    lutra_sequence** sequence) {
  if (bytes == nullptr && size > 0) {
    if (sequence != nullptr) *sequence = nullptr;
    return NullArgument("bytes");
  }
  return MakeSequence(session, "session", sequence, [&] {
    return session->session().program().Restore(
        {static_cast<const std::byte*>(bytes), size});
  });
}

lutra_status lutra_session_run_rows(lutra_session* session,
                                    const lutra_rows* rows, size_t row_count,
                                    int last_only, const void* const* inputs,
                                    size_t input_count, float* const* outputs,
                                    size_t output_count) {
  if (session == nullptr) return NullArgument("session");
  lutra_status status = CheckRows(rows, row_count);
  if (status != LUTRA_OK) return status;
  status = CheckPointers(inputs, input_count, outputs, output_count);
  if (status != LUTRA_OK) return status;
  return Guard([&] {
    std::vector<lutra::Program::Rows> calls;
    for (size_t i = 0; i < row_count; ++i) {
      calls.push_back({&rows[i].sequence->sequence, rows[i].count});
    }
    lutra::Program& program = session->session().program();
    if (last_only != 0) {
      program.RunLast(calls, {inputs, input_count}, {outputs, output_count});
    } else {
      program.Run(calls, {inputs, input_count}, {outputs, output_count});
    }
  });
}

lutra_status lutra_session_feed_rows(lutra_session* session,
                                     const lutra_rows* rows, size_t row_count,
                                     const int32_t* ids, const float** logits) {
  if (session == nullptr) return NullArgument("session");
  const lutra_status status = CheckRows(rows, row_count);
  if (status != LUTRA_OK) return status;
  if (ids == nullptr) return NullArgument("ids");
  auto* language = std::get_if<lutra::LanguageModel>(&session->any);
  if (language == nullptr) {
    return Fail(LUTRA_INVALID_ARGUMENT,
                "the model is no language model: run it by "
                "lutra_session_run_rows");
  }
  return Guard([&] {
    std::vector<lutra::LanguageModel::Tokens> tokens;
    const int32_t* next = ids;
    for (size_t i = 0; i < row_count; ++i) {
      tokens.push_back({&rows[i].sequence->sequence, {next, rows[i].count}});
      next += rows[i].count;
    }
    const std::span<const float> result = language->FeedAll(tokens);
    if (logits != nullptr) *logits = result.data();
  });
}

}  // extern "C"
