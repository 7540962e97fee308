#ifndef LUTRA_TESTS_FUZZ_USE_MODEL_H_
#define LUTRA_TESTS_FUZZ_USE_MODEL_H_

#include <memory>
#include <string>

#include "lutra/runtime/model.h"

namespace lutra {
class ModelBuilder;
}

namespace lutra::fuzz {

// Reads the tokenizer and chat templates of a model, and runs a few rows on one
// thread, unless its values are large.
void UseModel(const std::shared_ptr<const Model>& model);

// The bytes of a model file.
std::string BytesOf(const ModelBuilder& builder);

}  // namespace lutra::fuzz

#endif  // LUTRA_TESTS_FUZZ_USE_MODEL_H_
