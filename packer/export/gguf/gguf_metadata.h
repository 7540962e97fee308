#ifndef LUTRA_PACKER_EXPORT_GGUF_GGUF_METADATA_H_
#define LUTRA_PACKER_EXPORT_GGUF_GGUF_METADATA_H_

#include <string>
#include <utility>
#include <vector>

#include "packer/export/export_tensors.h"
#include "packer/export/gguf/gguf_writer.h"
#include "packer/import/gguf/gguf_architectures.h"

namespace lutra::packer {

// Writes what the metadata of a file says of the network. Throws Error for what
// it cannot say, as far as that shows here: CheckGgufNetwork finds the rest.
void WriteGgufNetwork(const ExportTensors& source,
                      const GgufArchitecture& architecture, GgufWriter& writer);

// Of Qwen 3.5.
ValueHeads ValueHeadsOf(const ExportTensors& source);

// Tensors that go into the frequencies of the rotary embedding where the
// metadata alone gives others than the model's. Throws Error where a file has
// no place for that.
std::vector<std::pair<std::string, std::vector<float>>> FrequencyTensors(
    const ExportTensors& source, const GgufArchitecture& architecture);

// Reads the head and these tensors of the file `path` and throws Error if that
// does not describe the model's network.
void CheckGgufNetwork(const ExportTensors& source, const std::string& path);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_EXPORT_GGUF_GGUF_METADATA_H_
