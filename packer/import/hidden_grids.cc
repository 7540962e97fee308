// Grids in the float tensors of any source, whether or not it can be imported.

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "lutra/packer/lattice.h"
#include "lutra/runtime/error.h"
#include "packer/import/gguf/block_types.h"
#include "packer/import/gguf/gguf_file.h"
#include "packer/import/raw_tensors.h"
#include "packer/import/recovery.h"
#include "packer/import/stored/weight_formats.h"
#include "packer/lattice/lattice.h"
#include "runtime/base/folder_entries.h"
#include "runtime/base/system_error.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".safetensors";

void AddFile(const fs::path& path, const std::string& prefix,
             RawTensors& tensors) {
  const auto file =
      std::make_shared<const SafetensorsFile>(SafetensorsFile::Open(path));
  for (const TensorView& tensor : file->tensors()) {
    tensors.tensors.emplace(prefix + tensor.name,
                            RawTensor{tensor, file->path(), file});
  }
}

std::vector<fs::path> FilesOf(const fs::path& folder) {
  std::vector<fs::path> files;
  const int failure = ForEachEntry(folder, [&](std::string_view name) {
    fs::path file = folder / name;
    if (file.extension() == kExtension) files.push_back(std::move(file));
  });
  if (failure != 0) throw SystemError(folder.string(), "cannot read", failure);
  std::sort(files.begin(), files.end());
  return files;
}

RawTensors TensorsOf(const fs::path& source) {
  RawTensors tensors;
  std::error_code error;
  if (fs::is_directory(source, error)) {
    // Checkpoints whose files belong together; else each file for itself.
    try {
      return OpenRawTensors(source);
    } catch (const Error&) {
      const std::vector<fs::path> files = FilesOf(source);
      if (files.empty()) throw;
      for (const fs::path& file : files) {
        AddFile(file, file.stem().string() + "/", tensors);
      }
      return tensors;
    }
  }
  if (IsGguf(source)) {
    StoredWeights stored;
    for (const auto& file : OpenGguf(source)) {
      for (const GgufTensor& tensor : file->tensors()) {
        AddGgufTensor(file, tensor, tensor.name, tensors, stored);
      }
    }
    return tensors;
  }
  AddFile(source, "", tensors);
  return tensors;
}

std::string Name(kernels::ScaleType type) {
  switch (type) {
    case kernels::ScaleType::kBFloat16:
      return "bfloat16";
    case kernels::ScaleType::kFloat16:
      return "float16";
    default:
      break;
  }
  return "float32";
}

std::string OffsetName(Grid::Rule rule) {
  switch (rule) {
    case Grid::Rule::kScale:
      break;
    case Grid::Rule::kZeroPoint:
      return "zero point";
    case Grid::Rule::kOffset:
      return "offset";
  }
  return "none";
}

HiddenGrid Look(const std::string& name, const RawTensor& tensor,
                Executor* executor) {
  const FloatMatrix matrix = MatrixOf(tensor);
  const Lattice lattice = FindLattice(matrix, executor);
  HiddenGrid hidden;
  hidden.tensor = name;
  hidden.dtype = lutra::Name(matrix.dtype);
  hidden.rows = matrix.rows.rows();
  hidden.columns = matrix.rows.columns();
  hidden.bytes = tensor.view.data.size();
  hidden.folded = lattice.miss == NearMiss::kFolded;
  if (lattice.grid == nullptr) {
    hidden.miss = DescribeMiss(lattice);
    return hidden;
  }
  hidden.found = true;
  hidden.grid = DescribeLattice(lattice, hidden.columns);
  hidden.bits = lattice.bits;
  hidden.table.assign(lattice.grid->levels,
                      lattice.grid->levels + lattice.grid->level_count);
  hidden.group_size = lattice.group_size;
  hidden.one_scale = lattice.one_scale;
  hidden.scale_type = Name(lattice.types.scale);
  hidden.offset = OffsetName(lattice.grid->rule);
  hidden.groups = lattice.groups;
  hidden.exact_groups = lattice.exact_groups;
  hidden.log10_chance = lattice.log10_chance;
  return hidden;
}

}  // namespace

std::vector<HiddenGrid> FindHiddenGrids(const fs::path& source,
                                        Executor* executor,
                                        const LatticeProgress& progress) {
  const RawTensors all = TensorsOf(source);
  std::vector<std::pair<std::string, const RawTensor*>> chosen;
  for (const auto& [name, tensor] : all.tensors) {
    if (MayHaveGrid(tensor.view.dtype) && tensor.view.shape.size() > 1) {
      chosen.emplace_back(name, &tensor);
    }
  }
  std::vector<HiddenGrid> grids;
  for (const auto& [name, tensor] : chosen) {
    if (progress) progress(name, grids.size(), chosen.size());
    grids.push_back(Look(name, *tensor, executor));
  }
  return grids;
}

}  // namespace lutra::packer
