// Tokenizer, text stream and sampler of the C API.

#include <span>
#include <string>
#include <string_view>

#include "lutra/runtime/log_probability.h"
#include "lutra/runtime/sampler.h"
#include "runtime/capi/c_api.h"

using lutra::c_api::Guard;
using lutra::c_api::InitSized;
using lutra::c_api::NullArgument;
using lutra::c_api::ReadSized;

struct lutra_text_stream {
  std::shared_ptr<const lutra::Tokenizer> tokenizer;
  lutra::TextStream stream;
  std::string text;
};

struct lutra_sampler {
  lutra::Sampler sampler;
};

std::shared_ptr<const lutra::Tokenizer> lutra_model::RequireTokenizer() const {
  std::call_once(once_,
                 [this] { tokenizer_ = lutra::Tokenizer::FromModel(*model); });
  if (tokenizer_ == nullptr) {
    throw lutra::Error::InFile(model->path(), "has no tokenizer",
                               lutra::ErrorCode::kNotFound);
  }
  return tokenizer_;
}

namespace {

// next() gives the text.
template <typename Next>
lutra_status Show(lutra_text_stream* stream, const char** text, size_t* bytes,
                  const Next& next) {
  if (stream == nullptr) return NullArgument("stream");
  if (text == nullptr) return NullArgument("text");
  return Guard([&] {
    stream->text = next();
    *text = stream->text.c_str();
    if (bytes != nullptr) *bytes = stream->text.size();
  });
}

lutra_status Sample(lutra_sampler* sampler, const float* logits, size_t count,
                    std::span<const uint32_t> allowed, int32_t* id) {
  if (sampler == nullptr) return NullArgument("sampler");
  if (logits == nullptr) return NullArgument("logits");
  if (id == nullptr) return NullArgument("id");
  return Guard([&] {
    *id = sampler->sampler.Sample(std::span(logits, count), allowed);
  });
}

}  // namespace

