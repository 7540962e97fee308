#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "lutra.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/session.h"
#include "runtime/out_of_memory.h"

struct lutra_model {
  std::shared_ptr<const lutra::Model> model;
};

struct lutra_session {
  lutra::Session session;
};

namespace {

// Fixed storage: reporting an error must not fail.
thread_local char last_error[1024] = "";

lutra_status Fail(lutra_status status, const char* cause) noexcept {
  std::snprintf(last_error, sizeof(last_error), "%s", cause);
  return status;
}

// Runs `body` and turns what it throws into a status; lutra::Error means
// `error_status`.
template <typename Body>
lutra_status Guard(lutra_status error_status, const Body& body) noexcept {
  try {
    body();
    return LUTRA_OK;
  } catch (const lutra::OutOfMemory& error) {
    return Fail(LUTRA_OUT_OF_MEMORY, error.what());
  } catch (const lutra::Error& error) {
    return Fail(error_status, error.what());
  } catch (const std::bad_alloc&) {
    return Fail(LUTRA_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return Fail(LUTRA_INTERNAL, error.what());
  } catch (...) {
    return Fail(LUTRA_INTERNAL, "unknown failure");
  }
}

lutra_status NullArgument(const char* name) noexcept {
  char cause[128];
  std::snprintf(cause, sizeof(cause), "%s is NULL", name);
  return Fail(LUTRA_INVALID_ARGUMENT, cause);
}

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

// Copies what caller and library both know of the options. Fields that only a
// newer caller knows must be zero: otherwise it asks for what we cannot do.
bool ReadOptions(const lutra_session_options& given,
                 lutra_session_options* options) {
  if (given.struct_size < sizeof(given.struct_size)) return false;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&given);
  if (std::any_of(bytes + std::min(sizeof(*options), given.struct_size),
                  bytes + given.struct_size,
                  [](unsigned char byte) { return byte != 0; })) {
    return false;
  }
  std::memcpy(options, &given, std::min(sizeof(*options), given.struct_size));
  return true;
}

bool ReadActivations(const lutra_session_options& options,
                     lutra::kernels::ActivationType* activations) {
  // A C program may have put any number there, which C++ may not read as the
  // enum.
  std::underlying_type_t<lutra_activations> value;
  std::memcpy(&value, &options.activations, sizeof(value));
  switch (value) {
    case LUTRA_ACTIVATIONS_INT8_ASYMMETRIC:
      *activations = lutra::kernels::ActivationType::kInt8Asymmetric;
      return true;
    case LUTRA_ACTIVATIONS_INT8_SYMMETRIC:
      *activations = lutra::kernels::ActivationType::kInt8Symmetric;
      return true;
    case LUTRA_ACTIVATIONS_FLOAT32:
      *activations = lutra::kernels::ActivationType::kFloat32;
      return true;
    default:
      return false;
  }
}

}  // namespace

extern "C" {

const char* lutra_version(void) { return LUTRA_VERSION; }

const char* lutra_last_error(void) { return last_error; }

lutra_status lutra_model_load(const char* path, lutra_model** model) {
  if (model == nullptr) return NullArgument("model");
  *model = nullptr;
  if (path == nullptr) return NullArgument("path");
  return Guard(LUTRA_INVALID_MODEL,
               [&] { *model = new lutra_model{lutra::Model::Load(path)}; });
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

void lutra_session_options_init_sized(lutra_session_options* options,
                                      size_t struct_size) {
  if (options == nullptr) return;
  lutra_session_options defaults = {};
  defaults.struct_size = struct_size;
  defaults.activations = LUTRA_ACTIVATIONS_INT8_ASYMMETRIC;
  std::memset(options, 0, struct_size);
  std::memcpy(options, &defaults, std::min(sizeof(defaults), struct_size));
}

lutra_status lutra_session_create(const lutra_model* model,
                                  const lutra_session_options* options,
                                  lutra_session** session) {
  if (session == nullptr) return NullArgument("session");
  *session = nullptr;
  if (model == nullptr) return NullArgument("model");
  lutra_session_options known;
  lutra_session_options_init(&known);
  if (options != nullptr && !ReadOptions(*options, &known)) {
    return Fail(LUTRA_INVALID_ARGUMENT,
                "options were not made by lutra_session_options_init, or ask "
                "for something newer than this library");
  }
  lutra::SessionOptions converted;
  converted.threads = known.threads;
  converted.pool = known.thread_pool;
  if (!ReadActivations(known, &converted.activations)) {
    return Fail(LUTRA_INVALID_ARGUMENT, "unknown activations");
  }
  return Guard(LUTRA_INVALID_ARGUMENT, [&] {
    *session = new lutra_session{lutra::Session(model->model, converted)};
  });
}

void lutra_session_free(lutra_session* session) { delete session; }

lutra_status lutra_session_prepare(lutra_session* session, size_t tokens) {
  if (session == nullptr) return NullArgument("session");
  return Guard(LUTRA_INVALID_ARGUMENT,
               [&] { session->session.Prepare(tokens); });
}

lutra_status lutra_session_run(lutra_session* session, size_t tokens,
                               const void* const* inputs, size_t input_count,
                               float* const* outputs, size_t output_count) {
  if (session == nullptr) return NullArgument("session");
  if (inputs == nullptr) return NullArgument("inputs");
  if (outputs == nullptr) return NullArgument("outputs");
  const auto is_null = [](const void* pointer) { return pointer == nullptr; };
  if (std::any_of(inputs, inputs + input_count, is_null)) {
    return NullArgument("one of the inputs");
  }
  if (std::any_of(outputs, outputs + output_count, is_null)) {
    return NullArgument("one of the outputs");
  }
  return Guard(LUTRA_INVALID_ARGUMENT, [&] {
    session->session.Run(tokens, {inputs, input_count},
                         {outputs, output_count});
  });
}

}  // extern "C"
