#include "packer/import/stored/holding.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lutra/kernels/blob_pieces.h"
#include "lutra/runtime/error.h"
#include "packer/import/stored/two_levels.h"
#include "packer/lattice/number_types.h"
#include "packer/lattice/rounding.h"

namespace lutra::packer {
namespace {

// Weights that are looked at together: bounds memory.
constexpr size_t kPiece = size_t{1} << 20;

size_t PieceRows(const StoredWeight& weight) {
  constexpr size_t kRows = kernels::BlobPieces::kRows;
  const size_t rows = kPiece / std::max<size_t>(1, weight.columns);
  return std::max(kRows, rows / kRows * kRows);
}

// Calls each(first, count, rows) for all rows.
template <typename Each>
void ForPieces(const StoredWeight& weight, bool codes, const Each& each) {
  StoredRows rows;
  rows.want_codes = codes;
  const size_t piece = PieceRows(weight);
  for (size_t first = 0; first < weight.rows; first += piece) {
    const size_t count = std::min(piece, weight.rows - first);
    weight.read(first, count, rows);
    each(first, count, rows);
  }
}

// The offset type that is stored as `type` is.
kernels::OffsetType OffsetOf(kernels::ScaleType type) {
  return static_cast<kernels::OffsetType>(static_cast<int>(type) + 1);
}

// What all groups have in common.
struct Zeros {
  bool common = true;  // one zero point for all
  float value = 0;     // the first
  bool whole = true;   // integers
  float minimum = 0;
  float maximum = 0;
};

Zeros LookAtZeros(const StoredWeight& weight) {
  Zeros zeros;
  bool first = true;
  ForPieces(weight, false, [&](size_t row, size_t count, const StoredRows& in) {
    const auto check = [&](const std::vector<float>& values, const char* what) {
      for (size_t i = 0; i < count * weight.Groups(); ++i) {
        if (std::isfinite(values[i])) continue;
        throw Error(std::string(what) + " of row " +
                    std::to_string(row + i / weight.Groups()) +
                    " is not finite");
      }
    };
    check(in.scales, "a scale");
    if (weight.zero == ZeroRule::kNone) return;
    check(in.zeros, "a zero point");
    for (size_t i = 0; i < count * weight.Groups(); ++i) {
      const float zero = in.zeros[i];
      if (first) zeros = {true, zero, true, zero, zero};
      first = false;
      zeros.common = zeros.common && zero == zeros.value;
      zeros.whole = zeros.whole && zero == std::nearbyint(zero);
      zeros.minimum = std::min(zeros.minimum, zero);
      zeros.maximum = std::max(zeros.maximum, zero);
    }
  });
  return zeros;
}

// (level - shift) / unit for every level, if these are int8.
std::optional<Holding> WithShift(const StoredWeight& weight, float shift,
                                 float unit) {
  Holding holding;
  holding.shift = shift;
  holding.unit = unit;
  for (const float level : weight.levels) {
    const float entry = (level - shift) / unit;
    if (entry != std::nearbyint(entry) || entry < INT8_MIN ||
        entry > INT8_MAX) {
      return std::nullopt;
    }
    holding.entries.push_back(static_cast<int8_t>(entry));
  }
  return holding;
}

// Levels rounded to int8, in the unit in which that costs least.
Holding Rounded(const StoredWeight& weight) {
  float largest = 0;
  for (const float level : weight.levels) {
    largest = std::max(largest, std::abs(level));
  }
  Holding best;
  double least = std::numeric_limits<double>::infinity();
  for (int steps = 64; steps <= INT8_MAX && largest > 0; ++steps) {
    Holding holding;
    holding.exact = false;
    holding.unit = largest / static_cast<float>(steps);
    double cost = 0;
    for (const float level : weight.levels) {
      const double entry = std::nearbyint(level / double{holding.unit});
      holding.entries.push_back(static_cast<int8_t>(entry));
      const double error = level - entry * double{holding.unit};
      cost += error * error;
    }
    if (cost >= least) continue;
    least = cost;
    best = holding;
  }
  if (best.entries.empty()) throw Error("all of its levels are 0");
  return best;
}

uint32_t BitsFor(size_t levels) {
  for (uint32_t bits = 1; bits <= 4; ++bits) {
    if (levels <= size_t{1} << bits) return bits;
  }
  return 8;
}

// Fills in the format, and whether all values are exact.
void Complete(const StoredWeight& weight, bool offsets, Holding& holding) {
  kernels::LutFormat& format = holding.format;
  constexpr size_t kMost = kernels::kMaxDimension;
  format.n = static_cast<uint32_t>(std::min(weight.rows, kMost + 1));
  format.k = static_cast<uint32_t>(std::min(weight.columns, kMost + 1));
  format.bits = holding.fold_zero ? 8 : BitsFor(weight.levels.size());
  format.group_size =
      static_cast<uint32_t>(std::min(weight.group_size, weight.columns));
  FittingTypes scales;
  FittingTypes offset_types;
  holding.factor = weight.factor * holding.unit;
  TwoLevelSearch two_levels(format, offsets, holding.factor);
  std::vector<float> row_scales(weight.Groups());
  std::vector<float> row_offsets(offsets ? weight.Groups() : 0);
  ForPieces(weight, false, [&](size_t, size_t count, const StoredRows& in) {
    for (size_t i = 0; i < count * weight.Groups(); ++i) {
      const float zero = weight.zero == ZeroRule::kNone ? 0.0f : in.zeros[i];
      const float scale = holding.Scale(in.scales[i]);
      const float offset =
          offsets ? holding.Offset(weight.zero, in.scales[i], zero) : 0.0f;
      if (!std::isfinite(scale) || !std::isfinite(offset)) {
        throw Error("a scale or offset is not finite");
      }
      scales.Add(scale);
      offset_types.Add(offset);
      if (!holding.exact) continue;
      const size_t group = i % weight.Groups();
      row_scales[group] = scale;
      if (offsets) row_offsets[group] = offset;
      if (group + 1 == weight.Groups()) {
        two_levels.AddRow(row_scales, row_offsets);
      }
      for (size_t code = 0; code < weight.levels.size(); ++code) {
        const float entry = holding.fold_zero
                                ? weight.levels[code] - zero
                                : static_cast<float>(holding.entries[code]);
        float value = scale * entry;
        if (offsets) value = value + offset;
        if (value !=
            weight.Value(static_cast<uint8_t>(code), in.scales[i], zero)) {
          holding.exact = false;
          break;
        }
      }
    }
  });
  format.scale_type = scales.Smallest();
  if (offsets) format.offset_type = OffsetOf(offset_types.Smallest());
  if (holding.exact) format = two_levels.Smallest(format);
  // Small groups fill up the units of other bits better.
  if (!format.HasTable()) return;
  for (uint32_t bits = format.bits + 1; bits <= 4; ++bits) {
    kernels::LutFormat wider = format;
    wider.bits = bits;
    if (kernels::BlobBytes(wider) < kernels::BlobBytes(format)) format = wider;
  }
}

}  // namespace

float Holding::Offset(ZeroRule rule, float scale, float zero) const {
  if (rule == ZeroRule::kSubtract) return (shift - zero) * scale;
  const float moved = shift * scale;
  return rule == ZeroRule::kAdd ? zero + moved : moved;
}

std::vector<int8_t> Holding::Table() const {
  if (!format.HasTable()) return {};
  std::vector<int8_t> table = entries;
  table.resize(format.TableEntries(), table.back());
  return table;
}

Holding Hold(const StoredWeight& weight) {
  if (!weight.group_of_column.empty()) {
    throw Error(
        "its columns are in activation order (desc_act, actorder): groups are "
        "not neighbours");
  }
  const Zeros zeros = LookAtZeros(weight);
  const float middle = static_cast<float>(weight.levels.size() / 2);
  struct Candidate {
    std::optional<Holding> holding;
    bool offsets;
  };
  std::vector<Candidate> candidates;
  const auto add = [&](float shift, float unit, bool offsets) {
    candidates.push_back({WithShift(weight, shift, unit), offsets});
  };
  if (weight.zero == ZeroRule::kNone || zeros.common) {
    const bool subtract = weight.zero == ZeroRule::kSubtract;
    if (weight.zero != ZeroRule::kAdd || zeros.value == 0) {
      const float shift = subtract ? zeros.value : 0.0f;
      add(shift, 1.0f, false);
      add(shift, 0.5f, false);
    }
  }
  if (weight.zero != ZeroRule::kNone) {
    for (const float unit : {1.0f, 0.5f}) {
      add(0.0f, unit, true);
      add(middle, unit, true);
      add(weight.levels.front() + middle, unit, true);
    }
    if (weight.zero == ZeroRule::kSubtract && zeros.whole) {
      const auto [low, high] =
          std::minmax_element(weight.levels.begin(), weight.levels.end());
      if (*low - zeros.maximum >= INT8_MIN &&
          *high - zeros.minimum <= INT8_MAX) {
        Holding folded;
        folded.fold_zero = true;
        candidates.push_back({folded, false});
      }
    }
  }
  std::optional<Holding> near;
  for (Candidate& candidate : candidates) {
    if (!candidate.holding) continue;
    Complete(weight, candidate.offsets, *candidate.holding);
    if (candidate.holding->exact) {
      near = std::move(candidate.holding);
      break;
    }
    if (!near) near = std::move(candidate.holding);
  }
  if (!near) {
    if (weight.zero != ZeroRule::kNone) {
      throw Error("its levels and zero points fit no table of int8");
    }
    near = Rounded(weight);
    Complete(weight, false, *near);
  }
  if (const char* cause = kernels::CheckFormat(near->format)) {
    throw Error(cause);
  }
  return *std::move(near);
}

double Fidelity::SqnrDb() const {
  return noise == 0 ? std::numeric_limits<double>::infinity()
                    : 10 * std::log10(signal / noise);
}

namespace {

struct alignas(kernels::kBlobAlignment) BlobLine {
  uint8_t bytes[kernels::kBlobAlignment];
};

// The arguments of PackLutMatrix for some rows.
struct PieceValues {
  std::vector<uint8_t> indices;
  std::vector<float> scales;
  std::vector<float> offsets;
  std::vector<float> super_scales;
  std::vector<float> super_offsets;
};

// The super scales of all rows of scales, or of offsets.
void AddSupers(const Holding& holding, kernels::ScaleType number,
               const std::vector<float>& numbers, std::vector<float>& supers) {
  const size_t groups = holding.format.GroupsPerRow();
  supers.clear();
  for (size_t first = 0; first < numbers.size(); first += groups) {
    const auto row = SuperNumbers(holding.format, number, holding.factor,
                                  std::span(numbers).subspan(first, groups));
    // The format was chosen by these numbers.
    if (!row) throw Error("changed while it was read");
    supers.insert(supers.end(), row->begin(), row->end());
  }
}

void CheckCodes(const StoredWeight& weight, const StoredRows& in) {
  for (const uint8_t code : in.codes) {
    if (code < weight.levels.size()) continue;
    throw Error("a code is " + std::to_string(code) + ", above " +
                std::to_string(weight.levels.size() - 1));
  }
}

void Translate(const StoredWeight& weight, const Holding& holding, size_t count,
               const StoredRows& in, PieceValues& out) {
  const size_t groups = weight.Groups();
  const bool offsets = holding.format.offset_type != kernels::OffsetType::kNone;
  const auto zero_at = [&](size_t at) {
    return weight.zero == ZeroRule::kNone ? 0.0f : in.zeros[at];
  };
  out.scales.resize(count * groups);
  out.offsets.resize(offsets ? count * groups : 0);
  for (size_t i = 0; i < count * groups; ++i) {
    out.scales[i] = holding.Scale(in.scales[i]);
    if (!offsets) continue;
    out.offsets[i] = holding.Offset(weight.zero, in.scales[i], zero_at(i));
  }
  if (holding.format.super_span != kernels::SuperSpan::kNone) {
    AddSupers(holding, holding.format.scale_type, out.scales, out.super_scales);
    if (offsets) {
      AddSupers(holding, StorageOf(holding.format.offset_type), out.offsets,
                out.super_offsets);
    }
  }
  out.indices.resize(count * weight.columns);
  uint8_t of_code[256] = {};
  for (size_t code = 0; code < weight.levels.size(); ++code) {
    of_code[code] =
        holding.format.HasTable()
            ? static_cast<uint8_t>(code)
            : static_cast<uint8_t>(holding.fold_zero ? int8_t{0}
                                                     : holding.entries[code]);
  }
  for (size_t r = 0; r < count; ++r) {
    const uint8_t* codes = in.codes.data() + r * weight.columns;
    uint8_t* to = out.indices.data() + r * weight.columns;
    for (size_t c = 0; c < weight.columns; ++c) {
      if (holding.fold_zero) {
        const float zero = zero_at(r * groups + c / weight.group_size);
        to[c] = static_cast<uint8_t>(
            static_cast<int8_t>(weight.levels[codes[c]] - zero));
      } else {
        to[c] = of_code[codes[c]];
      }
    }
  }
}

class Comparison {
 public:
  Comparison(const StoredWeight& weight, const Holding& holding)
      : weight_(weight), exact_(holding.exact), held_(weight.columns) {
    if (weight.from_floats) exact_ = exact_ && weight.from_floats->lossless;
  }

