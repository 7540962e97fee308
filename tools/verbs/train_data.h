#ifndef LUTRA_TOOLS_VERBS_TRAIN_DATA_H_
#define LUTRA_TOOLS_VERBS_TRAIN_DATA_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "lutra/qat/samples.h"

namespace lutra::tools {

// How texts become samples.
struct TextDataOptions {
  size_t length = 256;  // tokens of a window
  std::string separator = "<|endoftext|>";
  uint64_t seed = 1;
};

// Whether a model file is trained on texts: it takes ids.
bool TakesText(const std::string& model);

// Windows of a text file or a folder of them, by the model's tokenizer. Throws
// lutra::Error.
std::unique_ptr<qat::Samples> LoadTextSamples(const std::string& model,
                                              const std::string& path,
                                              const TextDataOptions& options);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_TRAIN_DATA_H_
