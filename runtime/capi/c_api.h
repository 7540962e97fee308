#ifndef LUTRA_RUNTIME_CAPI_C_API_H_
#define LUTRA_RUNTIME_CAPI_C_API_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <type_traits>
#include <utility>
#include <variant>

#include "lutra.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/language_model.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/session.h"
#include "lutra/runtime/tokenizer.h"

// What the parts of the C API share.

struct lutra_model {
  explicit lutra_model(std::shared_ptr<const lutra::Model> loaded)
      : model(std::move(loaded)) {}

  // Read on first use, by whichever thread. Throws lutra::Error.
  std::shared_ptr<const lutra::Tokenizer> RequireTokenizer() const;

  const std::shared_ptr<const lutra::Model> model;

 private:
  mutable std::once_flag once_;
  mutable std::shared_ptr<const lutra::Tokenizer> tokenizer_;
};

struct lutra_session {
  template <typename Kind, typename Options>
  lutra_session(std::in_place_type_t<Kind> kind,
                std::shared_ptr<const lutra::Model> model,
                const Options& options, std::unique_ptr<lutra::Executor> of_app)
      : executor(std::move(of_app)), any(kind, std::move(model), options) {}

  lutra::Session& session() {
    auto* language = std::get_if<lutra::LanguageModel>(&any);
    return language ? language->session() : std::get<lutra::Session>(any);
  }
  const lutra::Session& session() const {
    return const_cast<lutra_session*>(this)->session();
  }

  const std::unique_ptr<lutra::Executor> executor;  // of the app's threads
  std::variant<lutra::Session, lutra::LanguageModel> any;
};

namespace lutra::c_api {

// Sets what lutra_last_error returns on this thread; must not fail.
lutra_status Fail(lutra_status status, const char* cause) noexcept;
// "`name` is NULL".
lutra_status NullArgument(const char* name) noexcept;
// NullArgument if a pointer is missing among those that a call takes.
lutra_status CheckPointers(const void* const* inputs, size_t input_count,
                           float* const* outputs, size_t output_count) noexcept;

lutra_status StatusOf(ErrorCode code) noexcept;

// Runs `body` and turns what it throws into a status.
template <typename Body>
lutra_status Guard(const Body& body) noexcept {
  try {
    body();
    return LUTRA_OK;
  } catch (const Error& error) {
    return Fail(StatusOf(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return Fail(LUTRA_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return Fail(LUTRA_INTERNAL, error.what());
  } catch (...) {
    return Fail(LUTRA_INTERNAL, "unknown failure");
  }
}

// A C program may have put any number into an enum, which C++ may not read as
// one.
template <typename Enum>
int NumberOf(const Enum& value) {
  std::underlying_type_t<Enum> number;
  std::memcpy(&number, &value, sizeof(number));
  return static_cast<int>(number);
}

// Sets *value to what stands beside the given number among the known ones;
// false if it is none of them.
template <typename Enum, typename Value, size_t count>
bool ReadEnum(const Enum& given, const std::pair<Enum, Value> (&known)[count],
              Value* value) {
  for (const auto& [number, meaning] : known) {
    if (NumberOf(given) != NumberOf(number)) continue;
    *value = meaning;
    return true;
  }
  return false;
}

// Structs whose first field is struct_size, as large as the caller knows them.
//
// Fills *out, `struct_size` bytes, with `values` and zeros.
template <typename Struct>
void InitSized(Struct values, size_t struct_size, Struct* out) noexcept {
  static_assert(std::is_trivially_copyable_v<Struct>);
  values.struct_size = struct_size;
  std::memset(static_cast<void*>(out), 0, struct_size);
  std::memcpy(out, &values, std::min(sizeof(values), struct_size));
}

// Copies what caller and library both know to *known, which holds the defaults.
// Fields that only a newer caller knows must be zero: otherwise it asks for
// what we cannot do.
template <typename Struct>
lutra_status ReadSized(const Struct& given, Struct* known) noexcept {
  static_assert(std::is_trivially_copyable_v<Struct>);
  constexpr size_t kKnown = sizeof(Struct);
  const size_t size = given.struct_size;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&given);
  if (size < sizeof(size) ||
      std::any_of(bytes + std::min(kKnown, size), bytes + size,
                  [](unsigned char byte) { return byte != 0; })) {
    return Fail(LUTRA_INVALID_ARGUMENT,
                "options were not made by their init macro, or ask for "
                "something newer than this library");
  }
  std::memcpy(known, &given, std::min(kKnown, size));
  return LUTRA_OK;
}

}  // namespace lutra::c_api

#endif  // LUTRA_RUNTIME_CAPI_C_API_H_
