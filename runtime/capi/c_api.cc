#include "runtime/capi/c_api.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/runtime/log.h"
#include "runtime/capi/executors.h"

// A language model where the model is one, so that tokens can be fed.
namespace lutra::c_api {
namespace {

// Fixed storage: reporting an error must not fail.
thread_local char last_error[1024] = "";

}  // namespace

lutra_status Fail(lutra_status status, const char* cause) noexcept {
  std::snprintf(last_error, sizeof(last_error), "%s", cause);
  return status;
}

lutra_status CheckPointers(const void* const* inputs, size_t input_count,
                           float* const* outputs,
                           size_t output_count) noexcept {
  if (inputs == nullptr) return NullArgument("inputs");
  if (outputs == nullptr) return NullArgument("outputs");
  const auto is_null = [](const void* pointer) { return pointer == nullptr; };
  if (std::any_of(inputs, inputs + input_count, is_null)) {
    return NullArgument("one of the inputs");
  }
  if (std::any_of(outputs, outputs + output_count, is_null)) {
    return NullArgument("one of the outputs");
  }
  return LUTRA_OK;
}

lutra_status NullArgument(const char* name) noexcept {
  char cause[128];
  std::snprintf(cause, sizeof(cause), "%s is NULL", name);
  return Fail(LUTRA_INVALID_ARGUMENT, cause);
}

lutra_status StatusOf(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return LUTRA_INVALID_ARGUMENT;
    case ErrorCode::kNotFound:
      return LUTRA_NOT_FOUND;
    case ErrorCode::kNoPermission:
      return LUTRA_NO_PERMISSION;
    case ErrorCode::kIo:
      return LUTRA_IO;
    case ErrorCode::kDamaged:
      return LUTRA_DAMAGED;
    case ErrorCode::kUnsupported:
      return LUTRA_UNSUPPORTED;
    case ErrorCode::kContextFull:
      return LUTRA_CONTEXT_FULL;
    case ErrorCode::kOutOfMemory:
      return LUTRA_OUT_OF_MEMORY;
    case ErrorCode::kNoThreads:
      return LUTRA_NO_THREADS;
    case ErrorCode::kCancelled:
      return LUTRA_CANCELLED;
    case ErrorCode::kInternal:
      break;
  }
  return LUTRA_INTERNAL;
}

}  // namespace lutra::c_api

namespace {

using lutra::c_api::CheckPointers;
using lutra::c_api::Fail;
using lutra::c_api::Guard;
using lutra::c_api::InitSized;
using lutra::c_api::last_error;
using lutra::c_api::NullArgument;
using lutra::c_api::NumberOf;
using lutra::c_api::ReadEnum;
using lutra::c_api::ReadSized;

#define LUTRA_STRING_OF(x) #x
#define LUTRA_STRING(x) LUTRA_STRING_OF(x)
#define LUTRA_HEADER_VERSION        \
  LUTRA_STRING(LUTRA_VERSION_MAJOR) \
  "." LUTRA_STRING(LUTRA_VERSION_MINOR) "." LUTRA_STRING(LUTRA_VERSION_PATCH)

lutra_status FillInfo(const std::vector<lutra::ValueInfo>& values, size_t index,
                      lutra_value_info* info) noexcept {
  if (index >= values.size()) {
    return Fail(LUTRA_INVALID_ARGUMENT, "index is out of range");
  }
  const lutra::ValueInfo& value = values[index];
  *info = {};
  info->name = value.name.c_str();
  info->type =
      value.type == lutra::ValueType::kInt32 ? LUTRA_INT32 : LUTRA_FLOAT32;
  info->rank = value.shape.size();  // Model::Load limits it
  std::copy(value.shape.begin(), value.shape.end(), info->shape);
  info->elements = value.ElementCount();
  return LUTRA_OK;
}

bool ReadActivations(const lutra_session_options& options,
                     lutra::ActivationChoice* activations) {
  using lutra::kernels::ActivationType;
  using lutra::kernels::kActivationTypes;
  const auto is = [](lutra_activations number, ActivationType type) {
    return static_cast<int>(number) == static_cast<int>(type);
  };
  static_assert(
      is(LUTRA_ACTIVATIONS_INT8_ASYMMETRIC, ActivationType::kInt8Asymmetric) &&
      is(LUTRA_ACTIVATIONS_INT8_SYMMETRIC, ActivationType::kInt8Symmetric) &&
      is(LUTRA_ACTIVATIONS_FLOAT32, ActivationType::kFloat32) &&
      is(LUTRA_ACTIVATIONS_INT8_PER_GROUP, ActivationType::kInt8PerGroup) &&
      is(LUTRA_ACTIVATIONS_BFLOAT16, ActivationType::kBFloat16));
  const auto number = static_cast<unsigned>(NumberOf(options.activations));
  static_assert(LUTRA_ACTIVATIONS_MODEL == std::size(kActivationTypes));
  if (number == LUTRA_ACTIVATIONS_MODEL) {
    activations->reset();
    return true;
  }
  if (number >= std::size(kActivationTypes)) return false;
  *activations = kActivationTypes[number].type;
  return true;
}

bool ReadCache(const lutra_session_options& options,
               std::optional<lutra::CacheType>* cache) {
  using lutra::CacheType;
  constexpr std::pair<lutra_cache, std::optional<CacheType>> kKnown[] = {
      {LUTRA_CACHE_MODEL, std::nullopt},
      {LUTRA_CACHE_FLOAT16, CacheType::kFloat16},
      {LUTRA_CACHE_FLOAT32, CacheType::kFloat32},
      {LUTRA_CACHE_INT8, CacheType::kInt8}};
  return ReadEnum(options.cache, kKnown, cache);
}

}  // namespace

