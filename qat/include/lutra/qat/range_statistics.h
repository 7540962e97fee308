#ifndef LUTRA_QAT_RANGE_STATISTICS_H_
#define LUTRA_QAT_RANGE_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "lutra/qat/affine.h"

// Ranges of activations for static quantization, collected by many processes:
// how often a value was seen and the sum of its largest magnitudes. Both add
// up.

namespace lutra::qat {

class RangeStatistics {
 public:
  struct Entry {
    uint64_t count = 0;          // of calls
    double sum_of_maxima = 0.0;  // of max|x| per call

    bool operator==(const Entry& other) const {
      return count == other.count && sum_of_maxima == other.sum_of_maxima;
    }
    bool operator!=(const Entry& other) const { return !(*this == other); }
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  // Throws lutra::Error for values that are not finite.
  void Add(std::string_view name, const float* x, size_t n);
  void Merge(const RangeStatistics& other);

  const Entries& entries() const { return entries_; }
  // Symmetric parameters for the mean of the maxima. Throws lutra::Error for a
  // name that was not seen.
  AffineParameters Parameters(std::string_view name,
                              const AffineScheme& scheme) const;

  // A safetensors file with a float64 tensor [2] (count, sum) per name, written
  // under a temporary name. Throw lutra::Error.
  void Save(const std::filesystem::path& path) const;
  static RangeStatistics Load(const std::filesystem::path& path);

 private:
  Entries entries_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_RANGE_STATISTICS_H_
