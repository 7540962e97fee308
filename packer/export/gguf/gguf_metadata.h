#ifndef LUTRA_PACKER_EXPORT_GGUF_GGUF_METADATA_H_
#define LUTRA_PACKER_EXPORT_GGUF_GGUF_METADATA_H_

#include <vector>

#include "packer/export/export_tensors.h"
#include "packer/export/gguf/gguf_writer.h"
#include "packer/import/gguf/gguf_architectures.h"

namespace lutra::packer {

// Writes what the metadata of a file says of the network. Throws Error for what
// it cannot say, as far as that shows here: CheckGgufNetwork finds the rest.
void WriteGgufNetwork(const ExportTensors& source,
                      const GgufArchitecture& architecture, GgufWriter& writer);

// What the frequencies of the rotary embedding are to be divided by where the
// metadata gives others than the model's; empty where it gives them. Throws
// Error where a file has no place for that.
std::vector<float> FrequencyDivisors(const ExportTensors& source,
                                     const GgufArchitecture& architecture);

// Reads the head of the file `path` and throws Error if that does not describe
// the model's network.
void CheckGgufNetwork(const ExportTensors& source, const std::string& path);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_EXPORT_GGUF_GGUF_METADATA_H_
