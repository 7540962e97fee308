#include "packer/encode/moment_rounding.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "packer/encode/linear_algebra.h"
#include "packer/weights/matrix_product.h"

namespace lutra::packer {
namespace {

// Columns that are rounded before the errors go on to all later ones.
constexpr size_t kPanel = 64;
// Factors of a group's scale that are tried.
constexpr std::array kFactors = {0.55f, 0.6f, 0.65f, 0.7f, 0.75f, 0.8f,
                                 0.85f, 0.9f, 0.95f, 1.0f, 1.05f, 1.1f,
                                 1.15f, 1.2f, 1.3f,  1.4f};
constexpr int kSweeps = 4;
// A turn that gains less than this share is the last.
constexpr double kLeastSweepProgress = 1e-3;
// What damping is raised to at most where the moments are not positive
// definite.
constexpr double kMaxDamping = 100;
// On the diagonal of the systems for scales and tables, as a share of it.
constexpr double kRidge = 1e-6;
constexpr int kLargestEntry = 127;
// The levels of a table, each once, and the borders between them.
struct Levels {
  Levels(std::span<const int8_t> table) {
    for (size_t e = 0; e < table.size(); ++e) {
      if (e > 0 && table[e] <= table[e - 1]) break;
      entries.push_back(static_cast<float>(table[e]));
    }
    for (size_t e = 0; e + 1 < entries.size(); ++e) {
      middles.push_back((entries[e] + entries[e + 1]) / 2);
    }
  }
  // Whether the table is its own mirror image.
  bool IsSymmetric() const {
    return std::equal(entries.begin(), entries.end(), entries.rbegin(),
                      [](float a, float b) { return a == -b; });
  }
  // Of the level nearest to x.
  uint8_t Nearest(float x) const {
    if (middles.size() > 16) {
      return static_cast<uint8_t>(
          std::lower_bound(middles.begin(), middles.end(), x) -
          middles.begin());
    }
    int index = 0;
    for (const float middle : middles) index += x > middle ? 1 : 0;
    return static_cast<uint8_t>(index);
  }

  std::vector<float> entries;
  std::vector<float> middles;
};

}  // namespace

MomentRounding::MomentRounding(std::vector<float> moments, size_t k,
                               const DataRounding& options,
                               const std::vector<float>& cross)
    : k_(k), options_(options), moments_(std::move(moments)), order_(k) {
  double mean = 0;
  for (size_t i = 0; i < k; ++i) {
    mean += static_cast<double>(moments_[i * k + i]) / static_cast<double>(k);
  }
  std::iota(order_.begin(), order_.end(), 0u);
  std::stable_sort(order_.begin(), order_.end(), [&](uint32_t a, uint32_t b) {
    return moments_[a * k + a] > moments_[b * k + b];
  });
  if (mean == 0) return;  // nothing is known: nothing is improved
  std::vector<float> difference = cross;
  for (size_t i = 0; i < cross.size(); ++i) difference[i] -= moments_[i];
  std::vector<float> ordered(k * k);
  double damped = 0;
  double damping = options.damping;
  while (factor_.empty() && damping <= kMaxDamping) {
    for (size_t i = 0; i < k; ++i) {
      moments_[i * k + i] += static_cast<float>((damping - damped) * mean);
    }
    damped = damping;
    for (size_t i = 0; i < k; ++i) {
      for (size_t j = 0; j < k; ++j) {
        ordered[i * k + j] = moments_[order_[i] * k + order_[j]];
      }
    }
    factor_ = UpperFactor(ordered, k);
    damping = std::max(10 * damping, 1e-6);
  }
  if (!cross.empty()) correction_ = DivideBy(difference, moments_, k);
  importance_.resize(k);
  for (size_t i = 0; !factor_.empty() && i < k; ++i) {
    importance_[order_[i]] = factor_[i * k + i] * factor_[i * k + i];
  }
}

MomentRounding::~MomentRounding() = default;

// The rows of a call, on their way.
class RowsRounder {
 public:
  RowsRounder(const MomentRounding& rounding, std::span<const float> w,
              const LutRows& rows)
      : rounding_(rounding),
        k_(rounding.k_),
        groups_((k_ + rows.group_size - 1) / rows.group_size),
        count_(w.size() / k_),
        has_offsets_(!rows.offsets.empty()),
        w_(w.begin(), w.end()),
        rows_(rows),
        errors_(count_ * k_),
        products_(count_ * k_) {
    for (size_t row = 0; row < (rows.table_per_row ? count_ : 1); ++row) {
      levels_.emplace_back(TableOf(row));
    }
    if (rounding.correction_.empty()) return;
    Multiply(w.data(), k_, rounding.correction_.data(), k_, w_.data(), k_,
             count_, k_, k_, true);
  }

