#ifndef LUTRA_PACKER_EXPORT_TOKENIZER_FILES_H_
#define LUTRA_PACKER_EXPORT_TOKENIZER_FILES_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lutra/runtime/model.h"

namespace lutra::packer {

// The files that a Hugging Face folder has for the model's tokenizer and chat
// templates, by name: tokenizer.json, tokenizer_config.json and
// generation_config.json. None if the model has no tokenizer. Throws Error,
// naming the model's file, for what they cannot say.
// `padding`: the id that fills up texts; -1: not known.
std::vector<std::pair<std::string, std::string>> TokenizerFiles(
    const Model& model, int64_t padding);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_EXPORT_TOKENIZER_FILES_H_