  // Rows [first, first + count) as they are and as `matrix` has them.
  void Add(size_t first, size_t count, const StoredRows& in,
           const kernels::LutMatrix& matrix) {
    if (!weight_.from_floats) {
      values_.resize(count * weight_.columns);
      weight_.Values(in, count, values_);
    }
    const std::span<const float> values =
        weight_.from_floats ? in.original : values_;
    for (size_t r = 0; r < count; ++r) {
      kernels::DequantizeRow(matrix, static_cast<uint32_t>(r), held_.data());
      if (weight_.from_floats) {
        for (float& value : held_) {
          value = RoundTo(weight_.from_floats->dtype, value);
        }
      }
      AddRow(first + r, values.subspan(r * weight_.columns, weight_.columns));
    }
  }

  const Fidelity& fidelity() const { return fidelity_; }

 private:
  void AddRow(size_t row, std::span<const float> values) {
    for (size_t begin = 0; begin < values.size(); begin += weight_.group_size) {
      const size_t end = std::min(values.size(), begin + weight_.group_size);
      bool same = true;
      for (size_t c = begin; c < end; ++c) {
        fidelity_.signal += double{values[c]} * values[c];
        if (held_[c] == values[c]) continue;
        same = false;
        const double error = double{values[c]} - held_[c];
        fidelity_.noise += error * error;
        fidelity_.max_error = std::max(fidelity_.max_error, std::abs(error));
        if (!exact_) continue;
        throw Error("the value at row " + std::to_string(row) + ", column " +
                    std::to_string(c) + " would not be that of the source");
      }
      ++fidelity_.groups;
      if (same) ++fidelity_.exact_groups;
    }
  }

