#include "packer/import/recovery.h"

#include <utility>

#include "lutra/runtime/error.h"
#include "packer/lattice/group_fit.h"

namespace lutra::packer {
namespace {

ZeroRule RuleOf(const Grid& grid, DType dtype) {
  if (grid.rule == Grid::Rule::kScale) return ZeroRule::kNone;
  return StoresZeroPoint(grid, dtype) ? ZeroRule::kSubtract : ZeroRule::kAdd;
}

// Numbers of groups that may be kept: bounds memory.
constexpr size_t kMostNumbers = size_t{24} << 20;

// Of rows [first, first + count) of all.
std::vector<float> Slice(const std::vector<float>& all, size_t first,
                         size_t count, size_t groups) {
  if (all.empty()) return {};
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first * groups);
  return {begin, begin + static_cast<std::ptrdiff_t>(count * groups)};
}

}  // namespace

bool MayHaveGrid(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 ||
         dtype == DType::kBFloat16;
}

FloatMatrix MatrixOf(const RawTensor& tensor) {
  TensorView view = tensor.view;
  const size_t count = view.ElementCount();
  if (view.shape.size() > 1 && count > 0) {
    const int64_t columns = view.shape.back();
    view.shape = {static_cast<int64_t>(count) / columns, columns};
  }
  return {RowSource(view, tensor.file), view.dtype};
}

std::string DescribeLattice(const Lattice& lattice, size_t columns) {
  std::string text = lattice.grid->IsWide()
                         ? std::to_string(lattice.bits) + " bits"
                         : std::string(lattice.grid->name);
  if (lattice.group_size < columns) {
    return text + ", groups of " + std::to_string(lattice.group_size);
  }
  return text + (lattice.one_scale ? ", one scale" : ", one scale per row");
}

std::string DescribeMiss(const Lattice& lattice) {
  switch (lattice.miss) {
    case NearMiss::kNone:
      break;
    case NearMiss::kFolded:
      return "lost: a grid whose columns were multiplied, as by a norm folded "
             "into it, and rounded again";
    case NearMiss::kAcross:
      return "no grid: its columns lie on one (" +
             std::string(lattice.missed->name) +
             "), but scales are of rows here";
    case NearMiss::kFew:
      return "no grid: of its groups of " +
             std::to_string(lattice.missed_group) + " only " +
             std::to_string(static_cast<int>(100 * lattice.missed_share)) +
             " % lie on one (" + std::string(lattice.missed->name) +
             "), half have to";
  }
  return "no grid";
}

StoredWeight Recovery::OnGrid(const RawTensor& tensor,
                              const FloatMatrix& matrix,
                              const Lattice& lattice) const {
  StoredWeight weight;
  const Grid& grid = *lattice.grid;
  weight.file = tensor.file;
  weight.tensor = tensor.view.name;
  weight.name = tensor.view.name;
  weight.rows = matrix.rows.rows();
  weight.columns = matrix.rows.columns();
  weight.group_size = lattice.group_size;
  weight.format = std::string(Name(matrix.dtype)) + " on a grid of " +
                  DescribeLattice(lattice, weight.columns);
  weight.levels.assign(grid.levels, grid.levels + grid.level_count);
  weight.zero = RuleOf(grid, matrix.dtype);
  weight.from_floats = {matrix.dtype,
                        grid.whole && lattice.exact_groups == lattice.groups};
  const size_t groups = weight.Groups();
  const bool kept = weight.rows * groups * 2 <= kMostNumbers;
  weight.read = [matrix, lattice, groups, kept, numbers = numbers_,
                 executor = options_.executor, owner = tensor.owner,
                 place = tensor.view.data.data()](size_t first, size_t count,
                                                  StoredRows& out) {
    if (!out.want_codes && kept) {
      if (numbers->matrix != place) {
        numbers->matrix = nullptr;  // should reading fail
        numbers->rows.want_codes = false;
        ReadLattice(matrix, lattice, 0, matrix.rows.rows(), executor,
                    numbers->rows);
        numbers->matrix = place;
      }
      out.scales = Slice(numbers->rows.scales, first, count, groups);
      out.zeros = Slice(numbers->rows.offsets, first, count, groups);
      return;
    }
    LatticeRows rows;
    rows.want_codes = out.want_codes;
    ReadLattice(matrix, lattice, first, count, executor, rows);
    out.codes = std::move(rows.codes);
    out.scales = std::move(rows.scales);
    out.zeros = std::move(rows.offsets);
    out.original = std::move(rows.original);
  };
  return weight;
}

Recovery::Found Recovery::LookAt(const RawTensor& tensor,
                                 bool transposed) const {
  if (options_.looking) options_.looking(tensor.view.name);
  FloatMatrix matrix = MatrixOf(tensor);
  if (transposed) matrix.rows = matrix.rows.Transposed();
  const Lattice lattice = FindLattice(matrix, options_.executor);
  if (lattice.grid == nullptr) return {std::nullopt, DescribeMiss(lattice)};
  if (options_.require_exact && !lattice.grid->whole) {
    throw Error::InTensor(
        tensor.file, tensor.view.name,
        "is on a grid of " + DescribeLattice(lattice, matrix.rows.columns()) +
            ", whose levels are no whole numbers; without --require-exact the "
            "table has the nearest ones");
  }
  if (options_.require_exact && lattice.exact_groups < lattice.groups) {
    throw Error::InTensor(
        tensor.file, tensor.view.name,
        std::to_string(lattice.groups - lattice.exact_groups) + " of " +
            std::to_string(lattice.groups) + " groups are not on its grid of " +
            DescribeLattice(lattice, matrix.rows.columns()) +
            "; without --require-exact these take the nearest values");
  }
  return {OnGrid(tensor, matrix, lattice), ""};
}

Recovery::Found Recovery::Look(const RawTensor& tensor, bool transposed) const {
  Found found;
  if (tensor.below.empty()) {
    found = LookAt(tensor, transposed);
  } else {
    std::vector<StoredWeight> halves;
    for (const std::span<const std::byte> data :
         {std::span<const std::byte>(tensor.view.data), tensor.below}) {
      RawTensor half = tensor;
      half.view.data = data;
      const int64_t columns = tensor.view.shape.back();
      const size_t count = data.size() / ByteSize(tensor.view.dtype);
      half.view.shape = {static_cast<int64_t>(count) / columns, columns};
      found = LookAt(half, transposed);
      if (!found.weight) return found;
      halves.push_back(*std::move(found.weight));
    }
    if (!SameForm(halves[0], halves[1])) {
      return {std::nullopt,
              "the two tensors of its rows are on different grids"};
    }
    found.weight = Stacked(std::move(halves));
  }
  if (found.weight && !tensor.row_order.empty()) {
    found.weight = Reordered(*found.weight, tensor.row_order);
  }
  return found;
}

const StoredWeight* Recovery::Find(const RawTensor& tensor, bool transposed,
                                   std::string& reason) {
  const std::pair place = {tensor.view.data.data(), transposed};
  auto found = found_.find(place);
  if (found == found_.end()) {
    found = found_.emplace(place, Look(tensor, transposed)).first;
  }
  reason = found->second.reason;
  return found->second.weight ? &*found->second.weight : nullptr;
}

}  // namespace lutra::packer
