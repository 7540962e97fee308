#include "bindings/python/src/arrays.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "lutra/runtime/error.h"

namespace nb = nanobind;

namespace lutra::python {
namespace {

nb::module_ Numpy() { return nb::module_::import_("numpy"); }

std::string TypeName(nb::handle value) {
  const nb::object dtype = nb::getattr(value, "dtype", nb::none());
  return dtype.is_none() ? nb::type_name(value.type()).c_str()
                         : nb::str(dtype).c_str();
}

bool IsSequence(nb::handle value) {
  return nb::isinstance<nb::list>(value) || nb::isinstance<nb::tuple>(value);
}

}  // namespace

FloatArray ReadFloats(nb::handle value, const std::string& what) {
  FloatArray array;
  if (nb::try_cast(value, array, /*convert=*/false)) return array;
  const nb::module_ numpy = Numpy();
  const nb::object plain = numpy.attr("asarray")(value);
  const bool fits =
      IsSequence(value)
          ? nb::cast<std::string>(plain.attr("dtype").attr("kind")) != "O"
          : nb::cast<bool>(plain.attr("dtype").attr("__eq__")("float32"));
  if (!fits) {
    throw nb::type_error((what + " takes float32, not " + TypeName(value) +
                          "; convert it by astype(numpy.float32)")
                             .c_str());
  }
  const nb::object contiguous =
      numpy.attr("ascontiguousarray")(plain, "float32");
  // Its result has one dimension at least.
  return nb::cast<FloatArray>(contiguous.attr("reshape")(plain.attr("shape")));
}

WritableFloats ReadWritable(nb::handle value, const std::string& what) {
  WritableFloats array;
  if (nb::try_cast(value, array, /*convert=*/false)) return array;
  throw nb::type_error(
      (what +
       " must be a writable, contiguous array of float32 in the CPU's memory")
          .c_str());
}

std::vector<int32_t> ReadIds(nb::handle value, const std::string& what,
                             size_t most) {
  const auto check = [&](size_t dimensions) {
    if (dimensions <= most) return;
    throw Error(what + " has " + std::to_string(dimensions) +
                " dimensions, not " + std::to_string(most));
  };
  nb::ndarray<const int32_t, nb::ro, nb::c_contig, nb::device::cpu> ids;
  if (nb::try_cast(value, ids, /*convert=*/false)) {
    check(ids.ndim());
    return {ids.data(), ids.data() + ids.size()};
  }
  const nb::module_ numpy = Numpy();
  nb::object plain = numpy.attr("asarray")(value);
  const auto kind = nb::cast<std::string>(plain.attr("dtype").attr("kind"));
  const bool empty = nb::cast<size_t>(plain.attr("size")) == 0;
  if (kind != "i" && kind != "u" && !(empty && IsSequence(value))) {
    throw nb::type_error(
        (what + " takes whole numbers, not " + TypeName(plain)).c_str());
  }
  check(nb::cast<size_t>(plain.attr("ndim")));
  plain = numpy.attr("ascontiguousarray")(plain, "int64");
  const auto wide =
      nb::cast<nb::ndarray<const int64_t, nb::ro, nb::c_contig>>(plain);
  std::vector<int32_t> narrow(wide.size());
  for (size_t i = 0; i < wide.size(); ++i) {
    narrow[i] = static_cast<int32_t>(wide.data()[i]);
    if (narrow[i] != wide.data()[i]) {
      throw Error(what + ": " + std::to_string(wide.data()[i]) +
                  " is no int32");
    }
  }
  return narrow;
}

std::vector<int64_t> ShapeOf(const FloatArray& array) {
  std::vector<int64_t> shape(array.ndim());
  for (size_t i = 0; i < shape.size(); ++i) {
    shape[i] = static_cast<int64_t>(array.shape(i));
  }
  return shape;
}

NewArray MakeArray(const std::vector<size_t>& shape) {
  size_t size = 1;
  for (const size_t extent : shape) size *= extent;
  auto data = std::make_unique_for_overwrite<float[]>(size);
  float* const values = data.get();
  const nb::capsule owner(data.release(), [](void* p) noexcept {
    delete[] static_cast<float*>(p);
  });
  return {nb::cast(nb::ndarray<nb::numpy, float>(values, shape.size(),
                                                 shape.data(), owner)),
          values};
}

nb::object CopyToArray(Span<const float> values,
                       const std::vector<size_t>& shape) {
  const NewArray result = MakeArray(shape);
  std::copy(values.begin(), values.end(), result.data);
  return result.array;
}

}  // namespace lutra::python
