#ifndef LUTRA_RUNTIME_IO_SAFETENSORS_FORMAT_H_
#define LUTRA_RUNTIME_IO_SAFETENSORS_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lutra {

// The header length is a uint64 in little-endian order.
inline constexpr size_t kLengthBytes = sizeof(uint64_t);
// The limit of the original implementation.
inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;
// The key of the header that is not a tensor.
inline constexpr std::string_view kMetadataName = "__metadata__";

}  // namespace lutra

#endif  // LUTRA_RUNTIME_IO_SAFETENSORS_FORMAT_H_