  RowLosses Run() {
    RowLosses losses;
    losses.energy = Energy();
    const std::vector<double> start = Losses();
    best_ = start;
    Save(std::vector<bool>(count_, true));
    if (rounding_.options_.method == DataRounding::Method::kClip) {
      for (size_t row = 0; row < count_; ++row) {
        for (size_t g = 0; g < groups_; ++g) Clip(row, g);
      }
      KeepBetter();
      return Finish(start, losses);
    }
    SearchScales();
    RoundInOrder();
    KeepBetter();
    for (int turn = 0; turn < rounding_.options_.turns; ++turn) {
      if (rows_.table_per_row) FitTables();
      FitScales();
      Descend();
      if (!KeepBetter()) break;
    }
    return Finish(start, losses);
  }

 private:
  RowLosses Finish(const std::vector<double>& start, RowLosses losses) {
    Restore();
    for (size_t row = 0; row < count_; ++row) {
      losses.start += start[row];
      losses.result += best_[row];
    }
    return losses;
  }

  // c [m, n] (+)= a [m, k] * b [k, n], on this thread.
  void Multiply(const float* a, size_t a_stride, const float* b,
                size_t b_stride, float* c, size_t c_stride, size_t m, size_t n,
                size_t k, bool accumulate) {
    kernels::FloatGemmArguments product;
    product.a = {.data = a, .stride = a_stride};
    product.b = {.data = b, .stride = b_stride};
    product.m = m;
    product.n = n;
    product.k = k;
    product.accumulate = accumulate;
    product.c = c;
    product.c_stride = c_stride;
    product_(product, nullptr);
  }

  std::span<const int8_t> TableOf(size_t row) const {
    return rows_.table_per_row
               ? rows_.tables.subspan(row * rows_.entries, rows_.entries)
               : rows_.tables;
  }
  const Levels& LevelsOf(size_t row) const {
    return levels_[rows_.table_per_row ? row : 0];
  }
  const float* W(size_t row) const { return w_.data() + row * k_; }
  uint8_t* Indices(size_t row) const { return rows_.indices.data() + row * k_; }
  float* Scales(size_t row) const {
    return rows_.scales.data() + row * groups_;
  }
  size_t End(size_t g) const {
    return std::min(k_, (g + 1) * rows_.group_size);
  }
  float Offset(size_t row, size_t g) const {
    return has_offsets_ ? rows_.offsets[row * groups_ + g] : 0.0f;
  }
  // The number that is stored for a scale: one near it.
  float Stored(double scale) const {
    const auto wanted = static_cast<float>(scale);
    const float above = qat::RoundScale(rows_.scale_type, wanted);
    const bool lower = rows_.scale_type == qat::ScaleType::kPowerOfTwo &&
                       above - wanted > wanted - above / 2;
    return lower ? above / 2 : above;
  }
  float StoredOffset(double offset) const {
    return qat::RoundScale(rows_.offset_type, static_cast<float>(offset));
  }

  // errors_ = w - q.
  void ComputeErrors() {
    for (size_t row = 0; row < count_; ++row) {
      const std::vector<float>& entries = LevelsOf(row).entries;
      const uint8_t* indices = Indices(row);
      for (size_t g = 0; g < groups_; ++g) {
        const float scale = Scales(row)[g];
        const float offset = Offset(row, g);
        for (size_t i = g * rows_.group_size; i < End(g); ++i) {
          errors_[row * k_ + i] =
              W(row)[i] - offset - scale * entries[indices[i]];
        }
      }
    }
  }
  double Energy() {
    std::copy(w_.begin(), w_.end(), errors_.begin());
    const std::vector<double> energies = LossesOfErrors();
    return std::accumulate(energies.begin(), energies.end(), 0.0);
  }
  std::vector<double> Losses() {
    ComputeErrors();
    return LossesOfErrors();
  }
  // products_ = errors_ H, and the loss of each row.
  std::vector<double> LossesOfErrors() {
    Multiply(errors_.data(), k_, rounding_.moments_.data(), k_,
             products_.data(), k_, count_, k_, k_, false);
    std::vector<double> losses(count_);
    for (size_t row = 0; row < count_; ++row) {
      for (size_t i = row * k_; i < (row + 1) * k_; ++i) {
        losses[row] += static_cast<double>(errors_[i]) * products_[i];
      }
    }
    return losses;
  }

