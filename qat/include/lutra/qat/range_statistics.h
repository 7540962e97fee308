#ifndef LUTRA_QAT_RANGE_STATISTICS_H_
#define LUTRA_QAT_RANGE_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "lutra/qat/affine.h"

// Ranges of activations for static quantization, collected over many batches or
// by many processes: how often a value was seen, and the sums of its largest
// magnitudes, its least and its largest values. All add up.

namespace lutra::qat {

class RangeStatistics {
 public:
  struct Entry {
    uint64_t count = 0;          // of calls
    double sum_of_maxima = 0.0;  // of max|x| per call
    double sum_of_least = 0.0;   // of min(x, 0)
    double sum_of_most = 0.0;    // of max(x, 0)

    bool operator==(const Entry& other) const {
      return count == other.count && sum_of_maxima == other.sum_of_maxima &&
             sum_of_least == other.sum_of_least &&
             sum_of_most == other.sum_of_most;
    }
    bool operator!=(const Entry& other) const { return !(*this == other); }
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  // Throws lutra::Error for values that are not finite.
  void Add(std::string_view name, const float* x, size_t n);
  void Merge(const RangeStatistics& other);
  void Set(std::string_view name, const Entry& entry);

  const Entries& entries() const { return entries_; }
  // The mean of the least and of the largest values, or both ends of the mean
  // of the largest magnitudes. Throws lutra::Error for a name that was not
  // seen.
  std::pair<float, float> Range(std::string_view name, bool symmetric) const;
  // Symmetric parameters for the mean of the maxima, others for the range.
  // Throws likewise.
  AffineParameters Parameters(std::string_view name,
                              const AffineScheme& scheme) const;

  // A safetensors file with a float64 tensor [4] (count, sums) per name,
  // written under a temporary name. Throw lutra::Error.
  void Save(const std::filesystem::path& path) const;
  static RangeStatistics Load(const std::filesystem::path& path);
  // Whether a safetensors file is one. Throws lutra::Error if it is none.
  static bool Is(const std::filesystem::path& path);

 private:
  Entries entries_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_RANGE_STATISTICS_H_
