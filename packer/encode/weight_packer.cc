#include "packer/encode/weight_packer.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "lutra/qat/conversion.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "packer/encode/learned_tables.h"
#include "packer/encode/two_level_scales.h"
#include "packer/encode/value_text.h"
#include "packer/weights/compare.h"
#include "packer/weights/row_tasks.h"

namespace lutra::packer {
namespace {

constexpr size_t kMaxTable = 256;

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

// Gives each of w [count] the entry of `table` times `scale`, plus `offset`,
// nearest to it. The table ascends and may repeat its last entry.
void TakeNearest(const float* w, size_t count, float scale, float offset,
                 std::span<const int8_t> table, uint8_t* indices) {
  const size_t entries = static_cast<size_t>(
      std::lower_bound(table.begin(), table.end(), table.back()) -
      table.begin() + 1);
  // The largest floats that are not above the middles: floats are above the one
  // where they are above the other.
  std::array<float, kMaxTable> middles;
  for (size_t i = 0; i + 1 < entries; ++i) {
    const double middle =
        double{std::abs(scale)} * (table[i] + table[i + 1]) / 2;
    middles[i] = static_cast<float>(middle);
    if (static_cast<double>(middles[i]) > middle) {
      middles[i] =
          std::nextafter(middles[i], -std::numeric_limits<float>::infinity());
    }
  }
  const Span<const float> borders(middles.data(), entries - 1);
  if (scale >= 0 && offset == 0) {
    qat::CountBelow(w, count, borders, indices);
    return;
  }
  const float sign = scale < 0 ? -1.0f : 1.0f;
  std::vector<float> turned(count);
  for (size_t i = 0; i < count; ++i) turned[i] = sign * (w[i] - offset);
  qat::CountBelow(turned.data(), count, borders, indices);
}

// A weight matrix on its way: the arguments of PackLutMatrix.
class Packing {
 public:
  Packing(const RowSource& w, const WeightPlan& plan,
          const MomentRounding* rounding, Executor* executor)
      : w_(w),
        plan_(plan),
        rounding_(plan.method == PackMethod::kPostTraining ? rounding
                                                           : nullptr),
        executor_(executor),
        k_(plan.format.k),
        groups_(plan.format.GroupsPerRow()),
        tasks_(plan.format.n, k_),
        tables_(plan.table) {}

  PackedWeight Run(const std::function<void(size_t)>& done) {
    // Rows of a task are done when they have been rounded with data.
    const size_t done_at_once = rounding_ == nullptr ? 1 : 0;
    if (plan_.learned) {
      tasks_.ForEach(executor_, [this](size_t task) {
        std::vector<float> scratch;
        CheckFinite(Rows(task, scratch), tasks_.Begin(task), k_);
      });
      Learn([&] { done(0); });
      done(plan_.format.n * done_at_once);
    } else {
      Allocate();
      tasks_.ForEach(executor_, [&](size_t task) {
        QuantizeRows(task);
        done((tasks_.End(task) - tasks_.Begin(task)) * done_at_once);
      });
    }
    PackedWeight result;
    if (rounding_ != nullptr) result.losses = RoundWithData(done);
    if (HasSupers()) {
      super_scales_.resize(plan_.format.n * plan_.format.SupersPerRow());
      tasks_.ForEach(executor_, [this](size_t task) { TakeTwoLevels(task); });
    }
    CheckScales();
    result.table_utilisation = TableUtilisation();
    if (!plan_.format.HasTable()) StoreValues();
    result.blob.resize(kernels::BlobBytes(plan_.format) / sizeof(BlobLine));
    uint8_t* blob = result.blob.data()->bytes;
    kernels::PackLutMatrix(plan_.format,
                           {.indices = indices_.data(),
                            .scales = scales_.data(),
                            .offsets = offsets_.data(),
                            .super_scales = super_scales_.data(),
                            .tables = tables_.data()},
                           blob);
    Measure(blob, result);
    return result;
  }

