#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bindings/python/src/module.h"
#include "lutra/qat/scheme.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/graph.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/safetensors.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra::python {
namespace {

using AnyArray = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

AnyArray ReadArray(nb::handle value, const std::string& what) {
  AnyArray array;
  if (nb::try_cast(value, array, /*convert=*/false)) return array;
  const nb::object contiguous =
      nb::module_::import_("numpy").attr("ascontiguousarray")(value);
  if (nb::try_cast(contiguous, array, /*convert=*/false)) return array;
  throw nb::type_error((what + " is no array in the CPU's memory").c_str());
}

DType TypeOf(const AnyArray& array, const std::string& what) {
  const nb::dlpack::dtype type = array.dtype();
  const auto is = [&](nb::dlpack::dtype_code code, int bits) {
    return type.code == static_cast<uint8_t>(code) && type.bits == bits &&
           type.lanes == 1;
  };
  if (is(nb::dlpack::dtype_code::Float, 32)) return DType::kFloat32;
  if (is(nb::dlpack::dtype_code::Float, 16)) return DType::kFloat16;
  if (is(nb::dlpack::dtype_code::Bfloat, 16)) return DType::kBFloat16;
  throw nb::type_error(
      (what + " must be float32, float16 or bfloat16").c_str());
}

std::string JsonOf(nb::handle value) {
  if (nb::isinstance<nb::str>(value)) return nb::cast<std::string>(value);
  return nb::cast<std::string>(
      nb::module_::import_("json").attr("dumps")(value));
}

void WriteModel(const std::filesystem::path& path, nb::handle graph,
                const nb::dict& tensors, nb::handle schemes,
                std::map<std::string, std::string> metadata) {
  const std::string file = path.string();
  metadata[std::string(kVersionKey)] = std::to_string(kModelVersion);
  metadata[std::string(kGraphKey)] =
      GraphToJson(ParseGraph(JsonOf(graph), file));
  if (!schemes.is_none()) {
    metadata[std::string(kSchemesKey)] =
        qat::SchemesToJson(qat::ParseSchemes(JsonOf(schemes), file));
  }
  std::vector<TensorInfo> infos;
  std::vector<AnyArray> arrays;
  for (const auto [name, value] : tensors) {
    TensorInfo info;
    info.name = nb::cast<std::string>(name);
    const std::string what = "the tensor '" + info.name + "'";
    arrays.push_back(ReadArray(value, what));
    info.dtype = TypeOf(arrays.back(), what);
    for (size_t i = 0; i < arrays.back().ndim(); ++i) {
      info.shape.push_back(static_cast<int64_t>(arrays.back().shape(i)));
    }
    infos.push_back(std::move(info));
  }
  const nb::gil_scoped_release release;
  SafetensorsWriter writer(path, metadata, infos);
  for (size_t i = 0; i < infos.size(); ++i) {
    writer.Write(infos[i].name,
                 {static_cast<const std::byte*>(arrays[i].data()),
                  infos[i].ByteCount()});
  }
  static_cast<void>(Model::Load(writer.temporary()));  // as a check
  writer.Commit();
}

}  // namespace

void BindModelWriter(nb::module_& module) {
  module.def(
      "write_model", &WriteModel, "path"_a, "graph"_a, "tensors"_a,
      nb::kw_only(), "schemes"_a = nb::none(), "metadata"_a = nb::dict(),
      nb::sig("def write_model(path: str | os.PathLike, graph: dict | str, "
              "tensors: dict[str, typing.Any], *, schemes: dict[str, dict] | "
              "None = None, metadata: dict[str, str] = {}) -> None"),
      "Writes a model file of a graph (docs/model_file.md) and arrays of "
      "float32, float16 or\nbfloat16 by name, as a module's state_dict() has "
      "them.\n\n"
      "schemes: of tensors that were trained on a grid, e.g. {'fc1.weight': "
      "{'quantizer':\n  'stretched', 'bits': 2, 'group_size': 32}}: pack then "
      "packs these without loss.\n"
      "The file appears when it is complete and has been loaded as a check.");
}

}  // namespace lutra::python