extern "C" {

lutra_status lutra_model_encode(const lutra_model* model, const char* text,
                                size_t bytes, int add_special, int32_t* ids,
                                size_t capacity, size_t* count) {
  if (count == nullptr) return NullArgument("count");
  *count = 0;
  if (model == nullptr) return NullArgument("model");
  if (text == nullptr && bytes > 0) return NullArgument("text");
  if (ids == nullptr && capacity > 0) return NullArgument("ids");
  return Guard([&] {
    const std::string_view view(text == nullptr ? "" : text, bytes);
    const auto tokenizer = model->RequireTokenizer();
    const std::vector<int32_t> encoded =
        add_special == LUTRA_SPECIAL_PROMPT
            ? tokenizer->EncodePrompt(view)
            : tokenizer->Encode(view, add_special != LUTRA_SPECIAL_NONE);
    std::copy_n(encoded.begin(), std::min(capacity, encoded.size()), ids);
    *count = encoded.size();
  });
}

lutra_status lutra_model_decode(const lutra_model* model, const int32_t* ids,
                                size_t count, char* text, size_t capacity,
                                size_t* bytes) {
  if (bytes == nullptr) return NullArgument("bytes");
  *bytes = 0;
  if (model == nullptr) return NullArgument("model");
  if (ids == nullptr && count > 0) return NullArgument("ids");
  if (text == nullptr && capacity > 0) return NullArgument("text");
  return Guard([&] {
    const std::string decoded =
        model->RequireTokenizer()->Decode(std::span(ids, count));
    std::copy_n(decoded.begin(), std::min(capacity, decoded.size()), text);
    *bytes = decoded.size();
  });
}

lutra_status lutra_model_is_end(const lutra_model* model, int32_t id,
                                int* is_end) {
  if (model == nullptr) return NullArgument("model");
  if (is_end == nullptr) return NullArgument("is_end");
  return Guard([&] { *is_end = model->RequireTokenizer()->IsEnd(id) ? 1 : 0; });
}

lutra_status lutra_model_is_unused(const lutra_model* model, int32_t id,
                                   int* is_unused) {
  if (model == nullptr) return NullArgument("model");
  if (is_unused == nullptr) return NullArgument("is_unused");
  return Guard([&] {
    const auto tokenizer = model->RequireTokenizer();
    // Rows that the tokenizer does not know pad the vocabulary, too.
    const bool padding =
        id >= 0 && static_cast<size_t>(id) >= tokenizer->size() &&
        static_cast<size_t>(id) < lutra_model_vocabulary(model);
    *is_unused = padding || tokenizer->IsUnused(id) ? 1 : 0;
  });
}

lutra_status lutra_text_stream_create(const lutra_model* model, int continues,
                                      lutra_text_stream** stream) {
  if (stream == nullptr) return NullArgument("stream");
  *stream = nullptr;
  if (model == nullptr) return NullArgument("model");
  return Guard([&] {
    auto tokenizer = model->RequireTokenizer();
    lutra::TextStream texts(*tokenizer, continues != 0);
    *stream = new lutra_text_stream{std::move(tokenizer), std::move(texts), ""};
  });
}

lutra_status lutra_text_stream_add(lutra_text_stream* stream, int32_t id,
                                   const char** text, size_t* bytes) {
  return Show(stream, text, bytes, [&] { return stream->stream.Add(id); });
}

lutra_status lutra_text_stream_flush(lutra_text_stream* stream,
                                     const char** text, size_t* bytes) {
  return Show(stream, text, bytes, [&] { return stream->stream.Flush(); });
}

void lutra_text_stream_free(lutra_text_stream* stream) { delete stream; }

void lutra_sampler_options_init_sized(lutra_sampler_options* options,
                                      size_t struct_size) {
  if (options == nullptr) return;
  const lutra::SamplerOptions own;
  lutra_sampler_options defaults = {};
  defaults.temperature = own.temperature;
  defaults.repetition_penalty = own.repetition_penalty;
  defaults.repetition_window = own.repetition_window;
  defaults.top_k = own.top_k;
  defaults.top_p = own.top_p;
  defaults.min_p = own.min_p;
  defaults.seed = own.seed;
  InitSized(defaults, struct_size, options);
}

lutra_status lutra_sampler_create(const lutra_sampler_options* options,
                                  size_t vocabulary, lutra_sampler** sampler) {
  if (sampler == nullptr) return NullArgument("sampler");
  *sampler = nullptr;
  lutra_sampler_options known;
  lutra_sampler_options_init(&known);
  if (options != nullptr) {
    const lutra_status status = ReadSized(*options, &known);
    if (status != LUTRA_OK) return status;
  }
  lutra::SamplerOptions converted;
  converted.temperature = known.temperature;
  converted.repetition_penalty = known.repetition_penalty;
  converted.repetition_window = known.repetition_window;
  converted.top_k = known.top_k;
  converted.top_p = known.top_p;
  converted.min_p = known.min_p;
  converted.seed = known.seed;
  return Guard([&] {
    *sampler = new lutra_sampler{lutra::Sampler(converted, vocabulary)};
  });
}

void lutra_sampler_free(lutra_sampler* sampler) { delete sampler; }

lutra_status lutra_sampler_sample(lutra_sampler* sampler, const float* logits,
                                  size_t count, int32_t* id) {
  return Sample(sampler, logits, count, {}, id);
}

lutra_status lutra_sampler_sample_allowed(lutra_sampler* sampler,
                                          const float* logits, size_t count,
                                          const uint32_t* allowed,
                                          int32_t* id) {
  if (allowed == nullptr) return NullArgument("allowed");
  return Sample(sampler, logits, count, {allowed, lutra::TokenMaskWords(count)},
                id);
}

lutra_status lutra_sampler_accept(lutra_sampler* sampler, int32_t id) {
  if (sampler == nullptr) return NullArgument("sampler");
  return Guard([&] { sampler->sampler.Accept(id); });
}

lutra_status lutra_sampler_reset(lutra_sampler* sampler) {
  if (sampler == nullptr) return NullArgument("sampler");
  return Guard([&] { sampler->sampler.Reset(); });
}

lutra_status lutra_log_probability(const float* logits, size_t count,
                                   int32_t id, float* log_probability) {
  if (logits == nullptr) return NullArgument("logits");
  if (log_probability == nullptr) return NullArgument("log_probability");
  return Guard([&] {
    *log_probability = lutra::LogProbability(std::span(logits, count), id);
  });
}

lutra_status lutra_top_log_probabilities(const float* logits, size_t count,
                                         size_t top, int32_t* ids,
                                         float* log_probabilities) {
  if (logits == nullptr) return NullArgument("logits");
  if (ids == nullptr) return NullArgument("ids");
  if (log_probabilities == nullptr) return NullArgument("log_probabilities");
  return Guard([&] {
    const auto tokens =
        lutra::TopLogProbabilities(std::span(logits, count), top);
    for (size_t i = 0; i < tokens.size(); ++i) {
      ids[i] = tokens[i].id;
      log_probabilities[i] = tokens[i].log_probability;
    }
  });
}

}  // extern "C"
