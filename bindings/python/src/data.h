#ifndef LUTRA_BINDINGS_PYTHON_SRC_DATA_H_
#define LUTRA_BINDINGS_PYTHON_SRC_DATA_H_

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "lutra/qat/samples.h"
#include "lutra/runtime/model.h"

namespace lutra::python {

// What a model is run over to calibrate it: for models of tokens the path of a
// text file or of a folder of them, a list of texts, or ids, cut into windows
// of `length` tokens; for others an array [samples, ...]. `samples` is the
// most that count, spread evenly; 0: 64 windows, or all samples.
struct Data {
  std::unique_ptr<qat::Samples> samples;
  size_t most = 0;

  std::vector<uint32_t> Which() const;
};

// Throws Error, TypeError. Needs the GIL.
Data ReadData(const Model& model, nanobind::handle data, size_t length,
              size_t samples);

}  // namespace lutra::python

#endif  // LUTRA_BINDINGS_PYTHON_SRC_DATA_H_
