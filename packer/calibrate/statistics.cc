#include "lutra/packer/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/calibrate/moments.h"
#include "packer/calibrate/statistics_file.h"
#include "packer/calibrate/taps.h"

namespace lutra::packer {
namespace {

constexpr std::string_view kVersion = "1";
// More would not be addressed by a matrix of columns.
constexpr size_t kMaxColumns = size_t{1} << 20;

// The k with k (k + 1) / 2 elements; 0 if there is none.
size_t ColumnsOfHalf(size_t elements) {
  const auto k = static_cast<size_t>(
      (std::sqrt(8.0 * static_cast<double>(elements) + 1) - 1) / 2);
  for (size_t candidate = k; candidate <= k + 1; ++candidate) {
    if (candidate > 0 && candidate <= kMaxColumns &&
        HalfSize(candidate) == elements) {
      return candidate;
    }
  }
  return 0;
}

std::span<const float> HalfOf(const SafetensorsFile& file,
                              std::string_view value) {
  return file.Get(MomentsName(value)).Floats(file.path());
}

}  // namespace

std::map<std::string, std::string> StatisticsMetadata() {
  return {{std::string(kStatisticsKey), std::string(kVersion)}};
}

std::vector<TensorInfo> StatisticsTensors(
    const std::vector<std::pair<std::string, size_t>>& values) {
  std::vector<TensorInfo> tensors;
  for (const auto& [value, columns] : values) {
    TensorInfo moments;
    moments.name = MomentsName(value);
    moments.shape = {static_cast<int64_t>(HalfSize(columns))};
    tensors.push_back(moments);
    TensorInfo rows;
    rows.name = RowsName(value);
    rows.dtype = DType::kUInt64;
    rows.shape = {1};
    tensors.push_back(rows);
    TensorInfo peaks;
    peaks.name = PeaksName(value);
    peaks.shape = {static_cast<int64_t>(columns)};
    tensors.push_back(peaks);
  }
  return tensors;
}

void WriteStatistics(SafetensorsWriter& writer, std::string_view value,
                     uint64_t rows, std::span<const float> half,
                     std::span<const float> peaks) {
  writer.Write(MomentsName(value), std::as_bytes(half));
  writer.Write(RowsName(value), std::as_bytes(std::span(&rows, 1)));
  writer.Write(PeaksName(value), std::as_bytes(peaks));
}

Statistics Statistics::Open(const std::filesystem::path& path) {
  Statistics statistics(SafetensorsFile::Open(path));
  const SafetensorsFile& file = statistics.file_;
  const auto version = file.metadata().find(std::string(kStatisticsKey));
  if (version == file.metadata().end()) {
    throw Error::InFile(file.path(),
                        "is no statistics file (made by lutra calibrate)");
  }
  if (version->second != kVersion) {
    throw Error::InFile(file.path(), "has statistics of version " +
                                         version->second + ", not " +
                                         std::string(kVersion));
  }
  for (const TensorView& tensor : file.tensors()) {
    if (!tensor.name.starts_with(kMomentsPrefix)) continue;
    const std::string value = tensor.name.substr(kMomentsPrefix.size());
    const size_t columns = ColumnsOfHalf(tensor.ElementCount());
    const TensorView* rows = file.Find(RowsName(value));
    if (tensor.dtype != DType::kFloat32 || columns == 0 || rows == nullptr ||
        rows->dtype != DType::kUInt64 || rows->ElementCount() != 1) {
      throw Error::InTensor(file.path(), tensor.name,
                            "is no half of a matrix with a number of rows");
    }
    const TensorView* peaks = file.Find(PeaksName(value));
    if (peaks == nullptr || peaks->dtype != DType::kFloat32 ||
        peaks->ElementCount() != columns) {
      throw Error::InTensor(file.path(), tensor.name,
                            "has no peaks of its columns: calibrate anew");
    }
    statistics.columns_[value] = columns;
  }
  return statistics;
}

uint64_t Statistics::Rows(std::string_view value) const {
  uint64_t rows = 0;
  std::memcpy(&rows, file_.Get(RowsName(value)).data.data(), sizeof(rows));
  return rows;
}

Span<const float> Statistics::Divisors(std::string_view value) const {
  const auto divisors = divisors_.find(value);
  if (divisors == divisors_.end()) return {};
  return divisors->second;
}

void Statistics::Divide(std::string_view value, std::vector<float> divisors) {
  divisors_[std::string(value)] = std::move(divisors);
}

std::vector<float> Statistics::Peaks(std::string_view value) const {
  const Span<const float> all =
      file_.Get(PeaksName(value)).Floats(file_.path());
  std::vector<float> peaks(all.begin(), all.end());
  const Span<const float> divisors = Divisors(value);
  for (size_t i = 0; i < divisors.size(); ++i) peaks[i] /= divisors[i];
  return peaks;
}

std::vector<float> Statistics::Moments(std::string_view value) const {
  const std::span<const float> half = HalfOf(file_, value);
  const Span<const float> divisors = Divisors(value);
  const size_t k = columns_.find(value)->second;
  std::vector<float> moments(k * k);
  size_t next = 0;
  for (size_t i = 0; i < k; ++i) {
    for (size_t j = i; j < k; ++j) {
      float sum = half[next++];
      if (!divisors.empty()) sum /= divisors[i] * divisors[j];
      if (!std::isfinite(sum) || (i == j && sum < 0)) {
        throw Error::InTensor(file_.path(), MomentsName(value),
                              "has sums that cannot be");
      }
      moments[i * k + j] = sum;
      moments[j * k + i] = sum;
    }
  }
  return moments;
}

std::vector<std::string> Statistics::ValuesOf(const Model& model,
                                              std::string_view weight) const {
  std::vector<std::string> values;
  for (const Node& node : model.graph().nodes) {
    if (node.weight != weight) continue;
    const std::optional<MatrixInput> input = FindMatrixInput(model, node);
    if (!input) continue;
    const std::string& value = input->name;
    const auto columns = columns_.find(value);
    if (columns == columns_.end() ||
        std::find(values.begin(), values.end(), value) != values.end()) {
      continue;
    }
    const size_t expected = input->columns;
    if (columns->second != expected) {
      throw Error::InTensor(file_.path(), MomentsName(value),
                            "has " + std::to_string(columns->second) +
                                " columns, but the model's value has " +
                                std::to_string(expected));
    }
    values.push_back(value);
  }
  return values;
}

void MergeStatistics(const std::vector<Statistics>& parts,
                     const std::filesystem::path& path) {
  const Statistics& first = parts.at(0);
  for (const Statistics& part : parts) {
    if (part.columns() == first.columns()) continue;
    throw Error::InFile(part.path(), "has other values than " + first.path());
  }
  std::vector<std::pair<std::string, size_t>> values(first.columns().begin(),
                                                     first.columns().end());
  SafetensorsWriter writer(path, StatisticsMetadata(),
                           StatisticsTensors(values));
  for (const auto& [value, columns] : values) {
    uint64_t rows = 0;
    std::vector<float> sum(HalfSize(columns));
    std::vector<float> peaks(columns);
    for (const Statistics& part : parts) {
      rows += part.Rows(value);
      const std::vector<float> more = part.Peaks(value);
      for (size_t i = 0; i < columns; ++i) {
        peaks[i] = std::max(peaks[i], more[i]);
      }
      const std::vector<float> moments = part.Moments(value);
      size_t next = 0;
      for (size_t i = 0; i < columns; ++i) {
        for (size_t j = i; j < columns; ++j) {
          sum[next++] += moments[i * columns + j];
        }
      }
    }
    WriteStatistics(writer, value, rows, sum, peaks);
  }
  writer.Commit();
}

}  // namespace lutra::packer
