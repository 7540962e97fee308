#include "packer/weight_packer.h"

#include <algorithm>
#include <bitset>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>

#include "lutra/qat/conversion.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "packer/parallel.h"

namespace lutra::packer {
namespace {

// Weights per task: large enough to outweigh handing it out, and fixed, so that
// nothing depends on the number of threads.
constexpr size_t kTaskWeights = 1 << 16;

constexpr size_t kMaxTable = 256;

// Text that reads back as the same float.
std::string ToText(float value) {
  std::ostringstream text;
  text.precision(std::numeric_limits<float>::max_digits10);
  text << value;
  return text.str();
}

std::string At(size_t row, size_t column) {
  return "row " + std::to_string(row) + ", column " + std::to_string(column);
}

// Levels closer than this, in units of the row's largest magnitude, are one:
// LSBQ writes a level in several ways that differ by rounding.
constexpr float kLevelTolerance = 1e-5f;

// The distinct values of a row, ascending and padded with the last one to
// `count`. Throws Error if there are more.
std::vector<float> RowLevels(const float* w, size_t row, size_t k,
                             size_t count) {
  std::vector<float> sorted(w, w + k);
  std::sort(sorted.begin(), sorted.end());
  const float tolerance =
      kLevelTolerance * std::max(std::abs(sorted.front()), sorted.back());
  std::vector<float> levels;
  for (const float value : sorted) {
    if (!levels.empty() && value - levels.back() <= tolerance) continue;
    if (levels.size() == count) {
      throw Error("row " + std::to_string(row) + " has more than " +
                  std::to_string(count) + " levels");
    }
    levels.push_back(value);
  }
  levels.resize(count, levels.back());
  return levels;
}

void CheckFinite(const float* w, size_t row, size_t k) {
  for (size_t column = 0; column < k; ++column) {
    if (std::isfinite(w[column])) continue;
    throw Error("the value at " + At(row, column) + " is " + ToText(w[column]));
  }
}

// A weight matrix on its way: the arguments of PackLutMatrix.
class Packing {
 public:
  Packing(const float* w, const WeightPlan& plan)
      : w_(w),
        plan_(plan),
        n_(plan.format.n),
        k_(plan.format.k),
        groups_(plan.format.GroupsPerRow()),
        rows_per_task_(std::max<size_t>(1, kTaskWeights / k_)),
        quantizer_(qat::MakeQuantizer(plan.scheme.quantizer)),
        tables_(plan.table),
        indices_(n_ * k_),
        scales_(n_ * groups_),
        signal_(n_),
        noise_(n_),
        max_error_(n_) {
    if (TablePerRow()) tables_.resize(n_ * plan.format.TableEntries());
  }

  PackedWeight Run(pthreadpool_t pool) {
    const size_t tasks = (n_ + rows_per_task_ - 1) / rows_per_task_;
    ParallelFor(pool, tasks, [this](size_t task) { QuantizeRows(task); });
    PackedWeight result;
    result.blob.resize(kernels::BlobBytes(plan_.format) / sizeof(BlobLine));
    uint8_t* blob = result.blob.data()->bytes;
    kernels::PackLutMatrix(plan_.format, indices_.data(), scales_.data(),
                           tables_.data(), blob);

    kernels::LutMatrix matrix;
    const char* cause = kernels::ParseLutMatrix(
        blob, result.blob.size() * sizeof(BlobLine), &matrix);
    if (cause != nullptr) throw Error(cause);
    ParallelFor(pool, tasks, [&](size_t task) { MeasureRows(matrix, task); });
    Summarise(result);
    return result;
  }

 private:
  size_t FirstRow(size_t task) const { return task * rows_per_task_; }
  size_t RowCount(size_t task) const {
    return std::min(rows_per_task_, n_ - FirstRow(task));
  }

  bool TablePerRow() const {
    return plan_.format.table_granularity == kernels::TableGranularity::kRow;
  }

  qat::RowTableForm QuantizeByRow(size_t row, size_t rows) const {
    const float* w = w_ + row * k_;
    if (plan_.method == PackMethod::kPostTraining) {
      return qat::QuantizeToRowTables(w, rows, k_, *quantizer_,
                                      plan_.scheme.bits);
    }
    const size_t count = quantizer_->GridSize(plan_.scheme.bits);
    std::vector<float> grids;
    for (size_t i = 0; i < rows; ++i) {
      const std::vector<float> levels =
          RowLevels(w + i * k_, row + i, k_, count);
      grids.insert(grids.end(), levels.begin(), levels.end());
    }
    return qat::ToRowTables(w, rows, k_, grids.data(), count);
  }