extern "C" {

static_assert(std::string_view(LUTRA_VERSION) == LUTRA_HEADER_VERSION,
              "lutra.h and CMakeLists.txt have different versions");

const char* lutra_version(void) { return LUTRA_VERSION; }

const char* lutra_last_error(void) { return last_error; }

void lutra_set_log(lutra_log_callback callback, void* context,
                   lutra_log_level most) {
  static_assert(static_cast<int>(lutra::LogLevel::kInfo) == LUTRA_LOG_INFO);
  const auto level = NumberOf(most) >= LUTRA_LOG_INFO
                         ? lutra::LogLevel::kInfo
                         : lutra::LogLevel::kWarning;
  // A failure to set it is not worth a status: two pointers need no memory.
  Guard([&] {
    if (callback == nullptr) return lutra::SetLog({});
    lutra::SetLog(
        [callback, context](lutra::LogLevel of, const std::string& message) {
          callback(context, static_cast<lutra_log_level>(of), message.c_str());
        },
        level);
  });
}

void lutra_model_free(lutra_model* model) { delete model; }

size_t lutra_model_input_count(const lutra_model* model) {
  return model == nullptr ? 0 : model->model->inputs().size();
}

size_t lutra_model_output_count(const lutra_model* model) {
  return model == nullptr ? 0 : model->model->outputs().size();
}

lutra_status lutra_model_input(const lutra_model* model, size_t index,
                               lutra_value_info* info) {
  if (model == nullptr) return NullArgument("model");
  if (info == nullptr) return NullArgument("info");
  return FillInfo(model->model->inputs(), index, info);
}

lutra_status lutra_model_output(const lutra_model* model, size_t index,
                                lutra_value_info* info) {
  if (model == nullptr) return NullArgument("model");
  if (info == nullptr) return NullArgument("info");
  return FillInfo(model->model->outputs(), index, info);
}

void lutra_executor_init_sized(lutra_executor* executor, size_t struct_size) {
  if (executor != nullptr) InitSized({}, struct_size, executor);
}

void lutra_session_options_init_sized(lutra_session_options* options,
                                      size_t struct_size) {
  if (options == nullptr) return;
  lutra_session_options defaults = {};
  defaults.activations = LUTRA_ACTIVATIONS_MODEL;
  defaults.cache = LUTRA_CACHE_MODEL;
  InitSized(defaults, struct_size, options);
}

lutra_status lutra_session_create(const lutra_model* model,
                                  const lutra_session_options* options,
                                  lutra_session** session) {
  if (session == nullptr) return NullArgument("session");
  *session = nullptr;
  if (model == nullptr) return NullArgument("model");
  lutra_session_options known;
  lutra_session_options_init(&known);
  if (options != nullptr) {
    const lutra_status status = ReadSized(*options, &known);
    if (status != LUTRA_OK) return status;
  }
  lutra::LanguageModelOptions converted;
  converted.session.threads = known.threads;
  converted.session.context = known.context;
  if (known.chunk > 0) converted.chunk = known.chunk;
  if (!ReadActivations(known, &converted.session.activations)) {
    return Fail(LUTRA_INVALID_ARGUMENT, "unknown activations");
  }
  if (!ReadCache(known, &converted.session.cache)) {
    return Fail(LUTRA_INVALID_ARGUMENT, "unknown cache");
  }
  return Guard([&] {
    using lutra::LanguageModel;
    using lutra::Session;
    const auto& shared = model->model;
    auto executor = lutra::c_api::MakeExecutor(known);
    converted.session.executor = executor.get();
    *session = LanguageModel::Accepts(*shared)
                   ? new lutra_session(std::in_place_type<LanguageModel>,
                                       shared, converted, std::move(executor))
                   : new lutra_session(std::in_place_type<Session>, shared,
                                       converted.session, std::move(executor));
  });
}

void lutra_session_free(lutra_session* session) { delete session; }

lutra_status lutra_session_prepare(lutra_session* session, size_t tokens) {
  if (session == nullptr) return NullArgument("session");
  return Guard([&] { session->session().Prepare(tokens); });
}

lutra_status lutra_session_run(lutra_session* session, size_t tokens,
                               const void* const* inputs, size_t input_count,
                               float* const* outputs, size_t output_count) {
  if (session == nullptr) return NullArgument("session");
  const lutra_status status =
      CheckPointers(inputs, input_count, outputs, output_count);
  if (status != LUTRA_OK) return status;
  return Guard([&] {
    session->session().Run(tokens, {inputs, input_count},
                           {outputs, output_count});
  });
}

size_t lutra_session_position(const lutra_session* session) {
  return session == nullptr ? 0 : session->session().position();
}

size_t lutra_session_context(const lutra_session* session) {
  return session == nullptr ? 0 : session->session().context();
}

lutra_status lutra_session_reset(lutra_session* session) {
  if (session == nullptr) return NullArgument("session");
  return Guard([&] { session->session().Reset(); });
}

lutra_status lutra_session_rewind(lutra_session* session, size_t position) {
  if (session == nullptr) return NullArgument("session");
  return Guard([&] { session->session().Rewind(position); });
}

void lutra_session_cancel(lutra_session* session) {
  if (session != nullptr) session->session().Cancel();
}

void lutra_memory_report_init_sized(lutra_memory_report* report,
                                    size_t struct_size) {
  if (report != nullptr) InitSized({}, struct_size, report);
}

lutra_status lutra_session_memory(const lutra_session* session,
                                  lutra_memory_report* report) {
  if (session == nullptr) return NullArgument("session");
  if (report == nullptr) return NullArgument("report");
  const size_t size = report->struct_size;
  if (size < sizeof(size)) {
    return Fail(LUTRA_INVALID_ARGUMENT,
                "the report was not made by lutra_memory_report_init");
  }
  return Guard([&] {
    const lutra::MemoryReport memory = session->session().Memory();
    lutra_memory_report values = {};
    values.weights = memory.weights;
    values.arena = memory.arena;
    values.state = memory.state;
    InitSized(values, size, report);
  });
}

size_t lutra_model_vocabulary(const lutra_model* model) {
  if (model == nullptr || !lutra::LanguageModel::Accepts(*model->model)) {
    return 0;
  }
  return model->model->outputs()[0].ElementCount();
}

lutra_status lutra_session_feed(lutra_session* session, const int32_t* ids,
                                size_t count, const float** logits) {
  if (session == nullptr) return NullArgument("session");
  if (ids == nullptr) return NullArgument("ids");
  auto* language = std::get_if<lutra::LanguageModel>(&session->any);
  if (language == nullptr) {
    return Fail(LUTRA_INVALID_ARGUMENT,
                "the model is no language model: run it by lutra_session_run");
  }
  return Guard([&] {
    const std::span<const float> result = language->Feed({ids, count});
    if (logits != nullptr) *logits = result.data();
  });
}

}  // extern "C"
