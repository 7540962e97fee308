#include "bindings/python/src/model.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <utility>
#include <vector>

#include "bindings/python/src/arrays.h"
#include "bindings/python/src/module.h"
#include "lutra/kernels/activation_type.h"
#include "lutra/packer/weights.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/safetensors.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra::python {
namespace {

// bfloat16 and the 8-bit floats, which numpy does not know, come as bits.
nb::dlpack::dtype TypeOf(DType type) {
  const auto of = [](nb::dlpack::dtype_code code, DType dtype) {
    return nb::dlpack::dtype{static_cast<uint8_t>(code),
                             static_cast<uint8_t>(8 * ByteSize(dtype)), 1};
  };
  switch (type) {
    case DType::kFloat64:
    case DType::kFloat32:
    case DType::kFloat16:
      return of(nb::dlpack::dtype_code::Float, type);
    case DType::kInt64:
    case DType::kInt32:
    case DType::kInt16:
    case DType::kInt8:
      return of(nb::dlpack::dtype_code::Int, type);
    case DType::kBool:
      return of(nb::dlpack::dtype_code::Bool, type);
    default:
      return of(nb::dlpack::dtype_code::UInt, type);
  }
}

// The array keeps the model.
nb::object TensorOf(nb::handle self, const std::string& name) {
  const auto& model = nb::cast<const PyModel&>(self);
  const TensorView& tensor = model.model->file().Get(name);
  std::vector<size_t> shape(tensor.shape.begin(), tensor.shape.end());
  return nb::cast(nb::ndarray<nb::numpy, nb::ro>(
      tensor.data.data(), shape.size(), shape.data(), self, nullptr,
      TypeOf(tensor.dtype)));
}

nb::object WeightOf(const PyModel& self, const std::string& name) {
  const kernels::LutMatrix* packed = self.model->packed(name);
  if (packed == nullptr) {
    throw Error::InFile(self.model->path(),
                        "has no packed weight '" + name + "'",
                        ErrorCode::kNotFound);
  }
  const size_t k = packed->format.k;
  const NewArray result = MakeArray({packed->format.n, k});
  const nb::gil_scoped_release release;
  for (uint32_t row = 0; row < packed->format.n; ++row) {
    kernels::DequantizeRow(*packed, row, result.data + row * k);
  }
  return result.array;
}

std::shared_ptr<const Model> Load(
    const std::filesystem::path& path, const std::string& storage, bool verify,
    std::optional<std::filesystem::path> adapter) {
  LoadOptions options;
  if (adapter) options.adapter = *std::move(adapter);
  if (storage == "copy") {
    options.storage = Storage::kCopy;
  } else if (storage == "huge-pages") {
    options.storage = Storage::kHugePages;
  } else if (storage != "mmap") {
    throw Error("storage is 'mmap', 'copy' or 'huge-pages', not '" + storage +
                "'");
  }
  options.verify_checksums = verify;
  const nb::gil_scoped_release release;
  return Model::Load(path, options);
}

kernels::ActivationType ActivationsOf(const std::string& name) {
  std::string names;
  for (const auto& type : kernels::kActivationTypes) {
    if (name == type.name) return type.type;
    names += (names.empty() ? "'" : ", '") + std::string(type.name) + "'";
  }
  throw Error("activations are one of " + names + ", not '" + name + "'");
}

std::string ReprOf(const ValueInfo& value) {
  return "Value('" + value.name + "', " +
         (value.type == ValueType::kInt32 ? "int32" : "float32") + ", " +
         ShapeToString(value.shape) + ")";
}

}  // namespace

std::shared_ptr<const Model> ModelOf(const ModelOrPath& model) {
  if (const auto* loaded = std::get_if<const PyModel*>(&model)) {
    return (*loaded)->model;
  }
  const nb::gil_scoped_release release;
  return Model::Load(std::get<std::filesystem::path>(model));
}

ProgramOptions MakeProgramOptions(size_t threads, size_t context,
                                  const std::optional<std::string>& activations,
                                  const std::optional<std::string>& cache) {
  ProgramOptions options;
  options.threads = threads;
  options.context = context;
  if (activations) options.activations = ActivationsOf(*activations);
  if (cache) options.cache = ParseCacheType(*cache);
  return options;
}