  qat::LutForm Quantize(size_t row, size_t rows) const {
    const qat::QuantScheme& scheme = plan_.scheme;
    const int64_t group_size = plan_.format.group_size;
    const float* w = w_ + row * k_;
    if (plan_.method == PackMethod::kPostTraining) {
      return qat::QuantizeToLut(w, rows, k_, *quantizer_, scheme.bits,
                                group_size);
    }
    qat::GridMismatch mismatch;
    std::optional<qat::LutForm> form = qat::MatchGrid(
        w, rows, k_, *quantizer_, scheme.bits, group_size, &mismatch);
    if (!form.has_value()) {
      mismatch.row += row;
      throw Error(mismatch.ToString() + "; the model says it was trained as " +
                  qat::ToString(scheme));
    }
    return *std::move(form);
  }

  void QuantizeRows(size_t task) {
    const size_t row = FirstRow(task);
    const size_t rows = RowCount(task);
    for (size_t i = row; i < row + rows; ++i) CheckFinite(w_ + i * k_, i, k_);
    if (!TablePerRow()) {
      const qat::LutForm form = Quantize(row, rows);
      return Store(row, form.indices, form.scales);
    }
    const qat::RowTableForm form = QuantizeByRow(row, rows);
    std::copy(form.tables.begin(), form.tables.end(),
              tables_.begin() + static_cast<std::ptrdiff_t>(
                                    row * plan_.format.TableEntries()));
    Store(row, form.indices, form.scales);
  }

  void Store(size_t row, const std::vector<uint8_t>& indices,
             const std::vector<float>& scales) {
    std::copy(indices.begin(), indices.end(),
              indices_.begin() + static_cast<std::ptrdiff_t>(row * k_));
    std::copy(scales.begin(), scales.end(),
              scales_.begin() + static_cast<std::ptrdiff_t>(row * groups_));
    std::bitset<kMaxTable> used;
    for (const uint8_t index : indices) used.set(index);
    const std::lock_guard<std::mutex> lock(mutex_);
    used_ |= used;
  }

  void MeasureRows(const kernels::LutMatrix& matrix, size_t task) {
    std::vector<float> packed(k_);
    for (size_t i = 0; i < RowCount(task); ++i) {
      const size_t row = FirstRow(task) + i;
      const float* w = w_ + row * k_;
      kernels::DequantizeRow(matrix, static_cast<uint32_t>(row), packed.data());
      for (size_t column = 0; column < k_; ++column) {
        const double value = w[column];
        const double error = std::abs(value - packed[column]);
        signal_[row] += value * value;
        noise_[row] += error * error;
        max_error_[row] = std::max(max_error_[row], error);
        if (error != 0 && plan_.method == PackMethod::kTrained) {
          throw Error("the value at " + At(row, column) + " is " +
                      ToText(w[column]) + " but would be packed as " +
                      ToText(packed[column]));
        }
      }
    }
  }

  void Summarise(PackedWeight& result) const {
    double signal = 0;
    double noise = 0;
    for (size_t row = 0; row < n_; ++row) {
      signal += signal_[row];
      noise += noise_[row];
      result.max_error = std::max(result.max_error, max_error_[row]);
    }
    result.sqnr_db = noise == 0 ? std::numeric_limits<double>::infinity()
                                : 10 * std::log10(signal / noise);
    result.table_utilisation =
        static_cast<double>(used_.count()) / plan_.format.TableEntries();
  }

  const float* w_;
  const WeightPlan& plan_;
  const size_t n_;
  const size_t k_;
  const size_t groups_;
  const size_t rows_per_task_;
  const std::unique_ptr<qat::Quantizer> quantizer_;

  std::vector<int8_t> tables_;
  std::vector<uint8_t> indices_;
  std::vector<float> scales_;
  std::mutex mutex_;  // guards used_
  std::bitset<kMaxTable> used_;

  // By row, so that sums do not depend on the number of threads.
  std::vector<double> signal_;
  std::vector<double> noise_;
  std::vector<double> max_error_;
};

}  // namespace

PackedWeight PackWeight(const float* w, const WeightPlan& plan,
                        pthreadpool_t pool) {
  return Packing(w, plan).Run(pool);
}

}  // namespace lutra::packer
