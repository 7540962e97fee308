// Loading of models by the C API.

#include <string_view>
#include <utility>

#include "lutra/runtime/load_options.h"
#include "runtime/capi/c_api.h"

using lutra::c_api::Fail;
using lutra::c_api::Guard;
using lutra::c_api::InitSized;
using lutra::c_api::NullArgument;
using lutra::c_api::ReadEnum;
using lutra::c_api::ReadSized;

namespace {

lutra_load_options Defaults() {
  lutra_load_options defaults = {};
  defaults.storage = LUTRA_STORAGE_IN_PLACE;
  defaults.name = "model";
  return defaults;
}

bool ReadStorage(const lutra_load_options& options, lutra::Storage* storage) {
  using lutra::Storage;
  constexpr std::pair<lutra_storage, Storage> kKnown[] = {
      {LUTRA_STORAGE_IN_PLACE, Storage::kInPlace},
      {LUTRA_STORAGE_COPY, Storage::kCopy},
      {LUTRA_STORAGE_HUGE_PAGES, Storage::kHugePages}};
  return ReadEnum(options.storage, kKnown, storage);
}

// load(name, options) gives the model. Throws nothing.
template <typename Load>
lutra_status LoadModel(const lutra_load_options* options, const void* source,
                       const char* source_name, lutra_model** model,
                       const Load& load) {
  if (model == nullptr) return NullArgument("model");
  *model = nullptr;
  if (source == nullptr) return NullArgument(source_name);
  lutra_load_options known = Defaults();
  if (options != nullptr) {
    const lutra_status status = ReadSized(*options, &known);
    if (status != LUTRA_OK) return status;
  }
  lutra::LoadOptions converted;
  converted.verify_checksums = known.verify_checksums != 0;
  if (!ReadStorage(known, &converted.storage)) {
    return Fail(LUTRA_INVALID_ARGUMENT, "unknown storage");
  }
  if (known.adapter != nullptr) converted.adapter = known.adapter;
  const std::string_view name =
      known.name == nullptr ? Defaults().name : known.name;
  return Guard([&] { *model = new lutra_model(load(name, converted)); });
}

}  // namespace

extern "C" {

void lutra_load_options_init_sized(lutra_load_options* options,
                                   size_t struct_size) {
  if (options != nullptr) InitSized(Defaults(), struct_size, options);
}

lutra_status lutra_model_load(const char* path, lutra_model** model) {
  return LoadModel(nullptr, path, "path", model,
                   [&](std::string_view, const lutra::LoadOptions&) {
                     return lutra::Model::Load(path);
                   });
}

lutra_status lutra_model_load_with(const char* path,
                                   const lutra_load_options* options,
                                   lutra_model** model) {
  return LoadModel(options, path, "path", model,
                   [&](std::string_view, const lutra::LoadOptions& how) {
                     return lutra::Model::Load(path, how);
                   });
}

lutra_status lutra_model_load_from_memory(const void* bytes, size_t size,
                                          const lutra_load_options* options,
                                          lutra_model** model) {
  return LoadModel(options, bytes, "bytes", model,
                   [&](std::string_view name, const lutra::LoadOptions& how) {
                     return lutra::Model::LoadMemory(
                         {static_cast<const std::byte*>(bytes), size}, name,
                         how);
                   });
}

lutra_status lutra_model_load_from_descriptor(int descriptor, uint64_t offset,
                                              uint64_t size,
                                              const lutra_load_options* options,
                                              lutra_model** model) {
  return LoadModel(options, &descriptor, "descriptor", model,
                   [&](std::string_view name, const lutra::LoadOptions& how) {
                     return lutra::Model::LoadDescriptor(descriptor, offset,
                                                         size, name, how);
                   });
}

}  // extern "C"
