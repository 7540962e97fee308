#ifndef LUTRA_PACKER_IMPORT_SILERO_VAD_SILERO_VAD_H_
#define LUTRA_PACKER_IMPORT_SILERO_VAD_SILERO_VAD_H_

#include <filesystem>

namespace lutra::packer {

// Whether a safetensors file has the detector's tensors.
bool IsSileroVad(const std::filesystem::path& path);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_SILERO_VAD_SILERO_VAD_H_
