#ifndef LUTRA_PACKER_IMPORT_GGUF_GGUF_CHAT_H_
#define LUTRA_PACKER_IMPORT_GGUF_GGUF_CHAT_H_

#include <optional>

#include "lutra/runtime/chat_data.h"
#include "packer/import/gguf/gguf_file.h"

namespace lutra::packer {

// The chat templates in a file's metadata and the special tokens that they see.
// Nothing if there is none. Throws Error.
std::optional<ChatData> ReadGgufChat(const GgufFile& file);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_GGUF_GGUF_CHAT_H_
