#ifndef LUTRA_PACKER_IMPORT_TOKENIZERS_ONIGURUMA_H_
#define LUTRA_PACKER_IMPORT_TOKENIZERS_ONIGURUMA_H_

#include <string>
#include <string_view>

#include "runtime/base/json_object.h"

namespace lutra::packer {

// A regular expression of tokenizer.json, written for Oniguruma with its syntax
// of Ruby (https://github.com/kkos/oniguruma/blob/master/doc/RE), as PCRE2
// spells the same one. Most patterns read alike in both; what has another
// meaning is put in other words or refused by name: Error, with `object`'s
// place. Whether the result is valid shows when it is compiled.
std::string PcrePattern(const JsonObject& object, std::string_view regex);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_TOKENIZERS_ONIGURUMA_H_