  // Whether some row has become better by more than a little. Every row is
  // kept at its best.
  bool KeepBetter() {
    const std::vector<double> losses = Losses();
    std::vector<bool> better(count_);
    bool progress = false;
    for (size_t row = 0; row < count_; ++row) {
      if (!(losses[row] < best_[row])) continue;
      better[row] = true;
      progress |= losses[row] < best_[row] * (1 - kLeastSweepProgress);
      best_[row] = losses[row];
    }
    Save(better);
    return progress;
  }
  void Save(const std::vector<bool>& which) {
    saved_indices_.resize(rows_.indices.size());
    saved_scales_.resize(rows_.scales.size());
    saved_offsets_.resize(rows_.offsets.size());
    saved_tables_.resize(rows_.tables.size());
    if (has_offsets_) {
      Copy(which, rows_.offsets, std::span(saved_offsets_), groups_);
    }
    Copy(which, rows_.indices, std::span(saved_indices_), k_);
    Copy(which, rows_.scales, std::span(saved_scales_), groups_);
    if (rows_.table_per_row) {
      Copy(which, rows_.tables, std::span(saved_tables_), rows_.entries);
    }
  }
  void Restore() {
    const std::vector<bool> all(count_, true);
    Copy(all, std::span(saved_indices_), rows_.indices, k_);
    Copy(all, std::span(saved_scales_), rows_.scales, groups_);
    if (has_offsets_) {
      Copy(all, std::span(saved_offsets_), rows_.offsets, groups_);
    }
    if (rows_.table_per_row) {
      Copy(all, std::span(saved_tables_), rows_.tables, rows_.entries);
    }
  }
  template <typename T>
  void Copy(const std::vector<bool>& which, std::span<T> from, std::span<T> to,
            size_t stride) const {
    for (size_t row = 0; row < count_; ++row) {
      if (!which[row]) continue;
      std::copy_n(from.begin() + static_cast<ptrdiff_t>(row * stride), stride,
                  to.begin() + static_cast<ptrdiff_t>(row * stride));
    }
  }

  // Step 2.
  void SearchScales() {
    for (size_t row = 0; row < count_; ++row) {
      for (size_t g = 0; g < groups_; ++g) SearchScale(row, g);
    }
  }
  void SearchScale(size_t row, size_t g) const {
    const float start = Scales(row)[g];
    if (start == 0) return;
    if (has_offsets_) {
      TryRanges(row, g);
      return;
    }
    double least = HUGE_VAL;
    TryScales(row, g, start, least);
    // The other way round, a table is another one, unless it is its own mirror
    // image.
    if (!LevelsOf(row).IsSymmetric() && HasSign()) {
      TryScales(row, g, -start, least);
    }
  }
  bool HasSign() const {
    return rows_.scale_type != qat::ScaleType::kPowerOfTwo;
  }
  void TryScales(size_t row, size_t g, float start, double& least) const {
    const Levels& levels = LevelsOf(row);
    float& scale = Scales(row)[g];
    for (const float factor : kFactors) {
      const float inverse = 1 / (start * factor);
      if (!std::isfinite(inverse)) continue;
      double product = 0;
      double norm = 0;
      double squares = 0;
      for (size_t i = g * rows_.group_size; i < End(g); ++i) {
        const float w = W(row)[i];
        const double weight = rounding_.importance_[i];
        const double level = levels.entries[levels.Nearest(w * inverse)];
        product += weight * w * level;
        norm += weight * level * level;
        squares += weight * w * w;
      }
      if (!(product * start > 0)) continue;
      const float candidate = Stored(product / norm);
      const double loss =
          HasSign() ? squares - product * product / norm
                    : squares - candidate * (2 * product - candidate * norm);
      if (loss >= least || candidate == 0) continue;
      least = loss;
      scale = candidate;
    }
  }
  // The same with offsets: the range of levels grows or shrinks around its
  // middle, and what then is best for the nearest levels is a line through
  // points (level, weight).
  void TryRanges(size_t row, size_t g) const {
    const Levels& levels = LevelsOf(row);
    const double start = Scales(row)[g];
    const double center = (levels.entries.front() + levels.entries.back()) / 2;
    const double middle = Offset(row, g) + start * center;
    double least = HUGE_VAL;
    for (const float factor : kFactors) {
      const double scale = start * factor;
      const double offset = middle - scale * center;
      double sums[6] = {};  // of 1, t, t^2, w, t w, w^2
      for (size_t i = g * rows_.group_size; i < End(g); ++i) {
        const double w = W(row)[i];
        const double weight = rounding_.importance_[i];
        const double t = levels.entries[levels.Nearest(
            static_cast<float>((w - offset) / scale))];
        const double terms[6] = {1, t, t * t, w, t * w, w * w};
        for (size_t j = 0; j < 6; ++j) sums[j] += weight * terms[j];
      }
      const auto [n, t, tt, w, tw, ww] = sums;
      const double determinant = n * tt - t * t;
      if (!(determinant > kRidge * n * tt)) continue;
      const double slope = (n * tw - t * w) / determinant;
      const float stored = Stored(slope);
      const float shift = StoredOffset((w - slope * t) / n);
      if (!(stored > 0) || !std::isfinite(stored) || !std::isfinite(shift)) {
        continue;
      }
      const double loss = ww - 2 * (stored * tw + shift * w) +
                          stored * (stored * tt + 2 * shift * t) +
                          static_cast<double>(shift) * shift * n;
      if (loss >= least) continue;
      least = loss;
      Scales(row)[g] = stored;
      rows_.offsets[row * groups_ + g] = shift;
    }
  }

