#include "packer/lattice/lattice.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "packer/lattice/folded.h"
#include "packer/lattice/group_fit.h"
#include "packer/lattice/group_values.h"
#include "packer/lattice/nearest.h"
#include "packer/lattice/number_types.h"
#include "packer/lattice/refine.h"
#include "packer/weights/row_tasks.h"

namespace lutra::packer {
namespace {

// The smallest group there is. Larger ones are of several blocks.
constexpr size_t kBlock = 16;
// Groups above are whole rows.
constexpr size_t kLargestGroup = 256;
// The longest row that may have one scale (docs/format.md).
constexpr size_t kLongestRow = size_t{1} << 16;
constexpr size_t kSampleRows = 16;
// Columns that tell where groups begin: some of the largest.
constexpr size_t kSampleColumns = 4 * kLargestGroup;
// Blocks that tell whether it is worth looking further.
constexpr size_t kFirstBlocks = 64;
constexpr double kLog10FalseAlarm = -9;

// Groups of the sample on a grid. Some tell nothing: they have too few values.
struct Tally {
  size_t groups = 0;
  size_t exact = 0;
  size_t telling = 0;  // of the exact ones
  double log10_chance = 0;

  size_t Failed() const { return groups - exact; }
  double Share() const {
    return groups == 0
               ? 0
               : static_cast<double>(exact) / static_cast<double>(groups);
  }
  // Of so many exact ones among all that tell, for `choices` grids.
  double Log10FalseAlarm(size_t choices) const {
    const auto all = static_cast<double>(telling + Failed());
    const auto some = static_cast<double>(telling);
    const double subsets = (std::lgamma(all + 1) - std::lgamma(some + 1) -
                            std::lgamma(all - some + 1)) /
                           std::log(10.0);
    return log10_chance + subsets + std::log10(static_cast<double>(choices));
  }
};

// Some rows, and what the grids make of them.
class Sample {
 public:
  explicit Sample(const FloatMatrix& matrix)
      : dtype_(matrix.dtype),
        columns_(matrix.rows.columns()),
        blocks_((std::min(columns_, kSampleColumns) + kBlock - 1) / kBlock) {
    const size_t count = std::min(matrix.rows.rows(), kSampleRows);
    std::vector<float> scratch;
    for (size_t i = 0; i < count; ++i) {
      const size_t row = i * matrix.rows.rows() / count;
      const auto values = matrix.rows.Rows(row, 1, scratch);
      rows_.emplace_back(values.begin(), values.end());
    }
  }

  // Whether some blocks, spread over the sample, are on the grid.
  bool IsPossible(const Grid& grid) const {
    const size_t all = rows_.size() * blocks_;
    const size_t count = std::min(all, kFirstBlocks);
    size_t exact = 0;
    for (size_t i = 0; i < count; ++i) {
      const size_t at = i * all / count;
      if (Fits(grid, at / blocks_, at % blocks_, 1)) ++exact;
    }
    return exact * 4 >= count;
  }

  // Groups are as large as the blocks beside each other allow that share a
  // scale: where two blocks are on the grid, but not together, one ends.
  // `share` gets that of blocks on the grid.
  size_t GroupSize(const Grid& grid, double& share) const {
    std::vector<size_t> tried(blocks_);
    std::vector<size_t> apart(blocks_);
    size_t exact = 0;
    for (size_t row = 0; row < rows_.size(); ++row) {
      bool before = Fits(grid, row, 0, 1);
      if (before) ++exact;
      for (size_t block = 1; block < blocks_; ++block) {
        const bool fits = Fits(grid, row, block, 1);
        if (before && fits) {
          ++tried[block];
          if (!Fits(grid, row, block - 1, 2)) ++apart[block];
        }
        if (fits) ++exact;
        before = fits;
      }
    }
    share = static_cast<double>(exact) /
            static_cast<double>(rows_.size() * blocks_);
    size_t common = 0;
    for (size_t block = 1; block < blocks_; ++block) {
      // A disturbed weight may spoil a pair by chance.
      if (apart[block] * 20 > tried[block]) common = Divisor(common, block);
    }
    const size_t size = common * kBlock;
    if (size != 0 && size <= kLargestGroup) return std::min(size, columns_);
    return columns_ <= kLongestRow ? columns_ : kLargestGroup;
  }

