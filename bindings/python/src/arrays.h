#ifndef LUTRA_BINDINGS_PYTHON_SRC_ARRAYS_H_
#define LUTRA_BINDINGS_PYTHON_SRC_ARRAYS_H_

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/model.h"

// Arrays of callers: numpy's, torch's on the CPU, and whatever else speaks
// DLPack or the buffer protocol. All functions need the GIL.

namespace lutra::python {

using FloatArray = nanobind::ndarray<const float, nanobind::ro,
                                     nanobind::c_contig, nanobind::device::cpu>;
using WritableFloats =
    nanobind::ndarray<float, nanobind::c_contig, nanobind::device::cpu>;

// Float32 values of any shape, where they lie if that is row by row; else in a
// copy that does. Throws TypeError for another type, naming `what`; lists of
// numbers are converted.
FloatArray ReadFloats(nanobind::handle value, const std::string& what);

// Float32 values that are written to where they lie. Throws TypeError for
// anything that has another type, is not contiguous or may not be written.
WritableFloats ReadWritable(nanobind::handle value, const std::string& what);

// Whole numbers of any type, in order. Throws TypeError for others, and
// InvalidArgumentError for those that are no int32, and for more than `most`
// dimensions.
std::vector<int32_t> ReadIds(nanobind::handle value, const std::string& what,
                             size_t most = 1);

std::vector<int64_t> ShapeOf(const FloatArray& array);

// A new numpy array, which owns its memory and is not initialised.
struct NewArray {
  nanobind::object array;
  float* data = nullptr;
};
NewArray MakeArray(const std::vector<size_t>& shape);
nanobind::object CopyToArray(Span<const float> values,
                             const std::vector<size_t>& shape);

}  // namespace lutra::python

#endif  // LUTRA_BINDINGS_PYTHON_SRC_ARRAYS_H_
