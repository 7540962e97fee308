#ifndef LUTRA_PACKER_IMPORT_RECOVERY_H_
#define LUTRA_PACKER_IMPORT_RECOVERY_H_

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lutra/packer/import.h"
#include "packer/import/raw_tensors.h"
#include "packer/import/stored/stored_weight.h"
#include "packer/lattice/lattice.h"

namespace lutra::packer {

// Whether tensors of the type are looked at: F32, F16 and BF16.
bool MayHaveGrid(DType dtype);

// A tensor as a matrix: of several dimensions the last one is the columns.
// Throws Error for types other than F32, F16 and BF16.
FloatMatrix MatrixOf(const RawTensor& tensor);

// "4 bits, groups of 32".
std::string DescribeLattice(const Lattice& lattice, size_t columns);
// Why a matrix without a grid has none: "no grid".
std::string DescribeMiss(const Lattice& lattice);

// Finds the grids that float weights of a checkpoint lie on, each once.
class Recovery {
 public:
  explicit Recovery(const ImportOptions& options) : options_(options) {}

  // The weight on its grid, as a quantized one, which keeps the file mapped;
  // nullptr if there is none, and why. If `transposed`, the transpose of the
  // tensor, which then has two dimensions and rows of one piece. Throws Error
  // if all values have to be exact and some are not, and for types without
  // grids.
  const StoredWeight* Find(const RawTensor& tensor, bool transposed,
                           std::string& reason);

 private:
  struct Found {
    std::optional<StoredWeight> weight;
    std::string reason;
  };
  // The scales and offsets of the matrix that was looked at last: whoever
  // decides how to hold them looks several times.
  struct Numbers {
    const std::byte* matrix = nullptr;
    LatticeRows rows;
  };
  Found Look(const RawTensor& tensor, bool transposed) const;
  // Of its rows in the file's order.
  Found LookAt(const RawTensor& tensor, bool transposed) const;
  StoredWeight OnGrid(const RawTensor& tensor, const FloatMatrix& matrix,
                      const Lattice& lattice) const;

  const ImportOptions& options_;
  std::shared_ptr<Numbers> numbers_ = std::make_shared<Numbers>();
  // By the place of the data (names may be prefixed), and `transposed`.
  std::map<std::pair<const std::byte*, bool>, Found> found_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_RECOVERY_H_
