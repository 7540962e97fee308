#include "packer/encode/learned_tables.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <memory>
#include <span>

#include "packer/weights/row_tasks.h"

namespace lutra::packer {
namespace {

constexpr size_t kMaxEntries = 16;
constexpr size_t kMaxPasses = 30;
// Passes that try both signs of scales: after these, few change.
constexpr size_t kSignPasses = 4;
constexpr double kLeastProgress = 1e-4;
// With the table fixed, scales and indices settle at once.
constexpr int kFinalPasses = 3;
constexpr int kMaxEntry = 127;
constexpr int kMinLargestEntry = 64;
// Rows of a table for the whole tensor are sampled down to this many weights:
// sixteen numbers need no more.
constexpr size_t kSampleWeights = size_t{1} << 22;

using Table = std::vector<double>;  // ascending

// What the weights of some rows say about the table, and their loss with the
// table and scales at hand.
struct TableSums {
  std::array<double, kMaxEntries> weighted_sum = {};  // of c * s * w by entry
  std::array<double, kMaxEntries> weight = {};        // of c * s^2
  double loss = 0;

  void Add(const TableSums& other) {
    for (size_t e = 0; e < kMaxEntries; ++e) {
      weighted_sum[e] += other.weighted_sum[e];
      weight[e] += other.weight[e];
    }
    loss += other.loss;
  }
};

Table BestTable(const TableSums& statistics, Table table) {
  for (size_t e = 0; e < table.size(); ++e) {
    if (statistics.weight[e] > 0) {
      table[e] = statistics.weighted_sum[e] / statistics.weight[e];
    }
  }
  std::sort(table.begin(), table.end());
  return table;
}

// A table of whole numbers that is `table` * `unit`, nearly.
struct RoundedTable {
  Table entries;
  double unit = 1;
  bool is_start = false;  // nothing better than the start was found
};

RoundedTable Round(const Table& table, const TableSums& statistics) {
  const double largest = std::max(-table.front(), table.back());
  RoundedTable best{Table(table.size(), 0.0)};
  if (largest <= 0) return best;
  double least = HUGE_VAL;
  for (int top = kMaxEntry; top >= kMinLargestEntry; --top) {
    RoundedTable candidate;
    candidate.unit = top / largest;
    double loss = 0;
    for (size_t e = 0; e < table.size(); ++e) {
      candidate.entries.push_back(std::nearbyint(table[e] * candidate.unit));
      const double error = table[e] - candidate.entries[e] / candidate.unit;
      loss += statistics.weight[e] * error * error;
    }
    if (loss >= least) continue;
    least = loss;
    best = std::move(candidate);
  }
  return best;
}

// One step for all rows: nearest entries, scales (of both signs, or of the one
// they have), statistics.
using Pass = std::function<TableSums(const Table&, bool both_signs)>;
// Multiplies all scales.
using Rescale = std::function<void(double)>;

// Learns from the rows that `pass` goes over; `unit` is what the scales of
// other rows are to be divided by.
RoundedTable Learn(const Table& start, const Pass& pass, const Rescale& rescale,
                   std::vector<double>& losses) {
  Table table = start;
  TableSums statistics = pass(table, true);
  losses = {statistics.loss};
  while (losses.size() < kMaxPasses) {
    const double loss = statistics.loss;
    table = BestTable(statistics, std::move(table));
    statistics = pass(table, losses.size() < kSignPasses);
    losses.push_back(statistics.loss);
    if (statistics.loss >= loss * (1 - kLeastProgress)) break;
  }
  RoundedTable rounded = Round(table, statistics);
  rescale(1 / rounded.unit);
  for (int i = 0; i < kFinalPasses; ++i) {
    statistics = pass(rounded.entries, i == 0);
  }
  if (statistics.loss < losses.front()) return rounded;
  return {start, 1, true};
}

class Learner {
 public:
  Learner(const RowSource& w, const LearnedTableOptions& options,
          Executor* executor, const std::function<void()>& tick)
      : w_(w),
        options_(options),
        executor_(executor),
        tick_(tick),
        k_(w.columns()),
        groups_((k_ + options.group_size - 1) / options.group_size),
        quantizer_(qat::MakeMseQuantizer(/*stretched=*/options.bits > 0)) {
    const auto table = quantizer_->LutTable(options.bits);
    entries_ = table->size();
    start_.assign(table->begin(),
                  table->begin() + static_cast<std::ptrdiff_t>(Levels()));
  }

