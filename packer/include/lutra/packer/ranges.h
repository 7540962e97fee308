#ifndef LUTRA_PACKER_RANGES_H_
#define LUTRA_PACKER_RANGES_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/packer/calibrate.h"
#include "lutra/qat/activations.h"
#include "lutra/qat/range_statistics.h"
#include "lutra/qat/samples.h"
#include "lutra/runtime/model.h"

// Fixed ranges of activations: a copy of a model whose layers say in which
// range their inputs lie (attributes input_min and input_max,
// docs/model_file.md), so that int8 activations are quantized with one scale,
// as accelerators do, and not with one for every token.

namespace lutra::packer {

enum class RangeRule {
  kMinMax,      // what occurs in the data
  kAbsMax,      // -a to a, a the largest magnitude
  kRms,         // the root mean square times a factor, and what occurs at most
  kPercentile,  // without the largest and smallest of all values
  kMse,         // the range with the smallest mean squared error
  kFixed,       // as given
  // The mean, over calls of 64 rows, of what occurs in each
  // (qat::RangeStatistics).
  kMeanMax,
};
// "min-max", "absmax", "rms", "percentile", "mse", "fixed", "mean-max".
std::string_view Name(RangeRule rule);
// Throws Error.
RangeRule ParseRangeRule(std::string_view name);

struct RangeOptions {
  RangeRule rule = RangeRule::kMinMax;
  double percentile = 99.99;  // of the values inside, in (0, 100]
  double factor = 4;          // of kRms
  double least = 0;           // of kFixed: at most 0
  double most = 0;            // at least 0
  // What the range is for, of kPercentile and kMse: codes of so many bits,
  // around 0 or not.
  int bits = 8;
  bool symmetric = false;
  Executor* executor = nullptr;
};

struct ValueRange {
  std::string value;
  float min = 0;
  float max = 0;
};

// A value of a graph, and how its range is found.
struct ObservedValue {
  std::string name;
  RangeOptions options;  // not kFixed; the executor is not looked at
};

// Of what a specification asks for, each value once.
std::vector<ObservedValue> ObservedValues(
    const std::vector<qat::StaticInput>& inputs);

// The ranges of values while `which` of the samples are run with float32
// activations. Throws Error as Calibrate does.
std::vector<ValueRange> ObserveRanges(const Model& model,
                                      const std::vector<ObservedValue>& values,
                                      const qat::Samples& samples,
                                      const std::vector<uint32_t>& which,
                                      Executor* executor,
                                      const CalibrationProgress& progress = {});
// Gives them to the nodes that quantize these values.
void SetRanges(const std::vector<ValueRange>& ranges, Graph& graph);

struct RangeReport {
  std::vector<ValueRange> values;  // in the order of the graph
  size_t rows = 0;                 // that were seen
  size_t file_bytes = 0;
};

// Runs `which` of the samples, with float32 activations, and writes the copy to
// a new file at `path`, where it appears when it is complete. The model's
// weights may be packed; packing keeps the ranges. With kFixed nothing is run.
// Throws Error as Calibrate does.
RangeReport FixRanges(const std::shared_ptr<const Model>& model,
                      const qat::Samples& samples,
                      const std::vector<uint32_t>& which,
                      const RangeOptions& options,
                      const std::filesystem::path& path,
                      const CalibrationProgress& progress = {});

// What FixRanges with kMeanMax looks at, to be kept, merged with that of other
// data, and used: the extremes of the values that layers quantize, by value.
qat::RangeStatistics CollectExtremes(const Model& model,
                                     const qat::Samples& samples,
                                     const std::vector<uint32_t>& which,
                                     Executor* executor,
                                     const CalibrationProgress& progress = {});
// The copy of the model with their means as ranges, around 0 if symmetric.
// Throws Error for a value that they do not have.
RangeReport FixRanges(const Model& model, const qat::RangeStatistics& extremes,
                      bool symmetric, const std::filesystem::path& path);

// Without the ranges that its nodes may have, for a model whose values are
// others now.
Graph WithoutRanges(Graph graph);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_RANGES_H_
