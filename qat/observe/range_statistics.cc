#include "lutra/qat/range_statistics.h"

#include <algorithm>
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
constexpr const char* kVersion = "2";
constexpr size_t kNumbers = 4;  // of an entry
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
  const auto range = MinMax(x, n);
  entry.sum_of_least += std::min(0.0, static_cast<double>(range.min));
  entry.sum_of_most += std::max(0.0, static_cast<double>(range.max));
}

void RangeStatistics::Merge(const RangeStatistics& other) {
  for (const auto& [name, entry] : other.entries_) {
    Entry& mine = entries_[name];
    mine.count += entry.count;
    mine.sum_of_maxima += entry.sum_of_maxima;
    mine.sum_of_least += entry.sum_of_least;
    mine.sum_of_most += entry.sum_of_most;
  }
}

void RangeStatistics::Set(std::string_view name, const Entry& entry) {
  entries_[std::string(name)] = entry;
}

std::pair<float, float> RangeStatistics::Range(std::string_view name,
                                               bool symmetric) const {
  const auto it = entries_.find(name);
  if (it == entries_.end() || it->second.count == 0) {
    throw Error("range statistics: '" + std::string(name) + "' was not seen");
  }
  const Entry& entry = it->second;
  const auto mean = [&](double sum) {
    return static_cast<float>(sum / static_cast<double>(entry.count));
  };
  if (symmetric) return {-mean(entry.sum_of_maxima), mean(entry.sum_of_maxima)};
  return {mean(entry.sum_of_least), mean(entry.sum_of_most)};
}

AffineParameters RangeStatistics::Parameters(std::string_view name,
                                             const AffineScheme& scheme) const {
  const bool symmetric = scheme.mapping == AffineMapping::kSymmetric ||
                         scheme.mapping == AffineMapping::kSymmetricNoClipping;
  const auto [least, most] = Range(name, symmetric);
  return ChooseAffine(scheme, least, most);
}

void RangeStatistics::Save(const std::filesystem::path& path) const {
  std::vector<TensorInfo> tensors;
  for (const auto& [name, entry] : entries_) {
    tensors.push_back({name, DType::kFloat64, {kNumbers}});
  }
  SafetensorsWriter writer(path, {{kVersionKey, kVersion}}, tensors);
  for (const auto& [name, entry] : entries_) {
    const double values[kNumbers] = {static_cast<double>(entry.count),
                                     entry.sum_of_maxima, entry.sum_of_least,
                                     entry.sum_of_most};
    writer.Write(name, std::as_bytes(std::span(values)));
  }
  writer.Commit();
}

bool RangeStatistics::Is(const std::filesystem::path& path) {
  return SafetensorsFile::Open(path).metadata().contains(kVersionKey);
}

RangeStatistics RangeStatistics::Load(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::Open(path);
  const auto version = file.metadata().find(kVersionKey);
  if (version == file.metadata().end() || version->second != kVersion) {
    throw Error::InFile(file.path(), "is not a range statistics file");
  }
  RangeStatistics statistics;
  for (const TensorView& tensor : file.tensors()) {
    double values[kNumbers];
    if (tensor.dtype != DType::kFloat64 ||
        tensor.shape != std::vector<int64_t>{kNumbers}) {
      throw Error::InTensor(file.path(), tensor.name,
                            "is not four float64 numbers");
    }
    std::memcpy(values, tensor.data.data(), sizeof(values));
    const bool is_count = values[0] >= 0.0 && values[0] <= kMaxCount &&
                          values[0] == std::floor(values[0]);
    const bool are_sums = values[1] >= 0.0 && values[2] <= 0.0 &&
                          values[3] >= 0.0 && std::isfinite(values[1]) &&
                          std::isfinite(values[2]) && std::isfinite(values[3]);
    if (!is_count || !are_sums) {
      throw Error::InTensor(file.path(), tensor.name,
                            "is not a count and three sums");
    }
    statistics.entries_[tensor.name] = {static_cast<uint64_t>(values[0]),
                                        values[1], values[2], values[3]};
  }
  return statistics;
}

}  // namespace lutra::qat
