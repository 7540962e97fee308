#ifndef LUTRA_PACKER_LATTICE_LATTICE_H_
#define LUTRA_PACKER_LATTICE_LATTICE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/runtime/safetensors.h"
#include "packer/lattice/grids.h"
#include "packer/lattice/number_types.h"
#include "packer/weights/row_source.h"

namespace lutra::packer {

// The weights of a matrix and the float type that stores them.
struct FloatMatrix {
  RowSource rows;
  DType dtype = DType::kFloat32;  // or F16, BF16
};

// What a matrix without a grid has that looks like one.
enum class NearMiss {
  kNone,
  kFolded,  // a grid times a number for each column (a folded norm), rounded
  kAcross,  // a grid with groups of rows, each column for itself
  kFew,     // a grid that less than half of the groups are on
};

// A grid that the weights of a matrix lie on.
struct Lattice {
  const Grid* grid = nullptr;  // nullptr: none
  int bits = 0;                // that its levels take
  size_t group_size = 0;       // columns that share a scale
  bool one_scale = false;      // of the whole matrix
  size_t groups = 0;
  size_t exact_groups = 0;  // all of whose weights are on it, bit for bit
  // The smallest types that hold the numbers of all of these.
  NumberTypes types;
  // log10 of an upper bound of the chance that a matrix of no grid looks so.
  double log10_chance = 0;
  // Of a matrix without a grid; and of kAcross and kFew which grid it is, how
  // many rows or columns share a scale, and the share of groups on it, all of a
  // sample.
  NearMiss miss = NearMiss::kNone;
  const Grid* missed = nullptr;
  size_t missed_group = 0;
  double missed_share = 0;

  double ExactShare() const {
    return groups == 0 ? 0
                       : static_cast<double>(exact_groups) /
                             static_cast<double>(groups);
  }
};

// Looks at some rows; if these lie on a grid, at all. A grid counts if at least
// half of the groups are on it and the chance of a false alarm is below 1e-9.
// Deterministic for any executor.
Lattice FindLattice(const FloatMatrix& matrix, Executor* executor);

// What makes the weights of a matrix on a grid: codes (places in the grid's
// levels), and scales and offsets of groups. See GridValue.
struct LatticeRows {
  bool want_codes = true;       // and what they were found for
  std::vector<uint8_t> codes;   // [count, columns]
  std::vector<float> scales;    // [count, groups]
  std::vector<float> offsets;   // the same; not of Rule::kScale
  std::vector<float> original;  // [count, columns], as the matrix has them
};

// Reads `count` rows from `first` on, on the threads of `executor`. Groups that
// are not on the grid get the nearest numbers.
void ReadLattice(const FloatMatrix& matrix, const Lattice& lattice,
                 size_t first, size_t count, Executor* executor,
                 LatticeRows& rows);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_LATTICE_LATTICE_H_