  LearnedTables Run() {
    result_.scales.resize(w_.rows() * groups_);
    result_.indices.resize(w_.rows() * k_);
    if (options_.granularity == qat::LearnedTable::kRow) {
      result_.tables.resize(w_.rows() * entries_);
      ForRows(w_.rows(), 1, [&](size_t, size_t row, std::span<const float> w) {
        LearnRow(row, w);
      });
    } else {
      result_.tables.resize(entries_);
      LearnTensor();
    }
    for (float& scale : result_.scales) {
      if (qat::ZeroIfTiny(std::abs(scale)) == 0) scale = 0;
    }
    return std::move(result_);
  }

 private:
  size_t Levels() const { return quantizer_->GridSize(options_.bits); }
  float* Scales(size_t row) { return &result_.scales[row * groups_]; }

  // A table of a row is skewed as its weights are, and few groups share it.
  bool HasSigns() const {
    return options_.granularity == qat::LearnedTable::kTensor;
  }

  // Calls body(task, row, values) for `count` rows, `stride` apart, on all
  // threads.
  template <typename Body>
  void ForRows(size_t count, size_t stride, const Body& body) {
    const RowTasks tasks(count, k_);
    tasks.ForEach(executor_, [&](size_t task) {
      tick_();
      std::vector<float> scratch;
      for (size_t i = tasks.Begin(task); i < tasks.End(task); ++i) {
        body(task, i * stride, w_.Rows(i * stride, 1, scratch));
      }
    });
  }

  // The best scales of the stretched table, of the sign that gives the largest
  // weight an upper entry: this is how tables get skewed.
  void StartScales(std::span<const float> w, float* scales) const {
    std::vector<float> q(options_.group_size);
    std::vector<float> grid(Levels());
    for (size_t g = 0; g < groups_; ++g) {
      const std::span<const float> group = Group(w, g);
      quantizer_->Quantize({group.data(), 1, group.size(), true}, options_.bits,
                           q.data(), grid.data());
      const float scale = qat::RoundScale(
          options_.scale_type, grid.back() / static_cast<float>(start_.back()));
      const auto largest = std::max_element(
          group.begin(), group.end(),
          [](float a, float b) { return std::abs(a) < std::abs(b); });
      scales[g] = HasSigns() && *largest < 0 ? -scale : scale;
    }
  }

  std::span<const float> Group(std::span<const float> w, size_t g) const {
    const size_t begin = g * options_.group_size;
    return w.subspan(begin, std::min(options_.group_size, k_ - begin));
  }

  TableSums PassRow(std::span<const float> w, const Table& table,
                    bool both_signs, float* scales) const {
    std::vector<uint8_t> indices(options_.group_size);
    TableSums statistics;
    for (size_t g = 0; g < groups_; ++g) {
      const std::span<const float> group = Group(w, g);
      TableSums best;
      float scale = scales[g];
      FindNearest(group, table, scale, indices.data());
      PassGroup(group, table, indices.data(), scale, best);
      if (both_signs && HasSigns()) {
        TableSums other;
        float mirrored = -scales[g];
        FindNearest(group, table, mirrored, indices.data());
        PassGroup(group, table, indices.data(), mirrored, other);
        if (other.loss < best.loss) {
          best = other;
          scale = mirrored;
        }
      }
      scales[g] = scale;
      statistics.Add(best);
    }
    return statistics;
  }

  static void FindNearest(std::span<const float> w, const Table& table,
                          float scale, uint8_t* indices) {
    std::fill_n(indices, w.size(), uint8_t{0});
    // With a negative scale, levels descend.
    const float sign = scale < 0 ? -1.0f : 1.0f;
    for (size_t e = 0; e + 1 < table.size(); ++e) {
      const auto middle = static_cast<float>(
          std::abs(static_cast<double>(scale)) * (table[e] + table[e + 1]) / 2);
      for (size_t i = 0; i < w.size(); ++i) indices[i] += sign * w[i] > middle;
    }
  }

