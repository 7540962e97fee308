#ifndef LUTRA_PACKER_VERIFY_H_
#define LUTRA_PACKER_VERIFY_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/runtime/model.h"

// Reads all of a model file, where loading it reads headers only.

namespace lutra::packer {

struct VerifyOptions {
  // The model it was packed from, if that is at hand.
  const Model* against = nullptr;
  // Smallest SQNR that a packed tensor may have against it, in dB.
  std::optional<double> min_sqnr_db;
  // As PackOptions::executor.
  Executor* executor = nullptr;
};

struct TensorVerdict {
  std::string name;
  bool packed = false;
  // Share of the table's entries that some weight uses, of packed tensors.
  double table_utilisation = 0;
  // As recorded when it was packed, and as computed with `against`.
  std::optional<double> recorded_sqnr_db;
  std::optional<double> sqnr_db;
  std::optional<double> max_error;
  std::vector<std::string> problems;  // none: it is sound
};

struct VerifyReport {
  std::vector<TensorVerdict> tensors;  // of the whole file
  std::vector<std::string> problems;   // not of one of these tensors
  size_t problem_count = 0;            // all in all
  // Of the packed tensor with the lowest; nullptr without `against`.
  const TensorVerdict* Worst() const;
};

// Checks of every packed tensor: its checksum; that scales are finite; that
// packing its own indices, scales and tables again gives the same bytes (so row
// sums, paddings and the stated range of the table are right). Of float tensors
// that all values are finite. With `against`: every packed tensor has a float
// one of the same name and shape there, the error against it is as recorded and
// not below the limit, all other tensors have the same bytes, none is missing,
// and graph and context length are the same. Throws Error for a record that
// cannot be read.
VerifyReport VerifyModel(const Model& model, const VerifyOptions& options);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_VERIFY_H_
