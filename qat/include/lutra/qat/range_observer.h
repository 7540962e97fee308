#ifndef LUTRA_QAT_RANGE_OBSERVER_H_
#define LUTRA_QAT_RANGE_OBSERVER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lutra/qat/affine.h"

// Finding the range of values that are quantized with a fixed scale.

namespace lutra::qat {

enum class RangeMethod {
  kMinMax,      // what occurred
  kPercentile,  // without the largest and smallest ones
  kMse,         // the range with the smallest mean squared error
  // The mean of the least and of the largest values of each call: of each batch
  // that training looks at (RangeStatistics). No method of RangeObserver.
  kMeanMax,
  // Of weights: the power of two that blocks of Microscaling Formats have. No
  // method of RangeObserver.
  kMx,
};

struct ObserverOptions {
  RangeMethod method = RangeMethod::kMinMax;
  // kPercentile: percent of the values that are inside, split evenly between
  // the ends. In (0, 100].
  double percentile = 99.99;
  // Columns that share a range; 0: a row; kWholeTensor.
  int64_t group_size = -1;
  AffineScheme scheme;  // what the range is for
};

// Collects ranges over any number of matrices. Percentiles and errors are found
// on histograms of 2048 bins per group, whose width doubles when values fall
// outside; results are within a bin's width. Not for several threads at once.
class RangeObserver {
 public:
  // Throws lutra::Error for options out of range.
  explicit RangeObserver(const ObserverOptions& options);

  // x [rows, columns], of the same number of groups in every call. Throws
  // lutra::Error otherwise, for values that are not finite, and for more than
  // 2^16 groups with histograms.
  void Observe(const float* x, size_t rows, size_t columns);

  size_t groups() const { return groups_.size(); }
  // The parameters of a group's range. Throws lutra::Error before any value was
  // observed.
  AffineParameters Parameters(size_t group) const;

 private:
  struct Group {
    float min = 0.0f;
    float max = 0.0f;
    bool seen = false;
    // Bin i counts the values in [-limit, -limit + 2 * limit / kBins), and so
    // on; limit is a power of two.
    float limit = 0.0f;
    std::vector<uint64_t> bins;
  };

  void Observe(const float* x, size_t count, Group& group) const;
  static void Widen(Group& group);
  static float BinCenter(const Group& group, size_t bin);
  AffineParameters FromPercentile(const Group& group) const;
  AffineParameters FromMse(const Group& group) const;

  ObserverOptions options_;
  std::vector<Group> groups_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_RANGE_OBSERVER_H_