  void PassGroup(std::span<const float> w, const Table& table,
                 const uint8_t* indices, float& scale,
                 TableSums& statistics) const {
    std::array<double, kMaxEntries> sum = {};
    std::array<double, kMaxEntries> count = {};
    double squares = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      const double value = w[i];
      sum[indices[i]] += value;
      count[indices[i]] += 1;
      squares += value * value;
    }
    double product = 0;
    double norm = 0;
    for (size_t e = 0; e < table.size(); ++e) {
      product += table[e] * sum[e];
      norm += table[e] * table[e] * count[e];
    }
    // Otherwise no scale of this sign is better than the one at hand.
    if (scale < 0 ? product < 0 : product > 0) {
      scale = qat::RoundScale(options_.scale_type,
                              static_cast<float>(product / norm));
    }
    if (squares == 0) return;  // fits every table
    const double s = scale;
    const double relative = 1 / squares;  // c
    statistics.loss += relative * (squares - 2 * s * product + s * s * norm);
    for (size_t e = 0; e < table.size(); ++e) {
      statistics.weighted_sum[e] += relative * s * sum[e];
      statistics.weight[e] += relative * s * s * count[e];
    }
  }

  void StoreTable(const RoundedTable& table, int8_t* entries) const {
    for (size_t e = 0; e < entries_; ++e) {
      entries[e] = static_cast<int8_t>(
          table.entries[std::min(e, table.entries.size() - 1)]);
    }
  }

  // Scales and indices of a row with its final table. The scales of rows that
  // it was learned from are there already.
  void FinishRow(size_t row, std::span<const float> w,
                 const RoundedTable& table, bool learned_from) {
    float* scales = Scales(row);
    if (!learned_from || table.is_start) {
      StartScales(w, scales);
      Multiply(scales, groups_, 1 / table.unit);
      for (int i = 0; i < kFinalPasses; ++i) {
        PassRow(w, table.entries, i == 0, scales);
      }
    }
    // Once more for the indices, without touching the scales.
    for (size_t g = 0; g < groups_; ++g) {
      FindNearest(Group(w, g), table.entries, scales[g],
                  &result_.indices[row * k_ + g * options_.group_size]);
    }
  }

  void Multiply(float* scales, size_t count, double factor) const {
    for (size_t i = 0; i < count; ++i) {
      const double scale = static_cast<double>(scales[i]) * factor;
      scales[i] =
          qat::RoundScale(options_.scale_type, static_cast<float>(scale));
    }
  }

  void LearnRow(size_t row, std::span<const float> w) {
    float* scales = Scales(row);
    StartScales(w, scales);
    std::vector<double> losses;
    const RoundedTable table = Learn(
        start_,
        [&](const Table& t, bool both) { return PassRow(w, t, both, scales); },
        [&](double factor) { Multiply(scales, groups_, factor); }, losses);
    StoreTable(table, &result_.tables[row * entries_]);
    FinishRow(row, w, table, true);
  }

  void LearnTensor() {
    const size_t sample_rows = std::max<size_t>(1, kSampleWeights / k_);
    const size_t stride = (w_.rows() + sample_rows - 1) / sample_rows;
    const size_t count = (w_.rows() + stride - 1) / stride;
    ForRows(count, stride, [&](size_t, size_t row, std::span<const float> w) {
      StartScales(w, Scales(row));
    });
    const RoundedTable table = Learn(
        start_,
        [&](const Table& t, bool both) {
          // By task, so that sums do not depend on the number of threads.
          std::vector<TableSums> tasks(RowTasks(count, k_).count());
          ForRows(count, stride,
                  [&](size_t task, size_t row, std::span<const float> w) {
                    tasks[task].Add(PassRow(w, t, both, Scales(row)));
                  });
          TableSums all;
          for (const TableSums& statistics : tasks) all.Add(statistics);
          return all;
        },
        [&](double factor) {
          Multiply(result_.scales.data(), result_.scales.size(), factor);
        },
        result_.losses);
    StoreTable(table, result_.tables.data());
    ForRows(w_.rows(), 1, [&](size_t, size_t row, std::span<const float> w) {
      FinishRow(row, w, table, row % stride == 0);
    });
  }

  const RowSource& w_;
  const LearnedTableOptions options_;
  Executor* const executor_;
  const std::function<void()>& tick_;
  const size_t k_;
  const size_t groups_;
  const std::unique_ptr<qat::Quantizer> quantizer_;
  size_t entries_ = 0;  // as stored
  Table start_;
  LearnedTables result_;
};

}  // namespace

LearnedTables LearnTables(const RowSource& w,
                          const LearnedTableOptions& options,
                          Executor* executor,
                          const std::function<void()>& tick) {
  return Learner(w, options, executor, tick).Run();
}

}  // namespace lutra::packer
