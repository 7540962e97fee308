#ifndef LUTRA_PACKER_CALIBRATE_STATISTICS_FILE_H_
#define LUTRA_PACKER_CALIBRATE_STATISTICS_FILE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/runtime/safetensors.h"

// The parts of a statistics file (lutra/packer/statistics.h).

namespace lutra::packer {

inline constexpr std::string_view kMomentsPrefix = "moments.";

inline std::string MomentsName(std::string_view value) {
  return std::string(kMomentsPrefix) + std::string(value);
}
inline std::string RowsName(std::string_view value) {
  return "rows." + std::string(value);
}
inline std::string PeaksName(std::string_view value) {
  return "peaks." + std::string(value);
}

std::map<std::string, std::string> StatisticsMetadata();
// Of values with their columns.
std::vector<TensorInfo> StatisticsTensors(
    const std::vector<std::pair<std::string, size_t>>& values);
// `half`: the upper half of the moments, row by row.
void WriteStatistics(SafetensorsWriter& writer, std::string_view value,
                     uint64_t rows, std::span<const float> half,
                     std::span<const float> peaks);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_CALIBRATE_STATISTICS_FILE_H_