  Tally Try(const Grid& grid, size_t group_size) const {
    Tally tally;
    GroupValues values;
    // Where groups are small, those of some columns tell enough.
    const size_t columns =
        group_size == columns_ ? columns_ : std::min(columns_, kSampleColumns);
    for (const std::vector<float>& row : rows_) {
      for (size_t begin = 0; begin < columns; begin += group_size) {
        const size_t count = std::min(group_size, columns - begin);
        ++tally.groups;
        const auto weights = std::span(row).subspan(begin, count);
        if (!values.Collect(weights, grid.level_count, nullptr)) continue;
        const auto fit = FitGroup(grid, dtype_, values, nullptr);
        if (!fit) continue;
        ++tally.exact;
        const double chance = Log10Chance(grid, dtype_, weights, values, *fit);
        if (chance < 0) ++tally.telling;
        tally.log10_chance += chance;
      }
    }
    return tally;
  }

  size_t columns() const { return columns_; }
  const std::vector<std::vector<float>>& rows() const { return rows_; }

 private:
  static size_t Divisor(size_t a, size_t b) {
    while (b != 0) a = std::exchange(b, a % b);
    return a;
  }

  bool Fits(const Grid& grid, size_t row, size_t block, size_t count) const {
    const size_t begin = block * kBlock;
    const size_t end = std::min(begin + count * kBlock, columns_);
    GroupValues values;
    return values.Collect(std::span(rows_[row]).subspan(begin, end - begin),
                          grid.level_count, nullptr) &&
           FitGroup(grid, dtype_, values, nullptr).has_value();
  }

  DType dtype_;
  size_t columns_;
  size_t blocks_;
  std::vector<std::vector<float>> rows_;
};

struct Candidate {
  const Grid* grid = nullptr;
  size_t group_size = 0;
  Tally tally;
};

// The largest groups that lose no more exact ones than their size explains.
Candidate WithGroups(const Sample& sample, const Grid& grid) {
  double share = 0;
  const size_t size = sample.GroupSize(grid, share);
  std::vector<size_t> sizes = {size};
  for (size_t smaller = kLargestGroup; smaller >= kBlock; smaller /= 2) {
    if (smaller < size && (size == sample.columns() || size % smaller == 0)) {
      sizes.push_back(smaller);
    }
  }
  Candidate best;
  for (const size_t group_size : sizes) {
    best = {&grid, group_size, sample.Try(grid, group_size)};
    if (1 - best.tally.Share() <= 3 * (1 - share) + 0.02) break;
  }
  return best;
}

// How many ways a grid was looked for: along rows and across.
size_t Choices() { return 2 * Grids().size() * (kLargestGroup / kBlock + 1); }

bool IsCertain(const Tally& tally) {
  return tally.Log10FalseAlarm(Choices()) <= kLog10FalseAlarm;
}

bool Counts(const Tally& tally) {
  return tally.exact * 2 >= tally.groups && IsCertain(tally);
}

struct Place {
  size_t row = 0;
  size_t begin = 0;  // column
};

// What all groups of a matrix are like.
struct Whole {
  static constexpr size_t kMostFailed = 64;

  size_t groups = 0;
  size_t exact = 0;
  std::vector<Place> failed;  // the first few
  FittingTypes scales;
  FittingTypes offsets;
  int largest = 0;  // magnitude of multiples of scales
  // Of all scales but 0: their sign, and what they have in common.
  bool any_scale = false;
  bool same_sign = true;
  bool negative = false;
  double low = 0;
  double high = 0;

  void Add(const GroupFit& fit) {
    ++exact;
    scales.Add(fit.scale);
    offsets.Add(fit.offset);
    largest = std::max(largest, fit.largest);
    if (fit.scale != 0) Join(fit.scale < 0, fit.low, fit.high);
  }
  void Add(const Whole& other) {
    groups += other.groups;
    exact += other.exact;
    for (const Place& place : other.failed) Fail(place);
    scales.Add(other.scales);
    offsets.Add(other.offsets);
    largest = std::max(largest, other.largest);
    if (!other.any_scale) return;
    same_sign = same_sign && other.same_sign;
    Join(other.negative, other.low, other.high);
  }
  void Fail(const Place& place) {
    if (failed.size() < kMostFailed) failed.push_back(place);
  }

