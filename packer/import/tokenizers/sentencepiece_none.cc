// Builds without sentencepiece.

#include "lutra/runtime/error.h"
#include "packer/import/tokenizers/tokenizers.h"

namespace lutra::packer {

TokenizerData ReadSentencePieceTokenizer(const std::filesystem::path& path) {
  throw Error::InFile(path.string(),
                      "this build of lutra cannot read sentencepiece models "
                      "(it lacks the library)");
}

}  // namespace lutra::packer