  // The nearest levels for every factor of a scale, and what the group alone
  // loses.
  void Clip(size_t row, size_t g) const {
    const size_t begin = g * rows_.group_size;
    const size_t count = End(g) - begin;
    const Levels& levels = LevelsOf(row);
    const float start = Scales(row)[g];
    if (start == 0) return;
    const float center = (levels.entries.front() + levels.entries.back()) / 2;
    const float middle = Offset(row, g) + start * center;
    std::vector<float> errors(count);
    std::vector<uint8_t> indices(count);
    double least = HUGE_VAL;
    for (const float factor : kFactors) {
      const float scale = Stored(start * factor);
      if (scale == 0 || !std::isfinite(1 / scale)) continue;
      const float offset =
          has_offsets_ ? StoredOffset(middle - scale * center) : 0.0f;
      for (size_t i = 0; i < count; ++i) {
        const float w = W(row)[begin + i] - offset;
        indices[i] = levels.Nearest(w / scale);
        errors[i] = w - scale * levels.entries[indices[i]];
      }
      double loss = 0;
      for (size_t i = 0; i < count; ++i) {
        const float* h = rounding_.moments_.data() + (begin + i) * k_ + begin;
        double product = 0;
        for (size_t j = 0; j < count; ++j) {
          product += static_cast<double>(errors[j]) * h[j];
        }
        loss += errors[i] * product;
      }
      if (loss >= least) continue;
      least = loss;
      Scales(row)[g] = scale;
      if (has_offsets_) rows_.offsets[row * groups_ + g] = offset;
      std::copy(indices.begin(), indices.end(), Indices(row) + begin);
    }
  }

  // Step 3.
  void RoundInOrder() {
    const float* factor = rounding_.factor_.data();
    std::vector<float> carried(count_ * k_);  // by places
    std::vector<float> errors(count_ * kPanel);
    for (size_t begin = 0; begin < k_; begin += kPanel) {
      const size_t end = std::min(k_, begin + kPanel);
      for (size_t row = 0; row < count_; ++row) {
        RoundPanel(row, begin, end, &carried[row * k_], &errors[row * kPanel]);
      }
      if (end == k_) break;
      Multiply(errors.data(), kPanel, factor + begin * k_ + end, k_,
               carried.data() + end, k_, count_, k_ - end, end - begin, true);
    }
  }
  void RoundPanel(size_t row, size_t begin, size_t end, float* carried,
                  float* errors) const {
    const Levels& levels = LevelsOf(row);
    for (size_t place = begin; place < end; ++place) {
      const float* r = rounding_.factor_.data() + place * k_;
      const size_t i = rounding_.order_[place];
      const float scale = Scales(row)[i / rows_.group_size];
      const float offset = Offset(row, i / rows_.group_size);
      const float wanted = W(row)[i] - offset + carried[place] / r[place];
      const uint8_t index =
          scale != 0 ? levels.Nearest(wanted / scale) : levels.Nearest(0);
      Indices(row)[i] = index;
      const float error = W(row)[i] - offset - scale * levels.entries[index];
      errors[place - begin] = error;
      for (size_t j = place + 1; j < end; ++j) carried[j] += error * r[j];
    }
  }