 private:
  bool TablePerRow() const {
    return plan_.format.table_granularity == kernels::TableGranularity::kRow;
  }
  bool HasSupers() const {
    return plan_.format.super_span != kernels::SuperSpan::kNone;
  }
  bool HasOffsets() const {
    return plan_.format.offset_type != kernels::OffsetType::kNone;
  }
  bool HasPowersOfTwo() const {
    return plan_.scheme.scale_type == qat::ScaleType::kPowerOfTwo;
  }
  // Of offsets: their own, where powers of two would be too coarse.
  qat::ScaleType OffsetType() const {
    return HasPowersOfTwo() ? qat::ScaleType::kFloat16
                            : plan_.scheme.scale_type;
  }
  bool RoundsScales() const {
    return !HasSupers() &&
           plan_.format.scale_type != kernels::ScaleType::kFloat32;
  }
  // Of a row.
  std::span<const int8_t> Table(size_t row) const {
    if (!TablePerRow()) return tables_;
    const size_t entries = plan_.format.TableEntries();
    return std::span(tables_).subspan(row * entries, entries);
  }
  std::span<const float> Rows(size_t task, std::vector<float>& scratch) const {
    return w_.Rows(tasks_.Begin(task), tasks_.End(task) - tasks_.Begin(task),
                   scratch);
  }

  void Allocate() {
    quantizer_ = qat::MakeQuantizer(plan_.scheme.quantizer);
    indices_.resize(plan_.format.n * k_);
    scales_.resize(plan_.format.n * groups_);
    if (HasOffsets()) offsets_.resize(scales_.size());
    if (TablePerRow()) {
      tables_.resize(plan_.format.n *
                     static_cast<size_t>(plan_.format.TableEntries()));
    }
  }

  void Learn(const std::function<void()>& tick) {
    LearnedTableOptions options;
    options.bits = plan_.scheme.bits;
    options.group_size = plan_.format.group_size;
    options.granularity = *plan_.learned;
    options.scale_type = plan_.scheme.scale_type;
    LearnedTables learned = LearnTables(w_, options, executor_, tick);
    tables_ = std::move(learned.tables);
    scales_ = std::move(learned.scales);
    indices_ = std::move(learned.indices);
  }

  RowLosses RoundWithData(const std::function<void(size_t)>& done) {
    std::vector<RowLosses> losses(tasks_.count());
    tasks_.ForEach(executor_, [&](size_t task) {
      std::vector<float> scratch;
      const size_t row = tasks_.Begin(task);
      const size_t rows = tasks_.End(task) - row;
      LutRows form;
      form.group_size = plan_.format.group_size;
      form.scale_type = plan_.scheme.scale_type;
      form.indices = std::span(indices_).subspan(row * k_, rows * k_);
      form.scales = std::span(scales_).subspan(row * groups_, rows * groups_);
      if (HasOffsets()) {
        form.offsets =
            std::span(offsets_).subspan(row * groups_, rows * groups_);
        form.offset_type = OffsetType();
      }
      form.table_per_row = TablePerRow();
      form.entries =
          TablePerRow() ? plan_.format.TableEntries() : tables_.size();
      form.tables = TablePerRow() ? std::span(tables_).subspan(
                                        row * form.entries, rows * form.entries)
                                  : std::span(tables_);
      losses[task] = rounding_->Improve(Rows(task, scratch), form);
      done(rows);
    });
    RowLosses sum;
    for (const RowLosses& part : losses) sum.Add(part);
    return sum;
  }

