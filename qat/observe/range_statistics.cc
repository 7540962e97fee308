#include "lutra/qat/range_statistics.h"

#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "lutra/runtime/error.h"
#include "lutra/runtime/safetensors.h"
#include "qat/grids/summation.h"
#include "qat/spec/groups.h"

namespace lutra::qat {
namespace {

constexpr const char* kVersionKey = "lutra.range_statistics";
constexpr const char* kVersion = "1";
// Counts are stored as float64.
constexpr double kMaxCount = 9007199254740992.0;  // 2^53

}  // namespace

void RangeStatistics::Add(std::string_view name, const float* x, size_t n) {
  if (FindNotFinite(x, n)) {
    throw Error("range statistics: '" + std::string(name) +
                "' has values that are not finite");
  }
  Entry& entry = entries_[std::string(name)];
  ++entry.count;
  entry.sum_of_maxima += static_cast<double>(MaxMagnitude(x, n));
}

void RangeStatistics::Merge(const RangeStatistics& other) {
  for (const auto& [name, entry] : other.entries_) {
    Entry& mine = entries_[name];
    mine.count += entry.count;
    mine.sum_of_maxima += entry.sum_of_maxima;
  }
}

AffineParameters RangeStatistics::Parameters(std::string_view name,
                                             const AffineScheme& scheme) const {
  const auto it = entries_.find(name);
  if (it == entries_.end() || it->second.count == 0) {
    throw Error("range statistics: '" + std::string(name) + "' was not seen");
  }
  const auto mean = static_cast<float>(it->second.sum_of_maxima /
                                       static_cast<double>(it->second.count));
  return ChooseAffine(scheme, -mean, mean);
}

void RangeStatistics::Save(const std::filesystem::path& path) const {
  std::vector<TensorInfo> tensors;
  for (const auto& [name, entry] : entries_) {
    tensors.push_back({name, DType::kFloat64, {2}});
  }
  SafetensorsWriter writer(path, {{kVersionKey, kVersion}}, tensors);
  for (const auto& [name, entry] : entries_) {
    const double values[2] = {static_cast<double>(entry.count),
                              entry.sum_of_maxima};
    writer.Write(name, std::as_bytes(std::span(values)));
  }
  writer.Commit();
}

RangeStatistics RangeStatistics::Load(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::Open(path);
  const auto version = file.metadata().find(kVersionKey);
  if (version == file.metadata().end() || version->second != kVersion) {
    throw Error::InFile(file.path(), "is not a range statistics file");
  }
  RangeStatistics statistics;
  for (const TensorView& tensor : file.tensors()) {
    double values[2];
    if (tensor.dtype != DType::kFloat64 ||
        tensor.shape != std::vector<int64_t>{2}) {
      throw Error::InTensor(file.path(), tensor.name,
                            "is not a pair of float64 numbers");
    }
    std::memcpy(values, tensor.data.data(), sizeof(values));
    const bool is_count = values[0] >= 0.0 && values[0] <= kMaxCount &&
                          values[0] == std::floor(values[0]);
    if (!is_count || !(values[1] >= 0.0) || !std::isfinite(values[1])) {
      throw Error::InTensor(file.path(), tensor.name,
                            "is not a count and a sum");
    }
    statistics.entries_[tensor.name] = {static_cast<uint64_t>(values[0]),
                                        values[1]};
  }
  return statistics;
}

}  // namespace lutra::qat