  // Step 4: the scales, and offsets, that are best for the indices.
  void FitScales() {
    std::vector<float> levels(count_ * k_);
    for (size_t row = 0; row < count_; ++row) {
      const std::vector<float>& entries = LevelsOf(row).entries;
      for (size_t i = 0; i < k_; ++i) {
        levels[row * k_ + i] = entries[Indices(row)[i]];
      }
    }
    // One unknown for the scale of each group, and one for its offset, whose
    // level is 1. a[g][h] = the levels of g, times H, times the levels of h.
    const size_t unknowns = groups_ * (has_offsets_ ? 2 : 1);
    std::vector<double> a(count_ * unknowns * unknowns);
    std::vector<double> b(count_ * unknowns);
    std::vector<float>& product = products_;  // of a group's levels and H
    for (size_t u = 0; u < unknowns; ++u) {
      const size_t g = u % groups_;
      const size_t begin = g * rows_.group_size;
      const bool is_offset = u >= groups_;
      if (is_offset) {
        SumRows(begin, End(g), product.data());
      } else {
        Multiply(levels.data() + begin, k_,
                 rounding_.moments_.data() + begin * k_, k_, product.data(), k_,
                 count_, k_, End(g) - begin, false);
      }
      for (size_t row = 0; row < count_; ++row) {
        const float* p = product.data() + (is_offset ? 0 : row * k_);
        const float* t = levels.data() + row * k_;
        double* out = &a[(row * unknowns + u) * unknowns];
        for (size_t h = 0; h < groups_; ++h) {
          double sum = 0;
          double plain = 0;
          for (size_t i = h * rows_.group_size; i < End(h); ++i) {
            sum += static_cast<double>(p[i] * t[i]);
            plain += static_cast<double>(p[i]);
          }
          out[h] = sum;
          if (has_offsets_) out[groups_ + h] = plain;
        }
        double sum = 0;
        for (size_t i = 0; i < k_; ++i) {
          sum += static_cast<double>(p[i]) * W(row)[i];
        }
        b[row * unknowns + u] = sum;
      }
    }
    for (size_t row = 0; row < count_; ++row) {
      const std::span<double> matrix =
          std::span(a).subspan(row * unknowns * unknowns, unknowns * unknowns);
      const std::span<double> vector =
          std::span(b).subspan(row * unknowns, unknowns);
      for (size_t g = 0; g < unknowns; ++g) {
        double& diagonal = matrix[g * unknowns + g];
        // A group of zeros leaves its scale as it is.
        diagonal = diagonal > 0 ? diagonal * (1 + kRidge) : 1;
      }
      if (!SolvePositiveDefinite(matrix, vector)) continue;
      for (size_t g = 0; g < groups_; ++g) TakeFitted(row, g, vector);
    }
  }
  void TakeFitted(size_t row, size_t g, std::span<const double> fitted) const {
    const float scale = Stored(fitted[g]);
    const float offset = has_offsets_ ? StoredOffset(fitted[groups_ + g]) : 0;
    // The sign is part of the choice of levels, made before.
    float& before = Scales(row)[g];
    if (!std::isfinite(scale) || !(scale * before > 0) ||
        !std::isfinite(offset)) {
      return;
    }
    before = scale;
    if (has_offsets_) rows_.offsets[row * groups_ + g] = offset;
  }
  // Of H.
  void SumRows(size_t begin, size_t end, float* sum) const {
    std::fill_n(sum, k_, 0.0f);
    for (size_t i = begin; i < end; ++i) {
      const float* h = rounding_.moments_.data() + i * k_;
      for (size_t j = 0; j < k_; ++j) sum[j] += h[j];
    }
  }