  const StoredWeight& weight_;
  bool exact_;
  std::vector<float> values_;
  std::vector<float> held_;
  Fidelity fidelity_;
};

}  // namespace

Fidelity WriteBlob(
    const StoredWeight& weight, const Holding& holding,
    const std::function<void(size_t, std::span<const std::byte>)>& write) {
  kernels::BlobPieces pieces(holding.format);
  const std::vector<int8_t> table = holding.Table();
  Comparison comparison(weight, holding);
  PieceValues packed;
  std::vector<BlobLine> blob;
  ForPieces(
      weight, true, [&](size_t first, size_t count, const StoredRows& in) {
        CheckCodes(weight, in);
        Translate(weight, holding, count, in, packed);
        const auto rows = static_cast<uint32_t>(count);
        const kernels::LutFormat format = pieces.PieceFormat(rows);
        const size_t size = kernels::BlobBytes(format);
        blob.resize(size / sizeof(BlobLine));
        uint8_t* const bytes = blob.data()->bytes;
        kernels::PackLutMatrix(format,
                               {.indices = packed.indices.data(),
                                .scales = packed.scales.data(),
                                .offsets = packed.offsets.data(),
                                .super_scales = packed.super_scales.data(),
                                .super_offsets = packed.super_offsets.data(),
                                .tables = table.data()},
                               bytes);
        kernels::LutMatrix matrix;
        if (const char* cause = kernels::ParseLutMatrix(bytes, size, &matrix)) {
          throw Error(cause);
        }
        comparison.Add(first, count, in, matrix);
        const auto part = pieces.Take(bytes, rows);
        write(pieces.offset(),
              std::as_bytes(std::span(part.data(), part.size())));
      });
  write(0, std::as_bytes(
               std::span(pieces.header(), kernels::BlobPieces::kHeaderBytes)));
  return comparison.fidelity();
}

void WriteFloats(
    const StoredWeight& weight,
    const std::function<void(size_t, std::span<const std::byte>)>& write) {
  std::vector<float> values;
  ForPieces(weight, true,
            [&](size_t first, size_t count, const StoredRows& in) {
              CheckCodes(weight, in);
              values.resize(count * weight.columns);
              weight.Values(in, count, values);
              if (weight.transform) {
                for (float& value : values) value = weight.transform(value);
              }
              write(first * weight.columns * sizeof(float),
                    std::as_bytes(std::span(values)));
            });
}

}  // namespace lutra::packer