void BindModel(nb::module_& module) {
  nb::class_<ValueInfo>(module, "Value",
                        "An input or output of a model's graph.")
      .def_ro("name", &ValueInfo::name)
      .def_prop_ro(
          "dtype",
          [](const ValueInfo& value) {
            return value.type == ValueType::kInt32 ? "int32" : "float32";
          },
          "'float32' or 'int32'.")
      .def_prop_ro(
          "shape",
          [](const ValueInfo& value) {
            return nb::tuple(nb::cast(value.shape));
          },
          nb::sig("def shape(self) -> tuple[int, ...]"),
          "The shape of one row, that is without the first dimension of an "
          "array.")
      .def("__repr__", &ReprOf);

  nb::class_<TensorInfo>(module, "TensorInfo", "A tensor of a model file.")
      .def_ro("name", &TensorInfo::name)
      .def_prop_ro(
          "dtype",
          [](const TensorInfo& tensor) {
            return std::string(Name(tensor.dtype));
          },
          "As safetensors spells it, e.g. 'F32', 'U8' of packed weights.")
      .def_prop_ro(
          "shape",
          [](const TensorInfo& tensor) {
            return nb::tuple(nb::cast(tensor.shape));
          },
          nb::sig("def shape(self) -> tuple[int, ...]"), "Its shape.")
      .def_prop_ro("nbytes", &TensorInfo::ByteCount, "Bytes in the file.")
      .def("__repr__", [](const TensorInfo& tensor) {
        return "TensorInfo('" + tensor.name + "', " +
               std::string(Name(tensor.dtype)) + ", " +
               ShapeToString(tensor.shape) + ")";
      });

  nb::class_<packer::Weight>(
      module, "Weight", "A weight of the graph that is packed, or could be.")
      .def_ro("name", &packer::Weight::name)
      .def_ro("rows", &packer::Weight::n)
      .def_ro("columns", &packer::Weight::k)
      .def_ro("nbytes", &packer::Weight::bytes)
      .def_prop_ro(
          "packed",
          [](const packer::Weight& weight) { return weight.packed != nullptr; },
          "Whether it is packed.")
      .def_prop_ro("bits_per_weight", &packer::Weight::BitsPerWeight,
                   "With scales and padding.")
      .def("__repr__", [](const packer::Weight& weight) {
        return "Weight('" + weight.name + "', [" + std::to_string(weight.n) +
               ", " + std::to_string(weight.k) + "], " +
               std::to_string(weight.BitsPerWeight()) + " bits per weight)";
      });

  nb::class_<PyModel>(
      module, "Model",
      "A model file: its graph, and weights that are used where they lie.\n\n"
      "A Model never changes; any number of sessions and threads may share it. "
      "A mapped\nfile must keep its bytes meanwhile: replace it by renaming "
      "another one to its name.")
      .def(
          "__init__",
          [](PyModel* self, const std::filesystem::path& path,
             const std::string& storage, bool verify,
             std::optional<std::filesystem::path> adapter) {
            new (self) PyModel{Load(path, storage, verify, std::move(adapter))};
          },
          "path"_a, nb::kw_only(), "storage"_a = "mmap", "verify"_a = false,
          "adapter"_a = nb::none(),
          "Loads a model file and checks it.\n\n"
          "storage: 'mmap' uses the file where it lies, 'copy' reads it into "
          "memory,\n  'huge-pages' does so with pages of 2 MiB.\n"
          "verify: compares the checksums of packed weights, too, which reads "
          "all of them.\n"
          "adapter: a folder of PEFT's, whose low-rank adapters are put beside "
          "the linear\n  layers, packed or not (docs/training.md). Mapped "
          "models of one file share its pages.")
      .def_prop_ro(
          "path", [](const PyModel& self) { return self.model->path(); },
          "The file's path, as it was given.")
      .def_prop_ro(
          "metadata",
          [](const PyModel& self) { return self.model->file().metadata(); },
          "The metadata of the file, docs/model_file.md.")
      .def_prop_ro(
          "inputs", [](const PyModel& self) { return self.model->inputs(); },
          "The graph's inputs, in order.")
      .def_prop_ro(
          "outputs", [](const PyModel& self) { return self.model->outputs(); },
          "The graph's outputs, in order.")
      .def_prop_ro(
          "context_length",
          [](const PyModel& self) { return self.model->context_length(); },
          "The longest sequence the model is made for; 0: the file says none.")
      .def_prop_ro(
          "tensors",
          [](const PyModel& self) {
            const auto& tensors = self.model->file().tensors();
            return std::vector<TensorInfo>(tensors.begin(), tensors.end());
          },
          "All tensors of the file.")
      .def_prop_ro(
          "weights",
          [](const PyModel& self) { return packer::Weights(*self.model); },
          "The weights that are packed, or could be, in the graph's order.")
      .def("tensor", &TensorOf, "name"_a,
           nb::sig("def tensor(self, name: str) -> numpy.ndarray"),
           "A tensor as a read-only array, without copying it. bfloat16 comes "
           "as uint16,\nas numpy has no such type, and a packed weight as its "
           "bytes.")
      .def("weight", &WeightOf, "name"_a,
           nb::sig("def weight(self, name: str) -> numpy.ndarray"),
           "The values of a packed weight, a new array of float32, "
           "[rows, columns].")
      .def("__repr__", [](const PyModel& self) {
        return "Model('" + self.model->path() + "')";
      });
}

}  // namespace lutra::python
