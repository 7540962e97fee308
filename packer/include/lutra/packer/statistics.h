#ifndef LUTRA_PACKER_STATISTICS_H_
#define LUTRA_PACKER_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/model.h"
#include "lutra/runtime/safetensors.h"

// What data says about the inputs of layers: for each x [k] that a linear node
// takes, the window of a conv2d ("OUTPUT:windows") or the state of a recurrent
// cell (its output) shows, the number of rows seen and the second moments, the
// sum over rows of u u^T with u = x / size. An error e of a row of the weight
// changes the outputs by e x, so the sum of the squares of these changes, each
// as a share, is
//   e (sum of u u^T) e^T
// which is all that rounding with data needs to know. The size of a row is the
// root of its mean square, for a window that of its image; for a layer whose
// output is added to the stream of a residual network, which norms divide by
// its size, that of the stream. Without it a few tokens with huge values (the
// first of a text, most often) decide nearly alone.
//
// A statistics file is a safetensors file. The metadata key "lutra.statistics"
// is "1"; for every value there is a tensor "moments.VALUE", float32 [k (k + 1)
// / 2], the upper half row by row, a tensor "rows.VALUE", uint64 [1], and a
// tensor "peaks.VALUE", float32 [k], the largest magnitude of each column of u.
// Files of the same model merge by addition.

namespace lutra::packer {

inline constexpr std::string_view kStatisticsKey = "lutra.statistics";

// A statistics file, mapped. May be used from several threads.
class Statistics {
 public:
  // Throws Error for anything but a statistics file.
  static Statistics Open(const std::filesystem::path& path);

  const std::string& path() const { return file_.path(); }
  // Number of columns of the values, by name.
  const std::map<std::string, size_t, std::less<>>& columns() const {
    return columns_;
  }
  uint64_t Rows(std::string_view value) const;
  // The whole matrix [k, k]. Throws Error if a sum is not finite, or less than
  // 0 on the diagonal.
  std::vector<float> Moments(std::string_view value) const;
  std::vector<float> Peaks(std::string_view value) const;
  // The values here that nodes multiply with this weight, each once. Throws
  // Error for another number of columns than the model's value has.
  std::vector<std::string> ValuesOf(const Model& model,
                                    std::string_view weight) const;

  // From now on these are statistics of a model in which the columns of the
  // value are divided so (rescale.h).
  void Divide(std::string_view value, std::vector<float> divisors);

 private:
  explicit Statistics(SafetensorsFile file) : file_(std::move(file)) {}

  Span<const float> Divisors(std::string_view value) const;

  SafetensorsFile file_;
  std::map<std::string, size_t, std::less<>> columns_;
  std::map<std::string, std::vector<float>, std::less<>> divisors_;
};

// Writes the sum of statistics of the same values: as if all data had been seen
// in one go, to the rounding of sums. Throws Error where they differ.
void MergeStatistics(const std::vector<Statistics>& parts,
                     const std::filesystem::path& path);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_STATISTICS_H_
