#ifndef LUTRA_BINDINGS_PYTHON_SRC_MODEL_H_
#define LUTRA_BINDINGS_PYTHON_SRC_MODEL_H_

#include <nanobind/nanobind.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "lutra/runtime/model.h"
#include "lutra/runtime/program.h"

namespace lutra::python {

// What Python calls a Model. Immutable.
struct PyModel {
  std::shared_ptr<const Model> model;
};

// A model, or the path of one, which is then loaded.
using ModelOrPath = std::variant<const PyModel*, std::filesystem::path>;
std::shared_ptr<const Model> ModelOf(const ModelOrPath& model);

// The options of sessions by their names in Python. Throws Error.
ProgramOptions MakeProgramOptions(size_t threads, size_t context,
                                  const std::optional<std::string>& activations,
                                  const std::optional<std::string>& cache);

}  // namespace lutra::python

#endif  // LUTRA_BINDINGS_PYTHON_SRC_MODEL_H_