 private:
  void Join(bool below, double least, double most) {
    if (!any_scale) {
      negative = below;
      low = least;
      high = most;
    }
    any_scale = true;
    same_sign = same_sign && below == negative;
    low = std::max(low, least);
    high = std::min(high, most);
  }
};

// Calls each(place, weights) for all groups of some rows.
template <typename Each>
void ForGroups(std::span<const float> rows, size_t columns, size_t group_size,
               const Each& each) {
  for (size_t row = 0; row < rows.size(); row += columns) {
    for (size_t begin = 0; begin < columns; begin += group_size) {
      const size_t size = std::min(group_size, columns - begin);
      each(row + begin, rows.subspan(row + begin, size));
    }
  }
}

Whole LookAtAll(const FloatMatrix& matrix, const Candidate& candidate,
                Executor* executor) {
  const size_t columns = matrix.rows.columns();
  const RowTasks tasks(matrix.rows.rows(), columns);
  std::vector<Whole> parts(tasks.count());
  tasks.ForEach(executor, [&](size_t task) {
    Whole& part = parts[task];
    std::vector<float> scratch;
    GroupValues values;
    const size_t first = tasks.Begin(task);
    ForGroups(
        matrix.rows.Rows(first, tasks.End(task) - first, scratch), columns,
        candidate.group_size, [&](size_t at, std::span<const float> weights) {
          ++part.groups;
          std::optional<GroupFit> fit;
          if (values.Collect(weights, candidate.grid->level_count, nullptr)) {
            fit = FitGroup(*candidate.grid, matrix.dtype, values, nullptr);
          }
          if (fit) {
            part.Add(*fit);
          } else {
            part.Fail({first + at / columns, at % columns});
          }
        });
  });
  Whole whole;
  for (const Whole& part : parts) whole.Add(part);
  return whole;
}

// Of whole numbers up to the largest, of either sign.
int BitsOf(const Grid& grid, int largest) {
  if (!grid.IsWide()) return grid.bits;
  int bits = 5;
  while (largest > 1 << (bits - 1)) ++bits;
  return bits;
}

Lattice Describe(const FloatMatrix& matrix, const Candidate& candidate,
                 const Whole& whole) {
  Lattice lattice;
  lattice.grid = candidate.grid;
  lattice.bits = BitsOf(*candidate.grid, whole.largest);
  lattice.group_size = candidate.group_size;
  lattice.log10_chance = candidate.tally.Log10FalseAlarm(Choices());
  lattice.groups = whole.groups;
  lattice.exact_groups = whole.exact;
  lattice.types = {whole.scales.Smallest(), whole.offsets.Smallest()};
  lattice.one_scale = candidate.group_size == matrix.rows.columns() &&
                      candidate.grid->rule == Grid::Rule::kScale &&
                      whole.exact == whole.groups && whole.any_scale &&
                      whole.same_sign && whole.low <= whole.high;
  return lattice;
}

// Whether a grid has room for most of the groups that are not on another.
bool HasRoom(const Grid& grid, const FloatMatrix& matrix, size_t group_size,
             const std::vector<Place>& failed) {
  size_t fits = 0;
  std::vector<float> scratch;
  GroupValues values;
  for (const Place& place : failed) {
    const auto row = matrix.rows.Rows(place.row, 1, scratch);
    const auto weights = row.subspan(
        place.begin, std::min(group_size, row.size() - place.begin));
    if (!values.Collect(weights, grid.level_count, nullptr)) continue;
    const auto fit = FitGroup(grid, matrix.dtype, values, nullptr);
    if (fit && Log10Chance(grid, matrix.dtype, weights, values, *fit) < 0)
      ++fits;
  }
  return fits * 2 >= failed.size();
}

// A grid that needs more explains a matrix better if it leaves no more than
// half of the groups that the other does.
bool IsBetter(const Lattice& lattice, const Lattice& than) {
  return (lattice.groups - lattice.exact_groups) * than.groups * 2 <=
         (than.groups - than.exact_groups) * lattice.groups;
}

// A grid of the columns, as the first rows show it.
std::optional<Candidate> FindAcross(const FloatMatrix& matrix) {
  const size_t rows = std::min(matrix.rows.rows(), kLargestGroup);
  const Sample sample({matrix.rows.First(rows).Transposed(), matrix.dtype});
  for (const Grid& grid : Grids()) {
    if (!sample.IsPossible(grid)) continue;
    const Candidate candidate = WithGroups(sample, grid);
    if (Counts(candidate.tally)) return candidate;
  }
  return std::nullopt;
}

void AddNearMiss(const FloatMatrix& matrix, const Sample& sample,
                 const Candidate& few, Lattice& lattice) {
  const auto add = [&](NearMiss miss, const Candidate& candidate) {
    lattice.miss = miss;
    lattice.missed = candidate.grid;
    lattice.missed_group = candidate.group_size;
    lattice.missed_share = candidate.tally.Share();
  };
  if (few.grid != nullptr) return add(NearMiss::kFew, few);
  // Scales of columns look like a folded norm, too.
  if (const auto across = FindAcross(matrix)) {
    add(NearMiss::kAcross, *across);
  } else if (LooksFolded(matrix.dtype, sample.rows())) {
    lattice.miss = NearMiss::kFolded;
  }
}

// The numbers of a group and the codes of its weights.
GroupFit FitOrNear(DType dtype, const Lattice& lattice,
                   std::span<const float> weights, GroupValues& values,
                   uint8_t* codes) {
  std::optional<GroupFit> fit;
  std::array<uint8_t, GroupValues::kMost> of_value;
  if (values.Collect(weights, lattice.grid->level_count, codes)) {
    fit = FitGroup(*lattice.grid, dtype, values, of_value.data());
  }
  if (!fit) {
    return NearestOnGrid(*lattice.grid, dtype, lattice.types, weights, codes);
  }
  for (size_t i = 0; i < weights.size(); ++i) codes[i] = of_value[codes[i]];
  Refine(*lattice.grid, dtype, lattice.types, weights, {codes, weights.size()},
         *fit);
  return *fit;
}

}  // namespace

Lattice FindLattice(const FloatMatrix& matrix, Executor* executor) {
  Lattice best;
  if (matrix.rows.rows() == 0 || matrix.rows.columns() == 0) return best;
  const Sample sample(matrix);
  std::vector<Place> failed;
  Candidate few;
  for (const Grid& grid : Grids()) {
    if (best.grid != nullptr) {
      // One of many levels has room for much, at twice the size.
      if (failed.empty() || grid.IsWide()) break;
      if (!HasRoom(grid, matrix, best.group_size, failed)) continue;
    }
    if (!sample.IsPossible(grid)) continue;
    const Candidate candidate = WithGroups(sample, grid);
    if (!Counts(candidate.tally)) {
      if (IsCertain(candidate.tally) &&
          candidate.tally.Share() > few.tally.Share()) {
        few = candidate;
      }
      continue;
    }
    const Whole whole = LookAtAll(matrix, candidate, executor);
    const Lattice lattice = Describe(matrix, candidate, whole);
    if (best.grid != nullptr && !IsBetter(lattice, best)) continue;
    best = lattice;
    failed = whole.failed;
  }
  if (best.exact_groups * 2 < best.groups) {
    few.grid = best.grid;
    few.group_size = best.group_size;
    few.tally.groups = best.groups;
    few.tally.exact = best.exact_groups;
    best = Lattice();
  }
  if (best.grid == nullptr) AddNearMiss(matrix, sample, few, best);
  return best;
}

void ReadLattice(const FloatMatrix& matrix, const Lattice& lattice,
                 size_t first, size_t count, Executor* executor,
                 LatticeRows& out) {
  const Grid& grid = *lattice.grid;
  const size_t columns = matrix.rows.columns();
  const size_t groups = (columns + lattice.group_size - 1) / lattice.group_size;
  const size_t elements = out.want_codes ? count * columns : 0;
  out.codes.resize(elements);
  out.original.resize(elements);
  out.scales.resize(count * groups);
  out.offsets.resize(grid.rule == Grid::Rule::kScale ? 0 : count * groups);
  const RowTasks tasks(count, columns);
  tasks.ForEach(executor, [&](size_t task) {
    const size_t begin = tasks.Begin(task);
    std::vector<float> scratch;
    const auto rows =
        matrix.rows.Rows(first + begin, tasks.End(task) - begin, scratch);
    std::vector<uint8_t> room(std::min(lattice.group_size, columns));
    GroupValues values;
    size_t group = begin * groups;
    ForGroups(rows, columns, lattice.group_size,
              [&](size_t at, std::span<const float> weights) {
                uint8_t* const codes =
                    out.want_codes ? out.codes.data() + begin * columns + at
                                   : room.data();
                const GroupFit fit =
                    FitOrNear(matrix.dtype, lattice, weights, values, codes);
                out.scales[group] = fit.scale;
                if (!out.offsets.empty()) out.offsets[group] = fit.offset;
                ++group;
              });
    if (!out.want_codes) return;
    std::copy(
        rows.begin(), rows.end(),
        out.original.begin() + static_cast<std::ptrdiff_t>(begin * columns));
  });
}

}  // namespace lutra::packer