  qat::RowTableForm QuantizeByRow(const float* w, size_t row,
                                  size_t rows) const {
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

  qat::LutForm Quantize(const float* w, size_t row, size_t rows) const {
    const qat::QuantScheme& scheme = plan_.scheme;
    const int64_t group_size = plan_.format.group_size;
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

  // Equal steps that begin anywhere: a scale and an offset for each group.
  void QuantizeWithOffsets(std::span<const float> w, size_t row) {
    std::vector<float> grid(quantizer_->GridSize(plan_.scheme.bits));
    std::vector<float> q(plan_.format.group_size);
    for (size_t begin = 0; begin < w.size(); begin += k_, ++row) {
      for (size_t g = 0; g < groups_; ++g) {
        const size_t column = g * plan_.format.group_size;
        const size_t count =
            std::min<size_t>(plan_.format.group_size, k_ - column);
        quantizer_->Quantize({w.data() + begin + column, 1, count, true},
                             plan_.scheme.bits, q.data(), grid.data());
        const double step = (static_cast<double>(grid.back()) - grid.front()) /
                            static_cast<double>(grid.size() - 1);
        scales_[row * groups_ + g] = qat::ZeroIfTiny(static_cast<float>(step));
        offsets_[row * groups_ + g] = static_cast<float>(
            grid.front() - step * static_cast<double>(tables_[0]));
      }
      if (!RoundsScales()) TakeNearestInRow(w.subspan(begin, k_), row);
    }
  }

  void QuantizeRows(size_t task) {
    std::vector<float> scratch;
    const std::span<const float> w = Rows(task, scratch);
    const size_t row = tasks_.Begin(task);
    const size_t rows = tasks_.End(task) - row;
    CheckFinite(w, row, k_);
    if (HasOffsets()) {
      QuantizeWithOffsets(w, row);
    } else if (TablePerRow()) {
      const qat::RowTableForm form = QuantizeByRow(w.data(), row, rows);
      std::copy(form.tables.begin(), form.tables.end(),
                tables_.begin() + static_cast<std::ptrdiff_t>(
                                      row * plan_.format.TableEntries()));
      Store(row, form.indices, form.scales);
    } else {
      const qat::LutForm form = Quantize(w.data(), row, rows);
      Store(row, form.indices, form.scales);
    }
    if (RoundsScales()) RoundScales(w, row);
  }

  void Store(size_t row, const std::vector<uint8_t>& indices,
             const std::vector<float>& scales) {
    std::copy(indices.begin(), indices.end(),
              indices_.begin() + static_cast<std::ptrdiff_t>(row * k_));
    std::copy(scales.begin(), scales.end(),
              scales_.begin() + static_cast<std::ptrdiff_t>(row * groups_));
  }

  // Rounds the scales of rows w from `row` on; weights then take the level that
  // is nearest. On a trained grid they keep theirs.
  void RoundScales(std::span<const float> w, size_t row) {
    for (size_t begin = 0; begin < w.size(); begin += k_, ++row) {
      for (size_t g = 0; g < groups_; ++g) {
        float& scale = scales_[row * groups_ + g];
        if (HasOffsets()) {
          float& offset = offsets_[row * groups_ + g];
          offset = qat::RoundScale(OffsetType(), offset);
        }
        if (HasPowersOfTwo()) {
          scale = BestPowerOfTwo(w.subspan(begin, k_), row, g, scale);
        } else {
          scale = qat::RoundScale(plan_.scheme.scale_type, scale);
        }
      }
      if (plan_.method == PackMethod::kPostTraining) {
        TakeNearestInRow(w.subspan(begin, k_), row);
      }
    }
  }

  // The one above or below a scale, whichever loses less.
  float BestPowerOfTwo(std::span<const float> w, size_t row, size_t g,
                       float scale) {
    if (scale == 0) return qat::kTinyScale;  // there is no power that is 0
    const float above =
        qat::RoundScale(qat::ScaleType::kPowerOfTwo, std::abs(scale));
    const size_t column = g * plan_.format.group_size;
    const float offset = HasOffsets() ? offsets_[row * groups_ + g] : 0.0f;
    const std::span<const float> group = w.subspan(
        column, std::min<size_t>(plan_.format.group_size, k_ - column));
    std::vector<uint8_t> indices(group.size());
    float best = above;
    double least = HUGE_VAL;
    for (const float candidate : {above, above / 2}) {
      TakeNearest(group.data(), group.size(), candidate, offset, Table(row),
                  indices.data());
      double error = 0;
      for (size_t i = 0; i < group.size(); ++i) {
        const double e =
            group[i] - offset -
            static_cast<double>(candidate) * Table(row)[indices[i]];
        error += e * e;
      }
      if (error >= least || candidate < qat::kTinyScale) continue;
      least = error;
      best = candidate;
    }
    return best;
  }

  void TakeNearestInRow(std::span<const float> w, size_t row) {
    for (size_t g = 0; g < groups_; ++g) {
      const size_t column = g * plan_.format.group_size;
      TakeNearest(w.data() + column,
                  std::min<size_t>(plan_.format.group_size, k_ - column),
                  scales_[row * groups_ + g],
                  HasOffsets() ? offsets_[row * groups_ + g] : 0.0f, Table(row),
                  &indices_[row * k_ + column]);
    }
  }

  // As RoundScales; indices that were chosen with data stay, too: numbers
  // change a scale less than its own error.
  void TakeTwoLevels(size_t task) {
    std::vector<float> scratch;
    const std::span<const float> w = Rows(task, scratch);
    const size_t supers = plan_.format.SupersPerRow();
    const size_t begin = tasks_.Begin(task);
    for (size_t row = begin; row < tasks_.End(task); ++row) {
      const std::span<const int8_t> table = Table(row);
      RoundToTwoLevels(plan_.format,
                       SquaredLevels(plan_.format,
                                     [&](size_t c) {
                                       return table[indices_[row * k_ + c]];
                                     }),
                       std::span(scales_).subspan(row * groups_, groups_),
                       std::span(super_scales_).subspan(row * supers, supers));
      if (plan_.method == PackMethod::kPostTraining && rounding_ == nullptr) {
        TakeNearestInRow(w.subspan((row - begin) * k_, k_), row);
      }
    }
  }

  void CheckScales() const {
    constexpr float kMaxFloat16 = 65504.0f;
    const bool is_half =
        plan_.format.scale_type == kernels::ScaleType::kFloat16;
    int largest = 0;  // magnitude of an entry
    for (const int8_t entry : tables_) {
      largest = std::max(largest, std::abs(int{entry}));
    }
    for (size_t i = 0; i < scales_.size(); ++i) {
      const float scale = std::abs(scales_[i]);
      const char* cause = nullptr;
      if (is_half && !(scale <= kMaxFloat16)) {
        cause = " is too large for float16";
      } else if (!std::isfinite(scale * static_cast<float>(largest))) {
        cause = " is so large that a level is not finite";
      }
      if (cause == nullptr) continue;
      throw Error("the scale " + ToText(scales_[i]) + " of row " +
                  std::to_string(i / groups_) + cause);
    }
    const bool is_half_offset =
        plan_.format.offset_type == kernels::OffsetType::kFloat16;
    for (size_t i = 0; i < offsets_.size(); ++i) {
      const float offset = std::abs(offsets_[i]);
      const float end = static_cast<float>(largest) * std::abs(scales_[i]);
      const char* cause = is_half_offset && !(offset <= kMaxFloat16)
                              ? " is too large for float16"
                          : !std::isfinite(offset + end)
                              ? " is so large that a level is not finite"
                              : nullptr;
      if (cause == nullptr) continue;
      throw Error("the offset " + ToText(offsets_[i]) + " of row " +
                  std::to_string(i / groups_) + cause);
    }
  }

  double TableUtilisation() const {
    std::bitset<kMaxTable> used;
    for (const uint8_t index : indices_) used.set(index);
    return static_cast<double>(used.count()) /
           (plan_.format.HasTable() ? plan_.format.TableEntries() : kMaxTable);
  }

  // Formats without a table store its entries in place of indices.
  void StoreValues() {
    for (uint8_t& index : indices_) {
      index = static_cast<uint8_t>(tables_[index]);
    }
  }

  void Measure(const uint8_t* blob, PackedWeight& result) const {
    kernels::LutMatrix matrix;
    const char* cause = kernels::ParseLutMatrix(
        blob, result.blob.size() * sizeof(BlobLine), &matrix);
    if (cause != nullptr) throw Error(cause);
    const RowSource packed(matrix);
    const Differences differences = Compare(w_, packed, executor_);
    result.sqnr_db = differences.SqnrDb();
    result.max_error = differences.max_error;
    if (differences.first && plan_.method == PackMethod::kTrained) {
      const auto [row, column] = *differences.first;
      std::vector<float> scratch;
      const float value = w_.Rows(row, 1, scratch)[column];
      throw Error("the value at " + At(row, column) + " is " + ToText(value) +
                  " but would be packed as " +
                  ToText(packed.Rows(row, 1, scratch)[column]));
    }
  }

  const RowSource& w_;
  const WeightPlan& plan_;
  const MomentRounding* const rounding_;
  Executor* const executor_;
  const size_t k_;
  const size_t groups_;
  const RowTasks tasks_;
  std::unique_ptr<qat::Quantizer> quantizer_;

  std::vector<int8_t> tables_;
  std::vector<uint8_t> indices_;
  std::vector<float> scales_;
  std::vector<float> offsets_;
  std::vector<float> super_scales_;
};

}  // namespace

PackedWeight PackWeight(const RowSource& w, const WeightPlan& plan,
                        const MomentRounding* rounding, Executor* executor,
                        const std::function<void(size_t rows)>& done) {
  return Packing(w, plan, rounding, executor).Run(done);
}

}  // namespace lutra::packer