  // Step 4: the entries of each row's table that are best for indices and
  // scales, as multiples of 1/127 of the largest. Of the pairs of columns,
  // whose moments are the time this takes, each is looked at once.
  void FitTables() {
    Multiply(w_.data(), k_, rounding_.moments_.data(), k_, products_.data(), k_,
             count_, k_, k_, false);
    std::vector<float> sums;
    for (size_t row = 0; row < count_; ++row) {
      std::vector<float>& entries = levels_[row].entries;
      const size_t count = entries.size();
      const uint8_t* indices = Indices(row);
      sums.assign(count * k_, 0.0f);
      std::vector<double> a(count * count);
      std::vector<double> b(count);
      for (size_t i = 0; i < k_; ++i) {
        const size_t e = indices[i];
        const float scale = Scales(row)[i / rows_.group_size];
        const float* h = rounding_.moments_.data() + i * k_;
        float* sum = sums.data() + e * k_;
        // What the columns before have left, and the column itself once.
        for (size_t f = 0; f < count; ++f) {
          const double both = static_cast<double>(sums[f * k_ + i]) * scale;
          a[f * count + e] += both;
          a[e * count + f] += both;
        }
        a[e * count + e] += static_cast<double>(scale) * scale * h[i];
        b[e] += static_cast<double>(products_[row * k_ + i]) * scale;
        for (size_t j = i + 1; j < k_; ++j) sum[j] += scale * h[j];
      }
      for (size_t e = 0; e < count; ++e) {
        double& diagonal = a[e * count + e];
        if (diagonal > 0) {
          diagonal *= 1 + kRidge;
        } else {  // an entry that no weight uses stays
          diagonal = 1;
          b[e] = entries[e];
        }
      }
      if (SolvePositiveDefinite(a, b)) StoreTable(row, b);
    }
  }
  void StoreTable(size_t row, std::span<const double> entries) {
    double largest = 0;
    for (const double entry : entries) {
      largest = std::max(largest, std::abs(entry));
    }
    if (!(largest > 0)) return;
    const double unit = kLargestEntry / largest;
    // Where each entry goes when they are sorted.
    std::vector<size_t> order(entries.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return entries[a] < entries[b]; });
    const std::span<int8_t> table =
        rows_.tables.subspan(row * rows_.entries, rows_.entries);
    std::vector<uint8_t> place(entries.size());
    size_t used = 0;
    for (const size_t e : order) {
      const auto entry = static_cast<int8_t>(std::nearbyint(entries[e] * unit));
      // Two that round to one are one.
      if (used == 0 || entry > table[used - 1]) table[used++] = entry;
      place[e] = static_cast<uint8_t>(used - 1);
    }
    std::fill(table.begin() + static_cast<ptrdiff_t>(used), table.end(),
              table[used - 1]);
    for (size_t i = 0; i < k_; ++i) Indices(row)[i] = place[Indices(row)[i]];
    for (size_t g = 0; g < groups_; ++g) {
      Scales(row)[g] = Stored(Scales(row)[g] / unit);
    }
    levels_[row] = Levels(table);
  }

  // Step 4: coordinate descent, in the order of the columns.
  void Descend() {
    Losses();  // errors and products
    for (size_t row = 0; row < count_; ++row) {
      for (int sweep = 0; sweep < kSweeps; ++sweep) {
        if (!Sweep(row)) break;
      }
    }
  }
  bool Sweep(size_t row) {
    const Levels& levels = LevelsOf(row);
    float* product = products_.data() + row * k_;
    uint8_t* indices = Indices(row);
    bool changed = false;
    for (size_t i = 0; i < k_; ++i) {
      const float scale = Scales(row)[i / rows_.group_size];
      if (scale == 0) continue;
      const float* h = rounding_.moments_.data() + i * k_;
      const float at = levels.entries[indices[i]];
      const uint8_t index = levels.Nearest(at + product[i] / (h[i] * scale));
      if (index == indices[i]) continue;
      const float change = scale * (at - levels.entries[index]);
      indices[i] = index;
      for (size_t j = 0; j < k_; ++j) product[j] += change * h[j];
      changed = true;
    }
    return changed;
  }

  const MomentRounding& rounding_;
  const size_t k_;
  const size_t groups_;
  const size_t count_;  // rows
  const bool has_offsets_;
  std::vector<float> w_;  // what is to be approximated
  const LutRows& rows_;
  std::vector<Levels> levels_;
  MatrixProduct product_;
  std::vector<float> errors_;
  std::vector<float> products_;
  // The best so far.
  std::vector<double> best_;  // its losses
  std::vector<uint8_t> saved_indices_;
  std::vector<float> saved_scales_;
  std::vector<float> saved_offsets_;
  std::vector<int8_t> saved_tables_;
};

RowLosses MomentRounding::Improve(std::span<const float> w,
                                  const LutRows& rows) const {
  if (factor_.empty()) return {};
  return RowsRounder(*this, w, rows).Run();
}

}  // namespace lutra::packer
