#ifndef LUTRA_TESTS_FUZZ_DAMAGE_H_
#define LUTRA_TESTS_FUZZ_DAMAGE_H_

#include <string>

#include "tests/mutator.h"

// Damage that leaves whole what is around the damaged place. Inputs may have
// any bytes: what has not the expected form is damaged as bytes.

namespace lutra::fuzz {

std::string DamageBytes(Mutator& mutator, const std::string& bytes);
std::string DamageJson(Mutator& mutator, const std::string& text);
// Safetensors: the header as JSON, JSON in its metadata, or a tensor, which if
// it is a LUT matrix has the right checksum.
std::string DamageContainer(Mutator& mutator, const std::string& bytes);
// An input of files.h: one of its files, according to its name.
std::string DamageFiles(Mutator& mutator, const std::string& input);

}  // namespace lutra::fuzz

#endif  // LUTRA_TESTS_FUZZ_DAMAGE_H_
